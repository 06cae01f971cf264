"""Trees and tables that look like a dataset and are another, or have lost a part: refused or told, never taken silently."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_trees import FACES, encoded, put
from PIL import Image
from reader_trees import csv_rows, fails, random_images, save, structs, write_csv

from fer_study.data import Options, find, import_to, load, official, recognise
from fer_study.data.doctor import doctor, render
from fer_study.data.faceset import FaceSet
from fer_study.data.labels import EIGHT, FER2013
from fer_study.data.readers.pictures import open_image
from fer_study.data.votes import Joined, agreement, check_joined
from fer_study.settings.errors import InputError

ROOT = Path(__file__).parents[1]


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
    with pytest.raises(InputError, match=r"13 images \(1 row left out\), official 14; train .* has .*, official"):
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
    fails(tmp_path, "16 of 44 labels are none of this layout", "label is '8'", options=Options(skip_bad=True))


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
        assert recognise(path).dataset == "folders" and recognise(path, "rafdb").dataset == "rafdb"


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


# ------------------------------------------------------------------------------------------------------ splits by folder


def test_split_folders_in_capitals(tmp_path):
    """They are FER2013's all the same: of ``Test``, PublicTest is validation."""
    for split, usage in (("Train", "Training"), ("Test", "PublicTest"), ("Test", "PrivateTest")):
        save(random_images()[len(usage) % 7], tmp_path / split / "happy" / f"{usage}_7.png")
    faces = load(tmp_path, verify=False)
    assert faces.name == "fer2013" and sorted(faces.split) == ["test", "train", "validation"]


@pytest.mark.parametrize("name", ["im{}.png", "Training_{}.png"])
def test_a_third_split_folder_is_read(tmp_path, name):
    for i, split in enumerate(("train", "val", "test")):
        save(random_images()[i], tmp_path / split / "happy" / name.format(i))
    faces = load(tmp_path, verify=False)
    assert faces.split.tolist() == ["train", "validation", "test"] and faces.name == "folders"


# ---------------------------------------------------------------------------------------------------------- lost rows


def test_a_quotation_mark_that_is_not_closed(tmp_path):
    lines = ["user.id,image,emotion", *(f"1,Ada_{i:04d}.jpg,happiness" for i in range(50))]
    lines[10] = '1,"Ada_0009.jpg,happiness'
    lines[40] = '1,Ada"_0039.jpg,happiness"'
    put(tmp_path / "legend.csv", "\n".join(lines))
    for options in (Options(), Options(skip_bad=True)):
        fails(tmp_path, "legend.csv, line 11: a row that goes on to line 41, allowed: one line a row", options=options)


def test_affectnet_without_a_part(tmp_path):
    face = encoded(FACES[0], "JPEG")
    for i in range(3):
        put(tmp_path / "a" / "train_set" / "images" / f"{i}.jpg", face)
        (tmp_path / "a" / "train_set" / "annotations").mkdir(exist_ok=True)
        np.save(tmp_path / "a" / "train_set" / "annotations" / f"{i}_exp.npy", np.array("1"))
    (tmp_path / "a" / "train_set" / "images" / "1.jpg").unlink()
    fails(tmp_path / "a", "1_exp.npy: a label without an image in train_set/images")
    faces = load(tmp_path / "a", verify=False, options=Options(skip_bad=True))
    assert faces.left_out == {"image file missing": 1} and len(faces) == 2
    head, row = "subDirectory_filePath,face_x,face_y,face_width,face_height,expression", "0/0.jpg,0,0,48,48,1"
    for name, first, second, parts in (
        (
            "box",
            head.replace("face_x", "facex"),
            head,
            ("training.csv: no column 'face_x'", "all or none of face_x"),
        ),
        ("head", head, row, ("validation.csv: no column 'subDirectory_filePath' in its first line",)),
    ):
        put(tmp_path / name / "images" / "0" / "0.jpg", face)
        put(tmp_path / name / "training.csv", f"{first}\n{row}\n")
        put(tmp_path / name / "validation.csv", f"{second}\n{row}\n")
        fails(tmp_path / name, *parts)


