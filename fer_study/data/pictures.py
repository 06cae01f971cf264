"""Pictures: from the bytes of an image file to the pixels of a FaceSet."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

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
