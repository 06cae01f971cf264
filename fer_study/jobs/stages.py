"""Stages as data: a strict model of a notebook's parameters, which says the jobs that the notebook
needs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from ..analysis import factorial
from ..settings.errors import InputError
from ..settings.experiment import (
    PARAMS,
    AuditConfig,
    CostConfig,
    CrowdConfig,
    DataConfig,
    GanConfig,
    MapTestConfig,
    ModelConfig,
    PeersConfig,
    RunConfig,
    TransferConfig,
    Value,
    ViewsConfig,
)
from ..settings.frozen import Frozen, build, parse
from ..settings.recipes import load_recipe
from .editions import Edition, dataset_config, folder_of, load_edition, parameters, with_fingerprint
from .job import BASELINE, Job, job_for, unique


def _once(items: list) -> list:
    for place, item in enumerate(items):
        if item in items[:place]:
            raise ValueError(f"{item!r} is listed twice")
    return items


Names = Annotated[list[str], Field(min_length=1), AfterValidator(_once)]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), AfterValidator(_once)]
Changes = dict[str, Value]
"""What an arm changes: path in a ``RunConfig`` -> value, such as ``{"model.options.stn": False}``
or ``{"phases.0.epochs": 30}``; a name alone is one of the run's own fields."""


def changed(content: object, path: str, value: Value, where: str = "run") -> object:
    """Change one value of a nested config, for example ``changed({"a": [1, 2]}, "a.1", 3)``, which
    is ``{"a": [1, 3]}``.

    Args:
        content: dictionaries, lists and values, as JSON has them.
        path: keys and places in lists, with dots between them.

    Raises:
        InputError: the path leads nowhere.
    """
    first, _, rest = path.partition(".")
    if isinstance(content, list):
        known: dict = {str(place): item for place, item in enumerate(content)}
    else:
        known = content if isinstance(content, dict) else {}
    if first not in known and where != "options":  # what options there are, the network says
        allowed = ", ".join(known) or "nothing below it"
        raise InputError(f"{where} has no {first!r}; allowed: {allowed}")
    known = {**known, first: changed(known.get(first), rest, value, first) if rest else value}
    return list(known.values()) if isinstance(content, list) else known


def make_run(
    edition: Edition,
    recipe: str,
    model: str,
    seed: int,
    name: str,
    changes: Changes | None = None,
    data: DataConfig | None = None,
) -> RunConfig:
    """Make a run of an edition, which may narrow its networks; under its live recipe the training
    split may be cut.

    Args:
        changes: see ``Changes``.
        data: other data than the edition's own.

    Raises:
        InputError: an unknown recipe, network, option or path, or a value that is not allowed.
    """
    # here, for torch takes seconds to import, and parameters are checked without it
    import torch

    from .. import models
    from ..training.loop import check_phases
    from ..training.objectives import check_objective
    from ..training.weights import pin

    width = edition.width_of(recipe)
    scaled = type(models.options_of(model).get("width")) is float  # another's may count channels
    options = {"width": width} if width < 1 and scaled else {}
    data = edition.training_data(recipe, data)
    network = build(ModelConfig, {"name": model, "options": options})
    content = (
        load_recipe(recipe)
        .run(name=name, data=data, model=network, seed=seed)
        .model_dump(mode="json")
    )
    for path, value in (changes or {}).items():
        content = changed(content, path, value)
    run = parse(RunConfig, content, name)
    run = run.replace(model=pin(models.resolve(run.model)))
    check_objective(run)
    if any(phase.unfreeze != "all" for phase in run.phases):  # a network without memory is enough
        with torch.device("meta"):
            check_phases(run, models.create_model(run.model, run.data.num_classes))
    return run


