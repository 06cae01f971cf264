"""From the parameters of a stage to the runs it needs. Notebooks, ``plan`` and ``train`` ask the same functions."""

from __future__ import annotations

import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pydantic
from pydantic import Field

from . import models
from .config import (
    PARAMS,
    AuditConfig,
    DataConfig,
    Frozen,
    ModelConfig,
    RunConfig,
    TransferConfig,
    parse,
    read_yaml,
)
from .data import official, synthetic
from .errors import InputError
from .recipes import Recipe, load_recipe
from .sources import faces_of

Job = RunConfig | TransferConfig


class Live(Frozen):
    """How a notebook trains by itself: a short recipe, on narrower networks, on part of the training split."""

    recipe: str
    width: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_train: int | None = None


class Edition(Frozen):
    """One dataset and scale on which all stages run (``params/<edition>/edition.yaml``)."""

    data: DataConfig
    live: Live | None = None


def editions(folder: Path = PARAMS) -> list[str]:
    """Names of the editions."""
    return sorted(p.parent.name for p in folder.glob("*/edition.yaml"))


def load_edition(name: str, folder: Path = PARAMS) -> Edition:
    """The edition of a name.

    Raises:
        InputError: unknown name (the known ones are listed) or wrong content.
    """
    path = folder / name / "edition.yaml"
    if not path.is_file():
        raise InputError(f"unknown edition {name!r}; known: {', '.join(editions(folder))}")
    edition = parse(Edition, read_yaml(path), str(path))
    return edition.model_copy(update={"data": with_fingerprint(edition.data)})


def with_fingerprint(data: DataConfig) -> DataConfig:
    """The config with the fingerprint that its data must have: known without the data for synthetic faces and published
    sets; any other set has to be there, best in canonical form, which says it at once."""
    if data.dataset == "synthetic":
        faces, style = data.faces or 12000, data.style or "wild"
        mark = synthetic.fingerprint(faces, data.world_seed, style)
        return data.model_copy(update={"faces": faces, "style": style, "fingerprint": mark})
    if data.dataset not in official.DATASETS:
        raise InputError(f"unknown dataset {data.dataset!r}; known: {', '.join(official.DATASETS)}, synthetic")
    mark = official.FINGERPRINTS.get(data.dataset) if data.classes == 7 else None
    return data.model_copy(update={"fingerprint": mark or faces_of(data).fingerprint})


def make_run(edition: Edition, recipe: str, model: str, seed: int, *, name: str, options: dict | None = None,
             data: dict | None = None, **changes: object) -> RunConfig:  # fmt: skip
    """One run of an edition; under its live recipe the networks are narrower and the training split may be cut."""
    options, data = dict(options or {}), dict(data or {})
    live = edition.live if edition.live and edition.live.recipe == recipe else None
    if live and not model.startswith("timm:"):
        options.setdefault("width", live.width)
    if live and live.max_train:
        data.setdefault("max_train", live.max_train)
    config = models.resolve(ModelConfig(name=model, options=options))
    return load_recipe(recipe).run(name=name, data=edition.data.model_copy(update=data), model=config, seed=seed, **changes)


def model_comparison(*, edition: str, recipes: list[str], models: list[str], baseline: bool, seeds: list[int]) -> list[Job]:
    """Stage 03: every model with every recipe and seed, and the HOG + SVM pipeline once."""
    world = load_edition(edition)
    runs: list[Job] = [make_run(world, r, m, s, name=m) for s in seeds for r in recipes for m in models]
    return runs + ([baseline_run(world, recipes[0])] if baseline else [])


def baseline_run(edition: Edition, recipe: str) -> RunConfig:
    """HOG features and a linear SVM (``baseline.py``); it has no epochs and no seed."""
    live = edition.live if edition.live and edition.live.recipe == recipe else None
    data = edition.data.model_copy(update={"max_train": live.max_train if live else None})
    options = {"pixels_per_cell": 8, "orientations": 9, "C": 0.01}
    return RunConfig(name="hog_svm", data=data, model=ModelConfig(name="hog_svm", options=options), phases=())


def class_weighting(*, edition: str, recipes: list[str], model: str, schemes: list[str], seeds: list[int]) -> list[Job]:
    """Stage 02: one network with each weighting of the classes."""
    world = load_edition(edition)

    def loss(recipe: str, scheme: str) -> dict:
        return {"loss": load_recipe(recipe).loss.model_copy(update={"class_weights": scheme})}

    return [make_run(world, r, model, s, name=w, **loss(r, w)) for s in seeds for r in recipes for w in schemes]


def _ablation(recipe: Recipe, arm: str) -> dict:
    """What an arm of the ablation changes, as arguments of ``make_run``."""
    more = tuple(p.model_copy(update={"epochs": round(p.epochs * 1.5)}) for p in recipe.phases)
    arms = {
        "full": {},
        "no_cbam": {"options": {"attention": False}},
        "no_kernels": {"options": {"kernels": False}},
        "l2": {"optimiser": recipe.optimiser.model_copy(update={"weight_decay": 1e-4})},
        "longer": {"phases": more},
    }
    if arm not in arms:
        raise InputError(f"unknown arm {arm!r}; allowed: {', '.join(arms)}")
    return arms[arm]


