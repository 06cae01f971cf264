"""Score predictions against other labels than those of the set: what the crowd sees, or the truth.

Such labels are given by row of the FaceSet: (N,) int, where -1 leaves an image out, or (N, K)
shares of the classes that are right, as of a crowd that is tied, where a row of zeros does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data.votes import clear_majority, majority
from . import metrics, verdicts
from .metrics import MISSING, Estimate
from .report import COLUMNS, Record, Runs, classes_of, paired, stacked, with_intervals


def as_shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """Turn labels of either form into (N, classes) float64 shares."""
    if labels.ndim == 2:
        return labels.astype(np.float64)
    return np.where(labels[:, None] >= 0, np.eye(classes)[labels], 0.0)


def of_votes(votes: np.ndarray | None, classes: int) -> dict[str, tuple[np.ndarray, int]]:
    """Give the labels that FER+ is scored by: what more than half of the votes say, or most.

    Args:
        votes: (N, 10) over ``VOTE_NAMES``, or None.
        classes: of the networks that are scored: with eight, contempt is left out once.

    Returns:
        Name -> labels (N,), -1 where the crowd names none of these classes, and their number.
    """
    if votes is None:
        return {}
    chosen = {"majority": clear_majority(votes), "most voted": majority(votes)}
    kinds = [("majority", k) for k in dict.fromkeys((classes, 7))] + [("most voted", classes)]
    return {
        f"{name}, {k} classes": (np.where(chosen[name] < k, chosen[name], -1), k)
        for name, k in kinds
    }


def vote_shares(votes: np.ndarray, classes: int) -> np.ndarray:
    """Turn votes (N, 10) into (N, classes) shares of those for a class; a row of zeros: none."""
    counts = votes[:, :classes].astype(np.float64)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def scores(
    runs: Runs, labels: np.ndarray, names: Sequence[str], classes: int | None = None
) -> pd.DataFrame:
    """Score every system on the test split against other labels, as ``report.scores`` does.

    Args:
        classes: how many of its classes a network may choose from; None: all.
    """
    parts = []
    for name, records in runs.items():
        table = pd.DataFrame([MISSING] * len(names), index=list(names))
        if records:
            logits, target = _known(records, labels, classes)
            named = classes_of(records)[: logits.shape[2]]
            table = with_intervals(logits, target, names, named)
        parts.append(
            table.rename_axis("metric").reset_index().assign(name=name, seeds=len(records))
        )
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def difference(
    a: Sequence[Record], b: Sequence[Record], labels: np.ndarray, classes: int | None = None
) -> Estimate:
    """Subtract accuracies on the test split against other labels, as ``report.difference`` does."""
    pair = paired(a, b)
    if not pair[0]:
        return MISSING
    (ours, target), (theirs, _) = (_known(records, labels, classes) for records in pair)
    place = np.arange(len(target))
    return mean_over_images(
        target[place, ours.argmax(axis=2)] - target[place, theirs.argmax(axis=2)]
    )


def by_seed(records: Sequence[Record], labels: np.ndarray | None = None) -> dict[int, float]:
    """Give the accuracy of each seed on the test split; by the labels of the set, or others."""
    if not records:
        return {}
    if labels is None:
        logits, known, _ = stacked(records, "last_single", "test")
        target = as_shares(known, logits.shape[2])
    else:
        logits, target = _known(records, labels)
    right = target[np.arange(len(target)), logits.argmax(axis=2)].mean(axis=1)
    return {r.config.seed: float(x) for r, x in zip(records, right, strict=True)}


def distances(records: Sequence[Record], truth: np.ndarray) -> dict[int, float]:
    """Give the mean total variation between predictions and true mixtures, for each seed.

    Args:
        truth: (N, K) by row of the FaceSet, rows sum to 1.

    Returns:
        Seed -> mean over the test images, in [0, 1].
    """
    if not records:
        return {}
    logits, _, rows = stacked(records, "last_single", "test")
    shares = np.exp(logits.astype(np.float64))
    shares /= shares.sum(axis=2, keepdims=True)
    apart = np.abs(shares - truth[rows]).sum(axis=2).mean(axis=1) / 2
    return {r.config.seed: float(x) for r, x in zip(records, apart, strict=True)}


def mean_over_images(values: np.ndarray) -> Estimate:
    """Average (S, N) values of S seeds on the same images, as ``report.difference`` does."""
    if len(values) >= verdicts.ENOUGH_SEEDS:
        return metrics.over_seeds(values.mean(axis=1))
    draws = metrics.resampled(values.mean(axis=0)[:, None], None, 1000, 0)[:, 0]
    return metrics.estimate(draws / values.shape[1], len(values), 0.95)


def _known(
    records: Sequence[Record], labels: np.ndarray, classes: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (S, n, K) for the test images that have such a label, and its shares (n, K)."""
    logits, _, rows = stacked(records, "last_single", "test")
    logits = logits[:, :, :classes]
    target = as_shares(labels[rows], logits.shape[2])
    keep = target.any(axis=1)
    return logits[:, keep], target[keep]
