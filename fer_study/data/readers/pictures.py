"""Pictures: from the bytes of an image file to the pixels of a FaceSet."""

from __future__ import annotations

import io
import stat
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..rows import BadRow, Options, printable

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM", "GIF")

LARGEST = 64 * 2**20
"""Bytes of an image file, and of an image in a table, at most."""

MOST_PIXELS = 50_000_000
"""Pixels of a picture at most: it is unpacked whole, and takes up to four bytes for each."""

BRIGHT = 2**14
"""Highest gray level that a picture of 16 bits has at least: cameras of 10, 12 and 14 bits, and
pictures of 8 bits that were saved with 16 as they are, stay below it, and divided by 257 would be
dark or black."""

BRIGHT_AS_BYTE = 16
"""The same of a picture whose levels are 0..255 in numbers of 32 bits: below it, they are shares of
1."""


def decode(data: bytes | None, where: str) -> Image.Image:
    """Decodes the bytes of an image file, whatever its name ends with.

    Raises:
        BadRow: the bytes are no image, or only a part of one; it is too large; or its gray levels
            would all be dark.
    """
    if len(data := data or b"") > LARGEST:
        what = f"an image file of {len(data)} bytes or more, allowed: {LARGEST}"
        raise BadRow(where, "picture too large", what, "save it smaller")
    try:
        with warnings.catch_warnings():
            # Pillow would print one for each picture above a limit of its own
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
        if picture.width * picture.height > MOST_PIXELS:
            raise _too_large(where, f"{picture.width}x{picture.height}")
        deep = any(";16" in str(part) for part in picture.tile)
        picture.load()
    except BadRow:
        raise
    except Image.DecompressionBombError:
        raise _too_large(where, "far more") from None
    except (OSError, SyntaxError, ValueError):
        what = f"cannot decode the image ({len(data)} bytes); allowed: {', '.join(FORMATS)}"
        raise BadRow(where, "image cannot be decoded", what) from None
    _check_levels(picture, deep, where)
    return picture


def _too_large(where: str, size: str) -> BadRow:
    what = f"a picture of {size} pixels, allowed: {MOST_PIXELS} in all"
    return BadRow(where, "picture too large", what, "save it smaller")


def _check_levels(picture: Image.Image, deep: bool, where: str) -> None:
    """Refuses gray levels of more than 8 bits whose range is not known or hardly used.

    Args:
        deep: the file has 16 bits a channel; of colours, Pillow keeps the upper 8.
    """

    def refuse(what: str) -> None:
        advice = "save the pictures with 8 bits, black as 0 and white as 255"
        raise BadRow(where, "gray levels not allowed", what, advice)

    bright = f"from {BRIGHT} on somewhere (white is 65535)"
    if picture.mode in ("I", "F"):
        low, high = np.asarray(picture).min(), np.asarray(picture).max()
        if not (low >= 0 and BRIGHT_AS_BYTE <= high <= 255):
            allowed = f"0..255, and from {BRIGHT_AS_BYTE} on somewhere"
            levels = f"gray levels of {low:g}..{high:g}"
            refuse(f"{levels} in a picture of mode {picture.mode}, allowed: {allowed}")
    elif picture.mode.startswith("I;16"):
        if getattr(picture, "tag_v2", {}).get(262) == 0:
            refuse("gray levels of 16 bits where 0 is white, allowed: 0 is black")
        if (high := int(np.asarray(picture).max())) < BRIGHT:
            refuse(f"gray levels of at most {high} in 16 bits, allowed: {bright}")
    elif deep:
        bands = zip(picture.getbands(), np.atleast_2d(picture.getextrema()), strict=True)
        if (high := max(int(top) for band, (_, top) in bands if band != "A")) < BRIGHT // 256:
            refuse(f"colours below {256 * (high + 1)} in 16 bits, allowed: {bright}")