class Stage(Frozen):
    """The parameters of a notebook, checked whoever gives them: a YAML file, ``-p`` or a cell."""

    stage: ClassVar[str]
    """Name of the notebook."""

    edition: str

    def jobs(self) -> list[Job]:
        """List what the notebook needs, in the order in which it is worked off."""
        raise NotImplementedError

    def job(self, config: Frozen, arm: str = "", recipe: str = "") -> Job:
        """Make a job of this stage."""
        return job_for(config, stage=self.stage, arm=arm, recipe=recipe)

    def views(self, trained: Job, passes: int = 0) -> Job:
        """Make the job that scores a training on changed test images, or in so many passes with
        dropout on."""
        if passes:
            name = f"{trained.name}, {passes} passes"
            config = ViewsConfig.of_dropout(trained.config, passes, name)
        else:
            given = {"name": f"{trained.name}, changed", "run": trained.config}
            config = build(ViewsConfig, given)
        return self.job(config, trained.arm, trained.recipe)

    def audit(self) -> Job:
        """Make the job that audits the edition's own data, as its first stage does."""
        return own_audit(self.edition).moved(self.stage)

    def crowd(self) -> Job:
        """Make the job that keeps what the crowd says of the edition's own data."""
        return self.job(build(CrowdConfig, {"data": load_edition(self.edition).data}), self.edition)


OF_TEACHERS = ("loss.teacher", "loss.temperature", "loss.hard_share")
"""What an arm changes to be taught by other runs."""


class Trained(Stage):
    """A stage that compares trainings: each arm with each recipe and seed."""

    recipes: Names
    seeds: Seeds

    def trainings(
        self, arms: dict[str, tuple[str, Changes]], recipes: list[str] | None = None
    ) -> list[Job]:
        """Make the trainings of some arms, and the jobs that these learn from and no arm is.

        Args:
            arms: name -> its network and what it changes (see ``with_sources``).
            recipes: in place of the stage's own.
        """
        edition, jobs, sources = load_edition(self.edition), [], []
        for seed in self.seeds:
            for recipe in recipes or self.recipes:
                for arm, (model, changes) in arms.items():
                    needed, changes = self.with_sources(recipe, seed, arm, model, changes)
                    sources += needed
                    jobs.append(self.training(edition, recipe, seed, arm, model, changes))
        listed = {job.key for job in jobs}
        return [*(job for job in unique(sources) if job.key not in listed), *jobs]

    def with_sources(
        self, recipe: str, seed: int, arm: str, model: str, changes: Changes
    ) -> tuple[list[Job], Changes]:
        """Make the jobs that an arm learns from, and put their keys where its changes name them.

        An arm whose ``loss.teacher`` is ``self`` or ``seeds`` is taught by the run that it would be
        without a teacher, of its own seed or of every seed.
        """
        seeds = {"self": [seed], "seeds": self.seeds}.get(str(changes.get("loss.teacher")))
        if not seeds:
            return [], changes
        alone = {path: value for path, value in changes.items() if path not in OF_TEACHERS}
        edition, name = load_edition(self.edition), f"teacher of {arm}"
        taught_by = [self.training(edition, recipe, one, name, model, alone) for one in seeds]
        return taught_by, changes | {"loss.teacher": "+".join(job.key for job in taught_by)}

    def training(
        self,
        edition: Edition,
        recipe: str,
        seed: int,
        arm: str,
        model: str,
        changes: Changes,
        data: DataConfig | None = None,
    ) -> Job:
        """Make one training; its name says the recipe where the stage lists several."""
        try:
            config = make_run(edition, recipe, model, seed, self.name(arm, recipe), changes, data)
        except InputError as error:
            self.check_names()
            raise InputError(f"{self.stage}, {arm}: {error}") from None
        return self.job(config, arm, recipe)

    def check_names(self) -> None:
        """Refuse a recipe or a network that nobody knows, by the parameter that names it.

        Raises:
            InputError: there is one.
        """
        from .. import models  # as in ``make_run``

        given = dict(self)
        networks = given.get("models") or [given["model"]]
        for key, names, find in (
            ("recipes", self.recipes, load_recipe),
            ("models" if "models" in given else "model", networks, models.options_of),
        ):
            for name in names:
                try:
                    find(name)
                except InputError as error:
                    raise InputError(f"{self.stage}: {key}: {error}") from None

    def name(self, arm: str, recipe: str) -> str:
        """Say what tables call a run."""
        return arm if len(self.recipes) == 1 else f"{arm}, {recipe}"


