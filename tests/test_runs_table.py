"""The table of runs and the table of their predictions."""

from __future__ import annotations

import pandas as pd
import pytest

from fer_study.analysis import runs_table
from fer_study.analysis.runs_table import COLUMNS
from fer_study.jobs import stages
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import DataConfig, RunConfig
from page_records import make_record, predictions


@pytest.fixture(scope="module")
def fer2013():
    return runs_table.runs_table(stages.listed_jobs("fer2013"), missing=True)


def test_a_record_has_a_row_in_every_stage_that_lists_it(fer2013):
    assert list(fer2013.columns) == COLUMNS
    base = fer2013[fer2013["key"] == "1a60490a4ae3b794"].set_index("stage")["arm"]
    assert dict(base) == {
        "02_class_weighting": "none", "03_model_comparison": "cbam_cnn", "04_ablations": "full",
        "05_label_distribution": "labels", "06_cross_dataset": "fer2013", "07_error_analysis": "cbam_cnn",
    }  # fmt: skip
    there = fer2013.dropna(subset="record")
    assert [record.key for record in there["record"]] == list(there["key"])
    assert [record.config.seed for record in there["record"] if isinstance(record.config, RunConfig)] == list(
        there[there["source"] == there["target"]]["seed"]
    )


def test_what_is_missing_is_listed_on_request(fer2013):
    assert fer2013["record"].isna().any()
    found = runs_table.runs_table(stages.listed_jobs("fer2013"))
    assert len(found) == fer2013["record"].notna().sum() and found["record"].notna().all()


def test_transfers_have_a_source_and_a_target(fer2013):
    row = fer2013[fer2013["key"] == "c4d02495f303f53d"].iloc[0]
    assert tuple(row[["stage", "model", "recipe", "source", "target"]]) == (
        "06_cross_dataset", "cbam_cnn", "ladder", "fer2013", "synthetic-wild")  # fmt: skip
    assert fer2013[fer2013["model"] == "hog_svm"]["recipe"].tolist() == [""]
    assert {"one_cycle", "one_cycle_short"} <= set(fer2013[fer2013["stage"] == "design"]["recipe"])


def rows_of(*records):
    rows = [["s", r.config.name, r.config.model.name, "ladder", "x", "x", r.config.seed, r.key, r] for r in records]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_predictions_have_a_row_an_image_and_seed(tmp_path):
    records = [make_record(tmp_path, hits, seed=seed) for seed, hits in enumerate((20, 30))]
    table = runs_table.predictions(rows_of(*records))
    assert list(table.columns) == ["model", "arm", "recipe", "seed", "row", "label", "predicted", "confidence"]
    assert len(table) == 80 and table["row"].tolist() == [*range(110, 150)] * 2
    assert (table["label"] == table["predicted"]).groupby(table["seed"]).mean().tolist() == [0.5, 0.75]
    assert table["confidence"].between(0.699, 0.701).all()
    assert list(table["label"].cat.categories) == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def test_classes_come_from_the_record(tmp_path):
    record = make_record(tmp_path, predictions(40, classes=8), classes=8)
    table = runs_table.predictions(rows_of(record))
    assert "contempt" in set(table["label"]) and (table["label"] == table["predicted"]).all()


def test_what_must_not_be_scored_is_refused(tmp_path):
    rows = rows_of(make_record(tmp_path, 20))
    with pytest.raises(InputError, match="unknown subset 'train'; known: validation, test"):
        runs_table.predictions(rows, subset="train")
    with pytest.raises(InputError, match="has no view 'ema_single'; it has last_single"):
        runs_table.predictions(rows, view="ema_single")
    resplit = make_record(
        tmp_path, 20, name="b", changes={"data": DataConfig(dataset="synthetic", faces=100, protocol="resplit")}
    )
    with pytest.raises(InputError, match="is not scored on merged in view last_single"):
        runs_table.predictions(rows_of(resplit), subset="merged")
    ours = make_record(tmp_path, 20, name="fer48")  # whose design was chosen on validation
    with pytest.raises(
        InputError, match=r"is not scored on merged in view last_single; it is on test, test_clean, validation$"
    ):
        runs_table.predictions(rows_of(ours), subset="merged")
    nothing, some = runs_table.predictions(rows.iloc[:0]), runs_table.predictions(rows)
    assert nothing.empty and list(nothing.columns) == list(some.columns)
    assert nothing["label"].cat.categories.empty and nothing["row"].dtype == int, "so that a cell can go on"
