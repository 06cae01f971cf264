"""Phases: contradictions are refused, a kill in any phase costs nothing, frozen stages are computed once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import Precision

import test_train
from fer_study import store
from fer_study.jobs import stages
from fer_study.models import create_model
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import (
    AugmentConfig,
    EmaConfig,
    LossConfig,
    ModelConfig,
    OptimiserConfig,
    PhaseConfig,
    RunConfig,
)
from fer_study.settings.frozen import build
from fer_study.training import frozen_features, loop
from jobs_by_config import run_job
from test_train import SLOW, same

AUGMENT = AugmentConfig(flip=0.5, rotate=10.0, crop_area=(0.8, 1.0), erase=0.3)
NARROW = ModelConfig(name="simple_resnet", options={"width": 0.125}, input_size=16)


def phases(*given: dict) -> tuple[PhaseConfig, ...]:
    return tuple(build(PhaseConfig, {"epochs": 1, "lr": 1e-3} | one) for one in given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{"epochs": 0}], "epochs is 0"),
        ([{"unfreeze": 0}], "unfreeze"),
        ([{"views": 2}], "views is 2, allowed where all stages learn: 0"),
        ([{"unfreeze": 1, "views": -1}], "views is -1"),
        ([{}, {"unfreeze": 2}], "phases.1.unfreeze is 2 after 'all', allowed: at least that"),
        ([{"unfreeze": 3}, {"unfreeze": 2}], "phases.1.unfreeze is 2 after 3, allowed: at least that"),
        ([{"unfreeze": 1}, {"unfreeze": 1}], "phases.1.unfreeze is 1 after 1, and nothing else changes"),
    ],
)
def test_phases_that_contradict_each_other_are_refused(tiny_run, given, message):
    with pytest.raises(InputError, match=message):
        tiny_run().replace(phases=phases(*given))


def test_features_of_mixed_images_are_refused(tiny_run):
    with pytest.raises(InputError, match=r"mixup is 0\.4 and cutmix 0\.0, allowed with fixed views: 0"):
        tiny_run().replace(phases=phases({"unfreeze": 1, "views": 1}), loss=LossConfig(mixup=0.4))


def test_phases_that_go_on_are_allowed(tiny_run):
    for given in ([{"unfreeze": 1}, {"unfreeze": 1, "lr": 1e-4}, {}], [{"schedule": "cosine"}] * 3):
        assert len(tiny_run().replace(phases=phases(*given)).phases) == 3


def test_more_stages_than_the_network_has_are_refused_when_a_stage_is_read(runs_folder, tiny_run):
    given = {"edition": "smoke", "recipes": ["smoke"], "model": "simple_resnet", "seeds": [0]}
    message = r"phases\.0\.unfreeze is 5, allowed for simple_resnet: 1 to 4 of its 5 stages, or all"
    with pytest.raises(InputError, match=message):
        stages.check_stage("04_ablations", given | {"arms": {"frozen": {"phases.0.unfreeze": 5}}}).jobs()
    assert stages.check_stage("04_ablations", given | {"arms": {"frozen": {"phases.0.unfreeze": 4}}}).jobs()
    with pytest.raises(InputError, match=message):
        run_job(tiny_run(model=NARROW, phases=phases({"unfreeze": 5})))


FROZEN = {
    "augment": AUGMENT, "ema": EmaConfig(decay=0.9, every=2), "clip": 1.0,
    "phases": phases(
        {"unfreeze": 1, "views": 2, "epochs": 3, "schedule": "cosine"}, {"unfreeze": 2}, {"schedule": "one_cycle"}
    ),
}  # fmt: skip
NETWORKS = {
    "simple_resnet": NARROW,
    "cbam_cnn": ModelConfig(name="cbam_cnn", options={"width": 0.125, "hidden": 8}, input_size=16),
    "fer48": ModelConfig(name="fer48", options={"width": 0.125}, input_size=16),
    "timm": ModelConfig(name="timm:mobilenetv3_small_050", input_size=32),
}


@pytest.fixture
def both_ways(tmp_path, monkeypatch, tiny_run, caplog):
    """Train FROZEN with features that are cached, and with all computed: two records, and the steps with cached ones."""

    def make(**given: object) -> tuple[list[store.Record], int]:
        config, records, calls = tiny_run(**given, **FROZEN), [], []
        bypassed, fixed_view = frozen_features.bypassed, frozen_features.fixed_view
        monkeypatch.setattr(frozen_features, "bypassed", lambda *given: calls.append(given) or bypassed(*given))

        def uncached(*given: object) -> frozen_features.FixedView:
            made = fixed_view(*given)
            made.features = None
            return made

        for folder, view in (("cached", fixed_view), ("uncached", uncached)):
            monkeypatch.setattr(loop, "fixed_view", view)
            monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / folder))
            records.append(run_job(config))
        assert "cannot go on" not in caplog.text
        return records, len(calls) - 4  # of which each view is tried once, in either run

    return make


@pytest.mark.parametrize("name", NETWORKS)
def test_cached_features_are_the_uncached_to_the_last_bit(both_ways, name):
    """Drop-out in the head, two views in turn; batches of one size, for how a kernel rounds may hang on it."""
    records, steps = both_ways(model=NETWORKS[name], batch_size=20)
    assert steps == 3 * 4, "three epochs of 80 images, in batches of 20"
    same(*records)


def test_a_last_batch_that_is_not_full_is_the_uncached_but_for_rounding(both_ways):
    (one, two), steps = both_ways(model=NARROW, batch_size=24)
    assert steps == 3 * 4
    for name in ("train_loss", "validation_loss"):
        assert one.history[name].to_numpy() == pytest.approx(two.history[name].to_numpy(), abs=1e-4)


def test_a_network_that_cannot_go_on_computes_all_of_it(runs_folder, tiny_run, monkeypatch, caplog):
    """What stands between its stages sees an image where it should see features: found out, said, and not used."""
    real = frozen_features.bypassed
    monkeypatch.setattr(frozen_features, "bypassed", lambda stages, features: real(stages, features + 1))
    record = run_job(tiny_run(model=NARROW, **FROZEN))
    assert "simple_resnet cannot go on from its frozen stages" in caplog.text and len(record.history) == 5


@pytest.mark.parametrize("epoch", [1, 2, 3, 4])
def test_killed_in_any_phase_it_goes_on_exactly(tmp_path, monkeypatch, tiny_run, epoch):
    """In the middle of a phase of fixed views, at its end, and in either phase behind it."""
    config = tiny_run(model=NARROW, **FROZEN)
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "whole"))
    whole = run_job(config)
    monkeypatch.setenv("FER_STUDY_RUNS", str(tmp_path / "killed"))
    script = SLOW.replace('row["epoch"] == 3', f'row["epoch"] == {epoch + 1}')
    command = [sys.executable, "-c", script, config.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as other:
        assert other.stdout.readline() == "two epochs saved\n"
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert store.lookup(config.key) is None and (store.local_root() / config.key / "checkpoint.pt").is_file()
    same(whole, run_job(config))


def test_unfreezing_changes_exactly_the_stated_parameters(runs_folder, tiny_run):
    states = []
    run_job(tiny_run(model=NARROW, **FROZEN), on_epoch=lambda model, row: states.append(loop.copy_state(model)))

    def moved(one: int, other: int) -> set[str]:
        names = {name for name in states[one] if states[one][name].is_floating_point()}
        return {name.split(".")[0] + ("." + name.split(".")[1] if name.startswith("blocks") else "")
                for name in names if not torch.equal(states[one][name], states[other][name])}  # fmt: skip

    assert moved(0, 2) == {"head"} and moved(2, 3) == {"head", "blocks.2"}
    assert moved(3, 4) == {"head", "stem", "blocks.0", "blocks.1", "blocks.2"}


def test_a_field_at_its_default_leaves_the_key(tiny_run):
    config = tiny_run()
    assert "views" not in config.phases[0].resolved()
    assert (
        isinstance(config, RunConfig)
        and tiny_run(phases=phases({"unfreeze": 1, "views": 1})).key != tiny_run(phases=phases({"unfreeze": 1})).key
    )


class Scaled(Precision):
    """What a scaler does in half precision: a loss 1,024 times as large, gradients scaled back when asked or at the step."""

    scale = 1024.0

    def backward(self, tensor: torch.Tensor, model: object, *given: object, **named: object) -> None:
        self.scaled = True
        (tensor * self.scale).backward()

    def unscale_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if self.scaled and parameter.grad is not None:
                    parameter.grad /= self.scale
        self.scaled = False

    def optimizer_step(self, optimizer: torch.optim.Optimizer, **given: object) -> object:
        self.unscale_gradients(optimizer)
        return super().optimizer_step(optimizer, **given)


def made(folder: Path, name: str) -> Path:
    """A new folder, or the one that is there."""
    (folder / name).mkdir(exist_ok=True)
    return folder / name


def test_gradients_are_unscaled_before_they_are_clipped(tmp_path, tiny_run, monkeypatch):
    """The other way round the step would be a thousandth, as in the code of EmoNeXt."""
    config = tiny_run(model=NARROW, optimiser=OptimiserConfig(name="sgd", momentum=0.0), batch_size=64, clip=0.05,
                      phases=phases({"lr": 0.5}))  # fmt: skip
    monkeypatch.setenv("FER_STUDY_PRECISION", "32-true")
    plain, _ = test_train.fit(config, made(tmp_path, "plain"))
    fabric = Fabric(accelerator="cpu", devices=1, plugins=Scaled())
    monkeypatch.setattr(test_train, "make_fabric", lambda: fabric)
    scaled, _ = test_train.fit(config, made(tmp_path, "scaled"))
    for name, value in plain.last.items():
        assert torch.allclose(scaled.last[name], value, rtol=1e-5, atol=1e-7), name


def test_an_early_stop_is_the_same_after_a_stop_by_the_clock(tmp_path, tiny_run, monkeypatch):
    config = tiny_run(phases=phases({"epochs": 6}), patience=2)
    scores = [0.2, 0.5, 0.5, 0.4, 0.9, 0.9]

    def score(model: object, row: dict[str, float]) -> None:
        row["validation_accuracy"] = scores[row["epoch"] - 1]

    def killed(model: object, row: dict[str, float]) -> None:
        score(model, row)
        if row["epoch"] == 4:
            raise KeyboardInterrupt

    whole, _ = test_train.fit(config, made(tmp_path, "whole"), score)
    with pytest.raises(KeyboardInterrupt):
        test_train.fit(config, made(tmp_path, "killed"), killed)
    again, _ = test_train.fit(config, made(tmp_path, "killed"), score)
    assert again.history["epoch"].tolist() == whole.history["epoch"].tolist() == [1, 2, 3, 4]
    for kind in ("last", "best"):
        for name, value in getattr(whole, kind).items():
            assert torch.equal(getattr(again, kind)[name], value), (kind, name)


@pytest.mark.parametrize(
    ("name", "option"),
    [("fer48", "drop_path"), ("emonext_atto", "drop_path_rate"), ("timm:mobilenetv3_small_050", "drop_path_rate")],
)
def test_stochastic_depth_keeps_the_expected_value_and_rests_in_evaluation(name, option):
    """Blocks are left out image by image, and those that stay are scaled by 1 / (1 - rate)."""
    model = create_model(ModelConfig(name=name, options={option: 0.4}, input_size=64), 7)
    paths = [part for part in model.modules() if type(part).__name__ == "DropPath" and part.drop_prob]
    assert paths and max(path.drop_prob for path in paths) <= 0.4 + 1e-6
    torch.manual_seed(0)
    ones = torch.ones(20_000, 2, 1, 1)
    for path in paths:
        kept = path.train()(ones)
        assert kept.unique().tolist() == pytest.approx([0, 1 / (1 - path.drop_prob)])
        assert kept.mean().item() == pytest.approx(1, abs=0.03) and torch.equal(kept[:, 0], kept[:, 1])
        assert torch.equal(path.eval()(ones), ones)
