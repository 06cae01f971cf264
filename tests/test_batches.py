"""Which images an epoch shows: classes drawn alike, rare ones more often and turned further."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fer_study.settings.errors import InputError
from fer_study.settings.experiment import AugmentConfig, SamplingConfig
from fer_study.training.augment import augment, training_view
from fer_study.training.batches import Batches

CPU = torch.device("cpu")
LABELS = np.repeat([0, 1, 2], [60, 4, 36])
"""A frequent, a rare and a middling class."""
CLASSES = ("angry", "disgust", "fear")


def batches(**fields: object) -> Batches:
    """Images whose one pixel is their number."""
    images = np.arange(len(LABELS), dtype=np.uint8).reshape(-1, 1, 1, 1)
    targets = np.eye(3, dtype=np.float32)[LABELS]
    rows = np.arange(len(LABELS))
    return Batches(images, targets, rows, 10, CPU, classes=CLASSES, sampling=SamplingConfig(**fields))


def shown(made: Batches, seed: int = 0) -> np.ndarray:
    """The numbers of the images of an epoch, each with its own target."""
    parts = list(made.epoch(torch.Generator().manual_seed(seed)))
    numbers = torch.cat([images.flatten() for images, _ in parts]).numpy()
    labels = torch.cat([targets.argmax(1) for _, targets in parts]).numpy()
    assert np.array_equal(labels, LABELS[numbers]) and len(parts) == len(made)
    return numbers


def test_each_image_is_shown_once():
    numbers = shown(batches())
    assert sorted(numbers) == list(range(100)) and not np.array_equal(numbers, np.sort(numbers))


def test_rare_classes_are_shown_so_many_times():
    made = batches(rare="disgust", times=3)
    assert len(made) == 11
    counts = np.bincount(shown(made), minlength=100)
    assert (counts[LABELS == 1] == 3).all() and (counts[LABELS != 1] == 1).all()
    both = np.bincount(shown(batches(rare="disgust+fear", times=2)), minlength=100)
    assert (both[LABELS > 0] == 2).all() and (both[LABELS == 0] == 1).all()


def test_classes_are_drawn_alike():
    """As many images as there are, a third of them of each class, within four standard deviations of 40 epochs."""
    made = batches(balanced=True)
    drawn = np.concatenate([shown(made, seed) for seed in range(40)])
    assert len(made) == 10 and len(drawn) == 4000
    shares = np.bincount(LABELS[drawn]) / len(drawn)
    assert np.abs(shares - 1 / 3).max() < 4 * np.sqrt(2 / 9 / 4000)
    assert len(np.unique(drawn)) == 100, "every image has its turn"


@pytest.mark.parametrize("fields", [{}, {"balanced": True}, {"rare": "disgust", "times": 3}])
def test_the_order_follows_from_the_seed(fields):
    one, two = batches(**fields), batches(**fields)
    assert np.array_equal(shown(one, 1), shown(two, 1)) and not np.array_equal(shown(one, 1), shown(one, 2))


def test_votes_count_for_their_largest_class():
    targets = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.4, 0.0]])
    assert batches(rare="disgust", times=2).is_rare(targets).tolist() == [True, False]
    behind = torch.cat([targets, torch.tensor([[0, 0, 1.0], [0, 0, 1]])], dim=1)
    assert batches(rare="fear", times=2).is_rare(behind).tolist() == [False, False], "by the labels, not by the votes"


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(InputError, match=r"sampling\.rare names joy, allowed: angry, disgust, fear"):
        batches(rare="joy", times=2)
    targets = np.eye(3, dtype=np.float32)[np.zeros(4, int)]
    for fields in ({"rare": "disgust", "times": 2}, {"balanced": True}):
        with pytest.raises(InputError, match=r"sampling\.(rare|balanced): no training image is of disgust"):
            Batches(np.zeros((4, 1, 1, 1), np.uint8), targets, np.arange(4), 2, CPU, classes=CLASSES,
                    sampling=SamplingConfig(**fields))  # fmt: skip


def test_rare_images_are_turned_by_their_own_range(tiny_run):
    """With 0 degrees for all, only those move; the others are what they are without it, to the last bit."""
    images = torch.randint(0, 256, (6, 1, 16, 16), dtype=torch.uint8)
    rare = torch.tensor([True, False, True, False, False, True])
    config = tiny_run(augment=AugmentConfig(flip=0.5), sampling=SamplingConfig(rare="disgust", rotate=35.0, shear=25.0))
    views = training_view(images, rare, config, 16, torch.Generator().manual_seed(3))
    plain = augment(images, config.augment, 16, torch.Generator().manual_seed(3))
    moved = (views != plain).flatten(1).any(dim=1)
    assert torch.equal(moved, rare)
    same = training_view(images, rare, tiny_run(augment=config.augment), 16, torch.Generator().manual_seed(3))
    assert torch.equal(same, plain)
