"""FER2013 (Goodfellow et al., 2015) with the FER+ votes (Barsoum et al., 2016), in every layout it is passed around in.

``Training`` is the train split, ``PublicTest`` validation and ``PrivateTest`` test. Parquet and CSV keep the row order of
the original CSV, so that both give the same fingerprint and FER+ votes can be joined by row.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..labels import FER2013, FERPLUS_COLUMNS, VOTE_NAMES, remap
from .faceset import FaceSet
from .layout import Layout, decode_48, is_image, parquet_columns, parquet_files, parquet_schema

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
        if label is None or not 0 <= label < len(order) or order[label] < 0:
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


LAYOUTS = (
    Layout("fer2013", "parquet", "*.parquet with columns image {bytes, path}, label, usage", _is_parquet, _read_parquet),
)
