"""What the readers share: the description of a layout on disk, and the opening of folders, parquet and CSV files."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PureWindowsPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import InputError
from .faceset import SPLITS
from .pictures import open_image
from .rows import BadRow, Face, Options, Row, printable, refuse

JUNK = re.compile(r"\..*|thumbs\.db|desktop\.ini|__macosx|readme[^.]*|.*\.(?:txt|md|pdf|html?)", re.IGNORECASE | re.DOTALL)
"""Names of files that systems and authors leave beside images."""

SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
"""Name of a split folder (lower case) -> ours."""


@dataclass(frozen=True)
class Layout:
    """One way in which a dataset lies on disk.

    Attributes:
        dataset: name of the dataset, e.g. ``fer2013``.
        name: name of the layout, unique within the dataset.
        looks_like: one line that shows the files, for messages.
        recognises: cheap look (names and headers only) whether a path has this layout.
        rows: its rows, in the order of the set; every wrong input is one ``InputError``, of a single row a ``BadRow``.
        named: read only where the dataset is named (``--dataset``), since other datasets may look the same.
        unsure: nothing but numbers says what the labels mean, so that whoever does not name the dataset is to confirm it.
    """

    dataset: str
    name: str
    looks_like: str
    recognises: Callable[[Path], bool]
    rows: Callable[[Path, Options], list[Row]]
    named: bool = False
    unsure: bool = False


def visible(folder: Path) -> list[Path]:
    """Entries of a folder by name, without hidden files, texts and junk; none where it is no folder."""
    if not folder.is_dir():
        return []
    return sorted(x for x in folder.iterdir() if not JUNK.fullmatch(x.name))


def split_folders(path: Path) -> list[tuple[str, Path]]:
    """(split, folder) of the folders that are called after a split, in upper or lower case: train, validation, test."""
    found = [(SPLIT_NAMES[x.name.lower()], x) for x in visible(path) if x.is_dir() and x.name.lower() in SPLIT_NAMES]
    return sorted(found, key=lambda item: SPLITS.index(item[0]))


def only(path: Path, *names: str) -> list[Path]:
    """The split folders of these names, in this order, in upper or lower case; none where there are folders of other splits,
    which a layout without them would never read."""
    found = [folder for _, folder in split_folders(path)]
    if any(x.name.lower() not in names for x in found):
        return []
    return sorted(found, key=lambda x: names.index(x.name.lower()))


def parquet_files(path: Path) -> list[Path]:
    """The parquet files at a path (itself, in the folder, or in its ``data/``), by name.

    Raises:
        InputError: one was downloaded twice, as ``x.parquet`` and ``x (1).parquet``.
    """
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    files = next((x for p in ("*.parquet", "data/*.parquet") if (x := sorted(filter(Path.is_file, path.glob(p))))), [])
    if twice := [x for x in files if x.with_name(re.sub(r" ?\(\d+\)$", "", x.stem) + x.suffix) in {*files} - {x}]:
        raise InputError(f"{printable(twice[0])}: by its name a second copy of the file without number; remove one of them")
    return files


def parquet_schema(file: Path) -> pa.Schema:
    """Column names and types of a parquet file.

    Raises:
        InputError: the file is no parquet file, or only a part of one.
    """
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError, ValueError):
        raise InputError(f"{printable(file)}: not a readable parquet file, perhaps cut short; download it again") from None


def parquet_columns(file: Path, names: list[str]) -> dict[str, list]:
    """Columns of a parquet file as Python lists; the image struct comes as ``bytes`` and ``path``; ``error`` as in
    ``csv_columns``, for a row in which one of the other columns is empty.

    Raises:
        InputError: a column is missing, ``image`` is no struct of bytes, or the file cannot be read.
    """
    schema, name = parquet_schema(file), printable(file)
    if missing := [n for n in names if n not in schema.names]:
        raise InputError(f"{name}: no column {missing[0]!r}; found {', '.join(schema.names)}")
    if not is_image(schema):
        raise InputError(f"{name}: column 'image' is {schema.field('image').type}, allowed: a struct with the field bytes")
    try:
        table = pq.read_table(file, columns=names, partitioning=None)
        columns = {n: table[n].to_pylist() for n in names if n != "image"}
        structs = table["image"].to_pylist()
    except (pa.ArrowException, OSError, ValueError):
        raise InputError(f"{name}: its data cannot be read, perhaps damaged; download it again") from None
    gaps = {i: column for column, values in columns.items() for i, value in enumerate(values) if value is None}
    empty = lambda i: BadRow(f"{name}, row {i}", "value missing", f"column {gaps[i]!r} is empty")  # noqa: E731
    columns["error"] = [empty(i) if i in gaps else None for i in range(len(structs))]
    return columns | {"bytes": [s and s["bytes"] for s in structs], "path": [(s and s.get("path")) or "" for s in structs]}


def is_image(schema: pa.Schema) -> bool:
    """Whether a parquet file has an ``image`` column of the form ``{bytes, path}``."""
    kind = schema.field("image").type if "image" in schema.names else None
    return kind is not None and pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def csv_header(file: Path) -> list[str]:
    """Column names of a CSV file, without the spaces around them."""
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
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
    found, where = header or csv_header(file), printable(file)
    listed = printable(", ".join(found))[:200] or "an empty file"
    if missing := [n for n in names if n not in found]:
        raise InputError(f"{where}: no column {missing[0]!r}; found {listed}")
    if len(set(found)) < len(found):
        raise InputError(f"{where}: two columns have the same name; found {listed}")
    columns: dict[str, list[Any]] = {n: [] for n in (*names, "line", "error")}
    places = [(found.index(n), columns[n]) for n in names]
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
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
        text = file.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    except OSError as error:
        raise InputError(f"{printable(file)}: cannot be read: {error.strerror}") from None
    return [(i, line.strip()) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]


def inside(folder: Path, name: str, where: str) -> Path:
    """The file that a table names, which lies in a folder of the dataset or below; its name may be a person's.

    Raises:
        BadRow: the path is absolute or leads out of the folder.
    """
    parts = PureWindowsPath(name)  # knows both kinds of slashes
    if parts.anchor or ".." in parts.parts:
        what = f"its image path is absolute or goes up (..), allowed: one inside the folder {printable(folder.name)}"
        raise BadRow(where, "path outside the dataset", what)
    return folder / name


def label_of(text: str, classes: dict[str, str], where: str) -> str:
    """The class of a label as it is written in the data.

    Raises:
        BadRow: it is not one of ``classes``.
    """
    try:
        return classes[text]
    except KeyError:
        allowed = ", ".join(f"{key} {name}" for key, name in classes.items())
        raise BadRow(where, "label not allowed", f"label is {text[:40]!r}, allowed: {allowed}") from None


def numbered_rows(root: Path, splits: dict[str, str], classes: dict[str, str]) -> list[Row]:
    """Rows of ``split/NUMBER/image``; a split or class without images is refused.

    Args:
        splits: name of a split folder (lower case) -> split.
        classes: name of a class folder -> class.
    """
    return [
        partial(_numbered_row, root, splits[folder.name.lower()], file, classes)
        for folder in only(root, *splits)
        for parent in visible(folder)
        for file in images_of(parent)
    ]


def images_of(folder: Path) -> list[Path]:
    """The files of a class folder; the folder itself where it has none, or is none, which is then refused as an image."""
    return visible(folder) or [folder]


def _numbered_row(root: Path, split: str, file: Path, classes: dict[str, str]) -> Face:
    folder = file if file.is_dir() else file.parent
    label = label_of(folder.name, classes, printable(file))
    return Face(partial(open_image, file), label, split, printable(file.relative_to(root).as_posix()))
