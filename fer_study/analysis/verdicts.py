"""The rule for verdicts: code, not taste (see the chapter "The question")."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import scipy

from .metrics import Estimate

TOLERANCE = 0.02
"""A reported number counts as met within two points."""

ENOUGH_SEEDS = 3
"""From so many seeds on, the interval of a table or figure is one over seeds; below, it is one over
images. A verdict is over seeds, and says where there are fewer."""


def seeds(counts: Iterable[int]) -> str:
    """How many seeds systems have, in words: ``1 seed``, ``3 seeds``, ``1-3 seeds``."""
    least, most = min(numbers := list(counts)), max(numbers)
    return "1 seed" if most == 1 else f"{most} seeds" if least == most else f"{least}-{most} seeds"


def limits(num_seeds: int, as_claimed: bool = True, mixed: bool = False) -> str:
    """Say what limits a verdict: ``at our scale``, ``one seed``, ``two seeds``, ``in two
    precisions`` (what is compared was computed in different ones); empty: nothing."""
    few = {1: "one seed", 2: "two seeds"}.get(num_seeds)
    said = (None if as_claimed else "at our scale", few, "in two precisions" if mixed else None)
    return ", ".join(limit for limit in said if limit)


TOLERANCE_OF_LOSS = 0.05
"""A reported log loss counts as met within so many nats; every other metric, Cohen's kappa too,
within ``TOLERANCE``."""

FAR = 2
"""So many tolerances is as far as the interval for one more run may reach where it is to speak for
a reported number."""

LEVEL, EQUIVALENCE_LEVEL, POWER = 0.95, 0.90, 0.80
NOTHING = 1e-12

EDGE = 0.005
"""Runs whose mean share is 0 or 1 are taken to scatter as at half a point from it: never seen is
not never."""

REPRODUCED, CONSISTENT = "reproduced", "consistent"
HIGHER, LOWER = "higher than reported", "lower than reported"
CONFIRMED, CONTRADICTED, UNDECIDED = "confirmed", "contradicted", "undecided"
RIGHT, WRONG, TESTED, REFUTED, OPEN = "right", "wrong", "tested", "refuted by its source", "open"
UNRESOLVED = "undecided by its own test set"
MIXED, UNREAD = "mixed", "no reading found"
HOLDS, FAILS, ANSWERED = "holds", "does not hold", "answered"
BOTH, SOME_HOLDS, SOME_FAILS = "holds and fails", "holds in part", "fails in part"
WORDS = {
    HOLDS: (RIGHT, REPRODUCED, CONSISTENT, CONFIRMED),
    FAILS: (HIGHER, LOWER, CONTRADICTED, REFUTED, WRONG),
    ANSWERED: (TESTED,),
    UNDECIDED: (UNDECIDED, UNRESOLVED, UNREAD),
    OPEN: (OPEN,),
}
"""What the words of a single check come to. ``answered`` is a recipe or a question, which has an
effect and no truth."""

GROUPS = (HOLDS, SOME_HOLDS, ANSWERED, BOTH, SOME_FAILS, FAILS, UNDECIDED, OPEN)
"""What a claim comes to, for counting (``group``)."""


def group(words: Iterable[str]) -> str:
    """Say what the parts of a claim come to together, for example ``group(["right", "open"])``.

    Where one part holds and one fails, the claim does both; where the others are undecided or open,
    it holds or fails in part. What was tested has no truth, so it counts only where nothing else
    was decided.

    Raises:
        ValueError: a word that belongs to none of ``WORDS``.
    """
    groups = {word: name for name, known in WORDS.items() for word in known}
    words = list(words)
    if unknown := set(words) - set(groups):
        raise ValueError(f"unknown words {sorted(unknown)}, allowed: {', '.join(groups)}")
    found = {groups[word] for word in words}
    if {HOLDS, FAILS} <= found:
        return BOTH
    truths = found - {ANSWERED} if found & {HOLDS, FAILS} else found
    first = min(truths, key=list(WORDS).index)
    return {HOLDS: SOME_HOLDS, FAILS: SOME_FAILS}.get(first, first) if len(truths) > 1 else first


class Spread(NamedTuple):
    """Spread between seeds, pooled over systems: standard deviation and degrees of freedom.

    NaN and 0 where nothing ran twice.

    Of shares ``sd`` is in units of sqrt(m (1 - m)), for seeds scatter less near 0 and 1; ``at``
    gives it for a mean m.
    """

    sd: float
    df: float
    share: bool = False

    def at(self, mean: float) -> float:
        """Standard deviation between runs of a system with this mean."""
        inside = min(max(mean, EDGE), 1 - EDGE)
        return self.sd * math.sqrt(inside * (1 - inside)) if self.share else self.sd


class Effect(NamedTuple):
    """A difference or a distance from a limit, from ``n`` seeds.

    ``se`` is its standard error on ``df`` degrees of freedom.
    """

    value: float
    se: float
    df: float
    n: int

    def estimate(self, level: float = LEVEL) -> Estimate:
        """The effect with its t interval; its ``sd`` is the standard error."""
        half = t_quantile((1 + level) / 2, self.df) * self.se
        return Estimate(self.value, self.se, self.n, self.value - half, self.value + half)

    @property
    def p_value(self) -> float:
        """Two-sided p value of "no effect"; NaN where no spread is known."""
        if not self.df:
            return math.nan
        if self.se < NOTHING:  # every seed alike, but for rounding
            return float(abs(self.value) < NOTHING)
        return float(2 * scipy.special.stdtr(self.df, -abs(self.value) / self.se))

    @property
    def detectable(self) -> float:
        """The smallest true effect that such data find in four of five cases (two-sided, 5 %).

        NaN where no run differs from another: such data do not say what they would miss.
        """
        if self.se < NOTHING:
            return math.nan
        return (t_quantile((1 + LEVEL) / 2, self.df) + t_quantile(POWER, self.df)) * self.se


def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t; NaN without degrees of freedom."""
    return float(scipy.special.stdtrit(df, probability)) if df else math.nan


