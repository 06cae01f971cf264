"""The audit finds what was planted, agrees with brute force and with hand-computed tables, and knows FER2013."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_study import audit, data, store
from fer_study.data.faceset import SPLITS, FaceSet
from fer_study.data.labels import FER2013, VOTE_NAMES
from fer_study.jobs.audit import audit_rows
from fer_study.settings.errors import InputError

DATA = Path(os.environ.get("FER_STUDY_DATA") or Path(__file__).parents[1] / "data")


def noise(n: int, shape: tuple[int, ...] = (1, 48, 48), seed: int = 0) -> np.ndarray:
    """(n, *shape) uint8, no two alike."""
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def make(images: np.ndarray, split: list[str], labels: list[int] | None = None, **rest) -> FaceSet:
    n = len(images)
    labels = np.zeros(n, np.int64) if labels is None else np.array(labels, np.int64)
    return FaceSet(rest.pop("name", "made"), images, labels, np.array(split, dtype=str), np.arange(n).astype(str), **rest)


def votes(*rows: dict[str, int]) -> np.ndarray:
    return np.array([[row.get(name, 0) for name in VOTE_NAMES] for row in rows], np.uint8)


@pytest.fixture
def planted() -> FaceSet:
    """0-3 train, 4-6 validation, 7-11 test: 7 = 0, 4 = 1 (other label), 8 = 9, 5 near 2, 10 near 3, 6 blank, 11 clean."""
    images = noise(12)
    images[7], images[4], images[9] = images[0], images[1], images[8]
    for copy, original in ((5, 2), (10, 3)):
        images[copy] = np.clip(images[original].astype(int) + noise(1, seed=copy)[0] // 32, 0, 255)
    images[6] = 7
    labels = [0, 1, 2, 3, 5, 2, 6, 0, 4, 4, 3, 6]
    return make(images, ["train"] * 4 + ["validation"] * 3 + ["test"] * 5, labels)


# ---------------------------------------------------------------------------------------------------------------- copies


def test_exact_groups(planted):
    group = audit.copy_groups(planted.images)
    assert len(set(group)) == 9 and group[7] == group[0] and group[4] == group[1] and group[8] == group[9]
    table = audit.duplicate_groups(planted, group)
    assert table["images"].tolist() == [2, 2, 2]
    assert table[["train", "validation", "test"]].to_numpy().tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 2]]
    assert table["crosses"].tolist() == [True, True, False]
    assert table["conflicting"].tolist() == [False, True, False]
    assert not table["blank"].any()


def test_near_pairs(planted):
    pairs = audit.near_pairs(planted.images)
    assert sorted(zip(pairs["first"], pairs["second"], strict=True)) == [(0, 7), (1, 4), (2, 5), (3, 10), (8, 9)]
    exact = pairs["first"].isin([0, 1, 8])
    assert (pairs["correlation"][exact] == 1).all() and (pairs["correlation"][~exact] < 1).all()


def test_has_copy(planted):
    assert np.flatnonzero(audit.has_copy(planted)).tolist() == [7]
    assert np.flatnonzero(audit.has_copy(planted, threshold=0.95)).tolist() == [7, 10]
    assert np.flatnonzero(audit.has_copy(planted, ["validation", "test"], ["train"])).tolist() == [4, 7]
    assert np.flatnonzero(audit.has_copy(planted, ["validation", "test"], ["train"], 0.95)).tolist() == [4, 5, 7, 10]
    assert np.flatnonzero(audit.has_copy(planted, ["test"], ["test"])).tolist() == [8, 9]
    pairs = audit.near_pairs(planted.images, 0.5)
    for threshold in (None, 0.95, 1.0):
        assert (
            audit.has_copy(planted, threshold=threshold, pairs=pairs) == audit.has_copy(planted, threshold=threshold)
        ).all()


def clean_test_mask(faces, near=True, pairs=None):
    """Test images without a copy in train or validation: (N_test,) bool."""
    return ~audit.has_copy(faces, threshold=audit.NEAR if near else None, pairs=pairs)[faces.split == "test"]


def test_clean_test_mask(planted):
    assert clean_test_mask(planted).tolist() == [False, True, True, False, True]
    assert clean_test_mask(planted, near=False).tolist() == [False, True, True, True, True]


def test_leakage(planted):
    table = audit.leakage(planted, audit.copy_groups(planted.images), audit.near_pairs(planted.images))
    table = table.set_index(["relation", "kind", "class"])
    columns = ["images", "with_copy", "same_label", "all_same_label"]
    assert table.loc[("test in train", "exact", "all"), columns].tolist() == [5, 1, 1, 1]
    assert table.loc[("test in train+validation", "near", "all"), columns].tolist() == [5, 2, 2, 2]
    assert table.loc[("validation in train", "near", "all"), columns].tolist() == [3, 2, 1, 1]
    assert table.loc[("test in test", "exact", "sad"), columns].tolist() == [2, 2, 2, 2]
    assert table.loc[("validation+test in train", "exact", "all"), "share"] == pytest.approx(2 / 8)
    assert np.isnan(table.loc[("test in train", "exact", "disgust"), "share"])


def test_some_copies_with_the_same_label():
    faces = make(noise(1).repeat(3, axis=0), ["train", "train", "test"], [0, 1, 1])
    row = audit.leakage(faces, audit.copy_groups(faces.images), audit.near_pairs(faces.images))
    row = row.set_index(["relation", "kind", "class"]).loc[("test in train", "near", "all")]
    assert row[["with_copy", "same_label", "all_same_label"]].tolist() == [1, 1, 0]


def test_blank_images_have_exact_copies_but_no_correlation():
    images = noise(5)
    images[0] = images[3] = 0
    images[1] = 200
    images[2, 0, 0, 0], images[2, 0, 1:], images[2, 0, 0, 1:] = 100, 103, 103
    faces = make(images, ["train", "train", "test", "test", "test"])
    assert audit.blank(images).tolist() == [True, True, False, True, False]
    assert audit.blank(images, audit.NEARLY_BLANK).tolist() == [True, True, True, True, False]
    assert audit.near_pairs(images, 1e-6)[["first", "second"]].isin([0, 1, 3]).sum().sum() == 0
    assert clean_test_mask(faces).tolist() == [True, False, True]
    report = audit.run(faces)
    assert report.groups["blank"].tolist() == [True]
    found = report.summary()
    assert found["blank"] == {"train": 2, "validation": 0, "test": 1}
    assert found["nearly_blank"] == {"train": 0, "validation": 0, "test": 1}
    assert (found["exact"]["groups"], found["exact_without_blank"]["groups"]) == (1, 0)


@pytest.mark.parametrize("shape", [(1, 48, 48), (3, 20, 31), (1, 5, 7)])
@pytest.mark.parametrize("threshold", [0.3, 0.8, 0.95])
def test_near_pairs_are_those_of_brute_force(shape, threshold):
    """Mixtures of few sources, smooth and rough, bright and dark: correlations everywhere from -1 to 1."""
    rng = np.random.default_rng(1)
    sources = np.concatenate([np.cumsum(rng.standard_normal((6, *shape)), axis=-1), 2 * rng.standard_normal((6, *shape))])
    mixed = np.tensordot(rng.dirichlet(np.full(12, 0.15), 300) * rng.choice([-1, 1], (300, 1)), sources, axes=1)
    images = np.clip(128 + rng.uniform(2, 30, (300, 1, 1, 1)) * mixed, 0, 255).astype(np.uint8)
    images[::50] = 9
    flat = images.reshape(300, -1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        matrix = np.corrcoef(flat)
    first, second = np.nonzero(np.triu(matrix >= threshold, k=1))
    pairs = audit.near_pairs(images, threshold, chunk=64)
    assert len(first) > 100
    assert set(zip(pairs["first"], pairs["second"], strict=True)) == set(zip(first, second, strict=True))
    table = matrix[pairs["first"], pairs["second"]]
    np.testing.assert_allclose(pairs["correlation"], table, rtol=0, atol=1e-12)
    pd.testing.assert_frame_equal(pairs, audit.near_pairs(images, threshold, chunk=1000))


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1, float("nan")])
def test_wrong_threshold(threshold):
    with pytest.raises(InputError, match="threshold"):
        audit.near_pairs(noise(2), threshold)


def test_unknown_split(planted):
    with pytest.raises(InputError, match=r"'dev'.*train, validation, test"):
        audit.has_copy(planted, of=["dev"])


# ---------------------------------------------------------------------------------------------------------------- labels


@pytest.fixture
def voted() -> FaceSet:
    crowd = votes(
        {"fear": 6, "surprise": 4},  # fear: equal
        {"fear": 5, "surprise": 5},  # fear: tie, surprise first in the file
        {"contempt": 5, "fear": 4, "unknown": 1},  # fear: contempt of eight, fear of seven
        {"not_face": 10},  # happy: nothing of eight
        {"happy": 3, "neutral": 3, "unknown": 4},  # happy: unknown of ten, tie won by neutral of eight
        {"neutral": 5, "sad": 5},  # neutral: tie won
        {"neutral": 10},  # sad: no vote
    )
    return make(noise(7), ["train"] * 7, [2, 2, 2, 3, 3, 6, 4], votes=crowd)


@pytest.mark.parametrize(
    ("num_options", "expected"),
    [
        (7, ["fear", "surprise", "fear", None, "neutral", "neutral", "neutral"]),
        (8, ["fear", "surprise", "contempt", None, "neutral", "neutral", "neutral"]),
        (10, ["fear", "surprise", "contempt", "not_face", "unknown", "neutral", "neutral"]),
    ],
)
def test_majority(voted, num_options, expected):
    found = audit.majority(voted.votes, num_options)
    assert [VOTE_NAMES[i] if i >= 0 else None for i in found] == expected
    table = audit.transitions(voted, num_options)
    assert table.to_numpy()[:-1].sum() == 7 and table.loc["all"].sum() == 7
    assert table.loc["happy", "none"] == (num_options < 10)
    assert table.loc["fear", "surprise"] == 1


def test_the_record_says_how_many_votes_the_most_named_class_has(voted):
    """Of the seven classes alone, whatever has more votes beside them."""
    rows = audit_rows(voted, audit.run(voted))
    assert rows["agreement"].tolist() == [6, 5, 4, 0, 3, 5, 10]
    assert rows["crowd"].sum(axis=1).tolist() == [1, 1, 1, 0, 1, 1, 1]


def test_images_are_counted_by_the_number_of_their_votes(voted, planted):
    assert audit.run(voted).summary()["votes"] == {"10": 7} and audit.count_votes(planted) == {}
    votes = voted.votes.copy()
    votes[0, votes[0].argmax()] -= 1
    assert audit.count_votes(dataclasses.replace(voted, votes=votes)) == {"9": 1, "10": 6}


def test_agreement(voted):
    table = audit.agreement(voted, 8)
    assert table.loc["fear", ["equal", "equal_strict", "equal_lenient", "tied"]].tolist() == pytest.approx(
        [1 / 3, 1 / 3, 2 / 3, 1 / 3]
    )
    assert table.loc["happy", ["images", "voted", "equal", "equal_lenient", "no_vote"]].tolist() == [2, 1, 0, 1, 0.5]
    assert table.loc["neutral", ["equal", "equal_strict", "equal_lenient"]].tolist() == [1, 0, 1]
    assert table.loc["all", ["equal", "equal_strict", "equal_lenient", "no_vote"]].tolist() == pytest.approx(
        [2 / 6, 1 / 6, 4 / 6, 2 / 7]
    )
    assert table.loc["angry"].isna().sum() == 5
    assert audit.agreement(voted, 7).loc["fear", "equal"] == pytest.approx(2 / 3)


def test_no_votes(planted):
    with pytest.raises(InputError, match="no crowd votes"):
        audit.agreement(planted)
    assert audit.run(planted).agreement == {}


def test_weights_by_hand():
    assert audit.inverse_frequency(np.array([1, 2, 5])).tolist() == pytest.approx([8 / 3, 8 / 6, 8 / 15])
    assert audit.inverse_frequency(np.array([400] + [4600] * 6), total=28_000)[0] == 10  # the source's own example
    assert np.isnan(audit.inverse_frequency(np.array([0, 4]))).tolist() == [True, False]


def test_balance_and_weights_of_a_set(planted):
    table = audit.balance(planted)
    assert table["total"].to_dict() == {"train": 4, "validation": 3, "test": 5, "validation+test": 8, "all": 12}
    assert table.loc["validation+test", "sad"] == 2
    weights = audit.class_weights(planted)
    assert weights.loc["N and n_c of all", "sad"] == pytest.approx(12 / (7 * 2))
    assert "printed" not in weights.index
    assert np.isnan(weights.loc["N and n_c of train", "sad"])


# --------------------------------------------------------------------------------------------------------- truth, report


def test_score_against_truth():
    images = noise(10)
    images[3] = images[1] = images[0]  # two copies of one original
    images[4] = np.clip(images[2].astype(int) + 3, 0, 255)  # a near copy
    images[6] = images[5]  # not on record
    images[7] = 0  # blank, on record
    images[8] = 0  # blank, not on record, so its equality with 7 does not count
    crowd = votes(*[{"happy": 9, "sad": 1}] * 8, {"not_face": 10}, {"sad": 10})
    truth = {
        "duplicate_of": np.array([-1, 0, -1, 1, 2, -1, -1, -1, -1, -1]),
        "blank": np.arange(10) == 7,
        "true_label": np.array([3, 3, 3, 3, 3, 3, 4, 4, 3, 3]),
    }
    faces = make(images, ["train"] * 10, [3, 3, 3, 3, 4, 4, 3, 3, 4, 3], votes=crowd, truth=truth)
    found = audit.run(faces).truth
    assert found["exact_copies"] == {"planted": 4, "found": 4, "precision": 3 / 4, "recall": 3 / 4}
    assert found["near_copies"] == {"planted": 4, "found": 5, "precision": 4 / 5, "recall": 1}
    assert found["blank"] == {"planted": 1, "found": 2, "precision": 0.5, "recall": 1}
    assert set(found) == {"exact_copies", "near_copies", "blank"}


def test_exact_copies_alone_give_no_recall_of_near_ones():
    images = noise(4)
    images[1] = images[0]
    faces = make(images, ["train"] * 4, truth={"duplicate_of": np.array([-1, 0, -1, -1]), "blank": np.zeros(4, bool)})
    found = audit.run(faces)
    assert found.truth["exact_copies"]["recall"] == 1 == found.truth["near_copies"]["precision"]
    assert np.isnan(found.truth["near_copies"]["recall"]) and found.truth["near_copies"]["planted"] == 1
    images[3] = np.clip(images[2].astype(int) + 3, 0, 255)  # a near copy, on record
    faces = make(images, ["train"] * 4, truth={"duplicate_of": np.array([-1, 0, -1, 2]), "blank": np.zeros(4, bool)})
    assert audit.run(faces).truth["near_copies"]["recall"] == 1


def test_a_selection_is_scored_only_on_request():
    faces = make(noise(1).repeat(3, axis=0), ["train"] * 3, truth={"duplicate_of": np.array([-1, 0, 0])})
    part = make(noise(2), ["train"] * 2, truth={"duplicate_of": np.array([-1, 7])})
    assert audit.run(faces).truth["exact_copies"]["planted"] == 3
    assert audit.run(part, score=False).truth == {}
    with pytest.raises(InputError, match="row 7 of 2"):
        audit.run(part)


def test_nothing_planted_nothing_found_is_undefined():
    faces = make(noise(2), ["train", "test"], truth={"duplicate_of": np.array([-1, -1]), "blank": np.zeros(2, bool)})
    found = audit.run(faces)
    assert np.isnan(found.truth["exact_copies"]["recall"]) and np.isnan(found.truth["blank"]["precision"])
    assert found.summary()["truth"]["blank"]["precision"] is None


def test_summary_is_plain_json(planted, voted):
    for faces in (planted, voted, planted.subset("test")):
        assert json.loads(json.dumps(audit.run(faces).summary(), allow_nan=False))["images"] == len(faces)


def test_empty_set(planted):
    empty = planted.select(np.zeros(0, np.int64))
    assert clean_test_mask(empty).shape == (0,)
    assert json.loads(json.dumps(audit.run(empty).summary(), allow_nan=False))["exact"]["groups"] == 0


# --------------------------------------------------------------------------------------------------------------- FER2013


@pytest.fixture(scope="module")
def fer2013() -> tuple[FaceSet, audit.AuditReport]:
    if not any(path.exists() and data.recognise(path, "fer2013") for path in (DATA, DATA / "fer2013")):
        pytest.skip("FER2013 is not here")
    faces = data.find("fer2013", DATA)
    return faces, audit.run(faces)


def by_class(report: audit.AuditReport, relation: str, kind: str, column: str = "with_copy") -> pd.Series:
    table = report.leakage
    return table[(table["relation"] == relation) & (table["kind"] == kind)].set_index("class")[column]


def test_fer2013_copies(fer2013):
    faces, report = fer2013
    found = report.summary()
    sums = {"groups": 1516, "images": 3369, "crosses": 557, "conflicting": 57}
    assert {k: found["exact"][k] for k in sums} == sums
    assert {k: found["exact"][k] - found["exact_without_blank"][k] for k in sums} == dict(
        zip(sums, (1, 12, 1, 1), strict=True)
    )
    assert found["blank"] == {"train": 11, "validation": 1, "test": 0} and sum(found["nearly_blank"].values()) == 1
    in_train = by_class(report, "test in train", "exact")
    assert in_train.to_dict() == dict(zip((*FER2013, "all"), (37, 16, 47, 28, 17, 118, 25, 288), strict=True))
    assert by_class(report, "test in train", "exact", "same_label")["all"] == 279
    assert by_class(report, "test in train", "exact", "all_same_label")["all"] == 273
    assert by_class(report, "test in train+validation", "exact")["all"] == 314
    assert by_class(report, "validation+test in train", "exact")["all"] == 568
    assert by_class(report, "test in train", "near")["all"] == 394
    assert by_class(report, "test in train+validation", "near")["all"] == 431
    assert clean_test_mask(faces, near=False).sum() == 3589 - 314
    assert clean_test_mask(faces, pairs=report.pairs).sum() == 3589 - 431


def test_fer2013_labels(fer2013):
    _, report = fer2013
    after = {k: table.loc["all"] for k, table in report.transitions.items()}
    assert (after["eight emotions"]["fear"], after["ten columns"]["fear"], after["ten columns"]["not_face"]) == (
        825,
        819,
        177,
    )
    strict = report.agreement["ten columns"]["equal_strict"]
    expected = (0.461, 0.291, 0.125, 0.914, 0.398, 0.780, 0.836, 0.613)
    assert strict.to_numpy() == pytest.approx(expected, abs=6e-4)
    assert report.agreement["seven emotions"].loc["all", "equal"] == pytest.approx(0.6294, abs=6e-5)
    assert report.agreement["ten columns"].loc["all", "no_vote"] == 5856 / 35887


def test_fer2013_weights(fer2013):
    _, report = fer2013
    off = (report.weights.drop(index="printed") - report.weights.loc["printed"]).abs().max(axis=1)
    assert off.index[off < 0.01].tolist() == ["N 28,000, n_c of all"]  # surprise is 0.9995, printed 0.99
    assert report.balance.loc["validation+test", ["disgust", "fear", "happy"]].tolist() == [111, 1024, 1774]
    assert list(report.balance.index[:3]) == list(SPLITS)


def test_the_published_audit_has_the_figures_of_the_field():
    """They were counted by several people; the record holds them whether or not the files are at hand."""
    (found,) = [r.audit for r in store.records() if r.published and (r.folder / "audit.json").is_file()
                and r.audit["name"] == "fer2013"]  # fmt: skip
    leaked = {(r["relation"], r["kind"], r["class"]): r["with_copy"] for r in found["leakage"]}
    exact = found["exact"]
    assert (exact["groups"], exact["images"], exact["crosses"], exact["conflicting"]) == (1516, 3369, 557, 57)
    assert leaked["test in train+validation", "exact", "all"] == 314 and leaked["test in train", "exact", "all"] == 288
    assert leaked["validation+test in train", "exact", "all"] == 568 and leaked["test in train", "near", "all"] == 394
    assert [leaked["test in train", "exact", c] for c in FER2013] == [37, 16, 47, 28, 17, 118, 25]
