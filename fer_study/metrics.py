"""Metrics of a classifier, each computed from ``logits`` (N, K) float, finite, and ``labels`` (N,) int in 0..K-1.

The prediction is the class with the largest logit (the first of equals). Every metric is a function of sums over images
(``Sums``), so that a bootstrap only re-weights these sums. A share is in [0, 1]. What is undefined is NaN, never 0:

* the recall of a class without images and the precision of a class never predicted;
* ``balanced_accuracy`` averages recall over the classes that have images; ``macro_f1`` averages F1 over the classes that
  have an image or a prediction (F1 is 0, not undefined, for a class with images that is never predicted);
* ``cohen_kappa`` where labels and predictions are all one class; everything where N = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from .errors import InputError
from .labels import FER2013

BINS = 15
"""Bins of the expected calibration error (Guo et al., 2017)."""


class Estimate(NamedTuple):
    """A value over ``n`` images or seeds, its ``sd`` (of the seeds, or of the bootstrap) and its interval."""

    value: float
    sd: float
    n: int
    low: float
    high: float


class McNemar(NamedTuple):
    """Images that only one of two systems gets right, and the two-sided p-value."""

    only_a: int
    only_b: int
    p_value: float


@dataclass(frozen=True)
class Sums:
    """Sums over images from which every metric follows; leading axes (...) are bootstrap repetitions.

    Attributes:
        confusion: (..., K, K) float64, images by label (rows) and prediction (columns).
        log_loss: (...,) float64, sum of the negative log-likelihoods.
        brier: (...,) float64, sum of the squared errors of the probabilities.
        gaps: (..., BINS) float64, sum of (correct - confidence) of the images in each bin of confidence.
    """

    confusion: np.ndarray
    log_loss: np.ndarray
    brier: np.ndarray
    gaps: np.ndarray

    @classmethod
    def unpack(cls, flat: np.ndarray) -> Sums:
        """From (..., K * K + 2 + BINS) float64, the columns of ``_per_image``."""
        cells = flat.shape[-1] - 2 - BINS
        side = round(cells**0.5)
        confusion = flat[..., :cells].reshape(*flat.shape[:-1], side, side)
        return cls(confusion, flat[..., cells], flat[..., cells + 1], flat[..., cells + 2 :])


def check(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``logits`` as (N, K) float64 and ``labels`` as (N,) int64.

    Raises:
        InputError: wrong shape, labels that are no integers or out of range, logits that are not finite.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise InputError(f"logits must be (N, K) with K >= 2, got {logits.shape}")
    if labels.shape != logits.shape[:1]:
        raise InputError(f"labels must be ({len(logits)},) to match logits {logits.shape}, got {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels must be integers, got {labels.dtype}")
    logits = logits.astype(np.float64)
    if len(labels) and (labels.min() < 0 or labels.max() >= logits.shape[1]):
        raise InputError(f"labels span {labels.min()}..{labels.max()}, allowed 0..{logits.shape[1] - 1}")
    if not np.isfinite(logits).all():
        row, column = np.argwhere(~np.isfinite(logits))[0]
        raise InputError(f"logits must be finite, row {row} class {column} is {logits[row, column]}")
    return logits, labels.astype(np.int64)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """(..., K) logits -> (..., K) log-probabilities, safe for any finite logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _per_image(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, K * K + 2 + BINS) float64: what each image adds to ``Sums``."""
    logits, labels = check(logits, labels)
    n, k = logits.shape
    log_probabilities = log_softmax(logits)
    probabilities, predictions, rows = np.exp(log_probabilities), logits.argmax(axis=1), np.arange(n)
    confidence = probabilities.max(axis=1)
    out = np.zeros((n, k * k + 2 + BINS))
    out[rows, labels * k + predictions] = 1
    out[:, k * k] = -log_probabilities[rows, labels]
    out[:, k * k + 1] = ((probabilities - np.eye(k)[labels]) ** 2).sum(axis=1)
    out[rows, k * k + 2 + _bin_of(confidence, BINS)] = (predictions == labels) - confidence
    return out


def _bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    """(N,) int in 0..bins-1: the bin ((b) / bins, (b + 1) / bins] of each confidence."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=denominator > 0)


def _mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=-1), defined.sum(axis=-1))


def _hits(confusion: np.ndarray) -> np.ndarray:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _recall(sums: Sums) -> np.ndarray:
    return _ratio(_hits(sums.confusion), sums.confusion.sum(axis=-1))


def _precision(sums: Sums) -> np.ndarray:
    return _ratio(_hits(sums.confusion), sums.confusion.sum(axis=-2))


def _f1(sums: Sums) -> np.ndarray:
    return _ratio(2 * _hits(sums.confusion), sums.confusion.sum(axis=-1) + sums.confusion.sum(axis=-2))


def _count(sums: Sums) -> np.ndarray:
    return sums.confusion.sum(axis=(-2, -1))


def _kappa(sums: Sums) -> np.ndarray:
    n, hits = _count(sums), _hits(sums.confusion).sum(axis=-1)
    chance = (sums.confusion.sum(axis=-1) * sums.confusion.sum(axis=-2)).sum(axis=-1)
    return _ratio(n * hits - chance, n * n - chance)


