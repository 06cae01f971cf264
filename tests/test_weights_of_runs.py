"""Weights of finished runs: found by key, refused for other networks, and trained from in phases."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from safetensors.torch import save as as_safetensors

from conftest import OPTIONS
from fer_study import cli, store
from fer_study.analysis.metrics import log_loss
from fer_study.book import execute
from fer_study.jobs import plan, queue
from fer_study.jobs.job import job_for
from fer_study.models import create_model
from fer_study.settings.experiment import EmaConfig, ModelConfig, PhaseConfig, RunConfig
from fer_study.store import record_files
from fer_study.training import loop, weights
from fer_study.training.checkpoint import copy_state
from fer_study.training.sources import faces_of
from fer_study.training.weights import SourceMissing, trained_network
from jobs_by_config import run_job, stop_after_one_epoch
from page_records import rewrite
from weight_files import EMOTION, load_into, one_line


@pytest.fixture(scope="module")
def source_store(tmp_path_factory):
    return tmp_path_factory.mktemp("source")


@pytest.fixture
def source(source_store, tiny_run, monkeypatch):
    """The record of a finished run, in a store that tests of this file share."""
    monkeypatch.setenv("FER_STUDY_RUNS", str(source_store))
    return run_job(tiny_run(ema=EmaConfig(decay=0.9)))


def test_a_run_is_found_by_its_key_and_predicts_what_it_stored(source):
    config, model = trained_network(source.key)
    assert config == source.config and not model.training
    faces, table = faces_of(config.data), source.predictions.table
    images, tested = torch.from_numpy(faces.images[table["row"].to_numpy()]), (table["split"] == "test").to_numpy()
    for kind in ("last", "ema"):
        _, model = trained_network(source.key, kind)
        found = loop.log_probabilities(model, images, config.augment, config.model.input_size)
        loss = log_loss(found[tested], table["label"].to_numpy()[tested])
        assert loss == pytest.approx(source.metrics[f"{kind}_single"]["test"]["log_loss"], abs=0.01), kind
        if kind == "last":
            stored = source.predictions.views["last_single"]
            assert abs(found - stored).max() < 0.01  # half precision, and bfloat16 where the hardware has it
    same = [torch.equal(a, b) for a, b in zip(load_file(source.weights("last")).values(),
                                              load_file(source.weights("ema")).values(), strict=True)]  # fmt: skip
    assert not all(same)


def test_the_trained_network_a_run_has_the_channels_of_its_images(runs_folder, tiny_run):
    config = tiny_run(model=ModelConfig(name="timm:test_convnext", input_size=32))
    run_job(config)
    state = create_model(config.model, 7, 3).state_dict()
    rewrite(store.lookup(config.key).folder, "last.safetensors", as_safetensors(state))  # as if trained on colour
    assert trained_network(config.key)[1](torch.rand(1, 3, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize("kind", ["", ":last", ":best", ":ema", ":mean"])
def test_weights_of_a_run_give_its_logits(source, kind):
    config = source.config.model.replace(weights=f"run:{source.key}{kind}")
    model, report = load_into(config)
    images = torch.rand(2, 1, 16, 16)
    assert torch.equal(model(images), trained_network(source.key, kind[1:] or "last")[1](images))
    assert report["file"] == f"{kind[1:] or 'last'}.safetensors" and report["source"] == config.weights
    assert config.weights == f"run:{source.key}{kind.replace(':last', '')}"  # last is the default, so it has one name


def test_a_run_of_another_network_is_refused(source, tiny_run):
    def other(**changes: object) -> ModelConfig:
        return source.config.model.replace(weights=f"run:{source.key}", **changes)

    options = source.config.model.options
    one_line("they are of emotion_cnn, this network is kernel_cnn", load_into, other(name="kernel_cnn"))
    one_line("dropout is 0.25 there, 0.1 in this network", load_into, other(options={**options, "dropout": 0.1}))
    one_line(r"of another network: 1 \(head\.1\.weight", load_into, other(input_size=32))
    one_line("of 7 classes, this network has 8", load_into, other(), 8)
    free = other(options={**options, "dropout": 0.1}).replace(weights=str(source.weights("last")))
    report = load_into(free)[1]  # by its path it is meant
    assert report["loaded"] == len(load_file(source.weights("last"))) and report["fresh"] == []


def test_a_run_without_weights_here(runs_folder, tiny_run):
    one_line(r"run \(0123456789abcdef\) is not trained", trained_network, "0" + "123456789abcdef", kind=SourceMissing)
    assert "no edition lists it" in queue.train_command("0123456789abcdef")
    record = run_job(tiny_run())
    one_line("has no ema weights, allowed: last, best, mean", trained_network, record.key, "ema")
    for kind in ("last", "best", "mean"):
        record.weights(kind).unlink()  # what a published record looks like
    one_line("has a record without weights$", trained_network, record.key, kind=SourceMissing)


def test_a_record_that_is_no_network(runs_folder, tiny_run):
    configs = {record.key: record.config for record in store.records()}
    published = {c.model.name if isinstance(c, RunConfig) else type(c).__name__: key for key, c in configs.items()}
    one_line("a record of hog_svm, not of a network", trained_network, published["hog_svm"])
    one_line("a record of AuditConfig, not of a network", trained_network, published["AuditConfig"])
    run = tiny_run(model=ModelConfig(name="hog_svm", weights="imagenet"), phases=())
    one_line("model hog_svm: weights are 'imagenet', allowed: scratch", run_job, run)


@pytest.mark.parametrize("kind", weights.KINDS)
def test_a_file_of_a_run_names_its_network(source, kind):
    """Each kind, with every option spelled out."""
    with safe_open(source.weights(kind), "pt") as file:
        written = json.loads(file.metadata()[weights.NETWORK])
    assert written == {"name": "emotion_cnn", "options": OPTIONS}
    assert load_into(source.config.model.replace(weights=str(source.weights(kind))))[1]["file"] == f"{kind}.safetensors"


def test_a_file_of_another_network_with_the_same_tensors_is_refused(source, tiny_run):
    """``baseline_cnn`` is ``emotion_cnn`` without dropout: every name and shape is the same."""
    other = source.config.model.replace(name="baseline_cnn", weights=str(source.weights("last")))
    words = "last.safetensors holds weights of emotion_cnn, this network is baseline_cnn"
    one_line(words, load_into, other)
    one_line(words, weights.check, tiny_run(model=weights.pin(other)))


THREE = (
    PhaseConfig(epochs=1, lr=1e-3, unfreeze=1),
    PhaseConfig(epochs=1, lr=1e-3, unfreeze=2),
    PhaseConfig(epochs=1, lr=1e-4),
)


def test_progressive_unfreezing_starts_from_the_weights_of_a_run(source, tiny_run, monkeypatch, caplog):
    """The first phase moves the head only, the second one stage more: what they leave alone is the source's to the bit."""
    before, states = load_file(source.weights("last")), []
    config = tiny_run(model=source.config.model.replace(weights=f"run:{source.key}"), phases=THREE)
    with caplog.at_level(logging.INFO):
        record = run_job(config, on_epoch=lambda model, row: states.append(copy_state(model)))
    moved = [{n.split(".")[0] + n.split(".")[1] * n.startswith("blocks") for n in s if not torch.equal(s[n], before[n])}
             for s in states]  # fmt: skip
    assert moved == [{"head"}, {"head", "blocks2"}, {"head", "blocks2", "blocks1", "blocks0"}]
    note = record.env["initial_weights"]
    assert note["source"] == f"run:{source.key}" and note["loaded"] == len(before) and note["fresh"] == []
    assert note["sha256"] == record_files.sha256(source.weights("last"))
    assert f"tiny: weights run:{source.key} (last.safetensors" in caplog.text
    assert "initial_weights" not in source.env


