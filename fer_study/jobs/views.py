"""Test images that are turned, shifted, scaled and covered, or seen with dropout on: what a
finished run says of them, and what its spatial transformer, if it has one, does about it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from .. import store
from ..analysis import warps
from ..analysis.metrics import log_loss
from ..models import FaceModel
from ..models.modes import dropouts, eval_mode
from ..settings.errors import InputError
from ..settings.experiment import AugmentConfig, DataConfig, ViewsConfig
from ..training.augment import evaluation_views, warp
from ..training.device import device_environment, make_fabric, memory_format
from ..training.predict import log_probabilities
from ..training.protocol import split
from ..training.sources import faces_of
from ..training.weights import trained_weights
from .evaluation import prediction_table
from .transfer import OfRun, load

GREY = 128
COVERED = {
    "eyes": (slice(0.2, 0.5), slice(0.0, 1.0)),
    "mouth": (slice(0.6, 0.95), slice(0.0, 1.0)),
    "left": (slice(0.0, 1.0), slice(0.0, 0.5)),
    "right": (slice(0.0, 1.0), slice(0.5, 1.0)),
}
"""What a bar hides: rows and columns, in shares of the side."""


class Views(OfRun):
    """Score a finished run on changed test images of its own data."""

    config: ViewsConfig

    @property
    def model(self) -> str:
        return "views"

    def data(self) -> tuple[DataConfig, ...]:
        return (self.config.run.data,)

    def seconds(self, speeds: dict[str, float]) -> float:
        return 120.0

    def make(
        self, folder: Path, root: str | None = None, deadline: float | None = None
    ) -> store.Record:
        """Make its record; see ``Record.views``.

        Raises:
            SourceMissing: the run has no weights here.
            InputError: passes with dropout on, of a network without a layer of it.
        """
        config, start = self.config, time.perf_counter()
        run, fabric = config.run, make_fabric()
        trained_weights(run.key, name=run.name or run.model.name)  # before any data is read
        faces = faces_of(run.data, root)
        table = prediction_table(faces, split(faces, run.data))
        table = table[table["split"] == "test"]
        images = torch.from_numpy(faces.images[table["row"]]).to(fabric.device)
        model = load(run, faces)
        if config.passes and not dropouts(model):
            raise InputError(
                f"{config.name or run.model.name}: the network has no layer of dropout"
            )
        torch.manual_seed(run.seed)  # what dropout drops
        model = model.to(fabric.device, memory_format=memory_format(fabric, model))
        predicted, losses, confidences, matrices = [], [], [], []
        for kind, size in config.changes():
            seen = changed(images, kind, size)
            with fabric.autocast():
                logits = log_probabilities(
                    model,
                    seen,
                    run.augment,
                    run.model.input_size,
                    passes=config.passes if kind == "dropout" else 0,
                )
                matrices.append(thetas(model, seen, run.augment, run.model.input_size))
            predicted.append(logits.argmax(axis=1).astype(np.int8))
            losses.append(log_loss(logits, table["label"].to_numpy()))
            confidences.append(np.exp(logits.max(axis=1)).mean())
        in_training = table["copy_in_train"] | table["copy_in_validation"]
        arrays = store.as_npz(
            label=table["label"].to_numpy(),
            clean=~in_training.to_numpy(),
            predicted=np.stack(predicted),
            log_loss=np.array(losses, dtype=np.float32),
            confidence=np.array(confidences, dtype=np.float32),
            **summary(matrices),
        )
        env = device_environment(fabric, start)
        return store.save_files(folder, config, env, {"views.npz": arrays})


def changed(images: torch.Tensor, kind: str, size: float | str) -> torch.Tensor:
    """Change images (N, C, H, W) uint8 all alike (see ``ViewsConfig.changes``); what comes in from
    beyond the edge is the colour of the edge."""
    if kind in ("none", "dropout"):
        return images
    if kind == "cover":
        covered, side = images.clone(), images.shape[-2:]
        rows, columns = (
            slice(round(part.start * length), round(part.stop * length))
            for part, length in zip(COVERED[str(size)], side, strict=True)
        )
        covered[..., rows, columns] = GREY
        return covered
    theta = torch.from_numpy(warps.changing(kind, float(size))).float().to(images.device)
    seen = [
        warp(part.float(), theta.expand(len(part), 2, 3), images.shape[-1], "border")
        for part in images.split(1024)
    ]
    return torch.cat(seen).round().clamp(0, 255).to(torch.uint8)


def thetas(
    model: FaceModel, images: torch.Tensor, augment: AugmentConfig, size: int
) -> np.ndarray | None:
    """The matrices (N, 2, 3) of the spatial transformer for images as it sees them in evaluation;
    None where the network has none."""
    transformer = model.spatial_transformer()
    if transformer is None:
        return None
    with eval_mode(model):
        parts = [
            transformer.theta(evaluation_views(part, augment, size, "single")[0]).cpu()
            for part in images.split(256)
        ]
    return torch.cat(parts).numpy()


def summary(matrices: list[np.ndarray | None]) -> dict[str, np.ndarray]:
    """Means and standard deviations over images of what the warps do, a row a change."""
    described = [warps.describe(one) for one in matrices if one is not None]
    if not described:
        return {}
    values = np.array([list(one.values()) for one in described])
    return {
        "warp_names": np.array(list(described[0])),
        "warps": values.mean(axis=2).astype(np.float32),
        "warp_sds": values.std(axis=2).astype(np.float32),
    }
