"""Any set that lies in folders ``split/class/image``, with any known spelling of the class names (``labels.canonical``)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..errors import InputError
from ..labels import canonical
from .layout import Layout, images_of, visible
from .pictures import open_image
from .rows import BadRow, Face, Options, Row, printable

SPLIT_NAMES = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
"""Name of a split folder (lower case) -> ours."""


def _splits(path: Path) -> list[tuple[str, Path]]:
    found = [(SPLIT_NAMES[x.name.lower()], x) for x in visible(path) if x.is_dir() and x.name.lower() in SPLIT_NAMES]
    return sorted(found, key=lambda item: ("train", "validation", "test").index(item[0]))


def _rows(path: Path, _: Options) -> list[Row]:
    return [partial(_row, path, split, file) for split, folder in _splits(path) for parent in visible(folder)
            for file in images_of(parent)]  # fmt: skip


def _row(path: Path, split: str, file: Path) -> Face:
    folder, where = file if file.is_dir() else file.parent, printable(file)
    try:
        label = canonical(folder.name)
    except InputError as error:
        number = " (a number does not say which class it is: rename the folder)" if folder.name.isdigit() else ""
        raise BadRow(where, "class unknown", f"class folder: {error}{number}") from None
    return Face(partial(open_image, file), label, split, printable(file.relative_to(path).as_posix()))


LAYOUTS = (Layout("folders", "folders", "train|validation|test/CLASS/image, CLASS in any known spelling",
                  lambda path: any(y.is_dir() for _, x in _splits(path) for y in visible(x)), _rows),)  # fmt: skip
