"""Networks with seeded weights, their files, and the check that a refusal is one line."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

from fer_study.models import create_model
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import ModelConfig
from fer_study.training import weights

NARROW = {"width": 0.125, "hidden": 8}
EMOTION = {"name": "emotion_cnn", "input_size": 16}


def network(config: ModelConfig, channels: int = 1, classes: int = 7, seed: int = 0):
    torch.manual_seed(seed)
    return create_model(config, classes, channels).eval()


def timm_file(folder, name: str, seed: int = 3, **options: object) -> torch.nn.Module:
    """timm's network of a name with seeded weights, and its file where the study looks for it; all tensors differ from
    those of a fresh network."""
    torch.manual_seed(seed)
    net = timm.create_model(name, **options).eval()
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.add_(0.05 * torch.rand_like(value))
    folder.mkdir(exist_ok=True)
    save_file(net.state_dict(), folder / f"{name}.safetensors")
    return net


def from_file(path, **changes: object) -> ModelConfig:
    return weights.pin(ModelConfig(**{**EMOTION, "options": NARROW, "weights": str(path), **changes}))


def load_into(config: ModelConfig, classes: int = 7):
    model = network(config, classes=classes)
    return model, weights.load(model, config, classes)


def one_line(words: str, call, *given: object, kind: type = InputError) -> None:
    with pytest.raises(kind, match=words) as caught:
        call(*given)
    assert "\n" not in str(caught.value)
