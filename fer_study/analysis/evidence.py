"""Find what checks ask for in the records: runs with the spread of their recipe, audits, costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from ..settings.experiment import AuditConfig, CostConfig, RunConfig
from ..store import Record
from . import verdicts
from .claim_rows import OnRuns
from .measurements import SHARE, Scored, measure, unit_of
from .metrics import Estimate
from .runs_table import dataset_name
from .verdicts import Effect, Spread

RUN_COLUMNS = ["name", "recipe", "system", "seed", "key", "record"]
"""Of ``Evidence.runs``: ``name`` is that of a system of the claims, which may share its records
with another; ``system`` is what the seeds of one run have in common."""

EXACT = Spread(0.0, 1)
"""The spread of what has no seed."""


def seedless(config: RunConfig) -> str:
    """Name what the seeds of one run have in common: the key of their config without the seed."""
    return config.model_copy(update={"seed": 0}).key


def loss_of(record: Record) -> str:
    """Name the loss of a run: with class weights, for instance, seeds scatter otherwise."""
    return record.config.loss.model_dump_json()


class Evidence:
    """The records behind the claims about a dataset; what is measured once is kept."""

    def __init__(
        self, dataset: str, runs: pd.DataFrame, others: Sequence[Record], stages: dict[str, str]
    ):
        """
        Args:
            dataset: that the claims are about, as ``runs_table.dataset_name`` has it.
            runs: ``RUN_COLUMNS``, a row a system and a record of it.
            others: records of audits and costs.
            stages: system -> the stage that lists it.
        """
        self.dataset, self.runs, self.others, self.stages = dataset, runs, others, stages
        self._scored: dict[tuple, Scored] = {}
        self._measured: dict[tuple, float] = {}

    @cached_property
    def crowd(self) -> np.ndarray | None:
        """(N, K) majority shares of the images by row, None where no audit has them."""
        audit = self.find_audit(self.dataset)
        return audit.rows.get("crowd") if audit else None

    def find_audit(self, dataset: str) -> Record | None:
        """Find the audit of a dataset."""
        audits = [record for record in self.others if isinstance(record.config, AuditConfig)]
        return next((r for r in audits if dataset_name(r.config.data) == dataset), None)

    def look_up(self, place: str) -> tuple[object, Record] | None:
        """Read a place of a record (``claim_rows.Place``), None where it is not there.

        Returns:
            A number, a mapping of numbers, or one of ``value``, ``low`` and ``high``; its record.
        """
        store, name, *keys = place.split("/")
        if store == "cost":
            return self._cost(name, *keys)
        record = self.find_audit(name)
        value = record.audit if record else None
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return None if value is None else (value, record)

    def _cost(self, model: str, side: str, *keys: str) -> tuple[object, Record] | None:
        """What a network costs, or costs more than less the part named before the last key."""
        *part, key = keys
        for record in self.others:
            config = record.config
            wanted = isinstance(config, CostConfig) and config.model.name == model
            if (
                not wanted
                or config.model.input_size != int(side)
                or (part and part != _removed(config))
            ):
                continue
            cost = dict(record.cost)
            cost["parameters_ratio"] = cost["parameters"] / cost.get("parameters_without", math.nan)
            value = cost.get(key, math.nan)
            if not math.isnan(value):
                ends = {end: cost.get(f"{key}_{end}", value) for end in ("low", "high")}
                return {"value": value, **ends}, record
        return None

    def number_at(self, place: str) -> tuple[Estimate, Record] | None:
        """Read a number with its interval, which is the number itself where it has none."""
        found = self.look_up(place)
        if found is None:
            return None
        value = found[0] if isinstance(found[0], dict) else {"value": found[0]}
        number = float(value["value"])
        low, high = value.get("low", number), value.get("high", number)
        return Estimate(number, math.nan, 0, low, high), found[1]

    def measured(self, rows: pd.DataFrame, metric: str, check: OnRuns) -> pd.DataFrame:
        """Measure records of the split protocol of the check as ``value``, each once.

        Rows whose measurement is undefined are left out.
        """
        rows = rows.drop_duplicates("key")
        protocols = [record.config.data.protocol for record in rows["record"]]
        rows = rows[np.array(protocols, dtype=object) == check.protocol]
        values = [self._value(record, metric, check) for record in rows["record"]]
        return rows.assign(value=values).dropna(subset="value")

    def _value(self, record: Record, metric: str, check: OnRuns) -> float:
        place = (record.key, check.view, check.subset)
        if place not in self._scored:
            self._scored[place] = Scored(record, check.view, check.subset, self.crowd)
        if (*place, metric) not in self._measured:
            self._measured[*place, metric] = measure(metric, self._scored[place])
        return self._measured[*place, metric]

    def pool(self, like: pd.DataFrame, metric: str, check: OnRuns) -> pd.DataFrame:
        """Measure every run that has the recipe and the loss of one of these."""
        same = self.runs["record"].map(loss_of).isin(set(like["record"].map(loss_of)))
        return self.measured(
            self.runs[self.runs["recipe"].isin(like["recipe"]) & same], metric, check
        )

    def seeds_and_spread(
        self, name: str, metric: str, check: OnRuns
    ) -> tuple[pd.DataFrame, Spread]:
        """Measure a system, and pool the spread over all systems of its recipe and loss."""
        rows = self.measured(self.runs[self.runs["name"] == name], metric, check)
        if not len(rows) or not rows["recipe"].iloc[0]:
            return rows, EXACT
        pool = self.pool(rows, metric, check)
        systems = pool.groupby("system")["value"].apply(list)
        return rows, verdicts.pooled_spread(list(systems), unit_of(metric) == SHARE)

    def compare(
        self, a: str, b: str, metric: str, base_metric: str, check: OnRuns
    ) -> tuple[Effect, list[str]]:
        """Estimate system a minus system b, and name the records behind it.

        In one layout where the two share recipe and measurement, else apart.
        """
        ours, of_ours = self.seeds_and_spread(a, metric, check)
        theirs, of_theirs = self.seeds_and_spread(b, base_metric, check)
        keys, both = [*ours["key"], *theirs["key"]], pd.concat([ours, theirs])
        one_layout = both["recipe"].nunique() == 1 and metric == base_metric
        if one_layout and len(ours) and len(theirs):
            pool = self.pool(both, metric, check)
            columns = (list(pool[column]) for column in ("system", "seed", "value"))
            names = (rows["system"].iloc[0] for rows in (ours, theirs))
            return verdicts.compare_systems(*columns, *names), keys
        values = [list(rows["value"]) for rows in (ours, theirs)]
        found = verdicts.compare_apart(values[0], of_ours, values[1], of_theirs)
        seeds = [len(rows) for rows in (ours, theirs) if len(rows) and rows["recipe"].iloc[0]]
        return found._replace(n=min(seeds, default=0)), keys


def _removed(config: CostConfig) -> list[str]:
    """The options in which a network differs from the one less a part."""
    less = config.without.options if config.without else {}
    return [name for name, value in less.items() if config.model.options[name] != value]
