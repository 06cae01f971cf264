"""FER2013 (Goodfellow et al., 2015) with the FER+ votes (Barsoum et al., 2016), in every layout it is passed around in.

``Training`` is the train split, ``PublicTest`` validation and ``PrivateTest`` test. Parquet and CSV keep the row order of
the original CSV, so that both give the same fingerprint and FER+ votes can be joined by row.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..labels import FER2013, FERPLUS_COLUMNS, VOTE_NAMES, canonical, remap
from .faceset import SPLITS, FaceSet
from .layout import Layout, csv_columns, csv_header, decode_48, is_image, parquet_columns, parquet_files, parquet_schema
from .official import OFFICIAL_COUNTS

USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""Name of a split in the original files -> ours."""

_SHARD_SPLIT = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}
_VOTE_ORDER = [list(FERPLUS_COLUMNS.values()).index(name) for name in VOTE_NAMES]


def _split(usage: object, where: str) -> str:
    try:
        return USAGE[str(usage).strip()]
    except KeyError:
        raise InputError(f"{where}: usage is {usage!r}, allowed: {', '.join(USAGE)}") from None


def _label(value: object, where: str) -> int:
    if str(value).strip() not in {str(k) for k in range(len(FER2013))}:
        raise InputError(f"{where}: label is {value!r}, allowed 0..{len(FER2013) - 1} ({', '.join(FER2013)})")
    return int(value)


# --------------------------------------------------------------------------------------------------------------- parquet


def _is_parquet(path: Path) -> bool:
    files = parquet_files(path)
    return bool(files) and is_image(schema := parquet_schema(files[0])) and "emotion" not in schema.names


def _label_map(file: Path) -> np.ndarray:
    """Stored label -> FER2013 label; another class order is read from the metadata that Hugging Face writes."""
    info = json.loads((parquet_schema(file).metadata or {}).get(b"huggingface", b"{}"))
    names = info.get("info", {}).get("features", {}).get("label", {}).get("names")
    return remap(tuple(names)) if names else np.arange(len(FER2013))


def _read_shard(file: Path) -> dict[str, list]:
    names = parquet_schema(file).names
    votes = [f"ferplus_{c}" for c in FERPLUS_COLUMNS]
    votes = votes if set(votes) <= set(names) else []
    optional = [c for c in ("row", "usage") if c in names]
    data = parquet_columns(file, ["image", "label", *optional, *votes])
    where = [f"{file}, row {i}" for i in range(len(data["label"]))]
    order = _label_map(file)
    for i, (label, at) in enumerate(zip(data["label"], where, strict=True)):
        if not isinstance(label, int) or not 0 <= label < len(order) or order[label] < 0:
            raise InputError(f"{at}: label is {label!r}, allowed 0..{len(FER2013) - 1} ({', '.join(FER2013)})")
        data["label"][i] = order[label]
    if "usage" in data:
        split = [_split(u, at) for u, at in zip(data["usage"], where, strict=True)]
    elif found := re.match("|".join(_SHARD_SPLIT), file.name):
        split = [_SHARD_SPLIT[found[0]]] * len(where)
    else:
        raise InputError(f"{file}: no column 'usage', and the file name does not begin with {', '.join(_SHARD_SPLIT)}")
    images = [decode_48(b, at) for b, at in zip(data["bytes"], where, strict=True)]
    return {
        "images": images, "labels": data["label"], "split": split, "row": data.get("row", []),
        "votes": list(zip(*(data[v] for v in votes), strict=True)) if votes else [],
    }  # fmt: skip


def _read_parquet(path: Path) -> FaceSet:
    shards = [_read_shard(f) for f in sorted(parquet_files(path), key=_shard_order)]
    parts = {k: [x for shard in shards for x in shard[k]] for k in shards[0]}
    n = len(parts["images"])
    order = np.argsort(np.array(parts["row"]), kind="stable") if len(parts["row"]) == n else np.arange(n)
    votes = np.array(parts["votes"], np.uint8)[:, _VOTE_ORDER] if n and len(parts["votes"]) == n else None
    return FaceSet(
        name="fer2013",
        images=np.array(parts["images"], np.uint8).reshape(n, 1, 48, 48)[order],
        labels=np.array(parts["labels"], np.int64)[order],
        split=np.array(parts["split"], dtype=str)[order],
        ids=np.array([f"{i:05d}" for i in range(n)], dtype=str),
        votes=None if votes is None else votes[order],
    )


