"""Zero-shot transfer: the weights of a finished run, scored on another dataset without further training."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from . import editions, runs, stages
from .config import RunConfig, TransferConfig
from .data.faceset import FaceSet
from .device import device_environment, make_fabric
from .errors import InputError
from .evaluation import as_table, score, stored
from .models import FaceModel, create_model
from .predict import log_probabilities
from .sources import faces_of

TTA = ("single", "flip")


class SourceMissing(InputError):
    """The run that is to be transferred has no weights here."""


def weights_of(run: RunConfig) -> dict[str, torch.Tensor]:
    """The last weights of a run.

    Raises:
        SourceMissing: the run was never trained here: there is no record, or a published one, which has no weights.
    """
    record = runs.lookup(run.key)
    if record is None or not record.weights("last").is_file():
        found = "is not trained" if record is None else "has a record without weights"
        raise SourceMissing(f"{run.name or run.model.name} ({run.key}) {found}; train it with: {train_command(run)}")
    return load_file(record.weights("last"))


def train_command(run: RunConfig) -> str:
    """The command line that trains a run, or the call where no edition lists it."""
    for edition in editions.editions():
        if any(job.key == run.key for job in stages.jobs(edition)):
            return f"fer-study train {edition} --only '*/{run.key}'"
    return "study.run(config.run) (no edition lists it)"


def test_rows(faces: FaceSet) -> np.ndarray:
    """(n,) int64 rows of the test split; every row where the set has none."""
    rows = np.flatnonzero(faces.split == "test")
    return rows if len(rows) else np.arange(len(faces))


def load(run: RunConfig, faces: FaceSet) -> FaceModel:
    """The network of a run with its last weights, for the images of ``faces``.

    Raises:
        SourceMissing: see ``weights_of``.
        InputError: the images have another number of channels than the network.
    """
    state = weights_of(run)
    model = create_model(run.model, faces.num_classes, faces.images.shape[1])
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{run.key}: its weights do not fit {faces.name}: {' '.join(str(error).split())}") from None
    return model.to(memory_format=torch.channels_last)


def evaluate(config: TransferConfig, root: str | None = None) -> runs.Record:
    """The record of a transfer: views ``last_single`` and ``last_flip`` over the test split of the target.

    No image of the target was trained on, so the flags of copies are False; its only subset of metrics is ``test``.

    Args:
        root: data root (``--data``); None: ``$FER_STUDY_DATA`` or ``data/``.

    Raises:
        SourceMissing: the run has no weights here; the message says which command trains it.
        InputError: the target's data is missing or is not what the config names; another process makes this record.
    """
    weights_of(config.run)  # before any data is read
    with runs.locked(config.key) as folder:
        start = time.perf_counter()
        faces, fabric = faces_of(config.target, root), make_fabric()
        model, rows = load(config.run, faces).to(fabric.device), test_rows(faces)
        images, size = torch.from_numpy(faces.images[rows]).to(fabric.device), config.run.model.input_size
        with fabric.autocast():
            views = {f"last_{tta}": stored(log_probabilities(model, images, config.run.augment, size, tta)) for tta in TTA}
        none = np.zeros(len(rows), dtype=bool)
        table = as_table(faces, rows, np.repeat("test", len(rows)), none, none)
        scores, env = score(table, views, faces.classes, config), device_environment(fabric, start)
        return runs.save(
            folder, config, history=pd.DataFrame(columns=["epoch"]), table=table, views=views, metrics=scores, env=env
        )
