"""What the readers share: the description of a layout on disk, and the opening of parquet, CSV and image files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from PIL import Image

from ..errors import InputError
from .faceset import FaceSet


@dataclass(frozen=True)
class Layout:
    """One way in which a dataset lies on disk.

    Attributes:
        dataset: name of the dataset, e.g. ``fer2013``.
        name: name of the layout, unique within the dataset.
        looks_like: one line that shows the files, for messages.
        recognises: cheap look (names and headers only) whether a path has this layout.
        read: reads it whole; every wrong input is one ``InputError``.
    """

    dataset: str
    name: str
    looks_like: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path], FaceSet]


def parquet_files(path: Path) -> list[Path]:
    """The parquet files at a path (itself, in the folder, or in its ``data/``), by name."""
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    return next(
        (files for p in ("*.parquet", "data/*.parquet") if (files := sorted(filter(Path.is_file, path.glob(p))))), []
    )


def parquet_schema(file: Path) -> pa.Schema:
    """Column names and types of a parquet file.

    Raises:
        InputError: the file is no parquet file, or only a part of one.
    """
    try:
        return pq.read_schema(file)
    except (pa.ArrowInvalid, OSError):
        raise InputError(f"{file}: not a readable parquet file, perhaps cut short; download it again") from None


def parquet_columns(file: Path, names: list[str]) -> dict[str, list]:
    """Columns of a parquet file as Python lists; the image struct comes as ``bytes`` and ``path``.

    Raises:
        InputError: a column is missing or has gaps, ``image`` is no struct of bytes, or the file cannot be read.
    """
    schema = parquet_schema(file)
    if missing := [n for n in names if n not in schema.names]:
        raise InputError(f"{file}: no column {missing[0]!r}; found {', '.join(schema.names)}")
    if not is_image(schema):
        raise InputError(f"{file}: column 'image' is {schema.field('image').type}, allowed: a struct with the field bytes")
    try:
        table = pq.read_table(file, columns=names, partitioning=None)
    except (pa.ArrowInvalid, OSError):
        raise InputError(f"{file}: its data cannot be read, perhaps damaged; download it again") from None
    columns = {n: table[n].to_pylist() for n in names if n != "image"}
    for name, values in columns.items():
        if None in values:
            raise InputError(f"{file}, row {values.index(None)}: column {name!r} is empty")
    structs = table["image"].to_pylist()
    return columns | {"bytes": [s and s["bytes"] for s in structs], "path": [(s and s.get("path")) or "" for s in structs]}


def is_image(schema: pa.Schema) -> bool:
    """Whether a parquet file has an ``image`` column of the form ``{bytes, path}``."""
    kind = schema.field("image").type if "image" in schema.names else None
    return kind is not None and pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def csv_header(file: Path) -> list[str]:
    """Column names of a CSV file, without the spaces around them."""
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        return [name.strip() for name in next(csv.reader([lines.readline(1 << 16)]), [])]


def csv_columns(file: Path, names: list[str]) -> dict[str, list[str]]:
    """Columns of a CSV file as text.

    Raises:
        InputError: a column is missing, or the lines are no table.
    """
    header = csv_header(file)
    if missing := [n for n in names if n not in header]:
        raise InputError(f"{file}: no column {missing[0]!r}; found {', '.join(header)[:200] or 'an empty file'}")
    try:
        table = pyarrow.csv.read_csv(
            file,
            pyarrow.csv.ReadOptions(column_names=header, skip_rows=1, use_threads=False),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=names, column_types=dict.fromkeys(header, pa.string())
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{file}: not a CSV table: {str(error).splitlines()[0][:120]}") from None
    return {n: table[n].to_pylist() for n in names}


def decode(data: bytes | None, where: str) -> Image.Image:
    """A grayscale picture from the bytes of an image file.

    Args:
        data: content of an image file of any kind that Pillow reads.
        where: file and row, for the message.

    Raises:
        InputError: the bytes are no image.
    """
    try:
        return Image.open(io.BytesIO(data or b"")).convert("L")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise InputError(f"{where}: cannot decode the image ({len(data or b'')} bytes); allowed: PNG, JPEG") from None


def decode_48(data: bytes | None, where: str) -> np.ndarray:
    """(48, 48) uint8 pixels of an image file, which must have this size.

    Raises:
        InputError: the bytes are no image, or one of another size.
    """
    picture = decode(data, where)
    if picture.size != (48, 48):
        raise InputError(f"{where}: image is {picture.width}x{picture.height}, allowed 48x48")
    return np.asarray(picture)
