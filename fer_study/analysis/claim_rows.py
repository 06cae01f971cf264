"""Read ``params/claims.yaml``: each claim's quotation, where it stands, and what decides it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from ..settings.errors import InputError
from ..settings.experiment import PARAMS, DataConfig, ModelConfig, RunConfig
from ..settings.frozen import Frozen, parse
from ..settings.recipes import load_recipe
from ..settings.yaml_files import read_yaml
from . import arithmetic, claims
from .measurements import parsed

PATH = PARAMS / "claims.yaml"


def _known_metric(text: str) -> str:
    parsed(text)
    return text


def _known_place(text: str) -> str:
    store, *rest = text.split("/")
    if store not in ("audit", "cost") or len(rest) < 2:
        allowed = "audit/<dataset>/<keys>, cost/<model>/<side>/<key>"
        raise ValueError(f"{text!r} is no place in a record, allowed: {allowed}")
    return text


Metric = Annotated[str, AfterValidator(_known_metric)]
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


class System(Frozen):
    """Spell out a run that claims speak of and a stage lists, so that no network has to be built.

    Attributes:
        stage, arm: where the study lists it, and as what.
        recipe: how it is trained; empty: it has no epochs, and no seed.
        model: with every option, for a key holds all of them.
        base, changes: in place of recipe and model, a system that has them, and what differs from
            it, by path: ``{model.options.attention: false}``.
    """

    stage: str
    arm: str
    recipe: str = ""
    model: ModelConfig | None = None
    base: str = ""
    changes: dict[str, int | float | bool | str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_origin(self) -> System:
        if bool(self.base) == bool(self.model):
            raise ValueError(f"base is {self.base!r} and model {self.model}, allowed: one of them")
        return self


def config_of(name: str, systems: dict[str, System], data: DataConfig) -> RunConfig:
    """Spell out the run of a system on these data, with seed 0.

    Raises:
        InputError: it changes what its base does not have, or to a value that is not allowed.
    """
    system, where = systems[name], f"{PATH}: system {name}"
    if not system.base:
        parts = {"data": data, "model": system.model}
        if not system.recipe:
            return RunConfig(name=name, phases=(), **parts)
        return load_recipe(system.recipe).run(name=name, seed=0, **parts)
    content = config_of(system.base, systems, data).model_dump(mode="json")
    for path, value in system.changes.items():
        *above, last = path.split(".")
        place = content
        for key in above:
            inside = dict(enumerate(place)) if isinstance(place, list) else place
            place = inside.get(int(key) if key.isdecimal() else key, {})
        if not isinstance(place, dict) or last not in place:
            raise InputError(f"{where}: changes {path!r}, which {system.base} does not have")
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


class Number(OnRuns):
    """A reported number (see ``verdicts.judge_number``)."""

    metric: Metric
    system: str
    reported: float

    def systems_named(self) -> list[str]:
        return [self.system]


class Ordering(OnRuns):
    """A stated ordering of systems, the highest first: each against the next, a family."""

    metric: Metric
    systems: Annotated[list[str], Field(min_length=2)]

    def systems_named(self) -> list[str]:
        return self.systems


class Effects(OnRuns):
    """What arms change against their base, in one metric or several: a family, corrected by Holm.

    Attributes:
        direction: what the source states of the arm; ``tested``: it only proposes it.
        base_metric: what is measured of the base, where it is not the same.
    """

    metrics: Annotated[list[Metric], Field(min_length=1)]
    arms: Names
    base: str
    direction: Literal["higher", "lower", "no gain", "tested"]
    base_metric: Metric | None = None

    def systems_named(self) -> list[str]:
        return [*self.arms, self.base]


class Bound(OnRuns):
    """Every metric of every system lies above, or below, a limit (``stated``: by the source)."""

    metrics: Annotated[list[Metric], Field(min_length=1)]
    systems: Names
    above: float | None = None
    below: float | None = None
    stated: bool = True

    @model_validator(mode="after")
    def _one_side(self) -> Bound:
        if (self.above is None) == (self.below is None):
            raise ValueError(f"above is {self.above} and below {self.below}, allowed: one of them")
        return self

    def systems_named(self) -> list[str]:
        return self.systems


class Range(Check):
    """A stated range of numbers of an audit or a cost, with or without intervals."""

    measured: Annotated[list[Place], Field(min_length=1)]
    low: float
    high: float


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
        holds: a comparison of all these (see ``arithmetic``).
        show: the expression whose value is printed as measured.
    """

    values: dict[str, float] = Field(default_factory=dict)
    constants: dict[str, float] = Field(default_factory=dict)
    measured: dict[str, Place] = Field(default_factory=dict)
    holds: Text
    show: str = ""

    @model_validator(mode="after")
    def _names_known(self) -> Formula:
        known = {*self.values, *self.constants, *self.measured}
        for text in filter(None, (self.holds, self.show)):
            if unknown := arithmetic.names_in(text) - known:
                raise ValueError(
                    f"unknown name {min(unknown)!r} in {text!r}; known: {', '.join(sorted(known))}"
                )
        return self


class OwnSource(Formula):
    """Arithmetic on what the source itself prints, which refutes it where it does not hold."""


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
        checks: each with its kind as ``check``.
    """

    quote: Text
    where: Text
    page: Text
    at_our_scale: str = ""
    checks: Annotated[list[dict], Field(min_length=1)]


class Rows(Frozen):
    """The whole file."""

    systems: dict[str, System]
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
    systems, known = content.systems, claims.load().index
    whole = [name for name, system in systems.items() if not system.base]
    for name, system in systems.items():
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
        kind, rest = (
            part.get("check"),
            {key: value for key, value in part.items() if key != "check"},
        )
        if kind not in CHECKS:
            raise InputError(f"{where}: unknown check {kind!r}; known: {', '.join(CHECKS)}")
        checks.append(parse(CHECKS[kind], rest, where))
        if unknown := [name for name in checks[-1].systems_named() if name not in systems]:
            raise InputError(f"{where}: unknown system {unknown[0]!r}; known: {', '.join(systems)}")
    return Claim(row, tuple(checks))
