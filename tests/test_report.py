"""From records to tables: every number checked against predictions that are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fer_study.analysis import curves, metrics, other_labels, report
from fer_study.analysis.metrics import Estimate
from fer_study.data.labels import FER2013
from fer_study.jobs import stages
from fer_study.settings.experiment import DataConfig, ModelConfig, RunConfig
from page_records import FIRST_ROW, TEST, VALIDATION, labels_of, make_record, predictions

NAN = float("nan")


def job(name: str, seed: int = 0) -> RunConfig:
    return RunConfig(name=name, data=DataConfig(dataset="synthetic"), model=ModelConfig(name=name), phases=(), seed=seed)


def test_score_counts_right_answers_on_each_subset(tmp_path):
    record = make_record(tmp_path, 30, clean=False)
    test = report.score([record], ["accuracy", "recall_angry"]).loc["accuracy"]
    assert (test["value"], test["n"]) == (30 / 40, 40)
    assert 0.55 < test["low"] < 0.75 < test["high"] < 0.95
    values = {
        s: report.score([record], ["accuracy"], subset=s).loc["accuracy"] for s in ("validation", "test_clean", "merged")
    }
    assert {name: (row["value"], row["n"]) for name, row in values.items()} == {
        "validation": (0.5, 10), "test_clean": (10 / 20, 20), "merged": (35 / 50, 50),
    }  # fmt: skip


def test_seeds_are_pooled_by_image(tmp_path):
    one, other = make_record(tmp_path, 30), make_record(tmp_path, 10, seed=1)
    logits, labels, rows = curves.pooled([one, other], "last_single", "test")
    assert logits.shape == (80, 7)
    assert rows.tolist() == 2 * list(range(FIRST_ROW + VALIDATION, FIRST_ROW + VALIDATION + TEST))
    assert labels.tolist() == 2 * labels_of(TEST).tolist()
    both = report.score([one, other], ["accuracy"]).loc["accuracy"]
    assert (both["value"], both["n"]) == (0.5, 40)


def test_a_metric_of_several_seeds_is_its_mean(tmp_path):
    """Also where the metric of all predictions together is another: macro F1, kappa, calibration."""
    records = [make_record(tmp_path, hits, seed=seed) for seed, hits in enumerate((36, 12))]
    names = ["accuracy", "macro_f1", "cohen_kappa", "expected_calibration_error"]
    table = report.score(records, names)
    for name in names:
        assert table.loc[name, "value"] == pytest.approx(np.mean([report.metric_of(r, name) for r in records])), name
    logits, labels, _ = curves.pooled(records, "last_single", "test")
    assert metrics.compute(logits, labels)["macro_f1"] != pytest.approx(table.loc["macro_f1", "value"])
    assert report.difference(records, records, "macro_f1").value == 0
    assert report.difference(records, records[1:], "macro_f1").n == 1, "the seeds that both have"


def test_seeds_scored_on_different_images_are_refused(tmp_path):
    one, other = make_record(tmp_path, 30), make_record(tmp_path, 10, seed=1)
    other.predictions.table["row"] += 1
    with pytest.raises(ValueError, match="seeds were scored on different images"):
        report.score([one, other], ["accuracy"])


def test_a_second_equal_seed_does_not_narrow_the_interval(tmp_path):
    one, twin = make_record(tmp_path, 30), make_record(tmp_path, 30, seed=1)
    names = ["macro_f1", "log_loss"]
    alone, together = (report.score(r, names)[["value", "low", "high"]] for r in ([one], [one, twin]))
    np.testing.assert_allclose(alone, together)


def test_scores_keep_systems_without_records(tmp_path):
    table = report.scores({"a": [make_record(tmp_path, 20)], "b": []}, ["accuracy", "log_loss"])
    assert list(table.columns) == report.COLUMNS
    assert table[["name", "seeds", "n"]].drop_duplicates().to_numpy().tolist() == [["a", 1, 40], ["b", 0, 0]]
    assert table.set_index(["name", "metric"])["value"].isna().tolist() == [False, False, True, True]


def test_groups_of_runs_are_systems(tmp_path):
    """A network on two targets, with two seeds on one of them; what nobody ran has no row."""
    ran = [("a", "a", 0, 40), ("a", "a", 1, 20), ("a", "b", 0, 20), ("b", "a", 0, 10)]
    rows = [
        [source, target, make_record(tmp_path, hits, name=source + target, seed=seed)] for source, target, seed, hits in ran
    ]
    runs = pd.DataFrame(rows, columns=["source", "target", "record"])
    table = report.score_groups(runs, ["source", "target"], ["accuracy", "log_loss"])
    assert list(table.columns) == ["source", "target", *report.COLUMNS[1:]]
    accuracy = table[table["metric"] == "accuracy"].set_index(["source", "target"])
    assert accuracy["value"].to_dict() == {("a", "a"): 0.75, ("a", "b"): 0.5, ("b", "a"): 0.25}
    assert accuracy["seeds"].tolist() == [2, 1, 1] and (accuracy["n"] == 40).all()
    assert accuracy.loc[("a", "b"), "low"] < 0.5 < accuracy.loc[("a", "b"), "high"]
    nothing = report.score_groups(runs.iloc[:0], ["source", "target"], ["accuracy"])
    assert nothing.empty and list(nothing.columns) == list(table.columns)


def test_a_subset_without_images_is_not_measured(tmp_path):
    record = make_record(tmp_path, 20)
    record.predictions.table["copy_in_train"] = True
    assert np.isnan(report.score([record], ["accuracy"], subset="test_clean").loc["accuracy", "value"])


def test_wide_prints_shares_in_per_cent_and_the_rest_as_it_is():
    rows = [
        ("b", "accuracy", 0.62184, 0.6061, 0.6379), ("b", "log_loss", 1.2346, 1.1, 1.3), ("b", "recall_disgust", 0, 0, 0),
        ("b", "expected_calibration_error", 0.123, 0.1, 0.15), ("b", "cohen_kappa", -0.032, -0.073, 0.001),
        ("a", "accuracy", 1.0, 1.0, 1.0), ("a", "log_loss", NAN, NAN, NAN), ("a", "recall_disgust", 0.5, NAN, NAN),
        ("a", "expected_calibration_error", 0.1, 0.0, 0.2), ("a", "cohen_kappa", 1.0, 1.0, 1.0),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["name", "metric", "value", "low", "high"])
    sd = [0.004 if (name, metric) == ("b", "accuracy") else NAN for name, metric in table[["name", "metric"]].to_numpy()]
    shown = report.wide(table.assign(n=table["name"].map({"a": 7, "b": 3589}), seeds=2, sd=sd))
    assert list(shown.index) == ["b", "a"], "the order of the systems is kept"
    assert shown.loc["b"].to_dict() == {
        "accuracy (%)": "62.2 ± 0.4 [60.6, 63.8]", "log loss": "1.235 [1.100, 1.300]",
        "recall disgust (%)": "0.0 [0.0, 0.0]",
        "expected calibration error (%)": "12.3 [10.0, 15.0]", "cohen kappa": "-0.032 [-0.073, 0.001]",
        "images": 3589, "seeds": 2,
    }  # fmt: skip
    assert shown.loc["a", "log loss"] == "-"
    assert shown.loc["a", "recall disgust (%)"] == "50.0", "a value without an interval"
    assert shown.loc["a", "accuracy (%)"] == "100.0 [100.0, 100.0]"


def test_recalls_by_class(tmp_path):
    predicted = predictions(40)
    predicted[VALIDATION:][labels_of(TEST) == 1] = 2  # every disgust is taken for fear
    value, low, high = report.recalls({"x": [make_record(tmp_path, predicted)], "none": []}, FER2013)
    assert list(value.index) == ["x"] and list(value.columns) == list(FER2013)
    assert value.loc["x"].to_dict() == {name: 0.0 if name == "disgust" else 1.0 for name in FER2013}
    assert (low <= value).all(axis=None) and (value <= high).all(axis=None)


def test_a_share_of_one_seed_has_wilsons_interval(tmp_path):
    """None of 6 disgusted faces found: the bootstrap would say [0, 0]."""
    predicted = predictions(40)
    predicted[VALIDATION:][labels_of(TEST) == 1] = 2
    one, twin = (make_record(tmp_path, predicted, seed=seed) for seed in (0, 1))
    table = report.score([one], ["recall_disgust", "recall_fear", "accuracy", "log_loss"])
    assert table.loc["recall_disgust", ["low", "high"]].tolist() == list(metrics.wilson_interval(0, 6))
    assert table.loc["recall_fear", ["low", "high"]].tolist() == list(metrics.wilson_interval(6, 6))
    assert table.loc["accuracy", ["low", "high"]].tolist() == list(metrics.wilson_interval(34, 40))
    for records in ([one, twin], [one, twin, make_record(tmp_path, predicted, seed=2)]):
        found = report.interval(records, "recall_disgust")
        assert (found.value, found.low, found.high, found.n) == (0.0, *metrics.wilson_interval(0, 6), len(records))
    crowd = np.concatenate([np.full(FIRST_ROW + VALIDATION, -1), labels_of(TEST)])
    against = other_labels.scores({"x": [one]}, crowd, ["recall_disgust"]).iloc[0]
    assert [against["low"], against["high"]] == list(metrics.wilson_interval(0, 6))


def test_the_spread_of_the_seeds_stands_in_the_table(tmp_path):
    records = [make_record(tmp_path, hits, seed=seed) for seed, hits in enumerate((28, 36))]
    assert report.scores({"x": records}, ["accuracy"]).loc[0, "sd"] == pytest.approx(0.2 / 2**0.5)
    assert report.wide(report.scores({"x": records}, ["accuracy"])).iloc[0, 0].startswith("80.0 ± 14.1 [")
    assert "±" not in report.wide(report.scores({"x": records[:1]}, ["accuracy"])).iloc[0, 0]


def test_what_was_chosen_on_validation_has_no_merged_score(tmp_path):
    record = make_record(tmp_path, 30, changes={"patience": 3})
    assert report.wide(report.scores({"x": [record]}, ["accuracy"], subset="merged")).iloc[0, 0] == "-"
    assert np.isnan(report.interval(3 * [record], subset="merged").value)
    assert np.isnan(report.difference([record], [record], subset="merged").value)
    hog = make_record(tmp_path, 30, name="hog_svm")
    shown = report.wide(report.scores({"hog": [hog]}, ["accuracy", "log_loss"], subset="merged"))
    assert shown.iloc[0, 0].startswith("70.0 [") and shown.iloc[0, 1] == "-"


def right(seeds: list[list[float]], group: str = "a") -> pd.DataFrame:
    """A row an image and seed, and what is right of it."""
    rows = [(group, seed, value) for seed, values in enumerate(seeds) for value in values]
    return pd.DataFrame(rows, columns=["group", "seed", "right"])


def test_shares_have_intervals_by_the_rule():
    three = right([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]], "three")
    same = right([[1, 1, 0, 0]] * 3, "same")
    one = right([[1, 1, 1, NAN, 0]], "one")
    table = report.shares(pd.concat([three, same, one]), ["group"], "right")
    assert table.index.names == ["group"] and table["value"].to_dict() == {("one",): 0.75, ("same",): 0.5, ("three",): 0.5}
    assert table["n"].to_dict() == {("one",): 4, ("same",): 12, ("three",): 12}, "a row without a value counts nowhere"
    limits = table[["low", "high"]].apply(tuple, axis=1)
    assert limits["three",] == metrics.over_seeds([0.25, 0.5, 0.75], share=True)[3:]
    assert limits["one",] == pytest.approx(metrics.wilson_interval(3, 4))
    assert limits["same",] == pytest.approx(metrics.wilson_interval(2, 4)), "no width over seeds is not certainty"


def test_shares_of_nothing_keep_their_columns():
    table = report.shares(right([]), ["group"], "right").reset_index()
    assert list(table) == ["group", "value", "low", "high", "n", "seeds"] and table.empty


def test_recalls_without_any_record():
    value, low, high = report.recalls({"x": []}, FER2013)
    assert value.shape == low.shape == high.shape == (0, 7)


def test_from_three_seeds_on_a_difference_is_one_over_seeds(tmp_path):
    """Every seed separates the two on 40 images, but the seeds disagree: images alone would call it settled."""
    a = [make_record(tmp_path, hits, name="a", seed=seed) for seed, hits in enumerate((40, 40, 22))]
    b = [make_record(tmp_path, 20, name="b", seed=seed) for seed in range(3)]
    assert report.difference(a[:2], b[:2]).low > 0.3
    found = report.difference(a, b)
    assert found == pytest.approx(metrics.over_seeds([0.5, 0.5, 0.05])) and found.n == 3
    assert found.low < 0 < found.high
    (effect,) = report.effects({"b": b, "a": a}, b, ["accuracy"]).itertuples()
    assert (effect.name, effect.value, effect.low, effect.high) == ("a", found.value, found.low, found.high)
    assert (effect.n, effect.seeds, effect.few) == (40, 3, False)
    (effect,) = report.effects({"b": b, "a": a[:2]}, b, ["accuracy"]).itertuples()
    assert effect.few and effect.low > 0.3, "over images alone: it is drawn hollow"


def test_difference_pairs_images_and_seeds(tmp_path):
    a = [make_record(tmp_path, hits, name="a", seed=seed) for seed, hits in enumerate((30, 40))]
    b = [make_record(tmp_path, hits, name="b", seed=seed) for seed, hits in ((1, 20), (2, 40))]
    found = report.difference(a, b)  # seed 1 only: 40 against 20 right
    assert (found.value, found.n) == (0.5, 1)
    assert 0.3 < found.low < 0.5 < found.high < 0.7
    back = report.difference(b, a)
    assert (back.value, back.low, back.high) == pytest.approx((-0.5, -found.high, -found.low), abs=0.05)
    assert np.isnan(report.difference(a[:1], b[1:]).value), "no seed in common"


def test_the_same_answers_on_forty_images_do_not_prove_equality(tmp_path):
    a, b = make_record(tmp_path, 30, name="a"), make_record(tmp_path, 30, name="b")
    found, (_, above) = report.difference([a], [b]), metrics.wilson_interval(0, 40)
    assert (found.value, found.low, found.high) == (0.0, -above, above)
    other = make_record(tmp_path, 0, name="c")
    assert report.difference([make_record(tmp_path, 40, name="d")], [other])[3:] == (1 - above, 1.0)


def test_difference_refuses_other_images(tmp_path):
    a, b = make_record(tmp_path, 30, name="a"), make_record(tmp_path, 30, name="b", first_row=0)
    with pytest.raises(ValueError, match="scored on different images, allowed: the same images"):
        report.difference([a], [b])


def test_effects_are_in_points_or_as_they_are(tmp_path):
    runs = {name: [make_record(tmp_path, hits, name=name, sure=sure)] for name, hits, sure in
            (("base", 20, 0.7), ("better", 30, 0.7), ("surer", 20, 0.9))}  # fmt: skip
    effects = report.effects(runs | {"missing": []}, runs["base"], ["accuracy", "log_loss", "expected_calibration_error"])
    table = report.wide(effects, signed=True)
    assert list(table.index) == ["better", "surer"] and table["seeds"].tolist() == [1, 1]
    assert table.loc["better", "accuracy (points)"].startswith("+25.0 [+1")
    assert table.loc["surer", "accuracy (points)"] == "+0.0 [-8.8, +8.8]"
    # half are right: (log 0.9 + log 0.0167) / 2 against (log 0.7 + log 0.05) / 2
    assert table.loc["surer", "log loss"].startswith("+0.42") and table.loc["better", "log loss"].startswith("-0.66")
    assert table.loc["surer", "expected calibration error (points)"].startswith("+20.0 [")
    assert report.wide(report.effects({"base": runs["base"]}, runs["base"], ["accuracy"]), signed=True).empty


def test_from_three_seeds_on_every_interval_is_over_seeds(tmp_path):
    """Of a share on the logit scale, of a log loss as it is; the table of scores and the verdict have the same."""
    records = [make_record(tmp_path, hits, seed=seed, sure=sure)
               for seed, (hits, sure) in enumerate(((28, 0.5), (32, 0.6), (36, 0.7)))]  # fmt: skip
    table = report.score(records, ["accuracy", "log_loss"])
    half = 4.302652729696142 * 0.1 / 3**0.5
    found = table.loc["accuracy"]
    assert found[["value", "sd", "n"]].tolist() == pytest.approx([0.8, 0.1, 40])
    odds = 0.8 / 0.2 * np.exp(np.array([-half, half]) / (0.8 * 0.2))
    assert found[["low", "high"]].tolist() == pytest.approx((odds / (1 + odds)).tolist())
    losses = metrics.over_seeds([report.metric_of(record, "log_loss") for record in records])
    assert table.loc["log_loss", ["value", "low", "high"]].tolist() == pytest.approx([losses.value, losses.low, losses.high])
    for metric in table.index:
        verdict = report.interval(records, metric)
        assert (verdict.low, verdict.high, verdict.n) == (*table.loc[metric, ["low", "high"]], 3)
    assert np.isnan(report.interval([]).value)


@pytest.mark.parametrize("right", [(0, 0, 1), (39, 40, 40), (1, 20, 39)])
def test_no_interval_of_a_share_leaves_0_to_1(tmp_path, right):
    records = [make_record(tmp_path, hits, seed=seed) for seed, hits in enumerate(right)]
    names = ["accuracy", "balanced_accuracy", "macro_f1", "expected_calibration_error", *(f"recall_{c}" for c in FER2013)]
    table = report.score(records, names)
    assert ((table["low"] >= 0) & (table["low"] <= table["value"])).all()
    assert ((table["value"] <= table["high"]) & (table["high"] <= 1)).all()


def test_below_three_seeds_the_interval_is_the_bootstrap(tmp_path):
    records = [make_record(tmp_path, hits, seed=seed) for seed, hits in enumerate((28, 36))]
    found, table = report.interval(records), report.score(records, ["accuracy"]).loc["accuracy"]
    assert (found.value, found.low, found.high, found.n) == (table["value"], table["low"], table["high"], 2)


@pytest.mark.parametrize(("right", "bounded"), [((28,), False), ((28, 36), False), ((28, 36, 30), True)])
def test_a_calibration_error_has_an_interval_over_seeds_only(tmp_path, right, bounded):
    """Images drawn anew push it up: an interval over them lies beside the value."""
    records = [make_record(tmp_path, hits, seed=seed) for seed, hits in enumerate(right)]
    row = report.score(records, ["log_loss", "expected_calibration_error"]).loc["expected_calibration_error"]
    assert row["value"] >= 0 and np.isfinite([row["low"], row["high"]]).tolist() == [bounded] * 2


def test_coverage_says_where_records_come_from(tmp_path):
    jobs = [job("emotion_cnn", 0), job("emotion_cnn", 1), job("cbam_cnn"), job("simple_resnet")]
    records = [make_record(tmp_path, 20, published=True), make_record(tmp_path, 20, seed=1, env={"device": "cuda: big"}),
               make_record(tmp_path, 20, name="cbam_cnn"), None]  # fmt: skip
    table = report.coverage(jobs, records)
    assert table["seeds"].to_dict() == {"EmotionCNN": 2, "CBAM + kernels": 1, "SimpleResNetFER": 1}
    assert table["records"].tolist() == [2, 1, 0]
    assert table["origin"].tolist() == ["published record, trained here", "trained here", "missing"]
    assert table.loc["EmotionCNN", "device"] == "cpu: test, cuda: big"
    assert table["epochs"].tolist() == [2, 2, "-"]
    assert "minutes" not in table, "the times of runs that shared a machine do not compare"


def test_several_recipes_are_several_systems(tmp_path):
    """Their records are no seeds of one another."""
    given = {"edition": "smoke", "recipes": ["smoke", "core"], "models": ["emotion_cnn", "cbam_cnn"], "seeds": [0]}
    jobs = stages.check_stage("03_model_comparison", given | {"baseline": True}).jobs()
    runs = report.by_name(jobs, [make_record(tmp_path, 20, name=f"r{place}") for place, _ in enumerate(jobs)])
    names = ["EmotionCNN, smoke", "CBAM + kernels, smoke", "EmotionCNN, core", "CBAM + kernels, core", "HOG + SVM"]
    assert list(runs) == names and [len(there) for there in runs.values()] == [1] * 5
    parts = report.by_recipe(runs, given["recipes"])
    assert {recipe: list(part) for recipe, part in parts.items()} == {
        recipe: ["EmotionCNN", "CBAM + kernels", "HOG + SVM"] for recipe in given["recipes"]
    }
    assert parts["core"]["EmotionCNN"] is runs["EmotionCNN, core"]
    assert report.by_recipe(runs, ["smoke"]) == {"smoke": runs}


def test_by_name_keeps_names_without_records(tmp_path):
    record = make_record(tmp_path, 20)
    runs = report.by_name([job("emotion_cnn"), job("cbam_cnn")], [record, None])
    assert runs == {"EmotionCNN": [record], "CBAM + kernels": []}


@pytest.mark.parametrize(
    ("estimate", "difference", "share"),
    [
        (Estimate(0.012, NAN, 40, 0.003, 0.021), "+1.2 [+0.3, +2.1]", "1.2 % [0.3, 2.1]"),
        (Estimate(-0.5, NAN, 1, NAN, NAN), "-50.0", "-50.0 %"),
        (report.MISSING, "not measured", "not measured"),
    ],
)
def test_numbers_in_words(estimate, difference, share):
    assert (report.points(estimate), report.percent(estimate)) == (difference, share)


def test_note_says_images_split_seeds_and_interval(tmp_path):
    runs = {"a": [make_record(tmp_path, 20, seed=s) for s in (0, 1)], "b": [make_record(tmp_path, 20, name="b")], "c": []}
    images = int(runs["b"][0].predictions.subset("test").sum())
    said = f"n = {images} images, test; 1-2 seeds; last weights, single"
    assert report.note(runs) == f"{said}; 95 % over images"
    three = [make_record(tmp_path, 20, name="d", seed=s) for s in range(3)]
    assert report.note({"d": three, "c": []}).endswith("; 3 seeds; last weights, single; 95 % over seeds")
    assert report.over({"a": runs["a"], "d": three}) == "over seeds where there are three, else over images"
    assert report.note({"c": []}) == "no record yet"