class DatasetAudit(Stage):
    """Audit the edition's data, from which stages 05 and 07 take rows, then other datasets."""

    stage = "01_dataset_audit"
    near_threshold: float
    others: list[str]

    def jobs(self) -> list[Job]:
        edition = load_edition(self.edition)
        return [self.own(), *(self.of(dataset_config(name, edition), name) for name in self.others)]

    def own(self) -> Job:
        """Make the job that audits the edition's own data; that of the others may have to be read
        for their configs."""
        return self.of(load_edition(self.edition).data, self.edition)

    def of(self, data: DataConfig, name: str) -> Job:
        """Make the job that audits a dataset."""
        return self.job(build(AuditConfig, {"data": data, "threshold": self.near_threshold}), name)


class ModelComparison(Trained):
    """Train every network, and the pipeline of HOG and a support vector machine once; then some
    networks once for each fold of the training split.

    ``folds``: network -> number of folds.
    """

    stage = "03_model_comparison"
    models: Names
    baseline: bool
    folds: dict[str, Annotated[int, Field(ge=2)]] = Field(default_factory=dict)

    def jobs(self) -> list[Job]:
        jobs = self.trainings({model: (model, {}) for model in self.models})
        return jobs + ([self.baseline_job()] if self.baseline else []) + self.fold_jobs()

    def fold_jobs(self) -> list[Job]:
        """Make the trainings of cross-validation, with the first recipe and seed."""
        edition, recipe, seed = load_edition(self.edition), self.recipes[0], self.seeds[0]
        return [
            self.training(edition, recipe, seed, f"{model}, fold {fold + 1} of {folds}", model, {
                "data.folds": folds, "data.fold": fold
            })
            for model, folds in self.folds.items()
            for fold in range(folds)
        ]  # fmt: skip

    def baseline_job(self) -> Job:
        """Make the job of the pipeline, which has no epochs and no seed."""
        edition, recipe = load_edition(self.edition), self.recipes[0]
        options = {"pixels_per_cell": 8, "orientations": 9, "C": 0.01}
        model, data = ModelConfig(name=BASELINE, options=options), edition.training_data(recipe)
        config = RunConfig(name=BASELINE, data=data, model=model, phases=())
        return self.job(config, BASELINE, recipe)


class Ablations(Trained):
    """Train one network, one part changed at a time, and further networks with their own arms; the
    first of a network's arms is its base."""

    stage = "04_ablations"
    model: str
    arms: Annotated[dict[str, Changes], Field(min_length=1)]
    further: dict[str, Annotated[dict[str, Changes], Field(min_length=1)]] = Field(
        default_factory=dict
    )

    def jobs(self) -> list[Job]:
        arms = {arm: (self.model, changes) for arm, changes in self.arms.items()}
        arms |= {
            f"{model}: {arm}": (model, changes)
            for model, further in self.further.items()
            for arm, changes in further.items()
        }
        return self.trainings(arms)


class Hybrid(Ablations):
    """Train the hybrid network with and without its parts, and the networks it is compared with."""

    stage = "hybrid"


class Drawn(Frozen):
    """Faces of a rare class that a generator draws; see ``GanConfig``.

    ``judge``: ``shipped``, the model that comes with the package, or ``self``, the run that the arm
    would be without these faces.
    """

    target_class: str
    images: int
    judge: Literal["shipped", "self"] = "self"
    steps: int = 4000


