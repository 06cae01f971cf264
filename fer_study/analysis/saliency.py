"""Average the maps that records hold of where a network looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
