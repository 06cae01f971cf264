"""The store: atomic, locked, complete, and true to its own predictions."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fer_study import store
from fer_study.data.labels import FER2013, class_names
from fer_study.jobs import evaluation
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import ModelConfig, TransferConfig
from fer_study.store import record_files
from fer_study.store.predictions import SUBSETS, Predictions, read_predictions, write_predictions
from page_records import rewrite


def small_table(n: int = 40) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "row": np.arange(n, dtype=np.int32),
            "split": np.repeat(["validation", "test"], n // 2),
            "label": rng.integers(0, 7, n).astype(np.int8),
            "copy_in_train": rng.random(n) < 0.2,
            "copy_in_validation": rng.random(n) < 0.2,
        }
    )
    return table, {name: evaluation.stored(rng.normal(size=(n, 7)) - 3) for name in ("last_single", "best_flip")}


def save(folder, config) -> store.Record:
    table, views = small_table()
    return store.save(
        folder, config, history=pd.DataFrame([{"epoch": 1, "train_loss": 0.5}]), table=table, views=views,
        metrics=evaluation.score(table, views, FER2013, config), env={"seconds": 1.5},
        cam={"maps": np.full((7, 4, 4), np.nan, np.float16), "counts": np.arange(7)},
    )  # fmt: skip


@pytest.fixture
def record(runs_folder, published, tiny_run) -> store.Record:
    config = tiny_run()
    with store.locked(config.key) as folder:
        return save(folder, config)


def test_predictions_come_back_in_half_precision(tmp_path):
    table, views = small_table()
    views["last_single"][0, 0] = -2.00048828  # between two half floats
    write_predictions(tmp_path / "p.parquet", table, views)
    back = read_predictions(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(back.table, table)
    assert list(back.views) == list(views)
    for name, values in views.items():
        assert back.views[name].dtype == np.float32
        assert np.array_equal(back.views[name], values.astype(np.float16).astype(np.float32))


def test_subsets(tmp_path):
    table = pd.DataFrame(
        {
            "split": ["validation", "validation", "test", "test", "test"],
            "copy_in_train": [False, True, False, True, False],
            "copy_in_validation": [False, False, True, False, False],
        }
    )
    subset = {name: np.flatnonzero(Predictions(table, {}).subset(name)).tolist() for name in SUBSETS}
    assert subset == {
        "validation": [0, 1], "test": [2, 3, 4], "test_clean": [4], "merged": [0, 1, 2, 3, 4], "merged_clean": [0, 2, 4],
    }  # fmt: skip
    with pytest.raises(ValueError, match="'train', allowed: validation"):
        Predictions(table, {}).subset("train")


def test_a_record_comes_back(record, tiny_run):
    found = store.lookup(tiny_run().key)
    assert found == record and not found.published and found.key == tiny_run().key
    assert found.config == tiny_run()
    assert found.history["train_loss"].tolist() == [0.5] and found.env == {"seconds": 1.5}
    assert found.cam["counts"].tolist() == list(range(7)) and np.isnan(found.cam["maps"]).all()
    assert found.weights("ema").name == "ema.safetensors"


def test_an_undefined_metric_is_nan_not_null(record):
    content = json.loads((record.folder / "metrics.json").read_text())
    content["last_single"]["test"]["recall_fear"] = None
    rewrite(record.folder, "metrics.json", json.dumps(content))
    assert np.isnan(store.lookup(record.key).metrics["last_single"]["test"]["recall_fear"])


def test_a_transfer_comes_back_as_one(runs_folder, published, tiny_run):
    config = TransferConfig(run=tiny_run(), target=tiny_run().data)
    with store.locked(config.key) as folder:
        save(folder, config)
    assert store.lookup(config.key).config == config


@pytest.mark.parametrize("part", ["history.csv", "predictions.parquet", "metrics.json", "env.json", "cam.npz", "done"])
def test_a_half_written_record_is_never_read(runs_folder, published, tiny_run, monkeypatch, part):
    real, config = record_files.write_atomically, tiny_run()

    def broken(path, content):
        if path.name.removesuffix(".next") == part:
            raise OSError("the disk is full")
        real(path, content)

    monkeypatch.setattr(record_files, "write_atomically", broken)
    with pytest.raises(OSError, match="full"), store.locked(config.key) as folder:
        save(folder, config)
    assert store.lookup(config.key) is None and store.records() == []
    monkeypatch.undo()


def test_a_file_is_replaced_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    record_files.write_atomically(path, "old")
    monkeypatch.setattr(record_files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed here")))
    with pytest.raises(OSError, match="killed here"):
        record_files.write_atomically(path, "new" * 1000)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


HOLD = """
import sys
from fer_study import store
with store.locked("0123"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_refused(runs_folder):
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(store.Busy, match="another process works on this run"), store.locked("0123"):
            pass
        other.kill()
        other.wait()
    with store.locked("0123", timeout=5) as folder:  # a killed process holds nothing
        assert folder == runs_folder / "0123"


def test_a_folder_in_which_nothing_was_begun_is_removed(runs_folder):
    with pytest.raises(ValueError, match="wrong"), store.locked("0123"):
        raise ValueError("wrong")
    assert not (runs_folder / "0123").exists()
    with pytest.raises(ValueError, match="wrong"), store.locked("0123") as folder:
        (folder / "checkpoint.pt").touch()
        raise ValueError("wrong")
    assert (runs_folder / "0123" / "checkpoint.pt").exists()
    with store.locked("0123") as folder:
        assert folder.is_dir()


def test_publish_copies_no_weights(record, published):
    for name in ("last.safetensors", "best.safetensors", "checkpoint.pt", ".lock"):
        (record.folder / name).write_bytes(b"heavy")
    target = store.publish(record)
    assert target == published / record.key
    assert {p.name for p in target.iterdir()} == {
        "config.json", "history.csv", "predictions.parquet", "metrics.json", "env.json", "cam.npz", "done",
    }  # fmt: skip
    assert [p.name for p in published.iterdir()] == [record.key]


def test_a_record_of_changed_code_is_not_published(record, published):
    rewrite(record.folder, "env.json", store.as_json({"commit": "0123456789+"}))
    with pytest.raises(InputError, match=r"made from changed code \(commit 0123456789\+\); commit, remove"):
        store.publish(store.lookup(record.key))
    assert not (published / record.key).exists()


def test_merged_scores_only_where_nothing_was_chosen_or_trained_on_them(tiny_run):
    """A validation split that comes from the training split must not count as test images."""
    table, views = small_table()
    apart, every = ["validation", "test", "test_clean"], list(SUBSETS)

    def subsets(config, view: str = "last_single") -> list[str]:
        return list(evaluation.score(table, views, FER2013, config)[view])

    config = tiny_run()
    assert subsets(config) == every and subsets(config, "best_flip") == apart
    assert subsets(config.replace(patience=2)) == apart, "the last epoch was chosen on validation"
    for weights in ("run:0123456789abcdef:best", "run:0123456789abcdef", "file:0123456789abcdef:x.safetensors"):
        model = config.model.model_copy(update={"weights": weights})
        assert subsets(config.replace(model=model)) == apart, "its start may have been chosen on validation"
    assert subsets(config.replace(loss={"teacher": "0123456789abcdef"})) == apart, "and so may its teacher"
    for data in (config.data.replace(protocol="resplit"), config.data.replace(folds=3)):
        assert subsets(config.replace(data=data)) == apart
    assert subsets(TransferConfig(run=config, target=config.data)) == ["test"]


def test_probabilities_fitted_on_validation_have_no_merged_loss(tiny_run):
    table, views = small_table()
    config = tiny_run(model=ModelConfig(name="hog_svm"), phases=())
    scores = evaluation.score(table, views, FER2013, config)["last_single"]
    for subset in ("merged", "merged_clean"):
        undefined = {name for name, value in scores[subset].items() if value is None}
        assert undefined == {"log_loss", "brier", "expected_calibration_error"}
    assert None not in scores["test"].values() and scores["merged"]["accuracy"] is not None


def test_local_hides_published(record, published, monkeypatch, tmp_path):
    store.publish(record)
    assert not store.lookup(record.key).published
    assert [r.published for r in store.records()] == [False]
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "elsewhere"))
    assert store.lookup(record.key).published
    assert [r.published for r in store.records()] == [True]


