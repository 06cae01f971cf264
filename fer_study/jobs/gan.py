"""A generator of faces of one class as a job. Its record says how good they are; the faces
themselves stay in the local store, for those of real data are like real people's."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as as_safetensors

from .. import store
from ..data.faceset import FaceSet
from ..data.labels import class_names
from ..settings.checkout import sha256
from ..settings.errors import InputError
from ..settings.experiment import DataConfig, GanConfig
from ..store.record_files import write_atomically
from ..training import adversarial
from ..training.checkpoint import CHECKPOINT
from ..training.device import device_environment, make_fabric
from ..training.drawn_faces import Judge, gates, statistics
from ..training.explain import NoMap
from ..training.loop import TrainingFailed
from ..training.protocol import Split, split
from ..training.sources import faces_of
from ..training.weights import trained_network
from .job import Job

log = logging.getLogger(__name__)

LEAST_HELD_OUT = 10
"""Validation images of a class without which nobody can say what is near."""


class Gan(Job):
    """Train a generator on one class, draw its faces, and let them through or not. Its faces are
    its weights: they are not published."""

    config: GanConfig
    leaves_weights = True

    @property
    def model(self) -> str:
        return "gan"

    def needs(self) -> tuple[str, ...]:
        return (self.config.judge,) if len(self.config.judge) == 16 else ()

    def data(self) -> tuple[DataConfig, ...]:
        return (self.config.data,)

    def refusal(self, judged: dict[str, str]) -> str:
        """Say that it is of no class of its data."""
        try:
            place_of_class(self.config, class_names(self.config.data.classes))
        except InputError as error:
            return str(error)
        return ""

    def make(
        self, folder: Path, root: str | None = None, deadline: float | None = None
    ) -> store.Record:
        """Make its record: ``Record.gan``, a history, and locally the faces.

        Raises:
            SourceMissing: the judge has no weights here.
            InputError: an unknown class, or one with too few images; another judge than the config
                names, or one whose features are no map.
            TrainingFailed: the faces missed a gate; the checkpoint stays, so that to ask again
                takes no training.
        """
        config, fabric = self.config, make_fabric("32-true")
        faces = faces_of(config.data, root)
        judge = judge_of(config, faces)
        judge.network.to(fabric.device)
        real, held_out = (
            torch.from_numpy(faces.images[rows]).to(fabric.device)
            for rows in rows_of_class(config, faces, split(faces, config.data))
        )
        try:  # before hours of training
            judge.features(held_out[:2])
        except NoMap as error:
            raise InputError(f"{self.name}: judge: {error}") from None
        generator, history = adversarial.fit(config, real, folder, fabric, deadline)
        # rounds before an interruption count too
        start = time.perf_counter() - float(history["seconds"].sum())
        drawn = adversarial.draw(config, generator, fabric.device)
        found = statistics(drawn.to(fabric.device), real, held_out, judge)
        judged = gates(found)
        log.info("%s: %s", self.name, "; ".join(map(str, judged)))
        if missed := [str(gate) for gate in judged if not gate.passed]:
            raise TrainingFailed(f"{self.name}: drawn faces missed a gate: {'; '.join(missed)}")
        write_atomically(folder / store.DRAWN, as_safetensors({"images": drawn}))
        parts = {"gan.json": store.as_json(found), "history.csv": history.to_csv(index=False)}
        digest = sha256(folder / store.DRAWN)
        env = device_environment(fabric, start) | {"drawn_faces": digest}
        record = store.save_files(folder, config, env, parts, {store.DRAWN: digest})
        (folder / CHECKPOINT).unlink(missing_ok=True)
        return record


def judge_of(config: GanConfig, faces: FaceSet) -> Judge:
    """Find the network whose features measure the faces.

    Raises:
        SourceMissing: a run without weights here.
        InputError: the model that comes with the package is another one, or has other channels.
    """
    from ..inference import model_folder  # seconds to import, so not on every start

    if len(config.judge) == 16:
        shape = faces.num_classes, faces.images.shape[1]
        run, network = trained_network(config.judge, shape=shape)
        return Judge(network, run.augment, run.model.input_size)
    shipped = model_folder.open_model(None)
    if shipped.settings.sha256 != config.judge:
        raise InputError(f"{config.name}: judge is another model than comes with this version")
    if faces.images.shape[1] != shipped.settings.channels:
        raise InputError(
            f"{config.name}: judge sees {shipped.settings.channels} channels, the images have "
            f"{faces.images.shape[1]}"
        )
    return Judge(shipped.network, shipped.augment, shipped.settings.network.input_size)


def rows_of_class(config: GanConfig, faces: FaceSet, rows: Split) -> tuple[np.ndarray, np.ndarray]:
    """Find the images that a generator learns from, and those that it never sees: validation
    images without a copy in training. All (n,) int64.

    Raises:
        InputError: an unknown class, or too few images of it.
    """
    place = place_of_class(config, faces.classes)
    of_class = rows.targets.any(axis=1) & (rows.targets.argmax(axis=1) == place)
    train = rows.train[of_class[rows.train]]
    held_out = rows.validation[of_class[rows.validation] & ~rows.copy_in_train[rows.validation]]
    if len(train) < config.batch_size or len(held_out) < LEAST_HELD_OUT:
        raise InputError(
            f"{config.name}: {len(train)} training and {len(held_out)} validation images of "
            f"{config.target_class}, allowed: {config.batch_size} and {LEAST_HELD_OUT} or more"
        )
    return train, held_out


def place_of_class(config: GanConfig, classes: Sequence[str]) -> int:
    """Find the class that is drawn among those of its data.

    Raises:
        InputError: it is none of them.
    """
    if config.target_class not in classes:
        allowed = ", ".join(classes)
        raise InputError(
            f"{config.name}: target_class is {config.target_class!r}, allowed: {allowed}"
        )
    return classes.index(config.target_class)
