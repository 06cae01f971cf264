"""Ways of teaching: an objective turns a batch into a loss, and the loop does the rest.

=====================  ======================================================================
objective              learns from
=====================  ======================================================================
``Supervised``         the loss of its logits against target distributions (``batch_loss``)
``Penalised``          the same, plus a penalty that the network computes (attention of EmoNeXt)
``JointGenerator``     the loss of trunk and branch, and the trunk also from the branch (ResFace)
``Taught``             any of these, with the distributions of frozen teachers as targets, or
                       beside them (distillation)
``VotesHead``          any of these, and a second head from the crowd's votes
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
from typing import NamedTuple

import torch
from torch import nn

from ..models import FaceModel, extra_outputs
from ..settings.errors import InputError
from ..settings.experiment import LossConfig, RunConfig
from .augment import mix
from .losses import (
    class_weights,
    label_distribution_loss,
    log_frequencies,
    smooth,
    soft_cross_entropy,
)


class TaughtTargets(NamedTuple):
    """Two targets of the same images, (B, K) each: the data's own, and what teachers say at the
    temperature of their student."""

    labels: torch.Tensor
    said: torch.Tensor


Loss = Callable[[torch.Tensor, torch.Tensor | TaughtTargets], torch.Tensor]
"""Of logits (B, K) against target distributions (B, K), or two of them: scalar float32."""


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


class Objective:
    """One way of teaching a network.

    Attributes:
        learned: what learns beside the network, and is dropped at inference; None: nothing. The
            loop gives its parameters to the optimiser, and keeps it in the checkpoint.
    """

    learned: nn.Module | None = None

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> Step:
        """The loss of a batch: ``images`` (B, C, H, W) float32, normalised; ``targets`` (B, K)
        float32, rows sum to 1."""
        raise NotImplementedError


class Supervised(Objective):
    """Teach a network by a loss of its logits.

    Args:
        network: as ``fabric.setup`` returned it.
    """

    def __init__(self, network: FaceModel, loss: Loss) -> None:
        self.network, self.loss = network, loss

    def step(self, images: torch.Tensor, targets: torch.Tensor | TaughtTargets) -> Step:
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


class Taught(Objective):
    """Tell an objective, beside the targets, what frozen networks say of the same images; its loss
    is ``taught_loss``."""

    def __init__(
        self, objective: Supervised, teachers: Sequence[FaceModel], temperature: float = 1.0
    ) -> None:
        self.objective, self.teachers, self.temperature = objective, teachers, temperature

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> Step:
        said = teacher_targets(self.teachers, images, self.temperature)
        return self.objective.step(images, TaughtTargets(targets, said))


class VotesHead(Objective):
    """Teach a second linear layer, on the features that the first one reads, the crowd's votes.

    Both shape the features; what the network says stays the business of the first. The second
    starts at zero, so that it needs no random numbers.

    Args:
        layer: the network's own last linear layer (``label_layer``).
        weight: of the loss of the votes.
    """

    def __init__(self, objective: Objective, layer: nn.Linear, weight: float) -> None:
        self.objective, self.weight = objective, weight
        self.learned = nn.Linear(layer.in_features, layer.out_features, device=layer.weight.device)
        nn.init.zeros_(self.learned.weight)
        nn.init.zeros_(self.learned.bias)
        self.seen = seen = {}

        def keep(layer: nn.Linear, inputs: tuple[torch.Tensor]) -> None:
            seen["features"] = inputs[0]  # (B, D)

        # a plain function: averages of weights copy the network, and with it what its hooks hold
        layer.register_forward_pre_hook(keep)

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> Step:
        """``targets`` (B, 2K) float32: the labels of the images, then their votes."""
        labels, votes = targets.chunk(2, dim=1)
        loss, logits, logs = self.objective.step(images, labels)
        of_votes = soft_cross_entropy(self.learned(self.seen.pop("features")), votes)
        hits = logits.detach().argmax(dim=1) == labels.argmax(dim=1)
        logs = {"loss": loss, "accuracy": hits.float().mean()} | logs | {"votes": of_votes}
        return Step(loss + self.weight * of_votes, logits, logs)


class Mixed(Objective):
    """Mix the images of a batch, and their targets alike, before an objective sees them.

    Args:
        config: how (see ``augment.mix``).
        generator: what it draws from.
    """

    def __init__(
        self, objective: Objective, config: LossConfig, generator: torch.Generator
    ) -> None:
        self.objective, self.config, self.generator = objective, config, generator
        self.learned = objective.learned

    def step(self, images: torch.Tensor, targets: torch.Tensor) -> Step:
        images, targets = mix(images, targets, self.config, self.generator)
        loss, logits, logs = self.objective.step(images, targets)
        hits = logits.detach().argmax(dim=1) == targets.argmax(dim=1)
        return Step(loss, logits, {"accuracy": hits.float().mean()} | logs)


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
            of a joint generator; or a head of votes where the labels are votes, or where the
            network has a second head.
    """
    name, outputs = config.name or config.key, extra_outputs(config.model)
    if outputs not in OBJECTIVES:
        known = ", ".join(" and ".join(one) for one in OBJECTIVES if one)
        raise InputError(
            f"{name}: {config.model.name} puts out {' and '.join(outputs)}, allowed: {known}"
        )
    joint = OBJECTIVES[outputs] is JointGenerator
    if joint and config.loss.distribution != "none":
        raise InputError(
            f"{name}: loss.distribution is {config.loss.distribution!r}, allowed with branch "
            f"'joint' of {config.model.name}: 'none', its generator is the branch"
        )
    if config.loss.votes_weight:
        drawn = config.data.annotation == "probability"
        if config.data.targets == "votes" or drawn or joint:
            given = "a second head of its own" if joint else "votes as the targets of its labels"
            raise InputError(
                f"{name}: loss.votes_weight is {config.loss.votes_weight}, allowed with {given}: 0"
            )


