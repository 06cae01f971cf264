"""Test images that are turned, shifted, scaled and covered, and what a spatial transformer does about it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from fer_study import store
from fer_study.analysis import warps
from fer_study.analysis.measurements import Scored, measure
from fer_study.jobs.views import changed
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import AugmentConfig, ModelConfig, ViewsConfig
from fer_study.settings.frozen import build
from fer_study.training.predict import log_probabilities
from fer_study.training.weights import SourceMissing
from jobs_by_config import run_job
from page_records import make_record


def spot(row: int, column: int) -> torch.Tensor:
    """A dark picture of 20 x 20 with a bright square of 4 x 4 in its middle at these pixels."""
    image = torch.zeros(1, 1, 20, 20, dtype=torch.uint8)
    image[..., row - 2 : row + 2, column - 2 : column + 2] = 200
    return image


def middle(image: torch.Tensor) -> tuple[float, float]:
    """Row and column of what is bright, in pixels from the corner."""
    weight = image[0, 0].double() / image.sum()
    places = torch.arange(20) + 0.5
    return float((weight.sum(1) * places).sum()), float((weight.sum(0) * places).sum())


@pytest.mark.parametrize(
    ("kind", "size", "place"),
    [
        ("none", 0.0, (4, 10)),
        ("turn", 90, (10, 4)),  # anticlockwise: from the top to the left
        ("turn", -90, (10, 16)),
        ("shift right", 0.2, (4, 14)),
        ("shift down", 0.2, (8, 10)),
        ("zoom", 0.5, (7, 10)),  # half as far from the middle
    ],
)
def test_a_spot_moves_as_said(kind, size, place):
    assert middle(changed(spot(4, 10), kind, size)) == pytest.approx(place, abs=0.02)


def test_a_bar_covers_half_a_picture():
    images = torch.zeros(2, 1, 48, 48, dtype=torch.uint8)
    left = changed(images, "cover", "left")
    assert (left[..., :24] == 128).all() and not left[..., 24:].any() and not images.any()
    eyes = changed(images, "cover", "eyes")
    assert (eyes == 128)[0, 0].all(dim=1).nonzero().ravel().tolist() == list(range(10, 24))


def test_each_fault_of_a_warp():
    by_hand = {
        "identity": ([[1, 0, 0], [0, 1, 0]], []),
        "a line": ([[1, 0, 0], [0, 0.05, 0]], ["collapsed", "distorted"]),
        "a spot": ([[0.05, 0, 0], [0, 0.05, 0]], ["collapsed"]),
        "a mirror": ([[-1, 0, 0], [0, 1, 0]], ["distorted"]),
        "elsewhere": ([[1, 0, 1.6], [0, 1, 0]], ["outside"]),
        "not finite": ([[np.nan, 0, 0], [0, 1, 0]], ["collapsed", "distorted", "outside"]),
    }
    found = warps.describe(np.array([theta for theta, _ in by_hand.values()], dtype=np.float32))
    for place, (name, (_, faults)) in enumerate(by_hand.items()):
        there = [fault for fault in ("collapsed", "distorted", "outside") if found[fault][place]]
        assert (name, there) == (name, faults)
        assert found["degenerate"][place] == bool(faults)


def test_a_warp_is_described_by_what_it_does():
    made = np.stack(
        [warps.changing(*one) for one in (("turn", 20), ("zoom", 2), ("shift right", 0.1), ("shift down", -0.1))]
    )
    found = warps.describe(made)
    assert found["angle"] == pytest.approx([20, 0, 0, 0]) and found["scale"] == pytest.approx([1, 0.5, 1, 1])
    assert found["right"] == pytest.approx([0, 0, -0.1, 0]) and found["down"] == pytest.approx([0, 0, 0, 0.1])
    with pytest.raises(ValueError, match="kind is 'skew', allowed: none, turn"):
        warps.changing("skew", 1)


@pytest.mark.parametrize(
    ("kind", "sizes", "name"),
    [
        ("turn", [-30, 0, 30], "angle"),
        ("zoom", [0.5, 1, 2], "scale"),
        ("shift right", [-0.2, 0, 0.2], "right"),
        ("shift down", [0, 0.3], "down"),
    ],
)
def test_how_much_of_a_change_is_undone(kind, sizes, name):
    """All of it by the inverse of each change, none of it by the identity, and less than none by the change once more."""
    made = [np.vstack([warps.changing(kind, size), [0, 0, 1]]) for size in sizes]
    means = lambda warp: [float(warps.describe(warp(one)[None, :2])[name][0]) for one in made]  # noqa: E731
    assert warps.undone(kind, sizes, means(np.linalg.inv)) == pytest.approx(1)
    assert warps.undone(kind, sizes, means(lambda _: np.eye(3))) == pytest.approx(0)
    assert warps.undone(kind, sizes, means(lambda one: one)) == pytest.approx(-1)
    assert np.isnan(warps.undone(kind, sizes[:1], [0.5]))


def test_a_size_that_cannot_be_is_refused(tiny_run):
    for key, value in (("turns", (200.0,)), ("shifts", (1.5,)), ("zooms", (0.0,)), ("covers", ("nose",))):
        with pytest.raises(InputError, match=key):
            build(ViewsConfig, {"run": tiny_run(), key: value})
    assert [kind for kind, _ in ViewsConfig(run=tiny_run()).changes()].count("cover") == 4


class Coin(nn.Module):
    """Two classes, told apart by one pixel that dropout takes away in one pass of four."""

    def __init__(self):
        super().__init__()
        self.norm, self.dropout = nn.BatchNorm1d(1, affine=False), nn.Dropout(0.25)

    def forward(self, images):
        seen = self.dropout(self.norm(images.flatten(1)[:, :1] * 0 + 1))
        return torch.cat([seen, torch.zeros_like(seen)], dim=1)


def test_passes_with_dropout_on_average_probabilities():
    """The logit is 1 without dropout; with it 4 / 3 in three passes of four, and 0 in the other."""
    coin, images = Coin(), torch.zeros(500, 1, 2, 2, dtype=torch.uint8)
    coin.norm.running_mean.fill_(0.0)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    torch.manual_seed(0)
    once = np.exp(log_probabilities(coin, images, AugmentConfig(), 2))
    often = np.exp(log_probabilities(coin, images, AugmentConfig(), 2, passes=40))
    assert once[:, 0] == pytest.approx(sigmoid(1), abs=1e-4)
    assert often[:, 0].mean() == pytest.approx(0.75 * sigmoid(4 / 3) + 0.25 * sigmoid(0), abs=3e-3)
    assert 0.01 < often[:, 0].std() < 0.05, "each image and pass drops its own"
    assert all(part.training for part in coin.modules()) and coin.norm.num_batches_tracked == 0


def test_a_record_of_passes_with_dropout_on(runs_folder, tiny_run):
    trained = run_job(tiny_run())
    config = ViewsConfig.of_dropout(tiny_run(), 5)
    record = run_job(config)
    scored = Scored(trained, "last_single", "test")
    once, often = record.views["log_loss"]
    assert config.changes() == [("none", 0.0), ("dropout", 5)] and once != often
    assert once == pytest.approx(trained.metrics["last_single"]["test"]["log_loss"], abs=2e-3)
    of_run = np.exp(trained.predictions.views["last_single"][trained.predictions.subset("test")])
    assert record.views["confidence"][0] == pytest.approx(of_run.max(axis=1).mean(), abs=2e-3)
    assert measure("dropout_gain[5]", scored) == pytest.approx(once - often, abs=1e-6)
    assert np.isnan(measure("dropout_gain[6]", scored)) and np.isnan(
        measure("dropout_gain[5]", Scored(trained, "last_single", "validation"))
    )
    assert np.isnan(measure("lost[turn]", scored)), "no image was turned"


def test_a_network_without_dropout_is_refused(runs_folder, tiny_run):
    run = tiny_run(
        model=ModelConfig(name="emotion_cnn", options={"width": 0.125, "dropout": 0.0, "head_dropout": 0.0}, input_size=16)
    )
    run_job(run)
    with pytest.raises(InputError, match="the network has no layer of dropout"):
        run_job(ViewsConfig.of_dropout(run, 5))


def test_without_weights_it_says_so(runs_folder, tiny_run):
    with pytest.raises(SourceMissing, match=r"is not trained$"):
        run_job(ViewsConfig(name="changed", run=tiny_run()))


def test_a_record_of_changed_images(runs_folder, tiny_run):
    run = tiny_run(model=ModelConfig(name="emonext_atto", input_size=32))
    trained = run_job(run)
    config = ViewsConfig(run=run, turns=(30.0,), shifts=(0.2,), zooms=(), covers=("eyes",))
    record = run_job(config)
    found, test = record.views, trained.predictions.subset("test")
    assert record.config == config and len(found["predicted"]) == len(config.changes()) == 5
    table = trained.predictions.table[test]
    assert (
        found["label"].tolist() == table["label"].tolist()
        and found["clean"].sum() == trained.predictions.subset("test_clean").sum()
    )
    assert (found["predicted"][0] == trained.predictions.views["last_single"][test].argmax(axis=1)).all()
    assert found["log_loss"][0] == pytest.approx(trained.metrics["last_single"]["test"]["log_loss"], abs=2e-3)
    assert found["warps"].shape == (5, len(found["warp_names"])) and np.isfinite(found["warps"]).all()
    assert sum(path.stat().st_size for path in record.folder.iterdir()) < 250_000
    run_job(tiny_run())
    plain = run_job(ViewsConfig(run=tiny_run(), turns=(), shifts=(), zooms=(), covers=()))
    assert "warps" not in plain.views and store.lookup(plain.key)


def test_what_claims_measure_of_changed_images(runs_folder, tmp_path):
    """Of ten images, two of them copies: all right as they are, half of them when turned by any angle; the warp undoes
    a tenth of a turn and all of a shift, and three images in ten have a warp that is degenerate."""
    record = make_record(
        tmp_path / "run", 30, history=pd.DataFrame({"epoch": [1, 2, 3, 4], "validation_accuracy": [0.5, 0.4, 0.6, 0.55]})
    )
    scored = {subset: Scored(record, "last_single", subset) for subset in ("test", "test_clean", "validation")}
    assert measure("falls[validation_accuracy]", scored["test"]) == pytest.approx(0.15)
    assert np.isnan(measure("history[train_attention_entropy, 8]", scored["test"]))
    assert np.isnan(measure("lost[turn]", scored["test"]))
    config = ViewsConfig(run=record.config)
    label, changes = np.zeros(10, np.int8), config.changes()
    predicted = np.zeros((len(changes), 10), np.int8)
    kinds = [kind for kind, _ in changes]
    predicted[[kind == "turn" for kind in kinds], :5] = 1
    names = ["angle", "scale", "right", "down", "degenerate"]
    rows = [
        [
            -0.1 * size if kind == "turn" else 0,
            1,
            size if kind == "shift right" else 0,
            size if kind == "shift down" else 0,
            0.3,
        ]
        for kind, size in changes
    ]
    clean = np.arange(10) >= 2
    arrays = {
        "label": label,
        "clean": clean,
        "predicted": predicted,
        "warp_names": np.array(names),
        "warps": np.array(rows, np.float32),
    }
    folder = store.local_root() / config.key
    folder.mkdir(parents=True)
    store.save_files(folder, config, {"commit": "abc"}, {"views.npz": store.as_npz(**arrays)})
    assert measure("lost[turn]", scored["test"]) == 0.5 and measure("lost[turn]", scored["test_clean"]) == 3 / 8
    assert measure("lost[cover]", scored["test"]) == 0 and np.isnan(measure("lost[turn]", scored["validation"]))
    assert measure("undone[turn]", scored["test"]) == pytest.approx(0.1) and measure(
        "undone[shift]", scored["test"]
    ) == pytest.approx(1)
    assert measure("undone[zoom]", scored["test"]) == pytest.approx(0) and measure(
        "warped[degenerate]", scored["test"]
    ) == pytest.approx(0.3)
