"""What is damaged, moved, half written or lost in a power cut is never shown as if it were whole."""

from __future__ import annotations

import logging
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from fer_study import cli, store
from fer_study.jobs.job import job_for
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import TransferConfig
from fer_study.store import record_files
from fer_study.training import explain, sources
from fer_study.training.checkpoint import CHECKPOINT
from jobs_by_config import run_job
from page_records import make_record, rewrite

PARTS = ("config.json", "history.csv", "predictions.parquet", "metrics.json", "env.json", "cam.npz", "done")
CAM = {"maps": np.zeros((7, 4, 4), np.float16), "counts": np.arange(7)}


def keep(root: Path, record: store.Record) -> store.Record:
    """The record under its key in a store."""
    root.mkdir(exist_ok=True)
    return store.Record(record.folder.rename(root / record.config.key), record.published)


@pytest.fixture
def record(runs_folder, published, tmp_path) -> store.Record:
    return keep(runs_folder, make_record(tmp_path / "made", 30, cam=CAM))


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = {
    "a changed bit": flip,
    "cut short": lambda content: content[: len(content) // 2],
    "empty, as after a power cut": lambda content: b"",
    "more": lambda content: content + b"1\n",
    "zeros": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_record_is_not_shown(record, caplog, part, damage):
    path = record.folder / part
    content = path.read_bytes()
    path.write_bytes(DAMAGES[damage](content))
    assert store.lookup(record.key) is None and store.records() == []
    (message,) = [r.getMessage() for r in caplog.records]
    assert str(path) in message and "\n" not in message
    path.write_bytes(content)
    assert store.lookup(record.key) is not None


@pytest.mark.parametrize("part", PARTS[:-1])
def test_a_record_that_lacks_a_part_is_not_shown(record, caplog, part):
    (record.folder / part).unlink()
    assert store.lookup(record.key) is None
    assert str(record.folder / part) in caplog.text


def test_every_reading_holds_a_part_against_its_digest(record):
    """A record that was whole when it was found and is damaged afterwards."""
    found = store.lookup(record.key)
    for part in PARTS[:-1]:
        (record.folder / part).write_bytes(b"{}")
    for name in ("metrics", "env", "history", "predictions", "cam"):
        with pytest.raises(record_files.Damaged, match=str(record.folder)):
            getattr(found, name)


def test_a_record_in_the_folder_of_another_is_not_shown(record, runs_folder, caplog):
    record.folder.rename(runs_folder / "0123456789abcdef")
    assert store.lookup("0123456789abcdef") is None and store.records() == []
    assert "0123456789abcdef" in caplog.text and record.key in caplog.text


def test_a_local_record_that_is_damaged_gives_way_to_the_published_one(record, published):
    store.publish(record)
    (record.folder / "metrics.json").write_text("{}")
    assert store.lookup(record.key).published and not store.is_damaged(record.key)
    (published / record.key / "env.json").write_text("{}")
    assert store.lookup(record.key) is None and store.is_damaged(record.key)


def test_one_bad_record_ends_nothing(runs_folder, published, tmp_path, caplog, capsys):
    """Neither a plan nor the publication of the others, and the plan says which one it is."""
    smoke = cli_jobs()
    good, bad = (keep_as(runs_folder, make_record(tmp_path / str(i), 30), job) for i, job in enumerate(smoke[:2]))
    (runs_folder / "aaaaaaaaaaaaaaaa").mkdir()
    for name in ("done", "config.json"):
        (runs_folder / "aaaaaaaaaaaaaaaa" / name).touch()
    (bad.folder / "env.json").write_text('{"images_per_second": "many"}')
    assert cli.main(["plan", "smoke", "03"]) == 0
    shown = dict(re.findall(r"\b([0-9a-f]{16}) +(\w+)", capsys.readouterr().out))
    assert (shown[good.key], shown[bad.key]) == ("done", "damaged")
    assert str(bad.folder / "env.json") in caplog.text and "aaaaaaaaaaaaaaaa" in caplog.text
    assert cli.main(["publish", "smoke"]) == 1, "one is damaged"
    assert [path.name for path in published.iterdir()] == [good.key]


def cli_jobs() -> list:
    """Two runs that the smoke edition lists."""
    from fer_study.jobs import stages

    return [job.config for job in stages.edition_jobs("smoke") if job.name in ("emotion_cnn", "kernel_cnn")][:2]


def keep_as(root: Path, record: store.Record, config) -> store.Record:
    """The record in a store as if it were that of ``config``."""
    root.mkdir(exist_ok=True)
    content = store.as_json({"kind": type(config).__name__, **config.model_dump(mode="json")})
    folder = rewrite(record.folder, "config.json", content).folder
    return store.Record(folder.rename(root / config.key), published=False)


def test_a_damaged_run_is_made_again(runs_folder, published, tiny_run):
    first = run_job(tiny_run())
    before = first.predictions.views["last_single"]
    (first.folder / "predictions.parquet").write_bytes(b"")
    again = run_job(tiny_run())
    assert np.array_equal(again.predictions.views["last_single"], before)
    again.check()


# ---------------------------------------------------------------------------------------------- killed, or without power


def in_child(action, step: int) -> bool:
    """Run ``action`` in a process that dies before its file operation number ``step``; whether it lived to the end."""
    child = os.fork()
    if child == 0:
        left = [step]

        def counted(real):
            def operation(*given, **named):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(1)
                return real(*given, **named)

            return operation

        os.replace, os.fsync = counted(os.replace), counted(os.fsync)
        Path.unlink, Path.mkdir = counted(Path.unlink), counted(Path.mkdir)
        try:
            action()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_record_replaced_and_killed_is_the_old_or_the_new_one(record, published):
    """As a publication over an older record, or an audit that is made again, killed before each of its file operations."""
    target = store.publish(record)
    old = store.lookup(record.key).metrics
    other = {"last_single": {"test": {"accuracy": 0.25}}}
    rewrite(record.folder, "metrics.json", store.as_json(other))
    rewrite(record.folder, "history.csv", "epoch\n1\n")
    steps, seen = 0, []
    while not in_child(lambda: store.publish(store.Record(record.folder, published=False)), steps):
        found = store.Record(target, published=True)
        found.check()
        seen.append(found.metrics == other)
        assert (list(found.history) == ["epoch"]) == seen[-1], "parts of two records"
        assert found.metrics in (old, other)
        steps += 1
    assert steps > 20 and seen == sorted(seen) and set(seen) == {False, True}
    assert {p.name for p in target.iterdir()} == set(PARTS), "nothing is left over"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_first_record_killed_is_none_or_whole(runs_folder, published, tmp_path):
    made = make_record(tmp_path / "made", 30, cam=CAM)
    parts, folder = {name: (made.folder / name).read_bytes() for name in PARTS[:-1]}, runs_folder / made.config.key
    steps, seen = 0, []
    while not in_child(lambda: record_files.write_parts(folder, parts), steps):
        seen.append(store.lookup(made.config.key) is not None)
        steps += 1
    assert seen == sorted(seen) and store.lookup(made.config.key).metrics == made.metrics


def test_done_is_written_when_all_else_is_on_the_disk(runs_folder, published, tiny_run, monkeypatch):
    """And the checkpoint goes when ``done`` is there to stay, for a power cut keeps only what was synchronised."""
    synchronised, steps = set(), []
    real_fsync, real_replace, real_unlink = os.fsync, os.replace, Path.unlink

    def fsync(handle):
        synchronised.add(os.fstat(handle).st_ino)
        steps.append(("fsync", os.fstat(handle).st_ino))
        real_fsync(handle)

    def replace(source, target):
        if Path(target).suffix in (".tmp", ""):
            steps.append(("replace", Path(target).name))
        assert os.stat(source).st_ino in synchronised, target
        if Path(target).name == "done":
            parts = [
                p for p in Path(target).parent.iterdir() if p.name.removesuffix(".next") in (*PARTS[:-1], "last.safetensors")
            ]
            assert len(parts) == 6 + Path(target).is_file(), "the maps come when all else is done"
            assert all(p.stat().st_ino in synchronised for p in parts)
        real_replace(source, target)

    def unlink(path, *given, **named):
        if path.name == CHECKPOINT:
            assert (path.parent / "done").stat().st_ino in synchronised
            last = max(i for i, step in enumerate(steps) if step == ("replace", "done"))
            assert ("fsync", path.parent.stat().st_ino) in steps[last:]
            steps.append("checkpoint")
        real_unlink(path, *given, **named)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(Path, "unlink", unlink)
    run_job(tiny_run())
    assert "checkpoint" in steps


# ------------------------------------------------------------------------------------------------ checkpoints and weights


@pytest.mark.parametrize("damage", [*DAMAGES, "of another seed"])
def test_a_damaged_checkpoint_begins_anew(tmp_path, monkeypatch, published, tiny_run, caplog, damage):
    def stopped(seed: int) -> Path:
        config = tiny_run(seed=seed)

        def interrupt(_, row):
            if row["epoch"] == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_job(config, on_epoch=interrupt)
        return store.local_root() / config.key / CHECKPOINT

    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "straight"))
    whole = run_job(tiny_run())
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "damaged"))
    path = stopped(0)
    content = stopped(1).read_bytes() if damage == "of another seed" else DAMAGES[damage](path.read_bytes())
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        again = run_job(tiny_run())
    assert str(path) in caplog.text
    for part in ("metrics.json", "predictions.parquet"):
        assert (again.folder / part).read_bytes() == (whole.folder / part).read_bytes()


