"""RAF-DB, basic emotions (Li et al., 2017): 15,339 aligned colour faces of 100 px, 1 surprise ... 7 neutral.

Train and test are official; there is no validation split. The compound emotions of its other half are not read.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from ...settings.errors import InputError
from ..labels import NATIVE
from ..rows import BadRow, Face, Options, Row, printable
from .layout import Layout, label_of, numbered_rows, only, split_folders, visible
from .pictures import open_image
from .tables import csv_columns, text_lines

_LISTS = ("list_patition_label.txt", "list_partition_label.txt")
CLASSES = {str(number): name for number, name in NATIVE["rafdb"].items()}
_SPLITS = ("train", "test")
_NAME = re.compile(r"(train|test)_\d+")


def _list(path: Path) -> Path | None:
    return next((x for p in (path / "EmoLabel", path) for n in _LISTS if (x := p / n).is_file()), None)


def _list_rows(path: Path, _: Options) -> list[Row]:
    file = _list(path)
    folder = next((x for x in (path / "Image" / "aligned", path / "aligned") if x.is_dir()), None)
    if folder is None:
        raise InputError(f"{printable(path)}: no folder Image/aligned beside {file.name}")
    return [partial(_list_row, folder, file, *line) for line in text_lines(file)]


def _list_row(folder: Path, file: Path, line: int, text: str) -> Face:
    where, parts = f"{printable(file)}, line {line}", text.split()
    if len(parts) != 2 or not (found := _NAME.match(parts[0])):
        what = f"found {text[:60]!r}, allowed: train_N.jpg or test_N.jpg, and a label"
        raise BadRow(where, "wrong number of columns", what)
    stem, suffix = Path(parts[0]).stem, Path(parts[0]).suffix
    picture = partial(open_image, folder / f"{stem}_aligned{suffix}")
    return Face(picture, label_of(parts[1], CLASSES, where), found[1], printable(stem))


def _root(path: Path) -> Path:
    return path / "DATASET" if (path / "DATASET").is_dir() else path


def _is_tree(path: Path) -> bool:
    """Whether all class folders are numbers that RAF-DB has, whatever the splits are called."""
    names = {x.name for _, folder in split_folders(_root(path)) for x in visible(folder) if x.is_dir()}
    return bool(names) and names <= set(CLASSES)


def _has_names(path: Path) -> bool:
    """Whether the first files are called as in RAF-DB: AffectNet counts to 7 too."""
    parents = (x for folder in only(_root(path), *_SPLITS) for x in visible(folder))
    return any(_NAME.match(file.name) for parent in parents for file in visible(parent)[:5])


def _numbered(path: Path, _: Options) -> list[Row]:
    """The folders; where ``train_labels.csv`` or ``test_labels.csv`` (image, label) lies beside them, both must agree."""
    root, rows = _root(path), [partial(_as_named, row) for row in numbered_rows(_root(path), CLASSES)]
    for place in [root, root.parent] if root.name == "DATASET" else [root]:
        for split in _SPLITS:
            if (file := place / f"{split}_labels.csv").is_file():
                data = csv_columns(file, ["image", "label"])
                table = {name.strip(): i for i, name in enumerate(data["image"])}
                rows = [partial(_agreeing, row, split, file, data, table) for row in rows]
    return rows


def _as_named(row: Row) -> Face:
    """A row of the folders, unless its file is called after the other split; validation images may be called after train."""
    face = row()
    folder, name = face.id.split("/")[0], face.id.split("/")[-1]
    found = _NAME.match(name)
    if found and found[1] not in (face.split, {"validation": "train"}.get(face.split)):
        raise BadRow(face.id, "name and folder contradict", f"called after {found[1]}, it lies in {printable(folder)}")
    return face


def _agreeing(row: Row, split: str, file: Path, data: dict, table: dict[str, int]) -> Face:
    """A row of the folders, unless the table of its split says something else."""
    face = row()
    number, name = face.id.split("/")[-2:]
    if face.split != split or number == split:  # an empty class folder, which is refused when it is opened
        return face
    i = table.get(name)
    if i is None or data["label"][i].strip() != number:
        where, found = ("", "not there") if i is None else (f", line {data['line'][i]}", f"{data['label'][i]!r:.40}")
        what = f"label of {name} is {found}, it lies in folder {number}: one of them is wrong"
        raise BadRow(f"{printable(file)}{where}", "table and folder contradict", what)
    return face


LAYOUTS = (
    Layout("rafdb", "list", "EmoLabel/list_patition_label.txt and Image/aligned/*_aligned.jpg",
           lambda path: _list(path) is not None, _list_rows),
    Layout("rafdb", "folders", "DATASET/{train,test}/1..7/{train,test}_N*.jpg",
           lambda path: _is_tree(path) and _has_names(path), _numbered),
    Layout("rafdb", "folders of other names", "DATASET/SPLIT/1..7/*.jpg, only as --dataset rafdb", _is_tree,
           _numbered, named=True),
)  # fmt: skip
