"""The device and the precision that networks run in (Lightning Fabric), and what is recorded of
them."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import torch

from ..settings.environment import environment

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def precision() -> str:
    """``bf16-mixed`` where the hardware computes in bfloat16, else ``32-true``.

    Decided by capability, so that a rerun on the same machine takes the same path.
    """
    if torch.cuda.is_available():
        return (
            "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
        )
    native = [
        getattr(torch.cpu, f"_is_{name}_supported", lambda: False)()
        for name in ("avx512_bf16", "amx_tile")
    ]
    return "bf16-mixed" if any(native) else "32-true"


def memory_format(fabric: Fabric) -> torch.memory_format:
    """How weights lie in memory, and with them the activations of a network that trains.

    Channels-last is faster everywhere, but in float32 oneDNN's gradient of the weights of a strided
    1x1 convolution with few channels writes past its memory on the CPU: a crash, or a wrong
    gradient (https://github.com/uxlfoundation/oneDNN/issues/6035). There it is left for bfloat16.
    """
    fast = fabric.device.type == "cuda" or fabric._precision.precision.startswith("bf16")
    return torch.channels_last if fast else torch.contiguous_format


def make_fabric() -> Fabric:
    """Fabric on the best device at hand, one a process; ``$FER_STUDY_PRECISION`` overrides
    ``precision()``."""
    from lightning_fabric import Fabric  # seconds to import, so not on every start

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its import sets it to INFO
    fabric = Fabric(
        accelerator="auto",
        devices=1,
        precision=os.environ.get("FER_STUDY_PRECISION") or precision(),
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
