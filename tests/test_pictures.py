"""Kinds of pictures: what cannot be shown with 8 bits, or is no picture at all, is a bad row that names itself."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dataset_trees import FACES, encoded, put
from fer_study import cli
from fer_study.data import load
from reader_trees import SKIP, fails

FACE = FACES[3]
COLOURS = np.stack([FACE, FACE // 2, 255 - FACE], axis=-1)


def folder_set(root, content, name="b.png"):
    """Two right faces, and one file with this content in ``train``."""
    put(root / "train" / "happy" / "a.png", encoded(FACES[0]))
    put(root / "test" / "happy" / "c.png", encoded(FACES[1]))
    put(root / "train" / "happy" / name, content)
    return root


def deep_png(pixels):
    """A PNG of 16 bits a channel, which Pillow cannot write in colour."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]]
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def saved(image, kind, **named):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **named)
    return buffer.getvalue()


def with_alpha(pixels):
    return np.dstack([pixels, np.full(pixels.shape[:2], 65535, np.uint16)])


GRAY, RGB = FACE.astype(np.uint16)[..., None], COLOURS.astype(np.uint16)
DARK = {
    "8 bits in 16": deep_png(GRAY),
    "10 bits in 16": deep_png(GRAY * 4),
    "12 bits in 16": deep_png(GRAY * 16),
    "14 bits in 16": deep_png(GRAY * 64),
    "TIFF, 12 bits in 16": saved(FACE.astype(np.uint16) * 16, "TIFF"),
    "colours, 8 bits in 16": deep_png(RGB),
    "colours, 12 bits in 16": deep_png(RGB * 16),
    "gray and alpha, 8 bits in 16": deep_png(with_alpha(GRAY)),
    "colours and alpha, 12 bits in 16": deep_png(with_alpha(RGB * 16)),
    "shares of 1, a little above": saved((FACE / FACE.max() * 1.02).astype(np.float32), "TIFF"),
    "256 in 32 bits": saved(np.full((48, 48), 256, np.int32), "TIFF"),
    "shares of 1": saved(np.full((48, 48), 1, np.float32), "TIFF"),
    "below zero": saved(np.full((48, 48), -1, np.float32), "TIFF"),
    "not a number": saved(np.where(FACE > 100, np.nan, FACE).astype(np.float32), "TIFF"),
    "white is zero": saved(FACE.astype(np.uint16) * 257, "TIFF", tiffinfo={262: 0}),
}


@pytest.mark.parametrize("kind", DARK)
def test_gray_levels_that_would_turn_dark_are_a_bad_row(tmp_path, capsys, caplog, kind):
    """Refused with file and levels by doctor and import; without them the rest is read."""
    path = folder_set(tmp_path / "raw", DARK[kind])
    assert cli.main(["data", "import", str(path), "--to", str(tmp_path / "x.faces")]) == 2
    (message,) = [r.getMessage() for r in caplog.records if "gray levels" in r.getMessage() or "16 bits" in r.getMessage()]
    assert "train/happy/b.png" in message and "allowed" in message and "\n" not in message
    assert cli.main(["data", "doctor", str(path)]) == 2
    assert "train/happy/b.png" in capsys.readouterr().out
    assert not (tmp_path / "x.faces").exists()
    faces = load(path, options=SKIP)
    assert faces.left_out == {"gray levels not allowed": 1} and len(faces) == 2


WHOLE = {
    "gray": (deep_png(GRAY * 257), FACE),
    "gray and alpha": (deep_png(with_alpha(GRAY * 257)), FACE),
    "TIFF": (saved(FACE.astype(np.uint16) * 257, "TIFF"), FACE),
    "TIFF of 32 bits": (saved(FACE.astype(np.int32), "TIFF"), FACE),
    "TIFF of floating point": (saved(FACE.astype(np.float32), "TIFF"), FACE),
    "colours": (deep_png(RGB * 257), np.asarray(Image.fromarray(COLOURS).convert("L"))),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_ranges_are_read_as_they_are(tmp_path, kind):
    content, expected = WHOLE[kind]
    assert (load(folder_set(tmp_path, content)).images[1, 0] == expected).all()


def test_colours_that_are_unknown_are_a_bad_row(tmp_path):
    buffer = io.BytesIO()
    Image.new("LAB", (48, 48), (120, 10, 20)).save(buffer, "TIFF")
    path = folder_set(tmp_path, buffer.getvalue())
    fails(path, "a picture of mode LAB, allowed: gray or RGB")
    assert load(path, options=SKIP).left_out == {"kind of picture not allowed": 1}


def test_a_dark_crop_of_a_bright_picture_is_read(tmp_path):
    """The range is that of the file: a face in the shadow is no fault."""
    picture = np.full((60, 120), 60000, np.uint16)
    picture[:48, :48] = 5140
    put(tmp_path / "origin" / "a.png", encoded(picture))
    put(tmp_path / "label.lst", "a.png 0 0 0 48 48 50.0 3\n")
    assert (load(tmp_path, verify=False).images == 5140 // 257).all()


def claiming(side):
    """A PNG whose header says so many pixels a side, without any behind it: unpacking would end in another message."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    whole = deep_png(GRAY)
    return whole[:12] + head + struct.pack(">I", zlib.crc32(head)) + whole[33:]


def test_large_pictures_are_refused_before_they_are_unpacked(tmp_path):
    for side in (10_000, 13_300, 50_000):
        path = folder_set(tmp_path, claiming(side))
        assert load(path, options=SKIP).left_out == {"picture too large": 1}
    with (path / "train" / "happy" / "b.png").open("wb") as file:
        file.truncate(2**36)  # a file of 64 GB without content
    assert load(path, options=SKIP).left_out == {"picture too large": 1}


@pytest.mark.skipif(os.name == "nt", reason="no devices and pipes among files")
@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_devices_and_pipes_are_no_pictures(tmp_path, kind):
    path = folder_set(tmp_path, b"")
    file = path / "train" / "happy" / "b.png"
    file.unlink()
    file.symlink_to("/dev/zero") if kind == "device" else os.mkfifo(file)
    assert load(path, options=SKIP).left_out == {"no ordinary file": 1}
    put(tmp_path / "muxspace" / "legend.csv", "user.id,image,emotion\n1,a.jpg,happy\n1,b.jpg,happy\n")
    put(tmp_path / "muxspace" / "images" / "a.jpg", encoded(FACES[0], "JPEG"))
    file.rename(tmp_path / "muxspace" / "images" / "b.jpg")
    faces = load(tmp_path / "muxspace", verify=False, options=SKIP)
    assert faces.left_out == {"no ordinary file": 1}
