"""A model folder says what its record says, without it; faces, sets and problems are those that are in the pictures."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.special import softmax

import fer_study
from fer_study import cli, inference, store
from fer_study.analysis import conformal, metrics
from fer_study.data.twin.portraits import draw_portraits
from fer_study.inference import model_folder, onnx_model, predicting
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import AuditConfig, ModelConfig, PhaseConfig
from fer_study.store import record_files
from fer_study.training import explain
from fer_study.training.predict import log_probabilities
from fer_study.training.sources import faces_of
from fer_study.training.weights import trained_network
from jobs_by_config import run_job
from weight_files import one_line

SIDE = 120
"""Of a drawn face in a picture; there is half of that around it."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("inference")


@pytest.fixture
def record(shared, tiny_run, monkeypatch):
    """A finished run with weights that tells faces apart, in a store that tests of this file share."""
    monkeypatch.setenv("FER_STUDY_RUNS", str(shared / "runs"))
    return run_job(tiny_run(phases=(PhaseConfig(epochs=25, lr=3e-3),)))


@pytest.fixture
def folder(shared, record, monkeypatch, tmp_path):
    """It as a model folder; the store is empty from here on."""
    if not (shared / "model").is_dir():
        inference.save(inference.from_record(record.key), shared / "model")
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "empty"))
    return shared / "model"


@pytest.fixture
def model(folder):
    return inference.load(folder)


def face(person: int) -> np.ndarray:
    """(48, 48) uint8: a drawn face that the detector finds."""
    return draw_portraits([person], np.zeros((1, 15)))[0]


def in_a_picture(*persons: int) -> np.ndarray:
    """(240, 240 n) uint8: drawn faces beside one another."""
    size = (SIDE, SIDE)
    large = [np.asarray(Image.fromarray(face(person)).resize(size, Image.Resampling.BICUBIC)) for person in persons]
    return np.hstack([np.pad(one, SIDE // 2, mode="edge") for one in large])


def pictures(place: Path, *, good: bool = True) -> Path:
    """A folder with a picture of a face."""
    place.mkdir(parents=True, exist_ok=True)
    if good:
        Image.fromarray(in_a_picture(0)).save(place / "good.png")
    return place


def film(path: Path, persons: list[int], rate: int = 10) -> Path:
    import cv2

    made = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (240, 240))
    for person in persons:
        made.write(np.repeat(in_a_picture(person)[..., None], 3, axis=2))
    made.release()
    return path


def shares(table: pd.DataFrame, model) -> np.ndarray:
    return table[list(model.settings.classes)].to_numpy(float)


# ---------------------------------------------------------------------------------------------------------- model folders


@pytest.mark.parametrize("half", [False, True])
def test_a_folder_says_what_its_record_says(record, tmp_path, half, monkeypatch):
    config, network = trained_network(record.key)
    images = faces_of(config.data).images[record.predictions.table["row"].to_numpy()]
    theirs = log_probabilities(network, torch.from_numpy(images), config.augment, config.model.input_size)
    inference.save(inference.from_record(record.key[:8]), tmp_path / "model", half)
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "empty"))
    model = inference.load(tmp_path / "model")
    ours = model.log_probabilities(images)
    assert np.ptp(theirs, axis=0).max() > 0.05, "faces are told apart"
    assert abs(ours - theirs).max() < 2e-3 and (half or (ours == theirs).all())
    assert abs(ours - record.predictions.views["last_single"]).max() < 0.01
    assert model.settings.precision == ("float16" if half else "float32")
    size = (tmp_path / "model" / "model.safetensors").stat().st_size
    assert (size < 0.7 * record.weights().stat().st_size) == half
    assert not any(path.suffix in (".pt", ".pkl") for path in (tmp_path / "model").iterdir())


def test_temperature_and_thresholds_are_those_of_the_validation_images(record, model):
    table, said = record.predictions.table, record.predictions.views["last_single"]
    rows, labels = (table["split"] == "validation").to_numpy(), table["label"].to_numpy().astype(int)
    assert model.settings.temperature == metrics.temperature(said[rows], labels[rows]) != 1
    scores = np.sort(1 - np.exp(said[rows].astype(float))[np.arange(rows.sum()), labels[rows]])
    for percent in (50, 75, 90):  # of ten images: the 6th, 9th and 10th smallest score
        place = int(np.ceil((len(scores) + 1) * percent / 100))
        assert model.threshold(percent / 100) == pytest.approx(1 - scores[place - 1], abs=1e-6)
    assert len(scores) == model.settings.calibrated_on == 10 and model.threshold(0.95) == 0, "too few for that"
    with pytest.raises(InputError, match=r"level is 0\.905"):
        model.threshold(0.905)


