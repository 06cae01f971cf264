"""The one search for copies: pixel-identical images, mirror images, and near copies of both kinds.

Images are (N, C, H, W) uint8 and may be mapped: they are looked at part by part. How near two
images are is the Pearson correlation of their pixels: it does not see a change of brightness or
contrast, and a blank image has none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ..settings.errors import InputError
from .faceset import SPLITS, FaceSet

NEAR = 0.95
"""Correlation from which two images count as near copies."""

SLACK = 1e-4
"""Above the rounding of float32 inner products of unit vectors with a few hundred entries."""


def rows_at_a_time(images: np.ndarray) -> int:
    """Counts the images that take 64 MB as float64."""
    return max(1, 2**23 // int(np.prod(images.shape[1:])))


def _parts(images: np.ndarray) -> Iterator[np.ndarray]:
    step = rows_at_a_time(images)
    return (np.asarray(images[i : i + step]) for i in range(0, len(images), step))


def gray_levels(images: np.ndarray) -> np.ndarray:
    """Measures the highest level of each image less its lowest: (N,) uint8, 0 where it is blank."""
    levels = [np.ptp(part.reshape(len(part), -1), axis=1) for part in _parts(images)]
    return np.concatenate([np.zeros(0, np.uint8), *levels])


def _digests(images: np.ndarray) -> Iterator[bytes]:
    for part in _parts(images):
        for image in part:
            yield hashlib.sha256(np.ascontiguousarray(image)).digest()


def copy_groups(images: np.ndarray) -> np.ndarray:
    """Groups pixel-identical images.

    Returns:
        (N,) int64: two images have the same number exactly when all their pixels are equal
        (SHA-256).
    """
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(x, len(numbers)) for x in _digests(images)], np.int64)


def mirror_groups(images: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Finds the mirror image of each image.

    Args:
        group: (N,) int64 from ``copy_groups``.

    Returns:
        (N,) int64: group of the mirror image; -1 where it is not in the set, or the image is its
        own.
    """
    number = dict(zip(_digests(images), group.tolist(), strict=True))
    mirror = np.array([number.get(x, -1) for x in _digests(images[..., ::-1])], np.int64)
    return np.where(mirror == group, -1, mirror)


