"""Find what checks ask for in the records: runs with the spread of their recipe, audits, costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
import pandas as pd

from ..data import official
from ..settings.errors import InputError
from ..settings.experiment import GanConfig, RunConfig
from ..store import Record
from . import places, verdicts
from .claim_rows import OnRuns
from .measurements import SHARE, Scored, measure, unit_of
from .metrics import Estimate, fold_factor
from .verdicts import Effect, Spread

RUN_COLUMNS = ["name", "recipe", "system", "seed", "key", "record"]
"""Of ``Evidence.runs``: ``name`` is that of a system of the claims, which may share its records
with another; ``system`` is what the seeds of one run have in common."""

CROWD = "crowd"
"""Name in ``Evidence.homes`` of the record that holds the votes."""

EXACT = Spread(0.0, 1)
"""The spread of what has no seed."""


def seedless(config: RunConfig | GanConfig, teachers: Mapping[str, str] | None = None) -> str:
    """Name what the seeds, or the folds, of one run have in common: the key of their config without
    the seed, and of the first fold.

    Args:
        teachers: key of a run, or of a generator of faces, -> what its seeds have in common; a
            teacher has a seed, too.
    """
    known = teachers or {}
    if isinstance(config, GanConfig):
        return config.model_copy(update={"seed": 0}).key
    taught_by = "+".join(known.get(key, key) for key in config.loss.teachers())
    loss = config.loss.model_copy(update={"teacher": taught_by})
    drawn_by = known.get(config.data.generated, config.data.generated)
    first = config.data.model_copy(update={"fold": 0, "generated": drawn_by})
    return config.model_copy(update={"seed": 0, "loss": loss, "data": first}).key


def repetition(config: RunConfig) -> int:
    """Number a run among those that ``seedless`` gives one name: its seed, or its fold."""
    folds = config.data.folds
    return config.seed * folds + config.data.fold if folds else config.seed


def order_of(record: Record) -> str:
    """Name the order in which a run meets its images: its seed, and which images an epoch shows.

    What a seed does to several runs it does by that order. One image more, or one that is shown
    twice, and the order of the same seed has nothing in common with it. More epochs go on where
    fewer end, so they share it.
    """
    config = record.config
    targets = "majority" if config.data.targets == "majority" else "labels"  # leaves images out
    data = config.data.model_copy(update={"fold": 0, "targets": targets}).model_dump_json()
    often = config.sampling
    shown = f"{often.balanced} {often.rare if often.times > 1 else ''} {often.times}"
    return f"{repetition(config)} {data} {shown}"


def scatter_of(record: Record) -> str:
    """Name what says how far the repetitions of a run scatter: its loss, for with class weights
    seeds do so otherwise, whether it is taught, whoever teaches, how its images are changed, and
    whether they are seeds or folds."""
    config = record.config
    taught = {"teacher": "a run" if config.loss.teachers() else ""}
    loss = config.loss.model_copy(update=taught).model_dump_json()
    return f"{loss} {config.augment.model_dump_json()} {config.data.folds}"


def compare_runs(runs: pd.DataFrame, a: str, b: str, share: bool = False) -> Effect:
    """Estimate system a minus system b from runs of one recipe.

    In one layout (``verdicts.compare_systems``) where the two scatter alike (``scatter_of``), else
    apart, each by the spread of those that scatter as it does.

    Args:
        runs: columns ``system``, ``record`` and ``value``, a row a run.
        share: values in [0, 1]; another system whose mean is 0 or 1 says nothing of the spread.
    """
    scatter, means = runs["record"].map(scatter_of), runs.groupby("system")["value"].mean()
    groups = {name: set(scatter[runs["system"] == name]) for name in (a, b)}
    if groups[a] == groups[b]:
        telling = {a, b, *means.index[(means > 0) & (means < 1) | (not share)]}
        alike = runs[scatter.isin(groups[a]) & runs["system"].isin(telling)]
        columns = alike["system"], alike["record"].map(order_of), alike["value"]
        return verdicts.compare_systems(*map(list, columns), a, b)
    values = runs.groupby("system")["value"].apply(list)
    spreads = [
        verdicts.pooled_spread(
            values[runs.loc[scatter.isin(groups[name]), "system"].unique()], share
        )
        for name in (a, b)
    ]
    return verdicts.compare_apart(values[a], spreads[0], values[b], spreads[1])


class Evidence:
    """The records behind the claims about a dataset; what is measured once is kept."""

    def __init__(
        self, dataset: str, runs: pd.DataFrame, homes: Mapping[str, Record], stages: dict[str, str]
    ):
        """
        Args:
            dataset: that the claims are about, as ``runs_table.dataset_name`` has it.
            runs: ``RUN_COLUMNS``, a row a system and a record of it.
            homes: records of audits and costs, by their names in places (``places.KEYS``).
            stages: system -> the stage that lists it, with the parameters that it needs for that.
        """
        self.dataset, self.runs, self.homes, self.stages = dataset, runs, homes, stages
        counts = official.OFFICIAL_COUNTS.get(dataset, {})
        self.sizes = {split: sum(by_class) for split, by_class in counts.items()}
        if self.sizes:
            self.sizes["merged"] = self.sizes["validation"] + self.sizes["test"]
        self._scored: dict[tuple, Scored | None] = {}
        self._measured: dict[tuple, float] = {}

    @cached_property
    def crowd(self) -> np.ndarray | None:
        """(N, K) majority shares of the images by row, None where no audit has them."""
        audit = self.homes.get(f"audit/{self.dataset}")
        return audit.rows.get("crowd") if audit else None

    @cached_property
    def votes(self) -> np.ndarray | None:
        """(N, 10) votes on the images by row, None where no record has them."""
        return self.homes[CROWD].rows.get("votes") if CROWD in self.homes else None

    def in_two_precisions(self, keys: Iterable[str]) -> bool:
        """Tell whether records of one network among these were computed in different precisions.

        Different networks may be, for each computes in what is fast for it.
        """
        records = self.runs.loc[self.runs["key"].isin(list(keys)), "record"]
        ways = {(record.config.model.name, record.env.get("precision")) for record in records}
        return len(ways) > len({name for name, _ in ways})

    def look_up(self, place: str) -> tuple[object, Record] | None:
        """Read a place of a record (``claim_rows.Place``), None where it is not there.

        Returns:
            A number, a mapping of numbers, or one of ``value``, ``low`` and ``high``; its record.

        Raises:
            InputError: its record has no such key.
        """
        home, keys = places.split(place)
        if home not in self.homes:
            return None
        record = self.homes[home]
        value: object = record.audit if home.startswith("audit") else _costs(record)
        for key in keys:
            known = value if isinstance(value, dict) else {}
            if not known and value in ({}, None):  # of a set without votes, for example
                return None
            if key not in known:
                allowed = ", ".join(known) or "nothing below it"
                where = f"measured is {place!r}: record {record.key} has no {key!r} there"
                raise InputError(f"{where}, allowed: {allowed}")
            value = known[key]
        undefined = value is None or (isinstance(value, float) and math.isnan(value))
        return None if undefined else (value, record)

    def number_at(self, place: str) -> tuple[Estimate, Record] | None:
        """Read a number with its interval, which is the number itself where it has none.

        Raises:
            InputError: there is no such key, or no number.
        """
        found = self.look_up(place)
        if found is None:
            return None
        value = found[0] if isinstance(found[0], dict) else {"value": found[0]}
        if not isinstance(value.get("value"), int | float):
            allowed = f"one of those below it, {', '.join(value)}"
            raise InputError(f"measured is {place!r}, no number, allowed: {allowed}")
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
            whole = self._is_whole(record, check.subset)
            self._scored[place] = (
                Scored(record, *place[1:], self.crowd, self.votes) if whole else None
            )
        if (*place, metric) not in self._measured:
            scored = self._scored[place]
            self._measured[*place, metric] = measure(metric, scored) if scored else math.nan
        return self._measured[*place, metric]

    def _is_whole(self, record: Record, subset: str) -> bool:
        """Say whether a record holds every image of the official split that a subset is of: the
        clean ones lack copies, so that the split itself is counted."""
        split, resplit = subset.removesuffix("_clean"), record.config.data.protocol == "resplit"
        inside = resplit or record.config.data.folds  # validation is a part of Training
        if not self.sizes or (inside and split == "validation"):
            return True
        table = record.predictions.table
        rows = table["row"] if split == "merged" else table["row"][table["split"] == split]
        return rows.nunique() == len(rows) == self.sizes["merged" if resplit else split]

    def pool(self, like: pd.DataFrame, metric: str, check: OnRuns) -> pd.DataFrame:
        """Measure every run that has the recipe, and scatters as (``scatter_of``) one of these."""
        same = self.runs["record"].map(scatter_of).isin(set(like["record"].map(scatter_of)))
        return self.measured(
            self.runs[self.runs["recipe"].isin(like["recipe"]) & same], metric, check
        )

    def seeds_and_spread(
        self, name: str, metric: str, check: OnRuns
    ) -> tuple[pd.DataFrame, Spread]:
        """Measure a system, and pool the spread over all that scatter as it does (``pool``)."""
        rows = self.measured(self.runs[self.runs["name"] == name], metric, check)
        if not len(rows) or not rows["recipe"].iloc[0]:
            return rows, EXACT
        pool = self.pool(rows, metric, check)
        systems = pool.groupby("system")["value"].apply(list)
        spread = verdicts.pooled_spread(list(systems), unit_of(metric) == SHARE)
        return rows, spread._replace(sd=spread.sd * self._widening(rows))

    def _widening(self, rows: pd.DataFrame) -> float:
        """Say by what an interval over the folds of a system is wider than one over seeds."""
        folds = rows["record"].iloc[0].config.data.folds
        return fold_factor(folds) if folds else 1.0

    def compare(
        self, a: str, b: str, metric: str, base_metric: str, check: OnRuns
    ) -> tuple[Effect, list[str]]:
        """Estimate system a minus system b, and name the records behind it.

        In one layout (``compare_runs``) where the two share recipe and measurement and scatter
        alike, else apart.

        Raises:
            InputError: both are one and the same run.
        """
        ours, of_ours = self.seeds_and_spread(a, metric, check)
        theirs, of_theirs = self.seeds_and_spread(b, base_metric, check)
        keys, both = [*ours["key"], *theirs["key"]], pd.concat([ours, theirs])
        alike = both["recipe"].nunique() == 1 and both["record"].map(scatter_of).nunique() == 1
        if alike and metric == base_metric and len(ours) and len(theirs):
            pool = self.pool(both, metric, check)
            names = [rows["system"].iloc[0] for rows in (ours, theirs)]
            if names[0] == names[1]:  # the layout would give minus its mean
                raise InputError(f"{a} and {b} are one and the same run, allowed: two")
            found = compare_runs(pool, *names, unit_of(metric) == SHARE)
            return found._replace(se=found.se * self._widening(both)), keys
        values = [list(rows["value"]) for rows in (ours, theirs)]
        found = verdicts.compare_apart(values[0], of_ours, values[1], of_theirs)
        seeds = [len(rows) for rows in (ours, theirs) if len(rows) and rows["recipe"].iloc[0]]
        return found._replace(n=min(seeds, default=0)), keys


def _costs(record: Record) -> dict[str, object]:
    """What a network costs, with its interval where it has one, and by that less its part."""
    costs = dict(record.cost)
    if "parameters_without" in costs:
        costs["parameters_ratio"] = costs["parameters"] / costs["parameters_without"]
    if not math.isnan(costs.get("time_ratio", math.nan)):
        ends = {end: costs[f"time_ratio_{end}"] for end in ("low", "high")}
        costs["time_ratio"] = {"value": costs["time_ratio"], **ends}
    return costs
