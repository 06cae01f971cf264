"""Classes of one's own: named when class folders are read, and in every record from there on."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from fer_study import data
from fer_study.cli import main
from fer_study.data import Options
from fer_study.jobs import editions, new_edition
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import DataConfig
from fer_study.settings.frozen import build

OWN = ("wide awake", "calm", "tired")


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """Class folders of three classes; the data root is beside them."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for name in ("Calm", "tired ", "wide awake"):
            folder = tmp_path / "faces" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(rng.integers(0, 256, (48, 48), dtype=np.uint8)).save(folder / f"{i}.png")
    monkeypatch.setenv("FER_STUDY_DATA", str(tmp_path / "data"))
    for module in (editions, new_edition):
        monkeypatch.setattr(module, "OWN", tmp_path / "params")
    return tmp_path / "faces"


def test_folders_are_read_by_the_names_that_are_given(faces):
    found = data.load(faces, options=Options(classes=OWN))
    assert found.classes == OWN and found.counts().loc["train"].tolist() == [4, 4, 4, 12]
    folder = {name: place.split("/")[1].strip().lower() for name, place in zip(found.ids, found.ids, strict=True)}
    assert [OWN[label] for label in found.labels] == [folder[name] for name in found.ids]
    other = data.load(faces, options=Options(classes=OWN[::-1]))
    assert other.fingerprint != found.fingerprint, "the order of the labels is part of the data"


def test_unnamed_classes_are_refused_with_the_option_that_names_them(faces):
    with pytest.raises(InputError, match=r"unknown class name 'Calm'.*--classes 'Calm,tired ,wide awake'"):
        data.load(faces)
    with pytest.raises(InputError, match="class folder 'tired ' is none of wide awake, calm"):
        data.load(faces, options=Options(classes=OWN[:2]))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("calm",), "1 classes are named, allowed: 2 to 20"),
        (tuple(f"c{i}" for i in range(21)), "21 classes are named"),
        (("calm", "Calm"), "class name 'Calm' stands twice"),
        (("calm", ""), "class name '', allowed"),
        (("calm", " tired"), "class name ' tired', allowed"),
        (("calm", "a/b"), "class name 'a/b', allowed"),
        (("calm", "a\nb"), "class name 'a.nb', allowed"),
        (("calm", "x" * 41), "allowed: 1 to 40 characters"),
        (("calm", "Total"), "tables call another column so"),
    ],
)
def test_names_that_no_table_can_hold_are_refused(names, words):
    for refused in (
        lambda: Options(classes=names),
        lambda: build(DataConfig, {"dataset": "folders", "classes": list(names)}),
    ):
        with pytest.raises(InputError, match=words):
            refused()


def test_twenty_classes_are_allowed_and_are_part_of_the_key():
    names = [f"class {i}" for i in range(20)]
    config = build(DataConfig, {"dataset": "folders", "classes": names})
    assert config.num_classes == 20 and config.key != config.replace(classes=tuple(names[::-1])).key
    assert DataConfig(dataset="folders").num_classes == 7 == DataConfig(dataset="folders").classes


@pytest.mark.parametrize("dataset", ["fer2013", "rafdb", "synthetic"])
def test_only_class_folders_have_classes_of_their_own(dataset):
    with pytest.raises(InputError, match="classes"):
        editions.check_dataset(build(DataConfig, {"dataset": dataset, "classes": ["calm", "tired"]}))


def test_from_the_import_to_the_edition(faces, tmp_path, caplog):
    caplog.set_level("INFO")
    assert main(["data", "doctor", str(faces)]) == 2
    assert main(["data", "doctor", str(faces), "--classes", ",".join(OWN)]) == 0
    assert main(["data", "import", str(faces), "--classes", ",".join(OWN)]) == 0
    assert main(["new", "mine", "--like", "smoke"]) == 0
    edition = editions.load_edition("mine")
    assert (
        edition.data.classes == OWN
        and edition.data.fingerprint == data.find("folders", options=Options(classes=OWN)).fingerprint
    )
    left_out = dict(re.findall(r"left out: (\w+): (.*)", caplog.text))
    assert {"hybrid", "initial_weights", "05_label_distribution", "resface"} <= set(left_out)
    with pytest.raises(InputError, match="imported with the classes wide awake,calm,tired, 7 are asked for"):
        data.find("folders", options=Options())


def test_classes_are_not_named_of_another_layout(tmp_path):
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n0," + " ".join(["0"] * 2304) + ",Training\n")
    with pytest.raises(InputError, match="classes are named for class folders only"):
        data.load(tmp_path, options=Options(classes=("calm", "tired")))
