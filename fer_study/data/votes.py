"""Read votes of FER+ (Barsoum et al., 2016).

Each count, the majority, and whether votes belong to the images they lie beside.

FER2013 names none of its images, so the published votes are joined by row order: in another order
they are wrong votes, and with FER+ wrong labels, which nothing else would show.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from .fingerprints import ROWS, VOTES, mark_of
from .labels import EIGHT, FER2013, FERPLUS_COLUMNS, VOTE_NAMES
from .official import OFFICIAL_COUNTS
from .rows import BadRow, Face, wrong_input

log = logging.getLogger(__name__)

FILE_ORDER = np.array([VOTE_NAMES.index(name) for name in FERPLUS_COLUMNS.values()])
"""Column of ``VOTE_NAMES`` of each column of ``fer2013new.csv``."""

LEAST, ENOUGH, BLOCK = 0.5, 200, 1000
"""Share of images whose label is the most voted emotion (62.8 % on FER2013; by chance 18 %) under
which votes are taken for those of other images; from how many images on that is judged; and of how
many in a row, since a row too many shifts all that come after it."""

_COUNTS = {str(i): i for i in range(11)} | {i: i for i in range(11)}


def count_votes(counts: Sequence[object], where: str) -> np.ndarray:
    """Reads the ten votes on an image: (10,) uint8 over ``VOTE_NAMES``.

    Args:
        counts: ten numbers, or texts of such, in the order of ``FERPLUS_COLUMNS``. Ten people vote;
            in one row of FER2013 only nine did.

    Raises:
        BadRow: one is no number of votes, or they are none or more than ten in all.
    """
    votes = np.zeros(len(VOTE_NAMES), np.uint8)
    for column, place, count in zip(FERPLUS_COLUMNS, FILE_ORDER, counts, strict=True):
        key = count.strip() if isinstance(count, str) else count
        if not isinstance(key, (str, int, float)) or key not in _COUNTS:
            what = f"{column} is {count!r:.40}, allowed a number of votes 0..10"
            raise BadRow(where, "votes not allowed", what)
        votes[place] = _COUNTS[key]
    if not 1 <= votes.sum() <= 10:
        what = f"{votes.sum()} votes, allowed 1..10 in all, one of each person"
        raise BadRow(where, "votes not allowed", what)
    return votes


def majority(votes: np.ndarray, num_options: int = 10) -> np.ndarray:
    """Finds the most voted of the first ``num_options`` of ``VOTE_NAMES``.

    Ties go to the option that comes first in ``fer2013new.csv`` (neutral, happy, surprise, sad,
    angry, disgust, fear, ...), as in an arg-max over the columns of the file, on which the
    published FER+ counts rest (on FER2013 the order of the classes would leave 1,030 fear images of
    the eight emotions, not 825).

    Args:
        votes: (N, 10) uint8 over ``VOTE_NAMES``.
        num_options: 7 emotions, 8 with contempt, or all 10.

    Returns:
        (N,) int64: index into ``VOTE_NAMES``, -1 where none of these options has a vote.
    """
    order = FILE_ORDER[np.isin(FILE_ORDER, np.arange(num_options))]
    winner = order[votes[:, order].argmax(axis=1)]
    return np.where(votes[:, :num_options].any(axis=1), winner, -1)


def clear_majority(votes: np.ndarray) -> np.ndarray:
    """Finds the option that more than half of a crowd names, as FER+ does (Barsoum et al., 2016).

    Single votes are discarded as outliers first, as in its published code.

    Args:
        votes: (N, 10) uint8 over ``VOTE_NAMES``.

    Returns:
        (N,) int64: index into ``VOTE_NAMES``, -1 where no option has more than half of what is
        left.
    """
    kept = np.where(votes > 1, votes, 0)
    decided = 2 * kept.max(axis=1) > kept.sum(axis=1)
    return np.where(decided, kept.argmax(axis=1), -1)


def agreement(labels: np.ndarray, votes: np.ndarray) -> tuple[float, int]:
    """Computes the share of images whose label is the most voted emotion, and of how many.

    Args:
        labels: (N,) str class names.
        votes: (N, 10) over ``VOTE_NAMES``.
    """
    winner = majority(votes, len(EIGHT))
    voted = winner >= 0
    equal = (np.array(VOTE_NAMES)[winner] == labels)[voted]
    return float(equal.mean()) if len(equal) else float("nan"), len(equal)


def check_joined(faces: Sequence[Face], where: str) -> None:
    """Refuses votes that belong to other images than those they lie beside.

    Args:
        faces: the images with their votes, in the order of the set.

    Raises:
        InputError: labels and split are those of FER2013 in its order, and the votes are not those
            of FER+; the votes are, and the images are those of FER2013 in another order; or label
            and crowd agree too little.
    """
    if not faces:
        return
    labels, split = np.array([face.label for face in faces]), np.array([x.split for x in faces])
    votes = np.stack([face.votes for face in faces])
    numbers = np.array([FER2013.index(name) if name in FER2013 else -1 for name in labels])
    images_official = mark_of(numbers, split) == ROWS["fer2013"]
    votes_official = mark_of(votes) == VOTES["fer2013"]
    if images_official and votes_official:
        return
    remedy = "votes are joined by row order; fetch the original fer2013.csv and fer2013new.csv"
    if images_official:
        what = "the images are FER2013 in its order, the votes are not FER+ in that order"
        raise wrong_input(where, f"{what}; {remedy}")
    if votes_official and _counts(numbers, split) == OFFICIAL_COUNTS["fer2013"]:
        what = "the votes are FER+ in its order, the images are FER2013 in another order"
        raise wrong_input(where, f"{what}; {remedy}")
    parts = {"all": slice(None)} | {name: split == name for name in np.unique(split)}
    for i in range(0, len(faces) - ENOUGH, BLOCK):
        parts[f"rows {i}..{i + BLOCK - 1}"] = slice(i, i + BLOCK)
    for name, part in parts.items():
        share, n = agreement(labels[part], votes[part])
        found = f"the label is the most voted emotion of {100 * share:.1f} % of {n} images"
        if n >= ENOUGH and share < LEAST:
            allowed = f"from {100 * LEAST:.0f} % on (62.8 % on FER2013)"
            what = f"{found} ({name}), allowed: {allowed}, so these are votes on other images"
            raise wrong_input(where, f"{what}; {remedy}")
        if n >= ENOUGH and name == "all":
            what = "votes on images that are not FER2013 in its own order"
            log.warning("%s: %s; %s (62.8 %% on FER2013)", where, what, found)


def _counts(numbers: np.ndarray, split: np.ndarray) -> dict[str, tuple[int, ...]]:
    """Counts known labels by split, in the form of ``OFFICIAL_COUNTS``."""
    known = numbers >= 0
    return {
        name: tuple(np.bincount(numbers[known & (split == name)], minlength=7).tolist())
        for name in np.unique(split)
    }
