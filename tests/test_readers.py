"""Datasets as they lie on people's disks are read rightly; tests on the real files run where these are."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataset_trees import FACES, class_folders, code, encoded, fer2013_numbers, kept, put
from fer_study.data import Options, find, import_to, load, official, recognise
from fer_study.data.doctor import doctor, render
from fer_study.data.labels import EIGHT, FER2013, FERPLUS_COLUMNS, VOTE_NAMES
from fer_study.data.readers import collect, muxspace, pictures
from fer_study.data.readers.people import hashed
from fer_study.settings.errors import InputError
from reader_trees import (
    EMOTIONS,
    LABELS,
    NAMES,
    SKIP,
    SPLITS,
    USAGES,
    check,
    check_votes,
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

REAL = Path(os.environ.get("FER_STUDY_DATA") or Path(__file__).parents[1] / "data")
ALPHABET = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


@pytest.fixture
def images():
    return random_images()


def classes_of(faces):
    """Id -> (class, split)."""
    return {i: (faces.classes[k], s) for i, k, s in zip(faces.ids, faces.labels, faces.split, strict=True)}


# --------------------------------------------------------------------------------------------------------------- FER2013


def test_csv_and_parquet_are_one_set(tmp_path, images):
    votes, header = random_votes(), ("emotion", " Usage", " pixels")
    a = write_csv(tmp_path / "a", csv_rows(images))
    write_votes(a, votes)
    icml = write_csv(tmp_path / "icml", [[k, u, p] for k, p, u in csv_rows(images)], header, "icml_face_data.csv")
    voted = [load(x, verify=False) for x in (a, a / "fer2013.csv", write_parquet(tmp_path / "b", images, votes))]
    bare = [load(x, verify=False) for x in (icml, write_parquet(tmp_path / "c", images))]
    for faces in (*voted, *bare):
        check(faces, images)
    for faces in voted:
        check_votes(faces, votes)
    assert [faces.votes for faces in bare] == [None, None]
    assert len({faces.fingerprint for faces in voted}) == len({faces.fingerprint for faces in bare}) == 1
    assert voted[0].fingerprint != bare[0].fingerprint


def test_parquet_shards_follow_the_row_column(tmp_path, images):
    part = lambda s: {"row": list(range(14))[s], "label": LABELS[s], "usage": USAGES[s]}  # noqa: E731
    write_parquet(tmp_path, images[9:], name="a.parquet", **part(slice(9, None)))
    write_parquet(tmp_path, images[:9], name="b.parquet", **part(slice(0, 9)))
    faces = load(tmp_path, verify=False)
    check(faces, images)
    assert faces.votes is None


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


def test_two_configurations_of_the_hub_are_not_mixed(tmp_path):
    for name in ("default", "other"):
        shard(tmp_path / name / "train" / "0000.parquet", range(7))
    fails(tmp_path, "try", tmp_path / "default", tmp_path / "other")
    assert len(load(tmp_path / "default", verify=False)) == 7


def test_a_file_that_was_downloaded_twice(tmp_path):
    table = pa.table({"image": structs(random_images()), "label": LABELS, "usage": USAGES})
    pq.write_table(table, tmp_path / "x (1).parquet")
    assert len(load(tmp_path, verify=False)) == 14
    pq.write_table(table, tmp_path / "x.parquet")
    fails(tmp_path, "x (1).parquet: by its name a second copy")


def test_eight_classes_in_words(tmp_path):
    """CK+ on the Hub writes contempt: kept with eight classes, counted with seven."""
    table = pa.table({"image": structs(FACES[:8]), "label": list(EIGHT)})
    pq.write_table(table, tmp_path / "train-0.parquet")
    assert load(tmp_path, verify=False).dropped == {"contempt": 1}
    faces = load(tmp_path, verify=False, options=Options(classes=8))
    assert [faces.classes[k] for k in faces.labels] == list(EIGHT)


def test_folders_with_usage(tmp_path, images):
    for i in range(14):
        folder = "train" if SPLITS[i] == "train" else "test"
        save(images[i], tmp_path / folder / FER2013[LABELS[i]] / f"{USAGES[i]}_{10**7 + i}.png")
    (tmp_path / "train" / "angry" / ".DS_Store").write_text("x")
    faces = load(tmp_path, verify=False)
    assert faces.counts()["total"].to_dict() == {"train": 8, "validation": 3, "test": 3}
    order = sorted(range(14), key=lambda i: (i >= 8, i >= 11, LABELS[i], i))
    assert (faces.images[:, 0] == images[order]).all() and faces.labels.tolist() == [LABELS[i] for i in order]
    assert faces.votes is None and faces.ids[0] == "train/angry/Training_10000000.png"


def test_folders_with_numbers(tmp_path, images):
    """Numbers sort as numbers, and the first 56 of disgusted are PublicTest."""
    for i in range(60):
        save(images[i % 14] // 2 + i, tmp_path / "test" / "disgusted" / f"im{i}.png")
    save(images[0], tmp_path / "train" / "surprised" / "im0.png")
    faces = load(tmp_path, "fer2013", verify=False)
    assert faces.split.tolist() == ["train"] + ["validation"] * 56 + ["test"] * 4
    assert faces.ids[-1] == "test/disgusted/im59.png" and (faces.images[-1, 0] == images[59 % 14] // 2 + 59).all()
    assert faces.labels.tolist() == [5] + [1] * 60


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


def test_split_folders_in_capitals(tmp_path):
    """They are FER2013's all the same: of ``Test``, PublicTest is validation."""
    for split, usage in (("Train", "Training"), ("Test", "PublicTest"), ("Test", "PrivateTest")):
        save(random_images()[len(usage) % 7], tmp_path / split / "happy" / f"{usage}_7.jpg")
    faces = load(tmp_path, verify=False)
    assert faces.name == "fer2013" and sorted(faces.split) == ["test", "train", "validation"]


