"""From records to the tables and sentences of a page. Nothing here trains, and nothing is typed in that was measured."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from . import metrics
from .config import RunConfig, TransferConfig
from .labels import FER2013
from .metrics import Estimate
from .runs import Record

NAMES = {
    "emotion_cnn": "EmotionCNN", "kernel_cnn": "CNN + fixed kernels", "simple_resnet": "SimpleResNetFER",
    "cbam_cnn": "CBAM + kernels", "hog_svm": "HOG + SVM",
    "none": "no weights", "inverse": "inverse frequency", "heavy": "heavy (disgust x15, fear x8)",
    "full": "full network", "no_cbam": "without CBAM", "no_kernels": "without kernels", "l2": "with L2 1e-4",
    "longer": "half as many epochs again", "labels": "hard labels", "votes": "votes of the crowd",
}  # fmt: skip
"""Name of a model or arm in tables and figures."""

SUBSET_NAMES = {
    "validation": "validation", "test": "test", "test_clean": "test, no copy in train or validation",
    "merged": "merged (validation + test)", "merged_clean": "merged, no copy in train",
}  # fmt: skip
MISSING = Estimate(float("nan"), float("nan"), 0, float("nan"), float("nan"))
Runs = dict[str, list[Record]]


def title(name: str) -> str:
    """What a table prints for a model, arm or dataset."""
    return NAMES.get(name, name)


def by_name(jobs: Sequence[RunConfig | TransferConfig], records: Sequence[Record | None]) -> Runs:
    """Name -> its records, one per seed, in the order of the jobs; names without any record are kept, empty."""
    found: Runs = {title(job.name): [] for job in jobs}
    for job, record in zip(jobs, records, strict=True):
        if record is not None:
            found[title(job.name)].append(record)
    return found


def coverage(jobs: Sequence[RunConfig | TransferConfig], records: Sequence[Record | None]) -> pd.DataFrame:
    """One row a name: seeds asked for, seeds there, where the records come from, epochs, minutes of a run, device."""
    rows = []
    for name in dict.fromkeys(job.name for job in jobs):
        mine = [(j, r) for j, r in zip(jobs, records, strict=True) if j.name == name]
        there = [r for _, r in mine if r]
        origin = {True: "published record", False: "trained here"}
        rows.append({
            "system": title(name), "seeds": len({j.seed for j, _ in mine}), "records": len(there),
            "origin": ", ".join(dict.fromkeys(origin[r.published] for r in there)) or "missing",
            "epochs": next((len(r.history) for r in there), np.nan),
            "minutes": np.mean([r.env["seconds"] for r in there]) / 60 if there else np.nan,
            "device": ", ".join(dict.fromkeys(r.env["device"] for r in there)),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("system")


def pooled(records: Sequence[Record], view: str, subset: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions of all seeds on a subset, one under the other: logits (n, K), labels (n,), image rows (n,)."""
    parts = []
    for record in records:
        predictions = record.predictions
        mask = predictions.subset(subset)
        table = predictions.table[mask]
        parts.append((predictions.views[view][mask], table["label"].to_numpy(np.int64), table["row"].to_numpy()))
    logits, labels, rows = (np.concatenate(column) for column in zip(*parts, strict=True))
    return logits, labels, rows


def score(records: Sequence[Record], names: Sequence[str], view: str = "last_single", subset: str = "test") -> pd.DataFrame:
    """Metrics with 95 % bootstrap intervals over images, all seeds of an image drawn together.

    Returns:
        index ``metric``; columns ``value`` (of all seeds pooled), ``low``, ``high``, ``n`` (images).
    """
    if not records:
        return pd.DataFrame([MISSING] * len(names), index=list(names))
    logits, labels, rows = pooled(records, view, subset)
    if not len(labels):
        return pd.DataFrame([MISSING] * len(names), index=list(names))
    table = metrics.bootstrap_interval(logits, labels, list(names), groups=rows if len(records) > 1 else None)
    return table.assign(n=len(np.unique(rows)))


