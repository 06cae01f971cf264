"""Networks in full size: how long they take to build, and one training step of each. Not part of the quick tests."""

from __future__ import annotations

import time

import pytest
import timm  # its import is not part of building
import torch
import torchvision.models
from safetensors.torch import load_file, save_file

from fer_study import models, stages
from fer_study.config import ModelConfig

assert timm and torchvision.models
pytestmark = pytest.mark.bench


def networks():
    return {(c.model.name, c.model.input_size, c.channels): c for c in stages.edition_costs("fer2013")}.values()


@pytest.mark.parametrize("config", networks(), ids=lambda c: f"{c.model.name}-{c.model.input_size}")
def test_build_and_train_a_step_in_full(config):
    start = time.perf_counter()
    model = models.create_model(config.model, 7, config.channels)
    seconds, count = time.perf_counter() - start, sum(p.numel() for p in model.parameters())
    model = model.to(memory_format=torch.channels_last).train()
    images = torch.randn(2, config.channels, config.model.input_size, config.model.input_size)
    before = [p.detach().sum().item() for p in model.stages()[0].parameters()]
    optimiser = torch.optim.SGD(model.parameters(), 1e-2)
    with torch.autocast("cpu", torch.bfloat16):
        logits, penalty = model.forward_with_penalty(images.to(memory_format=torch.channels_last))
    (torch.nn.functional.cross_entropy(logits.float(), torch.tensor([0, 1])) + penalty).backward()
    optimiser.step()
    assert logits.shape == (2, 7) and torch.isfinite(logits).all()
    assert [p.detach().sum().item() for p in model.stages()[0].parameters()] != before
    print(f"\n{config.model.name} at {config.model.input_size} px: {count / 1e6:.1f} M parameters, built in {seconds:.2f} s")
    assert count > 1e8 or seconds < 2


def test_options_of_the_whole_registry_build_twice_alike():
    """The same seed gives the same weights in every network at its smallest documented size."""
    for name in set(models.names()) - {"timm"}:
        made = []
        for _ in range(2):
            torch.manual_seed(0)
            made.append(models.create_model(ModelConfig(name=name, input_size=64), 7).state_dict())
        assert all(torch.equal(made[0][key], made[1][key]) for key in made[0]), name
        del made


@pytest.mark.parametrize("name", ["tiny", "small", "base", "large", "xlarge"])
def test_large_networks_come_back_from_a_file(name, tmp_path):
    made, images = [], torch.randn(2, 1, 64, 64)
    for seed in range(2):
        torch.manual_seed(seed)
        made.append(models.create_model(ModelConfig(name=f"emonext_{name}", input_size=64), 7).eval())
    save_file(made[0].state_dict(), tmp_path / "weights.safetensors")
    with torch.no_grad():
        expected = made[0](images)
        assert not torch.equal(made[1](images), expected)
        made[1].load_state_dict(load_file(tmp_path / "weights.safetensors"))
        assert torch.equal(made[1](images), expected)
