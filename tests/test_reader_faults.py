"""Trees and tables that look like a dataset and are another, or have lost a part: refused or told, never taken silently."""

import numpy as np
import pytest
from dataset_trees import FACES, encoded, put
from reader_trees import csv_rows, fails, random_images, write_csv

from fer_study.data import Options, find, load, official, recognise
from fer_study.data.doctor import doctor, render
from fer_study.data.faceset import FaceSet
from fer_study.errors import InputError
from fer_study.labels import EIGHT, FER2013


def counted_set(name, counts, classes=FER2013, **parts):
    """A set of one-pixel images with so many of each split and class."""
    pairs = [(split, k) for split, row in counts.items() for k, n in enumerate(row) for _ in range(n)]
    split, labels = np.array([s for s, _ in pairs]), np.array([k for _, k in pairs], np.int64)
    images = np.zeros((len(pairs), 1, 1, 1), np.uint8)
    return FaceSet(name, images, labels, split, np.arange(len(pairs)).astype(str), classes=classes, **parts)


def numbered(root, splits, numbers, name="{split}_{i}.png"):
    for split in splits:
        for i in numbers:
            put(root / split / str(i) / name.format(split=split, i=i), encoded(FACES[i]))
    return root


# --------------------------------------------------------------------------------------------------- counts with bad rows


def test_rows_left_out_do_not_switch_off_the_counts(tmp_path, monkeypatch):
    """Labels numbered alphabetically, and one bad row: some classes have more images than there are."""
    counts = {"train": (2, 2, 1, 1, 1, 1, 0), "validation": (0, 0, 0, 0, 0, 0, 3), "test": (1, 1, 0, 0, 0, 1, 0)}
    monkeypatch.setitem(official.OFFICIAL_COUNTS, "fer2013", counts)
    rows, options = csv_rows(random_images()), Options(skip_bad=True)
    order = [0, 1, 2, 3, 4, 5, 1, 0, 6, 6, 6, 0, 1, 5]
    for row, label in zip(rows, order, strict=True):
        row[0] = str(label)
    assert len(load(write_csv(tmp_path / "right", rows))) == 14
    rows[0][1] = "1 2 3"
    assert load(write_csv(tmp_path / "bad", rows), options=options).left_out == {"wrong number of pixels": 1}
    for row in rows:
        row[0] = str([0, 1, 2, 3, 5, 6, 4][int(row[0])])
    with pytest.raises(InputError, match=r"13 images \(1 rows left out\), official 14; train .* has .*, official"):
        load(write_csv(tmp_path / "permuted", rows), options=options)


@pytest.mark.parametrize(
    ("change", "left", "wrong"),
    [
        ({}, 0, None),
        ({"angry": -1}, 0, "train angry has 704, official 705"),
        ({"angry": -1}, 1, None),
        ({"angry": -2}, 1, "train angry has 703, official 705"),
        ({"angry": -1, "disgust": 1}, 1, "train disgust has 718, official 717"),
        ({"angry": -3, "fear": -4}, 7, None),
        ({"angry": -4, "fear": -4}, 7, "train angry has 701, official 705, and 1 more of 21 counts"),
    ],
)
def test_what_may_be_missing(change, left, wrong):
    counts = {s: list(row) for s, row in official.OFFICIAL_COUNTS["rafdb"].items()}
    for name, n in change.items():
        counts["train"][FER2013.index(name)] += n
    found = official.difference(counted_set("rafdb", counts), left)
    assert found is None if wrong is None else found.endswith(wrong)


def test_compound_labels_are_not_rafdb_with_bad_rows(tmp_path):
    """The other half of RAF-DB counts to 11; rows above 7 left out, the rest is no RAF-DB."""
    lines = [f"train_{i:05d}.jpg {1 + i % 11}" for i in range(22)] + [f"test_{i:05d}.jpg {1 + i % 11}" for i in range(22)]
    for i in range(22):
        for split in ("train", "test"):
            put(tmp_path / "Image" / "aligned" / f"{split}_{i:05d}_aligned.jpg", encoded(FACES[i], "JPEG"))
    put(tmp_path / "list_patition_label.txt", "\n".join(lines))
    fails(tmp_path, "28 images (16 rows left out), official 15339", verify=True, options=Options(skip_bad=True))


# -------------------------------------------------------------------------------------------------------- bare numbers


def test_numbered_folders_are_affectnet_only_where_there_is_a_seventh(tmp_path):
    """Of FER2013, 0 is angry; of AffectNet, neutral: unasked, nobody can tell."""
    path = numbered(tmp_path / "six", ("train", "val"), range(7))
    assert recognise(path).dataset == "folders"
    fails(
        path, "a number does not say which class it is", "--dataset affectnet (0 neutral, 1 happy, ", "--dataset rafdb (1 "
    )
    assert "--dataset affectnet" in render(doctor(path))
    faces = load(path, "affectnet", verify=False)
    assert [faces.classes[k] for k in faces.labels[:3]] == ["neutral", "happy", "sad"] and set(faces.split) == {
        "train",
        "test",
    }
    assert find("affectnet", path, verify=False).fingerprint == faces.fingerprint
    seven = numbered(tmp_path / "seven", ("Train", "VAL"), range(8))
    assert recognise(seven).dataset == "affectnet" and len(load(seven, options=Options(classes=8))) == 16
    numbered(seven, ("test",), range(8))
    assert recognise(seven).dataset == "folders"


def test_numbers_up_to_seven_are_rafdb_only_by_their_names(tmp_path):
    path = numbered(tmp_path / "raf", ("train", "test"), range(1, 8))
    assert recognise(path).dataset == "rafdb"
    other = numbered(tmp_path / "other", ("train", "test"), range(1, 8), "image{i}.png")
    assert recognise(other).dataset == "folders" and recognise(other, "rafdb").dataset == "rafdb"
    fails(other, "a number does not say which class it is")
    for third in ("val", "valid", "Validation"):
        path = numbered(tmp_path / third, ("train", "test", third), range(1, 8))
        assert recognise(path).dataset == "folders" and recognise(path, "rafdb") is None


def test_the_doctor_knows_the_counts_of_affectnet():
    counts = {split: list(row) for split, row in official.PUBLISHED_COUNTS["affectnet"].items()}
    assert sum(counts["train"]) == 287_651 and counts["train"][EIGHT.index("contempt")] == 3750
    small = {split: [n // 500 for n in row] for split, row in counts.items()}
    text = official.unpublished(counted_set("affectnet", small, EIGHT))
    assert text == "578 images, published 291651; train angry has 49, published 24882"
    small["test"][2] = 501
    text = official.unpublished(counted_set("affectnet", small, EIGHT))
    assert "test fear has 501, published 500: more than there are" in text
    assert official.difference(counted_set("affectnet", small, EIGHT)) is None, "told, not refused"


def test_the_doctor_tells_them_as_a_problem(tmp_path):
    path = numbered(tmp_path, ("train", "val"), range(8))
    assert "14 images, published 287401" in render(doctor(path))
    assert len(load(path)) == 14
