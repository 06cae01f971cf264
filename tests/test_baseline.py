"""HOG features, the linear machine and its probabilities."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from fer_study import store
from fer_study.analysis.metrics import log_loss
from fer_study.data.labels import FER2013
from fer_study.jobs import baseline, evaluation
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import ModelConfig
from jobs_by_config import run_job


@pytest.fixture
def config(tiny_run):
    options = {"pixels_per_cell": 8, "orientations": 9, "C": 0.01}
    return tiny_run(name="hog_svm", model=ModelConfig(name="hog_svm", options=options), phases=())


def test_features_of_an_edge():
    image = np.zeros((1, 1, 48, 48), np.uint8)
    image[..., 24:] = 200  # one vertical edge: gradients along x only
    found = baseline.features(image)
    assert found.shape == (1, 900) and found.dtype == np.float32
    energy = found.reshape(5 * 5 * 4, 9).sum(axis=0)
    assert energy.argmax() == 0 and energy[1:].max() == 0  # all of it in the bin of horizontal gradients
    by_cell = found.reshape(5, 5, 2, 2, 9).sum(axis=-1)
    assert by_cell[:, 0].max() == 0 and by_cell[:, 2].min() > 0  # only cells that touch the edge


def test_features_ignore_brightness_and_average_channels():
    images = np.random.default_rng(0).integers(0, 100, (3, 1, 48, 48), dtype=np.uint8)
    assert np.allclose(baseline.features(images), baseline.features(images + 50), atol=1e-4)
    assert np.allclose(baseline.features(images), baseline.features(np.repeat(images, 3, axis=1)))


def test_temperature_is_the_best_one_and_changes_no_prediction():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 5)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probabilities.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    heat = baseline.temperature(logits * 3, labels)
    assert heat == pytest.approx(3, rel=0.05)
    for other in (heat * 0.9, heat * 1.1):
        assert log_loss(logits * 3 / heat, labels) < log_loss(logits * 3 / other, labels)
    assert baseline.temperature(logits[:0], labels[:0]) == 1.0


def test_a_record_like_any_other(runs_folder, config):
    record = run_job(config)
    predictions = record.predictions
    assert list(predictions.views) == ["last_single"] and len(predictions.table) == 20
    assert np.allclose(np.exp(predictions.views["last_single"]).sum(axis=1), 1, atol=2e-3)
    assert json.loads(json.dumps(record.env))["images_per_second"] > 0
    assert len(record.history) == 0 and record.cam == {}
    again = evaluation.score(predictions.table, predictions.views, FER2013, config)
    assert record.metrics["last_single"]["test"]["accuracy"] == again["last_single"]["test"]["accuracy"]
    assert store.lookup(config.key).config == config


def test_the_test_split_takes_no_part(runs_folder, config, monkeypatch, tmp_path):
    faces = baseline.faces_of(config.data)
    monkeypatch.setattr(baseline, "faces_of", lambda *_: faces)
    first = run_job(config)
    labels = faces.labels.copy()
    labels[faces.split == "test"] = 0
    other = dataclasses.replace(faces, labels=labels)
    monkeypatch.setattr(baseline, "faces_of", lambda *_: other)
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "second"))
    second = run_job(config)
    assert np.array_equal(first.predictions.views["last_single"], second.predictions.views["last_single"])
    assert (second.predictions.table["label"][10:] == 0).all()


def test_it_learns(runs_folder, config):
    """Faces drawn in the lab are told apart far better than chance."""
    from fer_study.data.twin import synthetic

    mark = synthetic.fingerprint(600, 0, "lab")
    data = config.data.model_copy(update={"faces": 600, "style": "lab", "fingerprint": mark})
    model = ModelConfig(name="hog_svm", options={"C": 0.1})
    record = run_job(config.model_copy(update={"data": data, "model": model}))
    assert record.metrics["last_single"]["merged"]["accuracy"] > 0.4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"depth": 1}, "unknown option 'depth'; allowed: pixels_per_cell"),
        ({"C": 0}, "C is 0, expected a number above 0"),
        ({"C": float("nan")}, "C is nan"),
        ({"C": True}, "C is True"),
        ({"pixels_per_cell": 8.5}, "pixels_per_cell is 8.5, expected a whole number"),
        ({"orientations": "9"}, "orientations is '9'"),
    ],
)
def test_wrong_options_are_refused(runs_folder, config, options, words):
    with pytest.raises(InputError, match=words):
        run_job(config.model_copy(update={"model": ModelConfig(name="hog_svm", options=options)}))


def test_votes_are_refused(runs_folder, config):
    with pytest.raises(InputError, match="targets are 'votes', allowed: labels"):
        run_job(config.model_copy(update={"data": config.data.model_copy(update={"targets": "votes"})}))
