"""What a file is by its first bytes or the end of its name."""

from __future__ import annotations

from pathlib import Path

ARCHIVES = (
    b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07",
    b"\x28\xb5\x2f\xfd",
)  # fmt: skip
"""First bytes of zip, gzip, bzip2, xz, 7-Zip, RAR and zstd."""

ARRAYS = (".npz", ".npy", ".h5", ".hdf5", ".mat", ".pkl", ".pickle", ".pt", ".tfrecord")
"""Endings of files of arrays, which no layout reads."""

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
"""Endings of picture files."""


def is_archive(path: Path) -> bool:
    """Whether a file has to be unpacked first, by its first bytes, whatever its name ends with."""
    if not path.is_file() or path.suffix.lower() in ARRAYS:
        return False
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:  # whoever reads it will say so
        return False
    return start.startswith(ARCHIVES) or start[257:262] == b"ustar"
