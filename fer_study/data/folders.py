"""Any set that lies in folders ``split/class/image``, with any known spelling of the class names (``labels.canonical``)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..errors import InputError
from ..labels import NATIVE, canonical
from .layout import Layout, images_of, split_folders, visible
from .pictures import open_image
from .rows import BadRow, Face, Options, Row, printable

NUMBERED = "rename the folder, or say whose number it is: " + ", ".join(
    f"--dataset {name} ({', '.join(f'{number} {label}' for number, label in list(NATIVE[name].items())[:8])})"
    for name in ("affectnet", "rafdb")
)
"""What to do about class folders that are called after numbers."""


def _rows(path: Path, _: Options) -> list[Row]:
    return [partial(_row, path, split, file) for split, folder in split_folders(path) for parent in visible(folder)
            for file in images_of(parent)]  # fmt: skip


def _row(path: Path, split: str, file: Path) -> Face:
    folder, where = file if file.is_dir() else file.parent, printable(file)
    try:
        label = canonical(folder.name)
    except InputError as error:
        number = f" (a number does not say which class it is: {NUMBERED})" if folder.name.isdigit() else ""
        raise BadRow(where, "class unknown", f"class folder: {error}{number}") from None
    return Face(partial(open_image, file), label, split, printable(file.relative_to(path).as_posix()))


LAYOUTS = (Layout("folders", "folders", "train|validation|test/CLASS/image, CLASS in any known spelling",
                  lambda path: any(y.is_dir() for _, x in split_folders(path) for y in visible(x)), _rows),)  # fmt: skip
