"""Training: equal to the last bit, resumable anywhere, and doing what its config says."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from fer_study import store
from fer_study.jobs import train
from fer_study.models import create_model
from fer_study.models.modes import eval_mode
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import AugmentConfig, EmaConfig, LossConfig, ModelConfig, OptimiserConfig, PhaseConfig
from fer_study.training import loop, objectives, weights
from fer_study.training.augment import cutmix, mixup
from fer_study.training.batches import Batches, sample_targets
from fer_study.training.checkpoint import Progress, copy_state
from fer_study.training.device import make_fabric
from jobs_by_config import run_job, stop_after_one_epoch

TIMING = ["seconds", "core_seconds", "images_per_second"]
FULL = {
    "augment": AugmentConfig(flip=0.5, rotate=10.0, crop_area=(0.8, 1.0), erase=0.3),
    "loss": LossConfig(mixup=0.4, label_smoothing=0.1, class_weights="inverse"),
    "phases": (PhaseConfig(epochs=1, lr=1e-3, unfreeze=1), PhaseConfig(epochs=2, lr=2e-3, schedule="one_cycle")),
    "ema": EmaConfig(decay=0.9, every=2),
    "clip": 1.0,
}
"""Every part of the loop in one run of three epochs."""


def same(one: store.Record, two: store.Record) -> None:
    """Two records are equal to the last bit, but for their timing."""
    pd.testing.assert_frame_equal(one.history.drop(columns=TIMING), two.history.drop(columns=TIMING), check_exact=True)
    assert (one.folder / "cam.npz").is_file() == (two.folder / "cam.npz").is_file()
    maps = ["cam.npz"] if (one.folder / "cam.npz").is_file() else []  # a network may have none
    for name in ("metrics.json", "predictions.parquet", "config.json", *maps):
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes(), name
    for kind in ("last", "best", "ema", "mean"):
        assert one.weights(kind).read_bytes() == two.weights(kind).read_bytes(), kind


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The full run, made once in a store of its own; ``make`` is called with the config."""
    made = {}

    def make(config) -> store.Record:
        if config.key not in made:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("FER_STUDY_RUNS", str(tmp_path_factory.mktemp("reference")))
                made[config.key] = run_job(config)
        return made[config.key]

    return make


def test_the_same_config_gives_the_same_bits(runs_folder, reference, tiny_run):
    config = tiny_run(**FULL)
    first, second = reference(config), run_job(config)
    assert first.folder != second.folder and second.folder.parent == runs_folder
    same(first, second)
    assert not (second.folder / "checkpoint.pt").exists()
    assert list(second.predictions.views) == ["last_single", "last_ten_crop"]
    assert set(second.metrics) == {
        "last_single", "last_flip", "last_ten_crop", "best_single", "ema_single", "mean_single"
    }  # fmt: skip
    assert run_job(config).folder == second.folder  # the second call finds it
    assert len(second.history) == 3 and second.env["images_per_second"] > 0


def test_another_seed_gives_other_bits(runs_folder, reference, tiny_run):
    other = run_job(tiny_run(**FULL, seed=1))
    assert other.history["train_loss"].tolist() != reference(tiny_run(**FULL)).history["train_loss"].tolist()


def test_stopped_by_the_clock_it_goes_on_exactly(runs_folder, reference, tiny_run, monkeypatch):
    config = tiny_run(**FULL)
    stop_after_one_epoch(config, monkeypatch)
    assert store.lookup(config.key) is None and (runs_folder / config.key / "checkpoint.pt").is_file()
    same(reference(config), run_job(config))


SLOW = """
import json, sys, time
from fer_study.jobs import train
from fer_study.settings.experiment import RunConfig
from fer_study.settings.frozen import parse
def wait(model, row):
    if row["epoch"] == 3:
        print("two epochs saved", flush=True)
        time.sleep(60)
from fer_study import store
from fer_study.training.sources import faces_of
config = parse(RunConfig, json.loads(sys.argv[1]), "argument")
with store.locked(config.key) as folder:
    train.train_and_predict(config, faces_of(config.data), folder, on_epoch=wait)
"""


