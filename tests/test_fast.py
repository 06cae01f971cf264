"""The network made for time to accuracy, and what its recipes ask of the loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fer_study.models import create_model
from fer_study.models.fast import CosineStem
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import ModelConfig, OptimiserConfig, PhaseConfig
from fer_study.training import loop
from fer_study.training.batches import Batches
from fer_study.training.device import make_fabric

PHASES = (PhaseConfig(epochs=2, lr=1e-2, input_size=16), PhaseConfig(epochs=1, lr=1e-2, schedule="cosine"))


@pytest.fixture(autouse=True)
def _float32(monkeypatch):
    monkeypatch.setenv("FER_STUDY_PRECISION", "32-true")


def narrow(name: str = "fast48", **options: object) -> ModelConfig:
    return ModelConfig(name=name, options={"width": 0.125, **options}, input_size=24)


def fit(config, folder, seen=None, deadline=None):
    rng, fabric = np.random.default_rng(0), make_fabric()
    pixels, labels = rng.integers(0, 256, (64, 1, 24, 24), dtype=np.uint8), rng.integers(0, 7, 64)
    torch.manual_seed(0)
    model = create_model(config.model, 7)
    if seen is not None:
        model.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[-1]) if module.training else None)
    batches = Batches(pixels, np.eye(7)[labels], np.arange(16, 64), 16, fabric.device)
    validation = torch.from_numpy(pixels[:16]), labels[:16]
    return loop.fit(config, model, batches, validation, folder, fabric, deadline), model


def test_parameters_by_hand():
    pairs = [(32, 64), (64, 128), (128, 256)]
    convolutions = sum(9 * i * o + 2 * o + 9 * o * o + 2 * o for i, o in pairs)
    model = create_model(ModelConfig(name="fast48"), 7)
    assert sum(p.numel() for p in model.parameters()) == convolutions + 256 * 7 + 7


def test_the_stem_is_a_part_of_the_cosine_transform():
    filters = CosineStem(16).filters.flatten(1)
    assert torch.allclose(filters @ filters.T, torch.eye(16), atol=1e-5), "orthonormal"
    assert torch.allclose(filters[0], torch.full((36,), 1 / 6)), "the first is the mean"
    assert torch.allclose(filters[1:].sum(dim=1), torch.zeros(15), atol=1e-5), "the others hold none of it"
    assert not list(CosineStem().parameters())


def test_the_stem_halves_the_side_and_keeps_signs_apart():
    images = torch.rand(4, 3, 48, 48)
    found = CosineStem().train()(images)
    positive, negative = found.split(16, dim=1)
    assert found.shape == (4, 32, 24, 24) and (found >= 0).all() and not (positive * negative).any()
    signed = positive - negative
    assert torch.allclose(signed.mean(dim=(0, 2, 3)), torch.zeros(16), atol=1e-4)
    assert torch.allclose(signed.var(dim=(0, 2, 3), unbiased=False), torch.ones(16), atol=1e-2)


def test_a_stage_adds_to_its_halved_map():
    model = create_model(narrow(), 7).eval()
    stage, maps = model.blocks[0], torch.rand(2, 32, 12, 12)
    halved = stage.halve(maps)
    assert halved.shape[-1] == 6 and torch.equal(stage(maps), halved + stage.add(halved))


def test_a_phase_sees_images_of_its_own_side(tmp_path, tiny_run):
    seen = []
    weights, _ = fit(tiny_run(model=narrow(), phases=PHASES), tmp_path, seen)
    assert seen[:9] == [16] * 6 + [24] * 3 and len(weights.history) == 3


@pytest.mark.parametrize(("name", "side"), [("cbam_cnn", 16), ("emotion_cnn", 16)])
def test_a_network_whose_weights_depend_on_the_side_is_refused(tmp_path, tiny_run, name, side):
    phases = (PhaseConfig(epochs=1, lr=1e-3, input_size=side),)
    with pytest.raises(InputError, match=f"input_size of a phase is {side}, allowed for {name}: 24"):
        fit(tiny_run(model=narrow(name), phases=phases), tmp_path)


def test_a_side_below_the_least_of_the_network_is_refused(tmp_path, tiny_run):
    phases = (PhaseConfig(epochs=1, lr=1e-3, input_size=16),)
    model = ModelConfig(name="vgg19_48", options={"width": 0.125}, input_size=32)
    with pytest.raises(InputError, match="model vgg19_48: input_size is 16, allowed: 32 and more"):
        fit(tiny_run(model=model, phases=phases), tmp_path)


def test_a_side_that_is_not_given_is_not_in_the_key(tiny_run):
    plain, other = PhaseConfig(epochs=1, lr=1e-3), PhaseConfig(epochs=1, lr=1e-3, input_size=16)
    assert "input_size" not in plain.resolved() and other.resolved()["input_size"] == 16


def test_a_step_of_muon_has_no_direction_that_is_larger(tiny_run):
    """The largest singular value of the change of a filter matrix is about the rate, whatever the gradient; the rest
    is AdamW's at a tenth of it, whose first step is the rate in every weight that has a gradient."""
    config = tiny_run(
        model=narrow(), optimiser=OptimiserConfig(name="muon", nesterov=False), phases=(PhaseConfig(epochs=1, lr=1e-2),)
    )
    torch.manual_seed(0)
    model = create_model(config.model, 7)
    optimiser = loop.make_optimiser(config, model)
    before = {name: value.clone() for name, value in model.named_parameters()}
    model(torch.randn(16, 1, 24, 24)).square().sum().backward()
    optimiser.step()
    for name, value in model.named_parameters():
        change = (value - before[name]).detach()
        if value.ndim == 4:
            largest = float(torch.linalg.matrix_norm(change.flatten(1), 2)) / 1e-2
            assert 0.7 < largest / max(1, len(value) / value[0].numel()) ** 0.5 < 1.3, name
        else:
            moved = change[change != 0].abs()
            assert torch.allclose(moved, torch.full_like(moved, 1e-3), rtol=1e-2), name


def test_stopped_between_the_sides_it_goes_on_exactly(tmp_path, tiny_run, monkeypatch):
    config = tiny_run(model=narrow(), phases=PHASES, optimiser=OptimiserConfig(name="muon", weight_decay=0.01))
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole, _ = fit(config, tmp_path / "whole")
    clock = iter([0.0, 0.0, 2.0])
    with monkeypatch.context() as patch:
        patch.setattr(loop.time, "monotonic", clock.__next__)
        with pytest.raises(loop.OutOfTime, match="after epoch 2 of 3"):
            fit(config, tmp_path / "parts", deadline=1.0)
    parts, _ = fit(config, tmp_path / "parts")
    for kind, state in whole.states().items():
        assert all(torch.equal(value, parts.states()[kind][name]) for name, value in state.items()), kind
