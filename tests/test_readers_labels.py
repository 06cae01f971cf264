"""Nothing is read with a wrong label in silence, and what a user is told of it is short and says what to do."""

import errno
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_trees import FACES, TREES, encoded, fer2013_numbers, kept, put
from reader_trees import (
    LABELS,
    USAGES,
    csv_rows,
    fails,
    random_images,
    random_votes,
    structs,
    write_csv,
    write_muxspace,
    write_parquet,
    write_votes,
)

from fer_study import cli
from fer_study.data import Options, canonical, import_to, load, official, recognise
from fer_study.data.doctor import doctor, render
from fer_study.data.labels import FER2013
from fer_study.settings.errors import InputError

SKIP = Options(skip_bad=True)


def tree(name, root):
    return next(t for t in TREES if t.__name__ == name)(root)[2]


def class_folders(root, splits=("train", "test"), name="{}.png", classes=FER2013, n=1):
    """A small set of one's own; every image is another."""
    images = np.random.default_rng(3).integers(0, 256, (len(splits) * len(classes) * n, 48, 48), dtype=np.uint8)
    for i, image in enumerate(images):
        split, rest = splits[i // (len(classes) * n)], i % (len(classes) * n)
        put(root / split / classes[rest // n] / name.format(i), encoded(image))
    return root


# ------------------------------------------------------------------------------------------------------ whose labels


def test_numbers_are_affectnet_only_as_published_and_to_be_confirmed(tmp_path, caplog):
    whole = class_folders(tmp_path / "whole", ("train", "val"), classes=list("01234567"))
    report = doctor(whole)
    assert report["dataset"] == "affectnet" and "0 neutral, 1 happy" in report["problems"][-1]
    assert "to be confirmed" in report["problems"][-1] and "--dataset affectnet" in report["mend"][-1]
    assert not [p for p in doctor(whole, "affectnet")["problems"] if "confirmed" in p]
    caplog.clear()
    import_to(whole, tmp_path / "a.faces")
    assert "read as those of AffectNet (0 neutral, 1 happy" in caplog.text
    caplog.clear()
    import_to(whole, tmp_path / "b.faces", "affectnet")
    assert "confirmed" not in caplog.text
    unsure, sure = (doctor(tmp_path / f"{x}.faces")["problems"] for x in "ab")
    assert "to be confirmed" in unsure[-1] and unsure[:-1] == sure, "an import remembers it"
    fails(whole, "holds affectnet (folders), not rafdb, which needs ", "1..7", dataset="rafdb")
    for i, splits in enumerate((("train",), ("train", "val"), ("train", "test"))):
        numbers = "0124567" if len(splits) == 2 else "01234567"
        part = class_folders(tmp_path / str(i), splits, classes=list(numbers))
        assert recognise(part).dataset == "folders"
        fails(part, "a number does not say which class it is", "--dataset affectnet (0 neutral")


def test_equal_images_with_two_labels(tmp_path):
    path = class_folders(tmp_path, n=2)
    for split in ("train", "test"):
        put(path / split / "sad" / "copy.png", (path / "train" / "happy" / "6.png").read_bytes())
    elsewhere, problem = doctor(path)["problems"]
    assert "test/sad/copy.png (train/" in elsewhere
    example = "e.g. train/happy/6.png (happy) and train/sad/copy.png (sad)"
    assert problem == f"1 group of equal images carries different labels, {example}"
    put(path / "test" / "fear" / "copy.png", (path / "train" / "angry" / "0.png").read_bytes())
    assert doctor(path)["problems"][1].startswith("2 groups of equal images carry different labels")


def test_one_row_twice_with_two_labels(tmp_path):
    path = tree("rafdb_list", tmp_path)
    file = path / "EmoLabel" / "list_patition_label.txt"
    first = file.read_text().splitlines()[0]
    put(file, file.read_text() + first[:-1] + str(1 + int(first[-1]) % 7) + "\n")
    fails(path, "the same image as row 0, angry there and neutral here")
    fails(path, "angry there and neutral here", options=SKIP)  # which of the two is right cannot be known
    report = doctor(path)
    assert "angry there and neutral here" in report["problems"][0] and "which label is right" in report["mend"][0]
    put(file, "train_00001.jpg happy-ish\n" + file.read_text())
    assert "which label is right" in doctor(path)["mend"][0], "of the row that stops it, not of one left out before"


def test_one_row_of_a_legend_twice_with_two_labels(tmp_path):
    path = tree("muxspace_legend", tmp_path)
    file = path / "data" / "legend.csv"
    text = file.read_text()
    person, image, emotion = text.splitlines()[1].split(",")
    put(file, f"{text}{person},{image},{emotion.upper()}\n")
    assert load(path, verify=False, options=SKIP).left_out == {"twice": 1}
    other = "sadness" if emotion.lower() != "sadness" else "fear"
    put(file, f"{text}{person},{image},{other}\n")
    for options in (None, SKIP):
        fails(
            path,
            "legend.csv, row ",
            f"its image is also that of row 0: {emotion.lower()} there and {other} here",
            options=options,
        )


def test_votes_whose_image_names_were_moved(tmp_path):
    """Names are no row numbers, but they rise: a table that was sorted or cut in another way is that of other images."""
    path = write_csv(tmp_path, csv_rows(random_images()))
    write_votes(tmp_path, random_votes())
    file = tmp_path / "fer2013new.csv"
    head, *lines = file.read_text().splitlines()
    lines = [line.split(",", 2) for line in lines]
    named = [[usage, f"fer{7 * i:07d}.png", rest] for i, (usage, _, rest) in enumerate(lines)]
    put(file, "\n".join([head, *map(",".join, named)]) + "\n")
    assert load(path, verify=False).votes is not None
    named[1], named[2] = named[2], named[1]
    put(file, "\n".join([head, *map(",".join, named)]) + "\n")
    fails(path, "fer2013new.csv, row 2 (line 4): image 7 behind image 14: the rows were moved")


def test_what_is_not_there_and_what_is_not_read(tmp_path):
    path = class_folders(tmp_path)
    assert doctor(path)["notes"] == []
    (found,) = (path / "test" / "fear").iterdir()
    put(path / "holdout" / "fear" / "1.png", found.read_bytes())
    found.unlink()
    (path / "test" / "fear").rmdir()
    assert doctor(path)["notes"] == [
        "no images in test of fear",
        "1 picture of the 14 in the folder not read: no row of the set",
    ]


def test_signs_in_the_name_of_a_folder(tmp_path):
    path = class_folders(tmp_path, classes=[*FER2013, "!happy", "not_happy"])
    fails(path, "unknown class name '!happy'")
    left = {"class unknown: !happy": 2, "class unknown: not_happy": 2}
    assert load(path, verify=False, options=SKIP).left_out == left
    report = doctor(path)
    assert "2 rows wrong: class unknown: not_happy" in report["problems"] and "rename the folder" in report["mend"][0]


def test_numbered_files_are_fer2013_only_where_they_are_about_as_many(tmp_path, monkeypatch):
    path = class_folders(tmp_path / "own", name="im{}.png", n=2)
    faces = load(path)
    assert faces.name == "folders" and faces.split.tolist() == ["train"] * 14 + ["test"] * 14
    assert recognise(fer2013_numbers(tmp_path / "part")[2]).dataset == "folders"
    faces = load(tmp_path / "part", "fer2013", verify=False)
    assert set(faces.split) == {"train", "validation"} and len(faces) == len(kept("contempt"))
    counts = {"train": (20,) * 7, "validation": (8,) * 7, "test": (12,) * 7}
    monkeypatch.setitem(official.OFFICIAL_COUNTS, "fer2013", counts)
    whole = class_folders(tmp_path / "whole", name="im{}.png", n=20)
    assert load(whole).counts()["total"].to_dict() == {"train": 140, "validation": 56, "test": 84}
    for i in range(3):
        assert recognise(whole).dataset == ("fer2013" if i < 3 else "folders")
        (whole / "train" / "sad" / f"im{80 + i}.png").unlink()
    assert recognise(whole).dataset == "folders"


def test_folders_of_the_original_splits(tmp_path):
    faces = load(class_folders(tmp_path, ("Training", "PublicTest", "PrivateTest"), name="{}.jpg"), verify=False)
    assert faces.name == "fer2013" and faces.split.tolist() == ["train"] * 7 + ["validation"] * 7 + ["test"] * 7
    assert faces.labels.tolist() == [*range(7)] * 3
    put(tmp_path / "Training" / "gleeful" / "1.jpg", b"")
    fails(tmp_path, "class folder 'gleeful', allowed: angry")


OUTSIDE = ("../../secret.png", "/secret.png", "C:/secret.png", "a/../../secret.png")


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize(("name", "table", "row"), [
    ("muxspace_legend", "data/legend.csv", "1,{},fear"),
    ("affectnet_tables", "training.csv", "{},0,0,48,48,1;2,3,0,0"),
    ("expw", "label.lst", "{} 0 0 0 40 40 1.0 3"),
    ("ferplus", "FER2013Train/label.csv", '{},"(0, 0, 48, 48)",10' + ",0" * 9),
])  # fmt: skip
def test_a_path_that_leaves_the_dataset(tmp_path, name, table, row, outside):
    path = tree(name, tmp_path / "a" / "b")
    put(tmp_path / "secret.png", encoded(FACES[0]))
    number = len((path / table).read_text().splitlines()) + 1
    put(path / table, (path / table).read_text().rstrip("\n") + "\n" + row.format(outside) + "\n")
    fails(path, f"{table}, ", f"line {number}", "its image path is absolute or goes up (..)")
    assert load(path, verify=False, options=SKIP).left_out == {"path outside the dataset": 1}


def test_tables_beside_the_folders_of_rafdb(tmp_path):
    path = tree("rafdb_folders", tmp_path)
    files = sorted((path / "DATASET" / "train").rglob("*.jpg"))
    lines = ["image,label", *(f"{x.name},{x.parent.name}" for x in files)]
    put(path / "train_labels.csv", "\n".join(lines))
    right = load(path, verify=False)
    other = str(1 + int(files[2].parent.name) % 7)
    put(path / "train_labels.csv", "\n".join([*lines[:3], f"{files[2].name},{other}", *lines[4:]]))
    for place in (path, path / "DATASET"):
        fails(place, "train_labels.csv, line 4: label of", f"is '{other}', it lies in folder {files[2].parent.name}")
    faces = load(path, verify=False, options=SKIP)
    assert len(faces) == len(right) - 1 and faces.left_out == {"table and folder contradict": 1}
    put(path / "train_labels.csv", "\n".join(lines[:-1]))
    fails(path, f"train_labels.csv: label of {files[-1].name} is not there")


def test_a_file_of_rafdb_in_the_other_split(tmp_path):
    path = tree("rafdb_folders", tmp_path)
    file = next((path / "DATASET" / "train" / "3").iterdir())
    file.rename(file.with_name(file.name.replace("train", "test")))
    moved = f"train/3/{file.name.replace('train', 'test')}: called after test, it lies in train"
    fails(path, moved)
    assert load(path, verify=False, options=SKIP).left_out == {"name and folder contradict": 1}


def test_two_tables_of_votes(tmp_path):
    votes = random_votes()
    write_votes(write_parquet(tmp_path, random_images(), votes), votes)
    assert load(tmp_path, verify=False).votes is not None
    votes[5] = np.roll(votes[5], 1)
    write_votes(tmp_path, votes)
    for dataset in (None, "ferplus"):
        fails(tmp_path, "fer2013new.csv, row 5: other votes than in the columns ferplus_*", dataset=dataset)


def test_votes_that_are_too_few_to_judge(tmp_path):
    path = write_parquet(tmp_path, random_images(), random_votes())
    for dataset in (None, "ferplus"):
        assert [x for x in doctor(path, dataset)["notes"] if "not judged whether the votes belong to the images" in x]
    assert "note         not judged" in render(doctor(path))


# ---------------------------------------------------------------------------------------------------- what is told


def test_all_rows_are_wrong(tmp_path):
    rows = csv_rows(random_images())
    for row in rows:
        row[1] = "1 2 3"
    path, where = write_csv(tmp_path, rows), "fer2013.csv, row 0 (line 2): 3 pixels"
    fails(path, where, "14 rows wrong", options=SKIP)
    assert where in doctor(path)["problems"][0]
    with pytest.raises(InputError, match=r"row 0 \(line 2\): 3 pixels"):
        import_to(path, tmp_path / "a.faces", options=SKIP)


def test_a_full_disk_is_that_of_the_target(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(canonical, "_write_table", full)
    with pytest.raises(InputError, match=r"a\.faces: cannot be written: No space left on device"):
        import_to(class_folders(tmp_path / "raw"), tmp_path / "a.faces")
    assert [x.name for x in tmp_path.iterdir()] == ["raw"]


def test_a_target_that_is_there_is_told_before_anything_is_read(tmp_path):
    (tmp_path / "a.faces").mkdir()
    rows = csv_rows(random_images())
    path = write_csv(tmp_path, [r[:2] for r in rows], ("emotion", "pixels"))
    with pytest.raises(InputError, match=r"a\.faces: is there already"):
        import_to(path, tmp_path / "a.faces")


def test_an_empty_cell_of_parquet_is_one_bad_row(tmp_path):
    path = write_parquet(tmp_path / "fer", random_images(), label=[None, *LABELS[1:]], usage=[*USAGES[:13], None])
    fails(path, "row 0: column 'label' is empty")
    faces = load(path, verify=False, options=SKIP)
    assert faces.left_out == {"value missing": 2} and faces.labels.tolist() == LABELS[1:13]
    (tmp_path / "mux").mkdir()
    path = write_muxspace(tmp_path / "mux", ["happiness", None, "anger", "fear", "neutral"])
    fails(path, "row 1: column 'emotion' is empty")
    assert load(path, verify=False, options=SKIP).ids.tolist() == ["00000", "00002", "00003", "00004"]


def test_texts_beside_images(tmp_path):
    path = tree("jaffe", tmp_path)
    images = len(load(path, verify=False))
    for name in ("README", "README_FIRST.txt", "jaffe.pdf", "notes.md"):
        put(path / name, "text")
    assert len(load(path, verify=False)) == images


def test_a_file_that_was_downloaded_twice(tmp_path):
    table = pa.table({"image": structs(random_images()), "label": LABELS, "usage": USAGES})
    pq.write_table(table, tmp_path / "x (1).parquet")
    assert len(load(tmp_path, verify=False)) == 14
    pq.write_table(table, tmp_path / "x.parquet")
    fails(tmp_path, "x (1).parquet: by its name a second copy")


# ----------------------------------------------------------------------------------------------------------- exit codes


def test_folders_of_fer2013_can_be_right(tmp_path, monkeypatch, capsys):
    path = tree("fer2013_usage", tmp_path)
    faces = load(path, verify=False)
    table = faces.counts().drop(columns="total")
    monkeypatch.setitem(official.OFFICIAL_COUNTS, "fer2013", {s: tuple(row) for s, row in table.iterrows()})
    assert cli.main(["data", "doctor", str(path)]) == 0
    text = capsys.readouterr().out
    assert "note         no FER+ votes" in text and "note         the counts are official, the pixels" in text
    assert text.endswith("no problems\n")


def test_an_import_counts_the_problems_of_the_doctor(tmp_path, caplog, capsys):
    path = class_folders(tmp_path / "raw", ("train", "val"), classes=list("01234567"))
    put(path / "val" / "1" / "copy.png", (path / "train" / "2" / "2.png").read_bytes())
    assert cli.main(["data", "doctor", str(path), "--json"]) == 2
    n = len(json.loads(capsys.readouterr().out)["problems"])
    caplog.set_level("INFO")
    assert cli.main(["data", "import", str(path), "--to", str(tmp_path / "a.faces")]) == 0
    assert n == 4 and f"4 problems in it; see `fer-study data doctor {path}`" in caplog.text
    assert "verify=False" not in caplog.text


def test_help_says_what_exit_codes_mean_and_lists_the_layouts(capsys):
    for action, words in (("doctor", ("0 no problems", "fer2013, csv: fer2013.csv")), ("import", ("0 written",))):
        with pytest.raises(SystemExit):
            cli.main(["data", action, "--help"])
        text = capsys.readouterr().out
        assert "Exit codes:" in text and all(word in text for word in words)


def test_a_refused_set_names_the_command_that_helps(tmp_path):
    path = write_parquet(tmp_path, random_images())
    fails(path, f"`fer-study data doctor {path}` says how to mend it", "only from Python", verify=True)


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("emotion,pixels,Usage\n", "no images in it", "download it again, whole: fer2013.csv or"),
        ("emotion,Usage\n0,Training\n", "no column 'pixels'", "download it again, whole: fer2013.csv or"),
        ('emotion,pixels,Usage\n0,"1 2\n3",Training\n', "line 2: a row that goes on", "the row that is named"),
    ],
)
def test_the_remedy_is_that_of_the_problem(tmp_path, text, problem, remedy):
    (tmp_path / "fer2013.csv").write_text(text)
    report = doctor(tmp_path)
    (found,), (mend,) = report["problems"], report["mend"]
    assert problem in found and remedy in mend
    assert ("row that is named" in mend) == (", line" in found)
