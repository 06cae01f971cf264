"""What lies at a path that has no known layout, and what to do about it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from ..rows import many, printable
from .files import ARRAYS, PICTURES, is_archive
from .layout import SPLIT_NAMES, visible
from .tables import csv_header


def instead(path: Path) -> str | None:
    """One line on a path that has no known layout, where something can be said."""
    entries = visible(path) if path.is_dir() else [path]
    if archives := [x for x in entries if is_archive(x)]:
        return f"holds an archive, {printable(archives[0].name)}; unpack it here"
    if arrays := [x for x in entries if x.suffix.lower() in ARRAYS]:
        remedy = "write its images into folders train|test/CLASS, or as a CSV (emotion, pixels, Usage)"
        return f"holds arrays, {printable(arrays[0].name)}, which no layout reads; {remedy}"
    tables = [x for x in entries if x.suffix.lower() == ".csv" and x.is_file() and x != path]
    if tables := [x for x in tables if "pixels" in csv_header(x)]:
        return f"holds a table like FER2013's, {printable(tables[0].name)}; if it is that, give this file"
    classes = [x for x in entries if x.is_dir() and _holds_pictures(x)]
    flat = [x for x in classes if x.name.lower() in SPLIT_NAMES]
    if flat:
        return f"{printable(flat[0].name)} holds pictures, not folders of classes; put them into {flat[0].name}/CLASS"
    if classes:
        names = ", ".join(printable(x.name) for x in classes[:3]) + (", ..." if len(classes) > 3 else "")
        what = f"{many(len(classes), 'folder')} of pictures ({names}) without a split above them"
        return f"{what}; put them into train/ and test/ (and validation/), nobody in two of them"
    return None


def _holds_pictures(folder: Path) -> bool:
    return any(x.suffix.lower() in PICTURES for x in islice(folder.iterdir(), 100))
