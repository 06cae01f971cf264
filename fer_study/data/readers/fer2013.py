"""FER2013 (Goodfellow et al., 2013) with the FER+ votes (Barsoum et al., 2016), as parquet or CSV.

``Training`` is the train split, ``PublicTest`` validation and ``PrivateTest`` test. Parquet and CSV
keep the row order of the original CSV, so that both give the same fingerprint and FER+ votes can be
joined by row.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from ...settings.errors import InputError
from ..faceset import SPLITS
from ..labels import FER2013, FERPLUS_COLUMNS, NATIVE, canonical
from ..rows import BadRow, Face, Options, Rows, good, printable, wrong_input
from ..votes import check_joined, count_votes
from .files import SPLIT_NAMES, visible
from .layout import Layout
from .pictures import decode
from .tables import (
    Record,
    csv_header,
    has_images,
    parquet_files,
    parquet_schema,
    read_csv,
    read_parquet,
)

USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""Name of a split in the original files -> ours."""

_SHARD_SPLIT = {name: SPLIT_NAMES[name] for name in ("train", "validation", "valid", "val", "test")}
_CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
VOTES_NAME = "fer2013new.csv"
_VOTES_IMAGE = re.compile(r"fer(\d{1,9})\.png", re.IGNORECASE)
_LABELS = {str(number): name for number, name in NATIVE["fer2013"].items()}


def check_size(picture: Image.Image, where: str) -> Image.Image:
    """Refuses a picture of another size than 48x48, and gives back any other.

    Raises:
        BadRow: names its size.
    """
    if picture.size != (48, 48):
        what = f"image is {picture.width}x{picture.height}, allowed 48x48"
        raise BadRow(where, "image of another size", what)
    return picture


def _split(usage: object, where: str) -> str:
    try:
        return USAGE[str(usage).strip()]
    except KeyError:
        what = f"usage is {usage!r}, allowed: {', '.join(USAGE)}"
        raise BadRow(where, "split unknown", what) from None


def _wrong_label(value: object, where: str) -> BadRow:
    what = f"label is {value!r}, allowed 0..6 ({', '.join(FER2013)})"
    return BadRow(where, "label not allowed", what)


# ------------------------------------------------------------------------------------ parquet


def is_parquet(path: Path) -> bool:
    """Tells whether parquet files at a path hold FER2013, or any set that is read as it."""
    files = parquet_files(path)
    if not files:
        return False
    schema = parquet_schema(files[0])
    return has_images(schema) and not {"emotion", "user_id"} <= {*schema.names}  # muxspace's


def _class_names(file: Path, column: str) -> dict[int, str]:
    """Reads stored label -> class, which the metadata of Hugging Face may order anew."""
    try:
        info = json.loads((parquet_schema(file).metadata or {}).get(b"huggingface", b"{}"))
        names = info.get("info", {}).get("features", {}).get(column, {}).get("names")
    except (ValueError, AttributeError):
        raise wrong_input(file, "its Hugging Face metadata cannot be read") from None
    if not names:
        return NATIVE["fer2013"]
    try:
        classes = [canonical(name) for name in names]
        if not set(classes) & set(FER2013):
            given, ours = ", ".join(names), ", ".join(FER2013)
            raise InputError(f"classes {given} cannot be mapped to {ours}: none in common")
        return dict(enumerate(classes))
    except InputError as error:
        raise wrong_input(file, f"the class names in its Hugging Face metadata: {error}") from None


