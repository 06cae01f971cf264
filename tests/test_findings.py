"""What single pages need of the records, from predictions that are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from page_records import TEST, labels_of, make_record, two_epochs

from fer_study.book.pages import findings
from fer_study.settings.experiment import DataConfig, LossConfig

NO_EPOCHS = pd.DataFrame(columns=["epoch"])


def test_histories_carry_their_seed(tmp_path):
    records = [make_record(tmp_path, 20, seed=s, history=two_epochs(1.0 + s)) for s in (0, 3)]
    table = findings.histories(records)
    assert table["seed"].tolist() == [0, 0, 3, 3]
    assert table["validation_loss"].tolist() == [1.9, 1.0, 1.9, 4.0]


@pytest.mark.parametrize(("changes", "train_accuracy", "words"), [
    ({}, True, "dashed: training; solid: validation"),
    ({"loss": {"class_weights": "heavy"}}, True, "with class weights"),
    ({"loss": {"label_smoothing": 0.1}}, True, "with label smoothing"),
    ({"loss": {"teacher": 16 * "a", "distribution": "teacher"}}, True, "teacher"),
    ({"loss": {"mixup": 0.2}}, False, "mixed"),
    ({"data": DataConfig(dataset="synthetic", faces=100, targets="votes")}, False, "the votes"),
])  # fmt: skip
def test_curves_are_of_one_target(tmp_path, changes, train_accuracy, words):
    """Training that was scored against anything but the labels is not drawn; a loss that is another is named."""
    if "loss" in changes:
        changes["loss"] = LossConfig(**changes["loss"])
    table, note = findings.curves([make_record(tmp_path, 20, changes=changes)])
    assert words in note and table["validation_accuracy"].tolist() == [0.25, 0.5]
    for quantity in ("train_accuracy", "train_loss"):
        assert table[quantity].notna().all() == train_accuracy and table[quantity].isna().all() != train_accuracy


def test_curve_ends(tmp_path):
    runs = {"x": [make_record(tmp_path, 20, seed=s, history=two_epochs(1.5 + s)) for s in (0, 1)], "none": [],
            "hog": [make_record(tmp_path, 20, name="hog_svm", history=NO_EPOCHS)]}  # fmt: skip
    table = findings.curve_ends(runs)
    assert list(table.index) == ["x"], "a system without epochs has no curve"
    assert table.loc["x"].to_dict() == {
        "epochs": 2, "train_loss": 1.0, "validation_loss": 2.0, "train_accuracy": 0.6, "validation_accuracy": 0.5,
        "seeds": 2, "gap": 1.0,
    }  # fmt: skip
    assert findings.curve_ends({"none": []}).empty


def test_transfer_matrix_leaves_gaps(tmp_path):
    runs = {"a": [make_record(tmp_path, 40, name="a")], "a -> b": [make_record(tmp_path, 20, name="ab")],
            "b -> a": [make_record(tmp_path, 10, name="ba")], "b": []}  # fmt: skip
    value, low, high = findings.transfer(runs, ["a", "b"], ["a", "b", "c"], "accuracy")
    expected = pd.DataFrame([[1.0, 0.5, np.nan], [0.25, np.nan, np.nan]], index=["a", "b"], columns=["a", "b", "c"])
    pd.testing.assert_frame_equal(value, expected)
    assert low.isna().equals(value.isna()) and high.isna().equals(value.isna())
    assert low.loc["a", "b"] < 0.5 < high.loc["a", "b"]


def test_images_by_class_of_each_target(tmp_path):
    runs = {"a": [make_record(tmp_path, 40, name="a")], "a -> b": [make_record(tmp_path, 20, name="ab")], "b": []}
    table = findings.target_counts(runs, ["a", "b"], ["a", "b", "c"])
    assert list(table.index) == ["a", "b"], "nothing was scored on c"
    assert table.loc["b"].tolist() == np.bincount(labels_of(TEST)).tolist()
