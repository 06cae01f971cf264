"""The rule for verdicts: code, not taste (see the chapter "The question")."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .metrics import Estimate

TOLERANCE = 0.02
"""A reported number counts as met within two points."""


def number(measured: Estimate, reported: float, tolerance: float = TOLERANCE) -> str:
    """Verdict on a reported number.

    Returns:
        ``reproduced`` when ``[low, high]`` meets ``reported +- tolerance``, else ``exceeded`` or ``below``; ``open`` when
        there is no measurement. An interval that is not known (NaN) is taken as the value itself.
    """
    if math.isnan(measured.value):
        return "open"
    low = measured.value if math.isnan(measured.low) else measured.low
    high = measured.value if math.isnan(measured.high) else measured.high
    if low > reported + tolerance:
        return "exceeded"
    return "below" if high < reported - tolerance else "reproduced"


def ordering(differences: Sequence[Estimate]) -> str:
    """Verdict on an ordering a > b > c from the paired differences (a - b, b - c).

    Returns:
        ``reproduced`` when every interval lies above zero, ``contradicted`` when one lies below, else ``undecided``;
        ``open`` when a difference is missing.
    """
    if any(math.isnan(d.value) for d in differences):
        return "open"
    if any(d.high < 0 for d in differences):
        return "contradicted"
    return "reproduced" if all(d.low > 0 for d in differences) else "undecided"
