"""FER+ (Barsoum et al., 2016): FER2013's images, labelled again by ten people each.

The four ways in which its authors turn ten votes into a training target; all first discard single
votes as outliers:

``majority``
    one emotion with more than half of what is left;
``probability``, ``crossentropy``
    the most voted emotions until three quarters of the votes are covered, at most three of them;
    the first draws a label from this distribution (in training, anew each time an image is shown),
    the second trains on the distribution itself;
``multi_target``
    every emotion with at least 30 % of the votes, all of them equal.
    DEVIATION: the published code trains them with the loss -log max_k(p_k t_k), t binary; here the
    target is equal shares that sum to 1, under the cross-entropy of all other runs.

Images of which too little agreement is left, or on which *unknown* or *no face* leads, are dropped
and counted.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ..labels import EIGHT, FERPLUS_COLUMNS, VOTE_NAMES
from ..rows import BadRow, Face, Options, Rows, printable, wrong_input
from ..votes import FILE_ORDER, count_votes
from . import fer2013
from .files import file_inside
from .layout import Layout
from .pictures import open_image
from .tables import Record, parquet_files, parquet_schema, read_csv

FOLDERS = {"FER2013Train": "train", "FER2013Valid": "validation", "FER2013Test": "test"}


def distribution(votes: np.ndarray, annotation: str = "majority") -> np.ndarray:
    """Computes what the votes on one image teach, by the authors' published rules (see above).

    Args:
        votes: (10,) counts over ``VOTE_NAMES``. Ties are taken in the order of the columns of
            ``fer2013new.csv``.
        annotation: one of ``rows.ANNOTATIONS``.

    Returns:
        (10,) float64 that sums to 1; all on ``unknown`` where the votes agree too little.
    """
    return _shares(kept_votes(votes, annotation), annotation)


def kept_votes(votes: np.ndarray, annotation: str) -> np.ndarray:
    """Keeps the votes for the options that an annotation counts, of which the highest is the label.

    Args:
        votes, annotation: as in ``distribution``.

    Returns:
        (10,) float64 over ``VOTE_NAMES``.
    """
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
    """Keeps the most voted options that cover three quarters; zero if more than three must."""
    left, kept, count, valid = raw.copy(), np.zeros(10), 0, True
    while kept.sum() < 0.75 * raw.sum() and count < 3 and valid:
        highest = left.max()
        for i in np.flatnonzero(left == highest):
            kept[i], left[i] = highest, 0
            count += 1
            if i >= 8:
                # unknown or no face: beside emotions it is passed over, alone it ends the search
                valid = False
                if kept.sum() > highest:
                    kept[i] = 0
                    count -= 1
                break
    return kept if count <= 3 else np.zeros(10)


def _with_label(face: Face, options: Options) -> Face:
    """Gives a face the label and the target of its votes; ties as in ``distribution``."""
    kept = kept_votes(face.votes, options.annotation)
    label = VOTE_NAMES[FILE_ORDER[int(kept[FILE_ORDER].argmax())]]
    if label not in EIGHT:
        return face._replace(label=label)
    target = _shares(kept[: options.classes], options.annotation)
    return face._replace(label=label, target=target)


def _joined_rows(path: Path, options: Options) -> Rows:
    layout = next(x for x in fer2013.LAYOUTS if x.recognises(path))
    return Rows(layout.rows(path, options), partial(_with_label, options=options))


def has_votes(path: Path) -> bool:
    """Tells by names and headers whether FER2013 at a path comes with votes."""
    if csv := fer2013.csv_file(path):
        return (csv.parent / fer2013.VOTES_NAME).is_file()
    if not fer2013.is_parquet(path):
        return False
    names = parquet_schema(parquet_files(path)[0]).names
    return all(f"ferplus_{name}" in names for name in FERPLUS_COLUMNS)


def _folder_rows(path: Path, options: Options) -> Rows:
    """Lists the rows of the tables without header: image, box, then the ten votes."""
    records: list[BadRow | tuple[str, str, Record]] = []
    for folder, split in FOLDERS.items():
        if (path / folder).is_dir():
            table = _read_table(path / folder / "label.csv")
            records += [
                record if isinstance(record, BadRow) else (folder, split, record)
                for record in table
            ]

    def read(row: tuple[str, str, Record]) -> Face:
        folder, split, (line, (name, *votes)) = row
        where = f"{printable(path / folder / 'label.csv')}, line {line}"
        crowd = count_votes(votes, where)
        picture = partial(open_image, file_inside(path / folder, name, where))
        return _with_label(
            Face(picture, "unknown", split, printable(f"{folder}/{name}"), crowd), options
        )

    return Rows(records, read)


def _read_table(file: Path) -> list[Record | BadRow]:
    if not file.is_file():
        what = f"no such file; images in {file.parent.name} have no votes without it"
        raise wrong_input(file, what)
    table = read_csv(file, ["image", *FERPLUS_COLUMNS], ["image", "box", *FERPLUS_COLUMNS])
    first = table[0] if table else None
    if isinstance(first, Record) and all(cell.strip().isalpha() for cell in first.cells[1:]):
        allowed = f"image, box, then the votes as {', '.join(FERPLUS_COLUMNS)}"
        what = f"line 1 is a header, this layout has none: {allowed}"
        raise wrong_input(file, f"{what}; order them so and remove the line")
    return table


LAYOUTS = (
    Layout("ferplus", "folders", "FER2013Train|Valid|Test/label.csv with ferXXXXXXX.png",
           lambda path: any((path / x / "label.csv").is_file() for x in FOLDERS), _folder_rows),
    Layout("ferplus", "joined",
           f"FER2013 as CSV with {fer2013.VOTES_NAME}, or as parquet with ferplus_* columns",
           has_votes, _joined_rows),
)  # fmt: skip
