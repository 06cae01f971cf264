"""Ways of teaching: an objective turns a batch into a loss, and the loop does the rest.

=====================  ======================================================================
objective              learns from
=====================  ======================================================================
``Supervised``         the loss of its logits against target distributions (``batch_loss``)
``Penalised``          the same, plus a penalty that the network computes (attention of EmoNeXt)
``JointGenerator``     the loss of trunk and branch, and the trunk also from the branch (ResFace)
``Taught``             any of these, with the distributions of a frozen teacher as targets
``Mixed``              any of these, of images that are mixed with others of their batch
=====================  ======================================================================

Which of the first three it is, the class of the network declares (``FaceModel.extra_outputs``). To
add a way of teaching, write a class with a ``step`` and name in ``OBJECTIVES`` the outputs that it
needs.

Example:
    objective = make_objective(config, network, counts, classes)
    loss, logits, logs = objective.step(images, targets)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch

from ..models import FaceModel, extra_outputs
from ..settings.errors import InputError
from ..settings.experiment import LossConfig, RunConfig
from .augment import mix
from .losses import class_weights, label_distribution_loss, smooth, soft_cross_entropy

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of logits against target distributions, both (B, K): scalar float32."""


class Step(NamedTuple):
    """What one batch says.

    Attributes:
        loss: scalar float32, to be minimised.
        logits: (B, K) of the network as it is used at inference.
        logs: name -> scalar; the history holds the mean of each over an epoch. ``loss``, where
            given, is the part of the loss that can be compared with the loss on validation, and
            stands in the history in its place; so does ``accuracy`` where it is of other targets
            than the batch came with.
    """

    loss: torch.Tensor
    logits: torch.Tensor
    logs: dict[str, torch.Tensor]


class Objective(Protocol):
    """One way of teaching a network."""

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> Step:
        """The loss of a batch: ``images`` (B, C, H, W) float32, normalised; ``targets`` (B, K)
        float32, rows sum to 1."""


class Supervised:
    """Teach a network by a loss of its logits.

    Args:
        network: as ``fabric.setup`` returned it.
    """

    def __init__(self, network: FaceModel, loss: Loss) -> None:
        self.network, self.loss = network, loss

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> Step:
        logits = self.network(images)
        return Step(self.loss(logits, targets), logits, {})


class Penalised(Supervised):
    """Add the penalty that the network computes on the way; what else it puts out is logged."""

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> Step:
        outputs = self.network.training_outputs(images)
        loss = self.loss(outputs["logits"], targets)
        watched = {name: value for name, value in outputs.items() if name != "logits"}
        logs = {"loss": loss} | watched
        return Step(loss + outputs["penalty"], outputs["logits"], logs)


class JointGenerator(Supervised):
    """Teach trunk and branch at once; the branch is the label distribution generator of the trunk
    (Qu and Niu, 2023, section 3.5, with gradients into both)."""

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> Step:
        outputs = self.network.training_outputs(images)
        trunk, branch = outputs["logits"], outputs["branch"]
        labels = (self.loss(trunk, targets) + self.loss(branch, targets)) / 2
        distribution = soft_cross_entropy(trunk, branch.float().softmax(dim=1)) / trunk.shape[1]
        loss = labels + self.network.branch_weight * distribution
        return Step(loss, trunk, {"loss": labels, "distribution": distribution})


class Taught:
    """Replace the targets of an objective by what a frozen network says of the same images."""

    def __init__(self, objective: Objective, teacher: FaceModel) -> None:
        self.objective, self.teacher = objective, teacher

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> Step:
        return self.objective.step(images, teacher_targets(self.teacher, images))


class Mixed:
    """Mix the images of a batch, and their targets alike, before an objective sees them.

    Args:
        config: how (see ``augment.mix``).
        generator: what it draws from.
    """

    def __init__(
        self, objective: Objective, config: LossConfig, generator: torch.Generator
    ) -> None:
        self.objective, self.config, self.generator = objective, config, generator

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> Step:
        images, targets = mix(images, targets, self.config, self.generator)
        loss, logits, logs = self.objective.step(images, targets)
        hits = logits.detach().argmax(dim=1) == targets.argmax(dim=1)
        return Step(loss, logits, logs | {"accuracy": hits.float().mean()})


OBJECTIVES: dict[tuple[str, ...], type[Supervised]] = {
    (): Supervised,
    ("penalty",): Penalised,
    ("branch",): JointGenerator,
}
"""What a network puts out beside its logits -> the objective that uses it."""


def check_objective(config: RunConfig) -> None:
    """Refuse, before anything is read or trained, what a network cannot be taught.

    Raises:
        InputError: outputs that no objective uses; or a second label distribution loss beside that
            of a joint generator.
    """
    name, outputs = config.name or config.key, extra_outputs(config.model)
    if outputs not in OBJECTIVES:
        known = ", ".join(" and ".join(one) for one in OBJECTIVES if one)
        raise InputError(
            f"{name}: {config.model.name} puts out {' and '.join(outputs)}, allowed: {known}"
        )
    if OBJECTIVES[outputs] is JointGenerator and config.loss.distribution != "none":
        raise InputError(
            f"{name}: loss.distribution is {config.loss.distribution!r}, allowed with branch "
            f"'joint' of {config.model.name}: 'none', its generator is the branch"
        )


def make_objective(
    config: RunConfig,
    network: FaceModel,
    counts: torch.Tensor,
    classes: Sequence[str],
    generator: torch.Generator | None = None,
    teacher: FaceModel | None = None,
) -> Objective:
    """The objective that a config and its network name.

    Args:
        network: as ``fabric.setup`` returned it.
        counts: (K,) images by class in the training split, on the device.
        generator: what mixing draws from; where nothing is mixed, none is needed.
        teacher: the frozen network that ``config.loss.teacher`` names, on the device, in evaluation
            mode.

    Raises:
        InputError: see ``check_objective`` and ``class_weights``.
    """
    check_objective(config)
    weights = class_weights(config.loss.class_weights, counts, classes)
    loss = partial(batch_loss, config.loss, weights=weights)
    objective: Objective = OBJECTIVES[extra_outputs(config.model)](network, loss)
    if teacher is not None:
        objective = Taught(objective, teacher)
    mixes = config.loss.mixup or config.loss.cutmix
    return Mixed(objective, config.loss, generator) if mixes else objective


def batch_loss(
    config: LossConfig,
    logits: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """The loss that a config names, of ``logits`` against ``targets``, both (B, K): scalar float32.

    Args:
        weights: (K,) float32 class weights, or None.
    """
    targets = smooth(targets, config.label_smoothing)
    if config.distribution != "none":
        return label_distribution_loss(logits, targets, config.distribution)
    return soft_cross_entropy(logits, targets, weights, config.reduction)


def teacher_targets(teacher: FaceModel, images: torch.Tensor) -> torch.Tensor:
    """The teacher's distribution over the classes for each of the same augmented images: (B, K)
    float32."""
    with torch.no_grad():
        return teacher(images).float().softmax(dim=1)
