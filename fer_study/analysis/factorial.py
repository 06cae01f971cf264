"""Half factorials: what each of several parts is worth, from runs that lack half of them at a time
(Box, Hunter and Hunter, 2005, chapter 6).

Every run counts in every effect: the mean of the runs that have a part minus the mean of those that
lack it. What the main effects leave over is the spread between trainings, interactions included, so
the intervals are too wide rather than too narrow where parts work together.

Example:
    design = Factorial(cells(["stn", "se", "penalty"]), [0.61, 0.60, 0.62, 0.59])
    design.main_effects()["stn"].estimate()
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, product
from math import prod

import numpy as np
import pandas as pd

from . import verdicts
from .metrics import Estimate
from .verdicts import Effect

Cell = dict[str, int]
"""Factor -> 1 (high, the part is there) or -1 (low, it is taken away)."""


def cells(factors: Sequence[str]) -> list[Cell]:
    """List the runs of the half factorial of some factors, for example
    ``cells(["a", "b", "c"])[1]``, which is ``{"a": 1, "b": -1, "c": -1}``.

    All combinations of the factors but the last, whose level is the product of the others; so the
    first run has every factor at its high level. With five factors this is the design 2^(5-1) of
    resolution V: no main effect and no interaction of two is mixed up with another of these.

    Returns:
        2^(k-1) cells for k factors.

    Raises:
        ValueError: fewer than three factors (of two, one could not be told from the other), or one
            twice.
    """
    if len(set(factors)) != len(factors) or len(factors) < 3:
        raise ValueError(f"factors are {list(factors)}, allowed: three or more, each once")
    *free, last = factors
    found = []
    for levels in product((1, -1), repeat=len(free)):
        found.append(dict(zip(free, levels, strict=True)) | {last: prod(levels)})
    return found


def cell_name(cell: Cell) -> str:
    """Name a cell by the parts that it lacks: ``full``, ``no stn, no se``."""
    return ", ".join(f"no {name}" for name, level in cell.items() if level < 0) or "full"


class Factorial:
    """The runs of a half factorial, with one measured value each."""

    def __init__(self, design: Sequence[Cell], values: Sequence[float]) -> None:
        """
        Args:
            design: the cell of each run; every cell of ``cells`` equally often.
            values: what was measured, one a run.

        Raises:
            ValueError: another number of values than of runs, a value that is missing (NaN), or
                cells that are not there, or not equally often: their contrast would mix parts up.
        """
        self.factors = list(design[0])
        if len(values) != len(design):
            raise ValueError(f"{len(values)} values, allowed: {len(design)}, one a run")
        counts = {cell_name(cell): 0 for cell in cells(self.factors)}
        for cell, value in zip(design, values, strict=True):
            if cell_name(cell) not in counts:
                raise ValueError(f"{cell_name(cell)} is no cell of the half factorial")
            counts[cell_name(cell)] += not math.isnan(value)
        if len(set(counts.values())) > 1:
            most = max(counts.values())
            lacking = [name for name, count in counts.items() if count < most]
            raise ValueError(
                f"unbalanced: {most} runs of the others, fewer of {'; '.join(lacking)}; allowed: "
                "every cell equally often"
            )
        self.levels = np.array([[cell[name] for name in self.factors] for cell in design])
        self.values = np.asarray(values, dtype=np.float64)

    @property
    def df(self) -> int:
        """Degrees of freedom of the residual spread: runs less their mean and main effects."""
        return len(self.values) - 1 - len(self.factors)

    def residuals(self) -> np.ndarray:
        """(n,): what the mean and the main effects leave over."""
        slopes = self.levels.T @ self.values / len(self.values)
        return self.values - self.values.mean() - self.levels @ slopes

    def main_effects(self) -> dict[str, Effect]:
        """Estimate what each part adds: the mean with it minus the mean without.

        Returns:
            Factor -> effect; its standard error, the same for all, is of the residual spread.
        """
        n, left = len(self.values), self.residuals()
        spread = math.sqrt(float(left @ left) / self.df) if self.df else math.nan
        contrasts = 2 * self.levels.T @ self.values / n
        effects = zip(self.factors, contrasts, strict=True)
        error = 2 * spread / math.sqrt(n)
        return {name: Effect(float(value), error, self.df, n) for name, value in effects}

    def interactions(self) -> dict[tuple[str, str], Effect]:
        """Estimate by how much more two parts add together than apart, by half the difference.

        Returns:
            Pair -> effect; its standard error is of what main effects and this pair leave over.
        """
        found, n, left, df = {}, len(self.values), self.residuals(), self.df - 1
        for one, other in combinations(range(len(self.factors)), 2):
            column = self.levels[:, one] * self.levels[:, other]
            slope = float(column @ left) / n
            rest = left - slope * column
            spread = math.sqrt(max(float(rest @ rest), 0.0) / df) if df > 0 else math.nan
            pair = self.factors[one], self.factors[other]
            found[pair] = Effect(2 * slope, 2 * spread / math.sqrt(n), max(df, 0), n)
        return found


def alias(factors: Sequence[str], effect: Sequence[str]) -> list[str]:
    """Name what an effect cannot be told from in the half factorial: the product of all other
    factors, for their product with it is the same in every run."""
    return [name for name in factors if name not in effect]


def effects_table(design: Factorial) -> pd.DataFrame:
    """Table the main effects, one row a factor.

    Returns:
        Columns ``name, value, low, high, p`` (after Holm over all factors), ``detectable`` (the
        smallest effect found in four of five cases) and ``n``.
    """
    effects = design.main_effects()
    adjusted = verdicts.holm([effect.p_value for effect in effects.values()])
    rows = []
    for (name, effect), p in zip(effects.items(), adjusted, strict=True):
        bounds = effect.estimate()
        found = {"name": name, "value": effect.value, "low": bounds.low, "high": bounds.high}
        rows.append(found | {"p": p, "detectable": effect.detectable, "n": effect.n})
    return pd.DataFrame(rows)


def interactions_table(design: Factorial) -> pd.DataFrame:
    """Table the interactions of two, as ``effects_table``; ``alias`` is what else it may be."""
    effects = design.interactions()
    adjusted = verdicts.holm([effect.p_value for effect in effects.values()])
    rows = []
    for (pair, effect), p in zip(effects.items(), adjusted, strict=True):
        bounds = effect.estimate()
        found = {"name": " x ".join(pair), "alias": " x ".join(alias(design.factors, pair))}
        found |= {"value": effect.value, "low": bounds.low, "high": bounds.high, "p": p}
        rows.append(found)
    return pd.DataFrame(rows)


def over_images(
    design: Sequence[Cell], scores: np.ndarray, factor: str, repetitions: int = 2000, seed: int = 0
) -> Estimate:
    """Estimate a main effect for other test images and these very trainings: the paired bootstrap
    over images, drawn once for all runs.

    Args:
        scores: (runs, images) of what is averaged over images, such as 1 where a run is right.
        factor: one of the design.
    """
    levels = np.array([cell[factor] for cell in design], dtype=np.float64)
    by_image = 2 * levels @ scores.astype(np.float64) / len(levels)
    n, rng = len(by_image), np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=repetitions) @ by_image / n
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(by_image.mean()), float(drawn.std(ddof=1)), n, float(low), float(high))