class ClassWeighting(Ablations):
    """Train one network with each weighting of the classes; and a small one, which takes a third of
    the time, with more ways to treat rare classes. The first arm of each is its base.

    An arm whose ``data.generated`` is ``drawn`` also learns from faces that a generator of its own
    seed draws.
    """

    stage = "02_class_weighting"
    small_recipe: str = ""
    small_model: str = ""
    small_options: dict[str, Value] = Field(default_factory=dict)
    small_arms: dict[str, Changes] = Field(default_factory=dict)
    drawn: Drawn | None = None

    def jobs(self) -> list[Job]:
        options: Changes = {f"model.options.{key}": x for key, x in self.small_options.items()}
        small = {
            arm + SMALL: (self.small_model, options | changes)
            for arm, changes in self.small_arms.items()
        }
        return super().jobs() + self.trainings(small, [self.small_recipe])

    def with_sources(
        self, recipe: str, seed: int, arm: str, model: str, changes: Changes
    ) -> tuple[list[Job], Changes]:
        """Make the generator of an arm too, behind the run that judges its faces."""
        needed, changes = super().with_sources(recipe, seed, arm, model, changes)
        if changes.get("data.generated") != "drawn":
            return needed, changes
        if self.drawn is None:
            raise InputError(
                f"{self.stage}, {arm}: data.generated is drawn, but drawn is not given"
            )
        alone = {path: value for path, value in changes.items() if path != "data.generated"}
        edition, judge = load_edition(self.edition), self.drawn.judge
        without = self.training(edition, recipe, seed, f"judge of {arm}", model, alone)
        given = self.drawn.resolved() | {
            "name": f"generator of {arm}",
            "data": without.config.data,
            "judge": without.key if judge == "self" else shipped_sha256(),
            "seed": seed,
        }
        made = self.job(build(GanConfig, given), f"generator of {arm}", recipe)
        needed += [without, made] if judge == "self" else [made]
        return needed, changes | {"data.generated": made.key}


SMALL = ", small"
"""What ends the name of an arm of the small network of ``ClassWeighting``."""


class LabelSources(Frozen):
    """A network that is taught by every kind of label, with one recipe; see ``LabelDistribution``
    for ``targets``."""

    recipe: str
    model: str
    options: dict[str, Value] = Field(default_factory=dict)
    input_size: int = 48
    targets: Names

    def network(self) -> Changes:
        """Say what it changes in a run of its model."""
        own: Changes = {f"model.options.{name}": value for name, value in self.options.items()}
        return own | {"model.input_size": self.input_size}


class LabelDistribution(Trained):
    """Train one network on each of some targets.

    Hard labels (``labels``); the class that more than half of the crowd names (``majority``); the
    distribution of its votes (``votes``); the predictions of a label distribution generator that
    learns the hard labels first and is then frozen (``generator``), or that is a branch of the
    network and learns together with it (``joint``). ``label_sources`` is a second network beside
    it, a cheap one, for more of them.
    """

    stage = "05_label_distribution"
    model: str
    options: dict[str, Value]
    input_size: int
    targets: Names
    label_sources: LabelSources | None = None

    def jobs(self) -> list[Job]:
        own = {"model": self.model, "options": self.options, "input_size": self.input_size}
        networks = [
            build(LabelSources, own | {"recipe": recipe, "targets": self.targets})
            for recipe in self.recipes
        ]
        jobs = []
        for seed in self.seeds:
            for network in networks:
                jobs += [job for t in network.targets for job in self.taught(network, seed, t)]
            if second := self.label_sources:
                more = [job for t in second.targets for job in self.taught(second, seed, t)]
                jobs += [job.named(f"{job.name}, {second.model}") for job in more]
        return [*jobs, self.audit(), self.crowd()]

    def taught(self, network: LabelSources, seed: int, target: str) -> list[Job]:
        """Make the training of a network on one target, behind that of its generator."""
        edition, jobs = load_edition(self.edition), []
        changes: Changes = {"data.targets": target}
        if target == "generator":
            size: Changes = {"model.input_size": network.input_size}
            jobs = [self.training(edition, network.recipe, seed, "ldg", "ldg", size)]
            changes = {"loss.teacher": jobs[0].key, "loss.distribution": "teacher"}
        elif target == "joint":
            changes = {"model.options.branch": "joint"}
        changes |= network.network()
        taught = self.training(edition, network.recipe, seed, target, network.model, changes)
        return [*jobs, taught]


