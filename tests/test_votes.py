"""Votes that are joined to images: each on its own image, or refused; and what they do to fingerprint and import."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_trees import tree
from fer_study.data import Options, find, fingerprints, import_to, load, official, votes
from fer_study.data.doctor import doctor, examine
from fer_study.data.faceset import FaceSet
from fer_study.data.labels import EIGHT, FER2013, FERPLUS_COLUMNS, VOTE_NAMES
from fer_study.data.rows import Face
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import DataConfig
from fer_study.training import sources
from reader_trees import SKIP, csv_rows, fails, random_images, random_votes, structs, write_csv, write_parquet, write_votes

USAGE = ["Training"] * 600 + ["PublicTest"] * 250 + ["PrivateTest"] * 250
SPLIT = ["train"] * 600 + ["validation"] * 250 + ["test"] * 250
COLUMNS = list(FERPLUS_COLUMNS.values())


def crowd_set(seed=0):
    """1,100 images: pixels, labels, and votes of which 65 % agree with the label, as those of FER2013 do."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, 1100)
    seen = np.where(rng.random(1100) < 0.65, labels, rng.integers(0, 7, 1100))
    crowd = np.zeros((1100, 10), int)
    crowd[np.arange(1100), [COLUMNS.index(FER2013[k]) for k in seen]] = 7
    crowd[:, 8:] += rng.multinomial(3, [0.5, 0.5], 1100)
    return rng.integers(0, 256, (1100, 48, 48), dtype=np.uint8), labels, crowd


def write(folder, images, labels, crowd):
    rows = [[str(k), " ".join(map(str, x.ravel())), u] for k, x, u in zip(labels, images, USAGE, strict=True)]
    write_csv(folder, rows)
    write_votes(folder, crowd, USAGE)
    return folder