def scores(runs: Runs, names: Sequence[str], view: str = "last_single", subset: str = "test") -> pd.DataFrame:
    """``score`` of every system: columns ``name, metric, value, low, high, n, seeds``, NaN where there is no record."""
    parts = [
        score(records, names, view, subset).rename_axis("metric").reset_index().assign(name=name, seeds=len(records))
        for name, records in runs.items()
    ]
    return pd.concat(parts, ignore_index=True)[["name", "metric", "value", "low", "high", "n", "seeds"]]


def wide(table: pd.DataFrame, percent: Sequence[str] = ("accuracy", "balanced_accuracy", "macro_f1")) -> pd.DataFrame:
    """``scores`` for reading: a row a system, a column a metric, cells such as ``62.2 [60.6, 63.8]``."""

    def cell(row: pd.Series) -> str:
        if np.isnan(row["value"]):
            return "-"
        is_share = row["metric"] in percent or row["metric"].startswith("recall_")
        scale, digits = (100, 1) if is_share else (1, 3)
        return f"{scale * row['value']:.{digits}f} [{scale * row['low']:.{digits}f}, {scale * row['high']:.{digits}f}]"

    cells = table.assign(cell=table.apply(cell, axis=1))
    shown = cells.pivot(index="name", columns="metric", values="cell")
    shown = shown.loc[list(dict.fromkeys(table["name"])), list(dict.fromkeys(table["metric"]))]
    first = table.groupby("name")[["n", "seeds"]].first().loc[shown.index]
    is_share = [m in percent or m.startswith("recall_") for m in shown.columns]
    heads = [m.replace("_", " ") + (" (%)" if s else "") for m, s in zip(shown.columns, is_share, strict=True)]
    shown.columns = heads
    return shown.assign(images=first["n"], seeds=first["seeds"]).rename_axis("system")