class ResFace(Trained):
    """Train ResFace with and without its parts, as its authors add them (Qu and Niu, 2023, table
    4).

    An arm whose ``loss.teacher`` is ``generator`` is taught by a label distribution generator of
    the same seed, which learns the targets first and is then frozen.
    """

    stage = "resface"
    model: str
    input_size: int
    classes: int
    """Eight, with contempt, where the crowd names it; seven otherwise."""
    targets: str
    arms: Annotated[dict[str, Changes], Field(min_length=1)]
    views_of: Annotated[list[str], AfterValidator(_once)] = Field(default_factory=list)
    """Arms that are scored on changed test images, too."""

    def jobs(self) -> list[Job]:
        if unknown := [arm for arm in self.views_of if arm not in self.arms]:
            allowed = ", ".join(self.arms)
            raise InputError(f"{self.stage}: views_of is {unknown[0]!r}, allowed: {allowed}")
        edition = load_edition(self.edition)
        asked = {"classes": self.classes, "targets": self.targets, "fingerprint": ""}
        data = with_fingerprint(build(DataConfig, edition.data.resolved() | asked))
        size: Changes = {"model.input_size": self.input_size}
        jobs: list[Job] = []
        for seed in self.seeds:
            for recipe in self.recipes:
                teacher = self.training(edition, recipe, seed, "generator", "ldg", size, data)
                for arm, changes in self.arms.items():
                    if changes.get("loss.teacher") == "generator":
                        jobs.append(teacher)
                        changes = changes | {"loss.teacher": teacher.key}
                    made = self.training(
                        edition, recipe, seed, arm, self.model, size | changes, data
                    )
                    jobs += [made, self.views(made)] if arm in self.views_of else [made]
        return [*unique(jobs), self.audit(), self.crowd()]


class CrossDataset(Trained):
    """Train a network on each source and score it on the test split of each target without further
    training."""

    stage = "06_cross_dataset"
    model: str
    sources: Names
    targets: Names

    def jobs(self) -> list[Job]:
        edition, jobs = load_edition(self.edition), []
        data = {
            name: dataset_config(name, edition)
            for name in dict.fromkeys([*self.sources, *self.targets])
        }
        if len({config.classes for config in data.values()}) > 1:
            counts = ", ".join(f"{name} {config.classes}" for name, config in data.items())
            raise InputError(
                f"sources and targets differ in their number of classes ({counts}), "
                "so none can be scored on all"
            )
        for seed in self.seeds:
            for recipe in self.recipes:
                for source in self.sources:
                    own = data[source].replace(max_train=edition.data.max_train)
                    jobs.append(
                        trained := self.training(edition, recipe, seed, source, self.model, {}, own)
                    )
                    for target in self.targets:
                        if target != source:
                            arm = f"{source} -> {target}"
                            given = {
                                "name": self.name(arm, recipe),
                                "run": trained.config,
                                "target": data[target],
                            }
                            jobs.append(self.job(build(TransferConfig, given), arm, recipe))
        return jobs


class ErrorAnalysis(Trained):
    """Read the errors of networks that stage 03 compares."""

    stage = "07_error_analysis"
    models: Names
    dropout: dict[str, int] = Field(default_factory=dict)
    """Networks that see the test images with dropout on, and how often."""

    def jobs(self) -> list[Job]:
        if unknown := [name for name in self.dropout if name not in self.models]:
            allowed = ", ".join(self.models)
            raise InputError(f"{self.stage}: dropout is of {unknown[0]!r}, allowed: {allowed}")
        if few := [name for name, number in self.dropout.items() if number < 2]:
            raise InputError(f"{self.stage}: dropout.{few[0]} is not at least 2 passes")
        trainings = self.trainings({model: (model, {}) for model in self.models})
        passes = [
            self.views(job, self.dropout[job.arm]) for job in trainings if job.arm in self.dropout
        ]
        return [*trainings, *passes, self.audit()]


class Arm(Frozen):
    """A run beside a factorial: what it changes in the whole network, its seeds, another network or
    recipe, and whether it is scored on changed test images."""

    changes: Changes = Field(default_factory=dict)
    seeds: Seeds
    model: str = ""
    recipe: str = ""
    views: bool = False


