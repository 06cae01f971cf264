"""What the doctor says of pictures: blank ones, copies of test images in train, and their mirror images."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from dataset_trees import FACES as DRAWN
from dataset_trees import LABELS, encoded, put
from fer_study import audit, cli
from fer_study.data import official
from fer_study.data.copies import correlation, mirror_pairs
from fer_study.data.faceset import FaceSet
from fer_study.data.twin import synthetic

FACES = [face for face in DRAWN if np.ptp(face) > 50]
"""The generator plants blank faces."""


def tree(root, number=28):
    """``folders``: faces 0..20 in train, the rest in test."""
    for i in range(number):
        put(root / ("train" if i < 21 else "test") / LABELS[i % 7] / f"{i}.png", encoded(FACES[i]))
    return root


def report(path, capsys, code):
    """What ``fer-study data doctor --json`` says, with this exit code."""
    assert cli.main(["data", "doctor", str(path), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_nothing_to_say(tmp_path, capsys):
    found = report(tree(tmp_path), capsys, 0)
    assert found["problems"] == []
    assert found["blank"] == {"images": 0, "first": []}
    assert found["mirrors"] == {"images": 0, "test_images_elsewhere": 0, "nearly": 0}


def test_mirror_images_of_test_images_in_train(tmp_path, capsys):
    path = tree(tmp_path)
    for i in (21, 22, 23):
        put(path / "train" / LABELS[i % 7] / f"{i}_flip.png", encoded(np.ascontiguousarray(FACES[i][:, ::-1])))
    put(path / "train" / LABELS[24 % 7] / "24_copy.png", encoded(FACES[24]))
    found = report(path, capsys, 2)
    assert found["mirrors"] == {"images": 6, "test_images_elsewhere": 3, "nearly": 0}
    assert found["duplicates"]["test_images_elsewhere"] == 1
    (problem,) = found["problems"]
    assert "4 test images" in problem and "copies: 1" in problem and "mirror images: 3" in problem
    assert "test/angry/21.png" in problem and "train/angry/21_flip.png" in problem
    assert cli.main(["data", "import", str(path), "--to", str(tmp_path / "a.faces")]) == 0
    again = report(tmp_path / "a.faces", capsys, 2)
    assert again["mirrors"] == found["mirrors"] and again["problems"] == found["problems"]


def test_mirror_images_that_were_saved_anew(tmp_path, capsys):
    """As JPEG no pixel may be the same; brighter ones are the same picture too."""
    path = tree(tmp_path)
    for i in (21, 22):
        flipped = ImageOps.mirror(Image.fromarray(FACES[i])).point(lambda level: min(255, level + 10))
        put(path / "train" / LABELS[i % 7] / f"{i}_flip.jpg", encoded(np.asarray(flipped), "JPEG"))
    found = report(path, capsys, 0)
    assert found["mirrors"] == {"images": 0, "test_images_elsewhere": 0, "nearly": 2}
    (note,) = [x for x in found["notes"] if "21_flip.jpg" in x]
    assert "2 test images" in note


def test_a_picture_that_is_its_own_mirror_image_is_none(tmp_path, capsys):
    path = tree(tmp_path)
    half = FACES[0][:, :24]
    put(path / "test" / "happy" / "even.png", encoded(np.concatenate([half, half[:, ::-1]], axis=1)))
    assert report(path, capsys, 0)["mirrors"]["images"] == 0


def test_near_mirror_pairs_are_all_pairs(monkeypatch):
    """Against every pair by NumPy's own correlation; the bound that leaves pairs out must leave out none."""
    rng = np.random.default_rng(0)
    images = np.stack([*FACES[:20], *(FACES[i][:, ::-1] for i in range(20))]).astype(np.int64)
    images = np.clip(images + rng.integers(-20, 21, images.shape), 0, 255).astype(np.uint8)[:, None]
    of, among = np.arange(15), np.arange(15, 40)
    plain = np.corrcoef(images.reshape(40, -1))
    flipped = np.corrcoef(images[..., ::-1].reshape(40, -1), images.reshape(40, -1))[:40, 40:]
    for threshold in (0.6, 0.8, 0.95):
        expected = {(i, j) for i in of for j in among if flipped[i, j] >= max(threshold, (1 + plain[i, j]) / 2)}
        pairs = mirror_pairs(images, of, among, threshold)
        assert set(map(tuple, pairs.to_numpy().tolist())) == expected and (expected or threshold > 0.9)
    assert correlation(images[:5], images[5:10]) == pytest.approx(plain[np.arange(5), np.arange(5, 10)])


