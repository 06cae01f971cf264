"""Features of frozen stages, computed once: a phase that shows fixed views needs only the rest."""

from __future__ import annotations

import contextlib
import copy
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..models import FaceModel
from ..models.modes import eval_mode
from ..settings.experiment import RunConfig
from .augment import training_view
from .batches import Batches

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)

FIRST_SEED = 700_000
"""Of views, within the million numbers that each seed of a run has: above those of its epochs."""


@dataclass
class FixedView:
    """One view of every training image, and what the frozen stages make of it.

    Attributes:
        images: (N, C, H, W) float32, augmented and normalised.
        features: (N, ...) output of the frozen stage nearest to the head; None: this network
            cannot go on from there, so that every step computes all of it.
        stages: the frozen stages, that one first.
        batches: of row numbers in place of images.
    """

    images: torch.Tensor
    features: torch.Tensor | None
    stages: list[torch.nn.Module]
    batches: Batches

    @contextlib.contextmanager
    def shown(self, rows: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the images (B, C, H, W) of some rows; within, frozen stages compute nothing."""
        if self.features is None:
            yield self.images[rows]
            return
        with bypassed(self.stages, self.features[rows]):
            yield self.images[rows]


@contextlib.contextmanager
def bypassed(stages: list[torch.nn.Module], features: torch.Tensor) -> Iterator[None]:
    """Let the first of some stages return ``features``, and the others what they are given."""
    for stage in stages:
        stage.forward = lambda images, *_: images
    stages[0].forward = lambda *_: features
    try:
        yield
    finally:
        for stage in stages:
            del stage.forward  # that of its class shows again


@torch.no_grad()
def fixed_view(
    config: RunConfig, model: FaceModel, train: Batches, fabric: Fabric, phase: int, view: int
) -> FixedView:
    """Make a view of all training images; the same whenever a run comes to it.

    Every batch that the frozen stages see is of one size, so that a row is the same to the last bit
    whichever rows stand beside it.

    Args:
        phase, view: numbers from 0, which with the run's seed say how images are changed.
    """
    seed = config.seed * 1_000_003 + FIRST_SEED + 1000 * phase + view
    generator = torch.Generator(device=fabric.device).manual_seed(seed)
    side = config.phases[phase].input_size or config.model.input_size
    stages = model.stages()[config.phases[phase].unfreeze :]
    captured: list[torch.Tensor] = []
    hook = stages[0].register_forward_hook(
        lambda _, given, output: captured.append(output.clone())  # what follows may change it
    )
    images, features, count = [], [], len(train.rows)
    numbers = torch.arange(count, device=fabric.device)
    for rows in numbers.split(config.batch_size):
        full = torch.arange(config.batch_size, device=fabric.device) % len(rows)
        rare = train.is_rare(train.targets[rows])
        part = training_view(train._images(rows), rare, config, side, generator)
        captured.clear()
        with eval_mode(model), fabric.autocast():
            logits = model(part[full])
        images.append(part)
        features.append(captured[0][: len(rows)] if captured else None)
    hook.remove()
    batches = copy.copy(train)
    batches.images = numbers
    found = torch.cat(features) if captured else None
    made = FixedView(torch.cat(images), found, stages, batches)
    if found is not None:
        with eval_mode(model), made.shown(rows[full]) as shown, fabric.autocast():
            again = model(shown)
        if not torch.equal(again, logits):
            made.features = None
    if made.features is None:
        name = config.model.name
        log.warning("%s cannot go on from its frozen stages: each step computes all of it", name)
    return made