def recalls(runs: Runs, view: str = "last_single", subset: str = "test") -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Recall by class: value, low, high, each with a row per system and a column per class."""
    table = scores({k: v for k, v in runs.items() if v}, [f"recall_{c}" for c in FER2013], view, subset)
    table["class"] = table["metric"].str.removeprefix("recall_")
    order = [name for name, records in runs.items() if records]
    value, low, high = (table.pivot(index="name", columns="class", values=v).loc[order, list(FER2013)] for v in
                        ("value", "low", "high"))  # fmt: skip
    return value, low, high


def over_seeds(records: Sequence[Record], metric: str = "accuracy", view: str = "last_single", subset: str = "test") -> Estimate:
    """Mean of a stored metric over seeds with its t interval (NaN for one seed)."""
    return metrics.over_seeds([r.metrics[view][subset][metric] for r in records]) if records else MISSING


def interval(records: Sequence[Record], metric: str = "accuracy", view: str = "last_single", subset: str = "test") -> Estimate:
    """The interval that verdicts use: over seeds where there are at least three, else the bootstrap over images."""
    if len(records) >= 3:
        return over_seeds(records, metric, view, subset)
    row = score(records, [metric], view, subset).loc[metric]
    return Estimate(row["value"], float("nan"), len(records), row["low"], row["high"])


def difference(a: Sequence[Record], b: Sequence[Record], metric: str = "accuracy", view: str = "last_single",
               subset: str = "test") -> Estimate:  # fmt: skip
    """a minus b on the same images, for the seeds that both have: bootstrap over images."""
    seeds = [s for s in [r.config.seed for r in a] if s in {r.config.seed for r in b}]
    if not seeds:
        return MISSING
    pick = lambda records: [next(r for r in records if r.config.seed == s) for s in seeds]  # noqa: E731
    logits_a, labels, rows = pooled(pick(a), view, subset)
    logits_b, _, rows_b = pooled(pick(b), view, subset)
    if not np.array_equal(rows, rows_b):
        raise ValueError("the two systems were scored on different images, allowed: the same images in the same order")
    return metrics.paired_bootstrap_difference(logits_a, logits_b, labels, metric, groups=rows if len(seeds) > 1 else None)


def histories(records: Sequence[Record]) -> pd.DataFrame:
    """Histories of all seeds, with a ``seed`` column."""
    return pd.concat([r.history.assign(seed=r.config.seed) for r in records], ignore_index=True)


def confusion(records: Sequence[Record], view: str = "last_single", subset: str = "test") -> np.ndarray:
    """(K, K) int64 counts, label in rows, summed over seeds."""
    logits, labels, _ = pooled(records, view, subset)
    return metrics.confusion(logits, labels)


def saliency(records: Sequence[Record]) -> tuple[np.ndarray, np.ndarray]:
    """Class-mean Grad-CAM over seeds: maps (K, h, w) float32, NaN where no seed has one, and images behind them (K,)."""
    stored = [r.cam for r in records if r.cam]
    maps = np.stack([c["maps"].astype(np.float32) for c in stored])
    there = ~np.isnan(maps).all(axis=(2, 3))
    total = np.where(there[..., None, None], np.nan_to_num(maps), 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = total / there.sum(axis=0)[:, None, None]
    return mean, np.where(there, np.stack([c["counts"] for c in stored]), 0).sum(axis=0)


def points(estimate: Estimate, digits: int = 1) -> str:
    """A difference of shares in points with its sign and interval: ``+1.2 [0.3, 2.1]``."""
    if np.isnan(estimate.value):
        return "not measured"
    low, high = (f"{100 * x:+.{digits}f}" for x in (estimate.low, estimate.high))
    return f"{100 * estimate.value:+.{digits}f} [{low}, {high}]"


def percent(estimate: Estimate, digits: int = 1) -> str:
    """A share in per cent with its interval: ``62.2 % [60.6, 63.8]``."""
    if np.isnan(estimate.value):
        return "not measured"
    bounds = "" if np.isnan(estimate.low) else f" [{100 * estimate.low:.{digits}f}, {100 * estimate.high:.{digits}f}]"
    return f"{100 * estimate.value:.{digits}f} %{bounds}"


def note(runs: Runs, subset: str = "test", view: str = "last_single") -> str:
    """The line under a figure: images, split, seeds, interval."""
    there = [r for records in runs.values() for r in records]
    if not there:
        return "no record yet"
    n, seeds = int(there[0].predictions.subset(subset).sum()), sorted({len(v) for v in runs.values() if v})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]}-{seeds[-1]}"
    return f"n = {n:,} images, {SUBSET_NAMES[subset]}; {count} seed(s); {view.replace('_', ' weights, ')}; 95 % intervals"


class Page:
    """An executed page: started at its first cell, closed by ``provenance`` at its last."""

    def __init__(self, edition: str) -> None:
        self.edition, self.start = edition, time.perf_counter()

    def provenance(self, records: Sequence[Record | None] = (), **versions: str) -> pd.DataFrame:
        """Where the page and its records come from: one row a fact."""
        there = [r for r in records if r]
        unique = lambda key: ", ".join(sorted({str(r.env.get(key, "")) for r in there})) or "-"  # noqa: E731
        rows = {
            "edition": self.edition, **versions,
            "this page took": f"{time.perf_counter() - self.start:.0f} s",
            "records": f"{len(there)} ({sum(r.published for r in there)} published)",
            "records made with commit": unique("commit"),
            "device": unique("device"), "precision": unique("precision"), "torch of the records": unique("torch"),
            "training time in all": f"{sum(r.env.get('seconds', 0) for r in there) / 60:.1f} min",
        }  # fmt: skip
        return pd.DataFrame({"value": rows}).rename_axis("provenance")


def show(text: str) -> None:
    """A sentence with measured numbers in it, as Markdown."""
    from IPython.display import Markdown, display

    display(Markdown(text))


def glue(edition: str, **values: str | float) -> None:
    """Numbers for the prose of other pages; ``edition`` is part of each name, as in ``fer2013_accuracy_cbam``."""
    from myst_nb import glue as paste

    for name, value in values.items():
        paste(f"{edition}_{name}", value, display=False)
