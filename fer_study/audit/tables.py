"""Read back, as tables, what an audit stored (``AuditReport.summary``).

A record keeps its keys sorted and what is undefined as None: here the classes are in their order
again, and what is undefined is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ..data.labels import EIGHT, VOTE_NAMES
from .crowd import WEIGHED


def classes_of(audit: dict) -> list[str]:
    """List the classes of the audited set, in order."""
    return audit.get("classes") or [name for name in EIGHT if name in audit["balance"]["all"]]


def by_class(audit: dict, stored: Mapping[str, Mapping]) -> pd.DataFrame:
    """Table what is stored by class and over ``all`` classes: a row a class, float64."""
    return pd.DataFrame(stored).T.loc[[*classes_of(audit), "all"]].astype(float)


def leaked(audit: dict, relation: str, kind: str, name: str = "all") -> dict:
    """Look up one row of ``audit.leakage``, such as ``leaked(audit, "test in train", "exact")``."""
    rows = ((row["relation"], row["kind"], row["class"]) for row in audit["leakage"])
    return dict(zip(rows, audit["leakage"], strict=True))[relation, kind, name]


def transitions(audit: dict, options: str = "eight emotions") -> pd.DataFrame:
    """Count images by label (rows) and by what most of the crowd says (columns)."""
    table = pd.DataFrame(audit["transitions"][options]).T
    return table.loc[classes_of(audit), [name for name in VOTE_NAMES if name in table]].astype(int)


def noise(audit: dict, estimator: str = WEIGHED) -> pd.DataFrame:
    """Table the share of wrong labels by class, by one estimator (columns: ``label_noise``)."""
    return by_class(audit, audit["noise"]["estimators"][estimator])


def shares(audit: dict) -> dict[str, pd.DataFrame]:
    """Table the share of wrong labels for a figure: ``value``, ``low`` and ``high``.

    Each has a row a way to know it (the last, where it is known: the truth, without interval) and a
    column a class.
    """
    ways = {"not the majority": noise(audit, "majority"), "weighed votes": noise(audit)}
    if "true" in ways["weighed votes"]:
        ways["truth"] = ways["weighed votes"][["true"]].rename(columns={"true": "value"})
    parts = {}
    for part in ("value", "low", "high"):
        rows = {way: table[part] for way, table in ways.items() if part in table}
        parts[part] = pd.DataFrame(rows).T.reindex(index=list(ways), columns=classes_of(audit))
    return parts


def with_interval(table: pd.DataFrame, prefix: str = "", sign: str = "") -> pd.Series:
    """Print ``value, low, high`` of each row in per cent: ``52.4 [51.0, 53.8]``.

    A dash where undefined.

    Args:
        prefix: of the three columns, such as ``error_``.
        sign: ``+`` for differences.
    """
    columns = (table[prefix + part].astype(float) for part in ("value", "low", "high"))
    cells = []
    for row in zip(*columns, strict=True):
        value, low, high = ("-" if pd.isna(x) else f"{100 * x:{sign}.1f}" for x in row)
        cells.append(value if "-" in (value, low) else f"{value} [{low}, {high}]")
    return pd.Series(cells, table.index)
