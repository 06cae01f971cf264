"""Sets of classes that hold the label as often as asked: split conformal prediction.

Vovk, Gammerman and Shafer (2005); the score is ``1 - p`` of the label (Sadinle, Lei and Wasserman,
2019), which makes the smallest sets on average. For images that are exchangeable with those of the
calibration, a set holds the label with at least the chance asked for, on average over images; no
class, and no group of people, is promised that for itself.
"""

from __future__ import annotations

import numpy as np

LEVELS = range(50, 100)
"""Levels in per cent."""


def threshold(probabilities: np.ndarray, labels: np.ndarray, percent: int) -> float:
    """Find the least probability with which a class belongs to a set.

    It is ``1 - q``, with ``q`` the ``ceil((n + 1) percent / 100)``-th smallest of the n scores; 0,
    so that every class belongs, where n is too small for that.

    Args:
        probabilities: (n, K) float in [0, 1] of the calibration images, which neither trained nor
            chose anything.
        labels: (n,) int64.
        percent: one of ``LEVELS``.
    """
    own = np.sort(probabilities[np.arange(len(labels)), labels])
    missed = (len(own) + 1) * (100 - percent) // 100
    return float(own[missed - 1]) if missed else 0.0


def sets(probabilities: np.ndarray, least: float) -> np.ndarray:
    """Say which classes belong to the set of each image: (N, K) bool.

    The most probable one always does, so that no set is empty; this only makes sets larger.

    Args:
        probabilities: (N, K) float in [0, 1].
        least: see ``threshold``.
    """
    return (probabilities >= least) | (probabilities == probabilities.max(axis=1, keepdims=True))
