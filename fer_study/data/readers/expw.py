"""ExpW, Expression in the Wild (Zhang et al., 2018): 91,793 faces in 40,000 web pictures, FER2013's class order.

Faces are cut out of the pictures with the published boxes. There is no official split; ours is by picture, 80/10/10.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ...settings.errors import InputError
from ..labels import NATIVE
from ..rows import BadRow, Face, Options, Row, printable, refuse
from .layout import Layout, inside, label_of
from .people import split_by_group
from .pictures import cropped
from .tables import text_lines

SALT = "fer-study/expw/1"
CLASSES = {str(number): name for number, name in NATIVE["expw"].items()}


def _list(path: Path) -> Path | None:
    return next((x for p in (path, path / "label") if (x := p / "label.lst").is_file()), None)


def _rows(path: Path, _: Options) -> list[Row]:
    file = _list(path)
    folder = next((x for n in ("origin", "image/origin", "image") if (x := path / n).is_dir()), None)
    if folder is None:
        raise InputError(f"{printable(path)}: no folder origin or image with the pictures of {file.name}")
    lines = [(f"{printable(file)}, line {line}", text.rsplit(None, 7)) for line, text in text_lines(file)]
    split = split_by_group((parts[0] for _, parts in lines if len(parts) == 8), SALT)
    wrong = "{} columns, allowed 8: name, face id, top, left, right, bottom, confidence, label"
    return [
        partial(_row, folder, where, parts, split[parts[0]]) if len(parts) == 8
        else refuse(BadRow(where, "wrong number of columns", wrong.format(len(parts))))
        for where, parts in lines
    ]  # fmt: skip


def _row(folder: Path, where: str, parts: list[str], split: str) -> Face:
    name, number, *box, _, label = parts
    try:
        top, left, right, bottom = map(float, box)
    except ValueError:
        raise BadRow(where, "box not allowed", f"face box is {box}, allowed: numbers") from None
    picture = partial(cropped, inside(folder, name, where), (left, top, right, bottom), where)
    return Face(picture, label_of(label, CLASSES, where), split, printable(f"{name}#{number}"))


LAYOUTS = (Layout("expw", "list", "label.lst (name, face id, box, confidence, label) and origin/ or image/",
                  lambda path: _list(path) is not None, _rows),)  # fmt: skip
