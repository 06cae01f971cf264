"""From records to the tables and sentences of a page. Nothing here trains, and nothing is typed in that was measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from . import metrics, verdicts
from .checkout import other_code
from .config import RunConfig, TransferConfig
from .labels import FER2013, of_view
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
UNSCALED = ("log_loss", "brier", "cohen_kappa")
"""Metrics that are not shares; all others are printed in per cent, their differences in points."""

MISSING = Estimate(float("nan"), float("nan"), 0, float("nan"), float("nan"))
Runs = dict[str, list[Record]]


def title(name: str) -> str:
    """What a table prints for a model, arm or dataset; a recipe in the name stays."""
    arm, comma, recipe = name.partition(", ")
    return NAMES.get(arm, arm) + comma + recipe


def by_name(jobs: Sequence[RunConfig | TransferConfig], records: Sequence[Record | None]) -> Runs:
    """Name -> its records, one per seed, in the order of the jobs; names without any record are kept, empty."""
    found: Runs = {title(job.name): [] for job in jobs}
    for job, record in zip(jobs, records, strict=True):
        if record is not None:
            found[title(job.name)].append(record)
    return found


def by_recipe(runs: Runs, recipes: Sequence[str]) -> dict[str, Runs]:
    """Recipe -> its records, by names without the recipe; what has no recipe in its name belongs to each."""
    if len(recipes) == 1:
        return {recipes[0]: runs}
    parts: dict[str, Runs] = {recipe: {} for recipe in recipes}
    for name, records in runs.items():
        arm, _, of = name.rpartition(", ") if name.endswith(tuple(f", {r}" for r in recipes)) else (name, "", "")
        for recipe in [of] if of else recipes:
            parts[recipe][arm] = records
    return parts


def coverage(jobs: Sequence[RunConfig | TransferConfig], records: Sequence[Record | None]) -> pd.DataFrame:
    """One row a name: seeds asked for, seeds there, where the records come from, epochs, device; no times, for they tell of
    what else the machine did."""
    rows = []
    for name in dict.fromkeys(job.name for job in jobs):
        mine = [(j, r) for j, r in zip(jobs, records, strict=True) if j.name == name]
        there = [r for _, r in mine if r]
        origin = {True: "published record", False: "trained here"}
        rows.append({
            "system": title(name), "seeds": len({j.seed for j, _ in mine}), "records": len(there),
            "origin": ", ".join(dict.fromkeys(origin[r.published] + other_code(r.env) for r in there)) or "missing",
            "epochs": next((len(r.history) for r in there), "-"),
            "device": ", ".join(dict.fromkeys(r.env["device"] for r in there)),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("system")


def stacked(records: Sequence[Record], view: str, subset: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions of all seeds on a subset: logits (S, N, K), labels (N,), image rows (N,).

    Raises:
        ValueError: the seeds were scored on different images.
    """
    parts = [(record.predictions, record.predictions.subset(subset)) for record in records]
    table, *others = (predictions.table[mask] for predictions, mask in parts)
    if any(not np.array_equal(table["row"], other["row"]) for other in others):
        raise ValueError("the seeds were scored on different images, allowed: the same images in the same order")
    logits = np.stack([predictions.views[view][mask] for predictions, mask in parts])
    return logits, table["label"].to_numpy(np.int64), table["row"].to_numpy()


def stored(record: Record, metric: str, view: str = "last_single", subset: str = "test") -> float:
    """A metric as the record stores it; NaN where it was not to be measured (see ``evaluation.scored_on``)."""
    return record.metrics.get(view, {}).get(subset, {}).get(metric, float("nan"))


def score(records: Sequence[Record], names: Sequence[str], view: str = "last_single", subset: str = "test") -> pd.DataFrame:
    """Metrics with 95 % intervals over images (see ``with_intervals``), NaN where a record has none stored.

    Returns:
        index ``metric``; columns ``value`` (mean over seeds), ``sd`` (between seeds), ``low``, ``high``, ``n`` (images).
    """
    known = bool(records) and all(subset in record.metrics.get(view, {}) for record in records)
    if not known:
        return pd.DataFrame([MISSING] * len(names), index=list(names))
    logits, labels, _ = stacked(records, view, subset)
    table = with_intervals(logits, labels, names)
    for name in names:
        if np.isnan([stored(record, name, view, subset) for record in records]).any():
            table.loc[name, ["value", "low", "high"]] = np.nan
    return table.assign(sd=[over_seeds(records, name, view, subset).sd for name in names])