def test_a_resumed_run_goes_on_from_its_checkpoint_without_its_first_weights(source, tiny_run, monkeypatch, tmp_path):
    path = tmp_path / "start.safetensors"
    path.write_bytes(source.weights("last").read_bytes())
    config = tiny_run(model=weights.pin(source.config.model.replace(weights=str(path))), phases=THREE, seed=3)
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "straight"))
    whole = run_job(config)
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "stopped"))
    stop_after_one_epoch(config, monkeypatch)
    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(weights, "load", lambda *_: pytest.fail("loaded again"))
        resumed = run_job(config)
    assert resumed.weights("last").read_bytes() == whole.weights("last").read_bytes()
    assert resumed.env["initial_weights"] == whole.env["initial_weights"]
    scratch = run_job(config.replace(model=config.model.replace(weights="scratch")))
    assert scratch.history["train_loss"].tolist() != whole.history["train_loss"].tolist()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"name": "timm:test_convnext", "weights": "imagenet"}, "no ImageNet weights of test_convnext"),
        ({**EMOTION, "weights": "imagenet"}, "there are no ImageNet weights for it"),
    ],
)
def test_the_command_line_says_it_in_one_line(runs_folder, files, no_hub, tiny_run, monkeypatch, caplog, model, words):
    monkeypatch.setattr(execute, "needed", lambda *_: [job_for(tiny_run(model=ModelConfig(**model)))])
    assert cli.main(["train", "smoke"]) == 2
    errors = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert len(errors) == 1 and words in errors[0] and "\n" not in errors[0]


