"""What the tests of networks share: weights away from zero, and what a network does with them."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from fer_study.models import FaceModel
from fer_study.models.emonext import SpatialTransformer
from fer_study.models.modes import eval_mode

UNMOVED = {
    "attention.value.weight": "the published code computes the attended values and uses them nowhere",
    "attention.value.bias": "the same",
    "attention.key.bias": "adds the same number to every score of a row, which the softmax takes away",
    "stn.localization.0.bias": "the batch normalisation behind it takes it away",
    "stn.localization.4.bias": "the same",
}
"""Parameters of EmoNeXt that no loss moves but by rounding, and why; every other network has none."""


def awake(model: FaceModel, std: float = 0.5) -> FaceModel:
    """The same with random numbers where a tensor starts at zero or, as layer scale does, next to it: hardly any gradient
    passes behind those. A spatial transformer stays near the identity: an image moved out of sight has no gradient."""
    for module in model.modules():
        if isinstance(module, SpatialTransformer):
            nn.init.normal_(module.regressor[-1].weight, std=0.01)
    for p in model.parameters():
        if p.abs().max() < 1e-3:
            nn.init.normal_(p, std=std)
    return model


def silent(model: FaceModel, images: torch.Tensor) -> set[str]:
    """Names of the parameters that random errors of no output move: without a gradient, or with one
    that is rounding beside the largest, in double precision where the network has no part that computes in single."""
    single = any(isinstance(m, SpatialTransformer) for m in model.modules())
    model, images = (model, images) if single else (model.double(), images.double())
    outputs = model.train().training_outputs(images).values()
    names, parameters = zip(*model.named_parameters(), strict=True)
    left = set(names)
    for loss in [(output * torch.randn(output.shape)).sum() for output in outputs]:
        if loss.requires_grad:
            gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            largest = [0.0 if g is None else g.abs().max().item() for g in gradients]
            assert all(map(math.isfinite, largest))
            left -= {name for name, value in zip(names, largest, strict=True) if value > 1e-13 * max(largest)}
    return left


def comes_back(model: FaceModel, other: FaceModel, images: torch.Tensor, path: Path) -> None:
    """Another network of the same config gives other logits, and the same to the last bit once it has read the file of the
    first, whose running statistics a step in training has moved."""
    with torch.no_grad():
        model.train()(images)
    save_file(model.state_dict(), path)
    with eval_mode(model), eval_mode(other):
        expected = model(images)
        assert not torch.allclose(other(images), expected)
        other.load_state_dict(load_file(path))
        assert torch.equal(other(images), expected)