def test_killed_it_goes_on_exactly(runs_folder, reference, tiny_run):
    config = tiny_run(**FULL)
    command = [sys.executable, "-c", SLOW, config.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as other:
        assert other.stdout.readline() == "two epochs saved\n"
        with pytest.raises(store.Busy):
            run_job(config)
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert store.lookup(config.key) is None and (runs_folder / config.key / "checkpoint.pt").is_file()
    same(reference(config), run_job(config))


def test_a_loss_that_is_not_finite_is_said_in_one_line(runs_folder, tiny_run):
    config = tiny_run(optimiser=OptimiserConfig(name="sgd"), phases=(PhaseConfig(epochs=1, lr=1e30),))
    with pytest.raises(
        loop.TrainingFailed, match=r"tiny: loss is (nan|inf) in epoch 1; lr 1e\+30 may be too high"
    ) as caught:
        run_job(config)
    assert "\n" not in str(caught.value) and store.lookup(config.key) is None


def test_predictions_that_are_not_finite_are_a_failed_training(runs_folder, tiny_run, monkeypatch):
    """Not wrong input: the data is right, the network is not."""
    real = loop.log_probabilities
    monkeypatch.setattr(loop, "log_probabilities", lambda *given: np.full_like(real(*given), np.nan))
    with pytest.raises(loop.TrainingFailed, match="tiny: a prediction is not finite; the learning rate may be too high"):
        run_job(tiny_run())
    monkeypatch.undo()
    monkeypatch.setenv("FER_STUDY_RUNS", str(runs_folder))
    monkeypatch.setattr(train, "log_probabilities", lambda *given: np.full_like(real(*given), np.inf))
    with pytest.raises(loop.TrainingFailed, match="not finite"):
        run_job(tiny_run())
    assert store.lookup(tiny_run().key) is None


def test_the_time_of_a_resumed_run_is_that_of_all_its_epochs(runs_folder, tiny_run, monkeypatch):
    config = tiny_run()
    slow = lambda model, row: row.update(seconds=1000.0)  # noqa: E731
    stop_after_one_epoch(config, monkeypatch, on_epoch=slow)
    assert 2000 <= run_job(config, on_epoch=slow).env["seconds"] < 2060


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phases": ()}, "too few epochs"),
        ({"model": {"weights": "imagenet"}}, "model emotion_cnn: there are no ImageNet weights for it"),
        ({"data": {"max_train": 1}}, "too few training images"),
        ({"data": {"fingerprint": "0000"}}, r"fingerprint is .*, the run was defined on 0000"),
    ],
)
def test_what_cannot_be_trained_is_refused(runs_folder, tiny_run, changes, words):
    parts = {key: getattr(tiny_run(), key).model_copy(update=change) if change else () for key, change in changes.items()}
    with pytest.raises(InputError, match=words):
        run_job(tiny_run(**parts))


