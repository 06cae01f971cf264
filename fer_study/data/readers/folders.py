"""Read any set that lies in folders ``split/class/image``.

With any known spelling of the class names (``labels.canonical``).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..rows import Face, Options, Rows, printable
from .files import images_of, split_folders, subfolders, visible
from .layout import Layout, class_of, relative_name
from .people import hashed
from .pictures import open_upright
from .posed import CKPLUS_NAME, CKPLUS_SALT


def _rows(path: Path, _: Options) -> Rows:
    records = [
        (split, file)
        for split, folder in split_folders(path)
        for parent in visible(folder)
        for file in images_of(parent)
    ]
    # one file called as in CK+ (``Sxxx_...``), and people are in the names of the set
    named = any(CKPLUS_NAME.fullmatch(file.name) for _, file in records)

    def read(record: tuple[str, Path]) -> Face:
        split, file = record
        label = class_of(file if file.is_dir() else file.parent, printable(file))
        match = CKPLUS_NAME.fullmatch(file.name)
        person = hashed(match[1].upper(), CKPLUS_SALT) if match else None
        return Face(
            partial(open_upright, file),
            label,
            split,
            relative_name(file, path),
            attributes={"person": person} if named else {},
        )

    return Rows(records, read)


LAYOUTS = (
    Layout(
        "folders",
        "folders",
        "train|validation|test/CLASS/image, CLASS in any known spelling",
        lambda path: any(subfolders(x) for _, x in split_folders(path)),
        _rows,
    ),
)
