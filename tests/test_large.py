"""Networks in full size: how long they take to build, one training step of each, the contract of the large EmoNeXt. Not part
of the quick tests."""

from __future__ import annotations

import time

import numpy as np
import pytest
import timm  # its import is not part of building
import torch
import torchvision.models

from fer_study import models
from fer_study.jobs import stages
from fer_study.settings.experiment import AugmentConfig, ModelConfig
from fer_study.training.explain import grad_cam
from network_checks import UNMOVED, awake, comes_back, silent

assert timm and torchvision.models
pytestmark = pytest.mark.bench


def networks():
    configs = [job.config for job in stages.read_stage("fer2013", "gallery").jobs()]
    return {(c.model.name, c.model.input_size, c.channels): c for c in configs}.values()


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
        outputs = model.training_outputs(images.to(memory_format=torch.channels_last))
    logits, penalty = outputs["logits"], outputs.get("penalty", 0)
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
def test_emonext_in_full(name, tmp_path):
    """In colour at 224 px: a gradient in every parameter, Grad-CAM, and the same logits from a file."""
    config = ModelConfig(name=f"emonext_{name}", input_size=224, options={"drop_path_rate": 0.0})
    torch.manual_seed(0)
    model = awake(models.create_model(config, 7, 3))
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    images = pixels / 127.5 - 1
    assert silent(model, images) <= set(UNMOVED)
    maps = np.concatenate([grad_cam(model, pixels, np.full(2, label), AugmentConfig(), 224) for label in range(3)])
    assert maps.shape == (6, 224, 224) and maps.max() == pytest.approx(1, abs=1e-3) and maps.std(axis=(1, 2)).max() > 0.05
    comes_back(model, models.create_model(config, 7, 3), images, tmp_path / "weights.safetensors")
