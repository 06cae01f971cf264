"""The contract, over every registered name: the large ones on the meta device here, in full in ``test_large``."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from fer_study import models
from fer_study.config import AugmentConfig, ModelConfig
from fer_study.explain import grad_cam
from fer_study.modes import evaluating

LARGE = {f"emonext_{size}" for size in ("tiny", "small", "base", "large", "xlarge")}
NAMES = sorted(set(models.names()) - {"timm"}) + ["timm:test_convnext", "timm:test_vit"]
SMALL = [name for name in NAMES if name not in LARGE]


def make(name: str, size: int = 64, seed: int = 0) -> models.FaceModel:
    torch.manual_seed(seed)
    return models.create_model(ModelConfig(name=name, input_size=size), 7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [64, 224])
def test_logits_at_every_size(name, size):
    with torch.device("meta"):
        model = make(name, size)
        with evaluating(model):
            assert model(torch.zeros(2, 1, size, size)).shape == (2, 7)
        logits, penalty = model.train().forward_with_penalty(torch.zeros(2, 1, size, size))
    assert logits.shape == (2, 7) and penalty.shape == ()


@pytest.mark.parametrize("name", NAMES)
def test_stages_hold_everything_from_head_to_stem(name):
    with torch.device("meta"):
        model = make(name)
    held = [id(p) for stage in model.stages() for p in stage.parameters()]
    assert len(held) == len(set(held)) and set(held) == {id(p) for p in model.parameters()}
    assert any(p.shape[0] == 7 for p in model.stages()[0].parameters()), "the head comes first"
    last = [p for stage in model.stages()[-2:] for p in stage.parameters()]
    assert any(p.dim() == 4 and p.shape[1] in (1, 3, 5) for p in last), "the stem, which sees the image, comes last"


@pytest.mark.parametrize("name", SMALL)
def test_the_same_logits_after_save_and_load(name, tmp_path):
    model, other, images = make(name), make(name, seed=1), torch.randn(2, 1, 64, 64)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    with evaluating(model), evaluating(other):
        if any(p.std() > 0 for p in model.stages()[0].parameters() if p.dim() > 1):
            assert not torch.equal(model(images), other(images))
        other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        assert torch.equal(model(images), other(images))


@pytest.mark.parametrize("name", SMALL)
def test_saliency_is_a_map(name):
    """Grad-CAM at the layer that the network names: several places, some of them above zero."""
    model = make(name)
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.ones_(norm.weight)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 1, 64, 64), dtype=np.uint8))
    maps = np.concatenate([grad_cam(model, images, np.full(4, label), AugmentConfig(), 64) for label in (0, 3, 6)])
    assert maps.shape == (12, 64, 64) and np.isfinite(maps).all() and maps.min() >= 0 and maps.max() <= 1
    assert maps.std(axis=(1, 2)).max() > 0.05, "no map has more than one value"
