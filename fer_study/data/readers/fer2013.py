"""FER2013 (Goodfellow et al., 2013) with the FER+ votes (Barsoum et al., 2016), as parquet or CSV.

``Training`` is the train split, ``PublicTest`` validation and ``PrivateTest`` test. Parquet and CSV keep the row order of
the original CSV, so that both give the same fingerprint and FER+ votes can be joined by row.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ...settings.errors import InputError
from ..faceset import SPLITS
from ..labels import FER2013, FERPLUS_COLUMNS, NATIVE, canonical, label_map
from ..rows import BadRow, Face, Options, Row, printable
from ..votes import Joined, check_joined, counted
from .layout import SPLIT_NAMES, Layout, is_image, parquet_columns, parquet_files, parquet_schema, visible
from .pictures import decode
from .tables import csv_columns, csv_header, csv_rows

USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""Name of a split in the original files -> ours."""

_SHARD_SPLIT = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}


def _split(usage: object, where: str) -> str:
    try:
        return USAGE[str(usage).strip()]
    except KeyError:
        raise BadRow(where, "split unknown", f"usage is {usage!r}, allowed: {', '.join(USAGE)}") from None


def _wrong_label(value: object, where: str) -> BadRow:
    return BadRow(where, "label not allowed", f"label is {value!r}, allowed 0..6 ({', '.join(FER2013)})")


def checked_size(picture: Image.Image, where: str) -> Image.Image:
    if picture.size != (48, 48):
        raise BadRow(where, "image of another size", f"image is {picture.width}x{picture.height}, allowed 48x48")
    return picture


# --------------------------------------------------------------------------------------------------------------- parquet


def _is_parquet(path: Path) -> bool:
    files = parquet_files(path)
    return bool(files) and is_image(schema := parquet_schema(files[0])) and not {"emotion", "user_id"} <= {*schema.names}


def _names(file: Path, column: str) -> dict[int, str]:
    """Stored label -> class; another class order is read from the metadata that Hugging Face writes."""
    try:
        info = json.loads((parquet_schema(file).metadata or {}).get(b"huggingface", b"{}"))
        names = info.get("info", {}).get("features", {}).get(column, {}).get("names")
    except (ValueError, AttributeError):
        raise InputError(f"{printable(file)}: its Hugging Face metadata cannot be read") from None
    if not names:
        return NATIVE["fer2013"]
    try:
        label_map(names)
        return dict(enumerate(map(canonical, names)))
    except InputError as error:
        raise InputError(f"{printable(file)}: the class names in its Hugging Face metadata: {error}") from None


class _Stored(NamedTuple):
    """A row of a parquet file: its number (0 where there is none), what makes its Row from its place, and what is joined."""

    number: int
    make: Callable[[int], Row]
    joined: Joined | None


def _shard(file: Path) -> list[_Stored]:
    columns = parquet_schema(file).names
    votes = [f"ferplus_{c}" for c in FERPLUS_COLUMNS]
    votes = votes if set(votes) <= set(columns) else []
    column = "emotion" if "emotion" in columns and "label" not in columns else "label"
    data = parquet_columns(file, ["image", column, *[c for c in ("row", "usage") if c in columns], *votes])
    shard_split = _split_of_shard(file)
    if "usage" not in data and not shard_split:
        raise InputError(f"{printable(file)}: no column 'usage', and neither the file name begins with "
                         f"{', '.join(_SHARD_SPLIT)} nor is its folder called so")  # fmt: skip
    names, source = _names(file, column), printable(file)

    def known(i: int) -> tuple[str, str, np.ndarray | None]:
        if data["error"][i]:
            raise data["error"][i]
        where, label = f"{source}, row {i}", data[column][i]
        split = _split(data["usage"][i], where) if "usage" in data else shard_split
        return _class(label, names, where), split, counted([data[v][i] for v in votes], where) if votes else None

    def read(i: int, place: int) -> Face:
        label, split, crowd = known(i)
        where = f"{source}, row {i}"
        return Face(lambda: checked_size(decode(data["bytes"][i], where), where), label, split, f"{place:05d}", crowd)

    numbers = data.get("row", [0] * len(data[column]))
    return [
        _Stored(number or 0, lambda place, i=i: partial(read, i, place), _joined(known, i) if votes else None)
        for i, number in enumerate(numbers)
    ]


