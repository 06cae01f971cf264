"""Losses against values worked out by hand and against PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from fer_study.data.labels import FER2013
from fer_study.settings.errors import InputError
from fer_study.training.losses import class_weights, label_distribution_loss, log_frequencies, smooth, soft_cross_entropy

COUNTS = torch.tensor([10, 20, 30, 40, 0, 50, 50])
FULL = torch.tensor([10, 20, 30, 40, 5, 45, 50])


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
    weights = class_weights("inverse", FULL)
    assert weights.tolist() == pytest.approx([200 / 7 / n for n in FULL.tolist()])
    assert (weights * FULL).sum().item() == pytest.approx(200), "every class has the same say, and a mean image weighs 1"


def test_square_roots_and_effective_numbers_by_hand():
    """Of two classes of 1 and 4 images: the ratio of weights is 2, or (1 - b^4) / (1 - b), and their sum is K."""
    counts = torch.tensor([1, 4])
    assert class_weights("square_root", counts).tolist() == pytest.approx([4 / 3, 2 / 3])
    for beta in (0.5, 0.999):
        ratio = 1 + beta + beta**2 + beta**3
        expected = [2 * ratio / (1 + ratio), 2 / (1 + ratio)]
        assert class_weights("effective_number", counts, beta=beta).tolist() == pytest.approx(expected)
    assert class_weights("effective_number", counts, beta=0.0).tolist() == [1, 1]
    inverse = class_weights("effective_number", counts, beta=1 - 1e-9)
    assert inverse.tolist() == pytest.approx([8 / 5, 2 / 5], rel=1e-4), "towards beta 1 it is the inverse, to all digits"


@pytest.mark.parametrize("scheme", ["inverse", "square_root", "effective_number"])
def test_a_class_without_images_has_no_weight(scheme):
    with pytest.raises(InputError, match=rf"class weights '{scheme}': no training image is of sad, allowed") as caught:
        class_weights(scheme, COUNTS)
    assert "\n" not in str(caught.value)


def test_heavy_weights_need_images_of_what_they_weigh():
    assert class_weights("heavy", COUNTS).tolist() == [1, 15, 8, 1, 1, 1, 1], "sad is not weighed"
    with pytest.raises(InputError, match="class weights 'heavy': no training image is of disgust"):
        class_weights("heavy", torch.tensor([10, 0, 30, 40, 5, 50, 50]))


def test_focal_loss_by_hand():
    """Probabilities (3/4, 1/4) against the first class, then against both: (1 - p)^2 weighs each term."""
    logits = torch.tensor([[math.log(3.0), 0.0]])
    hard, soft = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.4]])
    of_first, of_second = math.log(4 / 3) / 16, math.log(4) * 9 / 16
    assert soft_cross_entropy(logits, hard, gamma=2.0).item() == pytest.approx(of_first)
    assert soft_cross_entropy(logits, soft, gamma=2.0).item() == pytest.approx(0.6 * of_first + 0.4 * of_second)
    weights = torch.tensor([3.0, 1.0])
    weighted = soft_cross_entropy(logits, soft, weights, "weights", gamma=2.0)
    assert weighted.item() == pytest.approx((1.8 * of_first + 0.4 * of_second) / 2.2)


def test_focal_loss_is_that_of_torchvision_for_two_classes(batch):
    """The sigmoid of a difference of logits is the softmax of two."""
    from torchvision.ops import sigmoid_focal_loss

    logits, labels, _ = batch
    two, first = logits[:, :2], F.one_hot(labels % 2, 2).float()
    theirs = sigmoid_focal_loss(two[:, 0] - two[:, 1], first[:, 0], alpha=-1, gamma=1.5, reduction="mean")
    assert soft_cross_entropy(two, first, gamma=1.5).item() == pytest.approx(theirs.item(), rel=1e-5)


def test_focal_loss_without_a_power_is_cross_entropy_and_has_slopes_everywhere(batch):
    logits, _, target = batch
    almost = soft_cross_entropy(logits, target, gamma=1e-7)
    assert almost.item() == pytest.approx(soft_cross_entropy(logits, target).item(), rel=1e-5)
    sure = (60 * target).requires_grad_()  # so sure that 1 - p is 0
    soft_cross_entropy(sure, target, gamma=0.5).backward()
    assert torch.isfinite(sure.grad).all()


def test_frequencies_by_hand():
    assert log_frequencies(torch.tensor([1, 4])).exp().tolist() == pytest.approx([0.2, 0.8])
    with pytest.raises(InputError, match="logit_adjustment: no training image is of sad"):
        log_frequencies(COUNTS)


def test_inverse_weights_are_those_that_scikit_learn_calls_balanced():
    counts = COUNTS[COUNTS > 0]  # it has no answer for a class without images
    labels = np.repeat(np.arange(len(counts)), counts)
    balanced = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    assert class_weights("inverse", counts, FER2013[: len(counts)]).tolist() == pytest.approx(balanced.tolist())


def test_other_class_weights():
    assert class_weights("none", COUNTS) is None
    with pytest.raises(ValueError, match="'light', allowed: none, inverse, square_root, effective_number, heavy"):
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