def pooled_spread(systems: Iterable[Sequence[float]], share: bool = False) -> Spread:
    """Pool the spread between seeds over systems of one recipe.

    The root of the mean variance within, by degrees of freedom.

    Args:
        systems: the values of a system, one a seed; those with one value add nothing.
        share: values in [0, 1]; a system whose mean is 0 or 1 adds nothing.
    """
    squares, df = 0.0, 0
    for values in (np.asarray(values, dtype=np.float64) for values in systems):
        mean = values.mean() if len(values) else 0.0
        unit = mean * (1 - mean) if share else 1.0
        if len(values) > 1 and unit > 0:
            squares, df = squares + float(((values - mean) ** 2).sum() / unit), df + len(values) - 1
    return Spread(math.sqrt(squares / df) if df else math.nan, df, share)


def interval(
    values: Sequence[float], spread: Spread, level: float = LEVEL, one_more: bool = False
) -> Estimate:
    """Bound the mean over seeds by the pooled spread.

    Of shares on the logit scale (delta method), so inside [0, 1].

    Args:
        values: one a seed, at least one.
        one_more: the interval for one more run (prediction) in place of that for the mean.
    """
    n, mean = len(values), float(np.mean(values))
    sd = spread.at(mean)
    half = t_quantile((1 + level) / 2, spread.df) * sd * math.sqrt(1 / n + one_more)
    if not spread.share:
        return Estimate(mean, sd, n, mean - half, mean + half)
    if mean in (0, 1):  # no logit
        return Estimate(mean, sd, n, max(mean - half, 0.0), min(mean + half, 1.0))
    ends = scipy.special.logit(mean) + np.array([-half, half]) / (mean * (1 - mean))
    return Estimate(mean, sd, n, *map(float, scipy.special.expit(ends)))


