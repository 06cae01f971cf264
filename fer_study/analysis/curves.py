"""Prepare what was measured epoch by epoch, and predictions of several seeds, for figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from .report import Record, stacked


def histories(records: Sequence[Record]) -> pd.DataFrame:
    """Stack the histories of all seeds, with a ``seed`` column."""
    return pd.concat([r.history.assign(seed=r.config.seed) for r in records], ignore_index=True)


def curves(systems: Mapping[str, Sequence[Record]]) -> pd.DataFrame:
    """Prepare what systems did epoch by epoch for ``plots.learning_curves``.

    Validation is scored against the labels. Training that was scored against something else is left
    out (NaN). A remark names a training that differs from validation by more than its images.

    Returns:
        ``histories`` with the columns ``name`` and ``remark``; no row for what has no epochs.
    """
    tables = [
        _compared(records).assign(name=name)
        for name, records in systems.items()
        if records and len(records[0].history)
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["name"])


def _compared(records: Sequence[Record]) -> pd.DataFrame:
    """The histories of a system, without a training that no curve of validation compares with."""
    table, config = histories(records), records[0].config
    mixed = "mixed labels" if config.loss.mixup or config.loss.cutmix else ""
    crowd = {"votes": "the votes", "majority": "the crowd's majority"}
    other = crowd.get(config.data.targets, mixed)
    if other:
        remark = f"training, scored against {other}, is left out"
        return table.assign(train_loss=np.nan, train_accuracy=np.nan, remark=remark)
    loss, sampling = config.loss, config.sampling
    ways = {
        "against its teacher": loss.teacher,
        "with class weights": loss.class_weights != "none",
        "of the focal loss": loss.focal_gamma,
        "with adjusted logits": loss.logit_adjustment,
        "on images drawn by class": sampling.balanced or sampling.times > 1,
        "with label smoothing": loss.label_smoothing,
    }
    used = " and ".join(way for way, on in ways.items() if on)
    return table.assign(remark=f"training loss {used}" if used else "")


def pooled(
    records: Sequence[Record], view: str, subset: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stack predictions (``report.stacked``), one seed under the other.

    Returns:
        Logits (n, K), labels (n,) and image rows (n,).
    """
    logits, labels, rows = stacked(records, view, subset)
    return np.concatenate(logits), np.tile(labels, len(logits)), np.tile(rows, len(logits))
