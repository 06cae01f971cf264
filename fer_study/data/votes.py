"""Votes of FER+ (Barsoum et al., 2016): the check of each count, and whether votes belong to the images they lie beside.

FER2013 names none of its images, so the published votes are joined by row order: in another order they are wrong votes, and
with FER+ wrong labels, which nothing else would show.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..settings.errors import InputError
from .fingerprints import ROWS, VOTES, mark_of
from .labels import EIGHT, FER2013, FERPLUS_COLUMNS, VOTE_NAMES
from .official import OFFICIAL_COUNTS
from .rows import BadRow

log = logging.getLogger(__name__)

FILE_ORDER = np.array([VOTE_NAMES.index(name) for name in FERPLUS_COLUMNS.values()])
"""Column of ``VOTE_NAMES`` of each column of ``fer2013new.csv``."""

LEAST, ENOUGH, BLOCK = 0.5, 200, 1000
"""Share of images whose label is the most voted emotion (62.8 % on FER2013; by chance 18 %) under which votes are taken for
those of other images; from how many images on that is judged; and of how many in a row, since a row too many shifts all that
come after it."""

_COUNTS = {str(i): i for i in range(11)} | {i: i for i in range(11)}


class Joined(NamedTuple):
    """An image and its votes, as they lie beside each other: class name, split, (10,) uint8 votes."""

    label: str
    split: str
    votes: np.ndarray


def counted(counts: Sequence[object], where: str) -> np.ndarray:
    """(10,) uint8 votes over ``VOTE_NAMES``.

    Args:
        counts: ten numbers, or texts of such, in the order of ``FERPLUS_COLUMNS``. Ten people vote; in one row of FER2013
            only nine did.

    Raises:
        BadRow: one is no number of votes, or they are none or more than ten in all.
    """
    out = np.zeros(len(VOTE_NAMES), np.uint8)
    for column, place, count in zip(FERPLUS_COLUMNS, FILE_ORDER, counts, strict=True):
        key = count.strip() if isinstance(count, str) else count
        if not isinstance(key, (str, int, float)) or key not in _COUNTS:
            raise BadRow(where, "votes not allowed", f"{column} is {count!r:.40}, allowed a number of votes 0..10")
        out[place] = _COUNTS[key]
    if not 1 <= out.sum() <= 10:
        raise BadRow(where, "votes not allowed", f"{out.sum()} votes, allowed 1..10 in all, one of each person")
    return out


def majority(votes: np.ndarray, num_options: int = 10) -> np.ndarray:
    """Arg-max of the votes over the first ``num_options`` of ``VOTE_NAMES``.

    Ties go to the option that comes first in ``fer2013new.csv`` (neutral, happy, surprise, sad, angry, disgust, fear, ...),
    as in an arg-max over the columns of the file, on which the published FER+ counts rest (on FER2013 the order of the
    classes would leave 1,030 fear images of the eight emotions, not 825).

    Args:
        votes: (N, 10) uint8 over ``VOTE_NAMES``.
        num_options: 7 emotions, 8 with contempt, or all 10.

    Returns:
        (N,) int64: index into ``VOTE_NAMES``, -1 where none of these options has a vote.
    """
    order = FILE_ORDER[np.isin(FILE_ORDER, np.arange(num_options))]
    winner = order[votes[:, order].argmax(axis=1)]
    return np.where(votes[:, :num_options].any(axis=1), winner, -1)


def agreement(labels: np.ndarray, votes: np.ndarray) -> tuple[float, int]:
    """Share of images whose label is the most voted of the eight emotions, ties as in ``majority``, and of how many.

    Args:
        labels: (N,) str class names.
        votes: (N, 10) over ``VOTE_NAMES``.
    """
    winner = majority(votes, len(EIGHT))
    voted = winner >= 0
    return float((np.array(VOTE_NAMES)[winner] == labels)[voted].mean()) if voted.any() else float("nan"), int(voted.sum())


def check_joined(rows: Sequence[Joined], where: str) -> None:
    """Refuses votes that belong to other images than those they lie beside.

    Args:
        rows: the images with their votes, in the order of the set.

    Raises:
        InputError: labels and split are those of FER2013 in its order, and the votes are not those of FER+; the votes are,
            and the images are those of FER2013 in another order; or label and crowd agree too little.
    """
    if not rows:
        return
    labels, split = np.array([row.label for row in rows]), np.array([row.split for row in rows])
    votes = np.stack([row.votes for row in rows])
    numbers = np.array([FER2013.index(name) if name in FER2013 else -1 for name in labels])
    images_official, votes_official = mark_of(numbers, split) == ROWS["fer2013"], mark_of(votes) == VOTES["fer2013"]
    if images_official and votes_official:
        return
    remedy = "votes are joined by row order; fetch the original fer2013.csv and fer2013new.csv"
    if images_official:
        raise InputError(f"{where}: the images are FER2013 in its order, the votes are not FER+ in that order; {remedy}")
    if votes_official and _counts(numbers, split) == OFFICIAL_COUNTS["fer2013"]:
        raise InputError(f"{where}: the votes are FER+ in its order, the images are FER2013 in another order; {remedy}")
    parts = {"all": slice(None)} | {name: split == name for name in np.unique(split)}
    parts |= {f"rows {i}..{i + BLOCK - 1}": slice(i, i + BLOCK) for i in range(0, len(rows) - ENOUGH, BLOCK)}
    for name, part in parts.items():
        share, n = agreement(labels[part], votes[part])
        if n >= ENOUGH and share < LEAST:
            raise InputError(
                f"{where}: the label is the most voted emotion of {100 * share:.1f} % of {n} images ({name}), allowed: from "
                f"{100 * LEAST:.0f} % on (62.8 % on FER2013), so these are votes on other images; {remedy}"
            )
        if name == "all" and n >= ENOUGH:
            log.warning("%s: votes on images that are not FER2013 in its own order; the label is the most voted emotion of "
                        "%.1f %% of %d images (62.8 %% on FER2013)", where, 100 * share, n)  # fmt: skip


def _counts(numbers: np.ndarray, split: np.ndarray) -> dict[str, tuple[int, ...]]:
    known = numbers >= 0
    return {
        name: tuple(np.bincount(numbers[known & (split == name)], minlength=len(FER2013)).tolist())
        for name in np.unique(split)
    }