def test_a_name_that_no_file_can_have(tmp_path):
    """It is that of a person, and is not printed."""
    put(tmp_path / "images" / "Ada_0001.jpg", encoded(FACES[0], "JPEG"))
    put(tmp_path / "legend.csv", f"user.id,image,emotion\n1,Ada_0001.jpg,happiness\n1,{'Bob' * 100}_0001.jpg,happiness\n")
    with pytest.raises(InputError, match="row 1: its image is not in") as caught:
        import_to(tmp_path, tmp_path / "a.faces")
    assert "Bob" not in str(caught.value)
    faces, _ = import_to(tmp_path, tmp_path / "b.faces", options=Options(skip_bad=True))
    assert faces.left_out == {"image file missing": 1}


# -------------------------------------------------------------------------------------------------------------- pictures


def in_folder(root, picture):
    (root / "train" / "happy").mkdir(parents=True)
    picture.save(root / "train" / "happy" / "a.tiff")
    return root


def test_pictures_of_unknown_colours_are_bad_rows(tmp_path):
    path = in_folder(tmp_path, Image.new("LAB", (48, 48), (120, 10, 20)))
    fails(path, "a picture of mode LAB, allowed: gray or RGB")
    with pytest.raises(InputError, match="mode LAB"):
        import_to(path, tmp_path / "x.faces")
    assert "mode LAB" in render(doctor(path))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_gray_levels_of_32_bits_are_not_divided(tmp_path, kind):
    picture = lambda levels: Image.fromarray(np.full((48, 48), levels).astype(kind))  # noqa: E731
    assert (load(in_folder(tmp_path / "a", picture(200)), verify=False).images == 200).all()
    for name, levels, found in (("b", 256, "256..256"), ("c", -1, "-1..-1"), ("d", 1, "1..1")):
        fails(in_folder(tmp_path / name, picture(levels)), f"gray levels of {found} in a picture", "allowed: 0..255")


def test_the_orientation_of_a_photograph(tmp_path):
    """6: turned to the right. The official sets keep their bytes as they are."""
    side = np.zeros((48, 48), np.uint8)
    side[:, :24] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / "train" / "happy" / "a.png"
    file.parent.mkdir(parents=True)
    Image.fromarray(side).save(file, exif=exif)
    found = load(tmp_path, verify=False).images[0, 0]
    assert (found[:24] == 255).all() and (found[24:] == 0).all()
    assert (np.asarray(open_image(file)) == side).all()


def test_a_box_that_is_no_number(tmp_path):
    save(random_images()[0], tmp_path / "origin" / "a.jpg")
    for box in ("0 nan 40 40", "0 0 inf 40"):
        put(tmp_path / "label.lst", f"a.jpg 0 {box} 1.0 3\n")
        fails(tmp_path, "label.lst, line 1: face box is", "in a picture of 48x48")


# ---------------------------------------------------------------------------------------------------------- names, people


def test_people_of_ck48_in_split_folders(tmp_path):
    for split, person in (("train", "S001"), ("train", "S002"), ("test", "S001")):
        save(random_images()[0], tmp_path / split / "happy" / f"{person}_004_{split}.png")
    save(random_images()[1], tmp_path / "test" / "happy" / "mine.png")
    faces = load(tmp_path)
    assert faces.name == "folders" and not [p for p in faces.attributes["person"].dropna() if "S00" in p]
    report = doctor(tmp_path)
    assert report["people"] == {"people": 2, "images": 3, "in_several_splits": 1}
    assert "1 person is in more than one split" in render(report)
    assert "who is in the other 1 image is not known" in render(report)
    made, _ = import_to(tmp_path, tmp_path / "x.faces")
    assert made.attributes["person"].tolist() == faces.attributes["person"].tolist()


def test_jaffe_in_lower_case(tmp_path):
    for root, change in (("a", str.upper), ("b", str.lower)):
        for i, name in enumerate(("KA.AN1.39.png", "KL.HA2.40.png", "MK.NE1.41.png")):
            save(random_images()[i], tmp_path / root / change(name))
    a, b = (load(tmp_path / root, verify=False) for root in "ab")
    assert a.name == b.name == "jaffe" and a.fingerprint == b.fingerprint
    assert a.attributes.equals(b.attributes) and [a.classes[k] for k in a.labels] == ["angry", "happy", "neutral"]


def test_class_names_of_the_hub_that_are_numbers(tmp_path):
    info = '{"info": {"features": {"label": {"names": ["0", "1", "2", "3", "4", "5", "6"]}}}}'
    table = pa.table({"image": structs(random_images()[:7]), "label": range(7)})
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), tmp_path / "train-0.parquet")
    fails(tmp_path, "train-0.parquet: the class names in its Hugging Face metadata: unknown class name '0'")


