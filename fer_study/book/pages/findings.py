"""What single pages need of the records: curves and their ends, transfer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...analysis import metrics, verdicts
from ...analysis.metrics import Estimate
from ...analysis.report import Record, Runs, classes_of, score, stacked
from ...settings.experiment import DataConfig, TrainingConfig
from ...settings.recipes import load_recipe


def histories(records: Sequence[Record]) -> pd.DataFrame:
    """Histories of all seeds, with a ``seed`` column."""
    return pd.concat([r.history.assign(seed=r.config.seed) for r in records], ignore_index=True)


def curves(records: Sequence[Record]) -> tuple[pd.DataFrame, str]:
    """``histories`` for a figure, and the note below its title.

    Validation is scored against the labels. Training that was scored against something else is left out (NaN); a loss with
    weights and the like is named.
    """
    table, config = histories(records), records[0].config
    other = "the votes" if config.data.targets == "votes" else "mixed labels" if config.loss.mixup else ""
    if other:
        note = f"validation, against the labels; training was scored against {other}: left out"
        return table.assign(train_loss=np.nan, train_accuracy=np.nan), note
    loss = config.loss
    ways = {"against its teacher": loss.teacher, "with class weights": loss.class_weights != "none",
            "with label smoothing": loss.label_smoothing}  # fmt: skip
    used = " and ".join(way for way, on in ways.items() if on)
    if not used:
        return table, "dashed: training; solid: validation"
    return table, f"dashed: training, its loss {used}; solid: validation, its loss without"


def pooled(records: Sequence[Record], view: str, subset: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``report.stacked``, one seed under the other: logits (n, K), labels (n,), image rows (n,)."""
    logits, labels, rows = stacked(records, view, subset)
    return np.concatenate(logits), np.tile(labels, len(logits)), np.tile(rows, len(logits))


def as_claimed(records: Sequence[Record]) -> bool:
    """Trained as the source of the ladder says: its recipe on all training images and hard labels, at full width and 48 px.

    Anything else is "at our scale".
    """
    recipe = load_recipe("ladder")

    def same(record: Record) -> bool:
        config, data, model = record.config, record.config.data, record.config.model
        whole = DataConfig(dataset=data.dataset, faces=data.faces, style=data.style, world_seed=data.world_seed,
                           fingerprint=data.fingerprint)  # fmt: skip
        network = model.options.get("width", 1) == 1 and model.input_size == 48 and model.weights == "scratch"
        trained = all(getattr(config, part) == getattr(recipe, part) for part in TrainingConfig.model_fields)
        return trained and data == whole and network

    return all(map(same, records))


def curve_ends(runs: Runs) -> pd.DataFrame:
    """Loss and accuracy at the last epoch, means over seeds, with the gap between training and validation; systems without
    epochs are left out."""
    columns = ["train_loss", "validation_loss", "train_accuracy", "validation_accuracy"]
    rows = {}
    for name, records in runs.items():
        trained = [r.history.iloc[-1] for r in records if len(r.history)]
        if trained:
            ends = pd.DataFrame(trained)
            rows[name] = {"epochs": int(ends["epoch"].max()), **ends[columns].mean().round(4), "seeds": len(trained)}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["epochs", *columns, "seeds"]).rename_axis("system")
    table = table.assign(gap=(table["validation_loss"] - table["train_loss"]).round(4))
    return table if table.notna().all(axis=None) else table.astype(object).where(table.notna(), "-")


def transfer(
    runs: Runs, sources: Sequence[str], targets: Sequence[str], metric: str
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Score of each source (rows) on each target (columns): value, low, high; NaN where there is no record."""
    parts = {v: pd.DataFrame(np.nan, index=list(sources), columns=list(targets)) for v in ("value", "low", "high")}
    for source in sources:
        for target in targets:
            records = runs.get(source if source == target else f"{source} -> {target}", [])
            if records:
                row = score(records, [metric]).loc[metric]
                for part, frame in parts.items():
                    frame.loc[source, target] = row[part]
    return parts["value"], parts["low"], parts["high"]


def target_counts(runs: Runs, sources: Sequence[str], targets: Sequence[str]) -> pd.DataFrame:
    """Images by class of the test split of each target (rows), from any record that was scored on it."""
    rows = {}
    for target in targets:
        names = [target] * (target in sources) + [f"{source} -> {target}" for source in sources]
        there = [record for name in names for record in runs.get(name, [])]
        if there:
            classes, labels = classes_of(there), stacked(there[:1], "last_single", "test")[1]
            rows[target] = dict(zip(classes, np.bincount(labels, minlength=len(classes)), strict=True))
    table = pd.DataFrame.from_dict(rows, orient="index").fillna(0).astype(int)
    return table.rename_axis("test images of")


def mean_over_images(values: np.ndarray) -> Estimate:
    """Mean of (S, N) values, of S seeds and the same images; ``n`` and interval as in ``report.difference``."""
    if len(values) >= verdicts.ENOUGH_SEEDS:
        return metrics.over_seeds(values.mean(axis=1))
    draws = metrics.resampled(values.mean(axis=0)[:, None], None, 1000, 0)[:, 0]
    return metrics.estimate(draws / values.shape[1], len(values), 0.95)
