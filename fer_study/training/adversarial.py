"""Train a generator of faces against a discriminator. Read it downwards.

A training that was stopped goes on to the same bits on a CPU; on a GPU the gradient of a warp is
summed in no fixed order.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from ..models.gan import Discriminator, Generator
from ..settings.experiment import AugmentConfig, GanConfig
from .augment import affine, photometric, warp
from .checkpoint import CHECKPOINT, read_state, write_state
from .loop import OutOfTime, TrainingFailed, seed_epoch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ROUND = 100
"""Steps between two checkpoints."""

DECAY = 0.999
"""Of the moving average of the generator's weights, which draws the faces in the end."""

CHANGES = AugmentConfig(
    flip=0.5, shift=0.125, brightness=(0.8, 1.2), contrast=(0.7, 1.3), erase=0.5, fill="border"
)
"""How faces are changed before the discriminator sees them, real and drawn ones alike, so that it
cannot learn few faces by heart (Zhao et al., 2020, "differentiable augmentation")."""


@dataclass
class Adversaries:
    """Everything that changes while the two networks learn; ``average`` is of the generator."""

    generator: Generator
    discriminator: Discriminator
    average: AveragedModel
    optimisers: tuple[torch.optim.Adam, torch.optim.Adam]

    def parts(self) -> dict[str, torch.nn.Module | torch.optim.Optimizer]:
        """List what a checkpoint holds the state of."""
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        both = dict(zip(("drawing", "judging"), self.optimisers, strict=True))
        return {**networks, "average": self.average, **both}


def make_adversaries(
    config: GanConfig, shape: tuple[int, int], device: torch.device
) -> Adversaries:
    """Make both networks with fresh weights.

    Args:
        shape: channels and side of a face.

    Raises:
        InputError: a side that the generator cannot draw.
    """
    channels, side = shape
    torch.manual_seed(config.seed)
    generator = Generator(config.latent, config.width, side, channels).to(device)
    discriminator = Discriminator(config.width, side, channels).to(device)
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(DECAY), use_buffers=True)
    optimisers = [
        torch.optim.Adam(network.parameters(), config.lr, betas=(0.5, 0.999))
        for network in (generator, discriminator)
    ]
    return Adversaries(generator, discriminator, average, tuple(optimisers))


def fit(
    config: GanConfig,
    images: torch.Tensor,
    folder: Path,
    fabric: Fabric,
    deadline: float | None = None,
) -> tuple[Generator, pd.DataFrame]:
    """Train a generator; resume from the checkpoint in ``folder`` where there is one.

    Args:
        images: (N, C, side, side) uint8 on the device, the real faces.
        deadline: ``time.monotonic()`` after which it stops at the end of a round with
            ``OutOfTime``.

    Returns:
        The moving average of the generator, in evaluation mode, and one row a round: ``real`` and
        ``drawn`` are the mean scores of the discriminator.

    Raises:
        TrainingFailed: a loss is not finite.
    """
    networks = make_adversaries(config, tuple(images.shape[1:3]), fabric.device)
    checkpoint, rounds, history = folder / CHECKPOINT, math.ceil(config.steps / ROUND), []
    if state := read_state(checkpoint, config.key, fabric.device):
        history = state.pop("history")
        for name, part in networks.parts().items():
            part.load_state_dict(state[name])
    name = config.name or config.key
    bar = tqdm(total=rounds, initial=len(history), desc=name, unit="round", mininterval=5)
    with bar:
        for number in range(len(history), rounds):
            if deadline is not None and time.monotonic() > deadline:
                raise OutOfTime(f"{name}: stopped after round {number} of {rounds}")
            steps = min(ROUND, config.steps - number * ROUND)
            history.append(
                {"round": number + 1, **train_round(config, networks, images, number, steps)}
            )
            state = {name: part.state_dict() for name, part in networks.parts().items()}
            write_state(checkpoint, config.key, state | {"history": history})
            bar.update()
    drawing = networks.average.module.eval()
    return drawing, pd.DataFrame(history)


def train_round(
    config: GanConfig, networks: Adversaries, images: torch.Tensor, number: int, steps: int
) -> dict[str, float]:
    """Take some steps of both networks, by the hinge loss (Lim and Ye, 2017).

    Args:
        images: (N, C, side, side) uint8, the real faces.
        number: of the round, from 0.

    Returns:
        Means over the steps: both losses (``judging`` the discriminator's, ``drawing`` the
        generator's), the discriminator's score of ``real`` and ``drawn`` faces; and ``seconds``.

    All randomness of a round follows from the seed and its number, so a resumed training needs no
    state of generators.

    Raises:
        TrainingFailed: a loss is not finite.
    """
    source = seed_epoch(config, number, torch.Generator(images.device))
    start, sums = time.perf_counter(), torch.zeros(4, device=images.device)
    drawing, judging = networks.optimisers
    size = min(config.batch_size, len(images))
    for _ in range(steps):
        rows = torch.randint(len(images), (size,), generator=source, device=images.device)
        real = augmented(images[rows].float() / 255, source)
        with torch.no_grad():
            drawn = networks.generator(latents(config, size, source))
        of_real, of_drawn = networks.discriminator(
            torch.cat([real, augmented(drawn, source)])
        ).chunk(2)
        loss = F.relu(1 - of_real).mean() + F.relu(1 + of_drawn).mean()
        step(judging, loss)

        networks.discriminator.requires_grad_(False)
        drawn = networks.generator(latents(config, size, source))
        generator_loss = -networks.discriminator(augmented(drawn, source)).mean()
        step(drawing, generator_loss)
        networks.discriminator.requires_grad_(True)
        networks.average.update_parameters(networks.generator)
        parts = (loss, generator_loss, of_real.mean(), of_drawn.mean())
        sums += torch.stack([part.detach() for part in parts])
    row = dict(zip(("judging", "drawing", "real", "drawn"), (sums / steps).tolist(), strict=True))
    if not all(map(math.isfinite, row.values())):
        name = config.name or config.key
        raise TrainingFailed(
            f"{name}: a loss is not finite in round {number + 1}; lr {config.lr:g}"
        )
    return {**row, "seconds": time.perf_counter() - start}


def latents(config: GanConfig, count: int, source: torch.Generator) -> torch.Tensor:
    """Draw what faces are drawn from: (count, latent) float32, normal."""
    return torch.randn(count, config.latent, generator=source, device=source.device)


def augmented(images: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """Change faces (B, C, H, W) float32 in [0, 1] as the discriminator sees them (``CHANGES``);
    gradients pass."""
    theta = affine(len(images), CHANGES, source, images.device)
    return photometric(warp(images, theta, images.shape[-1], CHANGES.fill), CHANGES, source)


def step(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Take one step of one network."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


@torch.no_grad()
def draw(config: GanConfig, generator: Generator, device: torch.device) -> torch.Tensor:
    """Draw the faces of a record: (config.images, C, side, side) uint8 on the CPU."""
    source = torch.Generator(device).manual_seed(config.seed)
    drawn = [
        generator(part).mul(255).round().to(torch.uint8).cpu()
        for part in latents(config, config.images, source).split(256)
    ]
    return torch.cat(drawn)
