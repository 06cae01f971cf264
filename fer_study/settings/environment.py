"""Say where, how long and with how much memory something was computed."""

from __future__ import annotations

import platform
import time
from pathlib import Path

from .checkout import commit


def processor() -> str:
    """What the processor calls itself, as far as the system tells."""
    said = Path("/proc/cpuinfo")
    lines = said.read_text(encoding="utf-8").splitlines() if said.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def environment(start: float, device: str | None = None) -> dict[str, object]:
    """Say where and how long something was computed; none of it is part of a key.

    Args:
        start: ``time.perf_counter()`` when it began.
        device: what computed; None: the processor.
    """
    return {
        "device": device or f"cpu: {processor()}",
        "python": platform.python_version(),
        "seconds": round(time.perf_counter() - start, 1),
        "peak_memory_gb": peak_memory_gb(),
        "commit": commit(),
    }


def peak_memory_gb() -> float | None:
    """The most memory that this process ever had, in GiB; None where it is unknown (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if platform.system() == "Darwin" else 1024  # of ru_maxrss: bytes there, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30, 2)
