"""What lies at a path that has no known layout, and what to do about it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from ..rows import pluralise, printable
from .files import ARRAYS, PICTURES, SPLIT_NAMES, is_archive, visible
from .tables import csv_header


def explain_unknown(path: Path) -> str | None:
    """Says in one line what a path without known layout holds; None where nothing can be said."""
    entries = visible(path) if path.is_dir() else [path]
    if archives := [x for x in entries if is_archive(x)]:
        return f"holds an archive, {printable(archives[0].name)}; unpack it here"
    if arrays := [x for x in entries if x.suffix.lower() in ARRAYS]:
        remedy = "write its images into folders train|test/CLASS, or as a CSV"
        return (
            f"holds arrays, {printable(arrays[0].name)}, which no layout reads; "
            f"{remedy} (emotion, pixels, Usage)"
        )
    for table in entries:
        is_table = table.suffix.lower() == ".csv" and table.is_file() and table != path
        if is_table and "pixels" in csv_header(table):
            name = printable(table.name)
            return f"holds a table like FER2013's, {name}; if it is that, give this file"
    folders = [x for x in entries if x.is_dir() and _holds_pictures(x)]
    for folder in folders:
        if folder.name.lower() in SPLIT_NAMES:
            remedy = f"put them into {folder.name}/CLASS"
            return f"{printable(folder.name)} holds pictures, not folders of classes; {remedy}"
    if folders:
        names = ", ".join(printable(x.name) for x in folders[:3])
        names += ", ..." if len(folders) > 3 else ""
        what = (
            f"{pluralise(len(folders), 'folder')} of pictures ({names}) without a split above them"
        )
        remedy = "put them into train/ and test/ (and validation/), nobody in two of them"
        return f"{what}; {remedy}"
    return None


def _holds_pictures(folder: Path) -> bool:
    return any(x.suffix.lower() in PICTURES for x in islice(folder.iterdir(), 100))
