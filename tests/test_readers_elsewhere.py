"""Datasets as they lie on other people's disks: read rightly, or refused in one line that says what to do."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_trees import FACES, LABELS, code, encoded, put
from reader_trees import csv_rows, random_images, structs, write_csv

from fer_study import cli
from fer_study.data import Options, load
from fer_study.data.labels import ALIASES, EIGHT, FER2013

ALPHABET = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def refused(path, caplog, *parts, dataset=None):
    """``fer-study data import`` ends with 2 and one line that contains every part."""
    caplog.clear()
    named = ["--dataset", dataset] if dataset else []
    assert cli.main(["data", "import", str(path), "--to", str(path.parent / "x.faces"), *named]) == 2
    (message,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert "\n" not in message and len(message) < 600 + len(str(path))
    assert not [p for p in parts if str(p) not in message], message
    return message


def classes_of(faces):
    """Id -> (class, split)."""
    return {i: (faces.classes[k], s) for i, k, s in zip(faces.ids, faces.labels, faces.split, strict=True)}


# ------------------------------------------------------------------------------------------- numbers, the dataset named


def numbered(root, dataset, folders, number=14):
    """``folders``: split folder -> what its files are called."""
    for place, (folder, name) in enumerate(folders.items()):
        for i in range(number):
            label = FER2013[i % 7]
            put(root / folder / str(code(dataset, label)) / name.format(f"{i:05d}"), encoded(FACES[number * place + i]))
    return root


@pytest.mark.parametrize("name", ["valid", "Val", "validation"])
def test_rafdb_whatever_its_split_folders_are_called(tmp_path, name):
    """Images called ``test_N`` are test images; sets of RAF-DB that lie in train and valid hold no others."""
    path = numbered(tmp_path, "rafdb", {"train": "train_{}_aligned.jpg", name: "test_{}_aligned.jpg"})
    found = classes_of(load(path, "rafdb", verify=False))
    assert len(found) == 28
    for i, (label, split) in found.items():
        folder, number, file = i.split("/")
        assert split == ("train" if folder == "train" else "test")
        assert label == FER2013[int(file.split("_")[1]) % 7] and int(number) == code("rafdb", label)


def test_rafdb_with_a_third_split(tmp_path, caplog):
    """Validation images come from train; a test image among them is refused, and so is a train image as test."""
    names = {"train": "train_{}.jpg", "val": "train_9{}.jpg", "test": "test_{}.jpg"}
    faces = load(numbered(tmp_path / "a", "rafdb", names), "rafdb", verify=False)
    assert [int((faces.split == s).sum()) for s in ("train", "validation", "test")] == [14, 14, 14]
    names["val"] = "test_9{}.jpg"
    refused(numbered(tmp_path / "b", "rafdb", names), caplog, "val/1/test_9", "called after test", dataset="rafdb")
    names = {"train": "train_{}.jpg", "val": "train_9{}.jpg"}
    refused(numbered(tmp_path / "c", "rafdb", names), caplog, "val/1/train_9", "called after train", dataset="rafdb")


@pytest.mark.parametrize("third", [False, True])
def test_affectnet_whatever_its_split_folders_are_called(tmp_path, third):
    names = {"Training": "{}.jpg", "valid": "{}.jpg"} | ({"testing": "{}.jpg"} if third else {})
    found = classes_of(load(numbered(tmp_path, "affectnet", names), "affectnet", verify=False))
    expected = {"Training": "train", "valid": "validation" if third else "test", "testing": "test"}
    assert len(found) == 14 * len(names)
    assert {(i.split("/")[0], s) for i, (_, s) in found.items()} == {(n, expected[n]) for n in names}
    assert all(label == FER2013[int(i.split("/")[2][:-4]) % 7] for i, (label, _) in found.items())


def test_what_to_do_is_said_once(tmp_path, capsys):
    """About numbers, and about names: every row is named, the long list is not repeated."""
    path = numbered(tmp_path / "numbers", "rafdb", {"train": "train_{}.jpg", "valid": "test_{}.jpg"})
    assert cli.main(["data", "doctor", str(path)]) == 2
    text = capsys.readouterr().out
    assert text.count("--dataset rafdb") == text.count("--dataset affectnet") == 1 and len(text.splitlines()) < 12
    for split in ("train", "test"):
        for i, name in enumerate(("happy", "calm", "tired")):
            put(tmp_path / "names" / split / name / f"{split}{i}.png", encoded(FACES[i]))
    assert cli.main(["data", "doctor", str(tmp_path / "names"), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["left_out"] == {"class unknown: calm": 2, "class unknown: tired": 2}
    assert sum("happiness" in x for x in report["wrong_rows"]) == 1
    assert all(word in report["wrong_rows"][0] for spellings in ALIASES.values() for word in spellings.split())


# ------------------------------------------------------------------------------------------------------------- tables


def affectnet_table(root, slash):
    lines = ["subDirectory_filePath,face_x,face_y,face_width,face_height,expression"]
    for i in range(14):
        put(root / "Manually_Annotated_Images" / f"{i % 3}" / f"{i}.jpg", encoded(FACES[i], "JPEG"))
        lines.append(f"{i % 3}{slash}{i}.jpg,0,0,48,48,{code('affectnet', FER2013[i % 7])}")
    put(root / "training.csv", "\n".join(lines) + "\n")
    return load(root, verify=False)


def test_paths_that_were_written_on_windows(tmp_path):
    here, there = affectnet_table(tmp_path / "a", "/"), affectnet_table(tmp_path / "b", "\\")
    assert len(here) == 14 and here.fingerprint == there.fingerprint and (here.ids == there.ids).all()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_encodings_of_a_table(tmp_path, encoding):
    plain = load(write_csv(tmp_path / "a", csv_rows(random_images())), verify=False)
    text = (tmp_path / "a" / "fer2013.csv").read_text()
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    put(tmp_path / "b" / "fer2013.csv", (mark + text).encode(encoding))
    assert load(tmp_path / "b", verify=False).fingerprint == plain.fingerprint


def test_a_list_in_utf_16(tmp_path):
    for i in (1, 2):
        put(tmp_path / "Image" / "aligned" / f"train_{i}_aligned.jpg", encoded(FACES[i], "JPEG"))
    put(tmp_path / "EmoLabel" / "list_patition_label.txt", "train_1.jpg 4\r\ntrain_2.jpg 5\r\n".encode("utf-16"))
    assert sorted(classes_of(load(tmp_path, verify=False)).values()) == [("happy", "train"), ("sad", "train")]


def test_tables_in_capitals_and_tables_that_look_alike(tmp_path, caplog):
    write_csv(tmp_path / "a", csv_rows(random_images()), name="FER2013.CSV")
    assert len(load(tmp_path / "a", verify=False)) == 14
    write_csv(tmp_path / "b", csv_rows(random_images()), name="ckextended.csv")
    refused(tmp_path / "b", caplog, "ckextended.csv", "give this file")
    assert len(load(tmp_path / "b" / "ckextended.csv", verify=False)) == 14


def test_files_that_are_called_tables(tmp_path, caplog):
    """A tar, compressed text, and the zero bytes that a power cut leaves: told at once, whatever their size."""
    write_csv(tmp_path / "a", csv_rows(random_images()))
    content = (tmp_path / "a" / "fer2013.csv").read_bytes()
    with tarfile.open(tmp_path / "fer2013.csv", "w") as archive:
        about = tarfile.TarInfo("fer2013/fer2013.csv")
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content))
    (tmp_path / "fer2013.csv").rename(tmp_path / "a" / "fer2013.csv")
    for path in (tmp_path / "a", tmp_path / "a" / "fer2013.csv"):
        refused(path, caplog, "fer2013.csv", "is an archive", "unpack it")
    for head in (b"\x1f\x8b\x08\0", b"BZh9", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"):
        put(tmp_path / "b" / "fer2013.csv", head + b"0" * 600)
        refused(tmp_path / "b", caplog, "fer2013.csv", "is an archive")
    (tmp_path / "c").mkdir()
    with (tmp_path / "c" / "fer2013.csv").open("wb") as file:
        file.truncate(2**31)
    start = time.process_time()
    for path in (tmp_path / "c", tmp_path / "c" / "fer2013.csv"):
        refused(path, caplog, "fer2013.csv", "zero bytes", "fetch the file again")
    assert time.process_time() - start < 5


def test_arrays_are_no_layout(tmp_path, caplog):
    (tmp_path / "a").mkdir()
    np.savez(tmp_path / "a" / "fer2013.npz", X=random_images())
    for path in (tmp_path / "a", tmp_path / "a" / "fer2013.npz"):
        assert "unpack" not in refused(path, caplog, "fer2013.npz", "no layout reads", "train|test/CLASS")


# ------------------------------------------------------------------------------------------------------------ parquet


def shard(file, rows, column="label", names=None, words=False):
    labels = [FER2013[i % 7] if words else (names or FER2013).index(FER2013[i % 7]) for i in rows]
    table = pa.table({"image": structs([FACES[i] for i in rows]), column: labels})
    if names:
        info = {"info": {"features": {column: {"names": list(names), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)


HUB = {
    "default/{}/0000.parquet": {"names": ALPHABET},
    "{}/0000.parquet": {"names": ALPHABET},
    "data/{}-00000-of-00001.parquet": {"words": True},
    "{}-00000-of-00001.parquet": {"column": "emotion"},
    "plain_text/{}/0001.parquet": {"column": "emotion", "words": True},
}


@pytest.mark.parametrize("place", HUB)
def test_parquet_files_of_the_hub(tmp_path, place):
    """Splits by file or folder, labels as numbers, words or numbers of another order: always these classes."""
    parts = {"train": range(14), "validation": range(14, 21), "test": range(21, 28)}
    for split, rows in parts.items():
        shard(tmp_path / place.format(split), rows, **HUB[place])
    faces = load(tmp_path, verify=False)
    assert faces.name == "fer2013" and (faces.images[:, 0] == FACES[:28]).all()
    assert [faces.classes[k] for k in faces.labels] == [FER2013[i % 7] for i in range(28)]
    assert faces.split.tolist() == [split for split, rows in parts.items() for _ in rows]


def test_two_configurations_of_the_hub_are_not_mixed(tmp_path, caplog):
    for name in ("default", "other"):
        shard(tmp_path / name / "train" / "0000.parquet", range(7))
    refused(tmp_path, caplog, "try", tmp_path / "default", tmp_path / "other")
    assert len(load(tmp_path / "default", verify=False)) == 7


def test_a_table_of_its_own_is_not_sent_away_as_a_part_of_fer2013(tmp_path, capsys):
    shard(tmp_path / "train-0.parquet", range(7), words=True)
    assert cli.main(["data", "doctor", str(tmp_path), "--json"]) == 2
    assert any("train|test/CLASS" in note for note in json.loads(capsys.readouterr().out)["notes"])


def test_a_parquet_file_that_unpacks_without_end(tmp_path, caplog):
    """A row of 80 MB of zeros in some kB is refused before it is unpacked."""
    image = pa.StructArray.from_arrays([pa.array([bytes(80_000_000)]), pa.array(["a"])], ["bytes", "path"])
    packed = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
    pq.write_table(pa.table({"image": image, "label": [3]}), tmp_path / "train-0.parquet", **packed)
    refused(tmp_path, caplog, "train-0.parquet", "unpacks to 80 MB")


# ------------------------------------------------------------------------------------------------------------ folders


def test_class_folders_without_a_split(tmp_path, caplog):
    for i in range(14):
        put(tmp_path / "a" / LABELS[i % 7] / f"{i}.png", encoded(FACES[i]))
    refused(tmp_path / "a", caplog, "7 folders of pictures (angry, disgust, fear", "train/ and test/")
    for i in range(4):
        put(tmp_path / "b" / ("train", "test")[i % 2] / f"{i}.png", encoded(FACES[i]))
    put(tmp_path / "b" / "train_labels.csv", "0.png,3\n")
    refused(tmp_path / "b", caplog, "test holds pictures", "test/CLASS")


def test_the_name_of_a_set_of_ones_own(tmp_path, capsys):
    for split in ("train", "test"):
        put(tmp_path / split / "happy" / f"{split}.png", encoded(FACES[len(split)]))
    assert cli.main(["data", "doctor", str(tmp_path)]) == 0
    assert "dataset: folders" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="no devices among files")
def test_annotations_without_end(tmp_path):
    """Labels of AffectNet are files of NumPy: a device among them is a bad row, and so is a header that promises 800 GB."""
    folder = tmp_path / "train_set" / "annotations"
    folder.mkdir(parents=True)
    for i in range(3):
        put(tmp_path / "train_set" / "images" / f"{i}.jpg", encoded(FACES[i], "JPEG"))
        np.save(folder / f"{i}_exp.npy", np.array("1"))
    (folder / "1_exp.npy").unlink()
    (folder / "1_exp.npy").symlink_to("/dev/zero")
    with (folder / "2_exp.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**11,)})
    faces = load(tmp_path, verify=False, options=Options(skip_bad=True))
    assert faces.left_out == {"label not readable": 2} and len(faces) == 1


def test_eight_classes_in_words(tmp_path):
    """CK+ on the Hub writes contempt: kept with eight classes, counted with seven."""
    table = pa.table({"image": structs(FACES[:8]), "label": list(EIGHT)})
    pq.write_table(table, tmp_path / "train-0.parquet")
    assert load(tmp_path, verify=False).dropped == {"contempt": 1}
    faces = load(tmp_path, verify=False, options=Options(classes=8))
    assert [faces.classes[k] for k in faces.labels] == list(EIGHT)
