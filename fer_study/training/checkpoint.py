"""The checkpoint of a training: everything that the next epoch depends on, written atomically."""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.optim.swa_utils import AveragedModel

from ..models import FaceModel
from ..store.record_files import write_atomically
from .frozen_features import FixedView
from .objectives import Objective

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
"""In the folder of a run in progress."""


@dataclass
class Progress:
    """What a checkpoint remembers besides tensors; ``origin`` is what ``weights.load`` returned
    when training began, ``precision`` what it computes in."""

    epoch: int = 0
    best_accuracy: float = -1.0
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)
    origin: dict[str, object] = field(default_factory=dict)
    precision: str = ""


@dataclass
class Learner:
    """Everything that changes while a network learns.

    Attributes:
        network: the model as ``fabric.setup`` returned it, which computes in Fabric's precision.
        objective: what teaches it.
        generator: of the order of images, their augmentation and mixing; each epoch seeds it anew.
        ema, mean: averages of its weights.
        views: fixed views of the phase, by number, made anew after a stop.
    """

    model: FaceModel
    network: FaceModel
    objective: Objective
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    ema: AveragedModel | None
    mean: AveragedModel
    views: dict[int, FixedView] = field(default_factory=dict)

    def parts(self) -> dict[str, torch.nn.Module | torch.optim.Optimizer]:
        """What a checkpoint holds the state of."""
        parts = {
            "model": self.model,
            "optimiser": self.optimiser,
            "ema": self.ema,
            "mean": self.mean,
            "learned": self.objective.learned,
        }
        return {name: part for name, part in parts.items() if part is not None}


def copy_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A detached copy of the weights on the CPU."""
    return {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }


def save_checkpoint(
    path: Path, key: str, learner: Learner, progress: Progress, best: dict[str, torch.Tensor] | None
) -> None:
    """Write everything that the next epoch depends on beside the old checkpoint, then rename it
    over that.

    Its first line names the run and the SHA-256 of the rest: a zip file of tensors does not notice
    a changed byte.

    Args:
        key: of the run.
    """
    state = {name: part.state_dict() for name, part in learner.parts().items()}
    write_state(path, key, state | {"best": best, "progress": vars(progress)})


def write_state(path: Path, key: str, state: dict[str, object]) -> None:
    """Write what goes on from here, tensors and numbers, behind its ``header``."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, header(key, buffer.getvalue()) + buffer.getvalue())


def read_state(
    path: Path, key: str, device: torch.device | str = "cpu"
) -> dict[str, object] | None:
    """Read what ``write_state`` wrote, without unpickling code; None: see ``whole_content``."""
    content = whole_content(path, key)
    if content is None:
        return None
    return torch.load(io.BytesIO(content), map_location=device, weights_only=True)


def header(key: str, content: bytes) -> bytes:
    """The first line of a checkpoint: its run, the version of its form, and the SHA-256 of the
    rest."""
    return f"{key} 2 {hashlib.sha256(content).hexdigest()}\n".encode()


def whole_content(path: Path, key: str) -> bytes | None:
    """What a checkpoint holds; None where there is none. One that is damaged, or of another run or
    version, is removed, so that the run begins anew, and the log says so."""
    if not path.is_file():
        return None
    first, _, content = path.read_bytes().partition(b"\n")
    if first + b"\n" == header(key, content):
        return content
    log.warning(
        "%s: damaged, or of another run or version; removed, training begins with the first epoch",
        path,
    )
    path.unlink()
    return None


def precision_begun(path: Path, key: str) -> str | None:
    """What a run that was stopped computes in, as it goes on; empty: an older checkpoint does not
    say. None: it has not begun."""
    state = read_state(path, key)
    return None if state is None else Progress(**state["progress"]).precision


def load_checkpoint(
    path: Path, key: str, learner: Learner, fabric: Fabric
) -> tuple[Progress, dict[str, torch.Tensor] | None]:
    """Restore what ``save_checkpoint`` wrote (tensors and numbers only; no code is unpickled).

    Where there is none, training begins with the first epoch; see ``whole_content``.

    Returns:
        The progress, and the best weights so far.
    """
    state = read_state(path, key, fabric.device)
    if state is None:
        return Progress(), None
    for name, part in learner.parts().items():
        part.load_state_dict(state[name])
    best = {name: value.cpu() for name, value in state["best"].items()} if state["best"] else None
    progress = Progress(**state["progress"])
    log.info("resuming after epoch %d from %s", progress.epoch, path)
    return progress, best
