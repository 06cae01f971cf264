"""A trained network as ONNX, held against the same network in PyTorch."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ..data import twin
from ..models.modes import eval_mode
from ..settings.errors import InputError
from ..settings.experiment import DataConfig
from ..training.augment import evaluation_views
from ..training.sources import faces_of
from .model_folder import TrainedModel

ONNX = "model.onnx"
NEEDED = ("onnx", "onnxscript", "onnxruntime")
"""The extra ``onnx`` of the package."""
TOLERANCE = 1e-4
"""By which a logit may differ, at most."""


def check_installed() -> None:
    """Refuse to begin without the packages.

    Raises:
        InputError: which are missing, and the command that installs them.
    """
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise InputError(f"--onnx needs more packages: python -m pip install {' '.join(NEEDED)}")


def export(model: TrainedModel, folder: Path, root: str | None = None) -> str:
    """Write ``model.onnx``: ``images`` (B, C, S, S) float32, normalised, to ``logits`` (B, K).

    Args:
        root: data root, for the test images of the dataset.

    Returns:
        In words: what was compared, by how much it differs, size and latency.

    Raises:
        InputError: a logit differs by more than ``TOLERANCE``.
    """
    import onnxruntime

    path, side = folder / ONNX, model.settings.network.input_size
    example = torch.zeros(2, model.settings.channels, side, side)
    for noisy in ("onnxscript", "onnx_ir", "torch.onnx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.network,
            (example,),
            path,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    faces, which = pictures(model, root)
    apart = 0.0
    with eval_mode(model.network):
        for part in torch.from_numpy(faces).split(64):
            (view,) = evaluation_views(part, model.augment, side, "single")
            (theirs,) = session.run(None, {"images": view.numpy()})
            apart = max(apart, float(np.abs(theirs - model.network(view).numpy()).max()))
        if not apart <= TOLERANCE:
            raise InputError(f"{path}: logits differ by {apart:.1e} from PyTorch's on {which}")
        one = view[:1]
        runtime = milliseconds(lambda: session.run(None, {"images": one.numpy()}))
        ours = milliseconds(lambda: model.network(one))
    return (
        f"{path}: {path.stat().st_size / 1e6:.2f} MB; logits differ by {apart:.1e} at most on "
        f"{len(faces)} {which}; one image takes {runtime:.1f} ms, in PyTorch {ours:.1f} ms "
        f"(median of 50, {torch.get_num_threads()} threads)"
    )


def pictures(model: TrainedModel, root: str | None) -> tuple[np.ndarray, str]:
    """Give the test images of the dataset where it is at hand, else drawn faces; and which."""
    settings = model.settings
    with contextlib.suppress(InputError, OSError):
        if settings.dataset != "synthetic":
            config = DataConfig(
                dataset=settings.dataset,
                fingerprint=settings.fingerprint,
                classes=len(settings.classes),
            )
            return faces_of(config, root).subset("test").images, "test images"
    faces = twin.make(100, seed=0, style="wild").images
    return np.repeat(faces, settings.channels, axis=1), "drawn faces, for lack of the test images"


def milliseconds(call: Callable[[], object], times: int = 50) -> float:
    """Measure the median time of a call."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return 1000 * float(np.median(taken))