def _shard_order(file: Path) -> tuple[int, str]:
    """Shards of the train split first, then validation, then test; by name within a split."""
    found = re.match("|".join(_SHARD_SPLIT), file.name)
    return (list(USAGE.values()).index(_SHARD_SPLIT[found[0]]) if found else 0, file.name)


# ------------------------------------------------------------------------------------------------------------------- CSV

_CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
_VOTES_NAME = "fer2013new.csv"


def _csv_file(path: Path) -> Path | None:
    """The CSV at a path: the file itself, or one of the known names in the folder."""
    if path.is_file():
        return path if path.suffix == ".csv" and (path.name in _CSV_NAMES or "pixels" in csv_header(path)) else None
    return next((path / name for name in _CSV_NAMES if (path / name).is_file()), None)


def _pixels(text: str, where: str) -> np.ndarray:
    """(2304,) int64 from numbers separated by spaces; what is wrong is searched for only once something is."""
    try:
        values = np.fromstring(text, np.int64, sep=" ")
    except (DeprecationWarning, ValueError):
        values = np.empty(0)
    if len(values) == 48 * 48 and values.min() >= 0 and values.max() <= 255:
        return values
    words = text.split()
    bad = next((w for w in words if not (w.isascii() and w.isdigit()) or int(w) > 255), None)
    if bad is not None:
        raise InputError(f"{where}: pixel {words.index(bad)} is {bad!r}, allowed integers 0..255")
    raise InputError(f"{where}: {len(words)} pixels, allowed {48 * 48} (48x48)")


