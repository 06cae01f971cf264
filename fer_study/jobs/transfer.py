"""Zero-shot transfer: the weights of a finished run, scored on another dataset without further
training."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from .. import store
from ..data.faceset import FaceSet
from ..models import FaceModel
from ..settings.experiment import DataConfig, MapTestConfig, RunConfig, TransferConfig, ViewsConfig
from ..training.device import device_environment, make_fabric, memory_format
from ..training.predict import log_probabilities
from ..training.sources import faces_of
from ..training.weights import trained_network, trained_weights
from .evaluation import as_table, score, stored
from .job import Job

TTA = ("single", "flip")


def test_rows(faces: FaceSet) -> np.ndarray:
    """(n,) int64 rows of the test split; every row where the set has none."""
    rows = np.flatnonzero(faces.split == "test")
    return rows if len(rows) else np.arange(len(faces))


def load(run: RunConfig, faces: FaceSet) -> FaceModel:
    """The network of a run with its last weights, for the images of ``faces``.

    Raises:
        SourceMissing: see ``weights.trained_weights``.
        InputError: the images have another number of channels than the network.
    """
    shape = faces.num_classes, faces.images.shape[1]
    return trained_network(run.key, shape=shape, name=run.name or run.model.name)[1]


class OfRun(Job):
    """Look with the weights of a finished run at other images."""

    config: TransferConfig | MapTestConfig | ViewsConfig

    def needs(self) -> tuple[str, ...]:
        return (self.config.run.key,)

    def data(self) -> tuple[DataConfig, ...]:
        return (self.config.target,)


class Transfer(OfRun):
    """Score a finished run on another dataset."""

    config: TransferConfig

    @property
    def model(self) -> str:
        return "transfer"

    def seconds(self, speeds: dict[str, float]) -> float:
        return 30.0

    def make(
        self, folder: Path, root: str | None = None, deadline: float | None = None
    ) -> store.Record:
        """Make its record: views ``last_single`` and ``last_flip`` over the test split of the
        target.

        No image of the target was trained on, so the flags of copies are False; its only subset of
        metrics is ``test``.

        Raises:
            SourceMissing: the run has no weights here.
            InputError: the target's data is missing or is not what the config names.
        """
        config, start = self.config, time.perf_counter()
        # before any data is read
        trained_weights(config.run.key, name=config.run.name or config.run.model.name)
        faces, fabric = faces_of(config.target, root), make_fabric()
        model, rows = load(config.run, faces), test_rows(faces)
        model = model.to(fabric.device, memory_format=memory_format(fabric, model))
        images = torch.from_numpy(faces.images[rows]).to(fabric.device)
        size = config.run.model.input_size
        with fabric.autocast():
            views = {
                f"last_{tta}": stored(
                    log_probabilities(model, images, config.run.augment, size, tta)
                )
                for tta in TTA
            }
        none = np.zeros(len(rows), dtype=bool)
        table = as_table(faces, rows, np.repeat("test", len(rows)), none, none)
        scores, env = score(table, views, faces.classes, config), device_environment(fabric, start)
        return store.save(
            folder,
            config,
            history=pd.DataFrame(columns=["epoch"]),
            table=table,
            views=views,
            metrics=scores,
            env=env,
        )