def noise() -> tuple[np.ndarray, np.ndarray]:
    """``(pixels (84, 1, 16, 16) uint8, labels (84,))``."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (84, 1, 16, 16), dtype=np.uint8), rng.integers(0, 7, 84)


def fit(config, folder, on_epoch=None) -> tuple[loop.TrainedStates, nn.Module]:
    """Train on noise, validate on its first 20 images: ``(weights, network)``."""
    (pixels, labels), fabric = noise(), make_fabric()
    torch.manual_seed(0)
    model = create_model(config.model, 7)
    batches = Batches(pixels, np.eye(7)[labels], np.arange(20, len(pixels)), config.batch_size, fabric.device)
    validation = torch.from_numpy(pixels[:20]), labels[:20]
    return loop.fit(config, model, batches, validation, folder, fabric, on_epoch=on_epoch), model


@pytest.fixture(autouse=True)
def _float32(monkeypatch):
    monkeypatch.setenv("FER_STUDY_PRECISION", "32-true")


def weighted(logits, labels, reduction):
    """Cross-entropy with weights N / (K n_c), from the definition."""
    weights = len(labels) / (7 * torch.bincount(labels, minlength=7).float())[labels]
    losses = -weights * logits.log_softmax(dim=1)[torch.arange(len(labels)), labels]
    return losses.sum() / (len(labels) if reduction == "count" else weights.sum())


def smoothed(logits, labels):
    """0.3 of the target over all seven classes."""
    found = logits.log_softmax(dim=1)
    return -(0.7 * found[torch.arange(len(labels)), labels] + 0.3 * found.mean(dim=1)).mean()


BY_HAND = {
    "plain": ({}, nn.functional.cross_entropy),
    "weights, by count": ({"class_weights": "inverse"}, lambda x, y: weighted(x, y, "count")),
    "weights, by weight": ({"class_weights": "inverse", "reduction": "weights"}, lambda x, y: weighted(x, y, "weights")),
    "smoothing": ({"label_smoothing": 0.3}, smoothed),
    "mixup": ({"mixup": 0.4}, nn.functional.cross_entropy),
    "clip": ({}, nn.functional.cross_entropy),
}
"""What the loop is told -> the loss of logits and labels, without a line of the module."""


@pytest.mark.parametrize("case", BY_HAND)
def test_one_sgd_step_by_hand(tmp_path, tiny_run, case):
    """All images in one batch, so their order matters to mixup alone, whose draws are those of published runs."""
    loss_fields, by_hand = BY_HAND[case]
    quiet = {"width": 0.125, "hidden": 8, "dropout": 0.0, "head_dropout": 0.0}
    config = tiny_run(
        model=ModelConfig(name="emotion_cnn", options=quiet, input_size=16), batch_size=64,
        optimiser=OptimiserConfig(name="sgd", momentum=0.0, nesterov=False, weight_decay=0.1),
        phases=(PhaseConfig(epochs=1, lr=0.5),), loss=LossConfig(**loss_fields), clip=0.05 if case == "clip" else None,
    )  # fmt: skip
    weights, _ = fit(config, tmp_path)
    pixels, labels = noise()
    torch.manual_seed(0)
    model = create_model(config.model, 7)
    x = (torch.from_numpy(pixels[20:]).float() / 255 - 0.5) / 0.5
    y = torch.eye(7)[labels[20:]] if case == "mixup" else torch.from_numpy(labels[20:])
    if case == "mixup":
        generator = torch.Generator().manual_seed(0)
        shown = torch.randperm(64, generator=generator)
        share = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator))).beta(0.4, 0.4)
        other = shown[torch.randperm(64, generator=generator)]
        assert 0.01 < share < 0.99, "tells nothing"
        x, y = (share * both[shown] + (1 - share) * both[other] for both in (x, y))
    loss = by_hand(model(x), y)
    loss.backward()
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    assert case != "clip" or norm > 0.1
    scale = 0.05 / norm if case == "clip" else 1.0
    assert weights.history["train_loss"][0] == pytest.approx(loss.item(), rel=1e-5)
    for name, p in model.named_parameters():
        assert torch.allclose(weights.last[name], p - 0.5 * (scale * p.grad + 0.1 * p), atol=1e-5), name


def test_ema_by_hand(tmp_path, tiny_run, monkeypatch):
    seen = []
    real = loop.AveragedModel.update_parameters

    def watch(self, model):
        seen.append(copy_state(model))
        real(self, model)

    monkeypatch.setattr(loop.AveragedModel, "update_parameters", watch)
    monkeypatch.setattr(loop, "LAST_EPOCHS", 0)  # the mean is another average
    weights, _ = fit(tiny_run(ema=EmaConfig(decay=0.75, every=2)), tmp_path)  # 4 steps an epoch, 2 epochs
    assert len(seen) == 4
    expected = seen[0]["head.4.weight"]
    for state in seen[1:]:
        expected = 0.75 * expected + 0.25 * state["head.4.weight"]
    assert torch.allclose(weights.ema["head.4.weight"], expected, atol=1e-6)
    assert weights.ema.keys() == weights.last.keys()


def test_an_ema_that_would_never_move_is_refused(tmp_path, tiny_run):
    with pytest.raises(InputError, match=r"tiny: ema\.every is 9, allowed: at most 8, all its steps"):
        fit(tiny_run(ema=EmaConfig(decay=0.75, every=9)), tmp_path)


def test_epochs_are_chosen_on_validation(runs_folder, tiny_run):
    """The history tells loss and accuracy of the validation images; were others scored in their place, its loss at the end
    could not be that of the stored predictions of validation."""
    record = run_job(tiny_run(phases=(PhaseConfig(epochs=4, lr=3e-3),)))
    last, best = record.metrics["last_single"], record.metrics["best_single"]
    assert record.history["validation_loss"].iloc[-1] == pytest.approx(last["validation"]["log_loss"], rel=1e-3)
    assert last["test"]["log_loss"] != pytest.approx(last["validation"]["log_loss"], rel=1e-2), "tells nothing"
    assert record.history["validation_accuracy"].max() == best["validation"]["accuracy"]


def test_phases_freeze_what_they_say(tmp_path, tiny_run):
    states = []

    def watch(model, row):
        states.append((copy_state(model), {n for n, m in model.named_modules() if m.training}))

    config = tiny_run(
        model=ModelConfig(name="simple_resnet", options={"width": 0.125}, input_size=16),
        phases=tuple(PhaseConfig(epochs=1, lr=1e-2, unfreeze=u) for u in (1, 2, "all")),
        optimiser=OptimiserConfig(name="adamw", weight_decay=0.1),
    )  # fmt: skip
    weights, _ = fit(config, tmp_path, watch)
    torch.manual_seed(0)
    before = copy_state(create_model(config.model, 7))
    floats = [n for n in before if before[n].is_floating_point()]
    moved = []
    for state, _training in states:
        moved.append({name for name in floats if not torch.equal(state[name], before[name])})
        before = state
    assert moved[0] == {"head.weight", "head.bias"}  # and no batch statistics
    last_block = {n for n in floats if n.startswith("blocks.2")}
    assert moved[1] == moved[0] | last_block
    assert {n.split(".")[0] for n in moved[2]} == {"head", "blocks", "stem"}
    assert "blocks.2" not in states[0][1] and "blocks.2" in states[1][1] and "blocks.1" not in states[1][1]
    assert torch.equal(weights.last["head.bias"], before["head.bias"])


def test_learning_rates_by_hand(tiny_run):
    phases = (
        PhaseConfig(epochs=1, lr=1.0),
        PhaseConfig(epochs=2, lr=0.1, schedule="cosine"),
        PhaseConfig(epochs=2, lr=0.4, schedule="one_cycle"),
    )
    config = tiny_run(phases=phases)
    rates = [[loop.learning_rate(config, epoch, step, 4) for step in range(4)] for epoch in range(5)]
    assert rates[0] == [1.0] * 4
    cosine = [0.05 * (1 + np.cos(np.pi * i / 8)) for i in range(8)]
    assert rates[1] + rates[2] == pytest.approx(cosine)
    down = [0.2 * (1 + np.cos(np.pi * i / 6)) for i in range(6)]
    assert rates[3] + rates[4] == pytest.approx([0.0, 0.2, *down])
    assert [loop.phase_at(config, epoch)[0].lr for epoch in range(5)] == [1.0, 0.1, 0.1, 0.4, 0.4]
    assert [loop.phase_at(config, epoch)[1] for epoch in range(5)] == [0, 0, 1, 0, 1]
    with pytest.raises(ValueError, match=r"past the end, allowed: 0\.\.4"):
        loop.phase_at(config, 5)


def test_early_stop(tmp_path, tiny_run):
    scores = iter([0.2, 0.5, 0.5, 0.4, 0.9, 0.9])
    score = lambda model, row: row.update(validation_accuracy=next(scores))  # noqa: E731
    weights, _ = fit(tiny_run(phases=(PhaseConfig(epochs=6, lr=1e-3),), patience=2), tmp_path, score)
    assert weights.history["epoch"].tolist() == [1, 2, 3, 4]  # best in epoch 2, then two without a better one
    assert not torch.equal(weights.best["head.4.weight"], weights.last["head.4.weight"])
    assert weights.mean is None, "of the last epochs, some were never trained"


def test_no_early_stop_without_validation(tiny_run):
    config = tiny_run(patience=1)
    assert not loop.should_stop(config, Progress(epoch=1))
    assert loop.should_stop(config, Progress(epoch=2, best_epoch=1))
    assert not loop.should_stop(config, Progress(epoch=1, best_epoch=1))
    assert not loop.should_stop(tiny_run(), Progress(epoch=9, best_epoch=1))


def test_mixup_mixes_images_and_targets_alike():
    images, target = torch.arange(6.0).view(6, 1, 1, 1), torch.eye(6)
    mixed, mixed_target = mixup(images, target, 0.5, torch.Generator().manual_seed(3))
    assert torch.allclose(mixed_target.sum(dim=1), torch.ones(6))
    assert torch.allclose(mixed.flatten(), mixed_target @ torch.arange(6.0), atol=1e-5)
    assert not torch.equal(mixed_target, target)


def test_batches_visit_every_image_once():
    pixels = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
    make = lambda resident: Batches(pixels, np.zeros((40, 7)), np.arange(2, 35), 8, torch.device("cpu"), resident)  # noqa: E731
    batches = make(1000)
    seen = [images.flatten().tolist() for images, _ in batches.epoch(torch.Generator().manual_seed(0))]
    assert [len(s) for s in seen] == [8, 8, 8, 8] and len(batches) == 4  # a last batch of one is left out
    assert len({i for s in seen for i in s}) == 32
    assert {i for s in seen for i in s} <= set(range(2, 35))
    mapped = make(10)  # too large to be resident: read batch by batch, and no pixel differs
    assert batches.images is not None and mapped.images is None
    assert [images.flatten().tolist() for images, _ in mapped.epoch(torch.Generator().manual_seed(0))] == seen


def test_evaluation_restores_the_modes():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3))
    model[1].eval()
    with eval_mode(model) as quiet:
        assert not any(m.training for m in quiet.modules()) and torch.is_inference_mode_enabled()
    assert model.training and model[0].training and not model[1].training


def test_labels_are_drawn_anew(runs_folder, tiny_run):
    target = torch.tensor([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]]).repeat(500, 1)
    generator = torch.Generator().manual_seed(0)
    one, two = sample_targets(target, generator), sample_targets(target, generator)
    assert set(one.unique().tolist()) == {0.0, 1.0} and (one.sum(dim=1) == 1).all()
    assert torch.equal(one[1::2], target[1::2]) and not torch.equal(one, two)
    assert torch.allclose(one[::2].mean(dim=0), target[0], atol=0.07)
    votes = tiny_run().data.replace(targets="votes")
    for sample in (False, True):
        batches = Batches(
            np.zeros((20, 1, 1, 1), np.uint8), target.numpy(), np.arange(20), 10, torch.device("cpu"), sample=sample
        )
        shown = torch.cat([targets for _, targets in batches.epoch(torch.Generator().manual_seed(1))])
        assert (set(shown.unique().tolist()) == {0.0, 1.0}) == sample
    crowd, drawn = (run_job(tiny_run(data=votes.replace(annotation=way))) for way in ("majority", "probability"))
    assert crowd.history["train_loss"].tolist() != drawn.history["train_loss"].tolist()


def test_a_teacher_gives_the_targets(runs_folder, tiny_run, monkeypatch):
    """A teacher that always says surprise: so does its student, whatever the labels are."""
    source = run_job(tiny_run())

    class Says(nn.Module):
        def forward(self, images):
            assert not torch.is_grad_enabled()
            return 20 * torch.eye(7)[torch.full((len(images),), 5)]

    monkeypatch.setattr(train, "trained_network", lambda key: (source.config, Says().eval()))
    loss = LossConfig(teacher=source.key, distribution="teacher")
    taught = run_job(tiny_run(loss=loss, phases=(PhaseConfig(epochs=12, lr=1e-2),)))
    assert taught.key != source.key and taught.config.loss.teacher == source.key
    assert (taught.predictions.views["last_single"].argmax(axis=1) == 5).all()
    assert taught.history["train_loss"].iloc[-1] < 0.1
    assert not (source.predictions.views["last_single"].argmax(axis=1) == 5).all()


def test_a_real_teacher_and_its_student(runs_folder, tiny_run):
    source = run_job(tiny_run())
    config = tiny_run(seed=1, loss=LossConfig(teacher=source.key))
    assert np.isfinite(run_job(config).predictions.views["last_single"]).all()
    with pytest.raises(weights.SourceMissing, match="0123456789abcdef"):
        run_job(tiny_run(loss=LossConfig(teacher="0123456789abcdef")))
    other = tiny_run(augment=AugmentConfig(mean=0.1), loss=LossConfig(teacher=source.key))
    with pytest.raises(InputError, match=r"normalisation is \(0.1, 0.5\), of its teacher .* \(0.5, 0.5\)"):
        run_job(other)


def test_the_loss_that_a_config_names():
    logits, target = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.5, 0.5, 0.0]])
    plain = objectives.batch_loss(LossConfig(), logits, target)
    assert objectives.batch_loss(LossConfig(distribution="teacher"), logits, target) == pytest.approx(plain.item() / 3)
    assert objectives.batch_loss(LossConfig(distribution="student"), logits, target) != pytest.approx(plain.item() / 3)
    soft = objectives.batch_loss(LossConfig(label_smoothing=0.3), logits, target)
    assert soft == pytest.approx(float(-(torch.tensor([[0.45, 0.45, 0.1]]) * logits.log_softmax(1)).sum()))


def test_cutmix_takes_a_rectangle_of_the_neighbour():
    images, target = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 8, 8), torch.eye(6)
    torch.manual_seed(1)
    mixed, mixed_target = cutmix(images, target, 1.0)
    neighbour = images.roll(1, 0)
    assert ((mixed == images) | (mixed == neighbour)).all()
    kept = (mixed == images).float().mean(dim=(1, 2, 3))
    assert 0 < kept[0] < 1 and (kept == kept[0]).all(), "one rectangle a batch"
    assert torch.allclose(mixed_target, kept[0] * target + (1 - kept[0]) * target.roll(1, 0))


def test_cutmix_of_a_run_is_drawn_from_its_seed(runs_folder, tmp_path, tiny_run):
    assert tiny_run(loss=LossConfig(cutmix=0.0)).key == tiny_run().key != tiny_run(loss=LossConfig(cutmix=1.0)).key
    with pytest.raises(ValueError, match=r"mixup is 0\.2 and cutmix 1\.0, allowed: one of them"):
        LossConfig(mixup=0.2, cutmix=1.0)
    for i in range(4):
        (tmp_path / f"{i}").mkdir()
    losses = [
        fit(tiny_run(loss=LossConfig(cutmix=alpha), seed=seed), tmp_path / f"{i}")[0].history["train_loss"].tolist()
        for i, (alpha, seed) in enumerate([(1.0, 0), (1.0, 0), (1.0, 1), (0.0, 0)])
    ]
    assert losses[0] == losses[1] and len({tuple(loss) for loss in losses}) == 3


def test_the_mean_of_the_last_epochs_by_hand(tmp_path, tiny_run):
    """Its weights are the mean over five of seven epochs, its batch statistics those of the training images under them."""
    states = []
    narrow = ModelConfig(name="simple_resnet", options={"width": 0.125}, input_size=16)
    config = tiny_run(model=narrow, phases=(PhaseConfig(epochs=7, lr=1e-2),), batch_size=64)
    weights, model = fit(config, tmp_path, lambda model, row: states.append(copy_state(model)))
    for name, _ in model.named_parameters():
        mean = torch.stack([state[name] for state in states[2:]]).mean(dim=0)
        assert torch.allclose(weights.mean[name], mean, atol=1e-6), name
    pixels = (torch.from_numpy(noise()[0][20:]).float() / 255 - 0.5) / 0.5
    model.load_state_dict(weights.mean)
    seen = model.stem[0](model.kernels(pixels))  # what the first normalisation sees, of all images at once
    assert torch.allclose(weights.mean["stem.1.running_mean"], seen.mean(dim=(0, 2, 3)), atol=1e-4)
    assert torch.allclose(weights.mean["stem.1.running_var"], seen.var(dim=(0, 2, 3)), rtol=1e-3)
    assert not torch.allclose(weights.mean["stem.1.running_mean"], weights.last["stem.1.running_mean"], rtol=1e-2)


def test_what_is_frozen_keeps_its_statistics_in_the_mean(tmp_path, tiny_run):
    narrow = ModelConfig(name="simple_resnet", options={"width": 0.125}, input_size=16)
    phases = (PhaseConfig(epochs=6, lr=1e-2, unfreeze=2),)
    weights, _ = fit(tiny_run(model=narrow, phases=phases), tmp_path)
    for name, kept in (("stem.1.running_var", True), ("blocks.2.body.1.running_var", False)):
        assert torch.equal(weights.mean[name], weights.last[name]) == kept


def test_training_is_scored_as_validation_is(runs_folder, tiny_run):
    """In evaluation mode and against the labels: nothing like the loss of the last epoch, which is of half a network."""
    record = run_job(tiny_run(loss=LossConfig(label_smoothing=0.3)))
    found = record.metrics["last_single"]["train"]
    faces = train.faces_of(record.config.data)
    _, model = weights.trained_network(record.key)
    rows = np.flatnonzero(faces.split == "train")
    with eval_mode(model):
        x = (torch.from_numpy(faces.images[rows]).float() / 255 - 0.5) / 0.5
        logits = model(nn.functional.interpolate(x, size=(16, 16), mode="bilinear", antialias=True))
    labels = torch.from_numpy(faces.labels[rows])
    assert found["accuracy"] == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert found["log_loss"] == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-4)
    assert record.metrics.keys() > {"mean_single", "best_single"} and "train" not in record.metrics["mean_single"]