@pytest.mark.parametrize("name", ["im{}.png", "Training_{}.png"])
def test_a_third_split_folder_is_read(tmp_path, name):
    for i, split in enumerate(("train", "val", "test")):
        save(random_images()[i], tmp_path / split / "happy" / name.format(i))
    faces = load(tmp_path, verify=False)
    assert faces.split.tolist() == ["train", "validation", "test"] and faces.name == "folders"


def test_find(tmp_path, images, monkeypatch):
    write_parquet(tmp_path / "fer2013", images)
    for root in (tmp_path, tmp_path / "fer2013"):
        check(find("fer2013", root, verify=False), images)
    monkeypatch.setenv("FER_STUDY_DATA", str(tmp_path))
    check(find("fer2013", verify=False), images)
    with pytest.raises(InputError, match=r"muxspace not found in .*FER_STUDY_DATA"):
        find("muxspace")
    monkeypatch.delenv("FER_STUDY_DATA")
    monkeypatch.setattr("fer_study.data.ROOT", tmp_path)  # ``data/`` is that of the checkout, wherever one stands
    (tmp_path / "fer2013").rename(tmp_path / "data")
    check(find("fer2013", verify=False), images)
    with pytest.raises(InputError, match="unknown dataset 'ferret'"):
        find("ferret")


# -------------------------------------------------------------------------------------------------------------- muxspace


def test_muxspace(tmp_path):
    faces = load(write_muxspace(tmp_path), verify=False)
    assert faces.name == "muxspace" and faces.images.shape == (4, 1, 48, 48)
    assert [FER2013[k] for k in faces.labels] == ["happy", "angry", "sad", "neutral"]
    assert faces.ids.tolist() == ["00000", "00001", "00002", "00004"]
    person = faces.attributes["person"]
    assert person[0] == person[1] != person[2] and person[3] is None
    assert faces.split[0] == faces.split[1]
    assert faces.dropped == {"contempt": 1}
    everything = faces.attributes.to_csv() + " ".join(faces.ids)
    assert not [w for w in ("Ada", "Example", "Bob", "Cleo", "Dora", ".jpg") if w in everything]


