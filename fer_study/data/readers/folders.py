"""Any set that lies in folders ``split/class/image``, with any known spelling of the class names (``labels.canonical``)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..rows import Face, Options, Row, printable
from .layout import Layout, class_of, images_of, split_folders, visible
from .people import hashed
from .pictures import upright
from .posed import CKPLUS_NAME, CKPLUS_SALT


def _rows(path: Path, _: Options) -> list[Row]:
    files = [(split, file) for split, folder in split_folders(path) for parent in visible(folder)
             for file in images_of(parent)]  # fmt: skip
    named = any(CKPLUS_NAME.fullmatch(file.name) for _, file in files)
    return [partial(_row, path, split, file, named) for split, file in files]


def _row(path: Path, split: str, file: Path, named: bool) -> Face:
    """One image; where files are ``named`` as in CK+ (``Sxxx_...``), the person is in the name."""
    label = class_of(file if file.is_dir() else file.parent, printable(file))
    found = CKPLUS_NAME.fullmatch(file.name)
    attributes = {"person": hashed(found[1].upper(), CKPLUS_SALT) if found else None} if named else {}
    name = printable(file.relative_to(path).as_posix())
    return Face(partial(upright, file), label, split, name, attributes=attributes)


LAYOUTS = (Layout("folders", "folders", "train|validation|test/CLASS/image, CLASS in any known spelling",
                  lambda path: any(y.is_dir() for _, x in split_folders(path) for y in visible(x)), _rows),)  # fmt: skip
