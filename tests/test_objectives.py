"""Objectives: which one a network gets, what a teacher changes, and what is refused before training.

The steps themselves are worked out by hand in ``test_train``, ``test_resface`` and ``test_emonext``.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fer_study import models
from fer_study.data.labels import FER2013
from fer_study.models import registry
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import LossConfig, ModelConfig
from fer_study.training.augment import mix
from fer_study.training.objectives import (
    JointGenerator,
    Mixed,
    Penalised,
    Supervised,
    Taught,
    batch_loss,
    check_objective,
    make_objective,
    teacher_targets,
)

CLASSES = FER2013
COUNTS = torch.tensor([10.0, 20, 30, 40, 50, 60, 70])


class Linear(nn.Module):
    """Logits of images (B, 1, 1, 7), and a second head."""

    branch_weight = 2.0

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head, self.side = nn.Linear(7, 7), nn.Linear(7, 7)

    def forward(self, images):
        return self.head(images.flatten(1))

    def training_outputs(self, images):
        return {"logits": self(images), "branch": self.side(images.flatten(1)), "penalty": self.side.weight.sum()}


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("emotion_cnn", {}, Supervised),
        ("timm:test_resnet", {}, Supervised),
        ("emonext_atto", {}, Penalised),
        ("emonext_atto", {"attention": "none"}, Supervised),
        ("resface18", {"branch": "sum"}, Supervised),
        ("resface50", {"branch": "joint"}, JointGenerator),
        ("ldg", {}, Supervised),
    ],
)
def test_a_network_gets_the_objective_of_its_outputs(tiny_run, name, options, kind):
    """Whether or not its options were spelled out."""
    config = tiny_run(model=ModelConfig(name=name, options=options, input_size=64))
    for one in (config, config.replace(model=models.resolve(config.model))):
        assert type(make_objective(one, Linear(), COUNTS, CLASSES)) is kind
    with torch.device("meta"):
        outputs = models.create_model(config.model, 7).training_outputs(torch.zeros(2, 1, 64, 64))
    assert tuple(outputs) == ("logits", *models.extra_outputs(config.model)), "it puts out what it declares"


def test_outputs_that_no_objective_uses_are_refused(tiny_run, monkeypatch):
    class TwoParts(models.FaceModel):
        def __init__(self, num_classes: int, in_channels: int, input_size: int) -> None:
            super().__init__()

        @classmethod
        def extra_outputs(cls, options):
            return ("branch", "penalty")

    monkeypatch.setattr(registry, "_REGISTRY", registry._REGISTRY | {"two_parts": TwoParts})
    with pytest.raises(InputError, match="tiny: two_parts puts out branch and penalty, allowed: penalty, branch") as caught:
        check_objective(tiny_run(model=ModelConfig(name="two_parts")))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [Supervised, Penalised, JointGenerator])
def test_a_teacher_takes_the_place_of_the_targets(kind):
    """Of every objective, and of nothing else; it learns nothing itself."""
    network, teacher, images = Linear(), nn.Sequential(nn.Flatten(), nn.Linear(7, 7)), torch.randn(5, 1, 1, 7)
    objective = kind(network, lambda logits, targets: batch_loss(LossConfig(), logits, targets))
    wrong = torch.eye(7)[:5]
    taught = Taught(objective, teacher).step(images, wrong)
    own = objective.step(images, teacher(images).softmax(dim=1).detach())
    assert torch.equal(taught.loss, own.loss) and torch.equal(taught.logits, network(images))
    assert not torch.allclose(taught.loss, objective.step(images, wrong).loss, rtol=1e-3)
    taught.loss.backward()
    assert teacher[1].weight.grad is None and network.head.weight.grad.any()
    assert not teacher_targets(teacher, images).requires_grad


def test_class_weights_reach_the_loss(tiny_run):
    """Those of the counts that are given, by the divisor of the config."""
    images, targets = torch.randn(5, 1, 1, 7), torch.eye(7)[:5]
    loss = LossConfig(class_weights="inverse", reduction="weights")
    found = make_objective(tiny_run(loss=loss), network := Linear(), COUNTS, CLASSES).step(images, targets)
    weights = COUNTS.sum() / (7 * COUNTS)
    expected = nn.functional.cross_entropy(network(images), torch.arange(5), weights)
    assert found.loss.item() == pytest.approx(expected.item()) and found.logs == {}


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_images_are_taught_and_scored_by_their_mixed_targets(tiny_run, kind):
    """Mixed by the generator that is given, or by torch's; a teacher sees the mixed images."""
    images, targets, loss = torch.randn(7, 1, 1, 7), torch.eye(7), LossConfig(**{kind: 0.5})
    network, generator = Linear(), torch.Generator()
    objective = make_objective(tiny_run(loss=loss), network, COUNTS, CLASSES, generator)
    for seed in range(3):
        torch.manual_seed(seed)
        generator.manual_seed(seed)
        found = objective.step(images, targets.clone())
        torch.manual_seed(seed)
        mixed, of = mix(images, targets.clone(), loss, generator.manual_seed(seed))
        expected = nn.functional.cross_entropy(network(mixed), of)
        hits = (network(mixed).argmax(dim=1) == of.argmax(dim=1)).float().mean()
        assert found.loss.item() == pytest.approx(expected.item()) and found.logs["accuracy"] == hits
    taught = make_objective(tiny_run(loss=loss), network, COUNTS, CLASSES, generator, teacher=network)
    assert isinstance(taught, Mixed) and isinstance(taught.objective, Taught)