class Factorial(Trained):
    """A half factorial: each part of a network at its high level, as the network has it, or at its
    low one, in half of all combinations; then arms beside it.

    Every part is off in half of the runs and each two parts are off together in a quarter, so what
    one part is worth is measured against all combinations of the others. The seeds are one a run,
    in the order of ``factorial.cells``, the first of which is the whole network. No two runs should
    share a seed: what scatters round the fit holds the spread between seeds, so an interval
    speaks of trainings with seeds that nobody has seen. With one seed for all it would speak of
    that seed alone; with two, a half of the runs each, what the seeds differ by could not be told
    from an interaction.
    """

    model: str
    input_size: int
    factors: Annotated[dict[str, Changes], Field(min_length=3)]
    """What is changed to take a part away."""
    base: Changes = Field(default_factory=dict)
    """What the whole network has that its defaults lack, such as initial weights."""
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    arms: dict[str, Arm]
    views_of_cells: bool = False
    """Whether the runs of the factorial are scored on changed test images."""

    def jobs(self) -> list[Job]:
        whole = Arm(seeds=[0], views=self.views_of_cells)
        listed = [
            (factorial.cell_name(cell), seed, whole.replace(changes=self.changes_of(cell)))
            for cell, seed in zip(self.cells(), self.seeds, strict=True)
        ]
        listed += [(name, seed, arm) for name, arm in self.arms.items() for seed in arm.seeds]
        edition, jobs = load_edition(self.edition), []
        for name, seed, arm in listed:
            recipe, model = arm.recipe or self.recipes[0], arm.model or self.model
            changes = {"model.input_size": self.input_size} | self.base | arm.changes
            trained = self.training(edition, recipe, seed, name, model, changes)
            jobs += [trained, self.views(trained)] if arm.views else [trained]
        return jobs

    def cells(self) -> list[factorial.Cell]:
        """List the runs of the factorial: part -> 1 (there) or -1 (taken away).

        Raises:
            InputError: there are more or fewer seeds than runs.
        """
        cells = factorial.cells(list(self.factors))
        if len(self.seeds) != len(cells):
            raise InputError(
                f"{self.stage}: seeds are {len(self.seeds)}, allowed: {len(cells)}, one a run of "
                f"the half factorial of {', '.join(self.factors)}"
            )
        return cells

    def changes_of(self, cell: factorial.Cell) -> Changes:
        """Say what a run of the factorial changes in the whole network."""
        taken = [self.factors[name] for name, level in cell.items() if level < 0]
        return {path: value for changes in taken for path, value in changes.items()}


class EmoNeXt(Factorial):
    """Take EmoNeXt apart: what its spatial transformer, squeeze-and-excitation, attention penalty,
    stochastic depth and label smoothing are worth; then its penalty at other factors, its
    transformer at another rate, and ConvNeXt, which has none of these parts."""

    stage = "emonext"


class InitialWeights(Factorial):
    """Compare what a network starts from, and what the hybrid's authors add to a trunk: a learned
    adapter for gray images, phases, branches; then other sizes of the images."""

    stage = "initial_weights"

    def jobs(self) -> list[Job]:
        return [*super().jobs(), self.audit()]


class Network(Frozen):
    """A network of the design page: what tables call it, and the fields of its ``ModelConfig``."""

    name: str
    model: str
    options: dict[str, Value] = Field(default_factory=dict)
    input_size: int = 48
    weights: str = "scratch"

    def changes(self) -> Changes:
        """Say what it changes in a run of its model."""
        own = {f"model.options.{name}": value for name, value in self.options.items()}
        return own | {"model.input_size": self.input_size, "model.weights": self.weights}


class Timed(Network):
    """A network of the design page with a recipe of its own, made for a time of training."""

    recipe: str


