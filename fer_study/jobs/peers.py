"""Classifiers of other people's packages as a job: what they say of a test split, and how fast."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from .. import store
from ..data.labels import FER2013
from ..inference import model_folder, peers
from ..settings.environment import environment
from ..settings.errors import InputError
from ..settings.experiment import DataConfig, PeersConfig
from ..training.protocol import split
from ..training.sources import faces_of
from .evaluation import prediction_table, stored
from .job import Job

OURS = "fer-study"
"""The view of our own model, and its row of times: the first, against which the others are held."""


class Peers(Job):
    """Ask packages and our own model, in one run, what they say of every test image."""

    config: PeersConfig
    alone = True
    on_page = True

    @property
    def model(self) -> str:
        return "peers"

    def data(self) -> tuple[DataConfig, ...]:
        return (self.config.data,)

    def seconds(self, speeds: dict[str, float]) -> float:
        return 180.0

    def make(
        self, folder: Path, root: str | None = None, deadline: float | None = None
    ) -> store.Record:
        """Make its record: predictions, a view a package, and ``Record.peers``.

        Raises:
            InputError: a package is not installed, the images are not of its size, or our model is
                another one.
        """
        start, config = time.perf_counter(), self.config
        ours = model_folder.open_model(None)
        if ours.settings.sha256 != config.model:
            raise InputError(f"{self.name}: asked for another model than comes with this version")
        weights = model_folder.SHIPPED / model_folder.WEIGHTS
        opened = {OURS: (as_classifier(ours), weights.stat().st_size)}
        opened |= peers.open_peers(config.peers)
        faces = faces_of(config.data, root)
        table = prediction_table(faces, split(faces, config.data))
        table = table[table["split"] == "test"].reset_index(drop=True)
        images = faces.images[table["row"]]
        if images.shape[1:] != (1, 48, 48) or faces.classes != FER2013:
            raise InputError(
                f"peers: images of {images.shape[1:]}, classes {', '.join(faces.classes)}; "
                f"allowed: (1, 48, 48), {', '.join(FER2013)}"
            )
        classifiers = {name: classify for name, (classify, _) in opened.items()}
        with peers.one_thread():
            said = {name: classify(images[:, 0]) for name, classify in classifiers.items()}
            measured = peers.measure(classifiers, images[:, 0])
        for name, row in measured.items():
            row |= {"megabytes": opened[name][1] / 1e6, "version": config.peers.get(name, "")}
        views = {name: stored(peers.log_shares(scores)) for name, scores in said.items()}
        parts = {
            "predictions.parquet": store.as_parquet(table, views),
            "peers.json": store.as_json(measured),
        }
        return store.save_files(folder, config, environment(start) | {"threads": 1}, parts)


def as_classifier(model: model_folder.TrainedModel) -> peers.Classifier:
    """Let a model of ours be asked as the others are: (n, 48, 48) uint8 -> (n, K) probabilities."""
    return lambda faces: np.exp(model.log_probabilities(faces[:, None]))