def _read_shard(file: Path) -> list[tuple[int, Face | BadRow]]:
    """Reads a parquet file: the number of each row, 0 where it has none, and what it holds."""
    columns, source = parquet_schema(file).names, printable(file)
    votes = [f"ferplus_{name}" for name in FERPLUS_COLUMNS]
    votes = votes if {*votes} <= {*columns} else []
    label = "emotion" if "emotion" in columns and "label" not in columns else "label"
    there = [name for name in ("row", "usage") if name in columns]
    records = read_parquet(file, ["image", label, *there, *votes])
    split = _split_of_shard(file)
    if "usage" not in there and not split:
        what = f"the file name begins with {', '.join(_SHARD_SPLIT)} nor is its folder called so"
        raise wrong_input(source, f"no column 'usage', and neither {what}")
    names = _class_names(file, label)

    def read(i: int) -> Face:
        record, where = records[i], f"{source}, row {i}"
        good(record["error"])
        return Face(
            lambda: check_size(decode(record["bytes"], where), where),
            _class(record[label], names, where),
            _split(record["usage"], where) if "usage" in record else split,
            id="",
            votes=count_votes([record[name] for name in votes], where) if votes else None,
        )

    numbers = [record.get("row") or 0 for record in records]
    return list(zip(numbers, Rows(range(len(records)), read), strict=True))


def _split_of_shard(file: Path) -> str | None:
    """Finds the split that a parquet file (``train-00000-of-00002``) or its folder names."""
    match = re.match("|".join(_SHARD_SPLIT), file.name)
    return _SHARD_SPLIT[match[0]] if match else SPLIT_NAMES.get(file.absolute().parent.name.lower())


def _class(label: object, names: dict[int, str], where: str) -> str:
    """Finds the class of a label that is a number, or a class name in words."""
    if isinstance(label, int) and label in names:
        return names[label]
    try:
        return canonical(label if isinstance(label, str) else "")
    except InputError:
        raise _wrong_label(label, where) from None


def _shard_order(file: Path) -> tuple[int, str]:
    """Orders shards: train, validation, test; by name within a split."""
    split = _split_of_shard(file)
    return (SPLITS.index(split) if split else 0, file.name)


def _parquet_rows(path: Path, _: Options) -> list[Face | BadRow]:
    files = parquet_files(path)
    numbered = [row for file in sorted(files, key=_shard_order) for row in _read_shard(file)]
    numbered.sort(key=lambda row: row[0])  # stable: without numbers, the order of the files
    rows = [
        row if isinstance(row, BadRow) else row._replace(id=f"{place:05d}")
        for place, (_, row) in enumerate(numbered)
    ]
    _check_votes(rows, printable(path))
    _check_beside(files[0].with_name(VOTES_NAME), rows)
    return rows


def _check_beside(file: Path, rows: Sequence[Face | BadRow]) -> None:
    """Refuses a table of votes that contradicts the votes in the parquet files beside it."""
    voted = [isinstance(row, Face) and row.votes is not None for row in rows]
    usage = {split: name for name, split in USAGE.items()}
    usages = [usage[row.split] if known else "" for row, known in zip(rows, voted, strict=True)]
    votes = _read_votes(file, usages) if any(voted) else None
    for i, row in enumerate(rows):
        if votes and voted[i] and (good(votes[i]) != row.votes).any():
            what = "other votes than in the columns ferplus_* of the parquet files beside it"
            raise InputError(f"{printable(file)}, row {i}: {what}; remove what is wrong")


# ---------------------------------------------------------------------------------------- CSV


def csv_file(path: Path) -> Path | None:
    """Finds the CSV at a path: the file itself, or one of a known name in the folder."""
    if path.is_file():
        known = path.name.lower() in _CSV_NAMES or "pixels" in csv_header(path)
        return path if path.suffix.lower() == ".csv" and known else None
    files = {x.name.lower(): x for x in visible(path) if x.is_file()}
    return next((files[name] for name in _CSV_NAMES if name in files), None)


