"""Grad-CAM (Selvaraju et al., 2017) through the grad-cam library, averaged by class so that no
single face is shown."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from ..data.faceset import FaceSet
from ..models import FaceModel
from ..settings.experiment import AugmentConfig, RunConfig
from .augment import evaluation_views
from .predict import log_probabilities

log = logging.getLogger(__name__)

MIN_IMAGES = 30
"""A class mean over fewer images is not stored: it could show a single face."""


class NoMap(ValueError):
    """What a layer computes is no map of the image, or its map shows nothing."""


def as_map(model: FaceModel, activations: torch.Tensor) -> torch.Tensor:
    """``activations`` of ``cam_layer``, or their gradients, laid out: (B, D, h, w).

    Raises:
        NoMap: they are no map of a square image of more than one cell.
    """
    made = model.cam_map(activations)
    if made.ndim != 4 or made.shape[2] != made.shape[3] or made.shape[3] == 1:
        sizes = " x ".join(map(str, made.shape[1:]))
        raise NoMap(
            f"{type(model.cam_layer).__name__} computes {sizes} for an image, which is no map of it"
        )
    return made


@contextlib.contextmanager
def explained(model: FaceModel) -> Iterator[None]:
    """Evaluation mode, with gradients of what ``cam_layer`` computes and of nothing else; what is
    touched comes back afterwards.

    No weight has a gradient: it is not needed, and on the CPU it may end the process (see
    ``device.memory_format``).
    """

    def begin_here(layer: nn.Module, given: object, made: torch.Tensor) -> torch.Tensor:
        if not isinstance(made, torch.Tensor):
            raise NoMap(
                f"{type(layer).__name__} computes {type(made).__name__}, which is no map of the "
                "image"
            )
        return made.detach().requires_grad_().clone()  # a copy, for what follows may work in place

    modes = {module: module.training for module in model.modules()}
    needs = {p: p.requires_grad for p in model.parameters()}
    handle = model.cam_layer.register_forward_hook(begin_here)
    try:
        model.eval().requires_grad_(False)
        yield
    finally:
        handle.remove()
        for p, value in needs.items():
            p.requires_grad_(value)
        for module, mode in modes.items():
            module.training = mode


def grad_cam(
    model: FaceModel,
    images: torch.Tensor,
    classes: np.ndarray,
    augment: AugmentConfig,
    size: int,
    batch_size: int = 64,
) -> np.ndarray:
    """Grad-CAM of each image for the given class (eq. 1-2).

    Args:
        images: (N, C, H, W) uint8 on the model's device.
        classes: (N,) int64, the class whose score is explained.

    Returns:
        (N, size, size) float32 in [0, 1], each map stretched so that its minimum is 0 and its
        maximum 1 (by the library).

    Raises:
        NoMap: see ``as_map``.
    """
    from pytorch_grad_cam import GradCAM  # seconds to import, so not on every start
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def lay_out(activations: torch.Tensor) -> torch.Tensor:
        return as_map(model, activations)

    maps = []
    with (
        explained(model),
        GradCAM(model=model, target_layers=[model.cam_layer], reshape_transform=lay_out) as cam,
    ):
        for start in range(0, len(classes), batch_size):
            batch, targets = images[start : start + batch_size], classes[start : start + batch_size]
            (view,) = evaluation_views(batch, augment, size, "single")
            maps.append(cam(view, [ClassifierOutputTarget(int(c)) for c in targets]))
            if len(maps[-1]) != len(view):
                raise NoMap(
                    f"{type(model.cam_layer).__name__} computes {len(maps[-1])} maps of "
                    f"{len(view)} images"
                )
    return (
        np.concatenate(maps).astype(np.float32) if maps else np.empty((0, size, size), np.float32)
    )


def class_saliency(
    model: FaceModel,
    images: torch.Tensor,
    labels: np.ndarray,
    augment: AugmentConfig,
    size: int,
    num_classes: int,
    per_class: int = 120,
) -> dict[str, np.ndarray]:
    """Mean Grad-CAM map of each class over images that the model gets right (the first
    ``per_class`` of each).

    Returns:
        ``maps`` (K, size, size) float16, NaN where fewer than ``MIN_IMAGES`` images are right, and
        ``counts`` (K,) int64.

    Raises:
        NoMap: see ``as_map``; or the map of every class is empty.
    """
    right = log_probabilities(model, images, augment, size).argmax(axis=1) == labels
    maps = np.full((num_classes, size, size), np.nan, np.float32)
    counts = np.zeros(num_classes, np.int64)
    for label in range(num_classes):
        rows = np.flatnonzero(right & (labels == label))[:per_class]
        counts[label] = len(rows)
        if len(rows) >= MIN_IMAGES:
            maps[label] = grad_cam(
                model, images[torch.from_numpy(rows).to(images.device)], labels[rows], augment, size
            ).mean(axis=0)
    if (counts >= MIN_IMAGES).any() and not np.nan_to_num(maps).any():
        raise NoMap(f"every map at {type(model.cam_layer).__name__} is empty")
    return {"maps": maps.astype(np.float16), "counts": counts}


def has_maps(config: RunConfig, model: FaceModel, images: torch.Tensor) -> bool:
    """Whether Grad-CAM passes a network, tried on one of ``images`` (N, C, H, W) uint8 on the
    model's device; the log says why not."""
    with said(config):
        grad_cam(model, images[:1], np.zeros(1, np.int64), config.augment, config.model.input_size)
        return True
    return False


def saliency_of(
    config: RunConfig, model: FaceModel, faces: FaceSet, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """``class_saliency`` of the network of a run over some rows of a set."""
    images = torch.from_numpy(faces.images[rows]).to(next(model.parameters()).device)
    return class_saliency(
        model,
        images,
        faces.labels[rows],
        config.augment,
        config.model.input_size,
        faces.num_classes,
    )


@contextlib.contextmanager
def said(config: RunConfig) -> Iterator[None]:
    """Failures of Grad-CAM, of whatever kind, become a line in the log: it never ends a
    training."""
    try:
        yield
    except Exception as failure:
        why = f"{type(failure).__name__}: {' '.join(str(failure).split())}"
        log.warning(
            "%s: no saliency maps of %s (%s)", config.name or config.key, config.model.name, why
        )
