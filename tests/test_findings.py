"""What single pages need of the records, from predictions that are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from page_records import TEST, VALIDATION, labels_of, make_record, predictions, rewrite, two_epochs

from fer_study import store
from fer_study.analysis import report
from fer_study.book.pages import findings
from fer_study.data.labels import FER2013
from fer_study.settings.experiment import AuditConfig, DataConfig, LossConfig, ModelConfig, PhaseConfig
from fer_study.settings.recipes import load_recipe

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


def test_confusion_sums_over_seeds(tmp_path):
    matrix = findings.confusion([make_record(tmp_path, 40), make_record(tmp_path, 0, seed=1)])
    counts = np.bincount(labels_of(TEST), minlength=7)
    assert np.array_equal(np.diag(matrix), counts)  # the first seed has all right, the second names the next class
    assert np.array_equal(matrix[np.arange(7), (np.arange(7) + 1) % 7], counts)
    assert matrix.sum() == 80


def cam(value: float, count: int, empty: int = 6) -> dict[str, np.ndarray]:
    """Constant maps of 3x3; class ``empty`` has none."""
    maps = np.full((7, 3, 3), value, np.float16)
    maps[empty] = np.nan
    return {"maps": maps, "counts": np.where(np.arange(7) == empty, 5, count)}


def test_saliency_averages_the_seeds_that_have_a_map(tmp_path):
    records = [make_record(tmp_path, 20, cam=cam(0.25, 30)), make_record(tmp_path, 20, seed=1, cam=cam(0.75, 40, empty=0)),
               make_record(tmp_path, 20, seed=2)]  # fmt: skip
    maps, counts = findings.saliency(records)
    assert maps.dtype == np.float32
    assert maps[1:6].tolist() == np.full((5, 3, 3), 0.5).tolist()
    assert (maps[0] == 0.25).all() and (maps[6] == 0.75).all(), "one seed each"
    assert counts.tolist() == [30, 70, 70, 70, 70, 70, 40], "images behind a map that is not there do not count"


def test_saliency_that_no_seed_has_is_nan(tmp_path):
    maps, counts = findings.saliency([make_record(tmp_path, 20, cam=cam(1.0, 30))])
    assert np.isnan(maps[6]).all() and counts[6] == 0
    maps, counts = findings.saliency([make_record(tmp_path, 20, seed=1)])
    assert maps.shape[0] == 7 and np.isnan(maps).all() and counts.tolist() == [0] * 7


def test_saliency_regions_are_thirds(tmp_path):
    stored = cam(0.0, 30)
    stored["maps"][:6, 0], stored["maps"][:6, 2] = 0.25, 0.75  # upper row, lower row
    stored["maps"][1] = 0  # looks nowhere
    table = findings.saliency_regions({"x": [make_record(tmp_path, 20, cam=stored)], "none": []})
    assert [label for _, label in table.index] == [c for c in FER2013 if c not in ("disgust", "neutral")]
    assert set(map(tuple, table.to_numpy())) == {("25 %", "0 %", "75 %", 30)}
    heads = list(table.columns)
    assert "brows" in heads[0] and "eyes" in heads[1] and "mouth" in heads[2] and "eyes" not in heads[0]


def test_saliency_regions_have_an_interval_over_three_seeds(tmp_path):
    def record(seed: int, lower: float):
        stored = cam(0.0, 30)
        stored["maps"][:6, 0], stored["maps"][:6, 2] = 1 - lower, lower
        return make_record(tmp_path, 20, seed=seed, cam=stored)

    records = [record(0, 0.25), record(1, 0.5), record(2, 0.75)]
    table = findings.saliency_regions({"two": records[:2], "three": records})
    lower = table.filter(like="lower").iloc[:, 0]
    assert lower["two", "happy"] == "38 %", "no interval from two seeds"
    odds = np.exp(4.303 * 0.25 / 3**0.5 / 0.25)  # Student's t, two degrees of freedom, on the logit scale
    assert lower["three", "happy"] == f"50 % [{100 / (1 + odds):.0f}, {100 * odds / (1 + odds):.0f}]" == "50 % [8, 92]"
    assert table.loc[("three", "happy"), "maps"] == 90


def test_the_eyes_lie_in_the_middle_third_of_fer2013():
    """In every published mean face the darkest row between forehead and nose, over the columns of both eyes, is row 16 or 17
    of 48: below the upper third, 0 to 15."""
    (record,) = [r for r in store.records() if r.published and isinstance(r.config, AuditConfig)
                 and r.config.data.dataset == "fer2013"]  # fmt: skip
    eyes = record.mean_faces[:, 8:28, [*range(9, 20), *range(28, 39)]].astype(float).mean(axis=2)
    assert set(8 + eyes.argmin(axis=1)) <= {16, 17}


def test_lead_of_a_pair(tmp_path):
    labels, predicted = labels_of(TEST), predictions(40)
    test = predicted[VALIDATION:]
    test[labels == 4] = 6  # 6 sad for neutral
    test[np.flatnonzero(labels == 6)[:2]] = 4  # 2 neutral for sad
    test[np.flatnonzero(labels == 0)[:3]] = 2
    record = make_record(tmp_path, predicted)
    lead = findings.pair_lead([record], ("neutral", "sad"))
    assert lead.value == pytest.approx((8 - 3) / 40) and lead.low < lead.value < lead.high and lead.n == 1
    assert findings.pair_lead([record], ("angry", "fear")).value == pytest.approx((3 - 8) / 40)
    assert np.isnan(findings.pair_lead([], ("angry", "fear")).value)
    nothing = findings.pair_lead([make_record(tmp_path, 40, name="right")], ("neutral", "sad"))
    assert nothing.value == 0, "what is right is no pair"


def test_saliency_is_scored_against_the_moved_regions(tmp_path):
    stored = cam(0.0, 30)
    stored["maps"][:6, 0] = 1.0  # all of it in the upper row, equally over its three pixels
    regions = np.zeros((7, 3, 3))
    regions[:, 0, :2] = 1.0
    regions[1] = 0.0
    table = findings.saliency_on_truth({"x": [make_record(tmp_path, 20, cam=stored)]}, regions)
    assert [label for _, label in table.index] == [c for c in FER2013 if c not in ("disgust", "neutral")]
    assert table.loc[("x", "angry")].tolist() == ["67 %", "22 %", 3.0, 30]


def test_reported_accuracy_stands_beside_the_measured_one_on_fer2013_only(tmp_path):
    runs = {"EmotionCNN": [make_record(tmp_path, 20)], "HOG + SVM": [make_record(tmp_path, 20, name="hog_svm")],
            "CBAM + kernels": []}  # fmt: skip
    table = findings.against_reported(runs, "fer2013")
    assert list(table.index) == ["EmotionCNN", "HOG + SVM"], "what was not measured is left out"
    assert table.loc["EmotionCNN", ["value", "reported"]].tolist() == [0.5, 0.5826]
    assert np.isnan(table.loc["HOG + SVM", "reported"])
    assert findings.against_reported(runs, "synthetic")["reported"].isna().all()
    three = [make_record(tmp_path, right, seed=right) for right in (18, 20, 22)]
    row, verdict = findings.against_reported({"EmotionCNN": three}, "fer2013").iloc[0], report.interval(three)
    assert (row["n"], row["of"]) == (3, "3 seeds")
    assert (row["low"], row["high"]) == (verdict.low, verdict.high), "the interval of the verdict"


@pytest.fixture
def ladder(tmp_path):
    """Three seeds of two networks: 62.5 % and 50 % right on the test split, fewer on validation."""

    def seeds(name: str, *hits: int) -> list:
        return [make_record(tmp_path, h, name=name, seed=s, clean=False) for s, h in enumerate(hits)]

    return {"EmotionCNN": seeds("emotion_cnn", 25, 25, 25), "CBAM + kernels": seeds("cbam_cnn", 20, 20, 20)}


def test_verdicts_on_the_reported_accuracies(ladder):
    table = findings.verdict_table(ladder, "fer2013")
    assert list(table.index) == ["EmotionCNN", "CNN + fixed kernels", "SimpleResNetFER", "CBAM + kernels"]
    first, last = table.loc["EmotionCNN"], table.loc["CBAM + kernels"]
    assert (first["claim"], first["reported"], first["seeds"]) == ("ladder-01", "58.26 %", 3)
    assert first["test"] == "62.5 % [62.5, 62.5]"
    assert first["test, no copy in train or validation"] == "25.0 % [25.0, 25.0]"  # 5 of the 20 others
    assert first["merged (validation + test)"] == "60.0 % [60.0, 60.0]"
    assert (first["verdict, test"], first["verdict, merged"]) == ("exceeded", "reproduced")
    assert (last["verdict, test"], last["verdict, merged"]) == ("below", "below")
    missing = table.loc["SimpleResNetFER"]
    assert (missing["seeds"], missing["test"], missing["verdict, test"]) == (0, "not measured", "open")


def test_a_verdict_says_how_it_was_reached(tmp_path, ladder):
    """One seed, a narrower network, a shorter recipe, fewer images: none of them settles the claim."""
    one = findings.verdict_table({"CBAM + kernels": ladder["CBAM + kernels"][:1]}, "fer2013")
    assert one.loc["CBAM + kernels", "verdict, test"] == "one seed: reproduced"
    narrow = ModelConfig(name="cbam_cnn", options={"width": 0.5})
    few = DataConfig(dataset="synthetic", faces=100, max_train=50)
    for place, changes in enumerate([{"model": narrow}, {"phases": (PhaseConfig(epochs=3, lr=1e-3),)}, {"data": few}]):
        config = load_recipe("ladder").run(**{"name": "x", "data": few, "model": narrow, "seed": 0} | changes)
        record = make_record(tmp_path, 20, name=f"c{place}")
        rewrite(record.folder, "config.json", store.as_json({"kind": "RunConfig", **config.model_dump()}))
        table = findings.verdict_table({"CBAM + kernels": [store.Record(record.folder, False)]}, "fer2013")
        assert table.loc["CBAM + kernels", "verdict, test"] == "at our scale, one seed: reproduced"
    full = ModelConfig(name="cbam_cnn", options={"width": 1.0})
    config = load_recipe("ladder").run(name="x", data=DataConfig(dataset="fer2013"), model=full, seed=0)
    rewrite(record.folder, "config.json", store.as_json({"kind": "RunConfig", **config.model_dump()}))
    assert findings.as_claimed([store.Record(record.folder, False)])


def test_no_verdict_on_other_faces_than_those_of_the_claim(ladder):
    table = findings.verdict_table(ladder, "synthetic")
    verdicts = table[[c for c in table.columns if c.startswith("verdict")]]
    assert verdicts.shape == (4, 2) and (verdicts == "not FER2013").all(axis=None)
    assert table.loc["EmotionCNN", "test"] == "62.5 % [62.5, 62.5]", "what was measured is shown all the same"


def test_confused_pairs_go_both_ways(tmp_path):
    labels, predicted = labels_of(TEST), predictions(40)
    test = predicted[VALIDATION:]
    test[labels == 4] = 6  # 6 sad for neutral (labels 0..4 have 6 images of 40, the others 5)
    test[np.flatnonzero(labels == 6)[:2]] = 4  # 2 neutral for sad
    test[np.flatnonzero(labels == 0)[:3]] = 2
    runs = {"x": [make_record(tmp_path, predicted)], "right": [make_record(tmp_path, 40, name="right")], "none": []}
    table = findings.confused_pairs(runs)
    assert table.to_numpy().tolist() == [["neutral <-> sad", 8, f"{100 * 8 / 11:.1f} %"], ["fear <-> angry", 3, "25.0 %"]]
    assert list(table.index) == ["x", "x"], "who confuses nothing has no row"
    assert len(findings.confused_pairs({"x": runs["x"]}, top=1)) == 1
    assert findings.confused_pairs({}).empty


def test_reliability_is_of_all_seeds(tmp_path):
    table = findings.reliability([make_record(tmp_path, 30), make_record(tmp_path, 10, seed=1)])
    (row,) = table[table["n"] > 0].itertuples()
    assert (row.n, row.accuracy) == (80, 0.5)
    assert row.confidence == pytest.approx(0.7, abs=1e-3)


def test_numbers_that_other_pages_quote(tmp_path):
    runs = {"EmotionCNN": [make_record(tmp_path, 40)], "HOG + SVM": [], "something else": []}
    assert findings.comparison_numbers(runs, "fer2013") == {
        "accuracy_emotion_cnn": "100.0 % [91.2, 100.0]", "seeds_emotion_cnn": "1",
        "verdict_emotion_cnn": "one seed: exceeded",
        "accuracy_hog_svm": "not measured", "seeds_hog_svm": "0", "verdict_hog_svm": "-",
    }  # fmt: skip
