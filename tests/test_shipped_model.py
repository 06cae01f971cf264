"""The one trained network in the repository is small, is what its record says, and says of itself what its record says."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

import fer_study
from fer_study import inference, store
from fer_study.analysis import metrics
from fer_study.data.twin.portraits import draw_portraits
from fer_study.inference import card, model_folder
from fer_study.inference.model_folder import SHIPPED
from fer_study.settings.checkout import ROOT
from fer_study.store.diff import whole_key

MODEL = SHIPPED / model_folder.WEIGHTS


@pytest.fixture(scope="module")
def shipped():
    return inference.load(SHIPPED)


def test_it_is_small_and_the_only_one():
    assert MODEL.stat().st_size < 6e6
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    ends = (".safetensors", ".pt", ".pth", ".pkl", ".ckpt", ".onnx", ".h5", ".hdf5", ".tflite")
    assert [name for name in listed if name.endswith(ends)] == [MODEL.relative_to(ROOT).as_posix()]


def test_its_card_and_its_settings_say_what_the_published_record_says(shipped):
    settings = shipped.settings
    record = store.lookup(whole_key(settings.record))
    assert record.published and record.config.model.replace(weights="scratch") == settings.network
    assert record.config.data.fingerprint == settings.fingerprint and record.config.seed == settings.seed
    again = card.test_scores(settings, record.predictions.views["last_single"])
    assert settings.scores.keys() == again.keys()
    for name, scores in again.items():
        assert settings.scores[name] == pytest.approx(scores), name
    text = card.card(settings, MODEL.stat().st_size, "models")
    said = (SHIPPED / model_folder.CARD).read_text(encoding="utf-8")
    assert said.partition("## Use")[0] == text.partition("## Use")[0]
    predictions, rows = record.predictions, record.predictions.subset("validation")
    labels = predictions.table["label"].to_numpy().astype(int)[rows]
    assert settings.temperature == pytest.approx(metrics.temperature(predictions.views["last_single"][rows], labels))


def test_it_is_what_predict_uses(shipped):
    image = draw_portraits([3], np.zeros((1, 15)))[0]
    table = fer_study.predict(image, whole=True)
    ours = inference.predict(image, shipped, whole=True)
    assert np.allclose(table[list(shipped.settings.classes)], ours[list(shipped.settings.classes)])