@pytest.mark.parametrize(("percent", "count"), [(90, 39), (80, 200), (95, 30)])
def test_sets_hold_the_label_as_often_as_asked(percent, count):
    """Of a network that is wrong about its probabilities, over draws of the calibration images."""
    rng, held, size = np.random.default_rng(percent), [], []
    for _ in range(400):
        truth = rng.dirichlet(np.full(7, 0.4), count + 100)
        labels = (truth.cumsum(axis=1) < rng.random((len(truth), 1))).sum(axis=1).clip(max=6)
        said = softmax(2.5 * np.log(truth + 1e-3) + rng.normal(size=truth.shape), axis=1)
        members = conformal.sets(said[count:], conformal.threshold(said[:count], labels[:count], percent))
        held.append(members[np.arange(100), labels[count:]].mean())
        size.append(members.sum(axis=1).mean())
    error = np.std(held) / 20
    assert percent / 100 - 3 * error < np.mean(held) < percent / 100 + 1 / (count + 1) + 3 * error
    assert 1 < np.mean(size) < 6


def test_a_set_has_the_predicted_class():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.8, 0.1, 0.1]])
    assert conformal.sets(probabilities, 0.6).tolist() == [[True, False, False]] * 2
    assert conformal.sets(probabilities, 0.3).tolist() == [[True, True, False], [True, False, False]]
    assert conformal.threshold(probabilities, np.array([0, 0]), 90) == 0


def damage(folder: Path, what: str) -> None:
    config, weights = folder / "config.json", folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    if what == "flipped":
        content[-3] ^= 1
        weights.write_bytes(content)
    elif what == "cut":
        weights.write_bytes(content[:-100])
    elif what in ("config.json", "model.safetensors"):
        (folder / what).unlink()
    elif what == "no json":
        config.write_text(config.read_text()[:-20])
    else:
        changes = {"colour": {"channels": 3}, "unknown": {"nose": 1}, "classes": {"classes": ["a", "b"]},
                   "network": {"network": {"name": "kernel_cnn"}}, "width": {"temperature": -1.0}}[what]  # fmt: skip
        config.write_text(json.dumps(json.loads(config.read_text()) | changes))


@pytest.mark.parametrize(("what", "words"), [
    ("flipped", "SHA-256"), ("cut", "not a whole safetensors file"), ("config.json", "has no config.json"),
    ("model.safetensors", "has no model.safetensors"), ("no json", "damaged, it holds no JSON"),
    ("colour", "another network"), ("unknown", "unknown key 'nose'"),
    ("classes", "7 classes, this network has 2"), ("network", "weights of emotion_cnn"),
    ("width", "temperature is -1.0"),
])  # fmt: skip
def test_a_damaged_folder_is_refused(folder, tmp_path, what, words):
    shutil.copytree(folder, tmp_path / "model")
    damage(tmp_path / "model", what)
    one_line(words, inference.load, tmp_path / "model")


def test_a_network_of_the_wrong_width_is_refused(model, folder, monkeypatch):
    monkeypatch.setattr(type(model.network), "forward", lambda self, images: images.new_zeros(len(images), 5))
    one_line(r"puts out \(2, 5\) for two images, allowed: \(2, 7\)", inference.load, folder)


def test_which_model_is_opened(record, folder, monkeypatch, published, tmp_path):
    monkeypatch.setattr(model_folder, "SHIPPED", tmp_path / "shipped")
    one_line("shipped: has no config.json", inference.open_model, None)
    shutil.copytree(folder, tmp_path / "shipped")
    assert inference.open_model(None).settings == inference.load(folder).settings
    parts = {name: record_files.read_part(record.folder, name) for name in record_files.listed(record.folder)
             if name in store.PUBLISHED}  # fmt: skip
    record_files.write_parts(store.published_root() / record.key, parts)
    one_line("published records hold no weights", inference.open_model, record.key)
    one_line("nowhere: no folder of a model, nor a key", inference.open_model, "nowhere")
    one_line("not trained", inference.open_model, "0" * 16)


