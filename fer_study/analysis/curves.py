"""Prepare what was measured epoch by epoch, and predictions of several seeds, for figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .report import Record, stacked


def histories(records: Sequence[Record]) -> pd.DataFrame:
    """Stack the histories of all seeds, with a ``seed`` column."""
    return pd.concat([r.history.assign(seed=r.config.seed) for r in records], ignore_index=True)


def curves(records: Sequence[Record]) -> tuple[pd.DataFrame, str]:
    """Prepare ``histories`` for a figure, and the note below its title.

    Validation is scored against the labels. Training that was scored against something else is left
    out (NaN); a loss with weights and the like is named.
    """
    table, config = histories(records), records[0].config
    other = (
        "the votes"
        if config.data.targets == "votes"
        else "mixed labels"
        if config.loss.mixup or config.loss.cutmix
        else ""
    )
    if other:
        note = f"validation, against the labels; training was scored against {other}: left out"
        return table.assign(train_loss=np.nan, train_accuracy=np.nan), note
    loss = config.loss
    ways = {
        "against its teacher": loss.teacher,
        "with class weights": loss.class_weights != "none",
        "with label smoothing": loss.label_smoothing,
    }
    used = " and ".join(way for way, on in ways.items() if on)
    if not used:
        return table, "dashed: training; solid: validation"
    return table, f"dashed: training, its loss {used}; solid: validation, its loss without"


def pooled(
    records: Sequence[Record], view: str, subset: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stack predictions (``report.stacked``), one seed under the other.

    Returns:
        Logits (n, K), labels (n,) and image rows (n,).
    """
    logits, labels, rows = stacked(records, view, subset)
    return np.concatenate(logits), np.tile(labels, len(logits)), np.tile(rows, len(logits))