def permuted(seed=0):
    """An order of the rows that leaves every one in its split."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(600), 600 + rng.permutation(250), 850 + rng.permutation(250)])


def as_if_official(monkeypatch, faces):
    """Takes a small set for FER2013 with FER+."""
    monkeypatch.setitem(fingerprints.ROWS, "fer2013", fingerprints.mark_of(faces.labels, faces.split))
    monkeypatch.setitem(fingerprints.VOTES, "fer2013", fingerprints.mark_of(faces.votes))
    bare = replace(faces, votes=None, fingerprint="")
    monkeypatch.setitem(fingerprints.FINGERPRINTS, "fer2013", bare.fingerprint)
    counts = {s: tuple(np.bincount(faces.labels[faces.split == s], minlength=7).tolist()) for s in np.unique(faces.split)}
    monkeypatch.setitem(official.OFFICIAL_COUNTS, "fer2013", counts)
    return bare.fingerprint


# ------------------------------------------------------------------------------------------------------- on other images


@pytest.mark.parametrize("what", ["votes", "images"])
def test_votes_on_other_images_are_refused(tmp_path, what):
    """Shuffled within each usage, so that neither the number of rows nor Usage tells."""
    images, labels, crowd = crowd_set()
    faces = load(write(tmp_path / "right", images, labels, crowd), verify=False)
    assert faces.votes.sum() == 11000
    order = permuted()
    if what == "votes":
        crowd = crowd[order]
    else:
        images, labels = images[order], labels[order]
    path = write(tmp_path / "wrong", images, labels, crowd)
    for dataset in ("fer2013", "ferplus"):
        fails(path, "the label is the most voted emotion of", "of 1100 images (all)", "allowed: from 50 %", dataset=dataset)
        with pytest.raises(InputError, match="votes on other images"):
            import_to(path, tmp_path / "out", dataset)
        (problem,) = doctor(path, dataset)["problems"]
        assert "votes on other images" in problem
    assert not (tmp_path / "out").exists()


def test_votes_on_other_images_of_one_split_are_refused(tmp_path):
    images, labels, crowd = crowd_set()
    order = np.arange(1100)
    order[850:] = 850 + np.random.default_rng(1).permutation(250)
    fails(write(tmp_path, images, labels, crowd[order]), "of 250 images (test)", "votes on other images")


def test_votes_in_parquet_are_checked_too(tmp_path):
    images, labels, crowd = crowd_set()
    columns = {f"ferplus_{c}": crowd[permuted()][:, i] for i, c in enumerate(FERPLUS_COLUMNS)}
    table = {"row": range(1100), "image": structs(images), "label": labels, "usage": USAGE} | columns
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    fails(tmp_path, "of 1100 images (all)", "votes on other images")


def test_two_rows_of_the_official_votes_may_not_be_exchanged(tmp_path, monkeypatch):
    """Agreement cannot show it; the images are the official ones, so the votes must be."""
    images, labels, crowd = crowd_set()
    path = write(tmp_path / "right", images, labels, crowd)
    as_if_official(monkeypatch, load(path, verify=False))
    assert doctor(path)["is_official"] and not doctor(path)["problems"]
    order = np.arange(1100)
    other = next(i for i in range(600) if labels[i] != labels[0] and (crowd[i] != crowd[0]).any())
    order[[0, other]] = [other, 0]
    path = write(tmp_path / "votes", images, labels, crowd[order])
    for dataset in (None, "ferplus"):
        fails(path, "the images are FER2013 in its order, the votes are not FER+ in that order", dataset=dataset)
    path = write(tmp_path / "images", images[order], labels[order], crowd)
    for dataset in (None, "ferplus"):
        fails(path, "the votes are FER+ in its order, the images are FER2013 in another order", dataset=dataset)
    assert doctor(path)["is_official"] is None and "in another order" in doctor(path)["problems"][0]


def test_other_pixels_under_official_votes_are_a_problem(tmp_path, monkeypatch):
    images, labels, crowd = crowd_set()
    faces = load(write(tmp_path, images, labels, crowd), verify=False)
    as_if_official(monkeypatch, faces)
    other = replace(faces, images=255 - faces.images, fingerprint="")
    problems = examine(other)["problems"]
    assert "votes are joined by row order" in problems[-1] and "of 1100 images (62.8 % on FER2013)" in problems[-1]
    assert not examine(replace(faces, fingerprint=""))["problems"]


def test_a_shift_in_the_middle_is_found():
    """One vote too few from row 3,000 on: over all rows the agreement is still above one half."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 7, 6000)
    crowd = np.zeros((6000, 10), np.uint8)
    crowd[np.arange(6000), numbers] = 10
    labels = np.where(rng.random(6000) < 0.9, numbers, rng.integers(0, 7, 6000))
    right = [Face(None, FER2013[k], "train", "", v) for k, v in zip(labels, crowd, strict=True)]
    votes.check_joined(right, "x")
    moved = np.concatenate([crowd[:3000], np.roll(crowd[3000:], 1, axis=0)])
    assert votes.agreement(np.array(FER2013)[labels], moved)[0] > 0.5
    with pytest.raises(InputError, match=r"\(rows 3000..3999\).*votes on other images"):
        votes.check_joined([Face(None, FER2013[k], "train", "", v) for k, v in zip(labels, moved, strict=True)], "x")


def test_agreement_by_hand():
    crowd = np.zeros((4, 10), int)
    for row, name in enumerate(("happy", "contempt", "not_face", "sad")):
        crowd[row, VOTE_NAMES.index(name)] = 9
    crowd[3, VOTE_NAMES.index("neutral")] = 9  # a tie: neutral stands first in the file
    assert votes.agreement(np.array(["happy", "happy", "happy", "sad"]), crowd) == (1 / 3, 3)
    assert EIGHT.index("contempt") == 7 and np.isnan(votes.agreement(np.array(["sad"]), crowd[2:3])[0])


# -------------------------------------------------------------------------------------------------------- each vote alone


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ([300] + [0] * 9, ("neutral is 300", "0..10")),
        ([0] * 9 + [-1], ("NF is -1", "0..10")),
        ([0.1] + [1] * 9, ("neutral is 0.1", "0..10")),
        ([0] * 10, ("0 votes, allowed 1..10 in all",)),
        ([2] * 10, ("20 votes, allowed 1..10 in all",)),
    ],
)
def test_a_wrong_vote(tmp_path, row, parts):
    """The same check of parquet and CSV, and one row of it is one bad row."""
    crowd = random_votes().astype(float if 0.1 in row else int)
    crowd[5] = row
    parquet = write_parquet(tmp_path / "parquet", random_images(), crowd)
    fails(parquet, "part-0.parquet, row 5", *parts)
    write_csv(tmp_path / "csv", csv_rows(random_images()))
    text = [[int(v) if v == int(v) else v for v in line] for line in crowd.tolist()]
    write_votes(tmp_path / "csv", text)
    fails(tmp_path / "csv", "fer2013new.csv, row 5 (line 7)", *(p.replace("is ", "is '") for p in parts))
    right = random_votes()
    for path in (parquet, tmp_path / "csv"):
        faces = load(path, verify=False, options=SKIP)
        assert faces.left_out == {"votes not allowed": 1} and faces.ids.tolist() == [f"{i:05d}" for i in range(14) if i != 5]
        assert (faces.votes[:, votes.FILE_ORDER] == np.delete(right, 5, axis=0)).all()


