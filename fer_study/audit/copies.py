"""Copies within and across splits, and blank images.

Two kinds of copies. *Exact*: every pixel is equal. *Near*: exact, or the Pearson correlation of the pixels is at least a
threshold; it does not see a change of brightness or contrast. A blank image has no correlation, so only exact copies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data.copies import NEAR, SLACK, correlation, rows_at_a_time, sketch
from ..data.faceset import SPLITS, FaceSet, copy_groups
from ..settings.errors import InputError

RELATIONS = {
    "test in train": (("test",), ("train",)),
    "test in validation": (("test",), ("validation",)),
    "test in train+validation": (("test",), ("train", "validation")),
    "validation in train": (("validation",), ("train",)),
    "validation+test in train": (("validation", "test"), ("train",)),
    **{f"{s} in {s}": ((s,), (s,)) for s in SPLITS},
}
"""Name -> (splits whose images are counted, splits in which their copies are looked for)."""


def blank(images: np.ndarray, tolerance: int = 0) -> np.ndarray:
    """Images (N, C, H, W) uint8 that span at most ``tolerance`` grey levels: (N,) bool."""
    flat = images.reshape(len(images), int(np.prod(images.shape[1:])))
    return flat.max(axis=1) - flat.min(axis=1) <= tolerance


def _correlations(images: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) float64 correlation of each pair of rows, NaN with a blank image."""
    chunk = rows_at_a_time(images)
    parts = (slice(start, start + chunk) for start in range(0, len(first), chunk))
    return np.concatenate([np.zeros(0), *(correlation(images[first[x]], images[second[x]]) for x in parts)])


def near_pairs(images: np.ndarray, threshold: float = NEAR, chunk: int = 1024) -> pd.DataFrame:
    """Every pair of images whose pixels correlate at ``threshold`` or more; none is missed.

    A cheap upper bound of the correlation (``near.sketch``) leaves few candidates, each of which is then computed exactly.

    Args:
        images: (N, C, H, W) uint8.
        threshold: in (0, 1].
        chunk: rows that are compared with all others at a time; the result does not depend on it.

    Returns:
        Table of ``first`` < ``second`` (rows of ``images``) and ``correlation``. Blank images are in no pair.
    """
    if not 0 < threshold <= 1:
        raise InputError(f"threshold is {threshold}, allowed: above 0 and up to 1")
    sketched = sketch(images)
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for start in range(0, len(images), chunk):
        bound = sketched[start : start + chunk] @ sketched[start:].T
        first, second = np.divmod(np.flatnonzero(bound >= threshold - SLACK), bound.shape[1])
        upper = second > first
        first, second = first[upper] + start, second[upper] + start
        values = _correlations(images, first, second)
        keep = values >= threshold
        found.append((first[keep], second[keep], values[keep]))
    first, second, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return pd.DataFrame({"first": first, "second": second, "correlation": values})


def _check_splits(*names: Sequence[str]) -> None:
    if unknown := [s for part in names for s in part if s not in SPLITS]:
        raise InputError(f"unknown split {unknown[0]!r}; allowed: {', '.join(SPLITS)}")


def count_copies(faces: FaceSet, in_: Sequence[str], group: np.ndarray, pairs: pd.DataFrame | None = None) -> np.ndarray:
    """Copies of each image among the other images of some splits.

    Args:
        faces: the dataset.
        in_: splits in which copies are counted.
        group: (N,) int64 from ``copy_groups``.
        pairs: from ``near_pairs``; None counts exact copies only.

    Returns:
        (N, 2) int64: copies, and copies that carry the same label.
    """
    _check_splits(in_)
    reference = np.isin(faces.split, in_)
    group_and_label = group * faces.num_classes + faces.labels
    counts = [np.bincount(key[reference], minlength=key.max(initial=0) + 1)[key] for key in (group, group_and_label)]
    counts = np.stack(counts, axis=1) - reference[:, None]
    if pairs is not None:
        new = pairs[group[pairs["first"]] != group[pairs["second"]]]
        for here, there in ((new["first"], new["second"]), (new["second"], new["first"])):
            here, there = (x.to_numpy()[reference[there]] for x in (here, there))
            np.add.at(counts, (here, 0), 1)
            np.add.at(counts, (here, 1), faces.labels[here] == faces.labels[there])
    return counts


def has_copy(
    faces: FaceSet,
    of: Sequence[str] = ("test",),
    in_: Sequence[str] = ("train", "validation"),
    threshold: float | None = None,
    pairs: pd.DataFrame | None = None,
) -> np.ndarray:
    """Which images of some splits have a copy, other than themselves, in some splits.

    Args:
        faces: the dataset.
        of: splits whose images are asked about.
        in_: splits in which a copy counts.
        threshold: correlation from which an image is a copy; None takes exact copies only.
        pairs: ``near_pairs(faces.images, t)`` with t <= threshold, where it is at hand; else it is computed.

    Returns:
        (N,) bool, False outside ``of``.
    """
    _check_splits(of, in_)
    if threshold is None:
        pairs = None
    else:
        pairs = near_pairs(faces.images, threshold) if pairs is None else pairs[pairs["correlation"] >= threshold]
    counts = count_copies(faces, in_, copy_groups(faces.images), pairs)
    return (counts[:, 0] > 0) & np.isin(faces.split, of)


def duplicate_groups(faces: FaceSet, group: np.ndarray) -> pd.DataFrame:
    """Groups of two or more pixel-identical images.

    Args:
        faces: the dataset.
        group: (N,) int64 from ``copy_groups``.

    Returns:
        One row a group: ``images``, images in each split, distinct ``labels``, ``crosses`` (more than one split),
        ``conflicting`` (more than one label), ``blank``.
    """
    table = pd.crosstab(group, faces.split).reindex(columns=SPLITS, fill_value=0)
    table.index.name, table.columns.name = "group", None
    table.insert(0, "images", table.sum(axis=1))
    table["labels"] = pd.Series(faces.labels).groupby(group).nunique()
    table["crosses"] = (table[list(SPLITS)] > 0).sum(axis=1) > 1
    table["conflicting"] = table["labels"] > 1
    table["blank"] = pd.Series(blank(faces.images)).groupby(group).first()
    return table[table["images"] > 1]


def share(mask: np.ndarray) -> float:
    """Share of true entries, NaN where there are none to count."""
    return float(mask.mean()) if len(mask) else float("nan")


def leakage(faces: FaceSet, group: np.ndarray, pairs: pd.DataFrame) -> pd.DataFrame:
    """Images with a copy elsewhere, for every relation of ``RELATIONS``, exact and near, by class and for all classes.

    Returns:
        Long table: ``relation``, ``kind`` (exact, near), ``class`` (or ``all``), ``images``, ``with_copy``, ``share``,
        ``same_label`` (some copy has the same label) and ``all_same_label`` (every copy has).
    """
    rows = []
    for relation, (of, in_) in RELATIONS.items():
        inside = np.isin(faces.split, of)
        for kind, used in (("exact", None), ("near", pairs)):
            copies, same = count_copies(faces, in_, group, used).T
            for label, name in enumerate((*faces.classes, "all")):
                mask = inside & ((faces.labels == label) | (name == "all"))
                hit = mask & (copies > 0)
                tally = [hit.sum(), share(hit[mask]), (hit & (same > 0)).sum(), (hit & (same == copies)).sum()]
                rows.append([relation, kind, name, mask.sum(), *tally])
    names = ["relation", "kind", "class", "images", "with_copy", "share", "same_label", "all_same_label"]
    return pd.DataFrame(rows, columns=names)