def test_muxspace_legend(tmp_path):
    write_muxspace(tmp_path)
    (tmp_path / "raw" / "data").mkdir(parents=True)
    (tmp_path / "raw" / "images").mkdir()
    for image in pq.read_table(tmp_path / "faces.parquet")["image"].to_pylist():
        (tmp_path / "raw" / "images" / image["path"]).write_bytes(image["bytes"])
    rows = [f"Dora,{n},{e}" for n, e in zip(NAMES, EMOTIONS, strict=True)]
    (tmp_path / "raw" / "data" / "legend.csv").write_text("\n".join(["user.id,image,emotion", *rows]))
    a, b = load(tmp_path / "raw", verify=False), load(tmp_path / "faces.parquet", verify=False)
    assert a.fingerprint == b.fingerprint and a.attributes.equals(b.attributes)
    (tmp_path / "raw" / "images" / NAMES[2]).unlink()
    with pytest.raises(InputError, match="row 2: its image is not in") as caught:
        load(tmp_path / "raw", verify=False)
    assert "Bob" not in str(caught.value)


def test_muxspace_geometry():
    """The face stays in the middle and keeps its shape; the border is repeated to both sides."""
    picture = np.zeros((96, 48), np.uint8)
    picture[:, 24:] = 200
    square = pictures.pixels(Image.fromarray(picture), Options())[0]
    assert (square[:, :20] == 0).all() and (square[:, 28:] == 200).all()


def test_muxspace_split_proportions():
    split = [muxspace.split_of(hashed(str(i), muxspace.SALT)) for i in range(5000)]
    assert abs(split.count("train") / 5000 - 0.8) < 0.02 and abs(split.count("test") / 5000 - 0.1) < 0.02


# ----------------------------------------------------------------------------------------------------- numbers as classes


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


def test_rafdb_with_a_third_split(tmp_path):
    """Validation images come from train; a test image among them is refused, and so is a train image as test."""
    names = {"train": "train_{}.jpg", "val": "train_9{}.jpg", "test": "test_{}.jpg"}
    faces = load(numbered(tmp_path / "a", "rafdb", names), "rafdb", verify=False)
    assert [int((faces.split == s).sum()) for s in ("train", "validation", "test")] == [14, 14, 14]
    wrong = numbered(tmp_path / "b", "rafdb", names | {"val": "test_9{}.jpg"})
    fails(wrong, "val/1/test_9", "called after test, it lies in val", dataset="rafdb")
    assert load(wrong, "rafdb", verify=False, options=SKIP).left_out == {"name and folder contradict": 14}
    wrong = numbered(tmp_path / "c", "rafdb", {"train": "train_{}.jpg", "val": "train_9{}.jpg"})
    fails(wrong, "val/1/train_9", "called after train", dataset="rafdb")


@pytest.mark.parametrize("third", [False, True])
def test_affectnet_whatever_its_split_folders_are_called(tmp_path, third):
    names = {"Training": "{}.jpg", "valid": "{}.jpg"} | ({"testing": "{}.jpg"} if third else {})
    found = classes_of(load(numbered(tmp_path, "affectnet", names), "affectnet", verify=False))
    expected = {"Training": "train", "valid": "validation" if third else "test", "testing": "test"}
    assert len(found) == 14 * len(names)
    assert {(i.split("/")[0], s) for i, (_, s) in found.items()} == {(n, expected[n]) for n in names}
    assert all(label == FER2013[int(i.split("/")[2][:-4]) % 7] for i, (label, _) in found.items())


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


def test_numbered_folders_are_affectnet_only_where_there_is_a_seventh(tmp_path):
    """Of FER2013, 0 is angry; of AffectNet, neutral: unasked, nobody can tell."""
    path = class_folders(tmp_path / "six", ("train", "val"), classes="0123456")
    assert recognise(path).dataset == "folders"
    fails(
        path, "a number does not say which class it is", "--dataset affectnet (0 neutral, 1 happy, ", "--dataset rafdb (1 "
    )
    faces = load(path, "affectnet", verify=False)
    assert classes_of(faces)["train/2/2.png"] == ("sad", "train") and set(faces.split) == {"train", "test"}
    assert find("affectnet", path, verify=False).fingerprint == faces.fingerprint
    seven = class_folders(tmp_path / "seven", ("Train", "VAL"), classes="01234567")
    assert recognise(seven).dataset == "affectnet" and len(load(seven, options=Options(classes=8))) == 16
    assert recognise(class_folders(seven, ("test",), classes="01234567")).dataset == "folders"


