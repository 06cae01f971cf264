"""Every wrong input gives one line that names the file and row, what was found and what is allowed."""

import os
import shutil
import zipfile

import numpy as np
import pytest
from reader_trees import (
    EMOTIONS,
    LABELS,
    USAGES,
    csv_rows,
    fails,
    random_images,
    random_votes,
    save,
    structs,
    write_csv,
    write_muxspace,
    write_parquet,
    write_votes,
)

from fer_study.data import Options, load
from fer_study.data.labels import FER2013


@pytest.fixture
def images():
    return random_images()


@pytest.fixture
def votes():
    return random_votes()


def test_missing_path_and_unknown_layout(tmp_path):
    fails(tmp_path / "none", tmp_path / "none", "no such file")
    fails(tmp_path, "layout not recognised", "`fer-study data doctor --help` lists the layouts")
    (tmp_path / "text.csv").write_text("a,b\n1,2\n")
    fails(tmp_path / "text.csv", "layout not recognised")


def test_the_folder_above(tmp_path, images):
    (tmp_path / "some").mkdir()
    with zipfile.ZipFile(tmp_path / "some" / "fer.zip", "w") as archive:
        archive.writestr("a", "b")
    fails(tmp_path / "some", "holds an archive, fer.zip; unpack it here")
    write_parquet(tmp_path / "mine", images)
    fails(tmp_path, "no dataset at this level, but deeper: try", tmp_path / "mine")
    (tmp_path / "deep").mkdir()
    (tmp_path / "mine").rename(tmp_path / "deep" / "mine")
    fails(tmp_path, f"try {tmp_path / 'deep' / 'mine'}")


def test_no_face_has_this_shape(tmp_path, images):
    for split in ("train", "test"):
        save(images[0], tmp_path / split / "happy" / "0.png")
    for shape in ((1, 1), (7, 48), (10, 3000)):
        save(np.zeros(shape, np.uint8), tmp_path / "train" / "happy" / "1.png")
        fails(tmp_path, f"a picture of {shape[1]}x{shape[0]}, allowed: sides from 8 px")
    assert load(tmp_path, verify=False, options=Options(skip_bad=True)).left_out == {"no face has this shape": 1}


def test_wrong_dataset(tmp_path, images):
    write_parquet(tmp_path, images)
    fails(tmp_path, "holds fer2013 (parquet), not muxspace", dataset="muxspace")
    fails(tmp_path, "unknown dataset 'fer2014'", "fer2013, ferplus, folders", dataset="fer2014")


@pytest.mark.parametrize(
    ("column", "value", "parts"),
    [
        (0, "7", ("label is '7'", "0..6")),
        (0, "", ("label is ''", "0..6")),
        (0, "1.0", ("label is '1.0'", "0..6")),
        (1, "1 2 3", ("3 pixels", "2304")),
        (1, "", ("0 pixels", "2304")),
        (1, "256 " + "0 " * 2303, ("pixel 0 is '256'", "0..255")),
        (1, "18446744073709551617 " + "0 " * 2303, ("pixel 0", "0..255")),
        (1, "0 " * 2303 + "-1", ("pixel 2303 is '-1'", "0..255")),
        (1, "0 " * 2303 + "x", ("pixel 2303 is 'x'", "0..255")),
        (1, "0 1.5 " + "0 " * 2302, ("pixel 1 is '1.5'", "0..255")),
        (2, "Testing", ("usage is 'Testing'", "Training, PublicTest, PrivateTest")),
    ],
)
def test_csv_wrong_row(tmp_path, images, column, value, parts):
    rows = csv_rows(images)
    rows[3][column] = value
    fails(write_csv(tmp_path, rows), tmp_path / "fer2013.csv", "row 3 (line 5)", *parts)


def test_csv_wrong_table(tmp_path, images):
    rows = csv_rows(images)
    fails(
        write_csv(tmp_path / "a", [r[:2] for r in rows], ("emotion", "pixels")), "fer2013.csv: no column 'Usage'", "emotion"
    )
    fails(write_csv(tmp_path / "b", [*rows, ["1", "2"]]), "fer2013.csv, line 16: 2 columns, allowed 3")
    fails(write_csv(tmp_path / "c", []), "no images")
    (tmp_path / "c" / "fer2013.csv").write_text("")
    fails(tmp_path / "c", "no column 'emotion'", "an empty file")


