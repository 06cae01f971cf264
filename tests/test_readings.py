"""Sentences of the pages: they hold the measured numbers, the right words, and say when nothing was measured."""

from __future__ import annotations

import numpy as np
import pytest
from page_records import TEST, VALIDATION, labels_of, make_record, predictions

from fer_study.analysis import report
from fer_study.analysis.metrics import Estimate
from fer_study.book.pages import design, readings
from fer_study.settings.experiment import PhaseConfig

NAN = float("nan")
LADDER = ["cbam_cnn", "kernel_cnn", "emotion_cnn", "simple_resnet"]


def blind(*classes: int) -> np.ndarray:
    """(50,) predictions: all right but for the classes given, which are taken for the next one."""
    predicted = predictions(40, validation_right=VALIDATION)
    test = predicted[VALIDATION:]
    for label in classes:
        test[labels_of(TEST) == label] = (label + 1) % 7
    return predicted


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0.01, 0.2, "more"), (-0.2, -0.01, "less"), (-0.1, 0.1, "same"), (0.0, 0.1, "same"), (-0.1, 0.0, "same"),
     (NAN, NAN, "same")],
)  # fmt: skip
def test_direction(low, high, word):
    assert readings.direction(Estimate(0.0, NAN, 3, low, high), "more", "less", "same") == word
    assert readings.direction(report.MISSING, "more", "less", "same") == "not measured"


def test_points_have_a_unit_only_where_something_was_measured():
    assert readings.points(Estimate(0.012, NAN, 3, 0.003, 0.021)) == "+1.2 [+0.3, +2.1] points"
    assert readings.points(report.MISSING) == "not measured"


def ladder(tmp_path, *hits: int) -> dict:
    return {report.title(n): [make_record(tmp_path, h, name=n)] for n, h in zip(LADDER, hits, strict=True)}


@pytest.mark.parametrize(
    ("hits", "verdict"),
    [((40, 30, 20, 10), "reproduced"), ((40, 30, 10, 20), "contradicted"), ((40, 30, 30, 10), "undecided")],
)
def test_ordering(tmp_path, hits, verdict):
    text = readings.ordering(ladder(tmp_path, *hits), LADDER, "fer2013")
    head, *steps = text.split("\n")
    assert head.startswith("Stated: CBAM + kernels > CNN + fixed kernels > EmotionCNN > SimpleResNetFER. ")
    assert f"Verdict: **one seed: {verdict}**." in head
    assert len(steps) == 3 and steps[0].startswith("- CBAM + kernels minus CNN + fixed kernels: +25.0 [+")


def test_ordering_of_three_seeds_that_disagree_is_undecided(tmp_path):
    """On the images of each seed alone, and of all pooled, the first network leads; over seeds it does not."""
    runs = {report.title(n): [make_record(tmp_path, h, name=n, seed=s) for s, h in enumerate(hits)]
            for n, hits in zip(LADDER, ((40, 40, 22), (20, 20, 20), (10, 9, 8), (3, 2, 1)), strict=True)}  # fmt: skip
    text = readings.ordering(runs, LADDER, "fer2013")
    assert "Verdict: **undecided**." in text and "points, seeds: 3: " in text


def test_ordering_on_other_faces_is_no_verdict(tmp_path):
    text = readings.ordering(ladder(tmp_path, 40, 30, 20, 10), LADDER, "synthetic")
    assert "No verdict: the claim is about FER2013." in text and "**" not in text
    assert "reproduced" not in text and text.count("seeds: 1: as stated") == 3
    reverse = readings.ordering(ladder(tmp_path / "other", 10, 20, 30, 40), LADDER, "synthetic")
    assert "contradicted" not in reverse and reverse.count("the other way") == 3


def test_ordering_of_short_runs_is_at_our_scale(tmp_path):
    short = {"phases": (PhaseConfig(epochs=3, lr=1e-3),)}
    runs = {report.title(n): [make_record(tmp_path, h, name=n, changes=short)] for n, h in zip(LADDER, (40, 30, 20, 10),
            strict=True)}  # fmt: skip
    assert "Verdict: **at our scale, one seed: reproduced**." in readings.ordering(runs, LADDER, "fer2013")


def test_errors(tmp_path):
    predicted = blind(4)
    predicted[VALIDATION] = 1  # one of the six angry faces
    maps = {"maps": np.ones((7, 3, 3), np.float16), "counts": np.full(7, 30)}
    right = make_record(tmp_path, blind(), name="right", cam=maps)
    runs = {"x": [make_record(tmp_path, predicted, cam=maps)], "right": [right], "none": []}
    one, right = readings.errors(runs).split("\n")
    assert one == (
        "- **x**, 1 seed: confuses surprise <-> sad most (54.5 % of the predictions for these two); recalls disgust best "
        "(100.0 %) and sad least (0.0 % [0.0, 39.0])."
    )
    assert right.startswith("- **right**, 1 seed: confuses nothing; recalls angry best")


def test_without_records_nothing_is_claimed(tmp_path):
    record = [make_record(tmp_path, 20)]
    found = [
        readings.ordering({"CBAM + kernels": record, "EmotionCNN": []}, ["cbam_cnn", "emotion_cnn"], "fer2013"),
        readings.errors({"x": []}),
        readings.errors({}),
    ]
    assert set(found) == {readings.NOT_YET}


def test_what_was_left_out_is_not_called_missing(tmp_path):
    """`plan` does not list what the parameters leave out."""
    record = [make_record(tmp_path, 20)]
    found = [
        readings.ordering({"CBAM + kernels": record}, ["cbam_cnn", "emotion_cnn"], "fer2013"),
        readings.ordering({"CBAM + kernels": []}, ["cbam_cnn", "emotion_cnn"], "fer2013"),
        design.against({"ours": record}, "last_single"),
        design.argued({"plain": record}),
    ]
    assert set(found) == {readings.LEFT_OUT} != {readings.NOT_YET}
