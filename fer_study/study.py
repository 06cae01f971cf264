"""One run on one screen: ``run(config)`` takes it from the data to a record in the store."""

from __future__ import annotations

import functools
import logging
import os
import platform
import resource
import subprocess
import time

import joblib
import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from . import audit, data, metrics, runs
from .config import AuditConfig, RunConfig, TransferConfig
from .data import synthetic
from .data.batches import Batches
from .data.faceset import FaceSet
from .errors import InputError
from .explain import class_saliency
from .models import create_model
from .predict import TTA, log_probabilities
from .protocol import Split, split
from .train import Weights, fit, make_fabric

log = logging.getLogger(__name__)


def run(config: RunConfig | TransferConfig, *, root: str | None = None, deadline: float | None = None,
        devices: int = 1) -> runs.Record:  # fmt: skip
    """The record of a config: from the store where it is done, else made now.

    Args:
        root: data root (``--data``); None: ``$FER_STUDY_DATA`` or ``data/``.
        deadline: ``time.monotonic()`` at which training stops at the next epoch's end with ``OutOfTime``.

    Raises:
        InputError: the data is missing or is not what the config names; another process holds the run.
    """
    if record := runs.lookup(config.key):
        return record
    if isinstance(config, TransferConfig):
        from .transfer import evaluate

        return evaluate(config, root=root)
    if config.model.name == "hog_svm":
        from .baseline import fit_and_predict

        with runs.locked(config.key) as folder:
            return fit_and_predict(config, faces_of(config.data, root), folder)
    with runs.locked(config.key) as folder:
        start = time.perf_counter()
        faces = faces_of(config.data, root)
        rows = split(faces, config.data)
        fabric = make_fabric(devices)
        torch.manual_seed(config.seed)
        model = create_model(config.model, faces.num_classes, faces.images.shape[1]).to(memory_format=torch.channels_last)
        batches = Batches(faces.images[rows.train], rows.targets[rows.train], config.batch_size, fabric.device,
                          fabric.global_rank, fabric.world_size)  # fmt: skip
        validation = (torch.from_numpy(faces.images[rows.validation]).to(fabric.device), faces.labels[rows.validation])
        weights = fit(config, model, batches, validation, folder, fabric, deadline)
        views, saliency = evaluate_views(config, model, weights, faces, rows, fabric)
        for kind, state in weights.states().items():
            save_file(state, folder / f"{kind}.safetensors")
        table = prediction_table(faces, rows)
        record = runs.save(folder, config, history=weights.history, table=table, views=views,
                           metrics=score(table, views, faces.classes), env=environment(fabric, weights, start),
                           cam=saliency)  # fmt: skip
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        return record


def faces_of(config, root: str | None = None) -> FaceSet:
    """The FaceSet of a data config, checked against its fingerprint.

    Raises:
        InputError: the data is missing, or other data than the config was made for.
    """
    faces = _load(config.dataset, config.faces, config.style, config.world_seed, root)
    if config.fingerprint and faces.fingerprint != config.fingerprint:
        raise InputError(f"{config.dataset}: fingerprint is {faces.fingerprint}, the run was defined on {config.fingerprint}; "
                         "this is other data under the same name")  # fmt: skip
    return faces


@functools.lru_cache(maxsize=2)
def _load(dataset: str, faces: int | None, style: str | None, seed: int, root: str | None) -> FaceSet:
    return synthetic_cached(faces, seed, style) if dataset == "synthetic" else data.find(dataset, root)


def synthetic_cached(faces: int, seed: int, style: str) -> FaceSet:
    """Synthetic faces, drawn once and kept in ``cache/`` of the store under their fingerprint."""
    path = runs.local_root() / "cache" / f"synthetic-{synthetic.fingerprint(faces, seed, style)}.joblib"
    if path.is_file():
        return joblib.load(path)
    made = synthetic.make(faces, seed, style)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    joblib.dump(made, temporary)
    os.replace(temporary, path)
    return made


def evaluate_views(config: RunConfig, model, weights: Weights, faces: FaceSet, rows: Split, fabric):
    """Every evaluation view in one pass: ``{"last_single": (n, K) log-probabilities, ...}`` over validation, then test rows, and
    the saliency of the last weights."""
    images = torch.from_numpy(faces.images[np.concatenate([rows.validation, rows.test])]).to(fabric.device)
    views = {}
    for kind, state in reversed(weights.states().items()):  # the last weights come last: the saliency is theirs
        model.load_state_dict(state)
        for tta in TTA:
            with fabric.autocast():
                logits = log_probabilities(model, images, config.augment, config.model.input_size, tta)
            views[f"{kind}_{tta}"] = logits.astype(np.float16).astype(np.float32)
    test, labels = images[len(rows.validation) :], faces.labels[rows.test]
    return views, class_saliency(model, test, labels, config.augment, config.model.input_size, faces.num_classes)


