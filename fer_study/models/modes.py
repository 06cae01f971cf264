"""Modes of a network; what is touched is restored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


def dropouts(model: nn.Module) -> list[nn.Dropout]:
    """List the layers (``nn.Dropout``) that drop something; what a network drops without a layer,
    such as whole blocks or by ``F.dropout``, is not among them."""
    return [part for part in model.modules() if isinstance(part, nn.Dropout) and part.p > 0]


@contextlib.contextmanager
def eval_mode(model: nn.Module, dropout: bool = False) -> Iterator[nn.Module]:
    """Evaluation mode without gradients; the modes of all parts come back afterwards.

    Args:
        dropout: whether its layers of dropout go on, as in training.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    for part in dropouts(model):
        part.train(dropout)
    try:
        with torch.inference_mode():
            yield model
    finally:
        for module, mode in modes.items():
            module.training = mode
