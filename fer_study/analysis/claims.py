"""The claims of the five source documents: one row each, from ``claims.csv``."""

from __future__ import annotations

import fnmatch
import functools
import re
from pathlib import Path

import pandas as pd

from ..settings.errors import InputError

PATH = Path(__file__).with_name("claims.csv")
SOURCES = {
    "000_1292ffa1f67842f1.txt": "EmoNeXt, a summary of the paper",
    "001_738c00e13207518a.txt": "Survey post: ResFace and EmoNeXt",
    "002_a97772f341fc52c2.txt": "Hybrid ResNet50, course project",
    "003_2f515dfde33e7d68.txt": "Hybrid ResNet50, summary",
    "004_20b7a9411f44b695.txt": "Ladder of small networks, course project",
}
"""File of a source -> what tables and figures call it; the references have its full title."""
NUMBERS = {file[:3]: title for file, title in SOURCES.items()}
"""Number of a source in ``params/claims.yaml`` -> its title."""
KINDS = ("number", "ordering", "behaviour", "recipe", "question", "count", "formula")


@functools.cache
def load() -> pd.DataFrame:
    """Read every claim, by ``id``.

    Columns (str): ``source, kind, system, dataset, split, metric, value, statement``.
    """
    return pd.read_csv(PATH, dtype=str, keep_default_na=False).set_index("id")


def matching(pattern: str) -> pd.DataFrame:
    """The claims whose id matches a shell pattern, e.g. ``ladder-*``.

    Raises:
        InputError: none does.
    """
    table = load()
    found = table[[fnmatch.fnmatchcase(claim, pattern) for claim in table.index]]
    if found.empty:
        families = dict.fromkeys(claim.rpartition("-")[0] for claim in table.index)
        raise InputError(
            f"no claim matches {pattern!r}; ids are "
            f"{', '.join(f'{name}-01' for name in families)} and on"
        )
    return found


def reported(claim: str) -> float:
    """The value that a claim of kind ``number`` states, e.g. ``reported("ladder-04")`` is 0.6218.

    Raises:
        InputError: an unknown claim, or one without a single number.
    """
    table = load()
    if claim not in table.index:
        raise InputError(f"unknown claim {claim!r}; known: {table.index[0]} .. {table.index[-1]}")
    try:
        return float(table.loc[claim, "value"])
    except ValueError:
        raise InputError(
            f"claim {claim}: {table.loc[claim, 'value']!r} is no single number"
        ) from None


def place(where: str) -> str:
    """Name the sources of a place by their titles: ``"003, Conclusion"`` becomes ``"Hybrid
    ResNet50, summary, Conclusion"``."""
    return re.sub(r"\b0\d\d(?=, )", lambda number: NUMBERS[number[0]], where)
