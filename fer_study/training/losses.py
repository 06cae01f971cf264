"""Losses against distributions: hard labels, smoothing, mixup, votes and label distributions are
one path."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ..data.labels import FER2013
from ..settings.errors import InputError

HEAVY = {"disgust": 15.0, "fear": 8.0}
"""Class weights that Pauyac and Debnath propose as a cure (section V): disgust x15, fear x8, the
others 1."""

SCHEMES = ("inverse", "square_root", "effective_number", "heavy")
"""Ways of weighting classes, beside ``none``."""


def class_weights(
    scheme: str, counts: torch.Tensor, classes: Sequence[str] = FER2013, beta: float = 0.999
) -> torch.Tensor | None:
    """Weight of each class.

    Args:
        scheme: ``none``, ``inverse`` (N / (K n_c): Pauyac and Debnath, "Class weighting";
            also scikit-learn's "balanced"), ``square_root`` (of the inverse), ``effective_number``
            ((1 - beta) / (1 - beta^n_c): Cui et al., 2019, eq. 4) or ``heavy``. Square roots and
            effective numbers are scaled so that they sum to K, as Cui et al. do.
        counts: (K,) images by class in the training split.
        classes: their names.

    Returns:
        (K,) float32, or None for ``none``.

    Raises:
        ValueError: unknown scheme.
        InputError: a class that it weighs has no images; or ``heavy``, and no class that it weighs.
    """
    if scheme == "none":
        return None
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
        weighed = torch.tensor([name in HEAVY for name in classes], device=counts.device)
        check_counts("class weights 'heavy'", torch.where(weighed, counts, 1), classes)
        return torch.tensor([HEAVY.get(c, 1.0) for c in classes], device=counts.device)
    if scheme not in SCHEMES:
        raise ValueError(f"class weights are {scheme!r}, allowed: none, {', '.join(SCHEMES)}")
    check_counts(f"class weights {scheme!r}", counts, classes)
    counts = counts.float()
    inverse = counts.sum() / (len(counts) * counts)
    if scheme == "inverse":
        return inverse
    # 1 - beta^n loses its digits where beta is near 1
    effective = -torch.expm1(counts * math.log(beta)) if beta else torch.ones_like(counts)
    weights = inverse.sqrt() if scheme == "square_root" else 1 / effective
    return weights * len(counts) / weights.sum()


def check_counts(what: str, counts: torch.Tensor, classes: Sequence[str]) -> None:
    """Refuse what makes up for frequencies where a class has no image in training.

    Raises:
        InputError: there is such a class.
    """
    empty = [name for name, count in zip(classes, counts.tolist(), strict=False) if not count]
    if empty:
        raise InputError(
            f"{what}: no training image is of {' or '.join(empty)}, allowed: classes with images"
        )


def log_frequencies(counts: torch.Tensor, classes: Sequence[str] = FER2013) -> torch.Tensor:
    """Logarithm of the share of each class in the training split, what logit adjustment adds to
    logits in training (Menon et al., 2021, eq. 10).

    Args:
        counts: (K,) images by class.

    Returns:
        (K,) float32.

    Raises:
        InputError: a class without images.
    """
    check_counts("logit_adjustment", counts, classes)
    return (counts.float() / counts.sum()).log()


def smooth(target: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Label smoothing (Szegedy et al., 2016, eq. 10): ``(1 - s) target + s / K`` for ``target: (B,
    K) float32``."""
    return target if smoothing == 0 else target * (1 - smoothing) + smoothing / target.shape[1]


def soft_cross_entropy(
    logits: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor | None = None,
    reduction: str = "count",
    gamma: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy ``-sum_k w_k t_k log p_k`` of a batch; with ``gamma`` the focal loss
    ``-sum_k w_k t_k (1 - p_k)^gamma log p_k`` (Lin et al., 2017, eq. 5).

    DEVIATION: Lin et al. define it for one sigmoid a class, and torchvision has that one. This is
    the softmax form: with a hard label the term of its class, with a distribution the mean of the
    terms by it.

    Args:
        logits: (B, K) float, computed in float32.
        target: (B, K) float32, rows sum to 1.
        weights: (K,) float32 or None.
        reduction: ``count`` divides by B, as Keras' ``class_weight`` does and PyTorch for
            distribution targets; ``weights`` divides by ``sum_b sum_k w_k t_bk``, as PyTorch does
            for index targets.
        gamma: power; the larger, the less counts what a network is sure of and right.

    Returns:
        scalar float32.
    """
    weighted = target if weights is None else target * weights
    if gamma:
        log_p = F.log_softmax(logits.float(), dim=1)
        # a power below 1 has no slope at 0
        doubt = (-torch.expm1(log_p)).clamp(min=torch.finfo(torch.float32).eps)
        total = -(weighted * doubt**gamma * log_p).sum()
    else:
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
