"""Predictions of a network over a set of images, with test-time augmentation."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ..models.modes import eval_mode
from ..settings.experiment import AugmentConfig
from .augment import evaluation_views

TTA = ("single", "flip", "ten_crop")


def log_probabilities(
    model: nn.Module,
    images: torch.Tensor,
    augment: AugmentConfig,
    size: int,
    tta: str = "single",
    batch_size: int = 256,
    passes: int = 0,
) -> np.ndarray:
    """Log of the class probabilities, averaged over the test-time views of each image.

    Args:
        model: any network ``(B, C, size, size) -> (B, K)``, in the precision it was set up with.
        images: (N, C, H, W) uint8 on the model's device.
        tta: see ``augment.evaluation_views``.
        passes: how often with dropout on, averaged too (Gal and Ghahramani, 2016); 0: once without.

    Returns:
        (N, K) float32.
    """
    parts = []
    with eval_mode(model, dropout=passes > 0):
        for batch in images.split(batch_size):
            views = evaluation_views(batch, augment, size, tta)
            probabilities = torch.stack(
                [model(view).float().softmax(dim=1) for view in views for _ in range(passes or 1)]
            ).mean(dim=0)
            parts.append(probabilities.clamp_min(1e-7).log().cpu())
    return torch.cat(parts).numpy()
