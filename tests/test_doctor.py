"""What the doctor and the commands say of a dataset: its counts, problems and remedies, and exit codes."""

import json
import re

import numpy as np
import pytest

from dataset_trees import class_folders, put, tree
from fer_study import cli
from fer_study.data import load, official, votes
from fer_study.data.doctor import doctor, render
from fer_study.data.faceset import FaceSet
from fer_study.data.labels import ALIASES, EIGHT, FER2013
from fer_study.settings.errors import InputError
from reader_trees import SKIP, csv_rows, fails, random_images, random_votes, write_csv, write_parquet


def words(text):
    """The names and numbers of a message, for its wording may change: paths and options are words, too."""
    return set(re.findall(r"[\w./$-]*\w", text))


def test_doctor(tmp_path):
    images = random_images()
    images[12] = images[0]
    images[1] = images[2]
    report = doctor(write_parquet(tmp_path, images))
    assert (report["dataset"], report["layout"], report["images"]) == ("fer2013", "parquet", 14)
    assert report["counts"]["test"]["total"] == 3 and report["official"]["test"]["total"] == 3589
    assert report["matches"] is False and report["is_official"] is False and report["votes"] is False
    expected = {"groups": 2, "images": 4, "groups_across_splits": 1, "test_images_elsewhere": 1}
    assert report["duplicates"] == expected
    assert len(report["problems"]) == len(report["mend"]) == 3
    assert words(report["problems"][2]) >= {"2", "00000", "angry", "00012"}
    assert words(render(report)) >= {"fer2013", "parquet", report["fingerprint"], "35887"}


def test_equal_images_with_two_labels(tmp_path):
    path = class_folders(tmp_path, n=2)
    for split in ("train", "test"):
        put(path / split / "sad" / "copy.png", (path / "train" / "happy" / "6.png").read_bytes())
    elsewhere, problem = doctor(path)["problems"]
    assert "test/sad/copy.png" in words(elsewhere)
    assert words(problem) >= {"1", "train/happy/6.png", "happy", "train/sad/copy.png", "sad"}
    put(path / "test" / "fear" / "copy.png", (path / "train" / "angry" / "0.png").read_bytes())
    assert "2" in words(doctor(path)["problems"][1])


def test_what_is_not_there_and_what_is_not_read(tmp_path):
    path = class_folders(tmp_path)
    assert doctor(path)["notes"] == []
    (found,) = (path / "test" / "fear").iterdir()
    put(path / "holdout" / "fear" / "1.png", found.read_bytes())
    found.unlink()
    (path / "test" / "fear").rmdir()
    missing, unread = doctor(path)["notes"]
    assert words(missing) >= {"test", "fear"} and words(unread) >= {"1", "14"}


