"""Read any set that lies in folders ``split/class/image``.

With any known spelling of the class names (``labels.canonical``), or with classes of one's own.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..rows import BadRow, Face, Options, Rows, printable
from .files import images_of, split_folders, subfolders, visible
from .layout import Layout, class_of, relative_name
from .people import hashed
from .pictures import open_upright
from .posed import CKPLUS_NAME, CKPLUS_SALT


def _rows(path: Path, options: Options) -> Rows:
    records = [
        (split, file)
        for split, folder in split_folders(path)
        for parent in visible(folder)
        for file in images_of(parent)
    ]
    # one file called as in CK+ (``Sxxx_...``), and people are in the names of the set
    named = any(CKPLUS_NAME.fullmatch(file.name) for _, file in records)
    if isinstance(options.classes, int):
        found = sorted({parent.name for _, top in split_folders(path) for parent in visible(top)})
        own = f"classes of your own are named: --classes {printable(','.join(found))[:300]!r}"
        name_of = partial(class_of, own=own)
    else:
        name_of = partial(own_class, {name.casefold(): name for name in options.classes})

    def read(record: tuple[str, Path]) -> Face:
        split, file = record
        label = name_of(file if file.is_dir() else file.parent, printable(file))
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


def own_class(names: dict[str, str], folder: Path, where: str) -> str:
    """Find the class of one's own that a folder is called after, capital letters or not.

    Raises:
        BadRow: there is none of this name.
    """
    try:
        return names[folder.name.strip().casefold()]
    except KeyError:
        name = printable(folder.name)[:40]
        what = f"class folder {name!r} is none of {', '.join(names.values())}"
        raise BadRow(where, f"class unknown: {name}", what) from None


LAYOUTS = (
    Layout(
        "folders",
        "folders",
        "train|validation|test/CLASS/image, CLASS in any known spelling, or as --classes names it",
        lambda path: any(subfolders(x) for _, x in split_folders(path)),
        _rows,
    ),
)
