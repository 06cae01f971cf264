"""Which code is running: the commit of the checkout and the versions of the libraries."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ("torch", "timm", "lightning-fabric", "scikit-learn", "numpy", "pandas", "papermill")


def versions() -> str:
    """Python and the libraries that results depend on, in one line."""
    there = [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES if _installed(name)]
    return ", ".join([f"Python {platform.python_version()}", *there])


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def commit() -> str:
    """Short commit of the code, with ``+`` where the module was changed since; ``unknown`` outside a checkout."""
    head = _git("rev-parse", "--short=10", "HEAD")
    if head is None:
        return "unknown"
    return head + ("+" if _git("status", "--porcelain", "--", "fer_study") else "")


def _git(*arguments: str) -> str | None:
    """What git says about the checkout, None where it fails or is not installed."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
