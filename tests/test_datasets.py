"""Every dataset in its exact layout, written from synthetic faces and read back; labels; and FER+."""

import os
from pathlib import Path

import numpy as np
import pytest

from dataset_trees import FACES, TREES, dropped, tree, truth
from fer_study.data import LAYOUTS, Options, find, import_to, load, official
from fer_study.data.doctor import doctor, render
from fer_study.data.labels import EIGHT, FER2013, NATIVE, VOTE_NAMES
from fer_study.data.labels import canonical as spelled
from fer_study.data.readers.ferplus import distribution
from fer_study.data.readers.people import hashed, split_by_group
from fer_study.jobs import editions
from fer_study.settings.experiment import DataConfig
from jobs_by_config import run_job

LOSSLESS = {"fer2013", "ferplus", "ckplus", "jaffe", "folders"}


@pytest.mark.parametrize("write", TREES, ids=lambda t: t.__name__)
@pytest.mark.parametrize("classes", [7, 8])
def test_every_layout(tmp_path, write, classes):
    """Labels, splits and pixels come back face by face, found by the identity of the picture, not by its place."""
    dataset, layout, path = write(tmp_path)
    faces = load(path, verify=False, options=Options(classes=classes))
    assert faces.name == dataset and faces.classes == EIGHT[:classes]
    expected = truth(dataset, classes)
    assert len(faces) == len(expected) and faces.dropped == dropped(dataset, classes, layout)
    found = {}
    for image, label, split in zip(faces.images[:, 0].astype(int), faces.labels, faces.split, strict=True):
        nearest = int(np.abs(FACES.astype(int) - image).mean(axis=(1, 2)).argmin())
        error = np.abs(FACES[nearest].astype(int) - image).mean()
        assert error == 0 if dataset in LOSSLESS else error < 12, error
        found[nearest] = (faces.classes[label], split)
    if dataset in ("expw", "ckplus", "jaffe", "muxspace"):  # the split is ours, by picture or person
        assert {i: name for i, (name, _) in found.items()} == {i: name for i, (name, _) in expected.items()}
    else:
        assert found == expected
    report = doctor(path)
    assert (report["dataset"], report["layout"]) == (dataset, layout)
    assert official.DATASETS[dataset].licence in render(report)


@pytest.mark.parametrize("name", ["ckplus", "jaffe"])
def test_nobody_is_in_two_splits(tmp_path, name):
    faces = load(tree(name, tmp_path), verify=False)
    table = faces.attributes.assign(split=faces.split)
    assert (table.groupby("person")["split"].nunique() == 1).all() and table["person"].nunique() > 2
    assert set(faces.split) == {"train", "validation", "test"}
    assert not [i for i in faces.ids if i.startswith(("KA", "MK"))]  # initials are hashed


def test_splits_by_group_are_80_10_10():
    groups = [f"g{i % 97}" for i in range(970)]
    split = split_by_group(groups, "salt")
    shares = {s: sum(split[g] == s for g in groups) / 970 for s in ("train", "validation", "test")}
    assert abs(shares["test"] - 0.1) < 0.02 and abs(shares["validation"] - 0.1) < 0.02
    assert split == split_by_group(groups[::-1], "salt") != split_by_group(groups, "pepper")
    assert len(hashed("name", "salt")) == 12 != hashed("name", "pepper")


def test_sizes_and_colour(tmp_path):
    path = tree("folders", tmp_path)
    small, colour = load(path, verify=False), load(path, verify=False, options=Options(size=64, colour=True))
    assert small.images.shape[1:] == (1, 48, 48) and colour.images.shape[1:] == (3, 64, 64)
    with pytest.raises(ValueError, match=r"size is 8, allowed: 16\.\.1024"):
        Options(size=8)
    with pytest.raises(ValueError, match="classes is 9"):
        Options(classes=9)
    with pytest.raises(ValueError, match="annotation is 'mean'"):
        Options(annotation="mean")