def test_wrong_votes(tmp_path, images, votes):
    write_csv(tmp_path, csv_rows(images))
    write_votes(tmp_path, votes[:13], USAGES[:13])
    fails(tmp_path, "fer2013new.csv: 13 rows", "allowed 14")
    write_votes(tmp_path, votes, USAGES[::-1])
    fails(tmp_path, "fer2013new.csv, row 0 (line 2)", "'PrivateTest'", "'Training'")
    votes[2, 0] = 11
    write_votes(tmp_path, votes)
    fails(tmp_path, "fer2013new.csv, row 2 (line 4): neutral is '11'", "0..10")


def test_parquet_wrong_rows(tmp_path, images):
    file = tmp_path / "part-0.parquet"
    for columns, parts in (
        ({"label": [*LABELS[:-1], 7]}, ("row 13", "label is 7", "0..6")),
        ({"label": ["glee"] * 14}, ("row 0", "label is 'glee'", "0..6")),
        ({"label": [None] * 14}, ("row 0", "'label' is empty")),
        ({"usage": [*USAGES[:-1], "train"]}, ("row 13", "usage is 'train'", "PrivateTest")),
        ({"image": [{"bytes": b"no", "path": ""}] * 14}, ("row 0", "cannot decode", "2 bytes")),
        ({"image": [{"bytes": None, "path": ""}] * 14}, ("row 0", "cannot decode", "0 bytes")),
        ({"image": structs(images[:, :40])}, ("row 0", "48x40", "48x48")),
        ({"label": None}, ("no column 'label'", "found row, image, usage")),
        ({"usage": None}, ("no column 'usage'", "train")),
    ):
        fails(write_parquet(tmp_path, images, **columns), file, *parts)


