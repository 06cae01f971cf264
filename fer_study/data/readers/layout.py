"""What the readers share: the description of a layout on disk, and the opening of folders, parquet and CSV files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath

import pyarrow as pa
import pyarrow.parquet as pq

from ...settings.errors import InputError
from ..faceset import SPLITS
from ..labels import KNOWN, NATIVE, canonical
from ..rows import BadRow, Face, Options, Row, printable
from .pictures import LARGEST, open_image

JUNK = re.compile(r"\..*|thumbs\.db|desktop\.ini|__macosx|readme[^.]*|.*\.(?:txt|md|pdf|html?)", re.IGNORECASE | re.DOTALL)
"""Names of files that systems and authors leave beside images."""

SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
"""Name of a split folder (lower case) -> ours."""


NUMBERED = "rename the folder, or say whose number it is: " + ", ".join(
    f"--dataset {name} ({', '.join(f'{number} {label}' for number, label in list(NATIVE[name].items())[:8])})"
    for name in ("affectnet", "rafdb")
)
"""What to do about class folders that are called after numbers."""


MOST_PACKED = 50
"""Times that a parquet file may grow when it is unpacked."""


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
    """The parquet files at a path, by name: itself, in the folder, in its ``data/``, or in folders that are called after
    splits, here or one level down, as the Hub writes them (``default/train/0000.parquet``).

    Raises:
        InputError: one was downloaded twice, as ``x.parquet`` and ``x (1).parquet``.
    """
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    files = _parquet_in(path) or _parquet_in(path / "data") or _parquet_of_splits(path)
    if not files:
        folders = [x for x in visible(path) if x.is_dir() and x.name.lower() not in SPLIT_NAMES]
        deeper = [x for x in map(_parquet_of_splits, folders[:20]) if x]
        files = deeper[0] if len(deeper) == 1 else []
    if twice := [x for x in files if x.with_name(re.sub(r" ?\(\d+\)$", "", x.stem) + x.suffix) in {*files} - {x}]:
        raise InputError(f"{printable(twice[0])}: by its name a second copy of the file without number; remove one of them")
    return files


def _parquet_in(folder: Path) -> list[Path]:
    return sorted(x for x in folder.glob("*.parquet") if x.is_file())


def _parquet_of_splits(folder: Path) -> list[Path]:
    return [file for _, split in split_folders(folder) for file in _parquet_in(split)]


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
    _check_unpacked(file, names)
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


def _check_unpacked(file: Path, names: list[str]) -> None:
    """Refuses columns that unpack to far more than the file holds: images are packed already.

    Raises:
        InputError: they do.
    """
    about = pq.read_metadata(file)
    parts = [about.row_group(i).column(j) for i in range(about.num_row_groups) for j in range(about.num_columns)]
    unpacked = sum(x.total_uncompressed_size for x in parts if x.path_in_schema.split(".")[0] in names)
    if unpacked > max(LARGEST, MOST_PACKED * file.stat().st_size):
        size = f"{unpacked / 1e6:,.0f} MB in a file of {file.stat().st_size / 1e6:,.2f} MB"
        raise InputError(f"{printable(file)}: unpacks to {size}, allowed: {MOST_PACKED} times; no images are like that")


def is_image(schema: pa.Schema) -> bool:
    """Whether a parquet file has an ``image`` column of the form ``{bytes, path}``."""
    kind = schema.field("image").type if "image" in schema.names else None
    return kind is not None and pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def inside(folder: Path, name: str, where: str) -> Path:
    """The file that a table names, which lies in a folder of the dataset or below; its name may be a person's.

    Raises:
        BadRow: the path is absolute or leads out of the folder.
    """
    parts = PureWindowsPath(name)  # knows both kinds of slashes
    if parts.anchor or ".." in parts.parts:
        what = f"its image path is absolute or goes up (..), allowed: one inside the folder {printable(folder.name)}"
        raise BadRow(where, "path outside the dataset", what)
    return folder.joinpath(*parts.parts)  # a table that was written on Windows is read elsewhere too


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


def numbered_rows(root: Path, classes: dict[str, str]) -> list[Row]:
    """Rows of ``split/NUMBER/image``; a split or class without images is refused.

    Args:
        classes: name of a class folder -> class.
    """
    return [
        partial(_numbered_row, root, split, file, classes)
        for split, folder in numbered_splits(root)
        for parent in visible(folder)
        for file in images_of(parent)
    ]


def numbered_splits(root: Path) -> list[tuple[str, Path]]:
    """As ``split_folders``, of a dataset without a validation split: where there is no test folder, its test images lie in
    the folder that is called after validation."""
    found = split_folders(root)
    has_test = any(split == "test" for split, _ in found)
    return [("test" if split == "validation" and not has_test else split, folder) for split, folder in found]


def class_of(folder: Path, where: str) -> str:
    """The class that a folder is called after.

    Raises:
        BadRow: its name is no known spelling of one.
    """
    try:
        return canonical(folder.name)
    except InputError:
        name = printable(folder.name)
        what, advice = f"class folder: unknown class name {name[:60]!r}", KNOWN
        if name.isdigit():
            what, advice = f"{what}: a number does not say which class it is", NUMBERED
        raise BadRow(where, f"class unknown: {name[:40]}", what, advice) from None


def images_of(folder: Path) -> list[Path]:
    """The files of a class folder; the folder itself where it has none, or is none, which is then refused as an image."""
    return visible(folder) or [folder]


def _numbered_row(root: Path, split: str, file: Path, classes: dict[str, str]) -> Face:
    folder = file if file.is_dir() else file.parent
    label = label_of(folder.name, classes, printable(file))
    return Face(partial(open_image, file), label, split, printable(file.relative_to(root).as_posix()))
