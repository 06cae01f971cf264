"""Tables and lists: CSV files, lines of text, and parquet files.

Text is read as UTF-8, or as UTF-16 where a byte-order mark says so.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from ...settings.errors import InputError
from ..rows import BadRow, printable, wrong_input
from .files import SPLIT_NAMES, is_archive, split_folders, subfolders
from .pictures import LARGEST

MOST_PACKED = 50
"""Times that a parquet file may grow when it is unpacked."""


class Record(NamedTuple):
    """Holds a row of a table: its line in the file, and its cells in the columns asked for."""

    line: int
    cells: tuple[str, ...]


# --------------------------------------------------------------------------------------- text


def _encoding(file: Path) -> dict[str, str]:
    """Finds the encoding: PowerShell and Excel write UTF-16, with a mark in front."""
    with file.open("rb") as start:
        utf16 = start.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if utf16:
        return {"encoding": "utf-16", "errors": "replace"}
    return {"encoding": "utf-8-sig", "errors": "surrogateescape"}


def _open_text(file: Path) -> TextIO:
    return file.open(newline="", **_encoding(file))


def read_lines(file: Path) -> list[tuple[int, str]]:
    """Reads the lines of a text that are not empty: number from 1, stripped text."""
    try:
        text = file.read_bytes().decode(**_encoding(file))
    except OSError as error:
        raise wrong_input(file, f"cannot be read: {error.strerror}") from None
    return [(i, line.strip()) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]


def csv_header(file: Path) -> list[str]:
    """Reads the column names of a CSV file, without the spaces around them."""
    with _open_text(file) as lines:
        try:
            return [name.strip() for name in next(csv.reader([lines.readline(1 << 16)]), [])]
        except csv.Error:
            return []


def read_csv(
    file: Path, names: list[str], header: list[str] | None = None
) -> list[Record | BadRow]:
    """Reads columns of a CSV file as text, whatever its line ends and byte-order mark.

    Args:
        names: the columns wanted; others may be there.
        header: column names where the file has no line for them.

    Returns:
        One ``Record`` a row, or a ``BadRow`` for a line with another number of columns.

    Raises:
        InputError: a column is missing, a row goes over several lines, or the file is no table.
    """
    where = printable(file)
    if is_archive(file):
        raise wrong_input(where, "is an archive; unpack it and give the folder")
    columns = header or csv_header(file)
    if any("\0" in name for name in columns):
        what = "zero bytes in its first line: cut off, or no text; fetch the file again"
        raise wrong_input(where, what)
    found = printable(", ".join(columns))[:200] or "an empty file"
    if missing := [name for name in names if name not in columns]:
        raise wrong_input(where, f"no column {missing[0]!r}; found {found}")
    if len(set(columns)) < len(columns):
        raise wrong_input(where, f"two columns have the same name; found {found}")
    places = [columns.index(name) for name in names]
    records: list[Record | BadRow] = []
    try:
        with _open_text(file) as text:
            lines = _csv_lines(csv.reader(text), where)
            if not header:
                next(lines, None)
            for line, row in lines:
                if len(row) == len(columns):
                    records.append(Record(line, tuple(row[place] for place in places)))
                elif row:
                    what = f"{len(row)} columns, allowed {len(columns)}"
                    records.append(BadRow(f"{where}, line {line}", "wrong number of columns", what))
    except (csv.Error, OSError) as error:
        raise wrong_input(where, f"not a CSV table: {printable(str(error))[:120]}") from None
    return records


def _csv_lines(reader: Any, where: str) -> Iterator[tuple[int, list[str]]]:
    """Yields line and cells of each row; an open quotation mark would swallow thousands."""
    last = 0
    for row in reader:
        if reader.line_num > last + 1:
            allowed = "one line a row; close the quotation mark"
            what = f"a row that goes on to line {reader.line_num}, allowed: {allowed}"
            raise InputError(f"{where}, line {last + 1}: {what}")
        last = reader.line_num
        yield last, row


# ------------------------------------------------------------------------------------ parquet


def parquet_files(path: Path) -> list[Path]:
    """Finds the parquet files at a path, by name.

    Itself, in the folder, in its ``data/``, or in folders that are called after splits, here or one
    level down, as the Hub writes them (``default/train/0000.parquet``).

    Raises:
        InputError: one was downloaded twice, as ``x.parquet`` and ``x (1).parquet``.
    """
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    files = _parquet_in(path) or _parquet_in(path / "data") or _parquet_of_splits(path)
    if not files:
        folders = [x for x in subfolders(path) if x.name.lower() not in SPLIT_NAMES]
        deeper = [found for x in folders[:20] if (found := _parquet_of_splits(x))]
        files = deeper[0] if len(deeper) == 1 else []
    for file in files:
        first = file.with_name(re.sub(r" ?\(\d+\)$", "", file.stem) + file.suffix)
        if first != file and first in files:
            what = "by its name a second copy of the file without number; remove one of them"
            raise wrong_input(file, what)
    return files


def _parquet_in(folder: Path) -> list[Path]:
    return sorted(x for x in folder.glob("*.parquet") if x.is_file())


def _parquet_of_splits(folder: Path) -> list[Path]:
    return [file for _, split in split_folders(folder) for file in _parquet_in(split)]


def parquet_schema(file: Path) -> pa.Schema:
    """Reads column names and types of a parquet file.

    Raises:
        InputError: the file is no parquet file, or only a part of one.
    """
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError, ValueError):
        what = "not a readable parquet file, perhaps cut short; download it again"
        raise wrong_input(file, what) from None


def has_images(schema: pa.Schema) -> bool:
    """Tells whether a parquet file has an ``image`` column of the form ``{bytes, path}``."""
    kind = schema.field("image").type if "image" in schema.names else None
    return kind is not None and pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def read_parquet(file: Path, names: list[str]) -> list[dict[str, Any]]:
    """Reads columns of a parquet file.

    Args:
        names: the columns wanted, ``image`` among them.

    Returns:
        A dict a row: the columns, ``image`` as ``bytes`` and ``path``, and as ``error`` the
            ``BadRow`` of a row in which one of the other columns is empty, else None.

    Raises:
        InputError: a column is missing, ``image`` is no struct of bytes, or the file cannot be
            read.
    """
    schema, source = parquet_schema(file), printable(file)
    if missing := [name for name in names if name not in schema.names]:
        raise wrong_input(source, f"no column {missing[0]!r}; found {', '.join(schema.names)}")
    if not has_images(schema):
        kind = schema.field("image").type
        raise InputError(
            f"{source}: column 'image' is {kind}, allowed: a struct with the field bytes"
        )
    _check_unpacked(file, names)
    try:
        records = pq.read_table(file, columns=names, partitioning=None).to_pylist()
    except (pa.ArrowException, OSError, ValueError):
        what = "its data cannot be read, perhaps damaged; download it again"
        raise wrong_input(source, what) from None
    for i, record in enumerate(records):
        image = record.pop("image") or {}
        empty = [name for name, value in record.items() if value is None]
        what = f"column {empty[-1]!r} is empty" if empty else ""
        record["error"] = BadRow(f"{source}, row {i}", "value missing", what) if empty else None
        record |= {"bytes": image.get("bytes"), "path": image.get("path") or ""}
    return records


def _check_unpacked(file: Path, names: list[str]) -> None:
    """Refuses columns that unpack to far more than the file holds: images are packed already."""
    about = pq.read_metadata(file)
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    columns = [group.column(j) for group in groups for j in range(about.num_columns)]
    unpacked = sum(
        x.total_uncompressed_size for x in columns if x.path_in_schema.split(".")[0] in names
    )
    packed = file.stat().st_size
    if unpacked > max(LARGEST, MOST_PACKED * packed):
        size = f"{unpacked / 1e6:,.0f} MB in a file of {packed / 1e6:,.2f} MB"
        what = f"unpacks to {size}, allowed: {MOST_PACKED} times; no images are like that"
        raise wrong_input(file, what)
