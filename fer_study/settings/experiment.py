"""Training configuration: frozen, strict, and named by its hash.

A ``RunConfig`` says everything that an experiment is; where and how fast it runs (device,
precision, paths) is not part of it.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import PurePath
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from .checkout import STUDY
from .errors import InputError
from .frozen import Frozen, build

PARAMS = STUDY / "params"

Probability = Annotated[float, Field(ge=0, le=1)]


def _in_order(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(
            f"the least is {ends[0]} and the greatest {ends[1]}, allowed: the least first"
        )
    return ends


AnyFloat = Annotated[float, Field(allow_inf_nan=True)]
"""Judged later: options of networks have ranges of their own."""

Factor = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Factors = Annotated[tuple[Factor, Factor], AfterValidator(_in_order)]
"""Least and greatest."""
Shares = Annotated[tuple[Share, Share], AfterValidator(_in_order)]
"""Least and greatest."""


RUN = re.compile(r"run:(?P<key>[0-9a-f]{16})(:(?P<kind>last|best|ema|mean))?")
FILE = re.compile(r"file:(?P<digest>[0-9a-f]{16})(:(?P<place>.+\.safetensors))?", re.DOTALL)
PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".tar")


def _check_weights(weights: str) -> str:
    """Refuse what names no weights, by form alone; ``weights.pin`` looks for the file."""
    if RUN.fullmatch(weights):
        return weights.removesuffix(":last")
    if weights in ("scratch", "imagenet") or FILE.fullmatch(weights):
        return weights
    if PurePath(weights).suffix.lower() in PICKLES:
        remedy = "save its state dict with safetensors and name that file"
        raise ValueError(f"a pickle can run code when it is opened; {remedy}")
    if not is_path(weights):
        kinds = "run:<key of 16 hexadecimal digits>, run:<key>:best, :ema or :mean"
        raise ValueError(f"allowed: scratch, imagenet, {kinds}, the path of a .safetensors file")
    return weights


def is_path(weights: str) -> bool:
    """Whether ``ModelConfig.weights`` is a path whose content nobody has read yet."""
    return weights.endswith(".safetensors") and not FILE.fullmatch(weights)


def without_place(weights: str) -> str:
    """Give ``file:<digest>`` of a file, wherever it lies, as keys and records hold it.

    All else as it is.
    """
    pinned = FILE.fullmatch(weights)
    return f"file:{pinned['digest']}" if pinned else weights


WeightOrigin = Annotated[
    str, AfterValidator(_check_weights), PlainSerializer(without_place, when_used="json")
]
"""What ``ModelConfig.weights`` may say, written without the place of a file."""


MOST_CLASSES = 20
NAMES_TAKEN = ("all", "total", "predicted", "set", "problem")
"""What tables call other columns beside those of classes."""


def check_class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Give names of classes back.

    Raises:
        ValueError: fewer than two or more than twenty; one stands twice, but for capitals; is
            empty, longer than 40 characters or taken; has a comma, a slash, or spaces at an end.
    """
    if not 2 <= len(names) <= MOST_CLASSES:
        raise ValueError(f"{len(names)} classes are named, allowed: 2 to {MOST_CLASSES}")
    for i, name in enumerate(names):
        if (
            not re.fullmatch(r"[^\s,/\\](?:[^,/\\]{0,38}[^\s,/\\])?", name)
            or not name.isprintable()
        ):
            allowed = "1 to 40 characters, without commas and slashes, and no space at an end"
            raise ValueError(f"class name {name[:60]!r}, allowed: {allowed}")
        if name.casefold() in NAMES_TAKEN:
            raise ValueError(f"class name {name!r}: tables call another column so")
        if name.casefold() in [other.casefold() for other in names[:i]]:
            raise ValueError(f"class name {name!r} stands twice")
    return names


def _check_classes(classes: object) -> int | tuple[str, ...]:
    if isinstance(classes, (list, tuple)) and all(isinstance(name, str) for name in classes):
        return check_class_names(tuple(classes))
    if type(classes) is int and classes in (7, 8):
        return classes
    raise ValueError("allowed: 7, 8 (with contempt), or a list of names")


Classes = Annotated[int | tuple[str, ...], BeforeValidator(_check_classes)]
"""Seven or eight classes, or names of one's own in the order of the labels."""