def _split_of_shard(file: Path) -> str | None:
    """The split that a parquet file is called after (``train-00000-of-00002``), or its folder is."""
    found = re.match("|".join(_SHARD_SPLIT), file.name)
    return _SHARD_SPLIT[found[0]] if found else SPLIT_NAMES.get(file.absolute().parent.name.lower())


def _class(label: object, names: dict[int, str], where: str) -> str:
    """The class of a label that is a number, or a class name in words."""
    if isinstance(label, int) and label in names:
        return names[label]
    try:
        return canonical(label if isinstance(label, str) else "")
    except InputError:
        raise _wrong_label(label, where) from None


def _joined(known: Callable[[int], tuple[str, str, np.ndarray | None]], i: int) -> Joined | None:
    """Image and votes of row i; None where it is wrong, which whoever reads the row will say."""
    try:
        return Joined(*known(i))
    except BadRow:
        return None


def _parquet_rows(path: Path, _: Options) -> list[Row]:
    stored = [row for file in sorted(parquet_files(path), key=_shard_order) for row in _shard(file)]
    stored.sort(key=lambda row: row.number)  # stable: without numbers, the order of the files
    check_joined([row.joined for row in stored if row.joined], printable(path))
    _check_beside(parquet_files(path)[0].with_name(VOTES_NAME), [row.joined for row in stored])
    return [row.make(place) for place, row in enumerate(stored)]


def _check_beside(file: Path, stored: list[Joined | None]) -> None:
    """Refuses a table of votes that contradicts the votes in the parquet files beside it."""
    usage = {split: name for name, split in USAGE.items()}
    images = {"line": stored, "Usage": [usage[row.split] if row else "" for row in stored]}
    votes = _votes(file, images) if any(stored) else None
    if wrong := [i for i, row in enumerate(stored) if votes and row and (votes(i) != row.votes).any()]:
        what = "other votes than in the columns ferplus_* of the parquet files beside it; remove what is wrong"
        raise InputError(f"{printable(file)}, row {wrong[0]}: {what}")


def _shard_order(file: Path) -> tuple[int, str]:
    """Shards of the train split first, then validation, then test; by name within a split."""
    split = _split_of_shard(file)
    return (SPLITS.index(split) if split else 0, file.name)


# ------------------------------------------------------------------------------------------------------------------- CSV

_CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
VOTES_NAME = "fer2013new.csv"
_VOTES_IMAGE = re.compile(r"fer(\d{1,9})\.png", re.IGNORECASE)
_LABELS = {str(number): name for number, name in NATIVE["fer2013"].items()}


def csv_file(path: Path) -> Path | None:
    """The CSV at a path: the file itself, or one of the known names in the folder, in upper or lower case."""
    if path.is_file():
        known = path.name.lower() in _CSV_NAMES or "pixels" in csv_header(path)
        return path if path.suffix.lower() == ".csv" and known else None
    files = {x.name.lower(): x for x in visible(path) if x.suffix.lower() == ".csv" and x.is_file()}
    return next((files[name] for name in _CSV_NAMES if name in files), None)