def test_every_native_order_maps_to_ours():
    """The codes of the documentation of each dataset, typed here a second time."""
    assert NATIVE["rafdb"] == {1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral"}
    affectnet = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt"]
    assert list(NATIVE["affectnet"].values())[:8] == affectnet
    for order in NATIVE.values():
        assert set(FER2013) <= set(map(spelled, order.values()))


def test_spellings():
    for text in ("Anger", "ANGRY", " angry ", "0_angry", "01-Angry", "1. anger"):
        assert spelled(text) == "angry"
    for text in ("!happy", "not_happy", "happy?", "-happy", "un-happy", "happy (2)", "不happy", "happy2"):
        with pytest.raises(ValueError, match="unknown class name"):
            spelled(text)
    assert spelled("Happily Surprised") == "happy+surprise"
    assert spelled("Happily Disgusted") == "happy+disgust"
    with pytest.raises(ValueError, match="unknown class name 'positive'"):
        spelled("positive")


def votes(**counts):
    out = np.zeros(10, np.uint8)
    for name, n in counts.items():
        out[VOTE_NAMES.index(name)] = n
    return out


@pytest.mark.parametrize(
    ("counts", "annotation", "expected"),
    [
        ({"happy": 6, "neutral": 4}, "majority", {"happy": 1}),
        ({"happy": 5, "neutral": 5}, "majority", {"unknown": 1}),  # half is no majority
        ({"happy": 5, "neutral": 4, "sad": 1}, "majority", {"happy": 1}),  # the single vote is an outlier: 5 of 9
        ({"happy": 6, "neutral": 4}, "crossentropy", {"happy": 0.6, "neutral": 0.4}),
        ({"happy": 8, "neutral": 2}, "crossentropy", {"happy": 1}),  # three quarters are covered
        ({"angry": 2, "fear": 2, "sad": 2, "disgust": 2, "neutral": 2}, "probability", {"unknown": 1}),  # five of them
        ({"happy": 4, "not_face": 6}, "probability", {"not_face": 1}),
        ({"happy": 4, "neutral": 3, "sad": 3}, "multi_target", {"happy": 1 / 3, "neutral": 1 / 3, "sad": 1 / 3}),
        ({"happy": 5, "neutral": 2, "sad": 2}, "multi_target", {"happy": 1}),
        (dict.fromkeys(VOTE_NAMES, 1), "majority", {"unknown": 1}),
    ],
)  # fmt: skip
def test_ferplus_annotations(counts, annotation, expected):
    found = {n: round(float(v), 6) for n, v in zip(VOTE_NAMES, distribution(votes(**counts), annotation), strict=True) if v}
    assert found == {name: round(share, 6) for name, share in expected.items()}


@pytest.mark.skipif(not os.environ.get("FER_STUDY_DATA"), reason="no real data here")
def test_real_ferplus_majority():
    """The counts of the field: 25,060 / 3,199 / 3,153 images with a majority, contempt among them."""
    faces = find("ferplus", options=Options(classes=8))
    assert faces.counts()["total"].tolist() == [25060, 3199, 3153]
    assert faces.targets.sum(axis=1).tolist() == [1.0] * len(faces)


def test_the_book_documents_every_dataset():
    text = (Path(__file__).parents[1] / "book" / "methods" / "data.md").read_text(encoding="utf-8")
    for dataset in official.DATASETS.values():
        for part in (dataset.title, dataset.images, dataset.labels, dataset.split, dataset.licence):
            assert part in text, part
    assert {x.dataset for x in LAYOUTS} == set(official.DATASETS)


@pytest.mark.parametrize(("name", "classes"), [("affectnet_folders", 8), ("rafdb_list", 7), ("ferplus", 8)])
def test_a_run_on_imported_data(tmp_path, monkeypatch, runs_folder, tiny_run, name, classes):
    """A training on another dataset, from its canonical form; without validation images the last epoch is the best."""
    path, dataset = tree(name, tmp_path / "raw"), name.split("_")[0]
    monkeypatch.setenv("FER_STUDY_DATA", str(tmp_path))
    monkeypatch.setattr(official, "OFFICIAL_COUNTS", {})
    import_to(path, options=Options(classes=classes))
    data = editions.with_fingerprint(
        DataConfig(dataset=dataset, classes=classes, targets="votes" if dataset == "ferplus" else "labels")
    )
    record = run_job(tiny_run(data=data))
    assert record.predictions.views["last_single"].shape[1] == classes
    assert (record.history["validation_accuracy"].notna()).all() == (dataset == "ferplus")
