"""Every wrong input gives one line that names the file and row, what was found and what is allowed."""

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

from fer_study.data import LAYOUTS
from fer_study.labels import FER2013


@pytest.fixture
def images():
    return random_images()


@pytest.fixture
def votes():
    return random_votes()


def test_missing_path_and_unknown_layout(tmp_path):
    fails(tmp_path / "none", tmp_path / "none", "no such file")
    fails(tmp_path, "layout not recognised", *(x.looks_like for x in LAYOUTS))
    (tmp_path / "text.csv").write_text("a,b\n1,2\n")
    fails(tmp_path / "text.csv", "layout not recognised")


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
        ({"label": ["angry"] * 14}, ("row 0", "label is 'angry'", "0..6")),
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
