"""Do maps tell what a network learned? Grad-CAM of a finished run on drawn faces, held against the
regions that moved and against networks with random weights (Adebayo et al., 2018)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .. import store
from ..analysis.saliency import blob, inside_regions, rank_correlation
from ..data.faceset import FaceSet
from ..data.twin import synthetic
from ..models import FaceModel, create_model
from ..settings.errors import InputError
from ..settings.experiment import MapTestConfig
from ..training.device import device_environment, make_fabric, memory_format
from ..training.explain import grad_cam
from ..training.predict import log_probabilities
from ..training.sources import faces_of
from ..training.weights import trained_weights
from .transfer import OfRun, load

FIRST_RANDOM = 1000
"""Seed of the first network with fresh weights."""


class MapTest(OfRun):
    """Hold the maps of a finished run against what moved, and against the null."""

    config: MapTestConfig

    @property
    def model(self) -> str:
        return "map test"

    def seconds(self, speeds: dict[str, float]) -> float:
        return 300.0

    def make(
        self, folder: Path, root: str | None = None, deadline: float | None = None
    ) -> store.Record:
        """Make its record; see ``Record.map_test``.

        Raises:
            SourceMissing: the run has no weights here.
            InputError: it gets no face with a moved region right.
        """
        config, start = self.config, time.perf_counter()
        run, fabric = config.run, make_fabric()
        trained_weights(run.key, name=run.name or run.model.name)  # before any face is drawn
        faces = faces_of(config.target, root)
        images = torch.from_numpy(faces.images).to(fabric.device)
        model = load(run, faces)
        model = model.to(fabric.device, memory_format=memory_format(fabric, model))
        answers = log_probabilities(model, images, run.augment, run.model.input_size).argmax(axis=1)
        rows = usable_rows(faces, answers)
        if not len(rows):
            raise InputError(f"{config.name}: the network gives no face that moves its true class")
        classes, moved = faces.truth["true_label"][rows], moved_regions(faces, rows)
        maps = {
            name: resized(
                grad_cam(network, images[rows], classes, run.augment, run.model.input_size),
                moved.shape[1],
            )
            for name, network in networks(config, model, faces)
        }
        maps["blob"] = np.broadcast_to(blob(moved.shape[1]), moved.shape)
        hits = [inside_regions(one, moved) for one in maps.values()]
        alike = [rank_correlation(one, maps["trained"]) for one in maps.values()]
        arrays = store.as_npz(
            networks=np.array(list(maps)),
            inside=np.stack([inside for inside, _ in hits]).astype(np.float16),
            pointing=np.stack([pointing for _, pointing in hits]),
            alike=np.stack(alike).astype(np.float16),
            area=moved.mean(axis=(1, 2)).astype(np.float16),
            classes=classes.astype(np.int8),
        )
        env = device_environment(fabric, start)
        return store.save_files(folder, config, env, {"map_test.npz": arrays})


def usable_rows(faces: FaceSet, answers: np.ndarray) -> np.ndarray:
    """(n,) int64 rows of faces that are drawn once, move a region, and are given their true class:
    a map of a wrong answer explains the error."""
    moves = [len(synthetic.CLASS_REGIONS[name]) > 0 for name in faces.classes]
    usable = ~faces.truth["blank"] & (faces.truth["duplicate_of"] < 0)
    true = faces.truth["true_label"]
    return np.flatnonzero(usable & np.array(moves)[true] & (answers == true))


def moved_regions(faces: FaceSet, rows: np.ndarray) -> np.ndarray:
    """(n, H, W) bool: what the true expression of each face moves."""
    every = np.stack([synthetic.moved_region(faces, name)[rows] for name in faces.classes])
    return every[faces.truth["true_label"][rows], np.arange(len(rows))]


def resized(maps: np.ndarray, side: int) -> np.ndarray:
    """Maps (n, h, w) of a network that sees pictures in another size than they have: (n, side,
    side) float32."""
    if maps.shape[1] == side:
        return maps
    made = F.interpolate(torch.from_numpy(maps)[:, None], (side, side), mode="bilinear")
    return made[:, 0].numpy()


def networks(
    config: MapTestConfig, trained: FaceModel, faces: FaceSet
) -> Iterator[tuple[str, FaceModel]]:
    """The trained network, others with fresh weights, then the trained one that loses its weights
    from the head to the stem, stage by stage (Adebayo et al., section 4.1)."""

    def fresh(number: int) -> FaceModel:
        # far from the seeds of trainings, one of which is the start of the trained network
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(FIRST_RANDOM + number)
            made = create_model(config.run.model, faces.num_classes, faces.images.shape[1])
        return made.to(next(trained.parameters()).device)

    yield "trained", trained
    for number in range(config.random):
        yield f"random {number}", fresh(number)
    for number, (ours, others) in enumerate(
        zip(trained.stages(), fresh(config.random).stages(), strict=True), start=1
    ):
        ours.load_state_dict(others.state_dict())
        yield f"from the top, {number}", trained
