"""What a network costs: parameters, operations, activations, and its speed on this CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..settings.experiment import ModelConfig
from .modes import eval_mode
from .registry import FaceModel, create_model

SLOW = 2.0
"""A training step of so many seconds is timed twice only."""

WAYS = ("float32", "channels-last", "bfloat16", "compiled")
"""Ways to run a training step; each keeps what the one before brought."""


def parameters(config: ModelConfig, num_classes: int = 7, in_channels: int = 1) -> int:
    """Parameters of a network, counted without weights in memory."""
    with torch.device("meta"):
        return sum(p.numel() for p in create_model(config, num_classes, in_channels).parameters())


def size(config: ModelConfig, num_classes: int = 7, in_channels: int = 1) -> dict[str, float]:
    """Parameters, operations and activations of a network, counted without weights in memory.

    Returns:
        ``parameters``; ``mflops``: million floating-point operations of one image (a multiplication
        and an addition count as two); ``activation_mb``: see there.
    """
    with torch.device("meta"):
        model = create_model(config, num_classes, in_channels)
        # batch normalisation needs two
        images = torch.zeros(2, in_channels, config.input_size, config.input_size)
        with eval_mode(model), FlopCounterMode(display=False) as counter:
            model(images[:1])
        return {
            "parameters": sum(p.numel() for p in model.parameters()),
            "mflops": counter.get_total_flops() / 1e6,
            "activation_mb": activation_mb(model, images),
        }


def activation_mb(model: FaceModel, images: torch.Tensor) -> float:
    """Measure the intermediate results that a training step in float32 keeps until gradients.

    In megabytes (10^6 bytes) an image.

    Every tensor that autograd saves counts once, the weights and the images do not.
    """
    saved: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.train().training_outputs(images)
    for known in (*model.parameters(), *model.buffers(), images):
        saved.pop(known.untyped_storage()._cdata, None)
    return sum(storage.nbytes() for storage in saved.values()) / len(images) / 1e6


def cost(config: ModelConfig, num_classes: int = 7, in_channels: int = 1) -> dict[str, float]:
    """Size and speed of a network with fresh weights: what ``size`` and ``forward_speeds`` give."""
    return size(config, num_classes, in_channels) | forward_speeds(config, num_classes, in_channels)


def forward_speeds(
    config: ModelConfig, num_classes: int = 7, in_channels: int = 1, repeats: int = 15
) -> dict[str, float]:
    """Time the forward pass in float32 on the CPU.

    Returns:
        ``latency_ms``: median time of a batch of one; ``images_per_second`` of a batch of 64.
    """
    model = create_model(config, num_classes, in_channels)
    one = torch.zeros(1, in_channels, config.input_size, config.input_size)
    with eval_mode(model):
        latency = alternating({"one": lambda: model(one)}, repeats)["one"]
        batch = alternating(
            {"64": lambda: model(one.expand(64, -1, -1, -1))}, 3 if latency < 0.05 else 1
        )["64"]
    return {"latency_ms": 1e3 * latency, "images_per_second": 64 / batch}


def step_speeds(
    config: ModelConfig,
    num_classes: int = 7,
    in_channels: int = 1,
    batch_size: int = 16,
    repeats: int = 5,
) -> dict[str, float]:
    """Time a training step (forth, back, SGD) on the CPU, in images a second, in each of ``WAYS``.

    NaN: does not compile, or cannot be trained channels-last (``only_contiguous``).
    """
    steps = {
        way: _step(config, num_classes, in_channels, batch_size, level)
        for level, way in enumerate(WAYS)
    }
    if only_contiguous(config, num_classes, in_channels):
        del steps["channels-last"]
    try:
        steps["compiled"]()
    except torch._dynamo.exc.TorchDynamoException:
        del steps["compiled"]
    start = time.perf_counter()
    steps["float32"]()
    seconds = alternating(steps, repeats if time.perf_counter() - start < SLOW else 2)
    return {way: batch_size / seconds[way] if way in seconds else float("nan") for way in WAYS}


def step_ratios(
    config: ModelConfig,
    without: ModelConfig,
    num_classes: int = 7,
    in_channels: int = 1,
    batch_size: int = 16,
    repeats: int = 15,
) -> list[float]:
    """Measure how many times as long a training step takes as without a part.

    In float32 and channels-last (contiguous where one is ``only_contiguous``): one ratio for each
    pair of steps, one after the other, in one run.
    """
    both = {"with": config, "without": without}
    level = int(not any(only_contiguous(c, num_classes, in_channels) for c in both.values()))
    steps = {
        part: _step(c, num_classes, in_channels, batch_size, level) for part, c in both.items()
    }
    seconds = turns(steps, repeats)
    return [a / b for a, b in zip(seconds["with"], seconds["without"], strict=True)]


def only_contiguous(config: ModelConfig, num_classes: int = 7, in_channels: int = 1) -> bool:
    """Tell whether a channels-last training step in float32 may end the process on the CPU.

    A 1x1 convolution with stride and few channels does it; see ``device.memory_format``.
    """
    with torch.device("meta"):
        parts = create_model(config, num_classes, in_channels).modules()
    return any(
        max(part.kernel_size) == 1 < max(part.stride) and part.in_channels < 16
        for part in parts
        if isinstance(part, nn.Conv2d)
    )


def alternating(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median of ``turns``."""
    return {name: statistics.median(times) for name, times in turns(calls, repeats).items()}


def turns(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Time calls that take turns, in seconds, so that other work on the machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:  # the first fills caches
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _step(
    config: ModelConfig, num_classes: int, in_channels: int, batch_size: int, level: int
) -> Callable[[], None]:
    """A training step on random images; ``level`` is the place in ``WAYS``."""
    torch.manual_seed(0)
    model = create_model(config, num_classes, in_channels).train()
    images = torch.randn(batch_size, in_channels, config.input_size, config.input_size)
    target = torch.arange(batch_size) % num_classes
    if level >= 1:
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), 1e-3)
    forward: Callable | nn.Module = model.training_outputs
    if level >= 3:
        torch._dynamo.reset()
        forward = torch.compile(forward)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16) if level >= 2 else nullcontext():
            outputs = forward(images)
        optimiser.zero_grad(set_to_none=True)
        loss = F.cross_entropy(outputs.pop("logits").float(), target)
        sum(
            (output.float().mean() for output in outputs.values()), loss
        ).backward()  # through every part that learns
        optimiser.step()

    return step
