"""Grad-CAM (Selvaraju et al., 2017) through the grad-cam library, averaged by class so that no single face is shown."""

from __future__ import annotations

import numpy as np
import torch

from .augment import evaluation_views
from .config import AugmentConfig
from .models import FaceModel
from .predict import log_probabilities

MIN_IMAGES = 30
"""A class mean over fewer images is not stored: it could show a single face."""


def grad_cam(
    model: FaceModel, images: torch.Tensor, classes: np.ndarray, augment: AugmentConfig, size: int, batch_size: int = 64
) -> np.ndarray:
    """Grad-CAM of each image for the given class (eq. 1-2).

    Args:
        images: (N, C, H, W) uint8 on the model's device.
        classes: (N,) int64, the class whose score is explained.

    Returns:
        (N, size, size) float32 in [0, 1], each map stretched so that its minimum is 0 and its maximum 1 (by the library).
    """
    from pytorch_grad_cam import GradCAM  # seconds to import, so not on every start
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    modes = {module: module.training for module in model.modules()}
    needs = {p: p.requires_grad for p in model.parameters()}
    maps = []
    try:
        model.eval().requires_grad_(True)
        with GradCAM(model=model, target_layers=[model.cam_layer], reshape_transform=model.cam_map) as cam:
            for start in range(0, len(classes), batch_size):
                batch, targets = images[start : start + batch_size], classes[start : start + batch_size]
                (view,) = evaluation_views(batch, augment, size, "single")
                maps.append(cam(view, [ClassifierOutputTarget(int(c)) for c in targets]))
    finally:
        model.zero_grad(set_to_none=True)
        for p, value in needs.items():
            p.requires_grad_(value)
        for module, mode in modes.items():
            module.training = mode
    return np.concatenate(maps).astype(np.float32) if maps else np.empty((0, size, size), np.float32)


def class_saliency(
    model: FaceModel, images: torch.Tensor, labels: np.ndarray, augment: AugmentConfig, size: int, num_classes: int,
    per_class: int = 120,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Mean Grad-CAM map of each class over images that the model gets right (the first ``per_class`` of each).

    Returns:
        ``maps`` (K, size, size) float16, NaN where fewer than ``MIN_IMAGES`` images are right, and ``counts`` (K,) int64.
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
    return {"maps": maps.astype(np.float16), "counts": counts}
