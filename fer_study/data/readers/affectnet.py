"""Read AffectNet (Mollahosseini et al., 2019): web faces.

0 neutral ... 7 contempt; 8 none, 9 uncertain, 10 no face are dropped.

Its test split was never released: the published validation split is what everybody scores, so it is
read as ``test``, and there is no validation split. The release of 8 classes has 287,651 training
images.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np

from ..labels import NATIVE
from ..rows import BadRow, Face, Options, Rows, printable, wrong_input
from .files import file_inside, split_folders, split_folders_named, subfolders, visible
from .layout import Layout, label_of, numbered_rows
from .pictures import crop_image, open_image
from .tables import Record, csv_header, read_csv

CLASSES = {str(number): name for number, name in NATIVE["affectnet"].items()}
_SETS = {"train_set": "train", "val_set": "test"}
_TABLES = {"training.csv": "train", "validation.csv": "test"}
_COLUMNS = ("subDirectory_filePath", "expression")
_BOX = ("face_x", "face_y", "face_width", "face_height")
_IMAGE_FOLDERS = ("Manually_Annotated_Images", "Manually_Annotated", "images", ".")


def _annotation_rows(path: Path, _: Options) -> Rows:
    """Lists images, the label of each in a small file of NumPy."""
    records: list[tuple[str, Path] | BadRow] = []
    for folder, split in _SETS.items():
        images = visible(path / folder / "images")
        records += [(split, image) for image in images]
        stems = {image.stem for image in images}
        for file in visible(path / folder / "annotations"):
            if file.name.endswith("_exp.npy") and file.name.removesuffix("_exp.npy") not in stems:
                what = f"a label without an image in {folder}/images"
                records.append(BadRow(printable(file), "image file missing", what))

    def read(record: tuple[str, Path]) -> Face:
        split, image = record
        file = image.parents[1] / "annotations" / f"{image.stem}_exp.npy"
        label = label_of(_read_label(file, image), CLASSES, printable(file))
        name = printable(f"{image.parents[1].name}/{image.name}")
        return Face(partial(open_image, image), label, split, name)

    return Rows(records, read)


def _read_label(file: Path, image: Path) -> str:
    try:
        if not file.is_file() and file.exists():  # a device, which may have no end
            raise ValueError(file)
        return str(np.load(file, allow_pickle=False).item())
    except FileNotFoundError:
        what = f"no such file; {printable(image.name)} has no label without it"
        raise BadRow(printable(file), "label missing", what) from None
    except (OSError, ValueError, EOFError, MemoryError):
        what = "not a NumPy file with one label"
        raise BadRow(printable(file), "label not readable", what) from None


def _is_numbered(path: Path) -> bool:
    """Tells whether all class folders are numbers of AffectNet, and one of them is 0."""
    names = {x.name for _, folder in split_folders(path) for x in subfolders(folder)}
    return "0" in names and names <= set(CLASSES)


def _is_whole(path: Path) -> bool:
    """Tells whether both ``train/`` and ``val/`` have exactly the folders 0..7."""
    splits = split_folders_named(path, "train", "val")
    names = [[x.name for x in subfolders(folder)] for folder in splits]
    return names == [list("01234567")] * 2


def _folder_rows(path: Path, _: Options) -> Rows:
    return numbered_rows(path, CLASSES)


def _tables(path: Path) -> list[Path]:
    """Finds the tables, where at least one has AffectNet's header."""
    places = (path, path / "Manually_Annotated_file_lists")
    files = [x for place in places for name in _TABLES if (x := place / name).is_file()]
    return files if any("subDirectory_filePath" in csv_header(x) for x in files) else []


def _table_rows(path: Path, _: Options) -> Rows:
    records: list[tuple[Path, Record] | BadRow] = []
    folder = next(path / x for x in _IMAGE_FOLDERS if (path / x).is_dir())
    for file in _tables(path):
        table = read_csv(file, [*_COLUMNS, *_box_columns(file)])
        records += [row if isinstance(row, BadRow) else (file, row) for row in table]

    def read(row: tuple[Path, Record]) -> Face:
        file, (line, (name, label, *box)) = row
        where = f"{printable(file)}, line {line}"
        corners = _corners(box, where) if box else None
        picture = partial(crop_image, file_inside(folder, name, where), corners, where)
        place = printable(PureWindowsPath(name).as_posix())
        return Face(picture, label_of(label.strip(), CLASSES, where), _TABLES[file.name], place)

    return Rows(records, read)


def _box_columns(file: Path) -> tuple[str, ...]:
    """Names the columns of the face box that a table has: all or none."""
    header = csv_header(file)
    if missing := [column for column in _COLUMNS if column not in header]:
        found = printable(", ".join(header)[:200])
        raise wrong_input(file, f"no column {missing[0]!r} in its first line; found {found}")
    missing = [column for column in _BOX if column not in header]
    if 0 < len(missing) < len(_BOX):
        what = f"no column {missing[0]!r}, allowed: all or none of {', '.join(_BOX)}"
        raise wrong_input(file, what)
    return () if missing else _BOX


def _corners(box: list[str], where: str) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = map(float, box)
    except ValueError:
        what = f"face box is {[number[:20] for number in box]}, allowed: numbers"
        raise BadRow(where, "box not allowed", what) from None
    return x, y, x + width, y + height


LAYOUTS = (
    Layout("affectnet", "annotations", "train_set|val_set/images/ID.jpg and annotations/ID_exp.npy",
           lambda path: any((path / x / "annotations").is_dir() for x in _SETS), _annotation_rows),
    Layout("affectnet", "folders", "train|val/0..7/*.jpg, all eight in both",
           _is_whole, _folder_rows, unsure=True),
    Layout("affectnet", "some folders", "SPLIT/NUMBER/*.jpg, only as --dataset affectnet",
           _is_numbered, _folder_rows, named=True),
    Layout("affectnet", "tables",
           "training.csv and validation.csv (subDirectory_filePath, face_x, ..., expression)",
           lambda path: bool(_tables(path)), _table_rows),
)  # fmt: skip
