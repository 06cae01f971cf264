"""The checkpoint of a training: everything that the next epoch depends on, written atomically."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.optim.swa_utils import AveragedModel

from .models import FaceModel

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """What a checkpoint remembers besides tensors."""

    epoch: int = 0
    best_accuracy: float = -1.0
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)


def copy_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A detached copy of the weights on the CPU."""
    return {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in model.state_dict().items()
    }


def save_checkpoint(
    path: Path,
    model: FaceModel,
    optimiser: torch.optim.Optimizer,
    ema: AveragedModel | None,
    progress: Progress,
    best: dict[str, torch.Tensor] | None,
) -> None:
    """Everything that the next epoch depends on; written beside the old one, then renamed over it."""
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "ema": ema.state_dict() if ema is not None else None,
        "best": best,
        "progress": vars(progress),
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load_checkpoint(
    path: Path, model: FaceModel, optimiser: torch.optim.Optimizer, ema: AveragedModel | None, fabric: Fabric
) -> tuple[Progress, dict[str, torch.Tensor] | None]:
    """Restore what ``save_checkpoint`` wrote (tensors and numbers only; no code is unpickled)."""
    state = torch.load(path, map_location=fabric.device, weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    if ema is not None:
        ema.load_state_dict(state["ema"])
    best = {name: value.cpu() for name, value in state["best"].items()} if state["best"] else None
    progress = Progress(**state["progress"])
    log.info("resuming after epoch %d from %s", progress.epoch, path)
    return progress, best