def test_an_interrupted_publication_is_no_record(record, published, monkeypatch):
    with monkeypatch.context() as killed, pytest.raises(OSError, match="killed here"):
        killed.setattr(record_files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("killed here")))
        store.publish(record)
    assert [r.published for r in store.records()] == [False]


def assert_metrics_are_of_the_predictions(record: store.Record) -> None:
    """Every stored metric, recomputed from the stored predictions."""
    predictions = record.predictions
    assert {"last_single"} <= set(predictions.views) <= set(record.metrics), "of other views it has the metrics alone"
    for view in predictions.views:
        # how well it does on what it was trained on follows from no stored prediction
        subsets = {name: scores for name, scores in record.metrics[view].items() if name != "train"}
        classes = class_names(predictions.views[view].shape[1])
        again = evaluation.score(predictions.table, {view: predictions.views[view]}, classes, record.config)[view]
        assert subsets.keys() == again.keys(), (record.key, view)
        for subset, stored in subsets.items():
            for name, value in stored.items():
                expected = float("nan") if again[subset][name] is None else again[subset][name]
                assert value == pytest.approx(expected, abs=1e-6, nan_ok=True), (record.key, view, subset, name)
            assert stored.keys() == again[subset].keys()


def test_another_metric_is_noticed(record):
    content = json.loads((record.folder / "metrics.json").read_text())
    content["best_flip"]["test"]["accuracy"] += 2e-6
    rewrite(record.folder, "metrics.json", json.dumps(content))
    with pytest.raises(AssertionError, match="accuracy"):
        assert_metrics_are_of_the_predictions(store.lookup(record.key))


PUBLISHED = sorted(p.parent for p in store.published_root().glob("[!.]*/metrics.json"))


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda p: p.name)
def test_every_published_record_is_true_to_its_predictions(folder):
    record = store.Record(folder, published=True)
    assert_metrics_are_of_the_predictions(record)
    assert record.config.key == record.key
    assert not list(folder.glob("*.safetensors")) and not list(folder.glob("*.pt"))


EVERY = sorted(p.parent for p in store.published_root().glob("[!.]*/config.json"))


@pytest.mark.parametrize("folder", EVERY, ids=lambda p: p.name)
def test_every_published_record_is_as_it_was_written(folder):
    """Curves, maps, environment, audits and costs too, of which no other number follows."""
    store.Record(folder, published=True).check()
    assert {p.name for p in folder.iterdir()} == {*record_files.listed(folder), "done"} <= {*store.PUBLISHED, "done"}