@pytest.mark.parametrize("file", ["fer2013.csv", "fer2013new.csv"])
def test_a_bad_row_does_not_shift_the_votes(tmp_path, file):
    """A row with a column too many, in either file: the other rows keep their own votes."""
    images, right = random_images(), random_votes()
    write_votes(write_csv(tmp_path, csv_rows(images)), right)
    lines = (tmp_path / file).read_text().splitlines()
    lines[4] += ",1"
    (tmp_path / file).write_text("\n".join(lines))
    fails(tmp_path, f"{file}, line 5: ", "columns, allowed")
    faces = load(tmp_path, verify=False, options=SKIP)
    assert faces.left_out == {"wrong number of columns": 1}
    assert (faces.images[:, 0] == np.delete(images, 3, axis=0)).all()
    assert (faces.votes[:, votes.FILE_ORDER] == np.delete(right, 3, axis=0)).all()


def test_a_bad_usage_does_not_blame_the_votes(tmp_path):
    rows = csv_rows(random_images())
    rows[2][2] = "Trainig"
    write_votes(write_csv(tmp_path, rows), random_votes())
    fails(tmp_path, "fer2013.csv, row 2 (line 4)", "usage is 'Trainig'")
    assert load(tmp_path, verify=False, options=SKIP).left_out == {"split unknown": 1}


# ------------------------------------------------------------------------------------------------- fingerprint and import


def test_the_fingerprint_covers_votes_and_targets():
    images, usage = random_images()[:, None], np.array(["train"] * 8 + ["test"] * 6)
    made = ("made", images, np.arange(14) % 7, usage, np.arange(14).astype(str))
    make = lambda **parts: FaceSet(*made, **parts).fingerprint  # noqa: E731
    crowd = random_votes().astype(np.uint8)
    shares = np.eye(7, dtype=np.float32)[np.zeros(14, int)]
    marks = [make(), make(votes=crowd), make(votes=crowd[::-1]), make(targets=shares), make(votes=crowd, targets=shares)]
    assert len(set(marks)) == 5 and make(votes=crowd) == marks[1]
    assert marks[0] == "1fd9f5b1ea3a0f4d", "that of a set without votes stays as it was"


def test_an_official_set_has_one_fingerprint(tmp_path, monkeypatch):
    """With its votes or without; with any other votes it has another."""
    faces = load(write(tmp_path, *crowd_set()), verify=False)
    mark = as_if_official(monkeypatch, faces)
    assert replace(faces, fingerprint="").fingerprint == mark
    other = replace(faces, votes=np.roll(faces.votes, 1, axis=0), fingerprint="")
    assert other.fingerprint not in (mark, faces.fingerprint)
    assert not examine(other)["is_official"]


def test_an_import_serves_its_own_protocol_only(tmp_path, monkeypatch):
    path = tree("ferplus", tmp_path / "raw")
    import_to(path, tmp_path / "ferplus.faces", options=Options(annotation="probability"))
    monkeypatch.setenv("FER_STUDY_DATA", str(tmp_path))
    ask = "imported with the annotation probability, majority is asked for; import it again with --annotation majority"
    fails(tmp_path / "ferplus.faces", ask, options=Options())
    with pytest.raises(InputError, match="annotation probability, majority is asked for"):
        find("ferplus", options=Options())
    with pytest.raises(InputError, match="annotation probability, crossentropy is asked for"):
        sources.faces_of(DataConfig(dataset="ferplus", annotation="crossentropy"))
    assert find("ferplus", options=Options(annotation="probability")).name == "ferplus"
    assert load(tmp_path / "ferplus.faces").name == "ferplus"