def distance(values: Sequence[float], spread: Spread, limit: float) -> Effect:
    """Estimate how far the mean over seeds lies above a limit; of shares on the logit scale."""
    if not len(values):
        return Effect(math.nan, math.nan, 0, 0)
    n, mean = len(values), float(np.mean(values))
    se = spread.at(mean) / math.sqrt(n)
    if not (spread.share and 0 < mean < 1 and 0 < limit < 1):
        return Effect(mean - limit, se, spread.df, n)
    away = scipy.special.logit(mean) - scipy.special.logit(limit)
    return Effect(float(away), se / (mean * (1 - mean)), spread.df, n)


def judge_number(
    values: Sequence[float], spread: Spread, reported: float, tolerance: float = TOLERANCE
) -> str:
    """Judge a reported number by runs of one system.

    Returns:
        ``reproduced`` by equivalence: the 90 % interval of the mean lies within the tolerance (two
        one-sided tests at 5 %); ``higher`` or ``lower than reported`` where one more run would not
        give the reported value (95 % prediction interval), for its source ran once; else
        ``consistent``, or ``undecided`` where that interval reaches further than ``FAR`` tolerances
        to a side, so that it would agree with almost anything, or where no spread between seeds is
        known; ``open`` without a value. More noise never earns ``reproduced``; it earns
        ``consistent`` only for a value within ``FAR`` tolerances.
    """
    if not len(values):
        return OPEN
    if not spread.df:
        return UNDECIDED
    mean = interval(values, spread, EQUIVALENCE_LEVEL)
    if reported - tolerance <= mean.low and mean.high <= reported + tolerance:
        return REPRODUCED
    run = interval(values, spread, one_more=True)
    if not run.low <= reported <= run.high:
        return HIGHER if mean.value > reported else LOWER
    reach = max(run.high - run.value, run.value - run.low)
    return CONSISTENT if reach <= FAR * tolerance else UNDECIDED


