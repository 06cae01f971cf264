"""From the parameters of a stage to the runs it needs. Notebooks, ``plan`` and ``train`` ask the same functions."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable
from typing import Annotated

import pydantic
from pydantic import AfterValidator, Field

from .. import models
from ..settings.errors import InputError
from ..settings.experiment import PARAMS, AuditConfig, CostConfig, ModelConfig, RunConfig, TransferConfig
from ..settings.frozen import Frozen, build, parse
from ..settings.recipes import Recipe, load_recipe
from ..training.objectives import check_objective
from ..training.weights import pin
from .editions import Edition, domain, load_edition, parameters

Job = RunConfig | TransferConfig


def _once(items: list) -> list:
    for place, item in enumerate(items):
        if item in items[:place]:
            raise ValueError(f"{item!r} is listed twice")
    return items


Names = Annotated[list[str], Field(min_length=1), AfterValidator(_once)]
Option = int | float | bool | str
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(_once)]


def strict(function: Callable[..., list[Job]]) -> Callable[..., list[Job]]:
    """A stage whose arguments are checked against its signature, whoever calls: a YAML file, ``-p`` or a notebook.

    Its first, positional argument says where they come from and is what an error begins with.
    """

    @functools.wraps(function)
    def checked(where: str = function.__name__, /, **given: object) -> list[Job]:
        hints = typing.get_type_hints(function, include_extras=True)
        fields = {name: (hint, ...) for name, hint in hints.items() if name != "return"}
        kind = pydantic.create_model(function.__name__, __base__=Frozen, **fields)
        return function(**dict(parse(kind, given, where)))

    return checked


def make_run(edition: Edition, recipe: str, model: str, seed: int, *, name: str, options: dict | None = None,
             data: dict | None = None, input_size: int = 48, weights: str = "scratch",
             **changes: object) -> RunConfig:  # fmt: skip
    """One run of an edition; under its live recipe the networks are narrower and the training split may be cut."""
    options, data = dict(options or {}), dict(data or {})
    live = edition.live if edition.live and edition.live.recipe == recipe else None
    if live and "width" in models.options_of(model):
        options.setdefault("width", live.width)
    if live and live.max_train:
        data.setdefault("max_train", live.max_train)
    given = {"name": model, "options": options, "input_size": input_size, "weights": weights}
    config = pin(models.resolve(build(ModelConfig, given)))
    run = load_recipe(recipe).run(name=name, data=edition.data.replace(**data), model=config, seed=seed, **changes)
    check_objective(run)
    return run


def arm_name(arm: str, recipe: str, recipes: list[str]) -> str:
    """What a run is called: its arm, and its recipe where a stage lists several."""
    return arm if len(recipes) == 1 else f"{arm}, {recipe}"


@strict
def model_comparison(*, edition: str, recipes: Names, models: Names, baseline: bool, seeds: Seeds) -> list[Job]:
    """Stage 03: every model with every recipe and seed, and the HOG + SVM pipeline once."""
    world = load_edition(edition)
    runs: list[Job] = [
        make_run(world, r, m, s, name=arm_name(m, r, recipes)) for s in seeds for r in recipes for m in models
    ]
    return runs + ([baseline_run(world, recipes[0])] if baseline else [])


def baseline_run(edition: Edition, recipe: str) -> RunConfig:
    """HOG features and a linear SVM (``baseline.py``); it has no epochs and no seed."""
    live = edition.live if edition.live and edition.live.recipe == recipe else None
    data = edition.data.replace(max_train=live.max_train if live else None)
    options = {"pixels_per_cell": 8, "orientations": 9, "C": 0.01}
    return RunConfig(name="hog_svm", data=data, model=ModelConfig(name="hog_svm", options=options), phases=())


@strict
def class_weighting(*, edition: str, recipes: Names, model: str, schemes: Names, seeds: Seeds) -> list[Job]:
    """Stage 02: one network with each weighting of the classes."""
    world = load_edition(edition)

    def loss(recipe: str, scheme: str) -> dict:
        return {"loss": load_recipe(recipe).loss.replace(class_weights=scheme)}

    return [
        make_run(world, r, model, s, name=arm_name(w, r, recipes), **loss(r, w))
        for s in seeds for r in recipes for w in schemes
    ]  # fmt: skip


def _ablation(recipe: Recipe, arm: str) -> dict:
    """What an arm of the ablation changes, as arguments of ``make_run``."""
    more = tuple(p.replace(epochs=round(p.epochs * 1.5)) for p in recipe.phases)
    arms = {
        "full": {},
        "no_cbam": {"options": {"attention": False}},
        "no_kernels": {"options": {"kernels": False}},
        "l2": {"optimiser": recipe.optimiser.replace(weight_decay=1e-4)},
        "longer": {"phases": more},
    }
    if arm not in arms:
        raise InputError(f"unknown arm {arm!r}; allowed: {', '.join(arms)}")
    return arms[arm]


@strict
def ablations(*, edition: str, recipes: Names, model: str, arms: Names, seeds: Seeds) -> list[Job]:
    """Stage 04: one network, one part changed at a time; ``longer`` has half as many epochs again (20 -> 30)."""
    world, known = load_edition(edition), set(models.options_of(model))
    needs = {arm: {*_ablation(load_recipe(recipes[0]), arm).get("options", {})} - known for arm in arms}
    if unfit := [arm for arm in arms if needs[arm]]:
        missing = ", ".join(sorted(set().union(*needs.values())))
        raise InputError(f"model {model} has no option {missing}: leave out the arms {', '.join(unfit)}")
    return [
        make_run(world, r, model, s, name=arm_name(a, r, recipes), **_ablation(load_recipe(r), a))
        for s in seeds for r in recipes for a in arms
    ]  # fmt: skip


@strict
def label_distribution(*, edition: str, recipes: Names, model: str, options: dict[str, Option], input_size: int,
                       targets: Names, seeds: Seeds) -> list[Job]:  # fmt: skip
    """Stage 05: one network taught hard labels (``labels``), the distribution of the crowd's votes (``votes``), or by a
    label distribution generator (``generator``): a network that learns the hard labels first and is then frozen.

    The arms A and A+C of ResFace (document 001, table 5) are ``labels`` and ``generator`` of ``resface18`` with ``options``
    ``{attention: none}``; A+B and A+B+C those without options."""
    world, jobs, side = load_edition(edition), [], {"input_size": input_size}
    for seed in seeds:
        for recipe in recipes:
            for target in targets:
                name, changes = arm_name(target, recipe, recipes), {"data": {"targets": target}}
                if target == "generator":
                    jobs.append(make_run(world, recipe, "ldg", seed, name=arm_name("ldg", recipe, recipes), **side))
                    loss = load_recipe(recipe).loss.replace(teacher=jobs[-1].key, distribution="teacher")
                    changes = {"loss": loss}
                jobs.append(make_run(world, recipe, model, seed, name=name, options=options, **side, **changes))
    return jobs


@strict
def cross_dataset(*, edition: str, recipes: Names, model: str, sources: Names, targets: Names, seeds: Seeds) -> list[Job]:
    """Stage 06: a network trained on each source, scored on the test split of each target without further training."""
    world = load_edition(edition)
    data = {name: domain(name, world) for name in dict.fromkeys([*sources, *targets])}
    if len({one.classes for one in data.values()}) > 1:
        counts = ", ".join(f"{name} {one.classes}" for name, one in data.items())
        raise InputError(f"sources and targets differ in their number of classes, so none can be scored on all: {counts}")
    jobs: list[Job] = []
    for seed in seeds:
        for recipe in recipes:
            for source in sources:
                own = data[source].model_dump(exclude={"max_train"})
                run = make_run(world, recipe, model, seed, name=arm_name(source, recipe, recipes), data=own)
                jobs.append(run)
                jobs += [
                    TransferConfig(name=arm_name(f"{source} -> {t}", recipe, recipes), run=run, target=data[t])
                    for t in targets if t != source
                ]  # fmt: skip
    return jobs


@strict
def error_analysis(*, edition: str, recipes: Names, models: Names, seeds: Seeds) -> list[Job]:
    """Stage 07: the runs whose errors are read; they are runs of stage 03."""
    return model_comparison(edition=edition, recipes=recipes, models=models, baseline=False, seeds=seeds)


class Network(Frozen):
    """A network of the design page: what tables call it, and the fields of ``ModelConfig``."""

    name: str
    model: str
    options: dict[str, Option] = Field(default_factory=dict)
    input_size: int = 48
    weights: str = "scratch"


@strict
def design(*, edition: str, recipe: str, networks: Annotated[list[Network], Field(min_length=1)], short: str,
           steps: list[Network], seeds: Seeds) -> list[Job]:  # fmt: skip
    """Our network, first, and others of its cost, all with one recipe; then the steps of its design with a shorter one."""
    world = load_edition(edition)
    named = [(n, recipe, n.name) for n in networks] + [(n, short, f"{n.name}, {short}") for n in steps]
    return [
        make_run(world, r, n.model, s, name=name, options=n.options, input_size=n.input_size, weights=n.weights)
        for s in seeds for n, r, name in named
    ]  # fmt: skip


def audit_configs(*, edition: str, near_threshold: float, others: list[str]) -> list[AuditConfig]:
    """Stage 01: the audit of the edition's data, which stages 05 and 07 take rows from, then those of other datasets.

    Raises:
        InputError: an unknown edition or dataset, or a threshold that is no correlation.
    """
    world = load_edition(edition)
    data = [world.data, *(domain(name, world) for name in others)]
    return [build(AuditConfig, {"data": one, "threshold": near_threshold}) for one in data]


@strict
def dataset_audit(*, edition: str, near_threshold: float, others: list[str]) -> list[Job]:
    """Stage 01 trains nothing; its parameters are checked all the same."""
    audit_configs(edition=edition, near_threshold=near_threshold, others=others)
    return []


def cost_configs(networks: list[dict], where: str = "networks") -> list[CostConfig]:
    """What the gallery measures, one config a network.

    Args:
        networks: ``{name, size, channels, batch, options, without}``, all but ``name`` optional; ``without`` holds the
            options of the same network less a part.

    Raises:
        InputError: an unknown network, option or key.
    """
    found = []
    for given in networks:
        rest = {"size": 48, "options": {}, "channels": 1, "batch": 16, "without": None} | given
        model = {"name": rest.pop("name", ""), "input_size": rest.pop("size"), "options": rest.pop("options")}
        without = rest.pop("without")
        if without:
            rest["without"] = {**model, "options": {**model["options"], **without}}
        config = parse(CostConfig, {"model": model, "batch_size": rest.pop("batch"), **rest}, where)
        less = config.without and models.resolve(config.without)
        found.append(config.replace(model=models.resolve(config.model), without=less))
    return found


STAGES: dict[str, Callable[..., list[Job]]] = {
    "01_dataset_audit": dataset_audit,
    "02_class_weighting": class_weighting,
    "03_model_comparison": model_comparison,
    "04_ablations": ablations,
    "05_label_distribution": label_distribution,
    "06_cross_dataset": cross_dataset,
    "07_error_analysis": error_analysis,
    "design": design,
}
PRIORITY = ("03_model_comparison", "04_ablations", "02_class_weighting", "05_label_distribution", "06_cross_dataset",
            "07_error_analysis", "design")  # fmt: skip
"""Order in which ``train`` works: the comparison of the four networks first."""


def edition_audits(edition: str) -> list[AuditConfig]:
    """The audits that stage 01 of an edition shows; the first is that of its own data."""
    load_edition(edition)
    return audit_configs(**parameters(edition, "01_dataset_audit"))


def edition_costs(edition: str) -> list[CostConfig]:
    """What the gallery of an edition measures; nothing where it has none."""
    path = PARAMS / edition / "gallery.yaml"
    if not path.is_file():
        return []
    given = parameters(edition, "gallery")
    if "networks" not in given:
        raise InputError(f"{path}: networks is missing")
    return cost_configs(given["networks"], str(path))


def jobs_of(edition: str, stage: str) -> list[Job]:
    """The runs that a stage of an edition needs.

    Raises:
        InputError: an unknown edition or stage, or a parameter that is missing, unknown or not allowed.
    """
    if stage not in STAGES:
        raise InputError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}")
    load_edition(edition)
    return STAGES[stage](f"params/{edition}/{stage}.yaml", **parameters(edition, stage))


def jobs(edition: str) -> list[Job]:
    """Everything an edition needs, each once, in the order in which it is worked off: all first seeds of the comparison, its
    other seeds, then the arms; an edition need not have the page on the design of our network. Parameters of what trains
    nothing, the audit and the gallery, are checked all the same."""
    load_edition(edition)
    edition_costs(edition)
    there = [stage for stage in (*PRIORITY, "01_dataset_audit") if (PARAMS / edition / f"{stage}.yaml").is_file()]
    listed = [(priority, job) for priority, stage in enumerate(there) for job in jobs_of(edition, stage)]
    listed.sort(key=lambda item: item[0])  # stable: within a stage, seeds come in the order of the parameters
    return list({job.key: job for _, job in listed}.values())
