"""Two records compared: equal, within tolerance, different; what differs is named."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from fer_study import cli, store
from fer_study.settings.errors import InputError
from fer_study.store import diff, record_files
from fer_study.store.predictions import write_predictions
from page_records import make_record, predictions, rewrite


def change(record: store.Record, **files: object) -> store.Record:
    """Rewrite parts of a record: ``views`` (a function of the array) or ``config``, ``metrics`` (functions of the dict)."""
    if "views" in files:
        old = record.predictions
        views = {name: files["views"](values.copy()) for name, values in old.views.items()}
        rewrite(record.folder, "predictions.parquet", as_parquet(old.table, views))
    for name in {"config", "metrics"} & set(files):
        content = json.loads((record.folder / f"{name}.json").read_text())
        rewrite(record.folder, f"{name}.json", json.dumps(files[name](content)))
    return store.Record(record.folder, published=False)


def as_parquet(table: pd.DataFrame, views: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    write_predictions(buffer, table, views)
    return buffer.getvalue()


@pytest.fixture
def pair(tmp_path):
    """The same record twice."""
    return make_record(tmp_path / "a", 30), make_record(tmp_path / "b", 30)


def test_equal_to_the_last_bit(pair):
    found = diff.compare(*pair)
    assert (found.verdict, found.reason) == (diff.EQUAL, "")
    assert found.config.empty and found.metrics.empty
    assert found.views.loc["last_single"].tolist() == [50, 0, 0]
    assert diff.render(found).startswith("same config\n") and "same metrics" in diff.render(found)


def test_one_bit_is_not_equal(pair):
    def nudge(views: np.ndarray) -> np.ndarray:
        views[3, 2] = np.nextafter(np.float16(views[3, 2]), np.float16(0))
        return views

    found = diff.compare(pair[0], change(pair[1], views=nudge))
    assert found.verdict == diff.WITHIN
    assert 0 < found.views.loc["last_single", "log_probability"] < 0.01
    assert found.views.loc["last_single", "decisions"] == 0


def test_other_metrics_over_the_same_predictions_are_not_equal(pair):
    def worse(metrics: dict) -> dict:
        metrics["last_single"]["test"]["accuracy"] -= 0.1
        return metrics

    found = diff.compare(pair[0], change(pair[1], metrics=worse))
    assert found.verdict == diff.WITHIN
    assert found.metrics.index.tolist() == ["last_single.test.accuracy"]
    assert found.metrics.iloc[0].tolist() == [0.75, 0.65]


@pytest.mark.parametrize(("step", "verdict"), [(0.03125, diff.WITHIN), (0.0625, diff.DIFFERENT)])
def test_tolerance_of_log_probabilities(pair, step, verdict):
    found = diff.compare(pair[0], change(pair[1], views=lambda views: views - step))
    assert found.verdict == verdict
    assert found.views.loc["last_single", "log_probability"] == pytest.approx(step, abs=0.002)


def test_tolerance_of_decisions(tmp_path, monkeypatch):
    monkeypatch.setattr(diff, "LOG_PROBABILITY", 10.0)
    a, b = make_record(tmp_path / "a", 30), make_record(tmp_path / "b", 29)
    for share, verdict in ((0.02, diff.WITHIN), (0.019, diff.DIFFERENT)):  # one of 50
        monkeypatch.setattr(diff, "DECISIONS", share)
        found = diff.compare(a, b)
        assert (found.verdict, found.views.loc["last_single", "decisions"]) == (verdict, 1)
    assert (
        "last_single.test.accuracy" in found.metrics.index and "last_single.validation.accuracy" not in found.metrics.index
    )


def test_config_differences_are_named(tmp_path):
    found = diff.compare(make_record(tmp_path, 30), make_record(tmp_path, 30, seed=4, name="cbam_cnn"))
    assert found.config.to_dict("index") == {
        "model.name": {"a": "emotion_cnn", "b": "cbam_cnn"}, "seed": {"a": 0, "b": 4},
    }  # fmt: skip
    assert found.verdict == diff.EQUAL, "the verdict is about what was predicted"
    assert "config:" in diff.render(found) and "cbam_cnn" in diff.render(found)


def test_other_images_are_different(tmp_path):
    found = diff.compare(make_record(tmp_path / "a", 30), make_record(tmp_path / "b", 30, first_row=7))
    assert (found.verdict, found.reason) == (diff.DIFFERENT, "other images, labels or copies")
    assert "different (other images, labels or copies)" in diff.render(found)


def test_a_view_of_one_record_only_is_named(pair):
    """The verdict is about the others: a record of today keeps the predictions of fewer views than one of yesterday."""
    old = pair[1].predictions
    views = old.views | {"best_flip": old.views["last_single"]}
    found = diff.compare(pair[0], rewrite(pair[1].folder, "predictions.parquet", as_parquet(old.table, views)))
    assert (found.verdict, found.reason) == (diff.EQUAL, "views of one record only: best_flip")


def test_undefined_metrics_are_equal():
    assert diff.differences({"x": float("nan"), "y": 1}, {"x": float("nan"), "z": 2}).to_dict("index") == {
        "y": {"a": 1, "b": "-"}, "z": {"a": "-", "b": 2},
    }  # fmt: skip


def test_records_are_found_by_folder_and_by_key(runs_folder, tmp_path):
    record = make_record(runs_folder, 30)
    record = store.Record(record.folder.rename(runs_folder / record.config.key), published=False)
    assert diff.find(str(record.folder)).folder == record.folder
    for name in (record.key, record.key[:6]):
        assert diff.find(name).folder == record.folder
    (record.folder / "done").unlink()
    for name in (record.key, str(record.folder), "0123456789abcdef"):
        with pytest.raises(InputError, match=f"no finished record '{name}'"):
            diff.find(name)
    record_files.write_parts(record.folder, {"env.json": "{}"})
    with pytest.raises(InputError, match="without predictions"):
        diff.find(str(record.folder))


def test_a_key_may_be_cut_where_one_record_is_meant(runs_folder, published):
    keys = ("0123456789abcdef", "0123457789abcdef")
    for place, key in zip((runs_folder, published), keys, strict=True):
        record = make_record(place / "made", 30)
        record.folder.rename(place / key)
        record_files.write_parts(place / key, {"config.json": "{}"})
    for name, key in (("0123456", keys[0]), ("0123457789", keys[1]), (keys[0], keys[0])):
        assert diff.whole_key(name) == key
    for name in ("01234", "0123459", "0123", "made"):
        assert diff.whole_key(name) == name
    with pytest.raises(InputError, match=f"'012345' begins several keys: {keys[0]}, {keys[1]}"):
        diff.find("012345")


def test_exit_codes(runs_folder, tmp_path, capsys, caplog):
    same, twin, other = (make_record(tmp_path / name, hits) for name, hits in (("a", 30), ("b", 30), ("c", 10)))
    assert cli.main(["diff", str(same.folder), str(twin.folder)]) == 0
    assert capsys.readouterr().out.endswith(
        "equal to the last bit; tolerance: log-probabilities 0.05, decisions 0.5 % of the images\n"
    )
    assert cli.main(["diff", str(same.folder), str(other.folder)]) == 1
    out = capsys.readouterr().out
    assert "last_single.test.accuracy" in out and "\ndifferent; tolerance:" in out
    assert cli.main(["diff", str(same.folder), "nowhere"]) == 2
    assert "no finished record 'nowhere'" in caplog.text and "Traceback" not in caplog.text


def test_predictions_helper_makes_one_other_decision():
    assert (predictions(30) != predictions(29)).sum() == 1
