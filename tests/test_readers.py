"""Every layout is written small from random pixels and read back; tests on the real files run where these are."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from reader_trees import (
    EMOTIONS,
    LABELS,
    NAMES,
    SPLITS,
    USAGES,
    check,
    check_votes,
    csv_rows,
    random_images,
    random_votes,
    save,
    structs,
    write_csv,
    write_muxspace,
    write_parquet,
    write_votes,
)

from fer_study.data import Options, find, load, official
from fer_study.data.doctor import doctor, render
from fer_study.data.labels import FER2013, FERPLUS_COLUMNS, VOTE_NAMES
from fer_study.data.readers import muxspace, pictures
from fer_study.data.readers.people import hashed
from fer_study.settings.errors import InputError

REAL = Path(os.environ.get("FER_STUDY_DATA") or Path(__file__).parents[1] / "data")


@pytest.fixture
def images():
    return random_images()


@pytest.fixture
def votes():
    return random_votes()


# --------------------------------------------------------------------------------------------------------------- FER2013


def test_parquet(tmp_path, images, votes):
    faces = load(write_parquet(tmp_path, images, votes), verify=False)
    check(faces, images)
    check_votes(faces, votes)


def test_parquet_shards_follow_the_row_column(tmp_path, images):
    part = lambda s: {"row": list(range(14))[s], "label": LABELS[s], "usage": USAGES[s]}  # noqa: E731
    write_parquet(tmp_path, images[9:], name="a.parquet", **part(slice(9, None)))
    write_parquet(tmp_path, images[:9], name="b.parquet", **part(slice(0, 9)))
    faces = load(tmp_path, verify=False)
    check(faces, images)
    assert faces.votes is None


def test_parquet_of_the_hub(tmp_path, images):
    """Split from the file name, class order from the metadata, shards below data/."""
    names = [*FER2013[::-1]]
    info = '{"info": {"features": {"label": {"names": ["' + '", "'.join(names) + '"], "_type": "ClassLabel"}}}}'
    (tmp_path / "data").mkdir()
    parts = {"test": slice(11, 14), "train": slice(0, 8), "validation": slice(8, 11)}
    for split, s in parts.items():
        table = pa.table({"image": structs(images[s]), "label": [6 - k for k in LABELS[s]]})
        name = f"{split}-00000-of-00001.parquet"
        pq.write_table(table.replace_schema_metadata({"huggingface": info}), tmp_path / "data" / name)
    check(load(tmp_path, verify=False), images)


def test_csv(tmp_path, images, votes):
    write_csv(tmp_path, csv_rows(images))
    write_votes(tmp_path, votes)
    for path in (tmp_path, tmp_path / "fer2013.csv"):
        faces = load(path, verify=False)
        check(faces, images)
        check_votes(faces, votes)


def test_csv_icml(tmp_path, images):
    rows = [[r[0], r[2], r[1]] for r in csv_rows(images)]
    faces = load(write_csv(tmp_path, rows, ("emotion", " Usage", " pixels"), "icml_face_data.csv"), verify=False)
    check(faces, images)
    assert faces.votes is None


def test_csv_and_parquet_have_one_fingerprint(tmp_path, images, votes):
    write_votes(write_csv(tmp_path / "a", csv_rows(images)), votes)
    a, b = load(tmp_path / "a", verify=False), load(write_parquet(tmp_path / "b", images, votes), verify=False)
    assert a.fingerprint == b.fingerprint
    without = load(write_csv(tmp_path / "c", csv_rows(images)), verify=False)
    assert without.fingerprint == load(write_parquet(tmp_path / "d", images), verify=False).fingerprint != a.fingerprint


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


def test_folders_with_usage_as_jpeg(tmp_path, images):
    save(images[0], tmp_path / "train" / "fear" / "Training_7.jpg")
    faces = load(tmp_path, verify=False)
    assert faces.labels.tolist() == [2] and faces.images.shape == (1, 1, 48, 48)


def test_folders_with_numbers(tmp_path, images):
    """Numbers sort as numbers, and the first 56 of disgusted are PublicTest."""
    for i in range(60):
        save(images[i % 14] // 2 + i, tmp_path / "test" / "disgusted" / f"im{i}.png")
    save(images[0], tmp_path / "train" / "surprised" / "im0.png")
    faces = load(tmp_path, "fer2013", verify=False)
    assert faces.split.tolist() == ["train"] + ["validation"] * 56 + ["test"] * 4
    assert faces.ids[-1] == "test/disgusted/im59.png" and (faces.images[-1, 0] == images[59 % 14] // 2 + 59).all()
    assert faces.labels.tolist() == [5] + [1] * 60


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


# ---------------------------------------------------------------------------------------------------------------- doctor


def test_doctor(tmp_path, images):
    images[12] = images[0]
    images[1] = images[2]
    report = doctor(write_parquet(tmp_path, images))
    assert (report["dataset"], report["layout"], report["images"]) == ("fer2013", "parquet", 14)
    assert report["counts"]["test"]["total"] == 3 and report["official"]["test"]["total"] == 3589
    assert report["matches"] is False and report["is_official"] is False and report["votes"] is False
    expected = {"groups": 2, "images": 4, "groups_across_splits": 1, "test_images_elsewhere": 1}
    assert report["duplicates"] == expected
    assert len(report["problems"]) == len(report["mend"]) == 3
    assert report["problems"][2].startswith(
        "2 groups of equal images carry different labels, e.g. 00000 (angry) and 00012 ("
    )
    text = render(report)
    assert "fer2013, parquet" in text and report["fingerprint"] in text and "official 35887" in text


def test_doctor_of_what_cannot_be_read(tmp_path, images):
    rows = csv_rows(images)
    rows[0][0] = "9"
    for path in (tmp_path / "none", tmp_path):
        report = doctor(path)
        assert len(report["problems"]) == len(report["mend"]) == 1 and report["images"] is None
        assert report["problems"][0] in render(report) and len(report["problems"][0]) < 150 + len(str(path))
    report = doctor(write_csv(tmp_path / "csv", rows))
    assert report["images"] == 13 and report["left_out"] == {"label not allowed": 1}
    assert "row 0 (line 2): label is '9'" in report["wrong_rows"][0] and report["wrong_rows"][0] in render(report)


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
    shuffled = np.concatenate([np.random.default_rng(0).permutation(np.flatnonzero(faces.split == s)) for s in usage])
    write_votes(tmp_path / "a", faces.votes[:, inverse][shuffled], [r[2] for r in rows])
    for dataset in ("fer2013", "ferplus"):
        with pytest.raises(InputError, match=r"the images are FER2013 in its order, the votes are not FER\+"):
            load(tmp_path / "a", dataset, verify=False)
    bad = [*rows[:4], ["7", *rows[4][1:]], *rows[5:]]
    write_csv(tmp_path / "a", bad)
    with pytest.raises(InputError, match=r"is the most voted emotion of [12].* % of .* images \(all\), allowed"):
        load(tmp_path / "a", verify=False, options=Options(skip_bad=True))
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
