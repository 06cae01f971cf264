"""Classifiers of other people's packages as a job: what they say of a test split, and how fast."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from .. import store
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
        opened = peers.open_peers(config.peers)
        faces = faces_of(config.data, root)
        table = prediction_table(faces, split(faces, config.data))
        table = table[table["split"] == "test"].reset_index(drop=True)
        images = faces.images[table["row"]]
        if images.shape[1:] != (1, 48, 48):
            raise InputError(f"peers: images of {images.shape[1:]}, allowed: (1, 48, 48)")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            views = {OURS: stored(ours.log_probabilities(images))}
            views |= {
                name: stored(peers.log_shares(classify(images[:, 0])))
                for name, (classify, _) in opened.items()
            }
            classifiers = {OURS: lambda part: ours.log_probabilities(part[:, None])}
            classifiers |= {name: classify for name, (classify, _) in opened.items()}
            measured = peers.measure(classifiers, images[:, 0])
        finally:
            torch.set_num_threads(threads)
        sizes = {OURS: (model_folder.SHIPPED / model_folder.WEIGHTS).stat().st_size}
        sizes |= {name: size for name, (_, size) in opened.items()}
        for name, row in measured.items():
            row |= {"megabytes": sizes[name] / 1e6, "version": config.peers.get(name, "")}
        env = environment(start) | {"threads": 1}
        parts = {
            "predictions.parquet": store.as_parquet(table, views),
            "peers.json": store.as_json(measured),
        }
        return store.save_files(folder, config, env, parts)
