"""Read RAF-DB, basic emotions (Li et al., 2017).

15,339 aligned colour faces of 100 px, 1 surprise ... 7 neutral.

Train and test are official; there is no validation split. The compound emotions of its other half
are not read.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from ..labels import NATIVE
from ..rows import BadRow, Face, Options, Rows, printable, wrong_input
from .files import split_folders, split_folders_named, subfolders, visible
from .layout import Layout, label_of, numbered_rows
from .pictures import open_image
from .tables import Record, read_csv, read_lines

_LISTS = ("list_patition_label.txt", "list_partition_label.txt")
CLASSES = {str(number): name for number, name in NATIVE["rafdb"].items()}
_SPLITS = ("train", "test")
_NAME = re.compile(r"(train|test)_\d+")


def _list(path: Path) -> Path | None:
    places = (folder / name for folder in (path / "EmoLabel", path) for name in _LISTS)
    return next((file for file in places if file.is_file()), None)


def _list_rows(path: Path, _: Options) -> Rows:
    file = _list(path)
    folders = (path / "Image" / "aligned", path / "aligned")
    folder = next((x for x in folders if x.is_dir()), None)
    if folder is None:
        raise wrong_input(path, f"no folder Image/aligned beside {file.name}")

    def read(record: tuple[int, str]) -> Face:
        line, text = record
        where, parts = f"{printable(file)}, line {line}", text.split()
        if len(parts) != 2 or not (match := _NAME.match(parts[0])):
            what = f"found {text[:60]!r}, allowed: train_N.jpg or test_N.jpg, and a label"
            raise BadRow(where, "wrong number of columns", what)
        name = Path(parts[0])
        picture = partial(open_image, folder / f"{name.stem}_aligned{name.suffix}")
        return Face(picture, label_of(parts[1], CLASSES, where), match[1], printable(name.stem))

    return Rows(read_lines(file), read)


def _root(path: Path) -> Path:
    return path / "DATASET" if (path / "DATASET").is_dir() else path


def _is_tree(path: Path) -> bool:
    """Tells whether all class folders are numbers of RAF-DB, whatever the split folders."""
    names = {x.name for _, folder in split_folders(_root(path)) for x in subfolders(folder)}
    return bool(names) and names <= set(CLASSES)


def _has_names(path: Path) -> bool:
    """Tells whether the first files are called as in RAF-DB: AffectNet counts to 7 too."""
    splits = split_folders_named(_root(path), *_SPLITS)
    parents = (parent for folder in splits for parent in visible(folder))
    return any(_NAME.match(file.name) for parent in parents for file in visible(parent)[:5])


def _folder_rows(path: Path, _: Options) -> Rows:
    """Lists images in folders; tables ``train_labels.csv``, ``test_labels.csv`` must agree."""
    root = _root(path)
    rows = Rows(numbered_rows(root, CLASSES), _check_name)
    for place in [root, root.parent] if root.name == "DATASET" else [root]:
        for split in _SPLITS:
            if (file := place / f"{split}_labels.csv").is_file():
                rows = Rows(rows, partial(_check_table, split, file, _read_table(file)))
    return rows


def _check_name(face: Face) -> Face:
    """Gives back a row, unless its file is called after the other split."""
    folder, name = face.id.split("/")[0], face.id.split("/")[-1]
    match = _NAME.match(name)
    # validation images were taken from train, and may still be called so
    if match and match[1] not in (face.split, {"validation": "train"}.get(face.split)):
        what = f"called after {match[1]}, it lies in {printable(folder)}"
        raise BadRow(face.id, "name and folder contradict", what)
    return face


def _read_table(file: Path) -> dict[str, tuple[int, str]]:
    """Reads image -> line and label; a damaged line is one without its image."""
    records = [x for x in read_csv(file, ["image", "label"]) if isinstance(x, Record)]
    return {name.strip(): (line, label) for line, (name, label) in records}


def _check_table(split: str, file: Path, table: dict[str, tuple[int, str]], face: Face) -> Face:
    """Gives back a row, unless the table of its split says something else."""
    number, name = face.id.split("/")[-2:]
    if face.split != split or number == split:
        return face  # the latter is an empty class folder, which is refused when it is opened
    line, label = table.get(name, (0, None))
    if label is None or label.strip() != number:
        where = f"{printable(file)}, line {line}" if line else printable(file)
        found = "not there" if label is None else f"{label!r:.40}"
        what = f"label of {name} is {found}, it lies in folder {number}: one of them is wrong"
        raise BadRow(where, "table and folder contradict", what)
    return face


LAYOUTS = (
    Layout("rafdb", "list", "EmoLabel/list_patition_label.txt and Image/aligned/*_aligned.jpg",
           lambda path: _list(path) is not None, _list_rows),
    Layout("rafdb", "folders", "DATASET/{train,test}/1..7/{train,test}_N*.jpg",
           lambda path: _is_tree(path) and _has_names(path), _folder_rows),
    Layout("rafdb", "folders of other names", "DATASET/SPLIT/1..7/*.jpg, only as --dataset rafdb",
           _is_tree, _folder_rows, named=True),
)  # fmt: skip
