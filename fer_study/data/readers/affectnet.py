"""AffectNet (Mollahosseini et al., 2019): web faces, 0 neutral ... 7 contempt; 8 none, 9 uncertain, 10 no face are dropped.

Its test split was never released: the published validation split is what everybody scores, so it is read as ``test``, and
there is no validation split. The release of 8 classes has 287,651 training images.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np

from ...settings.errors import InputError
from ..labels import NATIVE
from ..rows import BadRow, Face, Options, Row, printable, refuse
from .layout import Layout, inside, label_of, numbered_rows, only, split_folders, visible
from .pictures import cropped, open_image
from .tables import csv_columns, csv_header, csv_rows

CLASSES = {str(number): name for number, name in NATIVE["affectnet"].items()}
_SETS = {"train_set": "train", "val_set": "test"}
_TABLES = {"training.csv": "train", "validation.csv": "test"}
_BOX = ("face_x", "face_y", "face_width", "face_height")
_IMAGE_FOLDERS = ("Manually_Annotated_Images", "Manually_Annotated", "images", ".")


def _annotation_rows(path: Path, _: Options) -> list[Row]:
    """One small file of NumPy an image holds its label."""
    rows: list[Row] = []
    for folder, split in _SETS.items():
        images = visible(path / folder / "images")
        rows += [partial(_annotation_row, path / folder, split, image) for image in images]
        labelled, stems = visible(path / folder / "annotations"), {image.stem for image in images}
        rows += [
            refuse(BadRow(printable(file), "image file missing", f"a label without an image in {folder}/images"))
            for file in labelled
            if file.name.endswith("_exp.npy") and file.name.removesuffix("_exp.npy") not in stems
        ]
    return rows


def _annotation_row(folder: Path, split: str, image: Path) -> Face:
    file = folder / "annotations" / f"{image.stem}_exp.npy"
    try:
        if not file.is_file() and file.exists():
            raise ValueError(file)
        label = str(np.load(file, allow_pickle=False).item())
    except FileNotFoundError:
        raise BadRow(printable(file), "label missing", f"no such file; {image.name} has no label without it") from None
    except (OSError, ValueError, EOFError, MemoryError):
        raise BadRow(printable(file), "label not readable", "not a NumPy file with one label") from None
    name = printable(f"{folder.name}/{image.name}")
    return Face(partial(open_image, image), label_of(label, CLASSES, printable(file)), split, name)


def _is_numbered(path: Path) -> bool:
    """Whether all class folders are numbers that AffectNet has, and one of them is 0, whatever the splits are called."""
    names = {x.name for _, folder in split_folders(path) for x in visible(folder) if x.is_dir()}
    return "0" in names and names <= set(CLASSES)


def _whole(path: Path) -> bool:
    """Whether both ``train/`` and ``val/`` have exactly the folders 0..7."""
    names = [sorted(x.name for x in visible(folder) if x.is_dir()) for folder in only(path, "train", "val")]
    return names == [list("01234567")] * 2


def _numbered(path: Path, _: Options) -> list[Row]:
    return numbered_rows(path, CLASSES)


def _tables(path: Path) -> list[Path]:
    """The tables, where one of them is AffectNet's: one without its header line is named when it is read."""
    files = [x for p in (path, path / "Manually_Annotated_file_lists") for n in _TABLES if (x := p / n).is_file()]
    return files if any("subDirectory_filePath" in csv_header(x) for x in files) else []


def _table_rows(path: Path, _: Options) -> list[Row]:
    rows: list[Row] = []
    folder = next(path / x for x in _IMAGE_FOLDERS if (path / x).is_dir())
    for file in _tables(path):
        header = csv_header(file)
        if missing := [c for c in ("subDirectory_filePath", "expression") if c not in header]:
            found = printable(", ".join(header)[:200])
            raise InputError(f"{printable(file)}: no column {missing[0]!r} in its first line; found {found}")
        if missing := [c for c in _BOX if c not in header and set(_BOX) & set(header)]:
            raise InputError(f"{printable(file)}: no column {missing[0]!r}, allowed: all or none of {', '.join(_BOX)}")
        data = csv_columns(file, ["subDirectory_filePath", "expression", *[c for c in _BOX if c in header]])
        rows += csv_rows(data, _table_row, folder, file, data)
    return rows


def _table_row(folder: Path, file: Path, data: dict, i: int) -> Face:
    where, name = f"{printable(file)}, line {data['line'][i]}", data["subDirectory_filePath"][i]
    box = None
    if all(c in data for c in _BOX):
        try:
            x, y, width, height = (float(data[c][i]) for c in _BOX)
        except ValueError:
            what = f"face box is {[data[c][i][:20] for c in _BOX]}, allowed: numbers"
            raise BadRow(where, "box not allowed", what) from None
        box = (x, y, x + width, y + height)
    picture, name = partial(cropped, inside(folder, name, where), box, where), PureWindowsPath(name).as_posix()
    return Face(picture, label_of(data["expression"][i].strip(), CLASSES, where), _TABLES[file.name], printable(name))


LAYOUTS = (
    Layout("affectnet", "annotations", "train_set|val_set/images/ID.jpg and annotations/ID_exp.npy",
           lambda path: any((path / x / "annotations").is_dir() for x in _SETS), _annotation_rows),
    Layout("affectnet", "folders", "train|val/0..7/*.jpg, all eight in both", _whole, _numbered, unsure=True),
    Layout("affectnet", "some folders", "SPLIT/NUMBER/*.jpg, only as --dataset affectnet",
           _is_numbered, _numbered, named=True),
    Layout("affectnet", "tables", "training.csv and validation.csv (subDirectory_filePath, face_x, ..., expression)",
           lambda path: bool(_tables(path)), _table_rows),
)  # fmt: skip
