"""From rows to a FaceSet: readers list rows, and this one place decodes, resizes and counts what is left out."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from ..errors import InputError
from ..labels import EIGHT, FER2013
from .faceset import FaceSet

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM", "GIF")
ANNOTATIONS = ("majority", "probability", "crossentropy", "multi_target")


class BadRow(InputError):
    """One row or file is wrong.

    Attributes:
        reason: a few words that group such errors when they are skipped and counted.
    """

    def __init__(self, where: str, reason: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.reason = reason


@dataclass(frozen=True)
class Options:
    """How a dataset is read.

    Attributes:
        size: side of the images; other sizes are padded to a square and resized.
        classes: 7 (``labels.FER2013``) or 8 (with contempt); images of other classes are dropped and counted.
        colour: three channels instead of gray.
        annotation: how FER+ votes become a label (``ferplus.distribution``).
        skip_bad: leave out rows that are wrong, and count them, instead of stopping at the first.
    """

    size: int = 48
    classes: int = 7
    colour: bool = False
    annotation: str = "majority"
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 1024:
            raise InputError(f"size is {self.size}, allowed: 16..1024")
        if self.classes not in (7, 8):
            raise InputError(f"classes is {self.classes}, allowed: 7 and 8 (with contempt)")
        if self.annotation not in ANNOTATIONS:
            raise InputError(f"annotation is {self.annotation!r}, allowed: {', '.join(ANNOTATIONS)}")

    @property
    def names(self) -> tuple[str, ...]:
        return FER2013 if self.classes == 7 else EIGHT


class Face(NamedTuple):
    """What a row says.

    Attributes:
        picture: opens the picture; raises ``BadRow`` where it cannot.
        label: canonical class name; one that the set does not have is dropped.
        split: ``train``, ``validation`` or ``test``.
        id: unique in the set.
        votes: (10,) over ``labels.VOTE_NAMES``, or None.
        target: (K,) distribution over the classes that the dataset defines, or None.
        attributes: ``person`` and the like.
    """

    picture: Callable[[], Image.Image]
    label: str
    split: str
    id: str
    votes: Sequence[int] | None = None
    target: Sequence[float] | None = None
    attributes: dict[str, Any] = {}  # noqa: RUF012


Row = Callable[[], Face]
"""Reads one row; raises ``BadRow`` where it is wrong."""


def refuse(error: BadRow) -> Row:
    """A row that was found wrong when it was listed."""

    def read() -> Face:
        raise error

    return read


@dataclass
class Left:
    """What a set does without: rows by reason, with the first lines of each, and images of classes that it does not have."""

    out: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    lines: list[tuple[str, str]] = field(default_factory=list)

    def count(self, error: BadRow, most: int = 5) -> None:
        self.out[error.reason] += 1
        if self.out[error.reason] <= most:
            self.lines.append((error.reason, str(error)))


def collect(
    name: str, rows: Sequence[Row], options: Options, write: Callable[[np.ndarray], object], left: Left
) -> dict[str, Any]:
    """Reads rows one after the other.

    Args:
        write: takes the (C, S, S) uint8 pixels of every image that is kept, in order.
        left: counts what is not kept.

    Returns:
        The arguments of ``FaceSet``, without images.

    Raises:
        BadRow: a row is wrong, unless they are skipped.
    """
    faces, names, seen = [], options.names, {}
    for number, row in enumerate(tqdm(rows, desc=name, unit="image", disable=len(rows) < 50_000, mininterval=2)):
        try:
            face = row()
            if face.id in seen:
                where = f"{name}, row {number} ({face.id})"
                raise BadRow(where, "twice", f"the same image as row {seen[face.id]}")
            if face.label not in names:
                left.dropped[face.label] += 1
                continue
            picture = face.picture()
            if min(picture.size) < 8 or max(picture.size) > 4 * min(picture.size):
                what = (
                    f"a picture of {picture.width}x{picture.height}, allowed: sides from 8 px, one at most 4 times the other"
                )
                raise BadRow(f"{name}, row {number} ({face.id})", "no face has this shape", what)
            write(pixels(picture, options))
        except BadRow as error:
            if not options.skip_bad:
                raise
            left.count(error)
            continue
        seen[face.id] = number
        faces.append(face._replace(picture=None))
    votes, targets = ([getattr(f, key) for f in faces] for key in ("votes", "target"))
    return {
        "name": name,
        "labels": np.array([names.index(f.label) for f in faces], np.int64),
        "split": np.array([f.split for f in faces], dtype=str),
        "ids": np.array([f.id for f in faces], dtype=str),
        "votes": np.array(votes, np.uint8) if faces and all(v is not None for v in votes) else None,
        "targets": np.array(targets, np.float32) if faces and all(t is not None for t in targets) else None,
        "attributes": pd.DataFrame([f.attributes for f in faces], dtype=object),
        "classes": names,
        "dropped": dict(left.dropped),
        "left_out": dict(left.out),
    }


def face_set(name: str, rows: Sequence[Row], options: Options, left: Left) -> FaceSet:
    """The set of some rows, in memory."""
    images = np.empty((len(rows), 3 if options.colour else 1, options.size, options.size), np.uint8)
    number = iter(range(len(rows)))
    parts = collect(name, rows, options, lambda x: images.__setitem__(next(number), x), left)
    return FaceSet(images=images[: len(parts["labels"])], **parts)


def pixels(picture: Image.Image, options: Options) -> np.ndarray:
    """(C, S, S) uint8: padded to a square by repeating the border, then resized with an anti-aliasing filter.

    Padding, not cropping: face crops are tight, and the mouth is often at the lower border of the tall ones.
    """
    if picture.mode.startswith("I") or picture.mode == "F":  # 16 bits and more, which ``convert`` would cut off at 255
        picture = Image.fromarray((np.asarray(picture).astype(np.float64) / 257).clip(0, 255).astype(np.uint8))
    values = np.asarray(picture.convert("RGB" if options.colour else "L"))
    height, width = values.shape[:2]
    if height != width:
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        around = ((top, side - height - top), (left, side - width - left), *[(0, 0)] * (values.ndim - 2))
        values = np.pad(values, around, mode="edge")
    if len(values) != options.size:
        values = np.asarray(Image.fromarray(values).resize((options.size,) * 2, Image.Resampling.BICUBIC))
    return np.moveaxis(np.atleast_3d(values), 2, 0)


def printable(path: str | Path) -> str:
    """A path as one line of text, whatever bytes are in it."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def decode(data: bytes | None, where: str) -> Image.Image:
    """A picture from the bytes of an image file, whatever its name ends with.

    Raises:
        BadRow: the bytes are no image, or only a part of one.
    """
    try:
        picture = Image.open(io.BytesIO(data or b""), formats=FORMATS)
        picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        what = f"cannot decode the image ({len(data or b'')} bytes); allowed: {', '.join(FORMATS)}"
        raise BadRow(where, "image cannot be decoded", what) from None
    return picture


def open_image(file: Path) -> Image.Image:
    """The picture in a file.

    Raises:
        BadRow: the file is missing, cannot be read, or is no image.
    """
    if file.is_dir():
        raise BadRow(printable(file), "class without images", "a folder without images where images are expected")
    try:
        data = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        what = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise BadRow(printable(file), "image file missing", what) from None
    return decode(data, printable(file))


def cropped(file: Path, box: tuple[float, float, float, float] | None, where: str) -> Image.Image:
    """A face cut out of a picture.

    Args:
        box: left, top, right and bottom in pixels; what lies outside the picture is cut off; None takes the whole.

    Raises:
        BadRow: the picture cannot be opened, or nothing of the box is in it.
    """
    picture = open_image(file)
    if box is None:
        return picture
    inside = np.clip(np.nan_to_num(box, nan=-1), 0, [picture.width, picture.height] * 2).astype(int)
    if inside[2] - inside[0] < 2 or inside[3] - inside[1] < 2:
        raise BadRow(where, "box not allowed", f"face box is {box} in a picture of {picture.width}x{picture.height}")
    return picture.crop(tuple(int(x) for x in inside))
