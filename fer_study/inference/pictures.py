"""From files, arrays and videos to upright pictures, and the faces in them."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from ..data.readers.files import JUNK, PICTURES
from ..data.readers.pictures import eight_bits, open_upright
from ..data.rows import BadRow, printable
from ..settings.errors import InputError

log = logging.getLogger(__name__)

Source = str | Path | Image.Image | np.ndarray
Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""

ENDINGS = (*PICTURES, ".gif", ".webp", ".ppm", ".pgm")
VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg")
SIDE, SMALLEST = 640, 40
"""Faces are looked for in a copy of this longer side, from this size on."""


class Seen(NamedTuple):
    """A picture, or a frame of a video: its number from 0, and its time in seconds; ``path`` is
    what messages call it."""

    path: str
    picture: Image.Image
    frame: int | None = None
    time: float | None = None


def as_list(pictures: Source | list[Source]) -> list[Source]:
    """List one picture, or several; of a folder, the pictures and videos in it, by name.

    Files of other kinds in a folder are passed over; a folder without pictures stays as it is.
    """
    if isinstance(pictures, str | Path | Image.Image | np.ndarray):
        pictures = [pictures]
    listed: list[Source] = []
    for source in pictures:
        inside = []
        if isinstance(source, str | Path) and Path(source).is_dir():
            inside = sorted(x for x in Path(source).rglob("*") if is_picture(x, Path(source)))
        listed += inside or [source]
    return listed


def is_picture(file: Path, folder: Path) -> bool:
    """Say whether a file in a folder is called like a picture or a video, and is not hidden."""
    hidden = any(JUNK.fullmatch(part) for part in file.relative_to(folder).parts)
    return file.suffix.lower() in (*ENDINGS, *VIDEOS) and not hidden and not file.is_dir()


def frames(source: Source, name: str, every: float) -> Iterator[Seen]:
    """Open what is to be seen in a source, one picture after the other.

    Of an animated picture it is the first frame, and the log says so.

    Args:
        name: what messages call it.
        every: seconds between two frames of a video; 0: every frame.

    Raises:
        BadRow: it cannot be opened, or a video ends before its end.
    """
    if isinstance(source, np.ndarray):
        grey_or_colour = source.ndim == 2 or (source.ndim == 3 and source.shape[2] == 3)
        if source.dtype != np.uint8 or not grey_or_colour or not source.size:
            what = f"an array {source.shape} {source.dtype}, allowed: (H, W) or (H, W, 3) uint8"
            raise BadRow(name, "array not allowed", what)
        yield Seen(name, Image.fromarray(source))
    elif isinstance(source, Image.Image):
        yield Seen(name, ImageOps.exif_transpose(source))
    elif Path(source).suffix.lower() in VIDEOS and Path(source).is_file():
        yield from video(Path(source), name, every)
    elif Path(source).is_dir():
        raise BadRow(name, "no pictures", "a folder without pictures")
    else:
        yield Seen(name, open_upright(Path(source)))
        with Image.open(source) as picture:
            if (count := getattr(picture, "n_frames", 1)) > 1:
                log.info("%s: the first of its %d frames; a video is read frame by frame",
                         name, count)  # fmt: skip


def video(file: Path, name: str, every: float) -> Iterator[Seen]:
    """Read frames of a video.

    Raises:
        BadRow: it is no video, or ends half a second or more before the end that it states.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # it would write to the terminal itself
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    import cv2  # half a second to import

    film = cv2.VideoCapture(str(file))
    try:
        rate, count = film.get(cv2.CAP_PROP_FPS), int(film.get(cv2.CAP_PROP_FRAME_COUNT))
        if not film.isOpened() or not rate > 0:
            raise BadRow(name, "video cannot be decoded", "cannot be read as a video")
        step, frame = max(1, round(every * rate)), 0
        while film.grab():
            if frame % step == 0 and (got := film.retrieve())[0]:
                yield Seen(name, Image.fromarray(got[1][..., ::-1]), frame, round(frame / rate, 3))
            frame += 1
    finally:
        film.release()
    if frame == 0 or count - frame > max(1, rate / 2):
        what = f"the video ends early: {frame} of {count} frames could be read"
        raise BadRow(name, "video ends early", what)


@functools.cache
def cascade() -> object:
    """Make the detector of frontal faces that comes with scikit-image: a cascade on local binary
    patterns (Liao et al., 2007)."""
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade  # here, for it takes a second to import

    return Cascade(lbp_frontal_face_cascade_filename())


def find_faces(picture: Image.Image, name: str) -> list[Box]:
    """Find upright frontal faces, from left to right.

    Its boxes are cut as FER2013 is. Of every 70th image of Training, four times enlarged and with
    the border repeated around it, it found a face of more than 0.6 of its side in 261 of 411; the
    median box was 0.96 of the side wide, and centred to 0.01 of it.

    Raises:
        BadRow: the picture has no gray levels or colours.
    """
    width, height = picture.size
    scale = max(width, height) / SIDE
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    grey = np.asarray(in_mode(picture, "L", name).resize(size, Image.Resampling.BICUBIC))
    if min(size) < SMALLEST:
        return []
    found = cascade().detect_multi_scale(
        img=grey, scale_factor=1.2, step_ratio=1, min_size=(SMALLEST,) * 2, max_size=(SIDE,) * 2
    )
    kept: list[Box] = []
    for one in sorted(found, key=lambda one: -one["width"]):
        x, y, side = one["c"] * scale, one["r"] * scale, one["width"] * scale
        middle = x + side / 2, y + side / 2
        if not any(inside(middle, box) for box in kept) and inside(middle, (0, 0, width, height)):
            kept.append(clipped((round(x), round(y), round(side), round(side)), picture.size))
    return sorted(kept)


def in_mode(picture: Image.Image, mode: str, name: str) -> Image.Image:
    """Convert a picture to 8 bits, ``L`` or ``RGB``.

    Raises:
        BadRow: it has no gray levels or colours.
    """
    try:
        return eight_bits(picture).convert(mode)
    except ValueError:
        what = f"a picture of mode {picture.mode}, allowed: gray or RGB"
        raise BadRow(name, "kind of picture not allowed", what) from None


def inside(point: tuple[float, float], box: Box) -> bool:
    """Say whether a point lies in a box."""
    return all(0 <= point[i] - box[i] < box[i + 2] for i in (0, 1))


def clipped(box: Box, size: tuple[int, int]) -> Box:
    """Cut off what of a box lies outside a picture of a size."""
    x, y = max(box[0], 0), max(box[1], 0)
    return x, y, min(box[0] + box[2], size[0]) - x, min(box[1] + box[3], size[1]) - y


def checked_box(box: tuple[int, int, int, int] | None) -> Box | None:
    """Check the box of a face as it was given.

    Raises:
        InputError: not four numbers, or no width or height.
    """
    if box is None:
        return None
    given = tuple(int(x) for x in box)
    if len(given) != 4 or given[2] < 2 or given[3] < 2:
        raise InputError(f"box is {box}, allowed: left, top, width and height in pixels")
    return given


def name_of(source: Source, place: int) -> str:
    """Name a source as rows and messages do: its path, or its place in the list."""
    return printable(source) if isinstance(source, str | Path) else f"picture {place}"