class Design(Stage):
    """Train our network, first, and others of its cost with one recipe; then the steps of its
    design with a shorter one; then networks that are made to train fast."""

    stage = "design"
    recipe: str
    networks: Annotated[list[Network], Field(min_length=1)]
    short: str
    steps: list[Network]
    fast: list[Timed]
    seeds: Seeds

    def jobs(self) -> list[Job]:
        edition = load_edition(self.edition)
        listed = [(one, self.recipe, one.name) for one in self.networks]
        listed += [(one, self.short, f"{one.name}, {self.short}") for one in self.steps]
        listed += [(one, one.recipe, f"{one.name}, {one.recipe}") for one in self.fast]
        return [
            self.job(
                make_run(edition, recipe, one.model, seed, name, one.changes()), one.name, recipe
            )
            for seed in self.seeds
            for one, recipe, name in listed
        ]


class Measured(Frozen):
    """A network of the gallery: its options, the side and channels of its input, and the images of
    a timed step.

    ``without``: options of the same network less a part; ``timed: false``: sizes only.
    """

    name: str
    size: int = 48
    channels: int = 1
    batch: int = 16
    options: dict[str, Value] = Field(default_factory=dict)
    without: dict[str, Value] = Field(default_factory=dict)
    timed: bool = True

    def config(self) -> CostConfig:
        """Make the config of what it costs."""
        from .. import models  # as in ``make_run``

        def model(options: dict[str, Value]) -> ModelConfig:
            given = {"name": self.name, "input_size": self.size, "options": options}
            return models.resolve(build(ModelConfig, given))

        less = model(self.options | self.without) if self.without else None
        given = {"model": model(self.options), "without": less, "timed": self.timed}
        return build(CostConfig, {**given, "channels": self.channels, "batch_size": self.batch})


class Gallery(Stage):
    """Measure what networks cost."""

    stage = "gallery"
    networks: list[Measured]

    def jobs(self) -> list[Job]:
        return [self.job(network.config(), network.name) for network in self.networks]


class Peers(Stage):
    """Hold the model that comes with this package against those of other packages.

    ``peers``: package -> version.
    """

    stage = "peers"
    peers: Annotated[dict[str, str], Field(min_length=1)]

    def jobs(self) -> list[Job]:
        data = load_edition(self.edition).data
        given = {"data": data, "peers": self.peers, "model": shipped_sha256()}
        return [self.audit(), self.job(build(PeersConfig, given), "peers")]


class Twin(Stage):
    """Look at the synthetic faces, beside FER2013."""

    stage = "twin"
    person: Annotated[int, Field(ge=0)]

    def jobs(self) -> list[Job]:
        check_drawn(self)
        return [self.audit(), own_audit("fer2013").moved(self.stage)]


class TwinNetworks(Trained):
    """Train networks on drawn faces until they converge, and hold them against the truth.

    Beside them: the first one for twice as many epochs, and as the edition trains by itself; and
    networks that differ in their seed alone.
    """

    stage = "twin_networks"
    models: Names
    live: str
    """The recipe that the edition trains by itself."""
    repeated: Changes
    """What the repeated network changes in the live run of the first model."""
    repeats: Annotated[int, Field(ge=2)]
    unseen: Annotated[int, Field(ge=100)]
    """Faces, drawn anew, on which maps are tested."""

    def jobs(self) -> list[Job]:
        check_drawn(self)
        edition, first, seed = load_edition(self.edition), self.models[0], self.seeds[0]
        trained = self.trainings({model: (model, {}) for model in self.models})
        phases = load_recipe(self.recipes[0]).phases
        double: Changes = {f"phases.{i}.epochs": 2 * p.epochs for i, p in enumerate(phases)}
        jobs = [*trained, self.training(edition, self.recipes[0], seed, LONGER, first, double)]
        jobs.append(self.training(edition, self.live, seed, SHORT, first, {}))
        jobs += [
            self.training(edition, self.live, number, REPEATED, first, self.repeated)
            for number in range(self.repeats)
        ]
        return [*jobs, *(self.map_test(job) for job in trained)]

    def map_test(self, trained: Job) -> Job:
        """Make the job that tests the maps of a training on faces that no training has seen."""
        data = trained.config.data
        seed = data.world_seed + 77
        drawn = {"dataset": "synthetic", "faces": self.unseen, "style": data.style}
        target = with_fingerprint(build(DataConfig, drawn | {"world_seed": seed}))
        given = {"name": f"maps of {trained.name}", "run": trained.config, "target": target}
        return self.job(build(MapTestConfig, given), trained.arm, trained.recipe)