def with_intervals(logits: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Mean over seeds with 95 % intervals over images: bootstrap, all seeds of an image drawn together; Wilson's for a share
    of the images of one seed, and for 0 and 1, where a bootstrap has no width.

    Args:
        logits: (S, N, K) of S seeds.

    Returns:
        index ``metric``; columns ``value, sd, n, low, high``.
    """
    table = metrics.bootstrap_interval(logits, labels, list(names))
    for name in filter(is_share, names):
        value, n = table.loc[name, "value"], images_of(name, labels)
        if len(logits) == 1 or value in (0, 1):
            table.loc[name, ["low", "high"]] = metrics.wilson_interval(round(value * n) if n else 0, n)
    return table


def is_share(metric: str) -> bool:
    """A metric that counts k of n images."""
    return metric == "accuracy" or metric.startswith("recall_")


def images_of(metric: str, labels: np.ndarray) -> int:
    """How many images a share is of: all of them, or those of a class."""
    return len(labels) if metric == "accuracy" else int((labels == FER2013.index(metric.removeprefix("recall_"))).sum())


COLUMNS = ["name", "metric", "value", "sd", "low", "high", "n", "seeds"]


def scores(runs: Runs, names: Sequence[str], view: str = "last_single", subset: str = "test") -> pd.DataFrame:
    """``score`` of every system: columns ``COLUMNS``, NaN where there is no record."""
    parts = [
        score(records, names, view, subset).rename_axis("metric").reset_index().assign(name=name, seeds=len(records))
        for name, records in runs.items()
    ]
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """``scores`` for reading: a row a system, a column a metric, cells such as ``62.2 ± 0.4 [60.6, 63.8]``: value, standard
    deviation between seeds where there are several, interval."""

    def cell(row: pd.Series) -> str:
        if np.isnan(row["value"]):
            return "-"
        scale, digits = (1, 3) if row["metric"] in UNSCALED else (100, 1)
        value, sd, low, high = (f"{scale * row[part]:.{digits}f}" for part in ("value", "sd", "low", "high"))
        value += "" if np.isnan(row["sd"]) else f" ± {sd}"
        return value if np.isnan(row["low"]) else f"{value} [{low}, {high}]"

    cells = table.assign(cell=table.apply(cell, axis=1))
    shown = cells.pivot(index="name", columns="metric", values="cell")
    shown = shown.loc[list(dict.fromkeys(table["name"])), list(dict.fromkeys(table["metric"]))]
    first = table.groupby("name")[["n", "seeds"]].first().loc[shown.index]
    shown.columns = [m.replace("_", " ") + ("" if m in UNSCALED else " (%)") for m in shown.columns]
    return shown.assign(images=first["n"], seeds=first["seeds"]).rename_axis("system")


def recalls(runs: Runs, view: str = "last_single", subset: str = "test") -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Recall by class: value, low, high, each with a row per system that has records and a column per class."""
    names = [f"recall_{c}" for c in FER2013]
    there = {name: score(records, names, view, subset) for name, records in runs.items() if records}
    value, low, high = (
        pd.DataFrame([table[part].to_numpy(float) for table in there.values()], index=list(there), columns=list(FER2013))
        for part in ("value", "low", "high")
    )
    return value, low, high


def over_seeds(
    records: Sequence[Record], metric: str = "accuracy", view: str = "last_single", subset: str = "test"
) -> Estimate:
    """Mean of a stored metric over seeds with its t interval (NaN for one seed)."""
    return metrics.over_seeds([stored(r, metric, view, subset) for r in records]) if records else MISSING


def interval(
    records: Sequence[Record], metric: str = "accuracy", view: str = "last_single", subset: str = "test"
) -> Estimate:
    """What verdicts use; ``n`` is the number of seeds: a t interval over seeds where there are at least three, else (and for
    a share of 0 or 1 in every seed) the one over images."""
    if len(records) >= verdicts.ENOUGH_SEEDS:
        found = over_seeds(records, metric, view, subset)
        if not (is_share(metric) and found.value in (0, 1)):
            return found
    row = score(records, [metric], view, subset).loc[metric]
    return Estimate(row["value"], float("nan"), len(records), row["low"], row["high"])


def difference(a: Sequence[Record], b: Sequence[Record], metric: str = "accuracy", view: str = "last_single",
               subset: str = "test") -> Estimate:  # fmt: skip
    """a minus b on the same images, for the seeds that both have; ``n`` is their number.

    From three seeds on, the paired t interval over seeds; below, the paired bootstrap over images. Where that has no
    width (a share, every image the same) Wilson's interval for 0 of n images bounds what was not seen.

    Raises:
        ValueError: the two were scored on different images.
    """
    ours, theirs = ({r.config.seed: r for r in records} for records in (a, b))
    seeds = [seed for seed in ours if seed in theirs]
    a, b = ([those[seed] for seed in seeds] for those in (ours, theirs))
    of_a, of_b = ({r.config.seed: stored(r, metric, view, subset) for r in those} for those in (a, b))
    if not seeds or np.isnan([*of_a.values(), *of_b.values()]).any():
        return MISSING
    logits_a, labels, rows = stacked(a, view, subset)
    logits_b, _, rows_b = stacked(b, view, subset)
    if not np.array_equal(rows, rows_b):
        raise ValueError("the two systems were scored on different images, allowed: the same images in the same order")
    if len(seeds) >= verdicts.ENOUGH_SEEDS:
        return metrics.difference_over_seeds(of_a, of_b)
    found = metrics.paired_bootstrap_difference(logits_a, logits_b, labels, metric)._replace(n=len(seeds))
    if is_share(metric) and found.low == found.high:
        _, above = metrics.wilson_interval(0, images_of(metric, labels))
        found = found._replace(low=max(found.value - above, -1.0), high=min(found.value + above, 1.0))
    return found


def points(estimate: Estimate, digits: int = 1) -> str:
    """A difference of shares in points with its sign and interval: ``+1.2 [+0.3, +2.1]``."""
    return plain(Estimate(*(100 * x for x in estimate)), digits)


def percent(estimate: Estimate, digits: int = 1) -> str:
    """A share in per cent with its interval: ``62.2 % [60.6, 63.8]``."""
    if np.isnan(estimate.value):
        return "not measured"
    bounds = "" if np.isnan(estimate.low) else f" [{100 * estimate.low:.{digits}f}, {100 * estimate.high:.{digits}f}]"
    return f"{100 * estimate.value:.{digits}f} %{bounds}"


def note(runs: Runs, subset: str = "test", view: str = "last_single", intervals: bool = True) -> str:
    """The line under a figure: images, split, seeds, and the interval where the figure draws it."""
    there = [r for records in runs.values() for r in records]
    if not there:
        return "no record yet"
    n, seeds = int(there[0].predictions.subset(subset).sum()), verdicts.seeds(len(v) for v in runs.values() if v)
    return f"n = {n:,} images, {SUBSET_NAMES[subset]}; {seeds}; {of_view(view)}" + "; 95 % intervals" * intervals


def effects(
    runs: Runs, base: Sequence[Record], names: Sequence[str], view: str = "last_single", subset: str = "test"
) -> pd.DataFrame:
    """Every system minus the base (see ``difference``): ``+1.2 [+0.3, +2.1]`` in points (``UNSCALED``: as it is)."""
    rows = {}
    for name, records in runs.items():
        if records and base and records[0] is not base[0]:
            found = {m: difference(records, base, m, view, subset) for m in names}
            rows[name] = {m.replace("_", " "): points(d) if m not in UNSCALED else plain(d) for m, d in found.items()}
            rows[name]["seeds"] = max(d.n for d in found.values())
    return pd.DataFrame(rows).T.rename_axis("minus the first row")


def scores_against(
    runs: Runs, labels: np.ndarray, names: Sequence[str], view: str = "last_single", subset: str = "test"
) -> pd.DataFrame:
    """``scores`` against other labels than those of the set.

    Args:
        labels: (N,) int, by row of the FaceSet; -1 leaves an image out.
    """
    parts = []
    for name, records in runs.items():
        table = pd.DataFrame([MISSING] * len(names), index=list(names))
        if records:
            logits, _, rows = stacked(records, view, subset)
            target = labels[rows].astype(np.int64)
            keep = target >= 0
            table = with_intervals(logits[:, keep], target[keep], names).assign(sd=np.nan)
        parts.append(table.rename_axis("metric").reset_index().assign(name=name, seeds=len(records)))
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def plain(estimate: Estimate, digits: int = 3) -> str:
    """A difference as it is, with its sign and interval where there is one."""
    if np.isnan(estimate.value):
        return "not measured"
    bounds = "" if np.isnan(estimate.low) else f" [{estimate.low:+.{digits}f}, {estimate.high:+.{digits}f}]"
    return f"{estimate.value:+.{digits}f}{bounds}"
