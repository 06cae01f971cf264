"""Turn records into the tables and cells of a page; nothing is trained or typed in here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data.labels import FER2013, of_view
from ..settings.checkout import other_code
from ..settings.experiment import RunConfig, TransferConfig
from ..store import Record
from . import metrics, verdicts
from .metrics import MISSING, UNSCALED, Estimate
from .runs_table import classes_in

NAMES = {
    "emotion_cnn": "EmotionCNN", "kernel_cnn": "CNN + fixed kernels",
    "simple_resnet": "SimpleResNetFER", "cbam_cnn": "CBAM + kernels", "hog_svm": "HOG + SVM",
    "none": "no weights", "inverse": "inverse frequency", "heavy": "heavy (disgust x15, fear x8)",
    "full": "full network", "no_cbam": "without CBAM", "no_kernels": "without kernels",
    "square_root": "square root", "effective_number": "effective number", "focal": "focal",
    "adjusted": "adjusted logits", "balanced": "balanced batches",
    "rare_three_times": "disgust three times", "votes_head": "votes head",
    "self_taught": "self-taught", "taught_by_three": "taught by three",
    "l2": "with L2 1e-4", "longer": "more epochs", "labels": "hard labels",
    "votes": "votes of the crowd", "no_shortcuts": "without shortcuts",
    "no_augmentation": "without augmentation", "source_shear_04": "the source's, shear 0.4°",
    "source_shear_23": "the source's, shear 23°",
    "no_copies": "without images that are tested", "no_repeats": "without any copies",
    "majority": "majority of the crowd", "joint": "joint generator",
    "ldg": "the generator itself",
    "resface_a": "A", "resface_ab": "A+B", "resface_ac": "A+C", "resface_abc": "A+B+C",
    "emotion_cnn_folds": "EmotionCNN in folds", "kernel_cnn_folds": "CNN + fixed kernels in folds",
    "simple_resnet_folds": "SimpleResNetFER in folds", "cbam_cnn_folds": "CBAM + kernels in folds",
}  # fmt: skip
"""Name of a model or arm in tables and figures."""

SUBSET_NAMES = {
    "validation": "validation",
    "test": "test",
    "test_clean": "test, no copy in train or validation",
    "merged": "merged (validation + test)",
    "merged_clean": "merged, no copy in train",
}
Runs = dict[str, list[Record]]


def title(name: str) -> str:
    """What a table prints for a model, arm or dataset; a recipe in the name stays, and so does the
    network before the arm of another."""
    arm, comma, recipe = name.partition(", ")
    return ": ".join(NAMES.get(part, part) for part in arm.split(": ")) + comma + recipe


def by_name(jobs: Sequence[RunConfig | TransferConfig], records: Sequence[Record | None]) -> Runs:
    """Name -> its records, a seed each, in the order of the jobs; empty where there is none."""
    found: Runs = {title(job.name): [] for job in jobs}
    for job, record in zip(jobs, records, strict=True):
        if record is not None:
            found[title(job.name)].append(record)
    return found


def by_recipe(runs: Runs, recipes: Sequence[str]) -> dict[str, Runs]:
    """Recipe -> its records, by names without the recipe; what has no recipe belongs to each."""
    if len(recipes) == 1:
        return {recipes[0]: runs}
    parts: dict[str, Runs] = {recipe: {} for recipe in recipes}
    for name, records in runs.items():
        arm, _, of = (
            name.rpartition(", ")
            if name.endswith(tuple(f", {r}" for r in recipes))
            else (name, "", "")
        )
        for recipe in [of] if of else recipes:
            parts[recipe][arm] = records
    return parts


def coverage(
    jobs: Sequence[RunConfig | TransferConfig], records: Sequence[Record | None]
) -> pd.DataFrame:
    """Table which records are there: a row a name.

    Seeds asked for and there, origin, epochs and device; no times, for they tell of what else the
    machine did.
    """
    rows = []
    for name in dict.fromkeys(job.name for job in jobs):
        mine = [(j, r) for j, r in zip(jobs, records, strict=True) if j.name == name]
        there = [r for _, r in mine if r]
        origin = {True: "published record", False: "trained here"}
        origins = [origin[record.published] + other_code(record.env) for record in there]
        rows.append({
            "system": title(name), "seeds": len({j.seed for j, _ in mine}), "records": len(there),
            "origin": ", ".join(dict.fromkeys(origins)) or "missing",
            "epochs": next((len(r.history) for r in there if "epoch" in r.history), "-"),
            "device": ", ".join(dict.fromkeys(r.env["device"] for r in there)),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index("system")


def missing(
    jobs: Sequence[RunConfig | TransferConfig], records: Sequence[Record | None], command: str
) -> pd.DataFrame:
    """Table what has no record, with the command that makes it: a row a name; empty: all is there.

    Args:
        command: what trains the stage.
    """
    lacking = [job for job, record in zip(jobs, records, strict=True) if record is None]
    rows = [
        [title(name), ", ".join(str(job.seed) for job in lacking if job.name == name), command]
        for name in dict.fromkeys(job.name for job in lacking)
    ]
    return pd.DataFrame(rows, columns=["missing", "seeds", "command"]).set_index("missing")


def stacked(
    records: Sequence[Record], view: str, subset: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions of all seeds on a subset: logits (S, N, K), labels (N,), image rows (N,).

    Raises:
        ValueError: the seeds were scored on different images.
    """
    parts = [(record.predictions, record.predictions.subset(subset)) for record in records]
    table, *others = (predictions.table[mask] for predictions, mask in parts)
    if any(not np.array_equal(table["row"], other["row"]) for other in others):
        raise ValueError(
            "the seeds were scored on different images, allowed: the same images in the same order"
        )
    logits = np.stack([predictions.views[view][mask] for predictions, mask in parts])
    return logits, table["label"].to_numpy(np.int64), table["row"].to_numpy()


