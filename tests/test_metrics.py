"""Every metric against a value worked out by hand and against scikit-learn; intervals, determinism, NaN and wrong input."""

import math
import time

import numpy as np
import pandas as pd
import pytest
import scipy
from scipy import stats
from sklearn import metrics as sk

from fer_study.analysis import metrics
from fer_study.settings.errors import InputError

ABC = ("a", "b", "c")
LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTIONS = np.array([0, 0, 1, 1, 2, 0])
LOGITS = np.log(np.where(np.eye(3)[PREDICTIONS] == 1, 0.5, 0.25))
"""The prediction has probability 1/2, the others 1/4; three of six are right."""


def random_case(n: int = 500, k: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), labels] += 1.5
    return logits, labels


def scalar(name: str, logits: np.ndarray, labels: np.ndarray) -> float:
    return metrics.compute(logits, labels, range(logits.shape[1]))[name]


def by_class(family: str, logits: np.ndarray, labels: np.ndarray, k: int) -> list[float]:
    names = [f"{family}_{c}" for c in range(k)]
    table = metrics.bootstrap_interval(logits, labels, names, repetitions=2, classes=[str(c) for c in range(k)])
    return table["value"].to_list()


def test_by_hand():
    assert metrics.confusion(LOGITS, LABELS).tolist() == [[2, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert by_class("recall", LOGITS, LABELS, 3) == pytest.approx([2 / 3, 1 / 2, 0])
    assert by_class("precision", LOGITS, LABELS, 3) == pytest.approx([2 / 3, 1 / 2, 0])
    assert metrics.accuracy(LOGITS, LABELS) == 0.5
    assert scalar("balanced_accuracy", LOGITS, LABELS) == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert scalar("macro_f1", LOGITS, LABELS) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert metrics.log_loss(LOGITS, LABELS) == pytest.approx((3 * math.log(2) + 3 * math.log(4)) / 6)
    # observed 1/2, by chance (3*3 + 2*2 + 1*1) / 36 = 14/36
    assert scalar("cohen_kappa", LOGITS, LABELS) == pytest.approx((1 / 2 - 14 / 36) / (1 - 14 / 36))
    # right: .5^2 + 2 * .25^2 = .375; wrong: .75^2 + .5^2 + .25^2 = .875
    assert scalar("brier", LOGITS, LABELS) == pytest.approx((0.375 + 0.875) / 2)


def test_calibration_error_by_hand():
    confidence = np.array([0.9, 0.9, 0.9, 0.6, 0.6])  # bins (13/15, 14/15] and (8/15, 9/15] -> 0.6 = 9/15 is in the latter
    logits = np.log(np.stack([confidence, 1 - confidence], axis=1))
    labels = np.array([0, 0, 1, 0, 0])
    expected = 3 / 5 * abs(2 / 3 - 0.9) + 2 / 5 * abs(1 - 0.6)
    assert scalar("expected_calibration_error", logits, labels) == pytest.approx(expected)
    sure = np.array([[50.0, -50.0]] * 4)
    assert scalar("expected_calibration_error", sure, np.array([0, 0, 0, 1])) == pytest.approx(0.25)


@pytest.mark.parametrize("k", [2, 7, 8])
def test_against_scikit_learn(k):
    logits, labels = random_case(k=k)
    predictions, probabilities = logits.argmax(1), scipy.special.softmax(logits, axis=1)
    assert metrics.accuracy(logits, labels) == pytest.approx(sk.accuracy_score(labels, predictions))
    assert scalar("balanced_accuracy", logits, labels) == pytest.approx(sk.balanced_accuracy_score(labels, predictions))
    assert scalar("macro_f1", logits, labels) == pytest.approx(sk.f1_score(labels, predictions, average="macro"))
    assert metrics.log_loss(logits, labels) == pytest.approx(sk.log_loss(labels, probabilities))
    assert scalar("cohen_kappa", logits, labels) == pytest.approx(sk.cohen_kappa_score(labels, predictions))
    assert by_class("recall", logits, labels, k) == pytest.approx(sk.recall_score(labels, predictions, average=None))
    assert by_class("precision", logits, labels, k) == pytest.approx(sk.precision_score(labels, predictions, average=None))
    assert (metrics.confusion(logits, labels) == sk.confusion_matrix(labels, predictions)).all()
    columns = [sk.brier_score_loss(labels == c, probabilities[:, c]) for c in range(k)]
    assert scalar("brier", logits, labels) == pytest.approx(sum(columns))
    gaps = pd.Series((predictions == labels) - probabilities.max(1))
    bins = pd.cut(probabilities.max(1), np.arange(metrics.BINS + 1) / metrics.BINS)
    calibration = gaps.groupby(bins, observed=True).sum().abs().sum() / len(labels)
    assert scalar("expected_calibration_error", logits, labels) == pytest.approx(calibration)


def test_compute_names_every_metric_once():
    result = metrics.compute(LOGITS, LABELS, ABC)
    assert list(result) == ["n", *metrics.SCALARS, "recall_a", "recall_b", "recall_c"]
    assert result["n"] == 6 and result["recall_b"] == 0.5
    for name in metrics.SCALARS:
        assert result[name] == scalar(name, LOGITS, LABELS)
    assert (result["accuracy"], result["log_loss"]) == (metrics.accuracy(LOGITS, LABELS), metrics.log_loss(LOGITS, LABELS))


def test_undefined_is_nan():
    logits, labels = LOGITS[:3], LABELS[:3]  # labels 0 0 0, predictions 0 0 1
    result = metrics.compute(logits, labels, ABC)
    assert result["recall_a"] == pytest.approx(2 / 3) and np.isnan([result["recall_b"], result["recall_c"]]).all()
    assert np.isnan(by_class("precision", logits, labels, 3)).tolist() == [False, False, True]
    assert result["balanced_accuracy"] == pytest.approx(2 / 3)  # over the one class with images
    assert result["macro_f1"] == pytest.approx((4 / 5 + 0) / 2)  # a, and b that is predicted
    assert np.isnan(scalar("cohen_kappa", LOGITS[:2], LABELS[:2]))  # one class on both sides
    empty = metrics.compute(LOGITS[:0], LABELS[:0], ABC)
    assert empty.pop("n") == 0 and np.isnan(list(empty.values())).all()
    table = metrics.bootstrap_interval(logits, labels, ["recall_a", "recall_b"], classes=ABC)
    assert table.loc["recall_a"].notna().all() and table.loc["recall_b", ["value", "low", "high"]].isna().all()
    assert metrics.bootstrap_interval(LOGITS[:0], LABELS[:0], ["accuracy"], classes=ABC)["low"].isna().all()


@pytest.mark.filterwarnings("error")
def test_extreme_logits_are_safe():
    logits = np.array([[1e4, 0.0, -1e4], [-1e30, 1e30, 0.0]])
    assert metrics.log_loss(logits, np.array([0, 1])) == 0
    assert metrics.log_loss(logits, np.array([2, 1])) == pytest.approx(1e4)
    assert np.isfinite(list(metrics.compute(logits, np.array([2, 0]), ABC).values())[1:3]).all()
    assert metrics.accuracy(LOGITS.astype(np.float16), LABELS.astype(np.uint8)) == 0.5


@pytest.mark.parametrize(
    "logits, labels, message",
    [
        (LOGITS, LABELS[:5], r"labels must be \(6,\).*got \(5,\)"),
        (LOGITS[:, 0], LABELS, r"logits must be \(N, K\).*got \(6,\)"),
        (LOGITS, LABELS + 1, r"labels span 1\.\.3, allowed 0\.\.2"),
        (LOGITS, LABELS - 1, r"labels span -1\.\.1, allowed 0\.\.2"),
        (LOGITS, LABELS.astype(float), "integers, got float64"),
        (np.where(np.arange(18).reshape(6, 3) == 7, np.nan, LOGITS), LABELS, "row 2 class 1 is nan"),
        (np.where(np.arange(18).reshape(6, 3) == 7, -np.inf, LOGITS), LABELS, "row 2 class 1 is -inf"),
    ],
)
def test_wrong_input(logits, labels, message):
    for call in (metrics.accuracy, metrics.confusion, lambda x, y: metrics.compute(x, y, ABC)):
        with pytest.raises(InputError, match=message):
            call(logits, labels)


def test_wrong_names_and_sizes():
    with pytest.raises(InputError, match="each of 7 classes"):
        metrics.compute(LOGITS, LABELS)
    for name in ("acuracy", "recall_d", "recall", "brier_a"):
        with pytest.raises(InputError, match=f"unknown metric '{name}'; known: accuracy"):
            metrics.bootstrap_interval(LOGITS, LABELS, [name], classes=ABC)
    with pytest.raises(InputError, match=r"groups must be \(6,\), got \(2,\)"):
        metrics.bootstrap_interval(LOGITS, LABELS, ["accuracy"], groups=np.arange(2), classes=ABC)
    with pytest.raises(InputError, match="k = 5, n = 4"):
        metrics.wilson_interval(5, 4)


def test_bootstrap_is_fast_deterministic_and_near_wilson():
    logits, labels = random_case(3589)
    names = [*metrics.SCALARS, *(f"recall_{c}" for c in metrics.FER2013)]
    started = time.perf_counter()
    table = metrics.bootstrap_interval(logits, labels, names)
    assert time.perf_counter() - started < 3  # about 0.1 s on an idle core
    assert list(table.index) == names and (table["n"] == 3589).all()
    assert ((table["low"] < table["value"]) & (table["value"] < table["high"])).all()
    pd.testing.assert_frame_equal(table, metrics.bootstrap_interval(logits, labels, names))
    assert not table.equals(metrics.bootstrap_interval(logits, labels, names, seed=1))
    assert table["value"].to_dict() == pytest.approx({name: metrics.compute(logits, labels)[name] for name in names})
    row, hits = table.loc["accuracy"], round(3589 * table["value"]["accuracy"])
    assert (row["low"], row["high"]) == pytest.approx(metrics.wilson_interval(hits, 3589), abs=0.003)
    assert row["sd"] == pytest.approx((row["value"] * (1 - row["value"]) / 3589) ** 0.5, rel=0.1)


def test_bootstrap_covers_the_truth():
    """Of 200 samples of 300 images with a true accuracy of .7, 95 % intervals miss about ten."""
    rng, missed = np.random.default_rng(0), 0
    for seed in range(200):
        predictions = (rng.random(300) >= 0.7).astype(int)
        row = metrics.bootstrap_interval(
            np.eye(2)[predictions], np.zeros(300, int), ["accuracy"], repetitions=400, seed=seed, classes=("a", "b")
        ).loc["accuracy"]
        missed += not row["low"] <= 0.7 <= row["high"]
    assert 2 <= missed <= 22


def test_groups_are_drawn_together():
    logits, labels = random_case(400)
    alone = metrics.bootstrap_interval(logits, labels, ["accuracy", "log_loss"])
    own = metrics.bootstrap_interval(logits, labels, ["accuracy", "log_loss"], groups=np.arange(400))
    pd.testing.assert_frame_equal(alone, own)
    four = [np.repeat(logits, 4, axis=0), np.repeat(labels, 4), ["accuracy", "log_loss"]]
    grouped = metrics.bootstrap_interval(*four, groups=np.repeat([f"g{i:03}" for i in range(400)], 4))
    assert grouped[["value", "low", "high"]].to_numpy() == pytest.approx(alone[["value", "low", "high"]].to_numpy())
    naive = metrics.bootstrap_interval(*four)  # copies taken for independent images: half the true width
    assert (naive["sd"] / grouped["sd"]).to_numpy() == pytest.approx([0.5, 0.5], rel=0.15)


def test_paired_difference():
    logits, labels = random_case(2000)
    worse = logits + np.random.default_rng(1).normal(size=logits.shape)
    estimate = metrics.paired_bootstrap_difference(logits, worse, labels)
    assert estimate.value == pytest.approx(metrics.accuracy(logits, labels) - metrics.accuracy(worse, labels))
    assert 0 < estimate.low < estimate.value < estimate.high and estimate.n == 2000
    reverse = metrics.paired_bootstrap_difference(worse, logits, labels)
    assert (reverse.low, reverse.high) == pytest.approx((-estimate.high, -estimate.low), abs=1e-9)
    assert metrics.paired_bootstrap_difference(logits, logits, labels, "log_loss") == (0, 0, 2000, 0, 0)
    unpaired = sum(metrics.bootstrap_interval(x, labels, ["accuracy"])["sd"].item() ** 2 for x in (logits, worse)) ** 0.5
    assert estimate.sd < unpaired
    with pytest.raises(InputError, match="row 0 class 0"):
        metrics.paired_bootstrap_difference(logits, np.full_like(logits, np.nan), labels)


def test_over_seeds():
    estimate = metrics.over_seeds([0.70, 0.72, 0.74])
    half = 4.302652729911275 * 0.02 / math.sqrt(3)  # t of .975 with 2 degrees of freedom
    assert estimate == pytest.approx((0.72, 0.02, 3, 0.72 - half, 0.72 + half))
    assert estimate[3:] == pytest.approx(stats.t.interval(0.95, 2, 0.72, 0.02 / math.sqrt(3)))
    one, none = metrics.over_seeds([0.7]), metrics.over_seeds([])
    assert one.value == 0.7 and one.n == 1 and np.isnan([one.sd, one.low, one.high]).all()
    assert none.n == 0 and np.isnan([none.value, none.low]).all()
    assert np.isnan(metrics.over_seeds([0.7, math.nan])[3:]).all()


def test_difference_over_seeds_pairs_by_seed():
    a, b = {0: 0.70, 1: 0.75, 2: 0.72, 9: 0.1}, {2: 0.71, 1: 0.73, 0: 0.69, 5: 0.9}
    estimate = metrics.difference_over_seeds(a, b)
    assert estimate == pytest.approx(metrics.over_seeds([0.01, 0.02, 0.01]))
    assert metrics.difference_over_seeds(pd.Series(a), pd.Series(b)) == estimate
    assert metrics.difference_over_seeds({0: 0.5}, {1: 0.5}).n == 0


def test_wilson_by_hand():
    z = 1.959963984540054
    centre, half = (0.2 + z * z / 20) / (1 + z * z / 10), z * math.sqrt(0.2 * 0.8 / 10 + z * z / 400) / (1 + z * z / 10)
    assert metrics.wilson_interval(2, 10) == pytest.approx((centre - half, centre + half))
    assert metrics.wilson_interval(0, 10)[0] == 0 and metrics.wilson_interval(10, 10)[1] == 1
    assert np.isnan(metrics.wilson_interval(0, 0)).all()
