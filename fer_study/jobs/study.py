"""One run on one screen: ``run(config)`` takes it from the data to a record in the store."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from .. import audit, store
from ..analysis.metrics import accuracy, log_loss, median
from ..data.faceset import FaceSet
from ..data.twin import synthetic
from ..models import FaceModel, create_model
from ..models.cost import FORM as COST_FORM
from ..models.cost import forward_speeds, parameters, size, step_ratios, step_speeds
from ..models.registry import code_of, source_of
from ..settings.checkout import other_code
from ..settings.errors import InputError
from ..settings.experiment import AuditConfig, CostConfig, RunConfig, TransferConfig
from ..store.record_files import listed, sha256, write_atomically, write_parts
from ..training.batches import Batches
from ..training.checkpoint import CHECKPOINT, whole_content
from ..training.device import device_environment, make_fabric, memory_format
from ..training.explain import has_maps, said, saliency_of
from ..training.loop import OnEpoch, TrainedStates, check_finite, fit
from ..training.predict import TTA, log_probabilities
from ..training.protocol import Split, split
from ..training.sources import faces_of
from ..training.weights import load, pin, save, trained_network
from . import baseline, transfer
from .evaluation import environment, prediction_table, score, stored

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)


def run(
    config: RunConfig | TransferConfig,
    *,
    root: str | None = None,
    deadline: float | None = None,
    on_epoch: OnEpoch | None = None,
) -> store.Record:
    """The record of a config: from the store where it is done, else made now.

    Args:
        root: data root (``--data``); None: ``$FER_STUDY_DATA`` or ``data/``.
        deadline: ``time.monotonic()`` at which training stops at the next epoch's end with ``OutOfTime``.
        on_epoch: see ``train.OnEpoch``.

    Raises:
        InputError: the data is missing or is not what the config names; another process holds the run.
    """
    if isinstance(config, RunConfig) and not config.model.source:  # of a config that was not resolved
        config = config.replace(model=pin(config.model.replace(source=source_of(config.model.name))))
    if (record := store.lookup(config.key)) and not maps_pending(record):
        return record
    if isinstance(config, TransferConfig):
        return transfer.evaluate(config, root)
    with store.locked(config.key) as folder:
        if record := store.lookup(config.key):  # made while we waited for the lock, or only its maps are missing
            return add_maps(record, root) if maps_pending(record) else record
        faces = faces_of(config.data, root)
        if config.model.name == baseline.NAME:
            return baseline.fit_and_predict(config, faces, folder)
        return train_and_predict(config, faces, folder, deadline, on_epoch)


def is_complete(config: RunConfig | TransferConfig) -> bool:
    """Whether the record of a config is there, with nothing left to make."""
    record = store.lookup(config.key)
    return record is not None and not maps_pending(record)


def train_and_predict(
    config: RunConfig,
    faces: FaceSet,
    folder: Path,
    deadline: float | None = None,
    on_epoch: OnEpoch | None = None,
) -> store.Record:
    """Train a network, or go on where it stopped, and save its record: weights, every view and metrics, then mean saliency.

    Args:
        folder: of the run, held by this process.

    Raises:
        InputError: the config cannot be trained on these faces, or its initial weights cannot be loaded.
        TrainingFailed: a loss or a prediction is not finite.
    """
    rows, fabric = split(faces, config.data), make_fabric()
    begun = whole_content(folder / CHECKPOINT, config.key) is not None
    torch.manual_seed(config.seed)
    model = create_model(config.model, faces.num_classes, faces.images.shape[1]).to(memory_format=memory_format(fabric))
    origin = {} if begun else load(model, config.model, faces.num_classes)
    if origin:
        name, file = config.name or config.key, f"{origin['file']}, sha256 {origin['sha256'][:16]}"
        log.info("%s: weights %s (%s): %d tensors loaded", name, origin["source"], file, origin["loaded"])
    batches = Batches(faces.images, rows.targets, rows.train, config.batch_size, fabric.device, classes=faces.classes,
                      sample=config.data.annotation == "probability")  # fmt: skip
    validation = (torch.from_numpy(faces.images[rows.validation]).to(fabric.device), faces.labels[rows.validation])
    explained = has_maps(config, model, torch.from_numpy(faces.images[rows.train[:1]]))  # said before it trains for hours
    weights = fit(
        config, model, batches, validation, folder, fabric, deadline, teacher(config, faces, fabric), on_epoch, origin
    )
    start = time.perf_counter() - float(weights.history["seconds"].sum())  # epochs before an interruption count too
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
    if explained:
        write_atomically(folder / PENDING, "")
    files = {f"{kind}.safetensors": sha256(folder / f"{kind}.safetensors") for kind in weights.states()}
    kept = {view: views[view] for view in KEPT}
    record = store.save(folder, config, history=weights.history, table=table, views=kept, metrics=metrics,
                       weights=files, env=env)  # fmt: skip
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return add_maps(record, faces=faces) if explained else record


PENDING = "maps.pending"
"""In the folder of a record whose Grad-CAM maps are still to be made; a line for each attempt."""


def maps_pending(record: store.Record) -> bool:
    """Whether the maps of a record are still to be made."""
    return not record.published and (record.folder / PENDING).is_file()


def add_maps(record: store.Record, root: str | None = None, faces: FaceSet | None = None) -> store.Record:
    """Add the Grad-CAM maps of the last weights to a record, which is complete before, so that nothing in them can lose it.

    Args:
        root, faces: where the data lies, or the data.

    Returns:
        The record, without maps where they failed, or ended the process twice.
    """
    pending, config = record.folder / PENDING, record.config
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
        log.warning("%s: no Grad-CAM maps, making them ended the process twice", config.name or config.key)
    pending.unlink()
    return store.Record(record.folder, published=False)


def teacher(config: RunConfig, faces: FaceSet, fabric: Fabric) -> FaceModel | None:
    """The frozen network that gives a run its targets, on the device; None where the data does.

    Raises:
        SourceMissing: it is not trained here.
        InputError: it reads images or classes in another way than this run.
    """
    if not config.loss.teacher:
        return None
    source, model = trained_network(config.loss.teacher)
    for what, ours, theirs in (
        ("input size", config.model.input_size, source.model.input_size),
        ("normalisation", (config.augment.mean, config.augment.std), (source.augment.mean, source.augment.std)),
        ("training data", config.data.replace(targets="labels"), source.data.replace(targets="labels")),
    ):
        if ours != theirs:
            raise InputError(f"{config.name or config.key}: {what} is {ours}, of its teacher {config.loss.teacher} {theirs}")
    return model.requires_grad_(False).to(fabric.device, memory_format=memory_format(fabric))


KEPT = ("last_single", "last_ten_crop")
"""Views whose predictions a record keeps; of the others it has the metrics, so that it stays small."""


def evaluate_views(
    config: RunConfig, model: FaceModel, weights: TrainedStates, faces: FaceSet, rows: Split, fabric: Fabric
) -> dict[str, np.ndarray]:
    """Every evaluation view in one pass: all of the last weights, and of the other kinds a single view.

    Returns:
        ``{"last_single": (n, K) float32 log-probabilities, ...}`` over validation, then test rows.
    """
    images = torch.from_numpy(faces.images[np.concatenate([rows.validation, rows.test])]).to(fabric.device)
    views = {}
    for kind, state in weights.states().items():
        if kind == "best" and state is weights.last:
            views["best_single"] = views["last_single"]
            continue
        model.load_state_dict(state)
        for tta in TTA if kind == "last" else ("single",):
            with fabric.autocast():
                logits = log_probabilities(model, images, config.augment, config.model.input_size, tta)
            check_finite(config, logits)
            views[f"{kind}_{tta}"] = stored(logits)
    return views


def training_score(
    config: RunConfig, model: FaceModel, faces: FaceSet, rows: np.ndarray, fabric: Fabric
) -> dict[str, float]:
    """Loss and accuracy on the images that a network was trained on, as on any others: in evaluation mode, not augmented,
    against the labels; what the history tells of training is measured while weights, images and targets change."""
    parts = []
    for part in np.array_split(rows, len(rows) // 8192 + 1):  # a set in a memory map is never loaded whole
        images = torch.from_numpy(faces.images[part]).to(fabric.device)
        with fabric.autocast():
            parts.append(log_probabilities(model, images, config.augment, config.model.input_size))
    logits, labels = np.concatenate(parts), faces.labels[rows]
    check_finite(config, logits)
    return {"accuracy": float(accuracy(logits, labels)), "log_loss": float(log_loss(logits, labels))}


def audit_of(config: AuditConfig, *, root: str | None = None) -> store.Record:
    """The record of an audit: from the store where it is done in the present form (``audit.FORM``), else made now.

    Raises:
        InputError: the data is missing or is not what the config names; another process holds the audit.
    """
    if record := current_audit(config):
        return record
    with store.locked(config.key, timeout=600) as folder:
        if record := current_audit(config):  # made while we waited for the lock
            return record
        start = time.perf_counter()
        faces = faces_of(config.data, root)
        report = audit.run(faces, config.threshold)
        rows, env = audit_rows(faces, report), environment(start)
        arrays = store.as_npz(mean=mean_faces(faces).astype(np.float16), **rows)
        return store.save_files(folder, config, env, {"audit.json": store.as_json(report.summary()), "faces.npz": arrays})


def cost_of(config: CostConfig) -> store.Record:
    """The record of what a network costs: from the store where it is done in the present form (``cost.FORM``), else measured
    now, on the CPU.

    Raises:
        InputError: an unknown network, or an input that it cannot take; another process holds the record.
    """
    if record := current_cost(config):
        return record
    with store.locked(config.key, timeout=600) as folder:
        if record := current_cost(config):  # made while we waited for the lock
            return record
        start = time.perf_counter()
        channels, batch = config.channels, config.batch_size
        found = {"form": COST_FORM} | size(config.model, in_channels=channels)
        if config.timed:
            speeds = step_speeds(config.model, in_channels=channels, batch_size=batch)
            found |= {f"step_{way}": None if np.isnan(speed) else speed for way, speed in speeds.items()}
            found |= forward_speeds(config.model, in_channels=channels)
        if config.without:
            found["parameters_without"] = parameters(config.without, in_channels=channels)
        if config.without and config.timed:
            ratio = median(step_ratios(config.model, config.without, in_channels=channels, batch_size=batch))
            found |= {"time_ratio": ratio.value, "time_ratio_low": ratio.low, "time_ratio_high": ratio.high}
        env = environment(start) | {"threads": torch.get_num_threads()} | code_of(config.model.name)
        env["parameters"] = found["parameters"]
        return store.save_files(folder, config, env, {"cost.json": store.as_json(found)})


def current_cost(config: CostConfig) -> store.Record | None:
    """The record of a cost, None where there is none or only one of an older form, or of other code of the network."""
    record = store.lookup(config.key)
    return record if record and record.cost.get("form") == COST_FORM and not other_code(record.env) else None


def current_audit(config: AuditConfig) -> store.Record | None:
    """The record of an audit, None where there is none or only one of an older form."""
    record = store.lookup(config.key)
    return record if record and record.audit.get("form") == audit.FORM else None


def mean_faces(faces: FaceSet, minimum: int = 30) -> np.ndarray:
    """(K, H, W) float32 in [0, 1]: mean training image of each class; NaN below ``minimum`` images, lest one face shows."""
    means = np.full((faces.num_classes, *faces.images.shape[2:]), np.nan, np.float32)
    for label in range(faces.num_classes):
        rows = np.flatnonzero((faces.labels == label) & (faces.split == "train"))
        if len(rows) >= minimum:
            parts = np.array_split(rows, len(rows) // 4096 + 1)  # a set in a memory map is never loaded whole
            total = sum(faces.images[part].mean(axis=1, dtype=np.float64).sum(axis=0) for part in parts)
            means[label] = total / len(rows) / 255
    return means


def audit_rows(faces: FaceSet, report: audit.AuditReport) -> dict[str, np.ndarray]:
    """What ``Record.rows`` describes."""
    near = audit.has_copy(faces, threshold=report.threshold, pairs=report.pairs)
    rows = {"near_copy": near}
    if faces.votes is not None:
        rows["crowd"] = audit.majority_shares(faces.votes[:, : faces.num_classes]).astype(np.float32)
    if "region_masks" in faces.truth:
        rows["regions"] = mean_regions(faces).astype(np.float16)
    if "true_label" in faces.truth:
        rows["true_label"] = faces.truth["true_label"].astype(np.int8)
    return rows


def mean_regions(faces: FaceSet) -> np.ndarray:
    """(K, H, W) float32 in [0, 1]: how often a pixel lies in a region that the expression of a class moves (synthetic faces
    only), over the faces whose true expression it is."""
    masks = [synthetic.moved_region(faces, name)[faces.truth["true_label"] == k] for k, name in enumerate(faces.classes)]
    return np.stack([mask.mean(axis=0) for mask in masks]).astype(np.float32)
