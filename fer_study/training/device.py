"""The device and the precision that networks run in (Lightning Fabric), and what is recorded of
them."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..models import create_model
from ..settings.environment import environment
from ..settings.experiment import ModelConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def precision() -> str:
    """``bf16-mixed`` where the hardware computes in bfloat16, else ``32-true``."""
    if torch.cuda.is_available():
        return (
            "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
        )
    native = [
        getattr(torch.cpu, f"_is_{name}_supported", lambda: False)()
        for name in ("avx512_bf16", "amx_tile")
    ]
    return "bf16-mixed" if any(native) else "32-true"


def fastest_precision(config: ModelConfig, num_classes: int, in_channels: int) -> str:
    """Choose how a network trains: as ``precision()``, but on a CPU in float32 where batch
    normalisation follows depthwise convolutions.

    There bfloat16 is slow in oneDNN. Measured for steps of 64 images on one core with
    ``avx512_bf16``, channels-last, float32 is faster by 1.6 (EfficientNet-B3), 1.8
    (EfficientNet-Lite0) and 2.0 times (MobileNetV3-small), but only by 1.03 in an EmoNeXt, whose
    depthwise convolutions feed layer normalisation; elsewhere bfloat16 is faster. A rule, and no
    stop-watch in the run, so that the same run repeats to the last bit.
    """
    chosen = precision()
    if torch.cuda.is_available() or chosen == "32-true":
        return chosen
    with torch.device("meta"):
        parts = list(create_model(config, num_classes, in_channels).modules())
    depthwise = sum(isinstance(x, nn.Conv2d) and 1 < x.groups == x.in_channels for x in parts)
    normalised = sum(isinstance(x, nn.BatchNorm2d) for x in parts)
    return "32-true" if 0 < depthwise <= normalised else chosen


def memory_format(fabric: Fabric, model: torch.nn.Module) -> torch.memory_format:
    """How weights lie in memory, and with them the activations of a network that trains.

    Channels-last is faster everywhere, but in float32 oneDNN's gradient of the weights of a strided
    1x1 convolution with few channels writes past its memory on the CPU: a crash, or a wrong
    gradient (https://github.com/uxlfoundation/oneDNN/issues/6035). There networks that have one lie
    contiguous, however many channels it has.
    """
    fast = fabric.device.type == "cuda" or fabric._precision.precision.startswith("bf16")
    strided = any(
        max(part.kernel_size) == 1 < max(part.stride)
        for part in model.modules()
        if isinstance(part, nn.Conv2d)
    )
    return torch.channels_last if fast or not strided else torch.contiguous_format


def make_fabric(chosen: str = "") -> Fabric:
    """Fabric on the best device at hand, one a process, in the precision that is chosen, else
    ``precision()``; ``$FER_STUDY_PRECISION`` overrides both."""
    from lightning_fabric import Fabric  # seconds to import, so not on every start

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its import sets it to INFO
    fabric = Fabric(
        accelerator="auto",
        devices=1,
        precision=os.environ.get("FER_STUDY_PRECISION") or chosen or precision(),
    )
    fabric.launch()
    return fabric


def device_environment(fabric: Fabric, start: float) -> dict[str, object]:
    """``environment`` with the accelerator, its precision and the version of torch."""
    name = f"cuda: {torch.cuda.get_device_name()}" if fabric.device.type == "cuda" else None
    return environment(start, name) | {
        "threads": torch.get_num_threads(),
        "precision": fabric._precision.precision,
        "torch": torch.__version__,
    }