def prediction_table(faces: FaceSet, rows: Split) -> pd.DataFrame:
    """One row per validation and test image: ``row, split, label, copy_in_train, copy_in_validation``."""
    order = np.concatenate([rows.validation, rows.test])
    names = np.repeat(["validation", "test"], [len(rows.validation), len(rows.test)])
    return pd.DataFrame({
        "row": order.astype(np.int32), "split": names, "label": faces.labels[order].astype(np.int8),
        "copy_in_train": rows.copy_in_train[order], "copy_in_validation": rows.copy_in_validation[order],
    })  # fmt: skip


def score(table: pd.DataFrame, views: dict[str, np.ndarray], classes: tuple[str, ...]) -> dict:
    """view -> subset -> metric -> value, from what is stored; subsets without images are left out, NaN becomes None."""
    predictions, labels = runs.Predictions(table, views), table["label"].to_numpy().astype(np.int64)
    masks = {name: predictions.subset(name) for name in runs.SUBSETS}
    defined = lambda scores: {k: None if np.isnan(v) else float(v) for k, v in scores.items()}  # noqa: E731
    return {
        view: {s: defined(metrics.compute(logits[m], labels[m], classes)) for s, m in masks.items() if m.any()}
        for view, logits in views.items()
    }


def environment(fabric, weights: Weights, start: float) -> dict:
    """Where and how a run was made; none of it is part of the key."""
    device = torch.cuda.get_device_name() if fabric.device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": f"{fabric.device.type}: {device}", "devices": fabric.world_size, "threads": torch.get_num_threads(),
        "precision": fabric._precision.precision, "torch": torch.__version__, "python": platform.python_version(),
        "seconds": round(time.perf_counter() - start, 1),
        "images_per_second": round(float(weights.history["images_per_second"].median()), 1),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "commit": commit(),
    }  # fmt: skip


def commit() -> str:
    """Short commit of the code, with ``+`` where the module was changed since; ``unknown`` outside a checkout."""
    git = lambda *args: subprocess.run(["git", "-C", str(runs.ROOT), *args], capture_output=True, text=True)  # noqa: E731
    head = git("rev-parse", "--short=10", "HEAD")
    if head.returncode:
        return "unknown"
    return head.stdout.strip() + ("+" if git("status", "--porcelain", "--", "fer_study").stdout.strip() else "")


def audit_of(config: AuditConfig, *, root: str | None = None) -> runs.Record:
    """The record of an audit: from the store where it is done, else made now.

    Raises:
        InputError: the data is missing or is not what the config names; another process holds the audit.
    """
    if record := runs.lookup(config.key):
        return record
    with runs.locked(config.key, timeout=600) as folder:
        start = time.perf_counter()
        faces = faces_of(config.data, root)
        report = audit.run(faces, config.threshold)
        env = {"device": "cpu: " + (platform.processor() or platform.machine()), "python": platform.python_version(),
               "seconds": round(time.perf_counter() - start, 1), "commit": commit()}  # fmt: skip
        return runs.save_audit(folder, config, report.summary(), mean_faces(faces), audit_rows(faces, report), env)


def mean_faces(faces: FaceSet, minimum: int = 30) -> np.ndarray:
    """(K, H, W) float32 in [0, 1]: mean training image of each class; NaN below ``minimum`` images, lest one face shows."""
    means = np.full((faces.num_classes, *faces.images.shape[2:]), np.nan, np.float32)
    for label in range(faces.num_classes):
        rows = np.flatnonzero((faces.labels == label) & (faces.split == "train"))
        if len(rows) >= minimum:
            means[label] = faces.images[rows].mean(axis=(0, 1), dtype=np.float64) / 255
    return means


def audit_rows(faces: FaceSet, report: audit.AuditReport) -> dict[str, np.ndarray]:
    """What ``Record.rows`` describes."""
    near = audit.has_copy(faces, threshold=report.threshold, pairs=report.pairs)
    rows = {"near_copy": near}
    if faces.votes is not None:
        rows["crowd"] = audit.majority(faces.votes, faces.num_classes).astype(np.int8)
    if "true_label" in faces.truth:
        rows["true_label"] = faces.truth["true_label"].astype(np.int8)
    return rows
