"""Read ``params/claims.yaml``: each claim's quotation, where it stands, and what decides it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from ..settings.checkout import STUDY
from ..settings.errors import InputError
from ..settings.experiment import PARAMS, DataConfig, GanConfig, ModelConfig, RunConfig, Value
from ..settings.frozen import Frozen, build, parse
from ..settings.recipes import load_recipe
from ..settings.yaml_files import read_yaml
from . import arithmetic, claims, factorial, places
from .measurements import POINTS, SHARE, parsed, unit_of

PATH = PARAMS / "claims.yaml"


def _known_metric(text: str) -> str:
    parsed(text)
    return text


def _known_place(text: str) -> str:
    places.split(text)
    return text


def _one_unit(metrics: list[str]) -> list[str]:
    units = list(dict.fromkeys(map(unit_of, metrics)))
    if len(units) > 1:
        raise ValueError(f"these are in {' and '.join(units)}, allowed: one unit")
    return metrics


def _known_page(name: str) -> str:
    pages = sorted(path.stem for path in (STUDY / "notebooks").glob("*.ipynb"))
    if name not in pages:
        raise ValueError(f"unknown page, allowed: {', '.join(pages)}")
    return name


def _is_true_or_false(text: str) -> str:
    arithmetic.names_in(text)
    if not arithmetic.is_comparison(text):
        raise ValueError("that is a number, allowed: a comparison, true or false")
    return text


def _known_factorial(stage: str) -> str:
    try:
        factorial_of(stage)
    except InputError as error:
        raise ValueError(str(error)) from None
    return stage


EDITION = "fer2013"
"""The edition that claims are about."""

RANGES = {SHARE: (0, 1), POINTS: (-1, 1)}
"""Unit of a measurement -> the least and the greatest that it can be; a number has no such."""


def _check_size(value: float | None, metrics: list[str]) -> float | None:
    """Refuse what no measurement of this unit can be, such as 62.18 for a share."""
    for metric in metrics[:1]:
        low, high = RANGES.get(unit_of(metric), (-math.inf, math.inf))
        if value is not None and not low <= value <= high:
            raise ValueError(f"{metric} is in {unit_of(metric)}, allowed: {low} to {high}")
    return value


Metric = Annotated[str, AfterValidator(_known_metric)]
Metrics = Annotated[list[Metric], Field(min_length=1), AfterValidator(_one_unit)]
Place = Annotated[str, AfterValidator(_known_place)]
Names = Annotated[list[str], Field(min_length=1)]
Subset = Literal["validation", "test", "test_clean", "merged", "merged_clean"]
View = Literal[
    "last_single",
    "last_flip",
    "last_ten_crop",
    "best_single",
    "best_flip",
    "best_ten_crop",
    "ema_single",
    "ema_flip",
    "ema_ten_crop",
]
Text = Annotated[str, Field(min_length=1)]


class ListedFactorial(NamedTuple):
    """A half factorial as the parameters of its stage list it: what takes each part away, and the
    seed of each run."""

    stage: str
    factors: dict[str, dict[str, int | float | bool | str]]
    seeds: list[int]

    def cells(self) -> list[factorial.Cell]:
        """List its runs."""
        return factorial.cells(list(self.factors))

    def systems(self) -> list[str]:
        """Name its runs as systems."""
        return [f"{self.stage}: {factorial.cell_name(cell)}" for cell in self.cells()]

    def spelled_out(self, base: str) -> dict[str, System]:
        """Spell out its systems, each as what it changes in the whole network."""
        found = {}
        for name, cell in zip(self.systems(), self.cells(), strict=True):
            taken = [self.factors[part] for part, level in cell.items() if level < 0]
            changes = {path: value for change in taken for path, value in change.items()}
            arm = factorial.cell_name(cell)
            found[name] = System(stage=self.stage, arm=arm, base=base, changes=changes)
        return found


@functools.cache
def factorial_of(stage: str) -> ListedFactorial:
    """Read the half factorial of a stage of the edition that claims are about.

    Raises:
        InputError: its parameters list none.
    """
    path = PARAMS / EDITION / f"{stage}.yaml"
    given = read_yaml(path)
    if not {"factors", "seeds"} <= given.keys():
        raise InputError(f"{path}: lists no half factorial; it takes factors and seeds")
    return ListedFactorial(stage, given["factors"], given["seeds"])


class System(Frozen):
    """Spell out a run that claims speak of and a stage lists, so that no network has to be built.

    Attributes:
        stage, arm: where the study lists it, and as what.
        parameters: with which parameters of the stage, where it is not listed by itself, as on the
            command line.
        recipe: how it is trained; empty: it has no epochs, and no seed.
        model: with every option, for a key holds all of them.
        base: in place of recipe and model, a system that has them.
        changes: what differs from the base, or the recipe, by path:
            ``{model.options.attention: false}``.
        teacher: the system whose network, of the same seed, gives it its targets.
        generator: of a generator of the same seed, whose faces it learns from too, what a
            ``GanConfig`` has beside data and seed.
    """

    stage: str
    arm: str
    parameters: str = ""
    recipe: str = ""
    model: ModelConfig | None = None
    base: str = ""
    changes: dict[str, Value] = Field(default_factory=dict)
    teacher: str = ""
    generator: dict[str, int | float | str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_origin(self) -> System:
        if bool(self.base) == bool(self.model):
            raise ValueError(f"base is {self.base!r} and model {self.model}, allowed: one of them")
        return self


def config_of(name: str, systems: dict[str, System], data: DataConfig, seed: int = 0) -> RunConfig:
    """Spell out the run of a system on these data.

    Raises:
        InputError: it changes what its base does not have, or to a value that is not allowed.
    """
    system, where = systems[name], f"{PATH}: system {name}"
    if not system.base:
        parts = {"data": data, "model": system.model}
        if not system.recipe:
            return RunConfig(name=name, phases=(), **parts)
        origin, run = system.recipe, load_recipe(system.recipe).run(name=name, seed=seed, **parts)
    else:
        origin, run = system.base, config_of(system.base, systems, data, seed)
    content, changes = run.model_dump(mode="json"), dict(system.changes)
    if system.teacher:
        changes["loss.teacher"] = config_of(system.teacher, systems, data, seed).key
    if system.generator:
        drawn = build(GanConfig, {"data": data, "seed": seed, **system.generator})
        changes["data.generated"] = drawn.key
    for path, value in changes.items():
        *above, last = path.split(".")
        place = content
        for key in above:
            inside = dict(enumerate(place)) if isinstance(place, list) else place
            place = inside.get(int(key) if key.isdecimal() else key, {})
        if not isinstance(place, dict) or last not in place:
            raise InputError(f"{where}: changes {path!r}, which {origin} does not have")
        place[last] = value
    return parse(RunConfig, content, where)


def recipe_of(name: str, systems: dict[str, System]) -> str:
    """Name the recipe of a system, which is that of its base."""
    return systems[systems[name].base or name].recipe


class Check(Frozen):
    """What all checks have: ``of`` names the part of the claim that this one decides."""

    of: str = ""

    def systems_named(self) -> list[str]:
        """Name the systems that it refers to."""
        return []


class OnRuns(Check):
    """A check of trained runs: on these images, in this view, of this split protocol."""

    subset: Subset
    view: View = "last_single"
    protocol: Literal["official", "resplit"] = "official"

    def measurements(self) -> list[tuple[str, str]]:
        """Pair each system with what is measured of it."""
        raise NotImplementedError


class Number(OnRuns):
    """A reported number (see ``verdicts.judge_number``)."""

    metric: Metric
    system: str
    reported: float

    @field_validator("reported")
    @classmethod
    def _can_be(cls, reported: float, info: ValidationInfo) -> float:
        return _check_size(reported, [info.data["metric"]] if "metric" in info.data else [])

    def systems_named(self) -> list[str]:
        return [self.system]

    def measurements(self) -> list[tuple[str, str]]:
        return [(self.system, self.metric)]


class Ordering(OnRuns):
    """A stated ordering of systems, the highest first: each against the next, a family."""

    metric: Metric
    systems: Annotated[list[str], Field(min_length=2)]

    def systems_named(self) -> list[str]:
        return self.systems

    def measurements(self) -> list[tuple[str, str]]:
        return [(name, self.metric) for name in self.systems]


class Effects(OnRuns):
    """What arms change against their base, in one metric or several: a family, corrected by Holm.

    Attributes:
        direction: what the source states of the arm; ``tested``: it only proposes it. This and
            ``no gain`` are of one arm in one metric, for a family of them has no rule.
        base_metric: what is measured of the base, where it is not the same.
    """

    metrics: Metrics
    arms: Names
    base: str
    direction: Literal["higher", "lower", "no gain", "tested"]
    base_metric: Metric | None = None

    @field_validator("direction")
    @classmethod
    def _of_a_family(cls, direction: str, info: ValidationInfo) -> str:
        pairs = len(info.data.get("arms", [])) * len(info.data.get("metrics", []))
        if pairs > 1 and direction not in ("higher", "lower"):
            several = f"{pairs} pairs of arm and metric"
            raise ValueError(f"of {several}, allowed: higher, lower; or one arm and one metric")
        return direction

    @field_validator("base_metric")
    @classmethod
    def _of_one_unit(cls, base_metric: str | None, info: ValidationInfo) -> str | None:
        _one_unit([*info.data.get("metrics", []), *([base_metric] if base_metric else [])])
        return base_metric

    def systems_named(self) -> list[str]:
        return [*self.arms, self.base]

    def measurements(self) -> list[tuple[str, str]]:
        of_base = [self.base_metric] if self.base_metric else self.metrics
        pairs = [(name, metric) for name in self.arms for metric in self.metrics]
        return pairs + [(self.base, metric) for metric in of_base]


class MainEffect(OnRuns):
    """What a part of a network adds, over all runs of a half factorial (``analysis.factorial``).

    With the other parts it is a family, corrected by Holm.

    Attributes:
        stage: that lists the factorial.
        factor: the part.
        direction: what the source states of having it; ``tested``: it only asks.
    """

    stage: Annotated[str, AfterValidator(_known_factorial)]
    factor: str
    metric: Metric
    direction: Literal["higher", "lower", "tested"]

    @field_validator("factor")
    @classmethod
    def _is_there(cls, factor: str, info: ValidationInfo) -> str:
        factors = factorial_of(info.data["stage"]).factors if "stage" in info.data else [factor]
        if factor not in factors:
            raise ValueError(f"unknown part, allowed: {', '.join(factors)}")
        return factor

    def systems_named(self) -> list[str]:
        return factorial_of(self.stage).systems()

    def measurements(self) -> list[tuple[str, str]]:
        return [(name, self.metric) for name in self.systems_named()]


class Bound(OnRuns):
    """Every metric of every system lies above, or below, a limit (``stated``: by the source).

    ``tested``: the source does not say so; where the metric lies is an answer, and no verdict.
    """

    metrics: Metrics
    systems: Names
    above: float | None = None
    below: float | None = None
    stated: bool = True
    tested: bool = False

    @field_validator("above", "below")
    @classmethod
    def _can_be(cls, limit: float | None, info: ValidationInfo) -> float | None:
        return _check_size(limit, info.data.get("metrics", []))

    @model_validator(mode="after")
    def _one_side(self) -> Bound:
        if (self.above is None) == (self.below is None):
            raise ValueError(f"above is {self.above} and below {self.below}, allowed: one of them")
        return self

    def systems_named(self) -> list[str]:
        return self.systems

    def measurements(self) -> list[tuple[str, str]]:
        return [(name, metric) for name in self.systems for metric in self.metrics]


class Range(Check):
    """A stated range of numbers of an audit or a cost, with or without intervals."""

    measured: Annotated[list[Place], Field(min_length=1)]
    low: float
    high: float

    @field_validator("high")
    @classmethod
    def _above_low(cls, high: float, info: ValidationInfo) -> float:
        if high < info.data.get("low", high):
            raise ValueError(f"low is {info.data['low']}, allowed: at least that")
        return high


class Count(Check):
    """Stated counts, a place each: equal rounded to ``digits``, or within a share ``tolerance``.

    ``otherwise`` says what they are where they differ: what our reading does not give is not wrong
    for that.
    """

    measured: Annotated[list[Place], Field(min_length=1)]
    reported: Annotated[list[float], Field(min_length=1)]
    digits: int = 0
    tolerance: float = 0.0
    otherwise: Literal["wrong", "no reading found"] = "wrong"

    @model_validator(mode="after")
    def _one_each(self) -> Count:
        if len(self.measured) != len(self.reported):
            counts = f"{len(self.measured)} places for {len(self.reported)} reported numbers"
            raise ValueError(f"{counts}, allowed: one each")
        return self


class Formula(Check):
    """Arithmetic that holds if the claim is right.

    Attributes:
        values, constants: numbers that the source prints, and others.
        measured: name -> place in a record.
        holds: a comparison of all these (see ``arithmetic``); empty: nothing is decided by it, so
            its word is *tested*.
        show: the expression whose value is printed as measured.
        shown_as: the words that it is printed with, ``{}`` in its place: what it counts, or what
            stands there where nothing was measured.
    """

    values: dict[str, float] = Field(default_factory=dict)
    constants: dict[str, float] = Field(default_factory=dict)
    measured: dict[str, Place] = Field(default_factory=dict)
    holds: Annotated[str, AfterValidator(_is_true_or_false)] = ""
    show: str = ""
    shown_as: str = "{}"

    @model_validator(mode="after")
    def _names_known(self) -> Formula:
        if not (self.holds or self.show):
            raise ValueError("needs holds or show")
        known = {*self.values, *self.constants, *self.measured}
        for text in filter(None, (self.holds, self.show)):
            if unknown := arithmetic.names_in(text) - known:
                raise ValueError(
                    f"unknown name {min(unknown)!r} in {text!r}; known: {', '.join(sorted(known))}"
                )
        if not self.measured:
            self.evaluate({})
        return self

    def evaluate(self, measured: Mapping[str, object]) -> tuple[bool, float]:
        """Say whether it holds, and what is shown, NaN for nothing.

        Args:
            measured: name -> what was found in its place.

        Raises:
            InputError: these values do not allow such arithmetic.
        """
        known, found = {**self.values, **self.constants, **measured}, {}
        for key, text in (("holds", self.holds or "1"), ("show", self.show or "1")):
            try:
                found[key] = float(arithmetic.evaluate(text, known))
            except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
                allowed = "allowed: what gives a number, or true or false"
                raise InputError(f"{key} is {text!r}: {error}, {allowed}") from None
        return bool(found["holds"]), found["show"] if self.show else math.nan


class OwnSource(Formula):
    """Arithmetic on what the source itself prints, which refutes it where it does not hold."""

    holds: Annotated[Text, AfterValidator(_is_true_or_false)]


class OwnTestSet(Check):
    """Reported accuracies, the steps between which their test set may be too small to tell."""

    values: Annotated[list[float], Field(min_length=2)]
    images: Annotated[int, Field(ge=1)]
    discordance: Annotated[float, Field(gt=0, le=1)] = 0.05


class Open(Check):
    """What is missing, and the command that would settle it; empty: there is none yet."""

    needs: Text
    command: str = ""


CHECKS: dict[str, type[Check]] = {
    "number": Number,
    "ordering": Ordering,
    "effect": Effects,
    "main_effect": MainEffect,
    "bound": Bound,
    "range": Range,
    "count": Count,
    "formula": Formula,
    "own_source": OwnSource,
    "own_test_set": OwnTestSet,
    "open": Open,
}


class Row(Frozen):
    """What every claim has.

    Attributes:
        quote, where: verbatim, and where it stands: document, section, line.
        page: the notebook that shows it.
        at_our_scale: what is smaller or other than claimed; empty: tested as claimed.
        hangs_on: a choice of ours without which the verdict would be another one.
        checks: each with its kind as ``check``.
    """

    quote: Text
    where: Text
    page: Annotated[Text, AfterValidator(_known_page)]
    at_our_scale: str = ""
    hangs_on: str = ""
    checks: Annotated[list[dict], Field(min_length=1)]


class Rows(Frozen):
    """The whole file; ``factorials``: stage that lists a half factorial -> the system that is its
    whole network."""

    systems: dict[str, System]
    factorials: dict[str, str] = Field(default_factory=dict)
    claims: dict[str, dict]


class Claim(NamedTuple):
    """A row, and its checks, each of its own type."""

    row: Row
    checks: tuple[Check, ...]


def read_rows(path: Path = PATH) -> tuple[dict[str, System], dict[str, Claim]]:
    """Read the systems, and the row of every claim, by name.

    Raises:
        InputError: an unknown check, system, metric or key, a claim without a row or a row without
            a claim; in one line.
    """
    content = parse(Rows, read_yaml(path), str(path))
    systems, known = dict(content.systems), claims.load().index
    for stage, base in content.factorials.items():
        systems |= factorial_of(stage).spelled_out(base)
    whole = [name for name, system in systems.items() if not system.base]
    for name, system in systems.items():
        if system.teacher and system.teacher not in systems:
            raise InputError(f"{path}: system {name}: unknown teacher {system.teacher!r}")
        if system.base and system.base not in whole:
            raise InputError(
                f"{path}: system {name}: unknown base {system.base!r}; known: {', '.join(whole)}"
            )
    for name in [*content.claims, *known]:
        if name not in known or name not in content.claims:
            raise InputError(f"{path}: {name} {'has no row' if name in known else 'is no claim'}")
    found = {
        name: read_row(given, systems, f"{path}: {name}") for name, given in content.claims.items()
    }
    return systems, found


def read_row(given: dict, systems: dict[str, System], where: str) -> Claim:
    """Read one row, held against the systems that are known."""
    row, checks = parse(Row, given, where), []
    for part in row.checks:
        kind = part.get("check")
        rest = {key: value for key, value in part.items() if key != "check"}
        if kind not in CHECKS:
            raise InputError(f"{where}: unknown check {kind!r}; known: {', '.join(CHECKS)}")
        checks.append(parse(CHECKS[kind], rest, where))
        if unknown := [name for name in checks[-1].systems_named() if name not in systems]:
            raise InputError(f"{where}: unknown system {unknown[0]!r}; known: {', '.join(systems)}")
        if isinstance(checks[-1], Ordering | Effects):
            _check_differ(checks[-1], systems, where)
    return Claim(row, tuple(checks))


def _check_differ(check: Ordering | Effects, systems: dict[str, System], where: str) -> None:
    """Refuse to hold a run against itself, which another name may hide; in another measurement it
    may be.

    Raises:
        InputError: two systems are one and the same.
    """
    if isinstance(check, Effects) and check.base_metric not in (None, *check.metrics):
        return
    key, names = "arms" if isinstance(check, Effects) else "systems", {}
    for name in check.systems_named():
        run = config_of(name, systems, DataConfig(dataset="fer2013")).key
        if run in names:
            both = f"{names[run]!r} and {name!r} are one and the same run"
            raise InputError(f"{where}: {key} is {check.systems_named()}: {both}, allowed: others")
        names[run] = name
