"""Compute metrics of a classifier and their intervals.

``logits`` are (N, K) float, finite, and ``labels`` (N,) int in 0..K-1.

The prediction is the class of the largest logit (the first of equals). Every metric is a function
of sums over images, so that a bootstrap only re-weights these. A share is in [0, 1]. What is
undefined is NaN, never 0: everything where N = 0; the recall of a class without images; the
precision of a class never predicted; Cohen's kappa where labels and predictions are all one class.
``balanced_accuracy`` averages recall over the classes with images; ``macro_f1`` averages F1 over
the classes with an image or a prediction (F1 is 0, not undefined, for a class with images that is
never predicted).

Where several labels of an image are right, ``compute`` and the bootstrap take (N, K) shares that
sum to 1 in place of the
labels: a tie of two classes counts as half an image of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy

from ..data.labels import FER2013
from ..settings.errors import InputError

BINS = 15  # of the expected calibration error (Guo et al., 2017)


class Estimate(NamedTuple):
    """A value over ``n`` images or seeds, with its interval.

    ``sd`` is that of the seeds, or of the bootstrap.
    """

    value: float
    sd: float
    n: int
    low: float
    high: float


MISSING = Estimate(float("nan"), float("nan"), 0, float("nan"), float("nan"))
"""What was not measured."""

UNSCALED = ("log_loss", "brier", "cohen_kappa")
"""Metrics that are not shares; all others are printed in per cent, their differences in points."""


class Sums(NamedTuple):
    """Sums over images, float64, from which every metric follows.

    Leading axes (...) are bootstrap repetitions.
    """

    hits: np.ndarray  # (..., K) right predictions by class
    images: np.ndarray  # (..., K) images by class
    predicted: np.ndarray  # (..., K) predictions by class
    gaps: np.ndarray  # (..., BINS) correct - confidence, of the images in each bin of confidence
    log_loss: np.ndarray  # (...,) negative log-likelihood
    brier: np.ndarray  # (...,) squared error of the probabilities

    @classmethod
    def unpack(cls, flat: np.ndarray) -> Sums:
        """From (..., 3 K + BINS + 2) float64, sums over rows of ``_per_image``."""
        k = (flat.shape[-1] - BINS - 2) // 3
        return cls(
            *np.split(flat[..., :-2], [k, 2 * k, 3 * k], axis=-1), flat[..., -2], flat[..., -1]
        )


Metric = Callable[[Sums], np.ndarray]


def check(
    logits: np.ndarray, labels: np.ndarray, classes: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """``logits`` as (N, K) float64 and ``labels`` as (N,) int64.

    Raises:
        InputError: wrong shape, labels that are no integers or out of range, logits that are not
            finite.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise InputError(f"logits must be (N, K) with K >= 2, got {logits.shape}")
    if classes is not None and logits.shape[1] != len(classes):
        raise InputError(
            f"logits {logits.shape} must have one column for each of {len(classes)} classes"
        )
    if labels.shape != logits.shape[:1]:
        raise InputError(
            f"labels must be ({len(logits)},) to match logits {logits.shape}, got {labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels must be integers, got {labels.dtype}")
    if len(labels) and (labels.min() < 0 or labels.max() >= logits.shape[1]):
        raise InputError(
            f"labels span {labels.min()}..{labels.max()}, allowed 0..{logits.shape[1] - 1}"
        )
    logits = logits.astype(np.float64)
    if not np.isfinite(logits).all():
        row, column = np.argwhere(~np.isfinite(logits))[0]
        raise InputError(
            f"logits must be finite, row {row} class {column} is {logits[row, column]}"
        )
    return logits, labels.astype(np.int64)