def count_among(group: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Counts the copies of each image among the other images of some rows: (N,) int64.

    Args:
        group: (N,) int64 from ``copy_groups``, or numbers of groups of any other kind.
        among: (N,) bool, the rows in which copies count.
    """
    return np.bincount(group[among], minlength=group.max(initial=0) + 1)[group] - among


def duplicate_groups(faces: FaceSet, group: np.ndarray) -> pd.DataFrame:
    """Tabulates groups of two or more pixel-identical images.

    Args:
        group: (N,) int64 from ``copy_groups``.

    Returns:
        One row a group: ``images``, images in each split, distinct ``labels``, ``crosses`` (more
        than one split), ``conflicting`` (more than one label), ``blank``.
    """
    table = pd.crosstab(group, faces.split).reindex(columns=SPLITS, fill_value=0)
    table.index.name, table.columns.name = "group", None
    table.insert(0, "images", table.sum(axis=1))
    table["labels"] = pd.Series(faces.labels).groupby(group).nunique()
    table["crosses"] = (table[list(SPLITS)] > 0).sum(axis=1) > 1
    table["conflicting"] = table["labels"] > 1
    table = table[table["images"] > 1].copy()
    numbers, rows = np.unique(group, return_index=True)
    first = rows[np.searchsorted(numbers, table.index)]  # one image speaks for its group
    table["blank"] = gray_levels(faces.images)[first] == 0
    return table


def sketch(images: np.ndarray, size: int = 16) -> np.ndarray:
    """Compute (N, D) float32 whose inner products bound correlations from above; 0 where blank.

    A centred image of unit norm is low + rest, where low are ``size`` x ``size`` coefficients of an
    orthonormal cosine transform a channel. Then by Cauchy-Schwarz
    ``r(x, y) = <low_x, low_y> + <rest_x, rest_y> <= <low_x, low_y> + |rest_x| |rest_y|``:
    the sketch is ``(low, |rest|)``.
    """
    sketches = []
    for part in _parts(images):
        part = part.astype(np.float64)
        part -= part.mean(axis=(1, 2, 3), keepdims=True)
        norm = np.sqrt(np.square(part).sum(axis=(1, 2, 3), keepdims=True))
        part /= np.where(norm > 0, norm, 1)
        low = dctn(part, axes=(2, 3), norm="ortho")[:, :, :size, :size].reshape(len(part), -1)
        rest = np.sqrt(np.clip((norm.ravel() > 0) - np.square(low).sum(axis=1), 0, None))
        sketches.append(np.column_stack([low, rest]).astype(np.float32))
    return np.concatenate(sketches) if sketches else np.zeros((0, 1), np.float32)


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Computes the (P,) float64 Pearson correlation of each pair, NaN with a blank image.

    Args:
        first, second: (P, C, H, W) uint8.
    """
    flat = (len(first), int(np.prod(first.shape[1:])))
    x, y = (images.reshape(flat).astype(np.float64) for images in (first, second))
    # all sums are exact integers
    n, sum_x, sum_y = flat[1], x.sum(axis=1), y.sum(axis=1)
    var_x = n * np.einsum("pd,pd->p", x, x) - sum_x**2
    var_y = n * np.einsum("pd,pd->p", y, y) - sum_y**2
    with np.errstate(invalid="ignore"):
        return (n * np.einsum("pd,pd->p", x, y) - sum_x * sum_y) / np.sqrt(var_x * var_y)


def _pair_parts(
    first: np.ndarray, second: np.ndarray, step: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return ((first[i : i + step], second[i : i + step]) for i in range(0, len(first), step))


def near_pairs(images: np.ndarray, threshold: float = NEAR, chunk: int = 1024) -> pd.DataFrame:
    """Finds every pair of images whose pixels correlate at ``threshold`` or more; none is missed.

    A cheap upper bound of the correlation (``sketch``) leaves few candidates, each of which is then
    computed exactly.

    Args:
        threshold: in (0, 1].
        chunk: rows that are compared with all others at a time; the result does not depend on it.

    Returns:
        Table of ``first`` < ``second`` (rows of ``images``) and ``correlation``. Blank images are
        in no pair.
    """
    if not 0 < threshold <= 1:
        raise InputError(f"threshold is {threshold}, allowed: above 0 and up to 1")
    sketches, found = sketch(images), [np.zeros((0, 3))]
    for start in range(0, len(images), chunk):
        bound = sketches[start : start + chunk] @ sketches[start:].T
        rows, others = np.nonzero(bound >= threshold - SLACK)
        upper = others > rows
        pairs = _pair_parts(rows[upper] + start, others[upper] + start, rows_at_a_time(images))
        for first, second in pairs:
            value = correlation(images[first], images[second])
            keep = value >= threshold
            found.append(np.column_stack([first[keep], second[keep], value[keep]]))
    table = pd.DataFrame(np.concatenate(found), columns=["first", "second", "correlation"])
    return table.astype({"first": np.int64, "second": np.int64})


def near_groups(images: np.ndarray, threshold: float = NEAR) -> np.ndarray:
    """Groups copies, exact and near, and copies of copies.

    Returns:
        (N,) int64: two images have the same number exactly when a chain of copies links them.
    """
    same, pairs = copy_groups(images), near_pairs(images, threshold)
    ends = same[pairs["first"]], same[pairs["second"]]
    number = same.max(initial=-1) + 1
    links = coo_array((np.ones(len(pairs), dtype=np.int8), ends), shape=(number, number))
    return connected_components(links, directed=False)[1].astype(np.int64)[same]


def mirror_pairs(
    images: np.ndarray, of: np.ndarray, among: np.ndarray, threshold: float = NEAR
) -> pd.DataFrame:
    """Finds pairs of which one is nearly the mirror image of the other.

    A face is nearly its own mirror image, and two that are alike are so either way round: so the
    correlation with the mirror image must be at least twice as near to 1 as the one without.

    Args:
        of, among: (n,) int64 rows: which are asked about, and where their mirror images are looked
            for.
        threshold: correlation from which they count.

    Returns:
        Table of ``first`` (of ``of``) and ``second`` (of ``among``), rows of ``images``.
    """
    step, found = min(1024, rows_at_a_time(images)), [np.zeros((0, 2), np.int64)]
    if len(of):
        sketches = [sketch(images[of[i : i + step]][..., ::-1]) for i in range(0, len(of), step)]
        mirrored = np.concatenate(sketches)
    for start in range(0, len(among) if len(of) else 0, step):
        rows = among[start : start + step]
        places, others = np.nonzero(mirrored @ sketch(images[rows]).T >= threshold - SLACK)
        for first, second in _pair_parts(of[places], rows[others], step):
            as_mirror = correlation(images[first][..., ::-1], images[second])
            as_it_is = correlation(images[first], images[second])
            keep = (as_mirror >= threshold) & (1 - as_mirror <= (1 - as_it_is) / 2)
            found.append(np.column_stack([first[keep], second[keep]]))
    return pd.DataFrame(np.concatenate(found), columns=["first", "second"])
