"""Find faults of pictures that counts do not show: blank ones, copies, mirror images.

A fault is (problem, remedy).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .copies import gray_levels, mirror_groups, mirror_pairs
from .faceset import FaceSet
from .official import OFFICIAL_CONFLICTS, Counts, difference
from .rows import pluralise

NEARLY_BLANK = 8
"""Gray levels that a nearly blank picture spans at most."""

MOST_PAIRS = 2_000_000_000
"""Pairs of a test image and another up to which near mirror images are looked for: about half a
minute."""

Fault = tuple[str, str]


def as_published(faces: FaceSet) -> bool:
    """Tells whether a set is whole as published: its faults are to be known, not mended."""
    counts = Counts.of(faces)
    return counts is not None and counts.difference() is None


def count_duplicates(groups: pd.DataFrame) -> dict[str, int]:
    """Counts exact duplicates: equal pixels, whatever the labels.

    Args:
        groups: from ``copies.duplicate_groups``.

    Returns:
        ``groups`` of equal images, ``images`` in them, ``groups_across_splits``, and
        ``test_images_elsewhere``, the test images that are also in train or validation.
    """
    return {
        "groups": len(groups),
        "images": int(groups["images"].sum()),
        "groups_across_splits": int(groups["crosses"].sum()),
        "test_images_elsewhere": int(groups.loc[groups["crosses"], "test"].sum()),
    }


def conflict_faults(faces: FaceSet, group: np.ndarray, groups: pd.DataFrame) -> list[Fault]:
    """Finds equal images with different labels, more than an official set has.

    Args:
        group: (N,) int64 from ``copies.copy_groups``.
        groups: from ``copies.duplicate_groups``.
    """
    numbers = groups.index[groups["conflicting"]]
    n, known = len(numbers), OFFICIAL_CONFLICTS.get(faces.name, 0)
    if n <= (known if difference(faces) is None else 0):
        return []
    rows = np.flatnonzero(group == numbers[0])
    other = rows[faces.labels[rows] != faces.labels[rows[0]]][0]
    named = [f"{faces.ids[row]} ({faces.classes[faces.labels[row]]})" for row in (rows[0], other)]
    verb = "carries" if n == 1 else "carry"
    what = f"{pluralise(n, 'group')} of equal images {verb} different labels"
    remedy = "find out which label is right, and remove the other copies"
    return [(f"{what}, e.g. {' and '.join(named)}", remedy)]


def examine_pictures(faces: FaceSet, group: np.ndarray) -> dict[str, Any]:
    """Finds blank pictures, and test images that are elsewhere as copies or mirror images.

    Args:
        group: (N,) int64 from ``copies.copy_groups``.

    Returns:
        ``blank`` (``images`` that span at most ``NEARLY_BLANK`` gray levels, and the ``first`` of
        their ids), ``mirrors`` (``images`` whose mirror image is in the set too,
        ``test_images_elsewhere`` of them whose mirror image is in train or validation, ``nearly``
        so many more whose mirror image is nearly there, or None where that was not looked for),
        ``faults``, blank pictures first and in no other, and ``notes`` on what may be none: faces
        of one pose can be as alike.
    """
    mirror, test = mirror_groups(faces.images, group), faces.split == "test"
    is_blank = gray_levels(faces.images) <= NEARLY_BLANK
    elsewhere = np.unique(group[~test])
    copied = test & ~is_blank & np.isin(group, elsewhere)
    mirrored = test & ~is_blank & np.isin(mirror, elsewhere)
    of, among = np.flatnonzero(test & ~mirrored), np.flatnonzero(~test)
    few = len(of) * len(among) <= MOST_PAIRS
    pairs = mirror_pairs(faces.images, of, among) if few else None
    blank = {"images": int(is_blank.sum()), "first": faces.ids[is_blank][:5].tolist()}
    faults = [blank_fault(blank)] if blank["images"] else []
    if n := int((copied | mirrored).sum()):
        i = np.flatnonzero(copied | mirrored)[0]
        other = faces.ids[~test][group[~test] == (group if copied[i] else mirror)[i]][0]
        how = f"copies: {copied.sum()}, mirror images: {mirrored.sum()}"
        faults.append(_leak(n, how, faces.ids[i], other))
    nearly = None if pairs is None else int(pairs["first"].nunique())
    notes = []
    if nearly is None:
        notes = ["near mirror images were not looked for: the set is too large"]
    elif nearly:
        first, second = faces.ids[pairs.iloc[0].to_numpy()]
        notes = [_leak(nearly, "perhaps: near mirror images", first, second)[0]]
    mirrors = {
        "images": int((mirror >= 0).sum()),
        "test_images_elsewhere": int(mirrored.sum()),
        "nearly": nearly,
    }
    return {"blank": blank, "mirrors": mirrors, "faults": faults, "notes": notes}


def blank_fault(blank: dict[str, Any]) -> Fault:
    """Describes the ``blank`` pictures of ``examine_pictures``."""
    names = ", ".join(blank["first"]) + (", ..." if blank["images"] > len(blank["first"]) else "")
    what = f"{pluralise(blank['images'], 'picture')} blank or nearly"
    return (
        f"{what} (at most {NEARLY_BLANK} gray levels apart): {names}",
        "look at them, and fetch them again or remove them",
    )


def _leak(number: int, how: str, test_image: str, other: str) -> Fault:
    what = (
        f"{pluralise(number, 'test image')} {'is' if number == 1 else 'are'} in train or validation"
    )
    return (
        f"{what} too ({how}), e.g. {test_image} ({other})",
        "remove them there, or what was made from them: augment after the split, not before",
    )
