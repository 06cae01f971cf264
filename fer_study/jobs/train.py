"""A training as a job, on one screen: from the data to a record in the store."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from .. import store
from ..analysis.metrics import accuracy, log_loss
from ..data.faceset import FaceSet
from ..models import FaceModel, create_model
from ..models.registry import code_of
from ..settings.checkout import sha256
from ..settings.errors import InputError
from ..settings.experiment import RUN, DataConfig, RunConfig
from ..store.record_files import listed, write_atomically, write_parts
from ..training import weights as initial_weights
from ..training.batches import Batches
from ..training.checkpoint import CHECKPOINT, precision_begun
from ..training.device import device_environment, fastest_precision, make_fabric, memory_format
from ..training.drawn_faces import with_drawn_faces
from ..training.explain import has_maps, said, saliency_of
from ..training.loop import OnEpoch, TrainedStates, check_finite, fit
from ..training.objectives import make_objective
from ..training.predict import TTA, log_probabilities
from ..training.protocol import Split, fold_leaks, split, vote_targets
from ..training.sources import faces_of
from ..training.weights import load, save, trained_network
from . import transfer
from .evaluation import prediction_table, score, stored
from .job import Run, network

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)


class Training(Run):
    """Train a network once."""

    leaves_weights = True

    def needs(self) -> tuple[str, ...]:
        """Name the run that it starts from, those that teach it, and who draws faces for it."""
        config, source = self.config, RUN.fullmatch(self.config.model.weights)
        keys = (*config.loss.teachers(), source and source["key"], config.data.generated)
        return tuple(key for key in keys if key)

    def data(self) -> tuple[DataConfig, ...]:
        """List the data that it reads; a second head reads the votes as well."""
        targets = "votes" if self.config.loss.votes_weight else self.config.data.targets
        return (self.config.data.replace(targets=targets),)

    def refusal(self, judged: dict[str, str]) -> str:
        """Say what is wrong with its initial weights, which all seeds share; one that has begun
        needs them no more."""
        if (store.local_root() / self.key / CHECKPOINT).is_file():
            return ""
        wanted = network(self.config)
        if wanted not in judged:
            try:
                initial_weights.check(self.config)
                judged[wanted] = ""
            except InputError as error:
                judged[wanted] = str(error)
        return judged[wanted]

    def make(
        self, folder: Path, root: str | None = None, deadline: float | None = None
    ) -> store.Record:
        """Train, or go on where it stopped, or make the maps that its record lacks."""
        if (record := store.lookup(self.key)) and not record.published:
            return add_maps(record, root)
        return train_and_predict(self.config, faces_of(self.config.data, root), folder, deadline)


def train_and_predict(
    config: RunConfig,
    faces: FaceSet,
    folder: Path,
    deadline: float | None = None,
    on_epoch: OnEpoch | None = None,
) -> store.Record:
    """Train a network, or go on where it stopped, and save its record: weights, every view and
    metrics, then mean saliency.

    Args:
        folder: of the run, held by this process.

    Raises:
        InputError: the config cannot be trained on these faces, or its initial weights cannot be
            loaded.
        TrainingFailed: a loss or a prediction is not finite.
    """
    rows, shape = split(faces, config.data), (faces.num_classes, faces.images.shape[1])
    precision = precision_begun(folder / CHECKPOINT, config.key)
    fabric = make_fabric(precision or fastest_precision(config.model, *shape))
    torch.manual_seed(config.seed)
    model = create_model(config.model, *shape)
    model = model.to(memory_format=memory_format(fabric, model))
    origin = {} if precision is not None else start_from(config, model, faces.num_classes)
    targets = rows.targets
    if config.loss.votes_weight:
        targets = np.concatenate([targets, vote_targets(faces)], axis=1)
    batches = Batches(
        *with_drawn_faces(config.data, faces, targets, rows.train),
        config.batch_size,
        fabric.device,
        classes=faces.classes,
        sample=config.data.annotation == "probability",
        sampling=config.sampling,
    )
    validation = (
        torch.from_numpy(faces.images[rows.validation]).to(fabric.device),
        faces.labels[rows.validation],
    )
    # asked before it trains for hours
    explained = has_maps(config, model, torch.from_numpy(faces.images[rows.train[:1]]))
    weights = fit(
        config,
        model,
        batches,
        validation,
        folder,
        fabric,
        deadline,
        partial(make_objective, teachers=teachers(config, fabric)),
        on_epoch,
        origin,
    )
    # epochs before an interruption count too
    start = time.perf_counter() - float(weights.history["seconds"].sum())
    views = evaluate_views(config, model, weights, faces, rows, fabric)
    for kind, state in weights.states().items():
        save(state, config.model, folder / f"{kind}.safetensors")
    table = prediction_table(faces, rows)
    metrics = score(table, views, faces.classes, config)
    model.load_state_dict(weights.last)
    metrics["last_single"]["train"] = training_score(config, model, faces, rows.train, fabric)
    env = device_environment(fabric, start) | code_of(config.model.name)
    env["parameters"] = sum(p.numel() for p in model.parameters())
    env["images_per_second"] = round(float(weights.history["images_per_second"].median()), 1)
    if weights.origin:
        env["initial_weights"] = weights.origin
    if config.data.generated:
        env["drawn_faces"] = store.lookup(config.data.generated).env["drawn_faces"]
    if config.data.folds:
        env["fold_leaks"] = fold_leaks(faces, config.data, rows)
    if explained:
        write_atomically(folder / store.PENDING, "")
    files = {
        f"{kind}.safetensors": sha256(folder / f"{kind}.safetensors") for kind in weights.states()
    }
    kept = {view: views[view] for view in (KEPT[:1] if config.data.folds else KEPT)}
    record = store.save(
        folder,
        config,
        history=weights.history,
        table=table,
        views=kept,
        metrics=metrics,
        weights=files,
        env=env,
    )
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return add_maps(record, faces=faces) if explained else record


def add_maps(
    record: store.Record, root: str | None = None, faces: FaceSet | None = None
) -> store.Record:
    """Add the Grad-CAM maps of the last weights to a record, which is complete before, so that
    nothing in them can lose it.

    Args:
        root, faces: where the data lies, or the data.

    Returns:
        The record, without maps where they failed, or ended the process twice.
    """
    pending, config = record.folder / store.PENDING, record.config
    attempts = pending.read_text().splitlines()
    if len(attempts) < 2:
        faces = faces or faces_of(config.data, root)
        write_atomically(pending, "\n".join([*attempts, "begun"]))
        maps = None
        try:
            with said(config):
                model = transfer.load(config, faces).to(make_fabric().device)
                maps = saliency_of(config, model, faces, split(faces, config.data).test)
        except BaseException:  # who stops this process does not say that it crashed
            write_atomically(pending, "\n".join(attempts))
            raise
        if maps:
            write_parts(record.folder, {"cam.npz": store.as_npz(**maps)}, listed(record.folder))
    else:
        log.warning(
            "%s: no Grad-CAM maps, making them ended the process twice", config.name or config.key
        )
    pending.unlink()
    return store.Record(record.folder, published=False)


def teachers(config: RunConfig, fabric: Fabric) -> list[FaceModel]:
    """The frozen networks that give a run its targets, on the device; none where the data does.

    Raises:
        SourceMissing: one is not trained here.
        InputError: one reads images or classes in another way than this run.
    """
    networks = []
    for key in config.loss.teachers():
        source, model = trained_network(key)
        for what, ours, theirs in (
            ("input size", config.model.input_size, source.model.input_size),
            (
                "normalisation",
                (config.augment.mean, config.augment.std),
                (source.augment.mean, source.augment.std),
            ),
            (
                "training data",
                config.data.replace(targets="labels"),
                source.data.replace(targets="labels"),
            ),
        ):
            if ours != theirs:
                raise InputError(
                    f"{config.name or config.key}: {what} is {ours}, of its teacher {key} {theirs}"
                )
        model = model.requires_grad_(False)
        networks.append(model.to(fabric.device, memory_format=memory_format(fabric, model)))
    return networks


def start_from(config: RunConfig, model: FaceModel, num_classes: int) -> dict[str, object]:
    """Fill a network with its initial weights, and say which; see ``weights.load``."""
    origin = load(model, config.model, num_classes)
    if origin:
        name, file = config.name or config.key, f"{origin['file']}, sha256 {origin['sha256'][:16]}"
        log.info(
            "%s: weights %s (%s): %d tensors loaded", name, origin["source"], file, origin["loaded"]
        )
    return origin


KEPT = ("last_single", "last_ten_crop")
"""Views whose predictions a record keeps, one of a fold, which has more images; of the others it
has the metrics, so that it stays small."""


def evaluate_views(
    config: RunConfig,
    model: FaceModel,
    weights: TrainedStates,
    faces: FaceSet,
    rows: Split,
    fabric: Fabric,
) -> dict[str, np.ndarray]:
    """Every evaluation view in one pass: all of the last weights, and of the other kinds a single
    view.

    Returns:
        ``{"last_single": (n, K) float32 log-probabilities, ...}`` over validation, then test rows.
    """
    images = torch.from_numpy(faces.images[np.concatenate([rows.validation, rows.test])]).to(
        fabric.device
    )
    views = {}
    for kind, state in weights.states().items():
        if kind == "best" and state is weights.last:
            views["best_single"] = views["last_single"]
            continue
        model.load_state_dict(state)
        for tta in TTA if kind == "last" else ("single",):
            with fabric.autocast():
                logits = log_probabilities(
                    model, images, config.augment, config.model.input_size, tta
                )
            check_finite(config, logits)
            views[f"{kind}_{tta}"] = stored(logits)
    return views


def training_score(
    config: RunConfig, model: FaceModel, faces: FaceSet, rows: np.ndarray, fabric: Fabric
) -> dict[str, float]:
    """Loss and accuracy on the images that a network was trained on, as on any others: in
    evaluation mode, not augmented, against the labels; what the history tells of training is
    measured while weights, images and targets change."""
    parts = []
    # a set in a memory map is never loaded whole
    for part in np.array_split(rows, len(rows) // 8192 + 1):
        images = torch.from_numpy(faces.images[part]).to(fabric.device)
        with fabric.autocast():
            parts.append(log_probabilities(model, images, config.augment, config.model.input_size))
    logits, labels = np.concatenate(parts), faces.labels[rows]
    check_finite(config, logits)
    return {
        "accuracy": float(accuracy(logits, labels)),
        "log_loss": float(log_loss(logits, labels)),
    }