def test_blank_pictures_are_named(tmp_path, capsys, caplog):
    """Black ones, ones of levels 0 and 1 (a mask), and ones whose picture is in the alpha channel only."""
    path = tree(tmp_path / "raw")
    clear = np.dstack([np.zeros((48, 48, 3), np.uint8), FACES[3]])
    blanks = {"black": np.zeros((48, 48), np.uint8), "mask": (FACES[2] > 99).astype(np.uint8), "clear": clear}
    for name, pixels in blanks.items():
        put(path / "train" / "sad" / f"{name}.png", encoded(pixels))
    found = report(path, capsys, 2)
    assert found["blank"]["images"] == 3
    assert sorted(found["blank"]["first"]) == [f"train/sad/{name}.png" for name in ("black", "clear", "mask")]
    assert "3 " in found["problems"][0] and "train/sad/mask.png" in found["problems"][0]
    caplog.set_level("INFO")
    assert cli.main(["data", "import", str(path), "--to", str(tmp_path / "a.faces")]) == 0
    assert "train/sad/mask.png" in caplog.text and f"{len(found['problems'])} problem" in caplog.text


def test_black_pictures_are_not_taken_for_copies(tmp_path, capsys):
    """A set that was saved as shares of 1: what is wrong is the pictures, and that is said first."""
    for i in range(28):
        black = (FACES[i] / 256).astype(np.uint8)
        put(tmp_path / ("train" if i < 21 else "test") / LABELS[i % 7] / f"{i}.png", encoded(black))
    found = report(tmp_path, capsys, 2)
    assert "28 pictures" in found["problems"][0] and found["blank"]["images"] == 28
    assert not [p for p in found["problems"] if "copies:" in p]


def test_the_faults_of_a_set_as_it_was_published_are_notes(tmp_path, capsys, monkeypatch):
    """FER2013 has blank images, and copies of test images in train: nobody is to mend them."""
    path = tree(tmp_path)
    put(path / "train" / "sad" / "blank.png", encoded(np.zeros((48, 48), np.uint8)))
    put(path / "train" / LABELS[21 % 7] / "copy.png", encoded(FACES[21]))
    problems = report(path, capsys, 2)["problems"]
    faces = {s: tuple(sum(x.is_file() for x in (path / s / c).iterdir()) for c in LABELS[:7]) for s in ("train", "test")}
    monkeypatch.setitem(official.OFFICIAL_COUNTS, "folders", faces)
    found = report(path, capsys, 0)
    assert found["problems"] == [] and len(problems) == 2 and set(problems) <= set(found["notes"])


def test_audits_keep_their_form():
    """Records of audits hold a part of what the doctor says; what is new must not make the published ones stale."""
    faces = synthetic.make(100, seed=5, style="lab", processes=1)
    flipped = replace(faces, images=faces.images[..., ::-1].copy(), split=np.full(100, "test"), fingerprint="")
    both = FaceSet(
        "x",
        np.concatenate([faces.images, flipped.images]),
        np.concatenate([faces.labels] * 2),
        np.array(["train"] * 100 + ["test"] * 100),
        np.arange(200).astype(str),
    )
    assert list(audit.run(both).summary()["doctor"]) == [
        "dataset", "about", "images", "counts", "official", "matches", "fingerprint", "is_official", "votes", "dropped",
        "left_out", "duplicates", "people", "problems", "mend",
    ]  # fmt: skip
    assert audit.run(both).summary()["doctor"]["problems"] == []