def _per_image(
    logits: np.ndarray, labels: np.ndarray, classes: Sequence[str] | None = None
) -> np.ndarray:
    """(N, 3 K + BINS + 2) float64: what an image adds to ``Sums``; labels may be (N, K) shares."""
    shares = np.asarray(labels, np.float64) if np.ndim(labels) == 2 else None
    logits, labels = check(logits, labels if shares is None else shares.argmax(axis=1), classes)
    one_hot = np.eye(logits.shape[1])
    target = one_hot[labels] if shares is None else shares
    chosen = one_hot[logits.argmax(axis=1)]
    log_probabilities = scipy.special.log_softmax(logits, axis=1)
    probabilities = np.exp(log_probabilities)
    hits, confidence = target * chosen, probabilities.max(axis=1)
    # bin b holds b / BINS < confidence <= (b + 1) / BINS
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.eye(BINS)[bins] * (hits.sum(axis=1) - confidence)[:, None]
    log_loss = -(target * log_probabilities).sum(axis=1)
    brier = ((probabilities - target) ** 2).sum(axis=1)
    return np.column_stack([hits, target, chosen, gaps, log_loss, brier])


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(
        numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=denominator > 0
    )


def _per_n(total: np.ndarray, sums: Sums) -> np.ndarray:
    return ratio(total, sums.images.sum(axis=-1))


def _mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(axis=-1), defined.sum(axis=-1))


def _kappa(sums: Sums) -> np.ndarray:
    n, chance = sums.images.sum(axis=-1), (sums.images * sums.predicted).sum(axis=-1)
    return ratio(n * sums.hits.sum(axis=-1) - chance, n * n - chance)


BY_CLASS: dict[str, Metric] = {
    "recall": lambda sums: ratio(sums.hits, sums.images),
    "precision": lambda sums: ratio(sums.hits, sums.predicted),
}  # each gives (..., K) float64

# Brodersen et al. (2010); Sokolova and Lapalme (2009); Good (1952); Cohen (1960); Brier (1950), in
# [0, 2]; Guo et al. (2017, eq. 3), over ``BINS`` equal bins of the top probability, by size
SCALARS: dict[str, Metric] = {
    "accuracy": lambda sums: _per_n(sums.hits.sum(axis=-1), sums),
    "balanced_accuracy": lambda sums: _mean_defined(BY_CLASS["recall"](sums)),
    "macro_f1": lambda sums: _mean_defined(ratio(2 * sums.hits, sums.images + sums.predicted)),
    "log_loss": lambda sums: _per_n(sums.log_loss, sums),
    "cohen_kappa": _kappa,
    "brier": lambda sums: _per_n(sums.brier, sums),
    "expected_calibration_error": lambda sums: _per_n(np.abs(sums.gaps).sum(axis=-1), sums),
}  # each gives (...,) float64


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose prediction is the label."""
    return float(SCALARS["accuracy"](_total(logits, labels)))


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood of the label, in nats, in [0, inf) (Good, 1952)."""
    return float(SCALARS["log_loss"](_total(logits, labels)))


def temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Fit the factor by which scores are divided before the softmax: that of least log loss.

    Guo et al. (2017, section 4.2).

    It changes no prediction. 1 where there is nothing to fit it on.

    Args:
        scores: (N, K) float, of any scale, such as logits.
        labels: (N,) int64.
    """
    if not len(labels):
        return 1.0
    best = scipy.optimize.minimize_scalar(
        lambda t: log_loss(scores / np.exp(t), labels), bounds=(-5.0, 5.0), method="bounded"
    )
    return float(np.exp(best.x))


def _total(logits: np.ndarray, labels: np.ndarray, classes: Sequence[str] | None = None) -> Sums:
    return Sums.unpack(_per_image(logits, labels, classes).sum(axis=0))


def confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(K, K) int64 counts: label in rows, prediction in columns."""
    logits, labels = check(logits, labels)
    k = logits.shape[1]
    return np.bincount(labels * k + logits.argmax(axis=1), minlength=k * k).reshape(k, k)


