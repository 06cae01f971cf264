"""The table of predictions in a terminal and in files."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from ..settings.errors import InputError
from .predicting import NO_FACE


def check_target(target: str | None) -> None:
    """Refuse a file that cannot be written, before any work.

    Raises:
        InputError: it is a folder, or lies in none.
    """
    if target and target != "-":
        path = Path(target)
        if path.is_dir() or not path.absolute().parent.is_dir():
            why = "is a folder" if path.is_dir() else f"there is no folder {path.parent}"
            raise InputError(f"{target}: {why}; name a file in a folder that is there")


def write(table: pd.DataFrame, kind: str, target: str | None) -> None:
    """Write the table as ``csv``, with sets as words with ``; `` between, or as ``json``.

    Args:
        target: a file; ``-``: standard output; None: nothing is written.
    """
    if target is None:
        return
    if kind == "csv":
        joined = table["set"].map("; ".join, na_action="ignore")
        text = table.assign(set=joined).to_csv(index=False, float_format="%.4f")
    else:
        text = table.to_json(orient="records", indent=1, double_precision=4) + "\n"
    if target == "-":
        sys.stdout.write(text)
    else:
        Path(target).write_text(text, encoding="utf-8")


def render(table: pd.DataFrame) -> str:
    """Write one line a row for a terminal; what could not be read, the log has said already."""
    said = table[table["problem"].isin(["", NO_FACE])]
    return "".join(f"{line(row)}\n" for row in said.to_dict("records"))


def line(row: dict) -> str:
    """Put one row in words."""
    place = row["path"] if pd.isna(row["time"]) else f"{row['path']} at {row['time']:.1f} s"
    if row["problem"]:
        hint = " (--whole takes a picture as a face)" if row["problem"] == NO_FACE else ""
        return f"{place}: {row['problem']}{hint}"
    x, y, width, height = (row[name] for name in ("x", "y", "width", "height"))
    share = f"{row['predicted']} {row[row['predicted']]:.0%}"
    return f"{place}: {share}, set: {', '.join(row['set'])} (face {width}x{height} at {x},{y})"
