"""Files and folders: what a file is by its first bytes or its name, and folders by split."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

from ..faceset import SPLITS
from ..rows import BadRow, printable

ARCHIVES = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\0",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\x28\xb5\x2f\xfd",
)
"""First bytes of zip, gzip, bzip2, xz, 7-Zip, RAR and zstd."""

ARRAYS = (".npz", ".npy", ".h5", ".hdf5", ".mat", ".pkl", ".pickle", ".pt", ".tfrecord")
"""Endings of files of arrays, which no layout reads."""

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
"""Endings of picture files."""

JUNK = re.compile(
    r"\..*|thumbs\.db|desktop\.ini|__macosx|readme[^.]*|.*\.(?:txt|md|pdf|html?)",
    re.IGNORECASE | re.DOTALL,
)
"""Names of files that systems and authors leave beside images."""

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
}
"""Name of a split folder (lower case) -> ours."""


def is_archive(path: Path) -> bool:
    """Tells by its first bytes, not its name, whether a file has to be unpacked first."""
    if not path.is_file() or path.suffix.lower() in ARRAYS:
        return False
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:  # whoever reads it will say so
        return False
    return start.startswith(ARCHIVES) or start[257:262] == b"ustar"


def visible(folder: Path) -> list[Path]:
    """Lists a folder by name, without junk; nothing where it is no folder."""
    if not folder.is_dir():
        return []
    return sorted(x for x in folder.iterdir() if not JUNK.fullmatch(x.name))


def subfolders(folder: Path) -> list[Path]:
    """Lists the visible folders in a folder."""
    return [x for x in visible(folder) if x.is_dir()]


def images_of(folder: Path) -> list[Path]:
    """Lists a class folder; or itself, to be refused as an image, where it holds none."""
    return visible(folder) or [folder]


def split_folders(path: Path) -> list[tuple[str, Path]]:
    """Finds (split, folder) of the folders called after splits, in upper or lower case."""
    folders = [
        (SPLIT_NAMES[x.name.lower()], x) for x in subfolders(path) if x.name.lower() in SPLIT_NAMES
    ]
    return sorted(folders, key=lambda item: SPLITS.index(item[0]))


def split_folders_named(path: Path, *names: str) -> list[Path]:
    """Finds the split folders of these names, in this order, in upper or lower case.

    None where there are folders of other splits, which a layout without them would never read.
    """
    folders = [folder for _, folder in split_folders(path)]
    if any(x.name.lower() not in names for x in folders):
        return []
    return sorted(folders, key=lambda x: names.index(x.name.lower()))


def file_inside(folder: Path, name: str, where: str) -> Path:
    """Finds the file that a table names below a folder; its name may be a person's.

    Raises:
        BadRow: the path is absolute or leads out of the folder.
    """
    parts = PureWindowsPath(name)  # knows both kinds of slashes, whoever wrote the table
    if parts.anchor or ".." in parts.parts:
        allowed = f"one inside the folder {printable(folder.name)}"
        what = f"its image path is absolute or goes up (..), allowed: {allowed}"
        raise BadRow(where, "path outside the dataset", what)
    return folder.joinpath(*parts.parts)
