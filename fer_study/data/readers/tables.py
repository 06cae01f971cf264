"""Tables and lists as text: CSV files and lines, in UTF-8, or in UTF-16 where a byte-order mark says so."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from ...settings.errors import InputError
from ..rows import BadRow, Face, Row, printable, refuse
from .files import is_archive


def _encoding(file: Path) -> dict[str, str]:
    """``encoding`` and ``errors`` of a text: PowerShell and Excel write UTF-16, with a mark in front."""
    with file.open("rb") as start:
        utf16 = start.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    if utf16:
        return {"encoding": "utf-16", "errors": "replace"}
    return {"encoding": "utf-8-sig", "errors": "surrogateescape"}


def _opened(file: Path) -> TextIO:
    return file.open(newline="", **_encoding(file))


def csv_header(file: Path) -> list[str]:
    """Column names of a CSV file, without the spaces around them."""
    with _opened(file) as lines:
        try:
            return [name.strip() for name in next(csv.reader([lines.readline(1 << 16)]), [])]
        except csv.Error:
            return []


def csv_columns(file: Path, names: list[str], header: list[str] | None = None) -> dict[str, list[Any]]:
    """Columns of a CSV file as text, whatever its line ends, with or without a byte-order mark.

    Args:
        names: the columns wanted; others may be there.
        header: column names where the file has no line for them.

    Returns:
        name -> values; also ``line``, the line number of each row, and ``error``: None, or a ``BadRow`` for a line with
        another number of columns, whose values are empty.

    Raises:
        InputError: a column is missing, a row goes over several lines, or the file is no table.
    """
    where = printable(file)
    if is_archive(file):
        raise InputError(f"{where}: is an archive; unpack it and give the folder")
    found = header or csv_header(file)
    if any("\0" in name for name in found):
        raise InputError(f"{where}: zero bytes in its first line: cut off, or no text; fetch the file again")
    listed = printable(", ".join(found))[:200] or "an empty file"
    if missing := [n for n in names if n not in found]:
        raise InputError(f"{where}: no column {missing[0]!r}; found {listed}")
    if len(set(found)) < len(found):
        raise InputError(f"{where}: two columns have the same name; found {listed}")
    columns: dict[str, list[Any]] = {n: [] for n in (*names, "line", "error")}
    places = [(found.index(n), columns[n]) for n in names]
    try:
        with _opened(file) as lines:
            for line, row in islice(_csv_lines(csv.reader(lines), where), 0 if header else 1, None):
                if not row:
                    continue
                what, whole = f"{len(row)} columns, allowed {len(found)}", len(row) == len(found)
                error = None if whole else BadRow(f"{where}, line {line}", "wrong number of columns", what)
                columns["line"].append(line)
                columns["error"].append(error)
                for place, column in places:
                    column.append(row[place] if whole else "")
    except (csv.Error, OSError) as error:
        raise InputError(f"{where}: not a CSV table: {printable(str(error))[:120]}") from None
    return columns


def _csv_lines(reader: Any, where: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each row; a quotation mark that is never closed would swallow thousands of rows."""
    last = 0
    for row in reader:
        if reader.line_num > last + 1:
            what = f"a row that goes on to line {reader.line_num}, allowed: one line a row; close the quotation mark"
            raise InputError(f"{where}, line {last + 1}: {what}")
        last = reader.line_num
        yield last, row


def csv_rows(data: dict[str, list[Any]], read: Callable[..., Face], *args: object) -> list[Row]:
    """The rows of a table of ``csv_columns``, in its order: ``read(*args, i)``, or what is wrong with row i."""
    return [refuse(error) if error else partial(read, *args, i) for i, error in enumerate(data["error"])]


def text_lines(file: Path) -> list[tuple[int, str]]:
    """(line number from 1, text without spaces around it) of the lines of a text file that are not empty."""
    try:
        text = file.read_bytes().decode(**_encoding(file))
    except OSError as error:
        raise InputError(f"{printable(file)}: cannot be read: {error.strerror}") from None
    return [(i, line.strip()) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]