def test_a_folder_of_no_layout_is_told_what_to_do_once(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("no faces")
    assert cli.main(["data", "doctor", str(tmp_path)]) == 2
    assert capsys.readouterr().out.count("fer-study data doctor --help") == 1


def test_the_data_root_may_have_to_be_made(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_STUDY_DATA", str(tmp_path / "data"))
    for name, elsewhere in (("data", False), ("other", True)):
        (problem,), (mend,) = (doctor(tmp_path / name)[key] for key in ("problems", "mend"))
        assert str(tmp_path / name) in words(problem) and ("$FER_STUDY_DATA" in words(mend)) == elsewhere


def test_what_to_do_is_said_once(tmp_path, capsys):
    """About numbers, and about names: every row is named, the long list is not repeated."""
    assert cli.main(["data", "doctor", str(class_folders(tmp_path / "numbers", classes="1234567", n=2))]) == 2
    text = capsys.readouterr().out
    assert text.count("--dataset rafdb") == text.count("--dataset affectnet") == 1 and len(text.splitlines()) < 12
    path = class_folders(tmp_path / "names", classes=("happy", "calm", "tired"))
    assert cli.main(["data", "doctor", str(path), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["left_out"] == {"class unknown: calm": 2, "class unknown: tired": 2}
    assert sum("happiness" in x for x in report["wrong_rows"]) == 1
    assert all(word in report["wrong_rows"][0] for spellings in ALIASES.values() for word in spellings.split())


# ---------------------------------------------------------------------------------------------------------------- counts


def counted_set(name, counts, classes=FER2013, **parts):
    """A set of one-pixel images with so many of each split and class."""
    pairs = [(split, k) for split, row in counts.items() for k, n in enumerate(row) for _ in range(n)]
    split, labels = np.array([s for s, _ in pairs]), np.array([k for _, k in pairs], np.int64)
    images = np.zeros((len(pairs), 1, 1, 1), np.uint8)
    return FaceSet(name, images, labels, split, np.arange(len(pairs)).astype(str), classes=classes, **parts)


def test_rows_left_out_do_not_switch_off_the_counts(tmp_path, monkeypatch):
    """Labels numbered alphabetically, and one bad row: some classes have more images than there are."""
    counts = {"train": (2, 2, 1, 1, 1, 1, 0), "validation": (0, 0, 0, 0, 0, 0, 3), "test": (1, 1, 0, 0, 0, 1, 0)}
    monkeypatch.setitem(official.OFFICIAL_COUNTS, "fer2013", counts)
    rows, options = csv_rows(random_images()), SKIP
    order = [0, 1, 2, 3, 4, 5, 1, 0, 6, 6, 6, 0, 1, 5]
    for row, label in zip(rows, order, strict=True):
        row[0] = str(label)
    assert len(load(write_csv(tmp_path / "right", rows))) == 14
    rows[0][1] = "1 2 3"
    assert load(write_csv(tmp_path / "bad", rows), options=options).left_out == {"wrong number of pixels": 1}
    for row in rows:
        row[0] = str([0, 1, 2, 3, 5, 6, 4][int(row[0])])
    with pytest.raises(InputError, match=r"\b13\b.*\b1\b.*\b14\b.*train"):
        load(write_csv(tmp_path / "permuted", rows), options=options)


@pytest.mark.parametrize(
    ("change", "left", "wrong"),
    [
        ({}, 0, None),
        ({"angry": -1}, 0, "train angry 704 705"),
        ({"angry": -1}, 1, None),
        ({"angry": -2}, 1, "train angry 703 705"),
        ({"angry": -1, "disgust": 1}, 1, "train disgust 718 717"),
        ({"angry": -3, "fear": -4}, 7, None),
        ({"angry": -4, "fear": -4}, 7, "train angry 701 705 1 21"),
    ],
)
def test_what_may_be_missing(change, left, wrong):
    counts = {s: list(row) for s, row in official.OFFICIAL_COUNTS["rafdb"].items()}
    for name, n in change.items():
        counts["train"][FER2013.index(name)] += n
    found = official.difference(counted_set("rafdb", counts), left)
    assert found is None if wrong is None else words(found) >= set(wrong.split())


def test_the_counts_of_affectnet_are_told_and_not_refused(tmp_path):
    counts = {split: list(row) for split, row in official.PUBLISHED_COUNTS["affectnet"].items()}
    assert sum(counts["train"]) == 287_651 and counts["train"][EIGHT.index("contempt")] == 3750
    small = {split: [n // 500 for n in row] for split, row in counts.items()}
    text = official.Counts.of(counted_set("affectnet", small, EIGHT)).difference()
    assert words(text) >= {"578", "291651", "train", "angry", "49", "24882"}
    small["test"][2] = 501
    text = official.Counts.of(counted_set("affectnet", small, EIGHT)).difference()
    assert words(text) >= {"test", "fear", "501", "500"}
    path = class_folders(tmp_path, ("train", "val"), classes="01234567")
    assert words(render(doctor(path))) >= {"14", "287401"} and len(load(path)) == 14


def test_votes_that_are_too_few_to_judge(tmp_path):
    path = write_parquet(tmp_path, random_images(), random_votes())
    for dataset in (None, "ferplus"):
        report = doctor(path, dataset)
        expected = {"votes", str(report["images"]), str(votes.ENOUGH)}
        assert any(words(note) >= expected for note in report["notes"])
        assert all(note in render(report) for note in report["notes"])


# ------------------------------------------------------------------------------------------------- commands, exit codes


def test_folders_of_fer2013_can_be_right(tmp_path, monkeypatch, capsys):
    path = tree("fer2013_usage", tmp_path)
    faces = load(path, verify=False)
    table = faces.counts().drop(columns="total")
    monkeypatch.setitem(official.OFFICIAL_COUNTS, "fer2013", {s: tuple(row) for s, row in table.iterrows()})
    assert cli.main(["data", "doctor", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == [] and report["matches"] and not report["is_official"]
    assert words(" ".join(report["notes"])) >= {"fer2013new.csv", "parquet"}, "of the votes; of the original files"


def test_an_import_counts_the_problems_of_the_doctor(tmp_path, caplog, capsys):
    path = class_folders(tmp_path / "raw", ("train", "val"), classes=list("01234567"))
    put(path / "val" / "1" / "copy.png", (path / "train" / "2" / "2.png").read_bytes())
    assert cli.main(["data", "doctor", str(path), "--json"]) == 2
    n = len(json.loads(capsys.readouterr().out)["problems"])
    caplog.set_level("INFO")
    assert cli.main(["data", "import", str(path), "--to", str(tmp_path / "a.faces")]) == 0
    assert n == 4 and "4" in words(caplog.text) and f"`fer-study data doctor {path}`" in caplog.text
    assert "verify=False" not in caplog.text


def test_help_lists_the_layouts(capsys):
    with pytest.raises(SystemExit):
        cli.main(["data", "doctor", "--help"])
    assert "fer2013, csv: fer2013.csv" in capsys.readouterr().out


def test_a_table_that_is_refused_as_fer2013(tmp_path, capsys):
    """It names the command that helps, which says where a set of one's own has to lie."""
    path = write_parquet(tmp_path, random_images())
    fails(path, "14 images, official 35887", "train angry has 2, official 3995", f"doctor {path}`", verify=True)
    assert cli.main(["data", "doctor", str(path), "--json"]) == 2
    assert any("train|test/CLASS" in note for note in json.loads(capsys.readouterr().out)["notes"])


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("emotion,pixels,Usage\n", "images", "fer2013.csv"),
        ("emotion,Usage\n0,Training\n", "pixels", "fer2013.csv"),
        ('emotion,pixels,Usage\n0,"1 2\n3",Training\n', "2", "row"),
    ],
)
def test_the_remedy_is_that_of_the_problem(tmp_path, text, problem, remedy):
    (tmp_path / "fer2013.csv").write_text(text)
    report = doctor(tmp_path)
    (found,), (mend,) = report["problems"], report["mend"]
    assert problem in words(found) and remedy in words(mend)
    assert ("row" in words(mend)) == ("line" in words(found))
