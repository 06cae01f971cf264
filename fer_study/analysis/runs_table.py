"""Table the runs of an edition, a row a record, and their predictions, a row an image and seed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import pandas as pd
import scipy

from ..data.labels import class_names
from ..settings.errors import InputError
from ..settings.experiment import DataConfig, RunConfig, TransferConfig
from ..store import Record
from ..store.predictions import SUBSETS

CHOSEN_ON_VALIDATION = ("fer48",)
"""Networks whose design was chosen on PublicTest: they have no score on merged images, whatever
their record holds."""

COLUMNS = ["stage", "arm", "model", "recipe", "source", "target", "seed", "key", "record"]


class Listed(Protocol):
    """A job as a stage lists it (``jobs.job.Job``)."""

    stage: str
    arm: str
    recipe: str
    config: RunConfig | TransferConfig
    key: str
    seed: int

    def record(self) -> Record | None: ...


def runs_table(jobs: Iterable[Listed], missing: bool = False) -> pd.DataFrame:
    """Table the records of trainings and transfers; audits and costs are left out.

    A record that several stages list has a row in each; count it once by ``key``. For example, the
    seeds of every arm: ``runs_table(jobs).groupby(["stage", "arm",
    "recipe"])["seed"].apply(list)``.

    Args:
        jobs: of a stage, or of all stages of an edition.
        missing: also list what is not there, with None as its record.

    Returns:
        Columns ``COLUMNS``: ``arm`` is what the stage calls the run, ``recipe`` is empty for what
        has no epochs, ``source`` and ``target`` are the datasets that taught and tested it.
    """
    rows = [row_of(job) for job in jobs if isinstance(job.config, RunConfig | TransferConfig)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table if missing else table[table["record"].notna()].reset_index(drop=True)


def row_of(job: Listed) -> dict[str, object]:
    """Describe one job."""
    transferred = isinstance(job.config, TransferConfig)
    run = job.config.run if transferred else job.config
    source = dataset_name(run.data)
    return {
        "stage": job.stage,
        "arm": job.arm,
        "model": run.model.name,
        "recipe": job.recipe if run.epochs else "",
        "source": source,
        "target": dataset_name(job.config.target) if transferred else source,
        "seed": job.seed,
        "key": job.key,
        "record": job.record(),
    }


def dataset_name(data: DataConfig) -> str:
    """Name a dataset as parameters do: ``fer2013``, ``synthetic-wild``."""
    return f"{data.dataset}-{data.style}" if data.style else data.dataset


def scored_subsets(record: Record, view: str) -> list[str]:
    """List the subsets that a record was scored on in a view, none where it has no such view.

    Those that it must not be shown on are left out.
    """
    subsets = list(record.metrics.get(view, {}))
    chosen = (
        isinstance(record.config, RunConfig) and record.config.model.name in CHOSEN_ON_VALIDATION
    )
    return [name for name in subsets if not (chosen and "merged" in name)]


def predictions(
    runs: pd.DataFrame, view: str = "last_single", subset: str = "test"
) -> pd.DataFrame:
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
    return pd.concat(tables, ignore_index=True) if tables else _no_predictions()


def _no_predictions() -> pd.DataFrame:
    """The table without a row, its columns of the types that they have with some."""
    text = dict.fromkeys(("model", "arm", "recipe"), str)
    rest = {
        "seed": int,
        "row": int,
        "label": "category",
        "predicted": "category",
        "confidence": np.float32,
    }
    return pd.DataFrame(columns=[*text, *rest]).astype(text | rest)


def classes_in(config: RunConfig | TransferConfig) -> tuple[str, ...]:
    """The classes that the predictions of a run, or of its transfer, are of."""
    data = config.target if isinstance(config, TransferConfig) else config.data
    return class_names(data.classes)


def _predicted(run: tuple, view: str, subset: str) -> pd.DataFrame:
    """One run's rows of ``predictions``."""
    record = run.record
    if view not in record.metrics:
        raise InputError(
            f"record {record.key} has no view {view!r}; it has {', '.join(record.metrics)}"
        )
    if subset not in (scored := scored_subsets(record, view)):
        raise InputError(
            f"record {record.key} is not scored on {subset} in view {view}; it is on "
            f"{', '.join(scored)}"
        )
    rows, logits = record.predictions.subset(subset), record.predictions.views[view]
    table = record.predictions.table[rows]
    logits = scipy.special.log_softmax(logits[rows].astype(np.float64), axis=1)
    names, best = np.array(classes_in(record.config)), logits.argmax(axis=1)
    return pd.DataFrame({
        "model": run.model, "arm": run.arm, "recipe": run.recipe, "seed": run.seed,
        "row": table["row"].to_numpy(),
        "label": pd.Categorical(names[table["label"]], categories=names),
        "predicted": pd.Categorical(names[best], categories=names),
        "confidence": np.exp(logits.max(axis=1)).astype(np.float32),
    })  # fmt: skip