def test_parquet_damaged(tmp_path, images):
    write_parquet(tmp_path, images)
    file = tmp_path / "part-0.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    fails(tmp_path, file, "not a readable parquet file")
    file.write_bytes(b"PAR1" + b"\0" * (len(whole) // 2) + whole[len(whole) // 2 + 4 :])
    fails(tmp_path, file)


def test_folders_wrong(tmp_path, images):
    tree = tmp_path / "train"
    save(images[0], tree / "angry" / "Training_0.png")
    save(images[0], tree / "happy" / "im1.png")
    fails(tmp_path, tree / "happy" / "im1.png", "file name is 'im1.png'", "{Training,PublicTest,PrivateTest}_NUMBER")
    (tree / "happy" / "im1.png").rename(tree / "happy" / "Training_1.png")
    save(images[0], tree / "gleeful" / "Training_2.png")
    fails(tmp_path, "'gleeful'", ", ".join(FER2013))
    (tree / "gleeful").rename(tree / "contempt")
    fails(tmp_path, "'contempt'", ", ".join(FER2013))
    (tree / "contempt").rename(tree / "surprised")
    save(images[0][:47], tree / "happy" / "Training_1.png")
    fails(tmp_path, tree / "happy" / "Training_1.png", "48x47", "48x48")
    (tree / "happy" / "Training_1.png").write_bytes(b"")
    fails(tmp_path, tree / "happy" / "Training_1.png", "cannot decode")


def test_verify(tmp_path, images):
    fails(write_parquet(tmp_path, images), "14 images, official 35887", "train angry has 2, official 3995", verify=True)


def test_muxspace_wrong_emotion(tmp_path):
    fails(write_muxspace(tmp_path, [*EMOTIONS[:4], "glee"]), "row 4: emotion is 'glee'", "contempt")


# -------------------------------------------------------------------------------------------------------- other datasets


def test_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "fer2013.zip", "w") as archive:
        archive.writestr("fer2013.csv", "x")
    fails(tmp_path / "fer2013.zip", "is an archive; unpack it")


def test_folders_of_any_set(tmp_path, images):
    save(images[0], tmp_path / "train" / "Happy" / "a.png")
    fails(tmp_path, "no test images", verify=True)
    save(images[1], tmp_path / "TEST" / "Happy" / "a.png")
    assert load(tmp_path).split.tolist() == ["train", "test"]
    (tmp_path / "train" / "sad").mkdir()
    fails(tmp_path, tmp_path / "train" / "sad", "a folder without images")
    (tmp_path / "train" / "sad").rename(tmp_path / "train" / "0")
    fails(tmp_path, "unknown class name '0'", "a number does not say which class it is")
    (tmp_path / "train" / "0").rmdir()
    (tmp_path / "train" / "Happy" / "b.jpg").write_text("no image")
    fails(tmp_path, tmp_path / "train" / "Happy" / "b.jpg", "cannot decode the image (8 bytes)")
    faces = load(tmp_path, options=Options(skip_bad=True))
    assert len(faces) == 2 and faces.left_out == {"image cannot be decoded": 1}
    whole = (tmp_path / "train" / "Happy" / "a.png").read_bytes()
    (tmp_path / "train" / "Happy" / "b.jpg").write_bytes(whole)  # a PNG called JPEG is what it is
    assert len(load(tmp_path)) == 3
    (tmp_path / "train" / "Happy" / "b.jpg").write_bytes(whole[:-300])
    fails(tmp_path, "cannot decode")
    os.rename(tmp_path / "train" / "Happy" / "b.jpg", os.fsencode(tmp_path) + b"/train/Happy/\xff\n.png")
    fails(tmp_path, r"\xff\n.png: cannot decode")


def test_expw_rows(tmp_path, images):
    save(images[0], tmp_path / "origin" / "a.jpg")
    good = "a.jpg 0 0 0 40 40 1.0 3"
    for line, parts in (
        ("a.jpg 0 0 0 40 40 3", ("line 2", "7 columns, allowed 8")),
        ("a.jpg 0 0 0 40 40 1.0 7", ("line 2", "label is '7'", "6 neutral")),
        ("a.jpg 0 0 zero 40 40 1.0 1", ("line 2", "face box is", "numbers")),
        ("a.jpg 1 90 90 99 99 1.0 1", ("line 2", "in a picture of 48x48")),
        ("a.jpg 1 nan nan nan nan 1.0 1", ("line 2", "in a picture of 48x48")),
        ("b.jpg 0 0 0 40 40 1.0 1", ("b.jpg", "No such file")),
        (good, ("row 1", "the same image as row 0")),
    ):
        (tmp_path / "label.lst").write_text(f"{good}\n{line}\n")
        fails(tmp_path, *parts)
    shutil.rmtree(tmp_path / "origin")
    fails(tmp_path, "no folder origin or image")


def test_rafdb_rows(tmp_path, images):
    save(images[0], tmp_path / "Image" / "aligned" / "train_1_aligned.jpg")
    for line, parts in (
        ("train_1.jpg 8", ("line 1", "label is '8'", "7 neutral")),
        ("train_1.jpg", ("line 1", "train_N.jpg or test_N.jpg, and a label")),
        ("valid_1.jpg 1", ("line 1", "train_N.jpg or test_N.jpg")),
        ("train_2.jpg 1", ("train_2_aligned.jpg", "No such file")),
    ):
        (tmp_path / "list_patition_label.txt").write_text(line)
        fails(tmp_path, *parts)


def test_affectnet_annotations(tmp_path, images):
    save(images[0], tmp_path / "train_set" / "images" / "1.jpg")
    label = tmp_path / "train_set" / "annotations" / "1_exp.npy"
    label.parent.mkdir()
    fails(tmp_path, label, "no such file")
    label.write_bytes(b"x")
    fails(tmp_path, label, "not a NumPy file with one label")
    np.save(label, np.array([1, 2]))
    fails(tmp_path, label, "not a NumPy file with one label")
    np.save(label, np.array({"a": 1}), allow_pickle=True)  # code is never unpickled
    fails(tmp_path, label, "not a NumPy file with one label")
    np.save(label, np.array("11"))
    fails(tmp_path, label, "label is '11'")
    np.save(label, np.array("9"))
    fails(tmp_path, "no images")


def test_ferplus_rows(tmp_path, images):
    save(images[0], tmp_path / "FER2013Train" / "fer0.png")
    for line, parts in (
        ('fer0.png,"(0, 0, 48, 48)",1,2,3', ("line 1", "5 columns, allowed 12")),
        ('fer0.png,"(0, 0, 48, 48)",1,2,3,0,0,0,0,0,x,0', ("line 1", "unknown is 'x'", "0..10")),
        ('fer0.png,"(0, 0, 48, 48)"' + ",0" * 10, ("line 1", "0 votes, allowed 1..10 in all")),
        ('fer1.png,"(0, 0, 48, 48)"' + ",0" * 9 + ",10", ("no images",)),  # no face: dropped before it is opened
        ('fer1.png,"(0, 0, 48, 48)",10' + ",0" * 9, ("fer1.png", "No such file")),
    ):
        (tmp_path / "FER2013Train" / "label.csv").write_text(line + "\n")
        fails(tmp_path, *parts)
    (tmp_path / "FER2013Test").mkdir()
    fails(tmp_path, "FER2013Test/label.csv: no such file")
