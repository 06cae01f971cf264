"""FER+ (Barsoum et al., 2016): FER2013's images, labelled again by ten people each.

The four ways in which its authors turn ten votes into a training target; all first discard single votes as outliers:

``majority``
    one emotion with more than half of what is left;
``probability``, ``crossentropy``
    the most voted emotions until three quarters of the votes are covered, at most three of them; the first draws a label
    from this distribution (in training, anew each time an image is shown), the second trains on the distribution itself;
``multi_target``
    every emotion with at least 30 % of the votes, all of them equal.
    DEVIATION: the published code trains them with the loss -log max_k(p_k t_k), t binary; here the target is equal shares
    that sum to 1, under the cross-entropy of all other runs.

Images of which too little agreement is left, or on which *unknown* or *no face* leads, are dropped and counted.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ...settings.errors import InputError
from ..labels import EIGHT, FERPLUS_COLUMNS, VOTE_NAMES
from ..rows import Face, Options, Row, printable
from ..votes import FILE_ORDER, counted
from . import fer2013
from .layout import Layout, inside, parquet_schema
from .pictures import open_image
from .tables import csv_columns, csv_rows

FOLDERS = {"FER2013Train": "train", "FER2013Valid": "validation", "FER2013Test": "test"}


def distribution(votes: np.ndarray, annotation: str = "majority") -> np.ndarray:
    """What the votes on one image teach, by the rules of the authors' published code (see above).

    Args:
        votes: (10,) counts over ``VOTE_NAMES``. Ties are taken in the order of the columns of ``fer2013new.csv``.
        annotation: one of ``rows.ANNOTATIONS``.

    Returns:
        (10,) float64 that sums to 1; all on ``unknown`` where the votes agree too little.
    """
    return _shares(kept_votes(votes, annotation), annotation)


def kept_votes(votes: np.ndarray, annotation: str) -> np.ndarray:
    """(10,) float64 over ``VOTE_NAMES``: the votes for the options that an annotation keeps, of which the highest is the
    label; arguments as in ``distribution``."""
    raw = np.asarray(votes, np.float64)[FILE_ORDER]
    raw = np.where(raw <= 1, 0, raw)
    total, kept = raw.sum(), np.zeros(10)
    if annotation == "majority":
        if raw.max() > 0.5 * total:
            kept[raw.argmax()] = raw.max()
    elif annotation == "multi_target":
        kept = np.where(raw >= 0.3 * total, raw, 0)
    else:
        kept = _covering(raw)
    if kept.sum() <= 0.5 * total:
        kept = np.eye(10)[8]
    out = np.zeros(10)
    out[FILE_ORDER] = kept
    return out


def _shares(kept: np.ndarray, annotation: str) -> np.ndarray:
    shares = (kept > 0).astype(np.float64) if annotation == "multi_target" else kept
    return shares / max(shares.sum(), 1e-9)


def _covering(raw: np.ndarray) -> np.ndarray:
    """The most voted options until three quarters of the votes are covered; zero where that takes more than three."""
    left, kept, count, valid = raw.copy(), np.zeros(10), 0, True
    while kept.sum() < 0.75 * raw.sum() and count < 3 and valid:
        highest = left.max()
        for i in np.flatnonzero(left == highest):
            kept[i], left[i] = highest, 0
            count += 1
            if i >= 8:  # unknown or no face: beside emotions it is passed over, alone it ends the search
                valid = False
                if kept.sum() > highest:
                    kept[i] = 0
                    count -= 1
                break
    return kept if count <= 3 else np.zeros(10)


def _with_label(face: Face, options: Options) -> Face:
    """A face with the label and the target that its votes give; ties of the label as in ``distribution``."""
    kept = kept_votes(face.votes, options.annotation)
    label = VOTE_NAMES[FILE_ORDER[int(kept[FILE_ORDER].argmax())]]
    if label not in EIGHT:
        return face._replace(label=label)
    return face._replace(label=label, target=_shares(kept[: options.classes], options.annotation))


def _joined(path: Path, options: Options) -> list[Row]:
    layout = next(x for x in fer2013.LAYOUTS if x.recognises(path))

    def read(row: Row) -> Face:
        return _with_label(row(), options)

    return [partial(read, row) for row in layout.rows(path, options)]


def has_votes(path: Path) -> bool:
    if csv := fer2013.csv_file(path):
        return (csv.parent / fer2013.VOTES_NAME).is_file()
    layout = next((x for x in fer2013.LAYOUTS if x.name == "parquet" and x.recognises(path)), None)
    names = parquet_schema(fer2013.parquet_files(path)[0]).names if layout else []
    return all(f"ferplus_{name}" in names for name in FERPLUS_COLUMNS)


def _folder_rows(path: Path, options: Options) -> list[Row]:
    """``label.csv`` has no header: image, the face's box, then the ten votes."""
    rows: list[Row] = []
    header = ["image", "box", *FERPLUS_COLUMNS]
    for folder, split in FOLDERS.items():
        if not (path / folder).is_dir():
            continue
        file = path / folder / "label.csv"
        if not file.is_file():
            raise InputError(f"{printable(file)}: no such file; images in {folder} have no votes without it")
        data = csv_columns(file, ["image", *FERPLUS_COLUMNS], header)
        if data["image"] and all(data[column][0].strip().isalpha() for column in FERPLUS_COLUMNS):
            raise InputError(f"{printable(file)}: line 1 is a header, this layout has none: image, box, then the votes as "
                             f"{', '.join(FERPLUS_COLUMNS)}; order them so and remove the line")  # fmt: skip
        rows += csv_rows(data, _folder_row, options, path / folder, file, split, data)
    return rows


def _folder_row(options: Options, folder: Path, file: Path, split: str, data: dict, i: int) -> Face:
    where = f"{printable(file)}, line {data['line'][i]}"
    votes = counted([data[column][i] for column in FERPLUS_COLUMNS], where)
    image = inside(folder, data["image"][i], where)
    name = printable(f"{folder.name}/{data['image'][i]}")
    return _with_label(Face(partial(open_image, image), "unknown", split, name, votes), options)


LAYOUTS = (
    Layout("ferplus", "folders", "FER2013Train|Valid|Test/label.csv with ferXXXXXXX.png",
           lambda path: any((path / f / "label.csv").is_file() for f in FOLDERS), _folder_rows),
    Layout("ferplus", "joined", f"FER2013 as CSV with {fer2013.VOTES_NAME}, or as parquet with ferplus_* columns",
           has_votes, _joined),
)  # fmt: skip
