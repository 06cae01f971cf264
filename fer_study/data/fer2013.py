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
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import InputError
from ..labels import FER2013, FERPLUS_COLUMNS, NATIVE, VOTE_NAMES, canonical, label_map
from .faceset import SPLITS
from .layout import Layout, csv_columns, csv_header, is_image, parquet_columns, parquet_files, parquet_schema
from .pictures import decode
from .rows import BadRow, Face, Options, Row, printable, refuse

USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""Name of a split in the original files -> ours."""

_SHARD_SPLIT = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}
VOTE_ORDER = [list(FERPLUS_COLUMNS.values()).index(name) for name in VOTE_NAMES]
"""Column of ``fer2013new.csv`` of each of ``VOTE_NAMES``."""


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
    return bool(files) and is_image(schema := parquet_schema(files[0])) and "emotion" not in schema.names


def _names(file: Path) -> dict[int, str]:
    """Stored label -> class; another class order is read from the metadata that Hugging Face writes."""
    try:
        info = json.loads((parquet_schema(file).metadata or {}).get(b"huggingface", b"{}"))
        names = info.get("info", {}).get("features", {}).get("label", {}).get("names")
    except (ValueError, AttributeError):
        raise InputError(f"{printable(file)}: its Hugging Face metadata cannot be read") from None
    if not names:
        return NATIVE["fer2013"]
    label_map(names)
    return dict(enumerate(map(canonical, names)))


def _shard(file: Path) -> list[tuple[int, Callable[[int], Row]]]:
    """(row number, or 0 where there is none, and what makes its Row from its place) of each row of a file."""
    columns = parquet_schema(file).names
    votes = [f"ferplus_{c}" for c in FERPLUS_COLUMNS]
    votes = votes if set(votes) <= set(columns) else []
    data = parquet_columns(file, ["image", "label", *[c for c in ("row", "usage") if c in columns], *votes])
    name = re.match("|".join(_SHARD_SPLIT), file.name)
    if "usage" not in data and not name:
        raise InputError(
            f"{printable(file)}: no column 'usage', and the file name does not begin with {', '.join(_SHARD_SPLIT)}"
        )
    crowd = np.array([data[v] for v in votes]).T[:, VOTE_ORDER] if votes and data["label"] else None
    names, source = _names(file), printable(file)

    def read(i: int, place: int) -> Face:
        where, label = f"{source}, row {i}", data["label"][i]
        if not isinstance(label, int) or label not in names:
            raise _wrong_label(label, where)
        split = _split(data["usage"][i], where) if "usage" in data else _SHARD_SPLIT[name[0]]
        return Face(
            lambda: checked_size(decode(data["bytes"][i], where), where), names[label], split, f"{place:05d}",
            None if crowd is None else crowd[i],
        )  # fmt: skip

    numbers = data.get("row", [0] * len(data["label"]))
    return [(number, lambda place, i=i: partial(read, i, place)) for i, number in enumerate(numbers)]


def _parquet_rows(path: Path, _: Options) -> list[Row]:
    made = [row for file in sorted(parquet_files(path), key=_shard_order) for row in _shard(file)]
    made.sort(key=lambda row: row[0])  # stable: without numbers, the order of the files
    return [make(place) for place, (_, make) in enumerate(made)]


def _shard_order(file: Path) -> tuple[int, str]:
    """Shards of the train split first, then validation, then test; by name within a split."""
    found = re.match("|".join(_SHARD_SPLIT), file.name)
    return (SPLITS.index(_SHARD_SPLIT[found[0]]) if found else 0, file.name)


# ------------------------------------------------------------------------------------------------------------------- CSV

_CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
VOTES_NAME = "fer2013new.csv"


def csv_file(path: Path) -> Path | None:
    """The CSV at a path: the file itself, or one of the known names in the folder."""
    if path.is_file():
        return path if path.suffix == ".csv" and (path.name in _CSV_NAMES or "pixels" in csv_header(path)) else None
    return next((path / name for name in _CSV_NAMES if (path / name).is_file()), None)


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
    data = csv_columns(file, ["emotion", "pixels", "Usage"])
    votes, source = _votes(file.parent / VOTES_NAME, data["Usage"]), printable(file)

    def read(i: int) -> Face:
        line = data["line"][i]
        where, label = f"{source}, row {line - 2} (line {line})", data["emotion"][i].strip()
        if label not in {str(k) for k in range(len(FER2013))}:
            raise _wrong_label(data["emotion"][i], where)
        split = _split(data["Usage"][i], where)
        crowd = None if votes is None else votes[i]
        return Face(lambda: _picture(data["pixels"][i], where), FER2013[int(label)], split, f"{line - 2:05d}", crowd)

    return [partial(read, i) for i in range(len(data["pixels"]))] + [refuse(error) for error in data["bad"]]


def _votes(file: Path, usage: list[str]) -> np.ndarray | None:
    """(N, 10) uint8 FER+ votes over ``VOTE_NAMES``, joined by row order; None where the file is not there."""
    if not file.is_file():
        return None
    data, name = csv_columns(file, ["Usage", *FERPLUS_COLUMNS]), printable(file)
    if data["bad"]:
        raise data["bad"][0]
    if len(data["Usage"]) != len(usage):
        raise InputError(f"{name}: {len(data['Usage'])} rows, allowed {len(usage)}: one for each image, in the same order")
    for i, (found, allowed) in enumerate(zip(data["Usage"], usage, strict=True)):
        where = f"{name}, row {i} (line {i + 2})"
        if found.strip() != allowed.strip():
            raise InputError(f"{where}: Usage is {found!r}, that of the image {allowed!r}: not in the same order")
        if bad := [c for c in FERPLUS_COLUMNS if data[c][i] not in _COUNTS]:
            raise InputError(f"{where}: {bad[0]} is {data[bad[0]][i]!r}, allowed a number of votes 0..10")
    return np.array([data[c] for c in FERPLUS_COLUMNS]).T.astype(np.uint8)[:, VOTE_ORDER]


_COUNTS = {str(i) for i in range(11)}

LAYOUTS = (
    Layout("fer2013", "parquet", "*.parquet with columns image {bytes, path}, label, usage", _is_parquet, _parquet_rows),
    Layout(
        "fer2013", "csv", f"{' or '.join(_CSV_NAMES)} (emotion, pixels, Usage), with {VOTES_NAME} beside it for FER+ votes",
        lambda path: csv_file(path) is not None, _csv_rows,
    ),
)  # fmt: skip
"""In order of preference: where a folder holds several, the first is read."""
