"""Records with known predictions, for the tests of everything that turns records into pages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fer_study import store
from fer_study.data.labels import class_names
from fer_study.jobs import evaluation
from fer_study.settings.experiment import DataConfig, ModelConfig
from fer_study.settings.recipes import load_recipe
from fer_study.store import record_files

VALIDATION, TEST = 10, 40
FIRST_ROW = 100  # rows of the FaceSet are not positions in the table


def log_probabilities(predicted: np.ndarray, sure: float = 0.7, classes: int = 7) -> np.ndarray:
    """(n, classes) log-probabilities: ``sure`` for the predicted class, the rest spread evenly."""
    p = np.full((len(predicted), classes), (1 - sure) / (classes - 1))
    p[np.arange(len(predicted)), predicted] = sure
    return np.log(p)


def labels_of(count: int, classes: int = 7) -> np.ndarray:
    """(count,) labels 0, 1, ..., 6, 0, ..."""
    return np.arange(count) % classes


def predictions(right: int, validation_right: int = 5, classes: int = 7) -> np.ndarray:
    """(50,) predictions: so many right ones, first, among the 10 validation and the 40 test images; the others name the next
    class."""
    parts = []
    for count, hits in ((VALIDATION, validation_right), (TEST, right)):
        labels = labels_of(count, classes)
        parts.append(np.where(np.arange(count) < hits, labels, (labels + 1) % classes))
    return np.concatenate(parts)


def make_record(folder: Path, predicted: np.ndarray | int, *, name: str = "emotion_cnn", seed: int = 0, sure: float = 0.7,
                first_row: int = FIRST_ROW, clean: bool = True, published: bool = False, history: pd.DataFrame | None = None,
                cam: dict[str, np.ndarray] | None = None, env: dict | None = None, changes: dict | None = None,
                views: dict[str, np.ndarray] | None = None, classes: int = 7,
                labels: np.ndarray | None = None) -> store.Record:  # fmt: skip
    """A record of 10 validation and 40 test images; ``predicted`` is (50,) classes or how many test images are right.

    Args:
        views: in place of the one, single view.
        labels: (50,) of the images, in place of ``labels_of``.
        changes: of the config, which is the ladder's recipe on synthetic faces.
        clean: False marks the first 20 test images as copies of training images.
    """
    predicted = predictions(predicted, classes=classes) if isinstance(predicted, int) else predicted
    if labels is None:
        labels = np.concatenate([labels_of(VALIDATION, classes), labels_of(TEST, classes)])
    data = DataConfig(dataset="synthetic", faces=100) if classes == 7 else DataConfig(dataset="folders", classes=classes)
    parts = {"data": data, "model": ModelConfig(name=name)} | (changes or {})
    config = load_recipe("ladder").run(name=name, seed=seed, **parts)
    count = VALIDATION + TEST
    place = np.arange(count)
    table = pd.DataFrame({
        "row": (first_row + place).astype(np.int32), "split": np.where(place < VALIDATION, "validation", "test"),
        "label": labels.astype(np.int8),
        "copy_in_train": (place >= VALIDATION) & (place < VALIDATION + 20) & (not clean),
        "copy_in_validation": np.zeros(count, dtype=bool),
    })  # fmt: skip
    views = views or {"last_single": evaluation.stored(log_probabilities(predicted, sure, classes))}
    folder = folder / f"{name}-{seed}"
    folder.mkdir(parents=True)
    saved = store.save(
        folder, config, history=two_epochs() if history is None else history, table=table, views=views,
        metrics=evaluation.score(table, views, class_names(classes), config), cam=cam,
        env={"seconds": 90.0, "device": "cpu: test", "commit": "abc", "precision": "32-true", "torch": "2.0"} | (env or {}),
    )  # fmt: skip
    return store.Record(saved.folder, published)


def rewrite(folder: Path, name: str, content: str | bytes) -> store.Record:
    """Give a part of a local record another content, as a run would have written it, and read the record afresh."""
    record_files.write_parts(folder, {name: content}, record_files.listed(folder))
    return store.Record(folder, published=False)


def two_epochs(last_validation_loss: float = 1.5) -> pd.DataFrame:
    """A history of two epochs."""
    return pd.DataFrame({
        "epoch": [1, 2], "train_loss": [2.0, 1.0], "train_accuracy": [0.2, 0.6],
        "validation_loss": [1.9, last_validation_loss], "validation_accuracy": [0.25, 0.5],
    })  # fmt: skip
