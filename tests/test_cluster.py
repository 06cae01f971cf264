"""A Dask cluster of this machine: scheduler and workers in processes and folders of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("distributed")

from fer_study import store
from fer_study.data.twin import synthetic
from fer_study.jobs import cluster, plan, queue, train
from fer_study.jobs.job import job_for
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import DataConfig
from step_jobs import check_what_needs_a_failed_job

SHIFTED = ["unshare", "-T", "--monotonic", "864000"]
"""What a command is put behind, so that its machine seems to be up ten days longer than this one."""


def dask(kind: str, *arguments: str, folder: Path, before: tuple[str, ...] = ()) -> subprocess.Popen:
    command = [*before, sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments, "--no-dashboard"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_STUDY")}
    environment["PYTHONPATH"] = str(Path(__file__).parent)
    with (folder / f"{kind}.log").open("a") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts a scheduler, and workers in folders elsewhere; all of them end with the tests."""
    started = []

    def scheduler() -> str:
        folder = tmp_path_factory.mktemp("scheduler")
        file = folder / "scheduler.json"
        started.append(dask("scheduler", "--scheduler-file", str(file), "--port", "0", folder=folder))
        end = time.monotonic() + 60
        while not (file.is_file() and file.read_text()):
            assert time.monotonic() < end
            time.sleep(0.1)
        return str(file)

    def worker(file: str, *arguments: str, before: tuple[str, ...] = ()) -> Path:
        folder = tmp_path_factory.mktemp("worker")
        words = ("--scheduler-file", file, "--nworkers", "1", "--nthreads", "1", *arguments)
        started.append(dask("worker", *words, folder=folder, before=before))
        return folder

    yield type("Start", (), {"scheduler": staticmethod(scheduler), "worker": staticmethod(worker)})
    for process in reversed(started):
        stop(process)


@pytest.fixture(scope="module")
def one_worker(start):
    """The file of a scheduler that has one worker with the resource, and the folder that this worker is in; its clock is
    another one where the system allows that."""
    able = shutil.which("unshare") and subprocess.run([*SHIFTED, "true"], capture_output=True).returncode == 0
    file = start.scheduler()
    return file, start.worker(file, "--resources", "GPU=1", before=tuple(SHIFTED) if able else ())


def test_who_cannot_train_is_refused_with_the_command_that_can(start, tiny_run, runs_folder, monkeypatch):
    file = start.scheduler()
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)

    def refused() -> str:
        with pytest.raises(InputError) as refusal:
            plan.train_jobs([job_for(tiny_run())], scheduler_file=file)
        assert f"dask worker --scheduler-file {file} " in str(refusal.value) and "\n" not in str(refusal.value)
        assert "--resources GPU=1" in str(refusal.value)
        return str(refusal.value)

    assert "no workers" in refused()
    start.worker(file)
    end = time.monotonic() + 60
    while "none of its 1 workers" not in refused():
        assert time.monotonic() < end
    assert not list(runs_folder.glob("*/done"))


def place() -> tuple[int, str]:
    return os.getpid(), os.environ["FER_STUDY_RUNS"]


def test_one_worker_trains_and_the_record_comes_to_the_caller(one_worker, tiny_run, tmp_path, monkeypatch):
    """The store is named relative to the folder of the caller, the minutes are of the worker's own clock."""
    file, folder = one_worker
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_STUDY_RUNS", "mine")
    monkeypatch.setattr(queue, "run", lambda *_, **__: pytest.fail("trained by the caller"))
    job = tiny_run()
    assert plan.train_jobs([job_for(job)], scheduler_file=file, deadline=time.monotonic() + 600) == (1, 0)
    assert (tmp_path / "mine" / job.key / "done").is_file() and store.lookup(job.key).config == job
    assert not [path for path in folder.rglob("*") if path.name in ("done", "runs", "mine")]
    assert re.search(r"2/2", (folder / "worker.log").read_text()), "the bar of the epochs is the worker's"


def test_data_is_found_from_another_folder(one_worker, tiny_run, runs_folder, tmp_path, monkeypatch):
    faces = synthetic.make(100, style="lab", processes=1)
    for i, image in enumerate(faces.images[:, 0]):
        place = tmp_path / "faces" / "folders" / faces.split[i] / faces.classes[faces.labels[i]] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    monkeypatch.chdir(tmp_path)
    mark = train.faces_of(DataConfig(dataset="folders"), "faces").fingerprint
    job = tiny_run(data=DataConfig(dataset="folders", fingerprint=mark))
    assert plan.train_jobs([job_for(job)], scheduler_file=one_worker[0], root="faces") == (1, 0)
    assert store.lookup(job.key).metrics["last_single"]["test"]["n"] == (faces.split == "test").sum()


def test_a_worker_without_our_folders_is_named(one_worker, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    gone = str(tmp_path / "of_another_machine")
    with cluster.connected(one_worker[0], {"FER_STUDY_RUNS": gone}) as workers, pytest.raises(InputError) as refusal:
        next(workers.each(place, [()]))
    assert f"{gone}: " in str(refusal.value) and re.search(r"worker tcp://\S+", str(refusal.value))


def test_tasks_are_taken_as_workers_become_free(one_worker, tmp_path):
    taken = []

    def tasks():
        for _ in range(3):
            taken.append(time.monotonic())
            yield ()

    with cluster.connected(one_worker[0], {"FER_STUDY_RUNS": str(tmp_path)}) as workers:
        found = []
        for _, result in workers.each(place, tasks()):
            found.append(result)
            assert len(taken) == len(found)
    ((process, runs_folder),) = set(found)
    assert process != os.getpid() and runs_folder == str(tmp_path)


def test_what_needs_a_job_that_failed_on_a_worker_is_left_out(one_worker, runs_folder, caplog, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 120.0)
    check_what_needs_a_failed_job(runs_folder, caplog, scheduler_file=one_worker[0])
