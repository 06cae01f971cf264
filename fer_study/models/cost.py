"""What a network costs: parameters, floating-point operations, time on this CPU."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ..config import ModelConfig
from ..modes import evaluating
from .registry import create_model


def size(config: ModelConfig, num_classes: int = 7, in_channels: int = 1) -> dict[str, float]:
    """Parameters and operations of a network, counted without weights in memory.

    Returns:
        ``parameters``; ``mflops``: million floating-point operations of one image (a multiplication and an addition count as
        two).
    """
    with torch.device("meta"):
        model = create_model(config, num_classes, in_channels)
        with evaluating(model), FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, in_channels, config.input_size, config.input_size))
    return {"parameters": sum(p.numel() for p in model.parameters()), "mflops": counter.get_total_flops() / 1e6}


def cost(config: ModelConfig, num_classes: int = 7, in_channels: int = 1, repeats: int = 20) -> dict[str, float]:
    """Size and speed of a network with fresh weights, in float32.

    Returns:
        ``parameters`` and ``mflops`` as ``size``; ``latency_ms``: median time of a batch of one, and ``images_per_second``
        of a batch of 64, in float32 on the CPU.
    """
    model = create_model(config, num_classes, in_channels)
    shape = (in_channels, config.input_size, config.input_size)
    return {
        **size(config, num_classes, in_channels),
        "latency_ms": 1e3 * _seconds(model, torch.zeros(1, *shape), repeats),
        "images_per_second": 64 / _seconds(model, torch.zeros(64, *shape), max(repeats // 5, 3)),
    }


def _seconds(model: torch.nn.Module, images: torch.Tensor, repeats: int) -> float:
    times = []
    with evaluating(model):
        for _ in range(repeats + 2):
            start = time.perf_counter()
            model(images)
            times.append(time.perf_counter() - start)
    return float(np.median(times[2:]))