def compute(
    logits: np.ndarray, labels: np.ndarray, classes: Sequence[str] = FER2013
) -> dict[str, float]:
    """``n``, every metric of ``SCALARS`` and ``recall_<class>`` of each class."""
    sums = _total(logits, labels, classes)
    recalls = zip(classes, BY_CLASS["recall"](sums), strict=True)
    scalars = {name: float(metric(sums)) for name, metric in SCALARS.items()}
    return {
        "n": len(labels),
        **scalars,
        **{f"recall_{name}": float(recall) for name, recall in recalls},
    }


def _metric(name: str, classes: Sequence[str]) -> Metric:
    """The function behind a name of ``SCALARS``, ``recall_<class>`` or ``precision_<class>``."""
    if name in SCALARS:
        return SCALARS[name]
    family, _, of = name.partition("_")
    if family not in BY_CLASS or of not in classes:
        known = ", ".join([*SCALARS, *(f"{family}_<class>" for family in BY_CLASS)])
        raise InputError(f"unknown metric {name!r}; known: {known}; classes: {', '.join(classes)}")
    return lambda sums: BY_CLASS[family](sums)[..., list(classes).index(of)]


def resampled(
    per_image: np.ndarray, groups: np.ndarray | None, repetitions: int, seed: int
) -> np.ndarray:
    """Sum over images, and over images (or groups) drawn with replacement.

    (N, D) -> (1 + repetitions, D), without drawing first.
    """
    if groups is not None:
        if np.shape(groups) != per_image.shape[:1]:
            raise InputError(f"groups must be ({len(per_image)},), got {np.shape(groups)}")
        per_image = (
            pd.DataFrame(per_image).groupby(np.asarray(groups), dropna=False).sum().to_numpy()
        )
    sums = [per_image.sum(axis=0, keepdims=True)]
    n, rng = len(per_image), np.random.default_rng(seed)
    step = max(1, 2**22 // max(n, 1))  # at most 32 MiB of weights at a time
    for start in range(0, repetitions if n else 0, step):
        size = min(step, repetitions - start)
        drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        sums.append(np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n) @ per_image)
    return np.concatenate(sums)


def estimate(values: np.ndarray, n: int, level: float) -> Estimate:
    """Make an estimate from (1 + R,): the value, then its bootstrap draws.

    The interval is that of percentiles of the draws that are defined.
    """
    value, draws = float(values[0]), values[1:][~np.isnan(values[1:])]
    if len(draws) < 2 or np.isnan(value):
        return Estimate(value, np.nan, n, np.nan, np.nan)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(draws.std(ddof=1)), n, float(low), float(high))


def _drawn(
    systems: Sequence[np.ndarray],
    labels: np.ndarray,
    groups: np.ndarray | None,
    repetitions: int,
    seed: int,
    classes: Sequence[str],
) -> list[Sums]:
    """``Sums`` (1 + R, S, ...) of systems of logits (N, K) or (S, N, K), on the same draws."""
    systems = [logits[None] if np.ndim(logits) == 2 else logits for logits in systems]
    parts = [_per_image(one, labels, classes) for logits in systems for one in logits]
    sums = resampled(np.concatenate(parts, axis=1), groups, repetitions, seed).reshape(
        -1, len(parts), parts[0].shape[1]
    )
    ends = np.cumsum([len(logits) for logits in systems])[:-1]
    return [Sums.unpack(part) for part in np.split(sums, ends, axis=1)]


def bootstrap_interval(
    logits: np.ndarray,
    labels: np.ndarray,
    metric_names: Sequence[str],
    groups: np.ndarray | None = None,
    repetitions: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    classes: Sequence[str] = FER2013,
) -> pd.DataFrame:
    """Bound metrics by the percentile bootstrap over images, or over groups where given.

    Efron and Tibshirani (1993, ch. 13).

    Args:
        logits: (N, K), or (S, N, K) of S seeds: the mean of their metrics, all seeds of an image
            drawn together.
        metric_names: names of ``SCALARS``, ``recall_<class>`` or ``precision_<class>``.
        groups: (N,) of any type; images of equal value (say, duplicates) are drawn together.

    Returns:
        One row a metric (the index): ``value, sd, n, low, high``; the interval of an undefined
            metric is NaN.
    """
    functions = [_metric(name, classes) for name in metric_names]
    sums = _drawn([logits], labels, groups, repetitions, seed, classes)[0]
    rows = [estimate(function(sums).mean(axis=1), len(labels), level) for function in functions]
    return pd.DataFrame(rows, index=pd.Index(metric_names, name="metric"), columns=Estimate._fields)


