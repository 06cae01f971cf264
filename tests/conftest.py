"""What several tests share: a scratch store and small configs."""

from __future__ import annotations

import sys
import threading

import pytest

from fer_study.settings.experiment import DataConfig, ModelConfig, PhaseConfig, RunConfig

collect_ignore = []
if sys.platform == "win32":  # these kill processes, limit them or measure them, as only Unix can
    names = ("damage", "imports", "processes", "scale", "smoke_edition", "speed", "train")
    collect_ignore = [f"test_{name}.py" for name in names]

OPTIONS = {"width": 0.125, "hidden": 8, "dropout": 0.25, "head_dropout": 0.5}


@pytest.fixture
def runs_folder(tmp_path, monkeypatch):
    """An empty store of this test alone."""
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """An empty ``results/`` of this test alone."""
    from fer_study import store

    monkeypatch.setattr(store, "published_root", lambda: tmp_path / "results")
    store._warn_once.cache_clear()
    return tmp_path / "results"


@pytest.fixture
def tiny_run():
    """Maker of a run that takes a second: 100 synthetic faces, a narrow network, two epochs; keywords change fields."""

    def make(**changes: object) -> RunConfig:
        from fer_study.data.twin import synthetic

        mark = synthetic.fingerprint(100, 0, "wild")
        parts = {
            "name": "tiny",
            "data": DataConfig(dataset="synthetic", faces=100, style="wild", fingerprint=mark),
            "model": ModelConfig(name="emotion_cnn", options=OPTIONS, input_size=16),
            "phases": (PhaseConfig(epochs=2, lr=1e-3),),
            "batch_size": 16,
        }
        return RunConfig(**{**parts, **changes})

    return make


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The folder of local weights, of this test alone."""
    monkeypatch.setenv("FER_STUDY_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture
def no_hub(monkeypatch):
    """Questions to the hub, all of which fail as they do without a network."""
    import huggingface_hub

    calls = []

    def fails(*given: object, **named: object) -> str:
        calls.append(given)
        raise ConnectionError("no network")

    for name in ("get_hf_file_metadata", "hf_hub_download"):
        monkeypatch.setattr(huggingface_hub, name, fails)
    return calls


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "model"


@pytest.fixture
def model(model_folder, tiny_run, monkeypatch):
    """A small trained network that tells faces apart, read from its folder."""
    from fer_study import inference
    from jobs_by_config import run_job

    if not model_folder.is_dir():
        monkeypatch.setenv("FER_STUDY_RUNS", str(model_folder.parent / "runs"))
        run = tiny_run(phases=(PhaseConfig(epochs=25, lr=3e-3),))
        inference.save(inference.from_record(run_job(run).key), model_folder)
    return inference.load(model_folder)


@pytest.fixture
def serve(model):
    """Start a demo of it; it ends with the test."""
    from fer_study.inference.demo import Demo

    started = []

    def start(**given: object) -> Demo:
        server = Demo(model, **given)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()