LONGER, SHORT, REPEATED = "twice as long", "short", "repeated"
"""Arms of ``TwinNetworks`` beside its networks."""


class MethodBlocks(Ablations):
    """Train small networks on drawn faces, whose blocks are taken apart; an arm may change the
    network too."""

    stage = "method_blocks"

    def jobs(self) -> list[Job]:
        check_drawn(self)
        return super().jobs()


class MethodGradCam(MethodBlocks):
    """Train a network on drawn faces, whose maps are held against the regions that moved."""

    stage = "method_gradcam"


def check_drawn(stage: Stage) -> None:
    """Refuse an edition of real faces for a stage that draws faces or shows single ones.

    Raises:
        InputError: the edition has other data.
    """
    dataset = load_edition(stage.edition).data.dataset
    if dataset != "synthetic":
        raise InputError(
            f"stage {stage.stage} draws faces: edition {stage.edition} has {dataset}, "
            "allowed: synthetic"
        )


STAGES: dict[str, type[Stage]] = {
    kind.stage: kind
    for kind in (
        DatasetAudit,
        ModelComparison,
        Ablations,
        ClassWeighting,
        LabelDistribution,
        ResFace,
        Hybrid,
        CrossDataset,
        ErrorAnalysis,
        Design,
        EmoNeXt,
        InitialWeights,
        Twin,
        TwinNetworks,
        MethodBlocks,
        MethodGradCam,
        Gallery,
        Peers,
    )
}
"""Every stage by name, in the order in which ``train`` works: after the audit the comparison of the
four networks."""


def check_stage(stage: str, given: dict, where: str = "") -> Stage:
    """Check the parameters of a stage, for example ``check_stage("twin", {"edition": "smoke",
    "person": 3}).jobs()``.

    Args:
        where: what a message begins with; empty: the stage.

    Raises:
        InputError: an unknown stage, or a parameter that is missing, unknown or not allowed.
    """
    if stage not in STAGES:
        raise InputError(f"unknown stage {stage!r}; known: {', '.join(sorted(STAGES))}")
    return parse(STAGES[stage], given, where or stage)


def read_stage(edition: str, stage: str) -> Stage:
    """Read a stage of an edition, ``params/<edition>/<stage>.yaml``.

    Raises:
        InputError: an unknown edition or stage, or a parameter that is missing, unknown or not
            allowed.
    """
    given = parameters(edition, stage) if stage in STAGES else {}
    return check_stage(stage, given, f"params/{edition}/{stage}.yaml")


def shipped_sha256() -> str:
    """Read what the weights of the model are that comes with the package."""
    from ..inference.model_folder import SHIPPED, read_settings  # as in ``make_run``

    return read_settings(SHIPPED).sha256


def own_audit(edition: str) -> Job:
    """Make the job that audits the data of an edition, as its first stage says."""
    return read_stage(edition, DatasetAudit.stage).own()


def listed_jobs(edition: str) -> list[Job]:
    """List what each stage of an edition needs, in the order in which it is worked off; what
    several stages need stands in each. An edition need not have every stage, and some it has only
    for calls that name them.

    Raises:
        InputError: see ``read_stage``.
    """
    left_out = load_edition(edition).when_named
    jobs = []
    for stage in (name for name in STAGES if name not in left_out):
        path = f"params/{edition}/{stage}.yaml"
        if (folder_of(edition, PARAMS) / f"{stage}.yaml").is_file():
            try:
                jobs += read_stage(edition, stage).jobs()
            except InputError as error:  # of a value that only its jobs show to be wrong
                raise error if path in str(error) else InputError(f"{path}: {error}") from None
    return jobs


def edition_jobs(edition: str) -> list[Job]:
    """List everything that an edition needs, each once (see ``listed_jobs``)."""
    return unique(listed_jobs(edition))
