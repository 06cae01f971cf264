"""Losses against values worked out by hand and against PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from fer_study.data.labels import FER2013
from fer_study.training.losses import class_weights, label_distribution_loss, smooth, soft_cross_entropy

COUNTS = torch.tensor([10, 20, 30, 40, 0, 50, 50])


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``logits (12, 7)``, ``labels (12,)`` and their one-hot targets."""
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(12, 7, generator=generator), torch.randint(7, (12,), generator=generator)
    return logits, labels, F.one_hot(labels, 7).float()


def test_by_hand():
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]])  # probabilities (1/2, 1/2) and (3/4, 1/4)
    target = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    expected = (math.log(2) + (math.log(4 / 3) + math.log(4)) / 2) / 2
    assert soft_cross_entropy(logits, target).item() == pytest.approx(expected)


def test_weights_by_hand():
    logits, target = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    weights = torch.tensor([3.0, 1.0])
    assert soft_cross_entropy(logits, target, weights, "count").item() == pytest.approx(2 * math.log(2))
    assert soft_cross_entropy(logits, target, weights, "weights").item() == pytest.approx(math.log(2))


def test_equals_pytorch_for_hard_labels(batch):
    logits, labels, target = batch
    weights = torch.linspace(0.5, 3, 7)
    assert soft_cross_entropy(logits, target).item() == pytest.approx(F.cross_entropy(logits, labels).item())
    by_weights = soft_cross_entropy(logits, target, weights, "weights")
    assert by_weights.item() == pytest.approx(F.cross_entropy(logits, labels, weights).item())
    by_count = soft_cross_entropy(logits, target, weights, "count")
    assert by_count.item() == pytest.approx(F.cross_entropy(logits, target, weights).item())
    assert by_count.item() != pytest.approx(by_weights.item(), rel=1e-3)


def test_smoothing_equals_pytorch(batch):
    logits, labels, target = batch
    ours = soft_cross_entropy(logits, smooth(target, 0.1))
    assert ours.item() == pytest.approx(F.cross_entropy(logits, labels, label_smoothing=0.1).item())
    assert smooth(target, 0.0) is target
    assert torch.allclose(smooth(target, 0.7)[0, labels[0]], torch.tensor(0.3 + 0.1))


def test_gradient_is_prediction_minus_target(batch):
    logits, _, target = batch
    logits.requires_grad_()
    soft_cross_entropy(logits, smooth(target, 0.2)).backward()
    expected = (logits.detach().softmax(dim=1) - smooth(target, 0.2)) / len(logits)
    assert torch.allclose(logits.grad, expected, atol=1e-6)


def test_computed_in_float32(batch):
    logits, _, target = batch
    half = logits.bfloat16()
    assert soft_cross_entropy(half, target).dtype == torch.float32
    assert soft_cross_entropy(half, target) == soft_cross_entropy(half.float(), target)


def test_inverse_class_weights():
    weights = class_weights("inverse", COUNTS)
    assert torch.allclose(weights, torch.tensor([200 / 70, 200 / 140, 200 / 210, 200 / 280, 0, 200 / 350, 200 / 350]))
    assert (weights * COUNTS).sum().item() == pytest.approx(200 * 6 / 7)


def test_inverse_weights_are_those_that_scikit_learn_calls_balanced():
    counts = COUNTS[COUNTS > 0]  # it has no answer for a class without images
    labels = np.repeat(np.arange(len(counts)), counts)
    balanced = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    assert class_weights("inverse", counts, FER2013[: len(counts)]).tolist() == pytest.approx(balanced.tolist())


def test_other_class_weights():
    assert class_weights("none", COUNTS) is None
    assert class_weights("heavy", COUNTS).tolist() == [1, 15, 8, 1, 1, 1, 1]
    with pytest.raises(ValueError, match="'light', allowed: none, inverse, heavy"):
        class_weights("light", COUNTS)


def test_label_distributions_by_hand():
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]])  # probabilities (1/2, 1/2) and (3/4, 1/4)
    teacher = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    ahead = math.log(2) + 0.2 * math.log(4 / 3) + 0.8 * math.log(4)
    behind = -(math.log(0.9) + math.log(0.1)) / 2 - (3 * math.log(0.2) + math.log(0.8)) / 4
    assert label_distribution_loss(logits, teacher).item() == pytest.approx(ahead / 4)  # over two images and two classes
    assert label_distribution_loss(logits, teacher, "student").item() == pytest.approx(behind / 4)
    with pytest.raises(ValueError, match="'both', allowed: teacher, student"):
        label_distribution_loss(logits, teacher, "both")


def test_label_distributions_are_cross_entropy_over_the_classes(batch):
    logits, _, target = batch
    expected = soft_cross_entropy(logits, smooth(target, 0.3)) / 7
    assert label_distribution_loss(logits, smooth(target, 0.3)).item() == pytest.approx(expected.item())
    assert label_distribution_loss(logits.bfloat16(), target).dtype == torch.float32


def test_only_one_direction_is_least_at_the_teacher():
    teacher = torch.tensor([[0.5, 0.3, 0.2]])
    logits = teacher.log().requires_grad_()
    label_distribution_loss(logits, teacher).backward()
    assert torch.allclose(logits.grad, torch.zeros(1, 3), atol=1e-7)
    logits.grad = None
    label_distribution_loss(logits, teacher, "student").backward()
    assert logits.grad[0, 0] < -0.01 < 0.01 < logits.grad[0, 2]  # towards the first class alone


def test_the_teacher_learns_nothing_and_may_have_zeros(batch):
    logits, _, votes = batch
    teacher = votes.clone().requires_grad_()
    for leading in ("teacher", "student"):
        logits.requires_grad_()
        loss = label_distribution_loss(logits, teacher, leading)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(logits.grad).all() and teacher.grad is None
