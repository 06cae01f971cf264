"""What ``ModelConfig.weights`` may say, and its part of the key: a path is a place, its content is the experiment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer

from .checkout import ROOT, sha256

PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".tar")
RUN = re.compile(r"run:(?P<key>[0-9a-f]{16})(:(?P<kind>last|best|ema))?")
FILE = re.compile(r"file:(?P<digest>[0-9a-f]{16})(:(?P<place>.+\.safetensors))?", re.DOTALL)
ALLOWED = "scratch, imagenet, run:<key of 16 hexadecimal digits>, run:<key>:best or :ema, the path of a .safetensors file"


def folder() -> Path:
    """Where local files of weights lie: ``$FER_STUDY_WEIGHTS``, else ``weights/`` of the checkout."""
    return Path(os.environ.get("FER_STUDY_WEIGHTS") or ROOT / "weights")


def checked(weights: str) -> str:
    """The same, with a path replaced by ``file:<first 16 digits of the file's SHA-256>:<path>``.

    Raises:
        ValueError: none of ``ALLOWED``, a pickle, or no such file.
    """
    if weights in ("scratch", "imagenet") or FILE.fullmatch(weights):
        return weights
    if RUN.fullmatch(weights):
        return weights.removesuffix(":last")
    path = Path(weights)
    if path.suffix.lower() in PICKLES:
        raise ValueError("a pickle can run code when it is opened; save its state dict with safetensors and name that file")
    if path.suffix != ".safetensors":
        raise ValueError(f"allowed: {ALLOWED}")
    path = next((place for place in (path, ROOT / path) if place.is_file()), None)
    if path is None:
        raise ValueError("there is no such file")
    return f"file:{sha256(path)[:16]}:{path}"


def without_place(weights: str) -> str:
    """``file:<digest>`` of a file, wherever it lies; all else as it is. This is what keys and records hold."""
    found = FILE.fullmatch(weights)
    return f"file:{found['digest']}" if found else weights


WeightOrigin = Annotated[str, AfterValidator(checked), PlainSerializer(without_place, when_used="json")]
"""The type of the field: checked when a config is made, written without the place."""
