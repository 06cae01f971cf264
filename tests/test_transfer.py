"""Zero-shot transfer of a run's weights."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from fer_study import store
from fer_study.data.twin import synthetic
from fer_study.jobs import plan, stages, train, transfer
from fer_study.jobs.job import job_for
from fer_study.settings.experiment import CostConfig, TransferConfig
from fer_study.training.weights import SourceMissing
from jobs_by_config import run_job


@pytest.fixture
def config(tiny_run):
    mark = synthetic.fingerprint(100, 0, "lab")
    target = tiny_run().data.model_copy(update={"style": "lab", "fingerprint": mark})
    return TransferConfig(name="wild -> lab", run=tiny_run(), target=target)


def test_without_weights_it_says_what_to_do(runs_folder, config, tmp_path, monkeypatch):
    with pytest.raises(SourceMissing, match=rf"tiny \({config.run.key}\) is not trained$") as caught:
        run_job(config)
    assert "\n" not in str(caught.value)
    record = run_job(config.run)
    for kind in ("last", "best", "mean"):
        record.weights(kind).unlink()  # what a published record looks like
    with pytest.raises(SourceMissing, match="has a record without weights"):
        run_job(config)
    assert store.lookup(config.key) is None


def test_the_command_names_edition_and_run(runs_folder, caplog):
    job = next(job for job in stages.edition_jobs("smoke") if job.model == "transfer")
    (run,) = job.needs()
    with caplog.at_level("INFO"):
        assert plan.train_jobs([job]) == (0, 1)
    assert f"is not trained; train it with: fer-study train smoke --only '*/{run}'" in caplog.text
    assert any(plan.matches(other, f"*/{run}") for other in stages.edition_jobs("smoke"))


def test_what_is_published_is_trained_again_for_its_weights(runs_folder, published, config, monkeypatch, caplog):
    """Only when it is asked for: the published record stands until then, and stays."""
    source, job = job_for(config.run), job_for(config)
    made = run_job(config.run)
    monkeypatch.setattr(store.Record, "env", {"commit": "abc"})
    store.publish(made)
    shutil.rmtree(runs_folder)
    with caplog.at_level("INFO"):
        assert plan.train_jobs([source]) == (0, 0)
        assert plan.train_jobs([job]) == (0, 1)
    assert "has a record without weights" in caplog.text
    assert replace(job_for(CostConfig(model=config.run.model)), again=True).leaves_weights is False
    again = replace(source, again=True)
    assert source.done and not again.done
    assert plan.train_jobs([again, job]) == (2, 0)
    assert again.done and store.lookup(source.key).weights().is_file()
    assert (store.published_root() / source.key / "done").is_file()


def test_scores_the_test_split_of_the_target(runs_folder, config):
    run_job(config.run)
    record = run_job(config)
    faces, predictions = train.faces_of(config.target), record.predictions
    assert list(predictions.views) == ["last_single", "last_flip"]
    assert predictions.table["row"].tolist() == np.flatnonzero(faces.split == "test").tolist()
    assert predictions.table["label"].tolist() == faces.labels[faces.split == "test"].tolist()
    assert not predictions.table[["copy_in_train", "copy_in_validation"]].to_numpy().any()
    assert {view: list(subsets) for view, subsets in record.metrics.items()} == {
        "last_single": ["test"],
        "last_flip": ["test"],
    }
    assert len(record.history) == 0 and record.config == config


def test_on_its_own_data_it_repeats_the_run(runs_folder, config):
    """The same weights on the same images: the same predictions, to the last bit."""
    source = run_job(config.run)
    record = run_job(config.model_copy(update={"target": config.run.data}))
    rows = source.predictions.subset("test")
    assert np.array_equal(record.predictions.views["last_single"], source.predictions.views["last_single"][rows])
    for view in ("last_single", "last_flip"):
        assert record.metrics[view]["test"] == pytest.approx(source.metrics[view]["test"], rel=0, abs=0, nan_ok=True)


def test_a_set_without_a_test_split_is_used_whole(runs_folder, config):
    faces = train.faces_of(config.target)
    assert len(transfer.test_rows(faces)) == 10
    assert len(transfer.test_rows(faces.select(faces.split != "test"))) == 90


def test_plan_leaves_it_over(runs_folder, config, caplog):
    with caplog.at_level("INFO"):
        assert plan.train_jobs([job_for(config)]) == (0, 1)
    assert "left over: tiny" in caplog.text and "is not trained" in caplog.text
    assert plan.train_jobs([job_for(config), job_for(config.run)]) == (2, 0)  # trainings come first
    assert plan.train_jobs([job_for(config), job_for(config.run)]) == (0, 0)
