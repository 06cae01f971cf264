"""Networks learn, are scored and explained on whatever classes a set has."""

from __future__ import annotations

import numpy as np
import pytest

from fer_study import store
from fer_study.data.faceset import FaceSet
from fer_study.data.labels import EIGHT, FER2013
from fer_study.jobs import train
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import DataConfig, LossConfig, PhaseConfig, RunConfig

SIXTEEN = tuple(f"compound {number}" for number in range(16))
SPLIT = np.repeat(["train", "validation", "test"], [160, 40, 80])


def faces_of(classes: tuple[str, ...]) -> FaceSet:
    """Half the images are of the last class, which is bright; the others are dark."""
    count = len(SPLIT)
    labels = np.where(np.arange(count) % 2, len(classes) - 1, np.arange(count) // 2 % len(classes))
    images = np.random.default_rng(0).integers(0, 100, (count, 1, 16, 16))
    images[labels == len(classes) - 1] += 150
    ids = np.arange(count).astype(str)
    return FaceSet("made", images.astype(np.uint8), labels, SPLIT, ids, classes=classes)


def trained(make, classes: tuple[str, ...], scheme: str) -> store.Record:
    faces = faces_of(classes)
    config: RunConfig = make(
        data=DataConfig(dataset="made", fingerprint=faces.fingerprint, classes=8 if classes == EIGHT else 7),
        loss=LossConfig(class_weights=scheme),
        phases=(PhaseConfig(epochs=4, lr=5e-3),),
    )
    with store.locked(config.key) as folder:
        return train.train_and_predict(config, faces, folder)


@pytest.mark.parametrize("scheme", ["none", "inverse", "heavy"])
@pytest.mark.parametrize("classes", [("fear", "happy"), FER2013[1:4], EIGHT, (*SIXTEEN, "disgust")], ids=len)
def test_any_number_of_classes_is_trained_and_scored(classes, scheme, runs_folder, tiny_run):
    record = trained(tiny_run, classes, scheme)
    scores = record.metrics["last_single"]["test"]
    assert {name for name in scores if name.startswith("recall_")} == {f"recall_{c}" for c in classes}
    assert record.predictions.views["last_single"].shape == (120, len(classes))
    if record.cam:  # a network of few steps may have empty maps only
        assert record.cam["maps"].shape[0] == len(record.cam["counts"]) == len(classes)


def test_a_class_beyond_the_seven_is_explained(runs_folder, tiny_run):
    record = trained(tiny_run, EIGHT, "none")
    assert record.cam["counts"][-1] >= 30 and np.isfinite(record.cam["maps"][-1]).all()
    assert np.isnan(record.cam["maps"][:-1]).all(), "of the others there are too few images"


def test_heavy_weights_need_a_class_that_they_weigh(runs_folder, tiny_run):
    with pytest.raises(InputError, match="compound 0"):
        trained(tiny_run, SIXTEEN, "heavy")