def metric_of(
    record: Record, metric: str, view: str = "last_single", subset: str = "test"
) -> float:
    """Look up a metric as the record stores it; NaN where it was not to be measured."""
    return record.metrics.get(view, {}).get(subset, {}).get(metric, float("nan"))


def classes_of(records: Sequence[Record]) -> tuple[str, ...]:
    """The classes that predictions of records are of; FER2013's where there is no record."""
    return classes_in(records[0].config) if records else FER2013


def score(
    records: Sequence[Record], names: Sequence[str], view: str = "last_single", subset: str = "test"
) -> pd.DataFrame:
    """Score one system, with 95 % intervals by the rule of ``with_intervals``.

    NaN where a record has no such metric stored.

    Returns:
        index ``metric``; columns ``value`` (mean over seeds), ``sd`` (between seeds), ``low``,
        ``high``, ``n`` (images).
    """
    known = bool(records) and all(subset in record.metrics.get(view, {}) for record in records)
    if not known:
        return pd.DataFrame([MISSING] * len(names), index=list(names))
    logits, labels, _ = stacked(records, view, subset)
    table = with_intervals(logits, labels, names, classes_of(records))
    for name in names:
        if np.isnan([metric_of(record, name, view, subset) for record in records]).any():
            table.loc[name, ["value", "sd", "low", "high"]] = np.nan
    return table


