"""Maps of where a network looks: averages of those that records hold, and what a map hits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from ..store import Record
from .report import classes_of


def mean_maps(records: Sequence[Record]) -> tuple[np.ndarray, np.ndarray]:
    """Average the class-mean Grad-CAM over the seeds that have one.

    For example, the share of a map in the upper half: ``maps[:, :24].sum((1, 2)) / maps.sum((1,
    2))``.

    Args:
        records: of one system, a seed each.

    Returns:
        Maps (K, h, w) float32, >= 0, NaN where no seed has one; and (K,) int how many single maps,
        an image and a seed each, stand behind them.
    """
    stored = [record.cam for record in records if record.cam]
    if not stored:
        num_classes = len(classes_of(records))
        return np.full((num_classes, 1, 1), np.nan, np.float32), np.zeros(num_classes, np.int64)
    maps = np.stack([cam["maps"].astype(np.float32) for cam in stored])
    counts = np.stack([cam["counts"] for cam in stored])
    has_map = ~np.isnan(maps).all(axis=(2, 3))
    total = np.where(has_map[..., None, None], np.nan_to_num(maps), 0).sum(axis=0)
    with np.errstate(invalid="ignore"):  # 0 / 0: no seed has a map of the class
        mean = (total / has_map.sum(axis=0)[:, None, None]).astype(np.float32)
    return mean, np.where(has_map, counts, 0).sum(axis=0)


def inside_regions(maps: np.ndarray, regions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score each map against the region of its image.

    Args:
        maps: (n, H, W) float, >= 0. regions: (n, H, W) bool.

    Returns:
        (n,) float64 the share of the map inside, 0 of a map that is empty; and (n,) bool whether
        its highest place lies inside, False of an empty one.
    """
    total, places = maps.sum(axis=(1, 2)), maps.reshape(len(maps), -1)
    inside = (maps * regions).sum(axis=(1, 2)) / np.where(total > 0, total, 1)
    highest = regions.reshape(len(maps), -1)[np.arange(len(maps)), places.argmax(axis=1)]
    return inside.astype(np.float64), highest & (total > 0)


def rank_correlation(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each map (n, H, W) with another of the same image: (n,) float64;
    NaN where one of them is the same everywhere."""
    ranks = [stats.rankdata(one.reshape(len(one), -1), axis=1) for one in (maps, others)]
    ours, theirs = (one - one.mean(axis=1, keepdims=True) for one in ranks)
    scale = np.sqrt((ours**2).sum(axis=1) * (theirs**2).sum(axis=1))
    return np.where(scale > 0, (ours * theirs).sum(axis=1) / np.where(scale > 0, scale, 1), np.nan)


def blob(size: int, width: float = 0.5) -> np.ndarray:
    """(size, size) float64: one spot in the middle of a picture, as wide as a face. It knows where
    a face is, and nothing else."""
    away = np.linspace(-1, 1, size) ** 2
    return np.exp(-(away[:, None] + away) / (2 * width**2))