def paired_bootstrap_difference(
    logits_a: np.ndarray,
    logits_b: np.ndarray,
    labels: np.ndarray,
    metric: str = "accuracy",
    groups: np.ndarray | None = None,
    repetitions: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    classes: Sequence[str] = FER2013,
) -> Estimate:
    """Subtract the metric of b from that of a, both on the same drawn images.

    Arguments as in ``bootstrap_interval``.
    """
    function = _metric(metric, classes)
    a, b = (
        function(sums)
        for sums in _drawn([logits_a, logits_b], labels, groups, repetitions, seed, classes)
    )
    return estimate((a - b).mean(axis=1), len(labels), level)


def median(values: Sequence[float]) -> Estimate:
    """Find the median and its interval between two values (Conover, 1999, section 3.2).

    Whatever the distribution: at least 95 % from six values on; all of them below that.
    """
    ordered, n = np.sort(values), len(values)
    k = int(max(scipy.stats.binom.ppf(0.025, n, 0.5), 1))  # the k-th smallest, the k-th largest
    ends = float(ordered[k - 1]), float(ordered[-k])
    return Estimate(float(np.median(ordered)), float(np.std(ordered, ddof=1)), n, *ends)


def over_seeds(values: Sequence[float], level: float = 0.95, share: bool = False) -> Estimate:
    """Average over seeds, with Student's t interval.

    It is NaN for fewer than two seeds or an undefined value.

    Args:
        share: of values in [0, 1] the interval is made on the logit scale (delta method) and stays
            in [0, 1].
    """
    x, n = np.asarray(values, dtype=np.float64), len(values)
    mean, sd = float(x.mean()) if n else np.nan, float(x.std(ddof=1)) if n > 1 else np.nan
    half = float(scipy.stats.t.ppf((1 + level) / 2, n - 1)) * sd / max(n, 1) ** 0.5
    if not (share and 0 < mean < 1):
        return Estimate(mean, sd, n, mean - half, mean + half)
    ends = scipy.special.logit(mean) + np.array([-half, half]) / (mean * (1 - mean))
    return Estimate(mean, sd, n, *map(float, scipy.special.expit(ends)))


def fold_factor(folds: int) -> float:
    """Say how many times wider an interval over folds is than over as many runs that share nothing.

    The training images of two folds are mostly the same ones, so their scores scatter less than
    those of new samples would: the variance of the mean is s^2 (1/k + 1/(k - 1)) in place of s^2/k
    (Nadeau and Bengio, 2003, section 3, of test and training parts 1/k and (k - 1)/k).
    """
    return math.sqrt(1 + folds / (folds - 1))


def over_folds(values: Sequence[float]) -> Estimate:
    """Average over all folds of a cross-validation, with the t interval of ``fold_factor``."""
    found = over_seeds(values)
    half = (found.high - found.value) * fold_factor(len(values)) if len(values) > 1 else math.nan
    return found._replace(low=found.value - half, high=found.value + half)


def difference_over_seeds(a: Mapping[int, float], b: Mapping[int, float]) -> Estimate:
    """Subtract b from a seed by seed, for the seeds (keys) that both have, as ``over_seeds``."""
    return over_seeds([a[seed] - b[seed] for seed in sorted(set(a.keys()) & set(b.keys()))])


def wilson_interval(k: int, n: int) -> tuple[float, float]:
    """Bound a share of k in n by the 95 % score interval (Wilson, 1927); NaN where n = 0."""
    if not 0 <= k <= n:
        raise InputError(f"k must be in 0..n, got k = {k}, n = {n}")
    if n == 0:
        return np.nan, np.nan
    interval = scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