def ablations(*, edition: str, recipes: list[str], model: str, arms: list[str], seeds: list[int]) -> list[Job]:
    """Stage 04: one network, one part changed at a time; ``longer`` has half as many epochs again (20 -> 30)."""
    world = load_edition(edition)
    return [
        make_run(world, r, model, s, name=a, **_ablation(load_recipe(r), a)) for s in seeds for r in recipes for a in arms
    ]


def label_distribution(*, edition: str, recipes: list[str], model: str, targets: list[str], seeds: list[int]) -> list[Job]:
    """Stage 05: one network taught hard labels or the distribution of the crowd's votes."""
    world = load_edition(edition)
    return [make_run(world, r, model, s, name=t, data={"targets": t}) for s in seeds for r in recipes for t in targets]


def domain(name: str, edition: Edition) -> DataConfig:
    """The data of a name such as ``fer2013``, ``synthetic-wild``; synthetic sets have the edition's number of faces.

    Raises:
        InputError: unknown name.
    """
    dataset, _, style = name.partition("-")
    if dataset == "synthetic":
        if style not in ("wild", "lab"):
            raise InputError(f"unknown dataset {name!r}; allowed: synthetic-wild, synthetic-lab")
        size = edition.data.faces or 12000
        return with_fingerprint(DataConfig(dataset="synthetic", faces=size, style=style, world_seed=edition.data.world_seed))
    return with_fingerprint(DataConfig(dataset=name))


def cross_dataset(*, edition: str, recipes: list[str], model: str, sources: list[str], targets: list[str],
                  seeds: list[int]) -> list[Job]:  # fmt: skip
    """Stage 06: a network trained on each source, scored on the test split of each target without further training."""
    world = load_edition(edition)
    jobs: list[Job] = []
    for seed in seeds:
        for recipe in recipes:
            for source in sources:
                data = domain(source, world).model_dump(exclude={"max_train"})
                run = make_run(world, recipe, model, seed, name=source, data=data)
                jobs.append(run)
                jobs += [
                    TransferConfig(name=f"{source} -> {t}", run=run, target=domain(t, world)) for t in targets if t != source
                ]
    return jobs


def error_analysis(*, edition: str, recipes: list[str], models: list[str], seeds: list[int]) -> list[Job]:
    """Stage 07: the runs whose errors are read; they are runs of stage 03."""
    return model_comparison(edition=edition, recipes=recipes, models=models, baseline=False, seeds=seeds)


def audit_config(*, edition: str, near_threshold: float, dataset: str | None = None, **_: object) -> AuditConfig:
    """Stage 01: the audit of the edition's data, which later stages take rows from, or of another ``dataset``."""
    world = load_edition(edition)
    return AuditConfig(data=domain(dataset, world) if dataset else world.data, threshold=near_threshold)


def dataset_audit(**_: object) -> list[Job]:
    """Stage 01 trains nothing."""
    return []


STAGES: dict[str, Callable[..., list[Job]]] = {
    "01_dataset_audit": dataset_audit,
    "02_class_weighting": class_weighting,
    "03_model_comparison": model_comparison,
    "04_ablations": ablations,
    "05_label_distribution": label_distribution,
    "06_cross_dataset": cross_dataset,
    "07_error_analysis": error_analysis,
}
PRIORITY = ("03_model_comparison", "04_ablations", "02_class_weighting", "05_label_distribution", "06_cross_dataset",
            "07_error_analysis")  # fmt: skip
"""Order in which ``train`` works: the comparison of the four networks first."""


def parameters(edition: str, stage: str, folder: Path = PARAMS) -> dict:
    """The parameters of a stage, from ``params/<edition>/<stage>.yaml``."""
    return read_yaml(folder / edition / f"{stage}.yaml")


def edition_audit(edition: str) -> AuditConfig:
    """The audit that stage 01 of an edition shows."""
    load_edition(edition)
    return audit_config(**parameters(edition, "01_dataset_audit"))


def edition_audits(edition: str) -> list[AuditConfig]:
    """The same, and those of the other datasets that stage 01 reports on."""
    own, given = edition_audit(edition), parameters(edition, "01_dataset_audit")
    return [own, *(audit_config(**given, dataset=name) for name in given.get("others", []))]


def jobs_of(edition: str, stage: str) -> list[Job]:
    """The runs that a stage of an edition needs.

    Raises:
        InputError: an unknown edition or stage, or a parameter that is missing or of the wrong type.
    """
    if stage not in STAGES:
        raise InputError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}")
    load_edition(edition)
    given, function = parameters(edition, stage), STAGES[stage]
    hints = {name: kind for name, kind in typing.get_type_hints(function).items() if name not in ("_", "return")}
    kind = pydantic.create_model(stage, __base__=Frozen, **{name: (hint, ...) for name, hint in hints.items()})
    checked = parse(kind, {name: given[name] for name in hints if name in given}, f"params/{edition}/{stage}.yaml")
    return function(**dict(checked))


def jobs(edition: str) -> list[Job]:
    """Everything an edition needs, each once, in the order in which it is worked off: all first seeds of the comparison, its
    other seeds, then the arms."""
    listed = [(priority, job) for priority, stage in enumerate(PRIORITY) for job in jobs_of(edition, stage)]
    listed.sort(key=lambda item: item[0])  # stable: within a stage, seeds come in the order of the parameters
    return list({job.key: job for _, job in listed}.values())
