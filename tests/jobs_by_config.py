"""Jobs of a config, as the queue makes them, and of the command of a claim."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import yaml

from fer_study import store
from fer_study.analysis import claim_rows
from fer_study.jobs import editions, job, train
from fer_study.jobs.job import Job
from fer_study.jobs.stages import check_stage
from fer_study.settings.experiment import RunConfig
from fer_study.settings.frozen import Frozen
from fer_study.training import loop
from fer_study.training.sources import faces_of


def run_job(config: Frozen, on_epoch: Callable | None = None, **given: object) -> store.Record:
    """Take it from the store, or make it; a training may be watched, epoch by epoch."""
    wanted = job.job_for(config)
    if on_epoch is None:
        return job.run(wanted, **given)
    with store.locked(wanted.key) as folder:
        faces = faces_of(wanted.config.data)
        return train.train_and_predict(wanted.config, faces, folder, on_epoch=on_epoch, **given)


def asked_jobs(system: claim_rows.System) -> list[Job]:
    """The jobs of the command that an open claim names."""
    words = iter(shlex.split(system.parameters))
    given = {name: yaml.safe_load(value) for word, name, value in zip(words, words, words, strict=True) if word == "-p"}
    return check_stage(system.stage, {"edition": "fer2013", **editions.parameters("fer2013", system.stage), **given}).jobs()


def stop_after_one_epoch(config: RunConfig, monkeypatch: pytest.MonkeyPatch, **given) -> None:
    """Begin a training whose time is over when its first epoch is."""
    clock = iter([0.0, 2.0])
    stopped = SimpleNamespace(monotonic=clock.__next__, perf_counter=time.perf_counter, process_time=time.process_time)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", stopped)
        with pytest.raises(loop.OutOfTime, match=f"stopped after epoch 1 of {config.epochs}"):
            run_job(config, deadline=1.0, **given)