def make_objective(
    config: RunConfig,
    network: FaceModel,
    counts: torch.Tensor,
    classes: Sequence[str],
    generator: torch.Generator | None = None,
    teachers: Sequence[FaceModel] = (),
) -> Objective:
    """The objective that a config and its network name.

    Args:
        network: as ``fabric.setup`` returned it.
        counts: (K,) images by class in the training split, on the device; (2K,) where votes stand
            behind the labels.
        generator: what mixing draws from; where nothing is mixed, none is needed.
        teachers: the frozen networks that ``config.loss.teacher`` names, on the device, in
            evaluation mode.

    Raises:
        InputError: see ``check_objective``, ``class_weights``, ``log_frequencies`` and
            ``label_layer``.
    """
    check_objective(config)
    given, counts = config.loss, counts[: len(classes)]
    weights = class_weights(given.class_weights, counts, classes, given.effective_beta)
    adjustment = None
    if given.logit_adjustment:
        adjustment = given.logit_adjustment * log_frequencies(counts, classes)
    loss = partial(batch_loss, given, weights=weights, adjustment=adjustment)
    if teachers:
        loss = partial(taught_loss, given, loss)
    objective: Objective = OBJECTIVES[extra_outputs(config.model)](network, loss)
    if teachers:
        objective = Taught(objective, teachers, given.temperature)
    if given.votes_weight:
        layer = label_layer(network, len(classes), config.model.name)
        objective = VotesHead(objective, layer, given.votes_weight)
    mixes = given.mixup or given.cutmix
    return Mixed(objective, given, generator) if mixes else objective


def label_layer(network: FaceModel, classes: int, name: str) -> nn.Linear:
    """Find the linear layer that makes the features of a network logits, the last such in its head.

    Args:
        classes: how many logits there are.
        name: of the network.

    Raises:
        InputError: its head has none.
    """
    linear = [part for part in network.stages()[0].modules() if isinstance(part, nn.Linear)]
    fitting = [layer for layer in linear if layer.out_features == classes]
    if not fitting:
        raise InputError(
            f"model {name}: its head has no linear layer of {classes} logits, so a second head has "
            "no features to read; loss.votes_weight allowed: 0"
        )
    return fitting[-1]


def batch_loss(
    config: LossConfig,
    logits: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor | None = None,
    adjustment: torch.Tensor | None = None,
) -> torch.Tensor:
    """The loss that a config names, of ``logits`` against ``targets``, both (B, K): scalar float32.

    Args:
        weights: (K,) float32 class weights, or None.
        adjustment: (K,) float32 that is added to the logits, here and nowhere else (Menon et al.,
            2021, eq. 10), or None.
    """
    targets = smooth(targets, config.label_smoothing)
    if config.distribution != "none":
        return label_distribution_loss(logits, targets, config.distribution)
    if adjustment is not None:
        logits = logits.float() + adjustment
    return soft_cross_entropy(logits, targets, weights, config.reduction, config.focal_gamma)


def taught_loss(
    config: LossConfig, loss: Loss, logits: torch.Tensor, targets: TaughtTargets
) -> torch.Tensor:
    """The loss against what teachers say, and a share of that against the data's own targets
    (Hinton et al., 2015, section 2): scalar float32.

    The part of the teachers is multiplied by the square of the temperature, by which its gradients
    are smaller.
    """
    warmth = config.temperature
    taught = warmth**2 * loss(logits.float() / warmth, targets.said)
    if not config.hard_share:
        return taught
    return config.hard_share * loss(logits, targets.labels) + (1 - config.hard_share) * taught


def teacher_targets(
    teachers: Sequence[FaceModel], images: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    """The mean over teachers of their distributions over the classes, for each of the same
    augmented images: (B, K) float32."""
    with torch.no_grad():
        said = [(teacher(images).float() / temperature).softmax(dim=1) for teacher in teachers]
        return torch.stack(said).mean(dim=0)
