"""Say where the study lies and which code is running: the checkout, its commit, the libraries."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else None
"""The folder that git cloned, None where the package was installed from a wheel."""
STUDY = CHECKOUT or PACKAGE / "study"
"""Where ``params/``, ``notebooks/`` and ``results/`` are read; the wheel holds copies (see
``setup.py``)."""
ROOT = CHECKOUT or Path(os.environ.setdefault("FER_STUDY_HOME", os.getcwd()))
"""Where ``runs/``, ``data/``, ``weights/``, ``labs/`` and ``book/`` are written or looked for: the
checkout, else the folder of the call. The variable tells it to notebooks and workers, which work in
folders of their own."""
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


@functools.cache
def commit() -> str:
    """Short commit of the code, ``+`` where the module was changed; ``unknown``: no checkout.

    A process asks once, for the code that it runs is what it loaded: a commit that is made while it
    trains is not its own.
    """
    head = _git("rev-parse", "--short=10", "HEAD")
    if head is None:
        return "unknown"
    return head + ("+" if _git("status", "--porcelain", "--", "fer_study") else "")


def short_hash(text: str) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a source, whatever its line ends."""
    return hashlib.sha256("\n".join(text.splitlines()).encode()).hexdigest()[:16]


def code_hash(source: str) -> str:
    """Hash what Python code does: layout, comments and docstrings do not count."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body[:1] = []
    return short_hash(ast.unparse(tree))


def sha256(path: Path) -> str:
    """Hash a file: its SHA-256, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def other_code(env: dict) -> str:
    """Say that the network of a record was built by other code than is here now.

    Nothing where it is the same, or not known. ``network_source`` of its environment is the file of
    the package and the ``code_hash`` of it.
    """
    file, _, mark = env.get("network_source", "").rpartition(" ")
    path = PACKAGE.parent / file
    if not file or (path.is_file() and code_hash(path.read_text(encoding="utf-8")) == mark):
        return ""
    return f", the file of its network changed since ({env['parameters']:,} parameters)"


def _git(*arguments: str) -> str | None:
    """What git says about the checkout, None where there is none, git fails or is not installed."""
    if CHECKOUT is None:  # the folder of a wheel may lie in a repository of its user
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(CHECKOUT), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