def test_damaged_weights_are_refused(runs_folder, published, tiny_run):
    config = tiny_run()
    record = run_job(config)
    path = record.weights("last")
    path.write_bytes(flip(path.read_bytes()))
    with pytest.raises(InputError, match=str(path)):
        run_job(TransferConfig(run=config, target=config.data))
    assert store.lookup(config.key) is not None, "its predictions are what they were"


# ----------------------------------------------------------------------------------------------------------------- caches


def test_drawn_faces_are_cached_without_code_and_drawn_again_where_damaged(runs_folder, tiny_run, monkeypatch):
    config, drawn = tiny_run().data, []
    real = sources.synthetic.make
    monkeypatch.setattr(sources.synthetic, "make", lambda *given: drawn.append(1) or real(*given))

    def load():
        sources._synthetic.cache_clear()
        return sources.faces_of(config)

    first, second = load(), load()
    assert len(drawn) == 1
    for name in ("images", "labels", "split", "ids", "votes"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
        assert getattr(first, name).dtype == getattr(second, name).dtype, name
    assert first.attributes.equals(second.attributes) and first.truth.keys() == second.truth.keys()
    assert all(np.array_equal(first.truth[name], second.truth[name]) for name in first.truth)
    (folder,) = (runs_folder / "cache").iterdir()
    files = [path for path in folder.iterdir() if path.suffix in (".npz", ".parquet")]
    assert {path.suffix for path in files} == {".npz", ".parquet"}, "no pickle"
    for path in files:
        path.write_bytes(flip(path.read_bytes()))
        assert np.array_equal(load().images, first.images)
    assert len(drawn) == 3
    sources._synthetic.cache_clear()


# ------------------------------------------------------------------------------------------------------------------- maps


def test_maps_that_fail_do_not_cost_the_record(runs_folder, published, tiny_run, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("no maps of this network")

    monkeypatch.setattr(explain, "class_saliency", broken)
    record = run_job(tiny_run())
    assert store.lookup(record.key).cam == {} and record.metrics["last_single"]["test"]["accuracy"] >= 0
    assert "no maps of this network" in caplog.text and job_for(tiny_run()).record()


def test_maps_that_end_the_process_do_not_cost_the_record(runs_folder, published, tiny_run, monkeypatch, caplog):
    """As a segmentation fault does: the record is there, its maps are tried once more, then it goes without."""
    config, other = tiny_run(), tiny_run(seed=1)
    for each in (config, other):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(explain, "class_saliency", interrupt)
            run_job(each)
        assert store.lookup(each.key).cam == {} and not job_for(each).done
    pending = runs_folder / config.key / store.PENDING
    assert pending.read_text() == "", "who was stopped did not crash"
    pending.write_text("begun\n")  # what a process that died in them leaves
    assert run_job(config).cam["counts"].shape == (7,), "a second attempt"
    assert job_for(config).done and not pending.exists()
    (runs_folder / other.key / store.PENDING).write_text("begun\nbegun")
    assert run_job(other).cam == {} and job_for(other).done
    assert not list((runs_folder / other.key).glob("*.pending"))


def test_an_attempt_at_maps_is_on_the_disk_while_it_lasts(runs_folder, published, tiny_run, monkeypatch):
    config, seen = tiny_run(), []
    pending = runs_folder / config.key / store.PENDING
    monkeypatch.setattr(explain, "class_saliency", lambda *_: seen.append(pending.read_text()) or {"counts": np.arange(7)})
    run_job(config)
    assert seen == ["begun"]


@pytest.mark.parametrize("content", ["[]", "{", '{"kind": ["x"]}', '{"kind": "Other"}', "null"])
def test_a_config_that_says_nothing_ends_nothing(record, caplog, content):
    """Whole by its digests, as somebody may have made it by hand."""
    rewrite(record.folder, "config.json", content)
    assert store.records() == [] and str(record.folder / "config.json") in caplog.text


def test_a_record_that_cannot_be_read_ends_nothing(record, monkeypatch, caplog):
    real = Path.read_bytes

    def refused(path):
        if path.name == "metrics.json":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert store.records() == [] and str(record.folder / "metrics.json") in caplog.text


def test_what_is_damaged_is_said_from_other_processes_too():
    error = record_files.damaged(Path("a"), "b")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is record_files.Damaged and str(again) == str(error)


def interrupt(*_):
    raise KeyboardInterrupt