# --------------------------------------------------------------------------------------------------------------- imports


def test_changed_labels_of_an_import_are_refused(tmp_path):
    for split in ("train", "test"):
        save(random_images()[0], tmp_path / "raw" / split / "happy" / "a.png")
    _, target = import_to(tmp_path / "raw", tmp_path / "a.faces")
    whole, table = (target / "faces.parquet").read_bytes(), pd.read_parquet(target / "faces.parquet")
    for column, value in (("label", 4), ("split", "validation"), ("id", "other")):
        table.assign(**{column: [value, table[column][1]]}).to_parquet(target / "faces.parquet", index=False)
        fails(target, target / "faces.parquet", "import the dataset again")
    (target / "faces.parquet").write_bytes(whole)
    assert len(load(target)) == 2
    head = json.loads((target / "faceset.json").read_text())
    (target / "faceset.json").write_text(json.dumps(head | {"format": 1}))
    fails(target, "canonical form 1, this version reads 2; import it again")


SLOW = """
import sys, time
from pathlib import Path
from fer_study.data import canonical
from fer_study.data.rows import Options
def row():
    print("begun", flush=True)
    time.sleep(60)
canonical.write("folders", "folders", [row], Options(), Path(sys.argv[1]), print)
"""


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_an_import_that_is_ended(tmp_path, end):
    """Asked to end it clears away; killed, the next import does, and while it lives no other may begin."""
    save(random_images()[0], tmp_path / "raw" / "train" / "happy" / "a.png")
    target = tmp_path / "out" / "a.faces"
    with subprocess.Popen([sys.executable, "-c", SLOW, str(target)], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout.readline() == b"begun\n"
        with pytest.raises(InputError, match="another process is importing to it"):
            import_to(tmp_path / "raw", target)
        process.send_signal(end)
        process.wait(30)
    left = sorted(x.name for x in target.parent.iterdir())
    assert left == ([] if end == signal.SIGTERM else [".a.faces.lock", ".a.faces.part"])
    import_to(tmp_path / "raw", target)
    assert [x.name for x in target.parent.iterdir()] == ["a.faces"]


def test_labels_of_another_numbering_are_not_skipped(tmp_path):
    """Off by one, only the last class is out of range: leaving it out would leave every other label wrong."""
    rows = csv_rows(random_images())
    for row in rows:
        row[0] = str(int(row[0]) + 1)
    rows = rows * 3
    path = write_csv(tmp_path, rows)
    with pytest.raises(InputError, match=r"of 42 labels are none of this layout.*--skip-bad is for single rows"):
        load(path, verify=False, options=Options(skip_bad=True))


def test_a_shift_in_the_middle_is_found(monkeypatch):
    """One vote too few from row 3,000 on: over all rows the agreement is still above one half."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 7, 6000)
    votes = np.zeros((6000, 10), np.uint8)
    votes[np.arange(6000), numbers] = 10
    labels = np.where(rng.random(6000) < 0.9, numbers, rng.integers(0, 7, 6000))
    right = [Joined(FER2013[k], "train", v) for k, v in zip(labels, votes, strict=True)]
    check_joined(right, "x")
    moved = np.concatenate([votes[:3000], np.roll(votes[3000:], 1, axis=0)])
    assert agreement(np.array(FER2013)[labels], moved)[0] > 0.5
    with pytest.raises(InputError, match=r"\(rows 3000..3999\).*votes on other images"):
        check_joined([Joined(FER2013[k], "train", v) for k, v in zip(labels, moved, strict=True)], "x")


def test_a_header_in_a_layout_without_one(tmp_path):
    """Its columns may be in another order: it is no bad row to be left out."""
    save(random_images()[0], tmp_path / "FER2013Train" / "fer0.png")
    columns = ["fear", "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "contempt", "unknown", "NF"]
    lines = [",".join(["Image", "Box", *columns]), 'fer0.png,"(0, 0, 48, 48)",10' + ",0" * 9]
    (tmp_path / "FER2013Train" / "label.csv").write_text("\n".join(lines) + "\n")
    fails(tmp_path, "label.csv: line 1 is a header", "neutral, happiness", options=Options(skip_bad=True))