def with_intervals(
    logits: np.ndarray, labels: np.ndarray, names: Sequence[str], classes: Sequence[str]
) -> pd.DataFrame:
    """Mean over seeds with 95 % intervals by the rule.

    From three seeds on over seeds, on the logit scale for what lies in [0, 1]. Below over images:
    bootstrap, all seeds of an image drawn together. For a share of the images of one seed, and for
    0 and 1, where these have no width, Wilson's. A calibration error of fewer than three seeds has
    none: images that are drawn anew push it up, so the interval would lie beside the value.

    Args:
        logits: (S, N, K) of S seeds.
        labels: (N,) int, or (N, K) shares where several labels are right.
        names: of metrics. classes: names of the K classes.

    Returns:
        index ``metric``; columns ``value, sd`` (between seeds), ``n`` (images), ``low, high``.
    """
    each = [metrics.compute(one, labels, classes) for one in logits]
    found = [
        metrics.over_seeds([seed[name] for seed in each], share=name not in UNSCALED)
        for name in names
    ]
    table = pd.DataFrame(found, index=pd.Index(names, name="metric")).assign(n=len(labels))
    drawn = [name for name in names if len(logits) > 1 or not is_share(name)]
    if drawn and len(logits) < verdicts.ENOUGH_SEEDS:
        over_images = metrics.bootstrap_interval(logits, labels, drawn, classes=classes)
        table.loc[drawn, ["low", "high"]] = over_images[["low", "high"]]
        table.loc[table.index == "expected_calibration_error", ["low", "high"]] = np.nan
    for name in filter(is_share, names):
        value, n = table.loc[name, "value"], images_of(name, labels, classes)
        if len(logits) == 1 or value in (0, 1):
            table.loc[name, ["low", "high"]] = metrics.wilson_interval(
                round(value * n) if n else 0, n
            )
    return table


def is_share(metric: str) -> bool:
    """A metric that counts k of n images."""
    return metric == "accuracy" or metric.startswith("recall_")


def images_of(metric: str, labels: np.ndarray, classes: Sequence[str]) -> int:
    """How many images a share is of, to the nearest one: all of them, or those of a class."""
    if metric == "accuracy":
        return len(labels)
    place = classes.index(metric.removeprefix("recall_"))
    return round(float((labels[:, place] if labels.ndim == 2 else labels == place).sum()))


COLUMNS = ["name", "metric", "value", "sd", "low", "high", "n", "seeds"]