def test_numbers_up_to_seven_are_rafdb_only_by_their_names(tmp_path):
    numbers = "1234567"
    assert recognise(class_folders(tmp_path / "raf", name="train_{}.png", classes=numbers)).dataset == "rafdb"
    other = class_folders(tmp_path / "other", name="image{}.png", classes=numbers)
    fails(other, "a number does not say which class it is")
    thirds = [class_folders(tmp_path / x, ("train", "test", x), "train_{}.png", numbers) for x in ("val", "Validation")]
    for path in (other, *thirds):
        assert recognise(path).dataset == "folders" and recognise(path, "rafdb").dataset == "rafdb"


# ------------------------------------------------------------------------------------------------- tables, texts, names


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


def test_tables_in_capitals_and_tables_that_look_alike(tmp_path):
    write_csv(tmp_path / "a", csv_rows(random_images()), name="FER2013.CSV")
    assert len(load(tmp_path / "a", verify=False)) == 14
    write_csv(tmp_path / "b", csv_rows(random_images()), name="ckextended.csv")
    fails(tmp_path / "b", "ckextended.csv", "give this file")
    assert len(load(tmp_path / "b" / "ckextended.csv", verify=False)) == 14


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
    assert (np.asarray(pictures.open_image(file)) == side).all()


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


def test_a_large_set_is_mapped(tmp_path, monkeypatch):
    """Load and doctor keep no pixels of it in memory, and say the same."""
    path = class_folders(tmp_path)
    faces, report = load(path), doctor(path)
    monkeypatch.setattr(collect, "IN_MEMORY", 1000)
    mapped = load(path)
    assert isinstance(mapped.images, np.memmap) and not isinstance(faces.images, np.memmap)
    assert (mapped.images == faces.images).all() and mapped.fingerprint == faces.fingerprint
    assert doctor(path) == report


# --------------------------------------------------------------------------------------------------------- the real files

needs = lambda name: pytest.mark.skipif(not (REAL / name).exists(), reason=f"no {name} here")  # noqa: E731


def test_official_totals():
    assert official.official_counts("fer2013")["total"].tolist() == [28709, 3589, 3589]
    assert official.official_counts("muxspace")["total"].sum() == 13690 - 9


@needs("fer2013")
def test_real_fer2013(tmp_path):
    """Parquet and both CSV forms give the official counts and one fingerprint; the votes are those of fer2013new.csv."""
    faces = find("fer2013", REAL)
    assert faces.fingerprint == official.FINGERPRINTS["fer2013"]
    usage = dict(zip(("train", "validation", "test"), ("Training", "PublicTest", "PrivateTest"), strict=True))
    words = np.array([str(i) for i in range(256)], dtype=object)
    pixels = [" ".join(words[x]) for x in faces.images.reshape(len(faces), -1)]
    rows = [[str(k), p, usage[s]] for k, p, s in zip(faces.labels, pixels, faces.split, strict=True)]
    write_csv(tmp_path / "a", rows)
    write_csv(tmp_path / "b", [[r[0], r[2], r[1]] for r in rows], ("emotion", " Usage", " pixels"), "icml_face_data.csv")
    inverse = [VOTE_NAMES.index(c) for c in FERPLUS_COLUMNS.values()]
    write_votes(tmp_path / "a", faces.votes[:, inverse], [r[2] for r in rows])
    a, b = load(tmp_path / "a"), load(tmp_path / "b")
    assert a.fingerprint == b.fingerprint == faces.fingerprint and (a.votes == faces.votes).all()
    damaged = official.difference(faces.select(np.arange(1, len(faces))))
    assert damaged == "35886 images, official 35887; train angry has 3994, official 3995"


@needs("fer2013")
def test_real_duplicates():
    report = doctor(REAL / "fer2013")
    expected = {"groups": 1516, "images": 3369, "groups_across_splits": 557, "test_images_elsewhere": 314}
    assert report["duplicates"] == expected
    assert report["problems"] == [] and render(report).endswith("no problems")


@needs("muxspace")
def test_real_muxspace():
    faces = find("muxspace", REAL)
    assert faces.fingerprint == official.FINGERPRINTS["muxspace"]
    assert faces.dropped == {"contempt": 9}
    people = faces.attributes.assign(split=faces.split).dropna(subset="person")
    assert (people.groupby("person")["split"].nunique() == 1).all()
