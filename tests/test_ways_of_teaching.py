"""Every way of teaching, trained twice: at once, and stopped after its first epoch; the bits are the same."""

from __future__ import annotations

import numpy as np
import pytest

from fer_study import store
from fer_study.data.faceset import FaceSet
from fer_study.jobs import train
from fer_study.jobs.job import job_for
from fer_study.jobs.obstacles import obstacles
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import AugmentConfig, EmaConfig, LossConfig, SamplingConfig
from fer_study.training import weights
from jobs_by_config import run_job, stop_after_one_epoch
from test_train import same

WAYS = {
    "square roots": {"loss": {"class_weights": "square_root"}},
    "effective numbers": {"loss": {"class_weights": "effective_number", "effective_beta": 0.99}},
    "focal": {"loss": {"focal_gamma": 2.0, "class_weights": "inverse", "cutmix": 1.0}},
    "adjusted": {"loss": {"logit_adjustment": 1.0, "label_smoothing": 0.1, "mixup": 0.4}},
    "balanced": {"sampling": {"balanced": True}},
    "rare three times": {"sampling": {"rare": "disgust+fear", "times": 3, "rotate": 35.0, "shear": 25.0}},
    "votes beside labels": {"loss": {"votes_weight": 1.0, "mixup": 0.4}},
    "votes and cutmix": {"loss": {"votes_weight": 1.0, "cutmix": 1.0}},
    "taught by two": {"loss": {"temperature": 2.0, "hard_share": 0.5, "votes_weight": 0.5}},
}


@pytest.fixture(autouse=True)
def _float32(monkeypatch):
    monkeypatch.setenv("FER_STUDY_PRECISION", "32-true")


@pytest.mark.parametrize("way", WAYS)
def test_stopped_or_not_it_gives_the_same_bits(way, tmp_path, monkeypatch, tiny_run):
    loss, sampling = (WAYS[way].get(part, {}) for part in ("loss", "sampling"))
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "teachers"))
    if way == "taught by two":
        loss = loss | {"teacher": "+".join(run_job(tiny_run(seed=seed)).key for seed in (1, 2))}
        networks = {key: weights.trained_network(key) for key in loss["teacher"].split("+")}
        monkeypatch.setattr(train, "trained_network", networks.__getitem__)
    config = tiny_run(
        loss=LossConfig(**loss), sampling=SamplingConfig(**sampling), augment=AugmentConfig(flip=0.5, rotate=10.0),
        ema=EmaConfig(decay=0.9), clip=1.0,
    )  # fmt: skip
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "at once"))
    whole = run_job(config)
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "stopped"))
    stop_after_one_epoch(config, monkeypatch)
    assert store.lookup(config.key) is None
    same(whole, run_job(config))
    assert np.isfinite(whole.history["train_loss"]).all()
    assert not any("votes" in name for name in weights.read(whole.weights("last"))), "the second head is dropped"
    plain = tiny_run(augment=config.augment, ema=config.ema, clip=1.0)
    assert plain.key != config.key
    assert not np.array_equal(run_job(plain).predictions.views["last_single"], whole.predictions.views["last_single"])


def test_votes_asked_of_data_without_votes_are_refused(runs_folder, tiny_run):
    """By name, before anything is trained; the plan knows it too."""
    labels = np.arange(140) % 7
    images = np.random.default_rng(0).integers(0, 256, (140, 1, 16, 16), dtype=np.uint8)
    split = np.repeat(["train", "validation", "test"], [100, 20, 20])
    faces = FaceSet("made", images, labels, split, np.arange(140).astype(str))
    config = tiny_run(loss=LossConfig(votes_weight=1.0))
    with store.locked(config.key) as folder, pytest.raises(InputError, match="made: targets are votes, but the data has"):
        train.train_and_predict(config, faces, folder)
    assert not list(runs_folder.glob("*/checkpoint.pt"))
    assert job_for(config).data() == (config.data.replace(targets="votes"),)
    assert job_for(tiny_run()).data() == (config.data,)
    assert not obstacles([job_for(config)]), "drawn faces have votes"


def test_a_job_needs_its_teachers(runs_folder, tiny_run):
    """They are named where one is missing, before anything is trained."""
    keys = "0123456789abcdef", "fedcba9876543210"
    config = tiny_run(loss=LossConfig(teacher="+".join(keys)))
    assert job_for(config).needs() == keys and job_for(tiny_run()).needs() == ()
    with pytest.raises(weights.SourceMissing, match=keys[0]):
        run_job(config)
    assert not list(runs_folder.glob("*/checkpoint.pt"))
