"""Curves of several seeds."""

from __future__ import annotations

import pytest

from fer_study.analysis import curves
from fer_study.settings.experiment import DataConfig, LossConfig, SamplingConfig
from page_records import make_record, two_epochs


def test_histories_carry_their_seed(tmp_path):
    records = [make_record(tmp_path, 20, seed=s, history=two_epochs(1.0 + s)) for s in (0, 3)]
    table = curves.histories(records)
    assert table["seed"].tolist() == [0, 0, 3, 3]
    assert table["validation_loss"].tolist() == [1.9, 1.0, 1.9, 4.0]


@pytest.mark.parametrize(("changes", "train_accuracy", "words"), [
    ({}, True, ""),
    ({"loss": {"class_weights": "heavy"}}, True, "with class weights"),
    ({"loss": {"label_smoothing": 0.1}}, True, "with label smoothing"),
    ({"loss": {"teacher": 16 * "a", "distribution": "teacher"}}, True, "teacher"),
    ({"loss": {"focal_gamma": 2.0}}, True, "of the focal loss"),
    ({"loss": {"logit_adjustment": 1.0}}, True, "with adjusted logits"),
    ({"sampling": SamplingConfig(balanced=True)}, True, "on images drawn by class"),
    ({"loss": {"mixup": 0.2}}, False, "mixed"),
    ({"loss": {"cutmix": 1.0}}, False, "mixed"),
    ({"data": DataConfig(dataset="synthetic", faces=100, targets="votes")}, False, "the votes"),
])  # fmt: skip
def test_curves_are_of_one_target(tmp_path, changes, train_accuracy, words):
    """Training that was scored against anything but the labels is not drawn; a loss that is another is named."""
    if "loss" in changes:
        changes["loss"] = LossConfig(**changes["loss"])
    table = curves.curves({"x": [make_record(tmp_path, 20, changes=changes)]})
    (remark,) = table["remark"].unique()
    assert words in remark and bool(words) == bool(remark) and table["name"].eq("x").all()
    assert table["validation_accuracy"].tolist() == [0.25, 0.5]
    for quantity in ("train_accuracy", "train_loss"):
        assert table[quantity].notna().all() == train_accuracy and table[quantity].isna().all() != train_accuracy


def test_only_what_has_epochs_has_curves(tmp_path):
    bare = make_record(tmp_path, 20, name="hog_svm", history=two_epochs().iloc[:0])
    table = curves.curves({"HOG": [bare], "none": [], "x": [make_record(tmp_path, 20)]})
    assert table["name"].unique().tolist() == ["x"]
    assert len(curves.curves({"HOG": [bare]})) == 0
