"""Read ExpW, Expression in the Wild (Zhang et al., 2018).

91,793 faces in 40,000 web pictures, FER2013's class order.

Faces are cut out of the pictures with the published boxes. There is no official split; ours is by
picture, 80/10/10.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..labels import NATIVE
from ..rows import BadRow, Face, Options, Rows, printable, wrong_input
from .files import file_inside
from .layout import Layout, label_of
from .people import split_by_group
from .pictures import crop_image
from .tables import read_lines

SALT = "fer-study/expw/1"
CLASSES = {str(number): name for number, name in NATIVE["expw"].items()}


def _list(path: Path) -> Path | None:
    places = (folder / "label.lst" for folder in (path, path / "label"))
    return next((file for file in places if file.is_file()), None)


def _rows(path: Path, _: Options) -> Rows:
    file = _list(path)
    folders = (path / name for name in ("origin", "image/origin", "image"))
    folder = next((x for x in folders if x.is_dir()), None)
    if folder is None:
        raise wrong_input(path, f"no folder origin or image with the pictures of {file.name}")
    records = [(line, text.rsplit(None, 7)) for line, text in read_lines(file)]
    split = split_by_group((parts[0] for _, parts in records if len(parts) == 8), SALT)

    def read(record: tuple[int, list[str]]) -> Face:
        where, parts = f"{printable(file)}, line {record[0]}", record[1]
        if len(parts) != 8:
            allowed = "name, face id, top, left, right, bottom, confidence, label"
            what = f"{len(parts)} columns, allowed 8: {allowed}"
            raise BadRow(where, "wrong number of columns", what)
        name, number, *box, _, label = parts
        try:
            top, left, right, bottom = map(float, box)
        except ValueError:
            raise BadRow(where, "box not allowed", f"face box is {box}, allowed: numbers") from None
        place = file_inside(folder, name, where)
        return Face(
            partial(crop_image, place, (left, top, right, bottom), where),
            label_of(label, CLASSES, where),
            split[name],
            printable(f"{name}#{number}"),
        )

    return Rows(records, read)


LAYOUTS = (
    Layout(
        "expw",
        "list",
        "label.lst (name, face id, box, confidence, label) and origin/ or image/",
        lambda path: _list(path) is not None,
        _rows,
    ),
)