class DataConfig(Frozen):
    """Which images, split how, with which targets.

    Attributes:
        dataset: ``synthetic``, or one of ``data.official.DATASETS``.
        faces, style, world_seed: the synthetic world; None for real data.
        protocol: ``official``, or ``resplit``: 80/20 of Training, tested on the merged PublicTest
            and PrivateTest.
        folds, fold: k-fold cross-validation inside the training split (folds = 0: none); the test
            split stays.
        targets: ``labels`` (one-hot); ``votes`` (the distribution of the votes, of ``ferplus`` as
            by ``annotation``); or ``majority`` (one-hot: what more than half of the crowd says, by
            the rule of FER+; training images without such a class are left out).
        deduplicate: leave out training images that have an exact copy in validation or test, and
            all but one of each group.
        drop_tested: leave out only those that have an exact copy in validation or test; repeats
            inside training stay.
        max_train: train on so many images of the training split, drawn by ``world_seed``.
        classes: 7, or 8 with contempt; or names of one's own, of class folders.
        annotation: as in ``data.Options``.
        generated: key of a generator (``GanConfig``) whose faces are trained on beside the training
            split; empty: none.
        fingerprint: of the FaceSet this resolves to; checked when the data is loaded.
    """

    added: ClassVar[frozenset[str]] = frozenset(
        {"classes", "annotation", "drop_tested", "generated"}
    )

    dataset: str
    faces: Annotated[int, Field(ge=100)] | None = None
    style: Literal["wild", "lab"] | None = None
    world_seed: int = 0
    protocol: Literal["official", "resplit"] = "official"
    folds: Annotated[int, Field(ge=0)] = 0
    fold: Annotated[int, Field(ge=0)] = 0
    targets: Literal["labels", "votes", "majority"] = "labels"
    deduplicate: bool = False
    drop_tested: bool = False
    max_train: Annotated[int, Field(ge=1)] | None = None
    classes: Classes = 7
    annotation: Literal["majority", "probability", "crossentropy", "multi_target"] = "majority"
    generated: Annotated[str, Field(pattern="^([0-9a-f]{16})?$")] = ""
    fingerprint: str = ""

    @property
    def num_classes(self) -> int:
        """Counts the classes."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    @model_validator(mode="after")
    def _check_fold(self) -> DataConfig:
        if self.folds == 1:
            raise ValueError("folds is 1, allowed: 0 (none), 2 and more")
        if self.fold >= max(self.folds, 1):
            raise ValueError(
                f"fold is {self.fold}, allowed: 0..{max(self.folds, 1) - 1} with folds {self.folds}"
            )
        return self

    @model_validator(mode="after")
    def _check_copies(self) -> DataConfig:
        if self.drop_tested and self.deduplicate:  # else one training would have two names
            raise ValueError(
                "drop_tested is True, allowed with deduplicate: False, which drops those images too"
            )
        return self


# what an arm, or a system of a claim, may set in a config
Value = int | float | bool | str | list[float] | None


class AugmentConfig(Frozen):
    """Batch augmentation; all geometry is one warp. Ranges are sampled uniformly per image.

    Attributes:
        flip, vertical_flip: probability.
        rotate, shear: degrees, sampled in +-value.
        shift: fraction of the side, sampled in +-value, both axes.
        zoom: range of the magnification (> 1 enlarges the face).
        crop_area, crop_ratio: random resized crop: range of the area kept and of its aspect ratio
            (None: no crop).
        brightness, contrast: range of the factor.
        erase: probability of erasing one rectangle of 2-20 % of the area.
        fill: what lies outside the image. mean, std: normalisation of pixels in [0, 1], also at
            test time.
    """

    flip: Probability = 0.0
    vertical_flip: Probability = 0.0
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    shear: Annotated[float, Field(ge=0, lt=90)] = 0.0
    shift: Annotated[float, Field(ge=0, le=1)] = 0.0
    zoom: Factors | None = None
    crop_area: Shares | None = None
    crop_ratio: Factors = (0.75, 4 / 3)
    brightness: Factors | None = None
    contrast: Factors | None = None
    erase: Probability = 0.0
    fill: Literal["zeros", "border", "reflection"] = "zeros"
    mean: float = 0.5
    std: Annotated[float, Field(gt=0)] = 0.5


class ModelConfig(Frozen):
    """A registered model: its name, its options, the side of its input, and its weights.

    ``weights`` is ``scratch``, ``imagenet``, ``run:<key>`` (``run:<key>:best``, ``:ema``) or the
    path of a safetensors file, which ``weights.pin`` makes ``file:<digest of its content>:<path>``;
    keys and records leave out the path. ``source`` is the hash of the code of a network from
    outside the package; ``models.resolve`` fills it in.
    """

    added: ClassVar[frozenset[str]] = frozenset({"source"})

    name: str
    options: dict[str, int | AnyFloat | bool | str] = Field(default_factory=dict)
    input_size: Annotated[int, Field(ge=16, le=1024)] = 48
    weights: WeightOrigin = "scratch"
    source: Annotated[str, Field(pattern="^([0-9a-f]{16})?$")] = ""

    def resolved(self) -> dict:
        if is_path(self.weights):  # a key of the path would not tell two files apart that lay there
            raise InputError(
                f"weights {self.weights}: their content is part of the key; call weights.pin first"
            )
        return super().resolved() | {"weights": without_place(self.weights)}


KEYS = r"[0-9a-f]{16}(\+[0-9a-f]{16})*"
"""Keys of runs, joined by ``+``."""


class LossConfig(Frozen):
    """Cross-entropy against distributions.

    Attributes:
        class_weights: ``none``; by the images of a class in the training split ``inverse``
            (N / (K n_c)), ``square_root`` of that, or ``effective_number``; or ``heavy`` (disgust
            x15, fear x8).
        effective_beta: of ``effective_number``: 0 weighs all alike, towards 1 it nears ``inverse``.
        focal_gamma: power of the focal loss; 0 is cross-entropy.
        logit_adjustment: factor of the logarithm of a class's frequency that is added to its logit
            in training, and only there; 0 is off.
        reduction: ``count`` divides the weighted sum by the batch size (Keras), ``weights`` by the
            sum of weights (PyTorch).
        label_smoothing: share of the target spread evenly over the classes.
        mixup, cutmix: alpha of the Beta distribution; 0 is off. One of them at a time.
        teacher: keys of finished runs, joined by ``+``, whose networks, frozen, give the targets
            in place of the data: the mean of what they say; empty: none.
        temperature: by which the logits of teachers and student are divided before they are
            compared.
        hard_share: share of the data's own targets in the loss, beside a teacher.
        votes_weight: of a second head that learns the crowd's votes beside the labels; 0: none.
        distribution: ``none``: cross-entropy; else ``losses.label_distribution_loss`` with this one
            leading, which has no class weights.
    """

    added: ClassVar[frozenset[str]] = frozenset(
        {
            "teacher",
            "distribution",
            "cutmix",
            "effective_beta",
            "focal_gamma",
            "logit_adjustment",
            "temperature",
            "hard_share",
            "votes_weight",
        }
    )

    class_weights: Literal["none", "inverse", "square_root", "effective_number", "heavy"] = "none"
    effective_beta: Annotated[float, Field(ge=0, lt=1)] = 0.999
    focal_gamma: Annotated[float, Field(ge=0)] = 0.0
    logit_adjustment: Annotated[float, Field(ge=0)] = 0.0
    reduction: Literal["count", "weights"] = "count"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mixup: Annotated[float, Field(ge=0)] = 0.0
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    teacher: Annotated[str, Field(pattern=f"^({KEYS})?$")] = ""
    temperature: Factor = 1.0
    hard_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    votes_weight: Annotated[float, Field(ge=0)] = 0.0
    distribution: Literal["none", "teacher", "student"] = "none"

    def teachers(self) -> tuple[str, ...]:
        """List the keys of the runs that teach."""
        return tuple(key for key in self.teacher.split("+") if key)

    @model_validator(mode="after")
    def _no_weights_unused(self) -> LossConfig:
        if self.distribution != "none" and (self.class_weights, self.reduction) != (
            "none",
            "count",
        ):
            raise ValueError(
                f"class_weights is {self.class_weights!r} and reduction {self.reduction!r}, "
                "allowed with distribution "
                f"{self.distribution!r}: 'none' and 'count', that loss has no weights"
            )
        for field in ("focal_gamma", "logit_adjustment"):
            self._allow(field, self.distribution == "none", f"distribution {self.distribution!r}")
        return self

    @model_validator(mode="after")
    def _nothing_unused(self) -> LossConfig:
        effective = self.class_weights == "effective_number"
        self._allow("effective_beta", effective, f"class_weights {self.class_weights!r}")
        for field in ("temperature", "hard_share"):
            self._allow(field, bool(self.teacher), "no teacher")
        return self

    @model_validator(mode="after")
    def _no_frequency_twice(self) -> LossConfig:
        self._allow(
            "logit_adjustment",
            self.class_weights == "none",
            f"class_weights {self.class_weights!r}, which make up for the same frequencies",
        )
        # a teacher tells how frequent classes are: a student that is adjusted would learn it back
        self._allow("logit_adjustment", not self.teacher, "a teacher")
        return self

    def _allow(self, field: str, allowed: bool, beside: str) -> None:
        """Refuse a field that is not at its default beside what it does not go with."""
        default = type(self).model_fields[field].default
        if getattr(self, field) != default and not allowed:
            raise ValueError(f"{field} is {getattr(self, field)}, allowed with {beside}: {default}")

    @model_validator(mode="after")
    def _each_teacher_once(self) -> LossConfig:
        if len(set(self.teachers())) < len(self.teachers()):
            raise ValueError(f"teacher is {self.teacher!r}, allowed: each key once")
        return self

    @model_validator(mode="after")
    def _mix_once(self) -> LossConfig:
        if self.mixup and self.cutmix:
            raise ValueError(
                f"mixup is {self.mixup} and cutmix {self.cutmix}, allowed: one of them, the other 0"
            )
        return self


class SamplingConfig(Frozen):
    """How often an epoch shows an image of the training split.

    The class of an image is the one with the largest share of its target.

    Attributes:
        balanced: draw as many images as there are, with replacement, each class as often as any
            other; else each image is shown once, in random order.
        rare: names of classes, joined by ``+``, whose images are shown ``times`` times.
        rotate, shear: of their images, as in ``AugmentConfig``, in place of what it says of all;
            None: as all.
    """

    balanced: bool = False
    rare: str = ""
    times: Annotated[int, Field(ge=1)] = 1
    rotate: Annotated[float, Field(ge=0, le=180)] | None = None
    shear: Annotated[float, Field(ge=0, lt=90)] | None = None

    def rare_classes(self) -> tuple[str, ...]:
        """List the names of the rare classes."""
        return tuple(name for name in self.rare.split("+") if name)

    def ranges(self) -> dict[str, float]:
        """Give the fields of ``AugmentConfig`` that rare classes have for themselves."""
        own = {"rotate": self.rotate, "shear": self.shear}
        return {name: value for name, value in own.items() if value is not None}

    @model_validator(mode="after")
    def _check_rare(self) -> SamplingConfig:
        given = self.ranges() | ({"times": self.times} if self.times > 1 else {})
        changed = [f"{name} is {value}" for name, value in given.items()]
        if changed and not self.rare:
            raise ValueError(f"{' and '.join(changed)}, allowed without rare classes: the default")
        if self.rare and not changed:
            raise ValueError(f"rare is {self.rare!r}, allowed: with times, rotate or shear")
        if self.balanced and self.times > 1:
            raise ValueError(f"balanced is True and times {self.times}, allowed: one of them")
        return self


class OptimiserConfig(Frozen):
    """``weight_decay`` is an L2 penalty for sgd and adam and decoupled for adamw and muon.

    ``warp_rate`` is a factor of the learning rate, for the spatial transformer of a network.
    """

    added: ClassVar[frozenset[str]] = frozenset({"warp_rate"})

    name: Literal["adam", "adamw", "sgd", "muon"] = "adam"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    warp_rate: Factor = 1.0

    @model_validator(mode="after")
    def _check_rate(self) -> OptimiserConfig:
        if self.name == "muon" and self.warp_rate != 1:  # its groups are by the shape of weights
            raise ValueError(f"warp_rate is {self.warp_rate}, allowed with muon: 1")
        return self


class PhaseConfig(Frozen):
    """One phase of training.

    ``unfreeze`` is ``all`` or the number of stages, counted from the head, that learn. ``views``: a
    phase with frozen stages shows each image in so many fixed views, in turn an epoch each, of
    which the frozen stages' features are computed once; 0: augmented anew each time.
    ``input_size`` is the side of training images in this phase; None: that of the network.
    """

    added: ClassVar[frozenset[str]] = frozenset({"input_size", "views"})

    epochs: Annotated[int, Field(ge=1)]
    lr: Annotated[float, Field(gt=0)]
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    unfreeze: Literal["all"] | Annotated[int, Field(ge=1)] = "all"
    views: Annotated[int, Field(ge=0, le=1000)] = 0
    input_size: Annotated[int, Field(ge=16, le=1024)] | None = None

    @model_validator(mode="after")
    def _frozen_views(self) -> PhaseConfig:
        if self.views and self.unfreeze == "all":
            raise ValueError(
                f"views is {self.views}, allowed where all stages learn: 0, for nothing is frozen"
            )
        return self


class EmaConfig(Frozen):
    """Exponential moving average of the weights: ``decay`` applied every ``every`` steps."""

    decay: Annotated[float, Field(gt=0, lt=1)]
    every: Annotated[int, Field(ge=1)] = 1


class TrainingConfig(Frozen):
    """How a network is trained, whatever the data, network and seed."""

    added: ClassVar[frozenset[str]] = frozenset({"sampling"})

    augment: AugmentConfig = AugmentConfig()
    sampling: SamplingConfig = SamplingConfig()
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    batch_size: Annotated[int, Field(ge=1)] = 64
    phases: tuple[PhaseConfig, ...]
    ema: EmaConfig | None = None
    clip: Annotated[float, Field(gt=0)] | None = None
    patience: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _no_frequency_twice(self) -> TrainingConfig:
        loss, by_frequency = self.loss, ("inverse", "square_root", "effective_number")
        if self.sampling.balanced and (loss.logit_adjustment or loss.class_weights in by_frequency):
            raise ValueError(
                f"sampling.balanced is True, loss.class_weights {loss.class_weights!r} and "
                f"loss.logit_adjustment {loss.logit_adjustment}, allowed: one of them, each makes "
                "up for the same frequencies"
            )
        return self

    @model_validator(mode="after")
    def _mix_no_features(self) -> TrainingConfig:
        if (self.loss.mixup or self.loss.cutmix) and any(phase.views for phase in self.phases):
            raise ValueError(
                f"mixup is {self.loss.mixup} and cutmix {self.loss.cutmix}, allowed with fixed "
                "views: 0, for features of mixed images cannot be computed once"
            )
        return self

    @model_validator(mode="after")
    def _phases_go_on(self) -> TrainingConfig:
        for number, (before, phase) in enumerate(pairwise(self.phases), start=1):
            freed, learnt = (
                math.inf if p.unfreeze == "all" else p.unfreeze for p in (phase, before)
            )
            where = f"phases.{number}.unfreeze is {phase.unfreeze!r} after {before.unfreeze!r}"
            if freed < learnt:
                raise ValueError(
                    f"{where}, allowed: at least that; to teach a part again, start another run "
                    "from weights run:<key>"
                )
            # cosines and cycles may be repeated: warm restarts
            if before.replace(epochs=1) == phase.replace(epochs=1) and phase.schedule == "constant":
                raise ValueError(
                    f"{where}, and nothing else changes, allowed: one phase in place of two"
                )
        return self


class RunConfig(TrainingConfig):
    """One model trained once. ``name`` is what tables print; it is not part of the key."""

    unkeyed: ClassVar[frozenset[str]] = frozenset({"name"})

    name: str = ""
    data: DataConfig
    model: ModelConfig
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)


class AboutRun(Frozen):
    """What a finished run is asked; its seed is that of the run, and ``name`` is not keyed."""

    unkeyed: ClassVar[frozenset[str]] = frozenset({"name"})

    name: str = ""
    run: RunConfig

    @property
    def seed(self) -> int:
        return self.run.seed


class TransferConfig(AboutRun):
    """Zero-shot evaluation of a trained run on the test split of another dataset.

    On the whole set where it has no split.
    """

    target: DataConfig


class MapTestConfig(AboutRun):
    """Grad-CAM of a finished run on drawn faces, held against the regions that truly moved.

    Beside it stand so many networks with random weights, as the null. ``form``: see
    ``AuditConfig``.
    """

    target: DataConfig
    random: Annotated[int, Field(ge=1)] = 5
    form: Literal[1] = 1


Cover = Literal["eyes", "mouth", "left", "right"]


class ViewsConfig(AboutRun):
    """A finished run on the test images of its own data, which are turned, shifted, scaled and
    covered, one change at a time and each image alike; or as they are, with dropout on.

    Attributes:
        turns: degrees, anticlockwise.
        shifts: shares of the side, to the right and, apart from that, downwards.
        zooms: magnifications; above 1 the face is larger.
        covers: what a grey bar hides: a band at the height of the eyes or of the mouth in a face
            that fills the picture, or the left or right half of the picture.
        passes: how often the images as they are go through the network with dropout on; the mean of
            the probabilities counts. 0: not at all.
        form: see ``AuditConfig``.
    """

    added: ClassVar[frozenset[str]] = frozenset({"passes"})

    turns: tuple[Annotated[float, Field(ge=-180, le=180)], ...] = (-30.0, -15.0, 15.0, 30.0)
    shifts: tuple[Annotated[float, Field(ge=-1, le=1)], ...] = (-0.15, 0.15)
    zooms: tuple[Factor, ...] = (0.8, 1.25)
    covers: tuple[Cover, ...] = ("eyes", "mouth", "left", "right")
    passes: Annotated[int, Field(ge=0, le=1000)] = 0
    form: Literal[1] = 1

    @classmethod
    def of_dropout(cls, run: RunConfig, passes: int, name: str = "") -> Self:
        """Ask for passes with dropout on and for no changed image."""
        none = {"turns": (), "shifts": (), "zooms": (), "covers": ()}
        return build(cls, none | {"name": name, "run": run, "passes": passes})

    def changes(self) -> list[tuple[str, float | str]]:
        """List the changes, each with its size; the first is none."""
        given = {
            "turn": self.turns,
            "shift right": self.shifts,
            "shift down": self.shifts,
            "zoom": self.zooms,
            "cover": self.covers,
            "dropout": (self.passes,) if self.passes else (),
        }
        return [("none", 0.0), *((kind, size) for kind, sizes in given.items() for size in sizes)]


class GanConfig(Frozen):
    """Faces of one class that a generator draws which was trained against a discriminator on the
    training images of that class.

    Attributes:
        data: of the runs that the faces are made for; only its training split is seen.
        target_class: the class that is drawn.
        images: how many faces its record has.
        judge: whose features say how far the faces are from real ones: the key of a run, or the
            SHA-256 of the weights of the model that comes with the package.
        steps: batches that each of the two networks learns from.
        latent: numbers that a face is drawn from.
        width: channels of the generator at full resolution, of the discriminator at half.
        lr: of Adam, of both networks.
        form: see ``AuditConfig``.
    """

    unkeyed: ClassVar[frozenset[str]] = frozenset({"name"})

    name: str = ""
    data: DataConfig
    target_class: str
    images: Annotated[int, Field(ge=2)]
    judge: Annotated[str, Field(pattern="^([0-9a-f]{16}|[0-9a-f]{64})$")]
    seed: Annotated[int, Field(ge=0)] = 0
    steps: Annotated[int, Field(ge=1)] = 4000
    batch_size: Annotated[int, Field(ge=2)] = 32
    latent: Annotated[int, Field(ge=1)] = 64
    width: Annotated[int, Field(ge=1)] = 16
    lr: Factor = 2e-4
    form: Literal[1] = 1

    @model_validator(mode="after")
    def _no_generated(self) -> GanConfig:
        if self.data.generated:
            raise ValueError("data.generated is a key, allowed: none, a generator sees real faces")
        return self


class AuditConfig(Frozen):
    """The audit of a dataset: its copies, labels and blanks.

    Copies are near from a pixel correlation of ``threshold``.

    ``form`` is the number of what its record holds: raise it when an entry is added or changes its
    meaning.
    """

    data: DataConfig
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.95
    form: Literal[6] = 6


class CrowdConfig(Frozen):
    """The votes on every image of a dataset. ``form``: see ``AuditConfig``."""

    data: DataConfig
    form: Literal[1] = 1


class CostConfig(Frozen):
    """What a network costs on images of so many channels.

    Timed forward and in training steps of ``batch_size`` images, and how much more than
    ``without``, the same network less a part; not ``timed``: sizes only. ``form``: see
    ``AuditConfig``.
    """

    model: ModelConfig
    without: ModelConfig | None = None
    channels: Annotated[int, Field(ge=1)] = 1
    batch_size: Annotated[int, Field(ge=2)] = 16
    timed: bool = True
    form: Literal[2] = 2


class PeersConfig(Frozen):
    """Classifiers of other people's packages on the test split of a dataset, beside ours.

    Attributes:
        peers: package -> version, as on PyPI.
        model: SHA-256 of the weights of ours, the model that comes with this package.
        form: see ``AuditConfig``.
    """

    data: DataConfig
    peers: dict[str, str]
    model: str
    form: Literal[1] = 1
