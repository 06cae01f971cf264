"""What is touched is restored: the training mode of a network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


def forgetful_eval(model: nn.Module) -> nn.Module:
    """The same in evaluation mode, without what some networks of timm (LeViT) keep there of weights
    that may have changed since: entering training mode makes them forget it."""
    return model.train().eval()


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode without gradients; the modes of all parts come back afterwards."""
    modes = {module: module.training for module in model.modules()}
    forgetful_eval(model)
    try:
        with torch.inference_mode():
            yield model
    finally:
        for module, mode in modes.items():
            module.training = mode
