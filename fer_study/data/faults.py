"""Faults of the pictures of a set, which its counts do not show: blank ones, copies, and mirror images."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from . import official
from .copies import mirror_pairs, rows_at_a_time
from .faceset import FaceSet
from .rows import many

NEARLY_BLANK = 8
"""Gray levels that a nearly blank picture spans at most."""

MOST_PAIRS = 2_000_000_000
"""Pairs of a test image and another up to which near mirror images are looked for: about half a minute."""


class Looks(NamedTuple):
    """What one pass over the pixels shows.

    Attributes:
        levels: (N,) uint8: highest gray level of each image less its lowest.
        group: (N,) int64: equal for pixel-identical images.
        mirror: (N,) int64: ``group`` of the mirror image; -1 where it is not in the set, or the image is its own.
    """

    levels: np.ndarray
    group: np.ndarray
    mirror: np.ndarray


def look(images: np.ndarray) -> Looks:
    """One pass over (N, C, H, W) uint8 images, which may be mapped."""
    groups: dict[bytes, int] = {}
    levels, group, flipped = [np.zeros(0, np.uint8)], np.zeros(len(images), np.int64), []
    for start in range(0, len(images), chunk := rows_at_a_time(images)):
        part = np.asarray(images[start : start + chunk])
        levels.append(np.ptp(part.reshape(len(part), -1), axis=1))
        for i, image in enumerate(part, start):
            group[i] = groups.setdefault(_digest(image), len(groups))
            flipped.append(_digest(image[..., ::-1]))
    mirror = np.array([groups.get(digest, -1) for digest in flipped], np.int64)
    return Looks(np.concatenate(levels), group, np.where(mirror == group, -1, mirror))


def _digest(image: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image)).digest()


def as_published(faces: FaceSet) -> bool:
    """Whether a set has the counts of the official or published one: its faults are then to be known, not to be mended."""
    if faces.name in official.PUBLISHED_COUNTS:
        return official.unpublished(faces) is None
    counted = faces.name in official.OFFICIAL_COUNTS or faces.name in official.OFFICIAL_TOTALS
    return counted and official.difference(faces) is None


def duplicates(faces: FaceSet, group: np.ndarray) -> dict[str, int]:
    """Exact duplicates: equal pixels, whatever the labels.

    Args:
        group: (N,) int64 from ``copy_groups``.

    Returns:
        ``groups`` of equal images, ``images`` in them, ``groups_across_splits``, and ``test_images_elsewhere``, the test
        images that are also in train or validation.
    """
    table = pd.DataFrame({"image": group, "split": faces.split})
    groups = table.groupby("image")["split"]
    size, across = groups.size(), groups.nunique() > 1
    in_test = (table["split"] == "test") & table["image"].map(across)
    return {
        "groups": int((size > 1).sum()),
        "images": int(size[size > 1].sum()),
        "groups_across_splits": int(across.sum()),
        "test_images_elsewhere": int(in_test.sum()),
    }


def conflicts(faces: FaceSet, group: np.ndarray) -> list[tuple[str, str]]:
    """(problem, remedy) of equal images with different labels, more than an official set has."""
    table = pd.DataFrame({"group": group, "label": faces.labels, "id": faces.ids})
    table = table[table.groupby("group")["label"].transform("nunique") > 1]
    n = table["group"].nunique()
    if n <= (official.OFFICIAL_CONFLICTS.get(faces.name, 0) if official.difference(faces) is None else 0):
        return []
    first = table[table["group"] == table["group"].iloc[0]].drop_duplicates("label")
    example = " and ".join(f"{row.id} ({faces.classes[row.label]})" for row in first[:2].itertuples())
    return [(f"{many(n, 'group')} of equal images carr{'ies' if n == 1 else 'y'} different labels, e.g. {example}",
             "find out which label is right, and remove the other copies")]  # fmt: skip


def of_pictures(faces: FaceSet) -> dict[str, Any]:
    """Blank pictures, and test images that are elsewhere as copies or mirror images.

    Returns:
        ``blank`` (``images`` that span at most ``NEARLY_BLANK`` gray levels, and the ``first`` of their ids), ``mirrors``
        (``images`` whose mirror image is in the set too, ``test_images_elsewhere`` of them whose mirror image is in train
        or validation, ``nearly`` so many more whose mirror image is nearly there, or None where that was not looked for),
        ``faults``: (problem, remedy) of each, blank pictures first and in no other, and ``notes`` on what may be none: faces
        of one pose can be as alike.
    """
    looks, test = look(faces.images), faces.split == "test"
    is_blank = looks.levels <= NEARLY_BLANK
    blank, elsewhere = np.flatnonzero(is_blank), np.unique(looks.group[~test])
    copies, mirrored = (test & ~is_blank & np.isin(group, elsewhere) for group in (looks.group, looks.mirror))
    of, among = np.flatnonzero(test & ~mirrored), np.flatnonzero(~test)
    pairs = mirror_pairs(faces.images, of, among) if len(of) * len(among) <= MOST_PAIRS else None
    found = {
        "blank": {"images": len(blank), "first": faces.ids[blank[:5]].tolist()},
        "mirrors": {
            "images": int((looks.mirror >= 0).sum()),
            "test_images_elsewhere": int(mirrored.sum()),
            "nearly": None if pairs is None else int(pairs["first"].nunique()),
        },
    }
    faults, notes = [blank_fault(found["blank"])] if len(blank) else [], []
    if n := int((copies | mirrored).sum()):
        i = int(np.flatnonzero(copies | mirrored)[0])
        other = faces.ids[~test][looks.group[~test] == (looks.group if copies[i] else looks.mirror)[i]][0]
        faults.append(_leak(n, f"copies: {copies.sum()}, mirror images: {mirrored.sum()}", faces.ids[i], other))
    if pairs is None:
        notes = ["near mirror images were not looked for: the set is too large"]
    elif len(pairs):
        first, second = faces.ids[pairs.iloc[0].to_numpy()]
        notes = [_leak(pairs["first"].nunique(), "perhaps: near mirror images", first, second)[0]]
    return found | {"faults": faults, "notes": notes}


def blank_fault(blank: dict[str, Any]) -> tuple[str, str]:
    """(problem, remedy) of the ``blank`` pictures of ``of_pictures``."""
    names = ", ".join(blank["first"]) + (", ..." if blank["images"] > len(blank["first"]) else "")
    text = f"{many(blank['images'], 'picture')} blank or nearly (at most {NEARLY_BLANK} gray levels apart): {names}"
    return text, "look at them, and fetch them again or remove them"


def _leak(number: int, how: str, test_image: str, other: str) -> tuple[str, str]:
    verb = "is" if number == 1 else "are"
    return (
        f"{many(number, 'test image')} {verb} in train or validation too ({how}), e.g. {test_image} ({other})",
        "remove them there, or what was made from them: augment after the split, not before",
    )
