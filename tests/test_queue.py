"""What cannot be made is said before hours of training and left out; one run that fails costs itself."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from fer_study import cli, data, store
from fer_study.book import execute
from fer_study.data import official
from fer_study.data.twin import synthetic
from fer_study.jobs import plan, queue, stages
from fer_study.jobs.job import job_for
from fer_study.models import create_model
from fer_study.settings import checkout
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import CostConfig, DataConfig, ModelConfig, TransferConfig
from fer_study.training import sources, weights
from jobs_by_config import run_job
from reader_trees import csv_rows, random_images, random_votes, write_csv, write_votes
from step_jobs import check_what_needs_a_failed_job
from test_cli import params  # noqa: F401


@pytest.fixture
def fer(runs_folder, published, monkeypatch, caplog, capsys):
    """Run a command on given jobs: exit code, standard output, lines of errors."""
    monkeypatch.setenv("FER_STUDY_DATA", "")  # put back what --data sets

    def run(*arguments: str, jobs: list | None = None) -> tuple[int, str, list[str]]:
        if jobs is not None:
            monkeypatch.setattr(execute, "needed", lambda *_: [job_for(config) for config in jobs])
        caplog.clear()
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        errors = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
        assert not any("\n" in error or "Traceback" in error for error in errors)
        return code, capsys.readouterr().out, errors

    return run


@pytest.fixture
def tried(monkeypatch):
    """Keys of the runs that would be trained."""
    keys = []
    monkeypatch.setattr(queue, "run", lambda job, **_: keys.append(job.key))
    return keys


@pytest.fixture
def root(tmp_path):
    """A data root with a set of own faces in folders, which have no votes."""
    faces = synthetic.make(100, style="lab", processes=1)
    for i, image in enumerate(faces.images[:, 0]):
        place = tmp_path / "root" / "folders" / faces.split[i] / faces.classes[faces.labels[i]] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    return tmp_path / "root"


def own_runs(tiny_run, root: Path) -> tuple:
    """A run on own faces, one on their votes, one that it teaches, and one scored elsewhere."""
    config = DataConfig(
        dataset="folders", fingerprint=sources.faces_of(DataConfig(dataset="folders"), str(root)).fingerprint
    )
    plain, votes = tiny_run(data=config), tiny_run(name="votes", data=config.replace(targets="votes"))
    taught = tiny_run(name="taught", loss=plain.loss.replace(teacher=votes.key, distribution="teacher"))
    return plain, votes, taught, TransferConfig(name="scored", run=votes, target=tiny_run().data)


@pytest.mark.parametrize("canonical", [False, True])
def test_a_set_without_votes(fer, tiny_run, root, tried, canonical):
    plain, votes, taught, scored = jobs = own_runs(tiny_run, root)
    if canonical:
        data.import_to(root / "folders", root / "folders.faces")
        shutil.rmtree(root / "folders")
    code, out, errors = fer("--data", root, "plan", "smoke", jobs=jobs)
    rows = {key: line for line in out.splitlines() for key in [x.key for x in jobs] if key in line}
    assert (code, errors) == (0, []) and [("impossible" in rows[job.key]) for job in jobs] == [False, True, True, True]
    assert "1 of 4 jobs left" in out
    (reason,) = [line for line in out.splitlines() if line.startswith("impossible: 3 of 4")]
    assert "votes" in reason and str(root) in reason
    code, _, (error,) = fer("--data", root, "train", "smoke", jobs=jobs)
    assert code == 1 and tried == [plain.key]
    assert all(job.key in error for job in (votes, taught, scored)) and plain.key not in error and str(root) in error
    code, _, (error,) = fer("--data", root, "train", "smoke", jobs=[votes])
    assert code == 2 and votes.key in error, "nothing of the whole call can be made"


def test_fer2013_has_votes_with_its_table_only(fer, tiny_run, tmp_path, tried):
    mark = official.FINGERPRINTS["fer2013"]
    job = tiny_run(data=DataConfig(dataset="fer2013", targets="votes", fingerprint=mark))
    write_csv(tmp_path, csv_rows(random_images()))
    assert "1 of 1 runs: " in fer("--data", tmp_path, "plan", "smoke", jobs=[job])[1]
    code, _, (error,) = fer("--data", tmp_path, "train", "smoke", jobs=[job])
    assert code == 2 and "fer2013new.csv" in error and not tried
    write_votes(tmp_path, random_votes())
    assert "impossible" not in fer("--data", tmp_path, "plan", "smoke", jobs=[job])[1]
    assert fer("--data", tmp_path, "train", "smoke", jobs=[job])[0] == 0 and tried == [job.key]


@pytest.mark.parametrize("other", ["muxspace", "rafdb"])
def test_a_dataset_that_is_not_there_costs_what_needs_it(fer, tmp_path, tried, other):
    """The fingerprint of the one is known without its files, that of the other is not."""
    write_csv(tmp_path, csv_rows(random_images()))
    given = ["06", "-p", "sources", "[fer2013]", "-p", "targets", f"[fer2013, {other}]", "-p", "seeds", "[0]"]
    code, out, errors = fer("--data", tmp_path, "plan", "fer2013", *given)
    assert (code, errors) == (0, []) and out.count("no data") == 1 and f"data: {other} not found in {tmp_path}" in out
    code, _, (error,) = fer("--data", tmp_path, "train", "fer2013", *given)
    (trained,) = [x for x in stages.read_stage("fer2013", "06_cross_dataset").jobs() if x.name == "fer2013" and x.seed == 0]
    assert code == 1 and tried == [trained.key] and f"{other} not found in {tmp_path}" in error


def test_wrong_input_of_one_run_does_not_end_the_queue(fer, tiny_run, monkeypatch):
    jobs, seen = [tiny_run(seed=seed) for seed in range(3)], []

    def second_is_wrong(job, **_):
        seen.append(job.key)
        if len(seen) == 2:
            raise InputError("it cannot be trained so")

    monkeypatch.setattr(queue, "run", second_is_wrong)
    code, _, (error,) = fer("train", "smoke", jobs=jobs)
    assert code == 1 and seen == [job.key for job in jobs]
    assert jobs[1].key in error and "it cannot be trained so" in error and jobs[0].key not in error


def test_data_that_cannot_be_read_is_tried_once(fer, tiny_run, root, monkeypatch):
    """Another set under the same name: what is on other data is trained."""
    wrong = DataConfig(dataset="folders", fingerprint="0" * 16)
    jobs, seen = [*(tiny_run(data=wrong, seed=seed) for seed in range(3)), tiny_run()], []
    run = queue.run
    monkeypatch.setattr(queue, "run", lambda job, **given: (seen.append(job.key), run(job, **given)))
    code, _, (error,) = fer("--data", root, "train", "smoke", jobs=jobs)
    assert code == 1 and seen == [jobs[0].key, jobs[3].key]
    assert error.count("0" * 16) == 1 and all(job.key in error for job in jobs[:3]) and store.lookup(jobs[3].key)


@pytest.mark.parametrize("free", [0, 2**40])
def test_a_full_disk_is_called_that(fer, tiny_run, runs_folder, monkeypatch, free):
    """As torch says it when it cannot write a checkpoint."""

    def full(*_, **__):
        raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 64 vs 0")

    monkeypatch.setattr(queue, "run", full)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    code, _, (error,) = fer("train", "smoke", jobs=[tiny_run()])
    assert code == 1 and tiny_run().key in error
    assert (f"no space left on device: {runs_folder}" in error) == (not free) == ("unexpected pos" not in error)


@pytest.mark.parametrize("command", ["train", "execute"])
@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_store_that_cannot_be_written_is_refused_at_once(fer, tmp_path, tried, monkeypatch, command, below):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FER_STUDY_RUNS", f"{tmp_path}/file{below}")
    monkeypatch.setattr(execute, "attempts", lambda _: pytest.fail("executed"))
    code, _, (error,) = fer(command, "smoke", "03")
    assert code == 2 and not tried and f"{tmp_path}/file" in error and "FER_STUDY_RUNS" in error


def test_each_run_has_the_time_that_is_left_when_it_starts(fer, tiny_run, monkeypatch):
    now, left = [1000.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def takes_a_minute(job, deadline, **_):
        left.append(deadline - now[0])
        now[0] += 60

    monkeypatch.setattr(queue, "run", takes_a_minute)
    jobs = [tiny_run(seed=seed) for seed in range(4)]
    assert fer("train", "smoke", "--minutes", "2.5", jobs=jobs) == (0, "", []) and left == [150, 90, 30]


def test_a_page_of_which_no_run_can_be_made(fer, root, params, monkeypatch):  # noqa: F811
    """It is not executed, and why is said; with another target it is."""
    shutil.copytree(params / "smoke", params / "own")
    (params / "own" / "edition.yaml").write_text("data: {dataset: folders}\nlive: {recipe: smoke, width: 0.25}\n")
    for path in (params / "own").glob("*.yaml"):
        path.write_text(path.read_text().replace("edition: smoke", "edition: own"))
    made = []
    monkeypatch.setattr(execute, "attempts", lambda pages: made.extend(pages) or [])
    monkeypatch.setattr(plan, "train_jobs", lambda *_, **__: (0, 0))
    page = ["--data", root, "execute", "own", "05", "-p", "label_sources", "null", "-p", "targets"]
    code, _, (error,) = fer(*page, "[votes]")
    assert code == 1 and not made and "own" in error and "05_label_distribution" in error and str(root) in error
    assert fer(*page, "[votes, labels]")[0] == 0 and len(made) == 1


def test_what_measures_time_is_made_alone_and_last(runs_folder, tiny_run, monkeypatch):
    """Other processes on its cores would be measured with it."""
    rounds = []

    @contextlib.contextmanager
    def backend(parallel, scheduler_file, root, jobs):
        rounds.append((parallel, scheduler_file, [type(job).__name__ for job in jobs]))
        yield lambda _, tasks: ((task, queue.Outcome("made")) for task in tasks if task)

    monkeypatch.setattr(queue, "backend", backend)
    cost = CostConfig(model=ModelConfig(name="fer48"))
    jobs = [job_for(config) for config in (cost, tiny_run(), tiny_run(seed=1))]
    for several in ({"parallel": 2}, {"scheduler_file": "file"}):
        rounds.clear()
        assert {x.state for x in queue.outcomes_of(jobs, **several).values()} == {"made"}
        assert rounds == [(several.get("parallel", 1), several.get("scheduler_file"), ["Training"] * 2), (1, None, ["Cost"])]


def test_a_record_without_its_maps_is_left_and_not_published(fer, runs_folder, tiny_run, monkeypatch, tmp_path):
    record = run_job(tiny_run())
    (record.folder / store.PENDING).touch()
    monkeypatch.setattr(stages, "edition_jobs", lambda _: [job_for(tiny_run())])
    assert "started" in fer("plan", "smoke", jobs=[tiny_run()])[1]
    code, _, (error,) = fer("publish", "smoke")
    assert code == 1 and record.key in error and "maps" in error and not (tmp_path / "results" / record.key).exists()
    assert fer("train", "smoke", jobs=[tiny_run()])[0] == 0 and job_for(tiny_run()).done
    assert not any("lacks its maps" in error for error in fer("publish", "smoke")[2]), (
        "code that is not committed is another reason"
    )


@pytest.mark.parametrize("missing", ["file", "right"])
def test_weights_that_cannot_be_read_cost_what_starts_from_them(fer, tiny_run, tmp_path, monkeypatch, missing):
    path = tmp_path / "mine.safetensors"
    model = tiny_run().model
    weights.save(create_model(model, 7, 1).state_dict(), model, path)
    jobs = [tiny_run(model=weights.pin(model.replace(weights=str(path)))), tiny_run()]

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    if missing == "file":
        path.unlink()
    else:
        monkeypatch.setattr(weights, "sha256", refuse)
    code, _, (error,) = fer("train", "smoke", jobs=jobs)
    assert code == 1 and str(path) in error and jobs[0].key in error
    assert store.lookup(jobs[1].key) and jobs[1].key not in error


def test_the_commit_of_a_record_is_that_of_the_code_that_was_loaded(runs_folder, tiny_run, monkeypatch):
    """One that is made while it trains is not its own."""
    heads = iter(("aaaaaaaaaa", "", "bbbbbbbbbb", "M fer_study/x.py"))
    monkeypatch.setattr(checkout, "_git", lambda *_: next(heads))
    checkout.commit.cache_clear()
    try:
        assert [run_job(tiny_run(seed=seed)).env["commit"] for seed in (0, 1)] == ["aaaaaaaaaa"] * 2
    finally:
        checkout.commit.cache_clear()


def test_what_needs_a_failed_job_is_left_out(runs_folder, caplog):
    check_what_needs_a_failed_job(runs_folder, caplog)


def test_what_is_published_is_asked_for_by_again(runs_folder, monkeypatch):
    """The command says so, and the command line hands it on."""
    monkeypatch.setattr(queue, "editions", lambda: ["smoke"])
    job = stages.read_stage("smoke", "03_model_comparison").jobs()[0]
    assert queue.train_command(job.key) == f"fer-study train smoke --only '*/{job.key}'"
    monkeypatch.setattr(queue.store, "lookup", lambda key: key == job.key)
    assert queue.train_command(job.key) == f"fer-study train smoke --only '*/{job.key}' --again"
    asked = []
    monkeypatch.setattr(plan, "train_jobs", lambda jobs, **_: asked.append({one.again for one in jobs}) or (0, 0))
    for more in ([], ["--again"]):
        assert cli.main(["train", "smoke", "--only", f"*/{job.key}", *more]) == 0
    assert asked == [{False}, {True}]
