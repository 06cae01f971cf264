"""How alike two images are, and which of some are nearly mirror images of others.

The measure is the Pearson correlation of the pixels: it does not see a change of brightness or contrast, and a blank image
has none.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.fft import dctn

NEAR = 0.95
"""Correlation from which two images count as near copies."""

SLACK = 1e-4
"""Above the rounding of float32 inner products of unit vectors with a few hundred entries."""


def sketch(images: np.ndarray, size: int = 16) -> np.ndarray:
    """(N, D) float32 whose inner products bound the correlations of the images from above; all zero for blank images.

    A centred image of unit norm is low + rest, where low are ``size`` x ``size`` coefficients of an orthonormal cosine
    transform a channel. Then r(x, y) = <low_x, low_y> + <rest_x, rest_y> <= <low_x, low_y> + |rest_x| |rest_y| by
    Cauchy-Schwarz: the sketch is (low, |rest|).
    """
    rows = []
    chunk = rows_at_a_time(images)
    for start in range(0, len(images), chunk):
        part = images[start : start + chunk].astype(np.float64)
        part -= part.mean(axis=(1, 2, 3), keepdims=True)
        norm = np.sqrt(np.square(part).sum(axis=(1, 2, 3), keepdims=True))
        part /= np.where(norm > 0, norm, 1)
        low = dctn(part, axes=(2, 3), norm="ortho")[:, :, :size, :size].reshape(len(part), -1)
        rest = np.sqrt(np.clip((norm.ravel() > 0) - np.square(low).sum(axis=1), 0, None))
        rows.append(np.column_stack([low, rest]).astype(np.float32))
    return np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)


def rows_at_a_time(images: np.ndarray) -> int:
    """Images that take 64 MB as float64."""
    return max(1, 2**23 // int(np.prod(images.shape[1:])))


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) float64 Pearson correlation of the pixels of each pair, NaN with a blank image; all sums are exact integers.

    Args:
        first, second: (P, C, H, W) uint8.
    """
    x, y = (images.reshape(len(images), int(np.prod(images.shape[1:]))).astype(np.float64) for images in (first, second))
    sum_x, sum_y = x.sum(axis=1), y.sum(axis=1)
    var_x, var_y = (x.shape[1] * np.einsum("pd,pd->p", z, z) - s**2 for z, s in ((x, sum_x), (y, sum_y)))
    with np.errstate(invalid="ignore"):
        return (x.shape[1] * np.einsum("pd,pd->p", x, y) - sum_x * sum_y) / np.sqrt(var_x * var_y)


def mirror_pairs(images: np.ndarray, of: np.ndarray, among: np.ndarray, threshold: float = NEAR) -> pd.DataFrame:
    """Pairs of which one is nearly the mirror image of the other.

    A face is nearly its own mirror image, and two that are alike are so either way round: so the correlation with the
    mirror image must be at least twice as near to 1 as the one without.

    Args:
        images: (N, C, H, W) uint8.
        of, among: (n,) int64 rows: which are asked about, and where their mirror images are looked for.
        threshold: correlation from which they count.

    Returns:
        Table of ``first`` (of ``of``) and ``second`` (of ``among``), rows of ``images``.
    """
    chunk, found = min(1024, rows_at_a_time(images)), [np.zeros((0, 2), np.int64)]
    parts = [sketch(images[of[i : i + chunk]][..., ::-1]) for i in range(0, len(of), chunk)]
    mirrored = np.concatenate(parts) if parts else sketch(images[:0])
    for start in range(0, len(among) if len(of) else 0, chunk):
        rows = among[start : start + chunk]
        places, others = np.nonzero(mirrored @ sketch(images[rows]).T >= threshold - SLACK)
        for i in range(0, len(places), chunk):
            first, second = of[places[i : i + chunk]], rows[others[i : i + chunk]]
            as_mirror = correlation(images[first][..., ::-1], images[second])
            as_it_is = correlation(images[first], images[second])
            keep = (as_mirror >= threshold) & (1 - as_mirror <= (1 - as_it_is) / 2)
            found.append(np.column_stack([first[keep], second[keep]]))
    return pd.DataFrame(np.concatenate(found), columns=["first", "second"])
