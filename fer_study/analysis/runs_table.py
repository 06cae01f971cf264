"""Table the runs of an edition, a row a record, and their predictions, a row an image and seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from .. import store as store
from ..data.labels import class_names
from ..jobs.editions import load_edition, parameters
from ..settings.errors import InputError
from ..settings.experiment import DataConfig, RunConfig, TransferConfig
from ..store.predictions import SUBSETS
from .metrics import log_softmax

CHOSEN_ON_VALIDATION = ("fer48",)
"""Networks whose design was chosen on PublicTest: they have no score on merged images, whatever
their record holds."""

COLUMNS = ["stage", "arm", "model", "recipe", "source", "target", "seed", "key", "record"]


def runs_table(edition: str, missing: bool = False) -> pd.DataFrame:
    """Table every record that a stage of the edition lists.

    A record that several stages list has a row in each; count it once by ``key``. For example, the
    seeds of every arm: ``runs_table("fer2013").groupby(["stage", "arm",
    "recipe"])["seed"].apply(list)``.

    Args:
        missing: also list what is not there, with None as its record.

    Returns:
        Columns ``COLUMNS``: ``arm`` is what the stage calls the run, ``recipe`` is empty for what
        has no epochs, ``source`` and ``target`` are the datasets that taught and tested it,
        ``record`` is a ``runs.Record``.

    Raises:
        InputError: an unknown edition, or wrong parameters of a stage.
    """
    rows = pd.DataFrame(listed(edition), columns=COLUMNS[:-1])
    found = {key: store.lookup(key) for key in rows["key"].unique()}
    rows["record"] = [found[key] for key in rows["key"]]
    return rows if missing else rows[rows["record"].notna()].reset_index(drop=True)


def listed(edition: str) -> Iterator[dict[str, object]]:
    """Name what each stage of an edition lists: the one place that knows how a stage names its
    jobs."""
    from ..jobs import stages  # here, for it imports torch

    load_edition(edition)
    for stage in stages.PRIORITY:
        if (stages.PARAMS / edition / f"{stage}.yaml").is_file():
            given = parameters(edition, stage)
            recipes = given.get("recipes") or [given["recipe"], given["short"]]
            for job in stages.jobs_of(edition, stage):
                yield {"stage": stage, **named(job, recipes), "seed": job.seed, "key": job.key}


def named(job: RunConfig | TransferConfig, recipes: list[str]) -> dict[str, str]:
    """Say arm, model, recipe, source and target of a job, whose name ends in its recipe where that
    is not the first."""
    run = job.run if isinstance(job, TransferConfig) else job
    arm, _, last = job.name.rpartition(", ")
    arm, recipe = (arm, last) if last in recipes else (job.name, recipes[0])
    source = dataset_name(run.data)
    return {
        "arm": arm,
        "model": run.model.name,
        "recipe": recipe if run.epochs else "",
        "source": source,
        "target": dataset_name(job.target) if isinstance(job, TransferConfig) else source,
    }


def dataset_name(data: DataConfig) -> str:
    """Name a dataset as parameters do: ``fer2013``, ``synthetic-wild``."""
    return f"{data.dataset}-{data.style}" if data.style else data.dataset


def scored_subsets(record: store.Record, view: str) -> list[str]:
    """The subsets that a record was scored on in a view and may be shown on; none where it has no
    such view."""
    subsets = list(record.metrics.get(view, {}))
    chosen = isinstance(record.config, RunConfig) and record.config.model.name in CHOSEN_ON_VALIDATION
    return [name for name in subsets if not (chosen and "merged" in name)]


def predictions(runs: pd.DataFrame, view: str = "last_single", subset: str = "test") -> pd.DataFrame:
    """Table what runs predict: one row an image and run.

    For example, the recall by class of every model: ``p = predictions(runs)``, then
    ``(p["label"] == p["predicted"]).groupby([p["model"], p["label"]]).mean()``.

    Args:
        runs: rows of ``runs_table``.
        view: weights and crops, such as ``last_ten_crop``.
        subset: one of ``predictions.SUBSETS``.

    Returns:
        Columns ``model, arm, recipe, seed, row`` (in the FaceSet), ``label`` and ``predicted``
        (names of the record's own classes) and ``confidence`` (of the prediction, in [0, 1]).

    Raises:
        InputError: an unknown view or subset, or one that a record must not be scored on.
    """
    if subset not in SUBSETS:
        raise InputError(f"unknown subset {subset!r}; known: {', '.join(SUBSETS)}")
    tables = [_predicted(run, view, subset) for run in runs.itertuples()]
    heads = ["model", "arm", "recipe", "seed", "row", "label", "predicted", "confidence"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=heads)


def _predicted(run: tuple, view: str, subset: str) -> pd.DataFrame:
    """One run's rows of ``predictions``."""
    record = run.record
    if view not in record.metrics:
        raise InputError(f"record {record.key} has no view {view!r}; it has {', '.join(record.metrics)}")
    if subset not in (scored := scored_subsets(record, view)):
        raise InputError(f"record {record.key} is not scored on {subset} in view {view}; it is on {', '.join(scored)}")
    rows, logits = record.predictions.subset(subset), record.predictions.views[view]
    table, logits = record.predictions.table[rows], log_softmax(logits[rows].astype(np.float64))
    names, best = np.array(class_names(logits.shape[1])), logits.argmax(axis=1)
    return pd.DataFrame({
        "model": run.model, "arm": run.arm, "recipe": run.recipe, "seed": run.seed, "row": table["row"].to_numpy(),
        "label": pd.Categorical(names[table["label"]], categories=names),
        "predicted": pd.Categorical(names[best], categories=names),
        "confidence": np.exp(logits.max(axis=1)).astype(np.float32),
    })  # fmt: skip