def scores(
    runs: Runs, names: Sequence[str], view: str = "last_single", subset: str = "test"
) -> pd.DataFrame:
    """``score`` of every system: columns ``COLUMNS``, NaN where there is no record."""
    parts = [
        score(records, names, view, subset)
        .rename_axis("metric")
        .reset_index()
        .assign(name=name, seeds=len(records))
        for name, records in runs.items()
    ]
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def score_groups(runs: pd.DataFrame, by: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Score every group of runs on the test split; those of a group are the seeds of one system.

    For example, every source on every target: ``score_groups(page.runs, ["source", "target"],
    ["accuracy"])``.

    Args:
        runs: rows of ``runs_table``.
        by: its columns that tell the systems apart.

    Returns:
        The columns ``by``, then ``metric, value, sd, low, high, n, seeds``; no row for what has no
        record.
    """
    parts = [
        score(list(rows["record"]), names)
        .rename_axis("metric")
        .reset_index()
        .assign(seeds=len(rows), **dict(zip(by, group, strict=True)))
        for group, rows in runs.groupby(list(by), sort=False)
    ]
    heads = [*by, *COLUMNS[1:]]
    return pd.concat(parts, ignore_index=True)[heads] if parts else pd.DataFrame(columns=heads)


def wide(table: pd.DataFrame, signed: bool = False) -> pd.DataFrame:
    """Lay ``scores``, or signed ``effects``, out for reading: a row a system, a column a metric.

    Cells such as ``62.2 ± 0.4 [60.6, 63.8]``: value, standard deviation between seeds where there
    are several, interval; signed ones such as ``+1.2 [+0.3, +2.1]``.
    """
    sign, unit = ("+", " (points)") if signed else ("", " (%)")

    def cell(row: pd.Series) -> str:
        if np.isnan(row["value"]):
            return "-"
        scale, digits = (1, 3) if row["metric"] in UNSCALED else (100, 1)
        value, sd, low, high = (
            f"{scale * row[part]:{sign}.{digits}f}" for part in ("value", "sd", "low", "high")
        )
        value += "" if signed or np.isnan(row["sd"]) else f" ± {sd}"
        return value if np.isnan(row["low"]) else f"{value} [{low}, {high}]"

    cells = table.assign(cell=[cell(row) for _, row in table.iterrows()])
    shown = cells.pivot(index="name", columns="metric", values="cell")
    shown = shown.loc[list(dict.fromkeys(table["name"])), list(dict.fromkeys(table["metric"]))]
    first = table.groupby("name")[["n", "seeds"]].first().loc[shown.index]
    shown.columns = [m.replace("_", " ") + ("" if m in UNSCALED else unit) for m in shown.columns]
    return shown.assign(images=first["n"], seeds=first["seeds"]).rename_axis("system")


def recalls(runs: Runs, classes: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Table the recall by class on the test split: value, low and high.

    Each has a row a system that has records, and a column a class.
    """
    names = [f"recall_{c}" for c in classes]
    tables = {name: score(records, names) for name, records in runs.items() if records}
    value, low, high = (
        pd.DataFrame(
            [table[part].to_numpy(float) for table in tables.values()],
            index=list(tables),
            columns=list(classes),
        )
        for part in ("value", "low", "high")
    )
    return value, low, high


def shares(predictions: pd.DataFrame, by: Sequence[str], of: str) -> pd.DataFrame:
    """Average what is right in groups of predictions, with 95 % intervals by the rule.

    From three seeds on over seeds; below, and where these have no width, Wilson's of as many images
    as a seed has in the group. For example ``shares(test, ["network", "label"], "right")``.

    Args:
        predictions: rows of ``runs_table.predictions``, with further columns.
        by: columns that tell the groups apart.
        of: a column in [0, 1]; a row where it is NaN counts nowhere.

    Returns:
        index ``by``; columns ``value`` (mean over seeds), ``low, high``, ``n`` (predictions of all
        seeds), ``seeds``.
    """
    known = predictions.dropna(subset=of)
    each = known.groupby([*by, "seed"], observed=True)[of].agg(["mean", "size"])
    rows = {}
    for group, mine in each.groupby(level=list(by), observed=True):
        value, _, seeds, low, high = metrics.over_seeds(mine["mean"], share=True)
        if seeds < verdicts.ENOUGH_SEEDS or low == high:
            images = round(mine["size"].mean())
            low, high = metrics.wilson_interval(round(value * images), images)
        rows[group] = [value, low, high, mine["size"].sum(), seeds]
    index = pd.MultiIndex.from_tuples(list(rows), names=list(by))
    columns = ["value", "low", "high", "n", "seeds"]
    return pd.DataFrame(list(rows.values()), index=index, columns=columns)


def interval(
    records: Sequence[Record],
    metric: str = "accuracy",
    view: str = "last_single",
    subset: str = "test",
) -> Estimate:
    """What verdicts use: a row of ``score``, with the number of seeds as its ``n``."""
    row = score(records, [metric], view, subset).loc[metric]
    return Estimate(row["value"], row["sd"], len(records), row["low"], row["high"])


def paired(a: Sequence[Record], b: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The records of two systems for the seeds that both have, in the same order."""
    ours, theirs = ({r.config.seed: r for r in records} for records in (a, b))
    seeds = [seed for seed in ours if seed in theirs]
    return [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]


def difference(
    a: Sequence[Record],
    b: Sequence[Record],
    metric: str = "accuracy",
    view: str = "last_single",
    subset: str = "test",
) -> Estimate:
    """a minus b on the same images, for the seeds that both have; ``n`` is their number.

    From three seeds on, the paired t interval over seeds; below, the paired bootstrap over images.
    Where that has no width (a share, every image the same) Wilson's interval for 0 of n images
    bounds what was not seen.

    Raises:
        ValueError: the two were scored on different images.
    """
    a, b = paired(a, b)
    of_a, of_b = (
        {r.config.seed: metric_of(r, metric, view, subset) for r in those} for those in (a, b)
    )
    if not a or np.isnan([*of_a.values(), *of_b.values()]).any():
        return MISSING
    logits_a, labels, rows = stacked(a, view, subset)
    logits_b, _, rows_b = stacked(b, view, subset)
    if not np.array_equal(rows, rows_b):
        raise ValueError(
            "the two systems were scored on different images, allowed: the same images in the "
            "same order"
        )
    if len(a) >= verdicts.ENOUGH_SEEDS:
        return metrics.difference_over_seeds(of_a, of_b)
    classes = classes_of(a)
    found = metrics.paired_bootstrap_difference(
        logits_a, logits_b, labels, metric, classes=classes
    )._replace(n=len(a))
    if is_share(metric) and found.low == found.high:
        _, above = metrics.wilson_interval(0, images_of(metric, labels, classes))
        found = found._replace(
            low=max(found.value - above, -1.0), high=min(found.value + above, 1.0)
        )
    return found


def points(estimate: Estimate) -> str:
    """Print a difference of shares in points, signed, with interval: ``+1.2 [+0.3, +2.1]``."""
    return plain(Estimate(*(100 * x for x in estimate)), 1)


def plain(estimate: Estimate, digits: int = 3) -> str:
    """Print a difference as it is, signed, with its interval where there is one."""
    return _printed(estimate, f"+.{digits}f")


def percent(estimate: Estimate, digits: int = 1) -> str:
    """Print a share in per cent with its interval: ``62.2 % [60.6, 63.8]``."""
    return _printed(Estimate(*(100 * x for x in estimate)), f".{digits}f", " %")


def _printed(estimate: Estimate, form: str, unit: str = "") -> str:
    """Print a value with its unit, and its interval where there is one."""
    if np.isnan(estimate.value):
        return "not measured"
    low, high = estimate.low, estimate.high
    interval = "" if np.isnan(low) else f" [{low:{form}}, {high:{form}}]"
    return f"{estimate.value:{form}}{unit}{interval}"


def note(runs: Runs) -> str:
    """Write the line under a figure: test images, seeds, and what its intervals are over."""
    records = [record for seeds in runs.values() for record in seeds]
    if not records:
        return "no record yet"
    n = int(records[0].predictions.subset("test").sum())
    seeds = verdicts.seeds(len(of_system) for of_system in runs.values() if of_system)
    said = f"n = {n:,} images, {SUBSET_NAMES['test']}; {seeds}; {of_view('last_single')}"
    return f"{said}; 95 % {over(runs)}"


def over(runs: Runs) -> str:
    """What the intervals of systems are over, by the rule."""
    enough = {len(records) >= verdicts.ENOUGH_SEEDS for records in runs.values() if records}
    if len(enough) == 2:
        return "over seeds where there are three, else over images"
    return "over seeds" if True in enough else "over images"


def effects(
    runs: Runs, base: Sequence[Record], names: Sequence[str], subset: str = "test"
) -> pd.DataFrame:
    """Every system minus the base on the same images and seeds (see ``difference``): the columns of
    ``scores`` and ``few`` (bool), whether the seeds are too few for an interval over them; no row
    for the base itself nor for what has no record."""
    rows = []
    for name, records in runs.items():
        if records and base and records[0] is not base[0]:
            n = int(records[0].predictions.subset(subset).sum())
            for metric in names:
                found = difference(records, base, metric, subset=subset)
                of_pairs = {"n": n, "seeds": found.n, "few": found.n < verdicts.ENOUGH_SEEDS}
                rows.append({"name": name, "metric": metric, **found._asdict(), **of_pairs})
    return pd.DataFrame(rows, columns=[*COLUMNS, "few"])
