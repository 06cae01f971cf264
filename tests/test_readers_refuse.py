"""Every wrong input gives one line that names the file and row, what was found and what is allowed."""

import io
import os
import shutil
import tarfile
import time
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_trees import FACES, class_folders, encoded, put, tree
from dataset_trees import LABELS as CLASSES
from fer_study.data import import_to, load
from fer_study.data.doctor import doctor
from fer_study.data.labels import FER2013
from fer_study.settings.errors import InputError
from reader_trees import (
    EMOTIONS,
    LABELS,
    SKIP,
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


def test_wrong_dataset(tmp_path, images):
    write_parquet(tmp_path, images)
    fails(tmp_path, "holds fer2013 (parquet), not muxspace", dataset="muxspace")
    fails(tmp_path, "unknown dataset 'fer2014'", "fer2013, ferplus, folders", dataset="fer2014")


def test_files_that_are_called_tables(tmp_path):
    """A tar, compressed text, and the zero bytes that a power cut leaves: told at once, whatever their size."""
    (tmp_path / "a").mkdir()
    with tarfile.open(tmp_path / "a" / "fer2013.csv", "w") as archive:
        archive.addfile(tarfile.TarInfo("fer2013/fer2013.csv"), io.BytesIO())
    fails(tmp_path / "a" / "fer2013.csv", "fer2013.csv", "is an archive", "unpack it")
    for head in (b"\x1f\x8b\x08\0", b"BZh9", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"):
        put(tmp_path / "b" / "fer2013.csv", head + b"0" * 600)
        fails(tmp_path / "b", "fer2013.csv", "is an archive")
    with (tmp_path / "b" / "fer2013.csv").open("wb") as file:
        file.truncate(2**31)
    start = time.process_time()
    for path in (tmp_path / "b", tmp_path / "b" / "fer2013.csv"):
        fails(path, "fer2013.csv", "zero bytes", "fetch the file again")
    assert time.process_time() - start < 5


def test_arrays_are_no_layout(tmp_path):
    np.savez(tmp_path / "fer2013.npz", X=random_images())
    for path in (tmp_path, tmp_path / "fer2013.npz"):
        fails(path, "fer2013.npz", "no layout reads", "train|test/CLASS")


def test_class_folders_without_a_split(tmp_path):
    for i in range(14):
        put(tmp_path / "a" / CLASSES[i % 7] / f"{i}.png", encoded(FACES[i]))
        put(tmp_path / "b" / ("train", "test")[i % 2] / f"{i}.png", encoded(FACES[i]))
    fails(tmp_path / "a", "7 folders of pictures (angry, disgust, fear", "train/ and test/")
    fails(tmp_path / "b", "test holds pictures", "test/CLASS")


# --------------------------------------------------------------------------------------------------------------- FER2013


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


def test_two_tables_of_votes(tmp_path):
    votes = random_votes()
    write_votes(write_parquet(tmp_path, random_images(), votes), votes)
    assert load(tmp_path, verify=False).votes is not None
    votes[5] = np.roll(votes[5], 1)
    write_votes(tmp_path, votes)
    for dataset in (None, "ferplus"):
        fails(tmp_path, "fer2013new.csv, row 5: other votes than in the columns ferplus_*", dataset=dataset)


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


def test_an_empty_cell_of_parquet_is_one_bad_row(tmp_path):
    path = write_parquet(tmp_path / "fer", random_images(), label=[None, *LABELS[1:]], usage=[*USAGES[:13], None])
    fails(path, "row 0: column 'label' is empty")
    faces = load(path, verify=False, options=SKIP)
    assert faces.left_out == {"value missing": 2} and faces.labels.tolist() == LABELS[1:13]
    (tmp_path / "mux").mkdir()
    path = write_muxspace(tmp_path / "mux", ["happiness", None, "anger", "fear", "neutral"])
    fails(path, "row 1: column 'emotion' is empty")
    assert load(path, verify=False, options=SKIP).ids.tolist() == ["00000", "00002", "00003", "00004"]


def test_parquet_damaged(tmp_path, images):
    write_parquet(tmp_path, images)
    file = tmp_path / "part-0.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    fails(tmp_path, file, "not a readable parquet file")
    file.write_bytes(b"PAR1" + b"\0" * (len(whole) // 2) + whole[len(whole) // 2 + 4 :])
    fails(tmp_path, file)


def test_a_parquet_file_that_unpacks_without_end(tmp_path):
    """A row of 80 MB of zeros in some kB is refused before it is unpacked."""
    image = pa.StructArray.from_arrays([pa.array([bytes(80_000_000)]), pa.array(["a"])], ["bytes", "path"])
    packed = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
    pq.write_table(pa.table({"image": image, "label": [3]}), tmp_path / "train-0.parquet", **packed)
    fails(tmp_path, "train-0.parquet", "unpacks to 80 MB")


def test_class_names_of_the_hub_that_are_none_of_ours(tmp_path):
    table = pa.table({"image": structs(random_images()[:7]), "label": range(7)})
    for names, what in (('"0", "1", "2"', "unknown class name '0'"), ('"contempt"', "classes contempt cannot be mapped to")):
        info = f'{{"info": {{"features": {{"label": {{"names": [{names}]}}}}}}}}'
        pq.write_table(table.replace_schema_metadata({"huggingface": info}), tmp_path / "train-0.parquet")
        fails(tmp_path, f"train-0.parquet: the class names in its Hugging Face metadata: {what}")


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


def test_all_rows_are_wrong(tmp_path):
    rows = csv_rows(random_images())
    for row in rows:
        row[1] = "1 2 3"
    path, where = write_csv(tmp_path, rows), "fer2013.csv, row 0 (line 2): 3 pixels"
    fails(path, where, "14 rows wrong", options=SKIP)
    assert where in doctor(path)["problems"][0]
    with pytest.raises(InputError, match=r"row 0 \(line 2\): 3 pixels"):
        import_to(path, tmp_path / "a.faces", options=SKIP)


# -------------------------------------------------------------------------------------------------------- other datasets


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
    faces = load(tmp_path, options=SKIP)
    assert len(faces) == 2 and faces.left_out == {"image cannot be decoded": 1}
    whole = (tmp_path / "train" / "Happy" / "a.png").read_bytes()
    (tmp_path / "train" / "Happy" / "b.jpg").write_bytes(whole)  # a PNG called JPEG is what it is
    assert len(load(tmp_path)) == 3
    (tmp_path / "train" / "Happy" / "b.jpg").write_bytes(whole[:-300])
    fails(tmp_path, "cannot decode")
    os.rename(tmp_path / "train" / "Happy" / "b.jpg", os.fsencode(tmp_path) + b"/train/Happy/\xff\n.png")
    fails(tmp_path, r"\xff\n.png: cannot decode")


def test_no_face_has_this_shape(tmp_path, images):
    for split in ("train", "test"):
        save(images[0], tmp_path / split / "happy" / "0.png")
    for shape in ((1, 1), (7, 48), (10, 3000)):
        save(np.zeros(shape, np.uint8), tmp_path / "train" / "happy" / "1.png")
        fails(tmp_path, f"a picture of {shape[1]}x{shape[0]}, allowed: sides from 8 px")
    assert load(tmp_path, verify=False, options=SKIP).left_out == {"no face has this shape": 1}


def test_signs_in_the_name_of_a_folder(tmp_path):
    path = class_folders(tmp_path, classes=[*FER2013, "!happy", "not_happy"])
    fails(path, "unknown class name '!happy'")
    left = {"class unknown: !happy": 2, "class unknown: not_happy": 2}
    assert load(path, verify=False, options=SKIP).left_out == left
    report = doctor(path)
    assert "2 rows wrong: class unknown: not_happy" in report["problems"] and "rename the folder" in report["mend"][0]


def test_expw_rows(tmp_path, images):
    save(images[0], tmp_path / "origin" / "a.jpg")
    good = "a.jpg 0 0 0 40 40 1.0 3"
    for line, parts in (
        ("a.jpg 0 0 0 40 40 3", ("line 2", "7 columns, allowed 8")),
        ("a.jpg 0 0 0 40 40 1.0 7", ("line 2", "label is '7'", "6 neutral")),
        ("a.jpg 0 0 zero 40 40 1.0 1", ("line 2", "face box is", "numbers")),
        ("a.jpg 1 90 90 99 99 1.0 1", ("line 2", "in a picture of 48x48")),
        ("a.jpg 1 nan nan nan nan 1.0 1", ("line 2", "in a picture of 48x48")),
        ("a.jpg 1 0 0 inf 40 1.0 1", ("line 2", "in a picture of 48x48")),
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


def test_compound_labels_are_not_rafdb_with_bad_rows(tmp_path):
    """The other half of RAF-DB counts to 11; rows above 7 left out, the rest is no RAF-DB."""
    lines = [f"train_{i:05d}.jpg {1 + i % 11}" for i in range(22)] + [f"test_{i:05d}.jpg {1 + i % 11}" for i in range(22)]
    for i in range(22):
        for split in ("train", "test"):
            put(tmp_path / "Image" / "aligned" / f"{split}_{i:05d}_aligned.jpg", encoded(FACES[i], "JPEG"))
    put(tmp_path / "list_patition_label.txt", "\n".join(lines))
    fails(tmp_path, "16 of 44 labels are none of this layout", "label is '8'", options=SKIP)


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


def test_affectnet_without_a_part(tmp_path):
    for i in (0, 2):
        put(tmp_path / "a" / "train_set" / "images" / f"{i}.jpg", encoded(FACES[0], "JPEG"))
    (tmp_path / "a" / "train_set" / "annotations").mkdir()
    for i in range(3):
        np.save(tmp_path / "a" / "train_set" / "annotations" / f"{i}_exp.npy", np.array("1"))
    fails(tmp_path / "a", "1_exp.npy: a label without an image in train_set/images")
    faces = load(tmp_path / "a", verify=False, options=SKIP)
    assert faces.left_out == {"image file missing": 1} and len(faces) == 2
    path, row = tmp_path / "b", "0/0.jpg,0,0,48,48,1"
    head = "subDirectory_filePath,face_x,face_y,face_width,face_height,expression"
    put(path / "images" / "0" / "0.jpg", encoded(FACES[0], "JPEG"))
    put(path / "validation.csv", f"{head}\n{row}\n")
    put(path / "training.csv", f"{head}\n{row.replace('48', 'wide', 1)}\n")
    fails(path, "training.csv, line 2: face box is ['0', '0', 'wide', '48'], allowed: numbers")
    put(path / "training.csv", f"{head.replace('face_x', 'facex')}\n{row}\n")
    fails(path, "training.csv: no column 'face_x'", "all or none of face_x")
    put(path / "training.csv", f"{row}\n{row}\n")
    fails(path, "training.csv: no column 'subDirectory_filePath' in its first line")


@pytest.mark.skipif(os.name == "nt", reason="no devices among files")
def test_annotations_without_end(tmp_path):
    """A device among the files of NumPy is a bad row, and so is a header that promises 800 GB."""
    folder = tmp_path / "train_set" / "annotations"
    folder.mkdir(parents=True)
    for i in range(3):
        put(tmp_path / "train_set" / "images" / f"{i}.jpg", encoded(FACES[i], "JPEG"))
    np.save(folder / "0_exp.npy", np.array("1"))
    (folder / "1_exp.npy").symlink_to("/dev/zero")
    with (folder / "2_exp.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**11,)})
    assert load(tmp_path, verify=False, options=SKIP).left_out == {"label not readable": 2}


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


def test_a_header_in_a_layout_without_one(tmp_path):
    """Its columns may be in another order: it is no bad row to be left out."""
    save(random_images()[0], tmp_path / "FER2013Train" / "fer0.png")
    columns = ["fear", "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "contempt", "unknown", "NF"]
    lines = [",".join(["Image", "Box", *columns]), 'fer0.png,"(0, 0, 48, 48)",10' + ",0" * 9]
    (tmp_path / "FER2013Train" / "label.csv").write_text("\n".join(lines) + "\n")
    fails(tmp_path, "label.csv: line 1 is a header", "neutral, happiness", options=SKIP)


def test_muxspace_wrong_emotion(tmp_path):
    fails(write_muxspace(tmp_path, [*EMOTIONS[:4], "glee"]), "row 4: emotion is 'glee'", "contempt")


def test_a_quotation_mark_that_is_not_closed(tmp_path):
    lines = ["user.id,image,emotion", *(f"1,Ada_{i:04d}.jpg,happiness" for i in range(50))]
    lines[10] = '1,"Ada_0009.jpg,happiness'
    lines[40] = '1,Ada"_0039.jpg,happiness"'
    put(tmp_path / "legend.csv", "\n".join(lines))
    for options in (None, SKIP):
        fails(tmp_path, "legend.csv, line 11: a row that goes on to line 41, allowed: one line a row", options=options)


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


def test_a_name_that_no_file_can_have(tmp_path):
    """It is that of a person, and is not printed."""
    put(tmp_path / "images" / "Ada_0001.jpg", encoded(FACES[0], "JPEG"))
    put(tmp_path / "legend.csv", f"user.id,image,emotion\n1,Ada_0001.jpg,happiness\n1,{'Bob' * 100}_0001.jpg,happiness\n")
    with pytest.raises(InputError, match="row 1: its image is not in") as caught:
        import_to(tmp_path, tmp_path / "a.faces")
    assert "Bob" not in str(caught.value)
    faces, _ = import_to(tmp_path, tmp_path / "b.faces", options=SKIP)
    assert faces.left_out == {"image file missing": 1}


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