def test_a_run_whose_source_is_not_trained_yet_is_left_over(runs_folder, tiny_run, monkeypatch, caplog):
    monkeypatch.setattr(store, "published_root", lambda: runs_folder / "none")
    first = tiny_run()
    second = tiny_run(model=first.model.replace(weights=f"run:{first.key}"))
    monkeypatch.setattr(execute, "needed", lambda *_: [job_for(second)])
    with caplog.at_level(logging.INFO):
        assert cli.main(["train", "smoke"]) == 0
    assert f"left over: run ({first.key}) is not trained" in caplog.text
    monkeypatch.setattr(execute, "needed", lambda *_: [job_for(first), job_for(second)])
    assert cli.main(["train", "smoke"]) == 0 and store.lookup(second.key).env["initial_weights"]["loaded"] == 10


def test_weights_that_do_not_fit_are_refused_before_any_run_is_trained(source, runs_folder, tiny_run, monkeypatch):
    """They cost their own run; the others are trained."""
    path, begun = source.weights("last"), []
    monkeypatch.setenv("FER_STUDY_RUNS", str(runs_folder))
    monkeypatch.setattr(queue, "run", lambda job, **_: begun.append(job.key))

    def refused_alone(words: str, wrong: RunConfig) -> None:
        begun.clear()
        one_line(words, plan.train_jobs, [job_for(wrong)])
        with pytest.raises(plan.RunsFailed, match=wrong.key) as failure:
            plan.train_jobs([job_for(tiny_run()), job_for(wrong)])
        assert words in str(failure.value) and begun == [tiny_run().key]

    def refused(words: str, **changes: object) -> None:
        model = ModelConfig(**{**dict(source.config.model), "weights": str(path), **changes})
        refused_alone(words, tiny_run(model=weights.pin(model)))

    refused("last.safetensors holds weights of emotion_cnn, this network is cbam_cnn", name="cbam_cnn", options={})
    refused("there are no ImageNet weights for it", weights="imagenet")
    right = tiny_run(model=weights.pin(source.config.model.replace(weights=str(path))))
    path.rename(path.with_name("moved.safetensors"))
    refused_alone("no file there with SHA-256", right)
    (runs_folder / right.key).mkdir(parents=True)
    (runs_folder / right.key / "checkpoint.pt").touch()
    assert job_for(right).refusal({}) == "", "it goes on from its checkpoint and needs none"
    path.with_name("moved.safetensors").rename(path)


def test_what_may_fit_is_not_refused_early(source, runs_folder, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_STUDY_RUNS", str(runs_folder))
    model = ModelConfig(name="timm:test_convnext", input_size=32)
    save_file(create_model(model, 7, 3).state_dict(), tmp_path / "colour.safetensors")
    later = tiny_run(model=source.config.model.replace(weights=f"run:{source.key}"))  # trained by the time it is wanted
    colour = weights.pin(model.replace(weights=str(tmp_path / "colour.safetensors")))
    for config in (tiny_run(), later, tiny_run(model=colour)):
        weights.check(config)
