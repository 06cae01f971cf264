"""Splits: who trains, who chooses, who is scored."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fer_study.data.copies import copy_groups
from fer_study.data.faceset import FaceSet
from fer_study.data.labels import EIGHT
from fer_study.data.readers import ferplus
from fer_study.data.votes import clear_majority
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import DataConfig
from fer_study.training import protocol
from fer_study.training.protocol import fold_leaks, split, training_images, vote_targets


def make_faces(counts: tuple[int, int, int] = (500, 60, 60), votes: bool = False) -> FaceSet:
    """Every image differs; labels are uneven."""
    rng, n = np.random.default_rng(0), sum(counts)
    images = rng.integers(0, 256, (n, 1, 8, 8), dtype=np.uint8)
    labels = rng.choice(7, n, p=[0.3, 0.05, 0.05, 0.2, 0.2, 0.1, 0.1])
    return FaceSet(
        "made", images, labels.astype(np.int64), np.repeat(["train", "validation", "test"], counts),
        np.array([f"{i}" for i in range(n)]), votes=rng.integers(0, 4, (n, 10), dtype=np.uint8) if votes else None,
    )  # fmt: skip


def config(**fields: object) -> DataConfig:
    return DataConfig(dataset="made", **fields)


@pytest.fixture
def faces() -> FaceSet:
    return make_faces()


def test_official(faces):
    rows = split(faces, config())
    for name in ("train", "validation", "test"):
        assert getattr(rows, name).tolist() == np.flatnonzero(faces.split == name).tolist()
    assert np.array_equal(rows.targets.argmax(axis=1), faces.labels) and (rows.targets.sum(axis=1) == 1).all()


def test_resplit_is_80_20_by_class_and_scores_the_merged_images(faces):
    rows = split(faces, config(protocol="resplit"))
    official = np.flatnonzero(faces.split == "train")
    assert sorted([*rows.train, *rows.validation]) == official.tolist()
    assert rows.test.tolist() == np.flatnonzero(faces.split != "train").tolist()
    for label in range(7):
        n, held = (faces.labels[official] == label).sum(), (faces.labels[rows.validation] == label).sum()
        assert abs(held - n / 5) < 1
    again, other = split(faces, config(protocol="resplit")), split(faces, config(protocol="resplit", world_seed=1))
    assert np.array_equal(rows.validation, again.validation)
    assert not np.array_equal(rows.validation, other.validation)


def test_folds_part_the_training_split(faces):
    folds = [split(faces, config(folds=4, fold=k)) for k in range(4)]
    official = np.flatnonzero(faces.split == "train")
    assert sorted(np.concatenate([f.validation for f in folds])) == official.tolist()
    for fold in folds:
        assert sorted([*fold.train, *fold.validation]) == official.tolist()
        assert np.array_equal(fold.test, folds[0].test)
        for label in range(7):
            assert abs((faces.labels[fold.validation] == label).sum() - (faces.labels[official] == label).sum() / 4) < 1


def with_copies(faces: FaceSet, exact: int = 40, near: int = 30) -> FaceSet:
    """The last training images repeat the first: some as they are, some a little brighter at one pixel."""
    images, last = faces.images.copy(), (faces.split == "train").sum()
    images[last - exact - near : last] = images[: exact + near]
    images[last - near : last, 0, 0, 0] ^= 16
    return dataclasses.replace(faces, images=images)


def leaks_of(faces: FaceSet, folds: int, fold: int) -> dict[str, object]:
    """Counts of a fold."""
    one = config(folds=folds, fold=fold)
    return fold_leaks(faces, one, split(faces, one))


def test_folds_keep_near_copies_together_and_naive_folds_do_not(faces):
    """Of 140 images with one copy each, three folds drawn by the image leave two thirds with theirs in training."""
    copied = with_copies(faces)
    leaks = [leaks_of(copied, 3, k) for k in range(3)]
    assert all(found["grouped"] == {"exact": 0, "near": 0} for found in leaks)
    assert sum(found["images"] for found in leaks) == 500
    exact, near = (sum(found["naive"][kind] for found in leaks) for kind in ("exact", "near"))
    assert exact == pytest.approx(80 * 2 / 3, abs=12) and near == pytest.approx(140 * 2 / 3, abs=16) and exact < near
    assert [leaks_of(faces, 3, k)["naive"] for k in range(3)] == [{"exact": 0, "near": 0}] * 3


def test_leaks_of_a_fold_are_counted_by_hand(monkeypatch):
    """Rows 0 and 1 are copies, 2 and 3 near ones: the first fold holds 0 and 2, so both leak; the other holds 1 and 3."""
    faces = make_faces((4, 2, 2))
    faces.images[1], faces.images[3] = faces.images[0], faces.images[2]
    faces.images[3, 0, 0, 0] ^= 16
    monkeypatch.setattr(protocol, "_parts", lambda labels, groups, number, seed: np.arange(4) % 2)
    found = leaks_of(faces, 2, 0)
    assert found == {"images": 2, "naive": {"exact": 1, "near": 2}, "grouped": {"exact": 1, "near": 2}}


def test_max_train_draws_from_the_training_split(faces):
    rows = split(faces, config(max_train=40))
    assert len(rows.train) == 40 == len(set(rows.train)) and (faces.split[rows.train] == "train").all()
    assert (np.diff(rows.train) > 0).all()
    assert np.array_equal(rows.train, split(faces, config(max_train=40)).train)
    assert set(rows.train) < set(split(faces, config(max_train=80)).train)
    assert not np.array_equal(rows.train, split(faces, config(max_train=40, world_seed=1)).train)
    assert len(split(faces, config(max_train=9999)).train) == 500


def test_training_images_are_known_without_the_data():
    made = make_faces((800, 100, 100))  # the counts of 1,000 synthetic faces
    for fields in ({}, {"protocol": "resplit"}, {"folds": 4}, {"protocol": "resplit", "folds": 4}, {"max_train": 70}):
        config = DataConfig(dataset="synthetic", faces=1000, **fields)
        assert training_images(config) == pytest.approx(len(split(made, config).train), abs=7), fields
    assert training_images(DataConfig(dataset="fer2013")) == 28709
    assert training_images(DataConfig(dataset="muxspace")) == 10880
    assert training_images(DataConfig(dataset="affectnet")) is None
    assert training_images(DataConfig(dataset="affectnet", max_train=5000)) == 5000


@pytest.fixture
def copied(faces) -> FaceSet:
    """Row 3 is in validation (500) and test (560); 10, 11 and 12 are one; test 561 is a copy of validation 501."""
    images = faces.images.copy()
    images[[500, 560]] = images[3]
    images[[11, 12]] = images[10]
    images[561] = images[501]
    return FaceSet("made", images, faces.labels, faces.split, faces.ids)


def test_flags_of_copies(copied):
    rows = split(copied, config())
    assert np.flatnonzero(rows.copy_in_train).tolist() == [10, 11, 12, 500, 560]  # 3 has no other copy in train
    assert np.flatnonzero(rows.copy_in_validation).tolist() == [3, 560, 561]


@pytest.mark.parametrize("fields", [{"protocol": "resplit"}, {"folds": 5}])
def test_copies_are_never_divided_between_training_and_validation(faces, fields):
    """Twenty pictures, many times each: drawn image by image, hardly one would lie in one part only."""
    repeated = np.arange(len(faces)) % 20
    copied = FaceSet("made", faces.images[repeated], faces.labels[repeated], faces.split, faces.ids)
    for seed in range(3):
        rows = split(copied, config(**fields, world_seed=seed))
        assert not set(repeated[rows.train]) & set(repeated[rows.validation]) and len(rows.validation)


def test_deduplicate(copied):
    rows = split(copied, config(deduplicate=True))
    assert set(np.flatnonzero(copied.split == "train")) - set(rows.train) == {3, 11, 12}
    assert np.flatnonzero(rows.copy_in_train).tolist() == [11, 12]
    assert rows.test.tolist() == list(range(560, 620))


def test_drop_tested_keeps_repeats_inside_training(copied):
    rows = split(copied, config(drop_tested=True))
    assert set(np.flatnonzero(copied.split == "train")) - set(rows.train) == {3}
    assert np.flatnonzero(rows.copy_in_train).tolist() == [10, 11, 12]
    assert rows.validation.tolist() == list(range(500, 560)) and rows.test.tolist() == list(range(560, 620))


def test_one_training_has_one_name():
    assert config(drop_tested=False).key == config().key != config(drop_tested=True).key
    with pytest.raises(ValueError, match="drop_tested is True, allowed with deduplicate: False"):
        config(drop_tested=True, deduplicate=True)


def test_copy_groups(copied):
    same = copy_groups(copied.images)
    assert same[3] == same[500] == same[560] and same[10] == same[11] == same[12]
    assert len(set(same)) == len(copied) - 5


def test_vote_targets():
    faces = make_faces((20, 5, 5), votes=True)
    faces.votes[0] = [1, 0, 0, 3, 0, 0, 4, 9, 9, 9]
    faces.votes[1] = [0, 0, 0, 0, 0, 0, 0, 2, 3, 5]
    targets = split(faces, config(targets="votes")).targets
    assert targets[0].tolist() == [0.125, 0, 0, 0.375, 0, 0, 0.5]
    assert targets[1].argmax() == faces.labels[1] and targets[1].max() == 1
    assert targets.dtype == np.float32 and np.allclose(targets.sum(axis=1), 1)


def test_what_is_missing_is_said(faces):
    with pytest.raises(InputError, match=r"targets are votes, but the data has no votes; .*fer2013new\.csv"):
        vote_targets(faces)
    with pytest.raises(InputError, match="no test images"):
        split(faces.select(faces.split != "test"), config())
    with pytest.raises(InputError, match="no training images"):
        split(faces.select(faces.split != "train"), config())


def test_the_majority_of_the_crowd_leaves_out_images_without_one(caplog):
    """By the rule of FER+: single votes are discarded, then more than half of the rest has to agree."""
    faces = make_faces((6, 2, 2), votes=True)
    faces.votes[:6] = 0
    faces.votes[0, :3] = [6, 4, 0]  # angry
    faces.votes[1, :3] = [5, 5, 0]  # a tie
    faces.votes[2, :6] = [4, 2, 1, 1, 1, 1]  # four of six once single votes are gone
    faces.votes[3, 7] = 9  # contempt, which the set does not have
    faces.votes[4, 8:] = [8, 2]  # unknown
    faces.votes[5, 9] = 10  # no face
    with caplog.at_level("INFO"):
        rows = split(faces, config(targets="majority"))
    assert rows.train.tolist() == [0, 2] and rows.targets[[0, 2]].argmax(axis=1).tolist() == [0, 0]
    assert len(rows.validation) == len(rows.test) == 2  # what is scored stays
    said = (
        "4 training images without a majority left out (no option has more than half 1, contempt 1, unknown 1, not_face 1)"
    )
    assert said in caplog.text
    eight = dataclasses.replace(faces, classes=EIGHT, fingerprint="")
    rows = split(eight, config(targets="majority"))
    assert rows.train.tolist() == [0, 2, 3] and rows.targets[3].tolist() == [0.0] * 7 + [1.0]


def test_the_majority_is_that_of_the_authors_code():
    votes = np.random.default_rng(0).multinomial(10, [0.1] * 10, 500).astype(np.uint8)
    votes[:250] = np.random.default_rng(1).multinomial(10, [0.5, *[0.5 / 9] * 9], 250)
    theirs = np.array([ferplus.distribution(one, "majority") for one in votes])
    ours = clear_majority(votes)
    undecided = theirs[:, 8] == 1  # where they say unknown
    assert 0.2 < undecided.mean() < 0.9
    assert np.array_equal(np.where(undecided, ours, theirs.argmax(axis=1)), ours)
    assert set(ours[undecided]) <= {-1, 8}


def test_a_majority_of_a_set_without_votes_is_refused(faces):
    with pytest.raises(InputError, match=r"targets are majority, but the data has no votes; .*fer2013new\.csv"):
        split(faces, config(targets="majority"))
