"""Copies within and across splits, and blank images.

Two kinds of copies. *Exact*: every pixel is equal. *Near*: exact, or the Pearson correlation of the
pixels is at least a threshold; it does not see a change of brightness or contrast. A blank image
has no correlation, so only exact copies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data.copies import copy_groups, count_among, gray_levels, near_pairs
from ..data.faceset import SPLITS, FaceSet
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
    return gray_levels(images) <= tolerance


def _check_splits(*names: Sequence[str]) -> None:
    if unknown := [s for part in names for s in part if s not in SPLITS]:
        raise InputError(f"unknown split {unknown[0]!r}; allowed: {', '.join(SPLITS)}")


def count_copies(
    faces: FaceSet, in_: Sequence[str], group: np.ndarray, pairs: pd.DataFrame | None = None
) -> np.ndarray:
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
    counts = np.stack([count_among(key, reference) for key in (group, group_and_label)], axis=1)
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
        pairs: ``near_pairs(faces.images, t)`` with t <= threshold, where it is at hand; else it is
            computed.

    Returns:
        (N,) bool, False outside ``of``.
    """
    _check_splits(of, in_)
    if threshold is None:
        pairs = None
    else:
        pairs = (
            near_pairs(faces.images, threshold)
            if pairs is None
            else pairs[pairs["correlation"] >= threshold]
        )
    counts = count_copies(faces, in_, copy_groups(faces.images), pairs)
    return (counts[:, 0] > 0) & np.isin(faces.split, of)


def share(mask: np.ndarray) -> float:
    """Share of true entries, NaN where there are none to count."""
    return float(mask.mean()) if len(mask) else float("nan")


def leakage(faces: FaceSet, group: np.ndarray, pairs: pd.DataFrame) -> pd.DataFrame:
    """Count images with a copy elsewhere, for every relation of ``RELATIONS``.

    Exact and near, by class and for all classes.

    Returns:
        Long table: ``relation``, ``kind`` (exact, near), ``class`` (or ``all``), ``images``,
        ``with_copy``, ``share``, ``same_label`` (some copy has the same label) and
        ``all_same_label`` (every copy has).
    """
    rows = []
    for relation, (of, in_) in RELATIONS.items():
        inside = np.isin(faces.split, of)
        for kind, used in (("exact", None), ("near", pairs)):
            copies, same = count_copies(faces, in_, group, used).T
            for label, name in enumerate((*faces.classes, "all")):
                mask = inside & ((faces.labels == label) | (name == "all"))
                hit = mask & (copies > 0)
                tally = [
                    hit.sum(),
                    share(hit[mask]),
                    (hit & (same > 0)).sum(),
                    (hit & (same == copies)).sum(),
                ]
                rows.append([relation, kind, name, mask.sum(), *tally])
    names = [
        "relation",
        "kind",
        "class",
        "images",
        "with_copy",
        "share",
        "same_label",
        "all_same_label",
    ]
    return pd.DataFrame(rows, columns=names)
