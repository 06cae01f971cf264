"""Half factorials: what each of several parts is worth, from runs that lack half of them at a time
(Box, Hunter and Hunter, 2005, chapter 6)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod


def cells(factors: Sequence[str]) -> list[dict[str, int]]:
    """List the runs of the half factorial of some factors, for example
    ``cells(["a", "b", "c"])[1]``, which is ``{"a": 1, "b": -1, "c": -1}``.

    All combinations of the factors but the last, whose level is the product of the others; so the
    first run has every factor at its high level. With five factors this is the design 2^(5-1) of
    resolution V: no main effect and no interaction of two is mixed up with another of these.

    Returns:
        Factor -> 1 (high) or -1 (low), 2^(k-1) of them for k factors.

    Raises:
        ValueError: fewer than two factors, or one twice.
    """
    if len(set(factors)) != len(factors) or len(factors) < 2:
        raise ValueError(f"factors are {list(factors)}, allowed: two or more, each once")
    *free, last = factors
    found = []
    for levels in product((1, -1), repeat=len(free)):
        found.append(dict(zip(free, levels, strict=True)) | {last: prod(levels)})
    return found