def _picture(text: str, where: str) -> Image.Image:
    """Makes a 48x48 picture of numbers; searches for what is wrong only once something is."""
    with warnings.catch_warnings():
        # how NumPy says that a text is not all numbers
        warnings.simplefilter("error", DeprecationWarning)
        try:
            values = np.fromstring(text, np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            values = np.empty(0)
    if len(values) == 48 * 48 and values.min() >= 0 and values.max() <= 255:
        return Image.fromarray(values.astype(np.uint8).reshape(48, 48))
    words = text.split()
    for i, word in enumerate(words):
        if not (word.isascii() and word.isdigit()) or len(word) > 9 or int(word) > 255:
            what = f"pixel {i} is {word[:40]!r}, allowed integers 0..255"
            raise BadRow(where, "pixel not allowed", what)
    raise BadRow(where, "wrong number of pixels", f"{len(words)} pixels, allowed {48 * 48} (48x48)")


def _csv_rows(path: Path, _: Options) -> list[Face | BadRow]:
    file = csv_file(path)
    records, source = read_csv(file, ["emotion", "pixels", "Usage"]), printable(file)
    usages = ["" if isinstance(record, BadRow) else record.cells[2] for record in records]
    votes = _read_votes(file.with_name(VOTES_NAME), usages)

    def read(i: int) -> Face:
        line, (label, pixels, usage) = good(records[i])
        where = f"{source}, row {i} (line {line})"
        if label.strip() not in _LABELS:
            raise _wrong_label(label, where)
        picture, split = partial(_picture, pixels, where), _split(usage, where)
        crowd = good(votes[i]) if votes else None
        return Face(picture, _LABELS[label.strip()], split, f"{i:05d}", crowd)

    rows = list(Rows(range(len(records)), read))
    _check_votes(rows, source)
    return rows


# -------------------------------------------------------------------------------------- votes


def _check_votes(rows: Sequence[Face | BadRow], where: str) -> None:
    """Refuses votes on other images than those they lie beside; wrong rows are told elsewhere."""
    check_joined([row for row in rows if isinstance(row, Face) and row.votes is not None], where)


def _read_votes(file: Path, usages: Sequence[str]) -> list[np.ndarray | BadRow] | None:
    """Reads the FER+ votes on each image, which are joined by row order.

    Args:
        usages: Usage of each image, something else where it is not known.

    Returns:
        (10,) votes an image, or a ``BadRow``; None where the file is not there.
    """
    if not file.is_file():
        return None
    names = ["Image name"] if "Image name" in csv_header(file) else []
    records, source = read_csv(file, ["Usage", *FERPLUS_COLUMNS, *names]), printable(file)
    if len(records) != len(usages):
        what = f"{len(records)} rows, allowed {len(usages)}: one for each image, in the same order"
        raise wrong_input(source, what)
    known = [
        (i, record, f"{source}, row {i} (line {record.line})")
        for i, record in enumerate(records)
        if isinstance(record, Record)
    ]
    for i, record, where in known:
        usage, allowed = record.cells[0], usages[i]
        if usage.strip() != allowed.strip() and allowed.strip() in USAGE:
            what = f"Usage is {usage!r}, that of the image {allowed!r}: not in the same order"
            raise wrong_input(where, what)
    if names:
        _check_order([(where, record.cells[-1]) for _, record, where in known])
    votes = list(records)
    for i, record, where in known:
        try:
            votes[i] = count_votes(record.cells[1:11], where)
        except BadRow as error:
            votes[i] = error
    return votes


def _check_order(images: Sequence[tuple[str, str]]) -> None:
    """Refuses votes in another order than the published one.

    There the numbers in the image names rise, but for 4 of 35,714 rows (they are no row numbers).
    """
    numbers = [
        (where, int(match[1]))
        for where, name in images
        if (match := _VOTES_IMAGE.fullmatch(name.strip()))
    ]
    falls = [(where, a, b) for (_, a), (where, b) in pairwise(numbers) if b <= a]
    if len(falls) > len(numbers) / 1000:
        where, before, number = falls[0]
        what = "the rows were moved, and votes are joined by row order; fetch the file again"
        raise wrong_input(where, f"image {number} behind image {before}: {what}")


LAYOUTS = (
    Layout("fer2013", "parquet", "*.parquet with columns image {bytes, path}, label, usage",
           is_parquet, _parquet_rows),
    Layout("fer2013", "csv", f"{' or '.join(_CSV_NAMES)} (emotion, pixels, Usage), with "
           f"{VOTES_NAME} beside it for FER+ votes", lambda path: bool(csv_file(path)), _csv_rows),
)  # fmt: skip
"""In order of preference: where a folder holds several, the first is read."""