SCALARS: dict[str, Callable[[Sums], np.ndarray]] = {
    "accuracy": lambda sums: _ratio(_hits(sums.confusion).sum(axis=-1), _count(sums)),
    "balanced_accuracy": lambda sums: _mean_defined(_recall(sums)),
    "macro_f1": lambda sums: _mean_defined(_f1(sums)),
    "log_loss": lambda sums: _ratio(sums.log_loss, _count(sums)),
    "cohen_kappa": _kappa,
    "brier": lambda sums: _ratio(sums.brier, _count(sums)),
    "expected_calibration_error": lambda sums: _ratio(np.abs(sums.gaps).sum(axis=-1), _count(sums)),
}
"""Name -> function of ``Sums`` with leading axes (...) that gives (...,) float64."""


def _metric(name: str, classes: Sequence[str]) -> Callable[[Sums], np.ndarray]:
    """The function behind a name of ``SCALARS``, ``recall_<class>`` or ``precision_<class>``."""
    if name in SCALARS:
        return SCALARS[name]
    family, _, class_name = name.partition("_")
    if family not in ("recall", "precision") or class_name not in classes:
        known = ", ".join(SCALARS)
        raise InputError(
            f"unknown metric {name!r}; known: {known}, recall_<class>, precision_<class> of {', '.join(classes)}"
        )
    index, by_class = list(classes).index(class_name), _recall if family == "recall" else _precision
    return lambda sums: by_class(sums)[..., index]


def _total(logits: np.ndarray, labels: np.ndarray) -> Sums:
    return Sums.unpack(_per_image(logits, labels).sum(axis=0))


def _scalar(name: str, logits: np.ndarray, labels: np.ndarray) -> float:
    return float(SCALARS[name](_total(logits, labels)))


def confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K, K) int64 counts: label in rows, prediction in columns."""
    return _total(logits, labels).confusion.astype(np.int64)


def recall_by_class(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K,) float64: share of the images of a class that are recognised; NaN for a class without images."""
    return _recall(_total(logits, labels))


def precision_by_class(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K,) float64: share of the predictions of a class that are right; NaN for a class never predicted."""
    return _precision(_total(logits, labels))


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose prediction is the label."""
    return _scalar("accuracy", logits, labels)


def balanced_accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean recall over the classes that have images (Brodersen et al., 2010, without their Bayesian part)."""
    return _scalar("balanced_accuracy", logits, labels)


def macro_f1(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean of 2 TP / (2 TP + FP + FN) over the classes with an image or a prediction (Sokolova and Lapalme, 2009)."""
    return _scalar("macro_f1", logits, labels)


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood of the label, in nats, in [0, inf) (Good, 1952)."""
    return _scalar("log_loss", logits, labels)


def cohen_kappa(logits: np.ndarray, labels: np.ndarray) -> float:
    """Agreement beyond chance, (p_o - p_e) / (1 - p_e), in [-1, 1] (Cohen, 1960)."""
    return _scalar("cohen_kappa", logits, labels)


def brier(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance of the probabilities from the one-hot label, summed over classes, in [0, 2] (Brier, 1950)."""
    return _scalar("brier", logits, labels)


def expected_calibration_error(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean |accuracy - confidence| over ``BINS`` bins of the top probability, by size (Guo et al., 2017, eq. 3)."""
    return _scalar("expected_calibration_error", logits, labels)


def reliability(logits: np.ndarray, labels: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Accuracy by confidence, the table behind a reliability diagram (Guo et al., 2017, fig. 1).

    Returns:
        ``bins`` rows: edges ``low`` (excluded) and ``high``, ``n``, mean ``confidence`` and ``accuracy`` (NaN where n is 0).
    """
    logits, labels = check(logits, labels)
    confidence = np.exp(log_softmax(logits).max(axis=1, initial=-np.inf))
    where = _bin_of(confidence, bins)
    n = np.bincount(where, minlength=bins)
    means = [_ratio(np.bincount(where, x, bins), n) for x in (confidence, logits.argmax(axis=1) == labels)]
    edges = np.arange(bins + 1) / bins
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": n, "confidence": means[0], "accuracy": means[1]})


def _check_classes(logits: np.ndarray, classes: Sequence[str]) -> None:
    if np.shape(logits)[-1:] != (len(classes),):
        raise InputError(f"logits {np.shape(logits)} must have one column for each of {len(classes)} classes")


def compute(logits: np.ndarray, labels: np.ndarray, classes: Sequence[str] = FER2013) -> dict[str, float]:
    """Every metric of ``SCALARS``, ``recall_<class>`` of each class, and ``n``."""
    _check_classes(logits, classes)
    sums = _total(logits, labels)
    values = {name: float(metric(sums)) for name, metric in SCALARS.items()}
    return {"n": len(labels), **values, **{f"recall_{c}": float(r) for c, r in zip(classes, _recall(sums), strict=True)}}
