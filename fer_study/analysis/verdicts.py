"""The rule for verdicts: code, not taste (see the chapter "The question")."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .metrics import Estimate

TOLERANCE = 0.02
"""A reported number counts as met within two points."""

ENOUGH_SEEDS = 3
"""From so many seeds on, an interval is one over seeds; below, it is one over images, and the verdict says so."""


def seeds(counts: Iterable[int]) -> str:
    """How many seeds systems have, in words: ``1 seed``, ``3 seeds``, ``1-3 seeds``."""
    least, most = min(numbers := list(counts)), max(numbers)
    return "1 seed" if most == 1 else f"{most} seeds" if least == most else f"{least}-{most} seeds"


def qualified(word: str, num_seeds: int, as_claimed: bool = True) -> str:
    """The word behind what limits it: ``at our scale``, ``one seed`` or ``two seeds``; ``open`` stays as it is."""
    few = {1: "one seed", 2: "two seeds"}.get(num_seeds)
    limits = [limit for limit in (None if as_claimed else "at our scale", few) if limit]
    return f"{', '.join(limits)}: {word}" if limits and word != "open" else word


def number(measured: Estimate, reported: float, as_claimed: bool = True, tolerance: float = TOLERANCE) -> str:
    """Verdict on a reported number.

    Args:
        measured: ``n`` is its number of seeds.
        as_claimed: measured with the training and the network that the claim names (see ``qualified``).

    Returns:
        ``reproduced`` when ``[low, high]`` meets ``reported +- tolerance``, else ``exceeded`` or ``below``; ``open`` when
        there is no measurement. An interval that is not known (NaN) is taken as the value itself.
    """
    if math.isnan(measured.value):
        return "open"
    low, high = _bounds(measured)
    word = "exceeded" if low > reported + tolerance else "below" if high < reported - tolerance else "reproduced"
    return qualified(word, measured.n, as_claimed)


def _bounds(measured: Estimate) -> tuple[float, float]:
    """The interval; a bound that is not known (NaN) is the value itself."""
    low, high = (measured.value if math.isnan(bound) else bound for bound in (measured.low, measured.high))
    return low, high


def within(measured: Estimate, low: float, high: float) -> str:
    """Verdict on a stated range, such as "5 to 10 %".

    Returns:
        ``right`` when the interval lies in the range, ``below`` or ``above`` when it lies outside, else ``undecided``;
        ``open`` when there is no measurement. An interval that is not known (NaN) is taken as the value itself.
    """
    if math.isnan(measured.value):
        return "open"
    least, most = _bounds(measured)
    return "below" if most < low else "above" if least > high else "right" if low <= least and most <= high else "undecided"


def ordering(differences: Sequence[Estimate], as_claimed: bool = True) -> str:
    """Verdict on an ordering a > b > c from the paired differences (a - b, b - c), whose ``n`` is the number of seeds.

    Returns:
        ``reproduced`` when every interval lies above zero, ``contradicted`` when one lies below, else ``undecided``;
        ``open`` when a difference is missing.
    """
    if any(math.isnan(d.value) for d in differences):
        return "open"
    against, all_for = any(d.high < 0 for d in differences), all(d.low > 0 for d in differences)
    word = "contradicted" if against else "reproduced" if all_for else "undecided"
    return qualified(word, min(d.n for d in differences), as_claimed)
