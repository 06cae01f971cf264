"""muxspace/facial_expressions: 13,690 faces with eight emotions, for transfer from and to FER2013.

It has no split of its own. Ours is by person, 80/10/10, so that nobody is in two splits; a person is the file name
without its number (``First_Last_0001.jpg``). Names are replaced by salted hashes and appear nowhere. ``contempt``, which
FER2013 does not have, is dropped and counted in ``FaceSet.attributes.attrs["dropped"]``.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ..errors import InputError
from ..labels import FER2013, canonical
from .faceset import FaceSet
from .layout import Layout, csv_columns, decode, is_image, parquet_columns, parquet_files, parquet_schema

log = logging.getLogger(__name__)

SALT = "fer-study/muxspace/7"
"""Constant that goes before every hashed name, so that hashes stay the same and match those of no other project. The split
follows from it: of the numbers 1 to 40, 7 leaves the rarest classes (disgust and fear) the most images in each split."""

_PERSON = re.compile(r"(.+)_\d+\.(?:jpe?g|png)", re.IGNORECASE)


def hashed(name: str) -> str:
    """12 hexadecimal digits of the salted SHA-256 of a name."""
    return hashlib.sha256(f"{SALT}/{name}".encode()).hexdigest()[:12]


def split_of(code: str) -> str:
    """Split of a hashed name: 80 % train, 10 % validation, 10 % test, the same on every machine."""
    tenth = int(code, 16) % 10
    return "train" if tenth < 8 else "validation" if tenth == 8 else "test"


def square_48(picture: Image.Image) -> np.ndarray:
    """(48, 48) uint8: padded to a square by repeating the border, then reduced with an anti-aliasing filter.

    Padding, not cropping: the crops are tight, and the mouth is often at the lower border of the tall ones.
    """
    pixels = np.asarray(picture)
    (height, width), side = pixels.shape, max(pixels.shape)
    top, left = (side - height) // 2, (side - width) // 2
    pixels = np.pad(pixels, ((top, side - height - top), (left, side - width - left)), mode="edge")
    return np.asarray(Image.fromarray(pixels).resize((48, 48), Image.Resampling.BICUBIC))


def _face_set(rows: list[tuple[str, str, str, bytes | Path]], source: Path) -> FaceSet:
    """The set of (file name, emotion, labeller, image file or its bytes), in this order; ids are row numbers."""
    images, labels, split, ids, people, labellers = [], [], [], [], [], []
    dropped: Counter[str] = Counter()
    for i, (name, emotion, labeller, content) in enumerate(rows):
        where = f"{source}, row {i}"
        try:
            emotion = canonical(emotion)
        except InputError:
            raise InputError(f"{where}: emotion is {emotion!r}, allowed: {', '.join(FER2013)}, contempt") from None
        if emotion not in FER2013:
            dropped[emotion] += 1
            continue
        person = found[1] if (found := _PERSON.fullmatch(name)) else None
        if isinstance(content, Path) and not content.is_file():
            raise InputError(f"{where}: its image is not in {content.parent}")
        images.append(square_48(decode(content.read_bytes() if isinstance(content, Path) else content, where)))
        labels.append(FER2013.index(emotion))
        split.append(split_of(hashed(person or name)))
        ids.append(f"{i:05d}")
        people.append(person and hashed(person))
        labellers.append(hashed(labeller))
    attributes = pd.DataFrame({"person": people, "labeller": labellers}, dtype=object)
    attributes.attrs["dropped"] = dict(dropped)
    for emotion, count in dropped.items():
        log.info("%s: %d images of %s dropped, FER2013 has no such class", source, count, emotion)
    return FaceSet(
        name="muxspace",
        images=np.array(images, np.uint8).reshape(-1, 1, 48, 48),
        labels=np.array(labels, np.int64),
        split=np.array(split, dtype=str),
        ids=np.array(ids, dtype=str),
        attributes=attributes,
    )


def _is_parquet(path: Path) -> bool:
    files = parquet_files(path)
    return bool(files) and is_image(schema := parquet_schema(files[0])) and "emotion" in schema.names


def _read_parquet(path: Path) -> FaceSet:
    rows = []
    for file in parquet_files(path):
        data = parquet_columns(file, ["image", "emotion", "user_id"])
        rows += zip(data["path"], data["emotion"], map(str, data["user_id"]), data["bytes"], strict=True)
    return _face_set(rows, path)


def _legend(path: Path) -> Path | None:
    return next((x for x in (path / "data" / "legend.csv", path / "legend.csv") if x.is_file()), None)


def _read_legend(path: Path) -> FaceSet:
    legend = _legend(path)
    data = csv_columns(legend, ["user.id", "image", "emotion"])
    files = [path / "images" / name for name in data["image"]]
    return _face_set(list(zip(data["image"], data["emotion"], data["user.id"], files, strict=True)), legend)


LAYOUTS = (
    Layout(
        "muxspace", "parquet", "*.parquet with columns image {bytes, path}, emotion, user_id", _is_parquet, _read_parquet
    ),
    Layout(
        "muxspace", "legend", "legend.csv or data/legend.csv (user.id, image, emotion) and images/",
        lambda path: _legend(path) is not None, _read_legend,
    ),
)  # fmt: skip
