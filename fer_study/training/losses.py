"""Losses against distributions: hard labels, smoothing, mixup, votes and label distributions are
one path."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ..data.labels import FER2013
from ..settings.errors import InputError

HEAVY = {"disgust": 15.0, "fear": 8.0}
"""Class weights that Pauyac and Debnath propose as a cure (section V): disgust x15, fear x8, the
others 1."""


def class_weights(
    scheme: str, counts: torch.Tensor, classes: Sequence[str] = FER2013
) -> torch.Tensor | None:
    """Weight of each class.

    Args:
        scheme: ``none``, ``inverse`` (N / (K n_c): Pauyac and Debnath, "Class weighting";
            also scikit-learn's "balanced") or ``heavy``.
        counts: (K,) images by class in the training split.
        classes: their names.

    Returns:
        (K,) float32, or None for ``none``. A class without images has weight 0 under ``inverse``.

    Raises:
        ValueError: unknown scheme.
        InputError: ``heavy``, and no class that it weighs.
    """
    if scheme == "none":
        return None
    if scheme == "inverse":
        counts = counts.float()
        return torch.where(
            counts > 0, counts.sum() / (len(counts) * counts.clamp(min=1)), torch.zeros_like(counts)
        )
    if scheme == "heavy":
        if len(classes) != len(counts):
            raise ValueError(
                f"{len(classes)} class names for {len(counts)} counts, allowed: one a count"
            )
        if HEAVY.keys().isdisjoint(classes):
            raise InputError(
                f"class weights are 'heavy', for {' and '.join(HEAVY)}; the classes are "
                f"{', '.join(classes)}"
            )
        return torch.tensor([HEAVY.get(c, 1.0) for c in classes], device=counts.device)
    raise ValueError(f"class weights are {scheme!r}, allowed: none, inverse, heavy")


def smooth(target: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Label smoothing (Szegedy et al., 2016, eq. 10): ``(1 - s) target + s / K`` for ``target: (B,
    K) float32``."""
    return target if smoothing == 0 else target * (1 - smoothing) + smoothing / target.shape[1]


def soft_cross_entropy(
    logits: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor | None = None,
    reduction: str = "count",
) -> torch.Tensor:
    """Cross-entropy ``-sum_k w_k t_k log p_k`` of a batch.

    Args:
        logits: (B, K) float, computed in float32.
        target: (B, K) float32, rows sum to 1.
        weights: (K,) float32 or None.
        reduction: ``count`` divides by B, as Keras' ``class_weight`` does and PyTorch for
            distribution targets; ``weights`` divides by ``sum_b sum_k w_k t_bk``, as PyTorch does
            for index targets.

    Returns:
        scalar float32.
    """
    weighted = target if weights is None else target * weights
    total = F.cross_entropy(logits.float(), weighted, reduction="sum")
    return total / (len(logits) if reduction == "count" else weighted.sum())


def label_distribution_loss(
    logits: torch.Tensor, teacher: torch.Tensor, leading: str = "teacher"
) -> torch.Tensor:
    """Compute the label distribution loss of ResFace (Qu and Niu, 2023, section 3.5):
    ``-1/(B K) sum_b sum_k dis_bk log dis'_bk``.

    The text calls ``dis``, which stands before the logarithm, the predicted distribution. Both
    readings are offered: with the teacher in front it is cross-entropy over K, least where the
    prediction equals the teacher; with the student in front it is linear in the prediction, so
    least where that is all on the teacher's first class.

    Args:
        logits: (B, K) float, of the student, computed in float32.
        teacher: (B, K) float32, rows sum to 1; it is held fixed. Under ``student`` the logarithm
            starts at 1e-6, since votes have zeros.
        leading: ``teacher`` (``-mean t log p``) or ``student`` (``-mean p log t``).

    Returns:
        scalar float32.

    Raises:
        ValueError: unknown ``leading``.
    """
    teacher, log_student = teacher.detach().float(), F.log_softmax(logits.float(), dim=1)
    if leading == "teacher":
        return -(teacher * log_student).mean()
    if leading == "student":
        return -(log_student.exp() * teacher.clamp(min=1e-6).log()).mean()
    raise ValueError(f"the leading distribution is {leading!r}, allowed: teacher, student")