def judge_range(measured: Estimate, low: float, high: float) -> str:
    """Judge a stated range.

    Returns:
        ``right`` when the interval lies in it, ``lower`` or ``higher than reported`` when it lies
        outside, else ``undecided``; ``open`` without a value. A bound that is not known (NaN) is
        the value itself, as of a count.
    """
    if math.isnan(measured.value):
        return OPEN
    ends = (measured.low, measured.high)
    least, most = (measured.value if math.isnan(end) else end for end in ends)
    if most < low:
        return LOWER
    if least > high:
        return HIGHER
    return RIGHT if low <= least and most <= high else UNDECIDED


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjust the p values of one family (Holm, 1979); an unknown one (NaN) counts as 1.

    By hand, for statsmodels' ``multipletests``, which a test holds this against, takes a second to
    import and collects garbage at every call.
    """
    p = np.nan_to_num(np.asarray(p_values, dtype=np.float64), nan=1.0)
    order, adjusted = np.argsort(p, kind="stable"), np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def judge_effects(effects: Sequence[Effect]) -> str:
    """Judge a family of effects that are stated to be positive.

    Returns:
        ``confirmed`` when each is positive and significant after Holm's correction,
        ``contradicted`` when one is so in the other direction, else ``undecided``; ``open`` when
        one is missing (NaN).
    """
    if not effects or any(math.isnan(effect.value) for effect in effects):
        return OPEN
    significant = holm([effect.p_value for effect in effects]) < 1 - LEVEL
    signs = np.array([effect.value for effect in effects])
    if (significant & (signs < 0)).any():
        return CONTRADICTED
    return CONFIRMED if (significant & (signs > 0)).all() else UNDECIDED


def judge_no_gain(effect: Effect, tolerance: float = TOLERANCE) -> str:
    """Judge a stated lack of gain.

    Returns:
        ``contradicted`` when the whole interval is a gain, ``confirmed`` when the 90 % interval
        rules out a gain beyond the tolerance, else ``undecided``; ``open`` when it is missing.
    """
    if math.isnan(effect.value):
        return OPEN
    if effect.estimate().low > 0:
        return CONTRADICTED
    return CONFIRMED if effect.estimate(EQUIVALENCE_LEVEL).high < tolerance else UNDECIDED


def compare_systems(
    systems: Sequence[str], seeds: Sequence[int | str], values: Sequence[float], a: str, b: str
) -> Effect:
    """Estimate a minus b from all runs of a recipe, each a system at a seed (equal lengths).

    Runs that learn from different images share no order: their seeds are to have different names
    (``evidence.order_of``).

    System and seed add up (two-way layout, least squares): what a seed does to every system, its
    order of batches, cancels, and every seed of either system counts, also one that the other
    lacks. With one seed each, the interval is the band in which one configuration with two seeds
    would differ from itself. Where no seeds link the two, the spread within systems is taken
    instead.

    Returns:
        The effect, its ``n`` the seeds of the system that has fewer; NaN without a run of either;
        ``df`` 0 where nothing was run twice.

    Raises:
        ValueError: ``a`` is ``b``.
    """
    if a == b:
        raise ValueError(f"{a!r} minus itself, allowed: two systems")
    names, columns = np.asarray(systems, dtype=object), np.asarray(values, dtype=np.float64)
    n = min(int((names == a).sum()), int((names == b).sum()))
    if not n:
        return Effect(math.nan, math.nan, 0, 0)
    order, blocks = sorted(set(systems)), sorted(set(seeds))
    of_system = (names[:, None] == np.array(order, dtype=object)).astype(np.float64)
    of_seed = (np.asarray(seeds)[:, None] == np.array(blocks[1:])).astype(np.float64)
    for design in (np.hstack([of_system, of_seed]), of_system):
        contrast = np.zeros(design.shape[1])
        contrast[[order.index(a), order.index(b)]] = 1, -1
        df = len(columns) - int(np.linalg.matrix_rank(design))
        inverse = np.linalg.pinv(design.T @ design)
        # seeds link the two
        if df >= 2 and np.allclose(inverse @ design.T @ design @ contrast, contrast):
            break
    fitted = inverse @ design.T @ columns
    residual = columns - design @ fitted
    variance = float(residual @ residual) / df if df else math.nan
    return Effect(
        float(contrast @ fitted), math.sqrt(variance * float(contrast @ inverse @ contrast)), df, n
    )


def compare_apart(a: Sequence[float], of_a: Spread, b: Sequence[float], of_b: Spread) -> Effect:
    """Estimate the mean of a minus that of b where they share no spread.

    They have another recipe, or another measurement.

    The two variances add up, their degrees of freedom as of Welch (1947). What is the same in every
    run, such as a pipeline without a seed, has ``Spread(0.0, 1)``.
    """
    if not len(a) or not len(b):
        return Effect(math.nan, math.nan, 0, 0)
    value, n = float(np.mean(a) - np.mean(b)), min(len(a), len(b))
    if not of_a.df or not of_b.df:
        return Effect(value, math.nan, 0, n)
    parts = [
        (spread.at(float(np.mean(x))) ** 2 / len(x), spread.df)
        for x, spread in ((a, of_a), (b, of_b))
    ]
    variance, weights = sum(v for v, _ in parts), sum(v**2 / df for v, df in parts)
    return Effect(value, math.sqrt(variance), variance**2 / weights if weights else of_a.df, n)


def resolvable_difference(images: int, discordance: float = 0.05) -> float:
    """Say which difference of accuracies so many test images tell from chance (McNemar, 1947).

    One of two networks alone is right in a share ``discordance`` of the images.
    """
    return float(scipy.special.ndtri((1 + LEVEL) / 2)) * math.sqrt(discordance / images)