def _picture(text: str, where: str) -> Image.Image:
    """48x48 picture from numbers separated by spaces; what is wrong is searched for only once something is."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how NumPy says that a text is not all numbers
        try:
            values = np.fromstring(text, np.int64, sep=" ")
        except (DeprecationWarning, ValueError):
            values = np.empty(0)
    if len(values) == 48 * 48 and values.min() >= 0 and values.max() <= 255:
        return Image.fromarray(values.astype(np.uint8).reshape(48, 48))
    words = text.split()
    bad = next((w for w in words if not (w.isascii() and w.isdigit()) or len(w) > 9 or int(w) > 255), None)
    if bad is not None:
        raise BadRow(where, "pixel not allowed", f"pixel {words.index(bad)} is {bad[:40]!r}, allowed integers 0..255")
    raise BadRow(where, "wrong number of pixels", f"{len(words)} pixels, allowed {48 * 48} (48x48)")


def _csv_rows(path: Path, _: Options) -> list[Row]:
    file = csv_file(path)
    data, source = csv_columns(file, ["emotion", "pixels", "Usage"]), printable(file)
    votes = _votes(file.parent / VOTES_NAME, data)

    def known(i: int) -> tuple[str, str, np.ndarray | None]:
        if data["error"][i]:
            raise data["error"][i]
        where, label = f"{source}, row {i} (line {data['line'][i]})", data["emotion"][i].strip()
        if label not in _LABELS:
            raise _wrong_label(data["emotion"][i], where)
        return _LABELS[label], _split(data["Usage"][i], where), votes(i) if votes else None

    def read(i: int) -> Face:
        label, split, crowd = known(i)
        where = f"{source}, row {i} (line {data['line'][i]})"
        return Face(lambda: _picture(data["pixels"][i], where), label, split, f"{i:05d}", crowd)

    if votes:
        joined = (_joined(known, i) for i in range(len(data["line"])))
        check_joined([row for row in joined if row], source)
    return csv_rows(data, read)


def _votes(file: Path, images: dict[str, list]) -> Callable[[int], np.ndarray] | None:
    """What reads the FER+ votes on image i, joined by row order; None where the file is not there."""
    if not file.is_file():
        return None
    names = ["Image name"] if "Image name" in csv_header(file) else []
    data, name = csv_columns(file, ["Usage", *names, *FERPLUS_COLUMNS]), printable(file)
    if len(data["line"]) != len(images["line"]):
        found, allowed = len(data["line"]), len(images["line"])
        raise InputError(f"{name}: {found} rows, allowed {allowed}: one for each image, in the same order")
    for i, (found, allowed) in enumerate(zip(data["Usage"], images["Usage"], strict=True)):
        if found.strip() != allowed.strip() and not (data["error"][i] or allowed.strip() not in USAGE):
            where = f"{name}, row {i} (line {data['line'][i]})"
            raise InputError(f"{where}: Usage is {found!r}, that of the image {allowed!r}: not in the same order")

    if names:
        _check_names(data, name)

    def read(i: int) -> np.ndarray:
        if data["error"][i]:
            raise data["error"][i]
        return counted([data[c][i] for c in FERPLUS_COLUMNS], f"{name}, row {i} (line {data['line'][i]})")

    return read


def _check_names(data: dict[str, list], name: str) -> None:
    """Refuses votes in another order than the published one, where the numbers in the image names rise, but for 4 of 35,714
    rows (they are not the row numbers)."""
    numbers = [(i, int(m[1])) for i, text in enumerate(data["Image name"]) if (m := _VOTES_IMAGE.fullmatch(text.strip()))]
    falls = [(i, before, found) for (_, before), (i, found) in pairwise(numbers) if found <= before]
    if len(falls) > len(numbers) / 1000:
        i, before, found = falls[0]
        what = f"image {found} behind image {before}: the rows were moved, and votes are joined by row order"
        raise InputError(f"{name}, row {i} (line {data['line'][i]}): {what}; fetch the file again")


LAYOUTS = (
    Layout("fer2013", "parquet", "*.parquet with columns image {bytes, path}, label, usage", _is_parquet, _parquet_rows),
    Layout(
        "fer2013", "csv", f"{' or '.join(_CSV_NAMES)} (emotion, pixels, Usage), with {VOTES_NAME} beside it for FER+ votes",
        lambda path: csv_file(path) is not None, _csv_rows,
    ),
)  # fmt: skip
"""In order of preference: where a folder holds several, the first is read."""