def image_bytes(file: Path, where: str) -> bytes:
    """Reads an image file, up to one byte more than is allowed.

    Raises:
        BadRow: it is a device or a pipe, which may have no end.
        OSError, ValueError: it is missing or cannot be read; there is a zero byte in its name.
    """
    about = file.stat()
    if not stat.S_ISREG(about.st_mode):
        what = "is no ordinary file (a device, a pipe or a folder)"
        raise BadRow(where, "no ordinary file", what, "remove it")
    with file.open("rb") as lines:
        return lines.read(min(about.st_size, LARGEST) + 1)


def open_image(file: Path) -> Image.Image:
    """Opens the picture in a file.

    Raises:
        BadRow: the file is missing, cannot be read, or is no image.
    """
    where = printable(file)
    if file.is_dir():
        what = "a folder without images where images are expected"
        raise BadRow(where, "class without images", what)
    try:
        data = image_bytes(file, where)
    except BadRow:
        raise
    except (OSError, ValueError) as error:
        what = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise BadRow(where, "image file missing", what) from None
    return decode(data, where)


def open_upright(file: Path) -> Image.Image:
    """Opens the picture in a file, turned as its EXIF orientation says, if that can be read.

    Raises:
        BadRow: as ``open_image``.
    """
    return upright(open_image(file))


def upright(picture: Image.Image) -> Image.Image:
    """Turns a picture as its EXIF orientation says, if that can be read."""
    try:
        return ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return picture


def crop_image(
    file: Path, box: tuple[float, float, float, float] | None, where: str
) -> Image.Image:
    """Cuts a face out of the picture in a file.

    Args:
        box: left, top, right and bottom in pixels; what lies outside the picture is cut off; None
            takes the whole.

    Raises:
        BadRow: the picture cannot be opened, or nothing of the box is in it.
    """
    picture = open_image(file)
    return picture if box is None else cut_out(picture, box, where)


def cut_out(
    picture: Image.Image, box: tuple[float, float, float, float], where: str
) -> Image.Image:
    """Cuts a box out of a picture; what of it lies outside is cut off.

    Raises:
        BadRow: less than two pixels of the box are in it, in height or in width.
    """
    inside = np.clip(np.nan_to_num(box), 0, [picture.width, picture.height] * 2).astype(int)
    if not np.isfinite(box).all() or inside[2] - inside[0] < 2 or inside[3] - inside[1] < 2:
        what = f"face box is {box} in a picture of {picture.width}x{picture.height}"
        raise BadRow(where, "box not allowed", what)
    return picture.crop(tuple(int(x) for x in inside))


def pixels(picture: Image.Image, options: Options, where: str = "image") -> np.ndarray:
    """Makes (C, S, S) uint8: padded to a square by repeating the border, then resized.

    Padding, not cropping: face crops are tight, and the mouth is often at the lower border of the
    tall ones.

    Raises:
        BadRow: the picture has no gray levels or colours of 8 or 16 bits.
    """
    try:
        values = np.asarray(eight_bits(picture).convert("RGB" if options.colour else "L"))
    except ValueError:
        what = f"a picture of mode {picture.mode}, allowed: gray or RGB"
        raise BadRow(where, "kind of picture not allowed", what) from None
    height, width = values.shape[:2]
    if height != width:
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        around = (
            (top, side - height - top),
            (left, side - width - left),
            *[(0, 0)] * (values.ndim - 2),
        )
        values = np.pad(values, around, mode="edge")
    if len(values) != options.size:
        size = (options.size, options.size)
        values = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC))
    return np.moveaxis(np.atleast_3d(values), 2, 0)


def eight_bits(picture: Image.Image) -> Image.Image:
    """Brings a picture of more than 8 bits to 8; ``convert`` would cut it off at 255.

    Those of 16 bits are divided by 257; those of 32 bits and of floating point are 0..255 already
    (``_check_levels``).
    """
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    if picture.mode in ("I", "F"):
        return Image.fromarray(np.rint(np.asarray(picture)).astype(np.uint8))
    return picture