def test_a_folder_that_holds_something_else_is_kept(model, tmp_path):
    pictures(tmp_path / "mine")
    one_line("is no model folder", inference.save, model, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["good.png"]
    model.network.head = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(model.network.head.weight, 1e6)
    one_line("half precision cannot hold", inference.save, model, tmp_path / "half", True)


def test_the_card_says_what_the_record_says(record, tmp_path):
    audit = run_job(AuditConfig(data=record.config.data))
    inference.save(inference.from_record(record.key), tmp_path / "model", half=True)
    card, settings = (tmp_path / "model" / "README.md").read_text(), inference.load(tmp_path / "model").settings
    assert settings.scores["test"]["accuracy"] == record.metrics["last_single"]["test"]["accuracy"]
    assert settings.scores["train"]["accuracy"] == record.metrics["last_single"]["train"]["accuracy"]
    assert settings.scores["no_exact_copy"]["n"] == record.metrics["last_single"]["test_clean"]["n"]
    table, said = record.predictions.table, record.predictions.views["last_single"]
    test = record.predictions.subset("test")
    crowd = audit.rows["crowd"][table["row"]][test]
    right = crowd[np.arange(len(crowd)), said[test].argmax(axis=1)][crowd.any(axis=1)]
    assert settings.scores["crowd"]["accuracy"] == pytest.approx(right.mean())
    near = audit.rows["near_copy"][table["row"]]
    assert settings.scores["no_near_copy"]["n"] == (record.predictions.subset("test_clean") & ~near).sum()
    assert f"| all images | {test.sum()} | {settings.scores['test']['accuracy']:.3f} [" in card
    assert "half precision" in card and record.key in card and "Not for decisions about people" in card


def test_the_best_weights_where_they_are_asked_for(record, tmp_path, monkeypatch):
    best, last = inference.from_record(record.key, kind="best"), inference.from_record(record.key)
    faces = faces_of(record.config.data)
    rows = record.predictions.table["row"].to_numpy()
    for model, view in ((best, "best_single"), (last, "last_single")):
        said = model.log_probabilities(faces.images[rows]).argmax(axis=1)
        right = (said == faces.labels[rows])[record.predictions.subset("test")]
        assert right.mean() == pytest.approx(record.metrics[view]["test"]["accuracy"], abs=0.02), view
    assert cli.main(["export", record.key, "--to", str(tmp_path / "model"), "--weights", "best"]) == 0
    settings, card = inference.load(tmp_path / "model").settings, (tmp_path / "model" / "README.md").read_text()
    assert settings.scores["test"]["accuracy"] == pytest.approx(record.metrics["best_single"]["test"]["accuracy"], abs=0.02)
    assert "best accuracy on validation" in card and "what a simulated tagger wrote" in card


# --------------------------------------------------------------------------------------------------------------- pictures


def test_probabilities_are_those_of_the_training_room(model, tmp_path):
    image = face(3)
    Image.fromarray(image).save(tmp_path / "face.png")
    Image.fromarray(image).convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.fromarray(image.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    colour = np.repeat(image[..., None], 3, axis=2)
    table = inference.predict([image, Image.fromarray(image), colour, *sorted(tmp_path.glob("*.*"))], model, whole=True)
    side = model.settings.network.input_size
    said = log_probabilities(model.network, torch.from_numpy(image[None, None]), model.augment, side)
    assert abs(shares(table, model) - softmax(said / model.settings.temperature, axis=1)).max() < 1e-6
    assert (table["predicted"] == model.settings.classes[said[0].argmax()]).all() and len(table) == 6
    other = inference.predict(face(4), model, whole=True)
    assert abs(shares(other, model) - shares(table, model)).max() > 1e-4
    assert table["path"].tolist()[:3] == ["picture 0", "picture 1", "picture 2"] and (table["problem"] == "").all()


def test_a_set_is_what_the_threshold_says(model):
    image, level = face(3), 0.7
    (row,) = inference.predict(image, model, whole=True, level=level).to_dict("records")
    said = np.exp(model.log_probabilities(image[None, None])[0])
    expected = {name for name, p in zip(model.settings.classes, said, strict=True) if p >= model.threshold(level)}
    assert set(row["set"]) == expected | {row["predicted"]} and row["set"][0] == row["predicted"]
    assert 0 < len(expected) < 7


def test_faces_are_found_where_they_are(model):
    picture = in_a_picture(0, 3, 5)
    large = Image.fromarray(picture).resize((1440, 480))
    for scale, source in ((1, picture), (2, large)):
        table = inference.predict(source, model)
        assert len(table) == 3 and table["x"].is_monotonic_increasing
        middles = table[["x", "y"]].to_numpy(float) + table[["width", "height"]].to_numpy(float) / 2
        assert abs(middles / scale - [(120, 120), (360, 120), (600, 120)]).max() < 15
        assert table["width"].between(0.7 * scale * SIDE, 1.1 * scale * SIDE).all()
    first = table.iloc[0]
    box = tuple(first[["x", "y", "width", "height"]])
    alone = inference.predict(large, model, box=box)
    assert abs(shares(alone, model) - shares(table[:1], model)).max() < 1e-9


def test_a_picture_without_a_face_is_no_error(model, tmp_path, capsys, folder):
    Image.new("L", (200, 150), 128).save(tmp_path / "wall.png")
    (row,) = inference.predict(tmp_path / "wall.png", model).to_dict("records")
    assert row["problem"] == predicting.NO_FACE and pd.isna(row["predicted"]) and pd.isna(row["x"])
    assert cli.main(["predict", str(tmp_path), "--model", str(folder)]) == 0
    assert "wall.png: no face found" in capsys.readouterr().out


def test_a_box_is_cut_as_by_hand(model):
    picture = in_a_picture(0)
    for box, part in (((60, 50, 120, 130), picture[50:180, 60:180]), ((-20, 100, 90, 400), picture[100:, :70])):
        table, alone = (inference.predict(x, model, box=b, whole=not b) for x, b in ((picture, box), (part, None)))
        assert abs(shares(table, model) - shares(alone, model)).max() < 1e-9
        assert table.iloc[0][["width", "height"]].tolist() == [part.shape[1], part.shape[0]]
    (row,) = inference.predict(picture, model, box=(300, 0, 20, 20)).to_dict("records")
    assert row["problem"].startswith("face box is (300, 0, 320, 20) in a picture of 240x240")
    one_line("allowed: left, top, width and height", lambda: inference.predict(picture, model, box=(0, 0, 0, 5)))
    one_line("allowed: one of them", lambda: inference.predict(picture, model, box=(0, 0, 9, 5), whole=True))
    one_line("every is -1", lambda: inference.predict(picture, model, every=-1.0))


def test_a_turned_photograph_is_set_upright(model, tmp_path):
    upright = Image.fromarray(in_a_picture(0, 3))
    exif = Image.Exif()
    exif[274] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    table, same = inference.predict(tmp_path / "turned.png", model), inference.predict(upright, model)
    assert len(table) == 2
    opened = inference.predict(Image.open(tmp_path / "turned.png"), model)
    pd.testing.assert_frame_equal(opened, same)
    pd.testing.assert_frame_equal(table.drop(columns="path"), same.drop(columns="path"))


def test_of_an_animated_picture_the_first_frame_is_used(model, tmp_path, caplog):
    first, *others = (Image.fromarray(face(person)) for person in (0, 3, 5))
    first.save(tmp_path / "moves.gif", save_all=True, append_images=others, duration=100)
    with caplog.at_level("INFO"):
        table = inference.predict(tmp_path / "moves.gif", model, whole=True)
    same = inference.predict(Image.open(tmp_path / "moves.gif").convert("L"), model, whole=True)
    assert len(table) == 1 and (shares(table, model) == shares(same, model)).all()
    assert "the first of its 3 frames" in caplog.text


def test_frames_of_a_video(model, tmp_path):
    path = film(tmp_path / "film.avi", [0] * 10 + [3] * 10)
    table = inference.predict(path, model, every=0.5)
    assert table["frame"].tolist() == [0, 5, 10, 15] and table["time"].tolist() == [0, 0.5, 1, 1.5]
    alone = inference.predict([in_a_picture(0), in_a_picture(3)], model)
    assert abs(shares(table, model)[[0, 3]] - shares(alone, model)).max() < 2e-3, "it is compressed"
    assert len(inference.predict(path, model, every=0, whole=True)) == 20


def test_a_long_strip_is_no_face(model):
    strip = np.zeros((40, 30_000), np.uint8)
    (looked, whole) = (inference.predict(strip, model, whole=whole)["problem"].item() for whole in (False, True))
    assert looked == predicting.NO_FACE and whole == "a face of 30000x40 pixels, allowed: sides of 1 to 4"


def test_what_is_no_picture_is_refused(model):
    wrong = [np.zeros((3, 48, 48), np.uint8), np.zeros((48, 48)), np.zeros((0, 0), np.uint8)]
    table = inference.predict([*wrong, face(0)], model, whole=True)
    assert table["problem"].str.contains(r"allowed: \(H, W\) or \(H, W, 3\) uint8").tolist() == [True] * 3 + [False]


# ---------------------------------------------------------------------------------------------------------------- command


def huge(path: Path) -> None:
    """A PNG that claims to have 121 million pixels."""
    Image.new("L", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 11_000, 11_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)


def cut_film(path: Path) -> None:
    film(path, [0] * 30)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def dark(path: Path) -> None:
    Image.fromarray(np.full((60, 60), 900, np.uint16)).save(path)


@pytest.mark.parametrize(("name", "write", "words"), [
    ("text.jpg", lambda path: path.write_text("hello"), "cannot decode the image"),
    ("empty.png", lambda path: path.write_bytes(b""), "cannot decode the image"),
    ("huge.png", huge, "11000x11000 pixels"),
    ("dark.png", dark, "gray levels of at most 900 in 16 bits"),
    ("film.mp4", lambda path: path.write_text("hello"), "cannot be read as a video"),
    ("film.avi", cut_film, "the video ends early: "),
])  # fmt: skip
def test_bad_files_are_one_line_each_and_the_rest_is_done(folder, tmp_path, capsys, caplog, name, write, words):
    place = pictures(tmp_path / "pictures")
    write(place / name)
    (place / "notes.txt").write_text("no picture, and not called like one")
    code = cli.main(["predict", str(place), "--model", str(folder), "--csv", "-"])
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert code == 2 and len(said) == 1 and words in said[0] and name in said[0] and "\n" not in said[0]
    table = pd.read_csv(pd.io.common.StringIO(capsys.readouterr().out))
    done = table[table["path"].str.endswith("good.png")]
    assert len(done) == 1 and pd.isna(done.iloc[0]["problem"]) and words in table["problem"].dropna().iloc[-1]
    if name == "film.avi":
        assert table["path"].str.endswith(name).sum() > 1, "what could be read of it"


@pytest.mark.parametrize(("arguments", "words"), [
    (["PLACE/nothing.png"], "cannot be read: No such file"),
    (["PLACE/empty"], "a folder without pictures"),
    (["PLACE/good.png", "--box", "500", "0", "9", "9"], "face box is"),
    (["PLACE/good.png", "--csv", "PLACE/none/x.csv"], "there is no folder"),
    (["PLACE/good.png", "--level", "1"], "level is 1.0, allowed"),
    (["PLACE/good.png", "--model", "abcdef"], "not trained"),
])  # fmt: skip
def test_wrong_arguments(folder, tmp_path, caplog, arguments, words):
    place = pictures(tmp_path / "pictures")
    (place / "empty").mkdir()
    given = [argument.replace("PLACE", str(place)) for argument in arguments]
    assert cli.main(["predict", "--model", str(folder), *given]) == 2
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert words in said and "\n" not in said


def test_files_say_the_same_as_the_table(model, folder, tmp_path, capsys):
    place = pictures(tmp_path / "pictures")
    Image.fromarray(in_a_picture(3, 5)).save(place / "two.jpg")
    targets = {kind: tmp_path / f"faces.{kind}" for kind in ("csv", "json")}
    options = [word for kind, path in targets.items() for word in (f"--{kind}", str(path))]
    assert cli.main(["predict", str(place), "--model", str(folder), "--level", "0.8", *options]) == 0
    assert capsys.readouterr().out.count("set: ") == 3
    table = inference.predict(place, model, level=0.8)
    csv, rows = pd.read_csv(targets["csv"]), json.loads(targets["json"].read_text())
    assert csv["path"].tolist() == table["path"].tolist() == [row["path"] for row in rows] and len(csv) == 3
    assert [row["set"] for row in rows] == [list(one) for one in table["set"]] == [one.split("; ") for one in csv["set"]]
    for other in (csv, pd.DataFrame(rows)):
        assert abs(shares(other, model) - shares(table, model)).max() < 1e-4
        assert (other[["x", "y", "width", "height"]] == table[["x", "y", "width", "height"]]).all(axis=None)


def test_maps_lie_over_the_faces(shared, tiny_run, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_STUDY_RUNS", str(shared / "runs"))
    options = {"width": 0.125, "hidden": 8}
    run = run_job(tiny_run(model=ModelConfig(name="emotion_cnn", options=options, input_size=48)))
    model, picture = inference.from_record(run.key), in_a_picture(0)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/a.png", "deep/b\u200b.png"):
        Image.fromarray(picture).save(tmp_path / "in" / name)
    table = inference.predict([tmp_path / "in"], model, cam=tmp_path / "maps", box=(60, 60, 120, 100))
    names = [path.relative_to(tmp_path / "maps").as_posix() for path in sorted((tmp_path / "maps").rglob("*.png"))]
    assert names == ["a.png.png", "deep/a.png.png", "deep/b\u200b.png.png"] and (table["problem"] == "").all()
    made = np.asarray(Image.open(tmp_path / "maps" / "a.png.png")).astype(int)
    changed = abs(made - picture[..., None]).max(axis=2)
    assert made.shape == (240, 240, 3) and changed[60:160, 60:180].max() > 60
    changed[60:160, 60:180] = 0
    assert not changed.any(), "what is no face stays as it is"
    asked = []
    grad_cam = explain.grad_cam
    monkeypatch.setattr(predicting, "grad_cam", lambda *given: asked.append(given[2]) or grad_cam(*given))
    table = inference.predict(picture, model, cam=tmp_path / "maps", whole=True)
    assert [model.settings.classes[k] for k in asked[0]] == table["predicted"].tolist()
    assert (tmp_path / "maps" / "picture 0.png").is_file()


def test_a_network_without_a_map_says_so(model, tmp_path, monkeypatch):
    def none(*_: object) -> None:
        raise explain.NoMap("tokens")

    monkeypatch.setattr(predicting, "grad_cam", none)
    table = inference.predict(face(0), model, whole=True, cam=tmp_path)
    assert table["problem"].tolist() == ["no Grad-CAM map (tokens)"]


def test_export_by_command(record, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    with caplog.at_level("INFO"):
        assert cli.main(["export", record.key[:6], "--half"]) == 0
    assert "emotion" in caplog.text or "tiny" in caplog.text
    assert inference.load(tmp_path / "models" / record.key).settings.precision == "float16"
    caplog.clear()
    monkeypatch.setattr(onnx_model.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["export", record.key, "--onnx", "--to", str(tmp_path / "onnx")]) == 2
    assert "python -m pip install onnx onnxscript onnxruntime" in caplog.text and not (tmp_path / "onnx").exists()


def test_onnx_says_what_torch_says(model, tmp_path, monkeypatch):
    session = pytest.importorskip("onnxruntime").InferenceSession
    pytest.importorskip("onnxscript")
    assert "drawn faces" in onnx_model.export(model, tmp_path)
    made, side = session(tmp_path / "model.onnx"), model.settings.network.input_size
    images = torch.rand(5, 1, side, side)
    with torch.inference_mode():
        assert abs(made.run(None, {"images": images.numpy()})[0] - model.network(images).numpy()).max() < 1e-4
    monkeypatch.setattr(onnx_model, "TOLERANCE", -1)
    one_line("logits differ by", onnx_model.export, model, tmp_path)


def test_the_package_stays_light():
    code = "import sys, fer_study, fer_study.cli; assert 'torch' not in sys.modules and callable(fer_study.__getattr__)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert fer_study.predict is inference.predict
    with pytest.raises(AttributeError, match="no attribute 'nose'"):
        fer_study.nose  # noqa: B018
