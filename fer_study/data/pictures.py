"""Pictures: from the bytes of an image file to the pixels of a FaceSet."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .rows import BadRow, Options, printable

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM", "GIF")


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


def upright(file: Path) -> Image.Image:
    """The picture in a file, turned as its EXIF orientation says, if that can be read.

    Raises:
        BadRow: as ``open_image``.
    """
    picture = open_image(file)
    try:
        return ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return picture


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
    inside = np.clip(np.nan_to_num(box), 0, [picture.width, picture.height] * 2).astype(int)
    if not np.isfinite(box).all() or inside[2] - inside[0] < 2 or inside[3] - inside[1] < 2:
        raise BadRow(where, "box not allowed", f"face box is {box} in a picture of {picture.width}x{picture.height}")
    return picture.crop(tuple(int(x) for x in inside))


def pixels(picture: Image.Image, options: Options, where: str = "image") -> np.ndarray:
    """(C, S, S) uint8: padded to a square by repeating the border, then resized with an anti-aliasing filter.

    Padding, not cropping: face crops are tight, and the mouth is often at the lower border of the tall ones.

    Raises:
        BadRow: the picture has no gray levels or colours of 8 or 16 bits.
    """
    try:
        values = np.asarray(_eight_bits(picture, where).convert("RGB" if options.colour else "L"))
    except BadRow:
        raise
    except ValueError:
        what = f"a picture of mode {picture.mode}, allowed: gray or RGB"
        raise BadRow(where, "kind of picture not allowed", what) from None
    height, width = values.shape[:2]
    if height != width:
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        around = ((top, side - height - top), (left, side - width - left), *[(0, 0)] * (values.ndim - 2))
        values = np.pad(values, around, mode="edge")
    if len(values) != options.size:
        values = np.asarray(Image.fromarray(values).resize((options.size,) * 2, Image.Resampling.BICUBIC))
    return np.moveaxis(np.atleast_3d(values), 2, 0)


def _eight_bits(picture: Image.Image, where: str) -> Image.Image:
    """A picture of more than 8 bits (which ``convert`` would cut off at 255) with 8: those of 16 bits are divided by 257; in
    those of 32 bits and of floating point, whose range is not known, gray levels have to be 0..255 already.

    Raises:
        BadRow: they are not; or they go up to 1 only, and would all be black.
    """
    if not (picture.mode.startswith("I") or picture.mode == "F"):
        return picture
    values = np.asarray(picture).astype(np.float64)
    if picture.mode.startswith("I;16"):
        values = values / 257
    elif not (values.min() >= 0 and 1 < values.max() <= 255):
        what = f"gray levels of {values.min():g}..{values.max():g} in a picture of mode {picture.mode}, allowed: 0..255"
        raise BadRow(where, "gray levels not allowed", what)
    return Image.fromarray(np.rint(values).astype(np.uint8) if picture.mode == "F" else values.astype(np.uint8))