def _read_csv(path: Path) -> FaceSet:
    file = _csv_file(path)
    data = csv_columns(file, ["emotion", "pixels", "Usage"])
    where = [f"{file}, row {i} (line {i + 2})" for i in range(len(data["pixels"]))]
    images = np.empty((len(where), 48 * 48), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how NumPy says that a text is not all numbers
        for i, (text, at) in enumerate(zip(data["pixels"], where, strict=True)):
            images[i] = _pixels(text, at)
    return FaceSet(
        name="fer2013",
        images=images.reshape(-1, 1, 48, 48),
        labels=np.array([_label(x, at) for x, at in zip(data["emotion"], where, strict=True)], np.int64),
        split=np.array([_split(x, at) for x, at in zip(data["Usage"], where, strict=True)], dtype=str),
        ids=np.array([f"{i:05d}" for i in range(len(where))], dtype=str),
        votes=_read_votes(file.parent / _VOTES_NAME, data["Usage"]),
    )


def _read_votes(file: Path, usage: list[str]) -> np.ndarray | None:
    """(N, 10) uint8 FER+ votes over ``VOTE_NAMES``, joined by row order; None where the file is not there."""
    if not file.is_file():
        return None
    data = csv_columns(file, ["Usage", *FERPLUS_COLUMNS])
    if len(data["Usage"]) != len(usage):
        raise InputError(f"{file}: {len(data['Usage'])} rows, allowed {len(usage)}: one for each image, in the same order")
    for i, (found, allowed) in enumerate(zip(data["Usage"], usage, strict=True)):
        where = f"{file}, row {i} (line {i + 2})"
        if found.strip() != allowed.strip():
            raise InputError(f"{where}: Usage is {found!r}, that of the image {allowed!r}: not in the same order")
        if bad := [c for c in FERPLUS_COLUMNS if data[c][i] not in _COUNTS]:
            raise InputError(f"{where}: {bad[0]} is {data[bad[0]][i]!r}, allowed a number of votes 0..10")
    return np.array([data[c] for c in FERPLUS_COLUMNS]).T.astype(np.uint8)[:, _VOTE_ORDER]


_COUNTS = {str(i) for i in range(11)}

# ---------------------------------------------------------------------------------------------------------- folder trees

_BY_USAGE = re.compile(rf"({'|'.join(USAGE)})_(\d+)\.(?:jpe?g|png)")
_BY_NUMBER = re.compile(r"im(\d+)\.(?:jpe?g|png)")


def _tree_files(path: Path) -> Iterator[Path]:
    for folder in ("train", "test"):
        for parent in sorted((path / folder).glob("*/")):
            yield from sorted(x for x in parent.iterdir() if not x.name.startswith("."))


def _is_tree(path: Path, pattern: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(file.name) for file in islice(_tree_files(path), 100))


def _tree_rows(path: Path, pattern: re.Pattern[str], allowed: str) -> list[tuple[int, int, Path, re.Match[str]]]:
    """(label, number, file, match) of each image below ``train/`` and ``test/``."""
    rows = []
    for file in _tree_files(path):
        try:
            label = FER2013.index(canonical(file.parent.name))
        except ValueError:
            raise InputError(f"{file}: class folder {file.parent.name!r}, allowed: {', '.join(FER2013)}") from None
        if not (found := pattern.fullmatch(file.name)):
            raise InputError(f"{file}: file name is {file.name!r}, allowed {allowed}")
        rows.append((label, int(found[found.re.groups]), file, found))
    return rows


def _tree(path: Path, rows: list[tuple[str, int, int, Path]]) -> FaceSet:
    """The set of (split, label, number, file), ordered by split, class and number. Without votes: the rows are not known."""
    rows = sorted(rows, key=lambda r: (SPLITS.index(r[0]), *r[1:]))
    images = [decode_48(file.read_bytes(), str(file)) for *_, file in rows]
    return FaceSet(
        name="fer2013",
        images=np.array(images, np.uint8).reshape(-1, 1, 48, 48),
        labels=np.array([r[1] for r in rows], np.int64),
        split=np.array([r[0] for r in rows], dtype=str),
        ids=np.array([r[3].relative_to(path).as_posix() for r in rows], dtype=str),
    )


def _read_by_usage(path: Path) -> FaceSet:
    """The usage is in the file name; the number beside it goes up to 10^8 and is no row number."""
    rows = _tree_rows(path, _BY_USAGE, f"{{{','.join(USAGE)}}}_NUMBER.jpg")
    return _tree(path, [(USAGE[found[1]], label, number, file) for label, number, file, found in rows])


def _read_by_number(path: Path) -> FaceSet:
    """PublicTest images were numbered before PrivateTest images, so the first of each class in ``test/`` are validation."""
    rows = sorted(_tree_rows(path, _BY_NUMBER, "imNUMBER.png"), key=lambda r: r[:3])
    left = list(OFFICIAL_COUNTS["fer2013"]["validation"])
    named = []
    for label, number, file, _ in rows:
        split = "train" if file.parent.parent.name == "train" else "validation" if left[label] > 0 else "test"
        left[label] -= split == "validation"
        named.append((split, label, number, file))
    return _tree(path, named)


LAYOUTS = (
    Layout("fer2013", "parquet", "*.parquet with columns image {bytes, path}, label, usage", _is_parquet, _read_parquet),
    Layout(
        "fer2013", "csv", f"{' or '.join(_CSV_NAMES)} (emotion, pixels, Usage), with {_VOTES_NAME} beside it for FER+ votes",
        lambda path: _csv_file(path) is not None, _read_csv,
    ),
    Layout(
        "fer2013", "folders with usage", "train|test/CLASS/{Training,PublicTest,PrivateTest}_N.jpg",
        lambda path: _is_tree(path, _BY_USAGE), _read_by_usage,
    ),
    Layout(
        "fer2013", "folders with numbers", "train|test/CLASS/imN.png",
        lambda path: _is_tree(path, _BY_NUMBER), _read_by_number,
    ),
)  # fmt: skip
"""In order of preference: where a folder holds several, the first is read."""
