"""Objectives: which one a network gets, what a teacher changes, and what is refused before training.

The steps themselves are worked out by hand in ``test_train``, ``test_resface`` and ``test_emonext``.
"""

from __future__ import annotations

import re
from functools import partial

import pytest
import torch
from torch import nn

from fer_study import models
from fer_study.data.labels import FER2013
from fer_study.models import registry
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import LossConfig, ModelConfig, SamplingConfig
from fer_study.training.augment import mix
from fer_study.training.objectives import (
    JointGenerator,
    Mixed,
    Penalised,
    Supervised,
    Taught,
    TaughtTargets,
    VotesHead,
    batch_loss,
    check_objective,
    label_layer,
    make_objective,
    taught_loss,
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
    taught = tuple(name for name in outputs if not name.startswith("attention_"))  # those are watched
    assert taught == ("logits", *models.extra_outputs(config.model)), "it puts out what it declares"


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
    student = kind(network, partial(taught_loss, LossConfig(), objective.loss))
    wrong = torch.eye(7)[:5]
    taught = Taught(student, [teacher]).step(images, wrong)
    own = objective.step(images, teacher(images).softmax(dim=1).detach())
    assert torch.equal(taught.loss, own.loss) and torch.equal(taught.logits, network(images))
    assert not torch.allclose(taught.loss, objective.step(images, wrong).loss, rtol=1e-3)
    taught.loss.backward()
    assert teacher[1].weight.grad is None and network.head.weight.grad.any()
    assert not teacher_targets([teacher], images).requires_grad


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
    taught = make_objective(tiny_run(loss=loss), network, COUNTS, CLASSES, generator, teachers=[network])
    assert isinstance(taught, Mixed) and isinstance(taught.objective, Taught)


def test_a_student_of_two_teachers_by_hand():
    """Hinton et al. (2015): logits of both divided by the temperature, the mean of what teachers say, and its square."""
    logits, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    says = [lambda images: torch.tensor([[4.0, 0.0]]), lambda images: torch.tensor([[0.0, 0.0]])]
    said = teacher_targets(says, torch.zeros(1), temperature=2.0)
    e = torch.tensor(2.0).exp()
    assert torch.allclose(said, torch.tensor([[(e / (1 + e) + 0.5) / 2, (1 / (1 + e) + 0.5) / 2]]))
    config = LossConfig(teacher="0" * 16 + "+" + "1" * 16, temperature=2.0, hard_share=0.25)
    taught = -(said * torch.tensor([[1.0, 0.0]]).log_softmax(1)).sum()
    hard = -logits.log_softmax(1)[0, 1]
    found = taught_loss(config, partial(batch_loss, config), logits, TaughtTargets(labels, said))
    assert found.item() == pytest.approx(float(0.25 * hard + 0.75 * 4 * taught))


def test_logits_are_adjusted_in_training_only(tiny_run):
    """The loss is that of logits plus tau log pi; what the network says stays as it is."""
    images, targets = torch.randn(5, 1, 1, 7), torch.eye(7)[:5]
    objective = make_objective(tiny_run(loss=LossConfig(logit_adjustment=1.5)), network := Linear(), COUNTS, CLASSES)
    found = objective.step(images, targets)
    prior = (COUNTS / COUNTS.sum()).log()
    expected = nn.functional.cross_entropy(network(images) + 1.5 * prior, torch.arange(5))
    assert found.loss.item() == pytest.approx(expected.item()) and torch.equal(found.logits, network(images))


def test_adjusted_logits_learn_balanced_classes():
    """Of faces that all look alike a network without it learns the frequencies, with it that all are as likely."""
    targets = torch.eye(2)[torch.tensor([0, 0, 0, 1])]
    for tau, expected in ((0.0, 0.75), (1.0, 0.5)):
        config, logits = LossConfig(logit_adjustment=tau), torch.zeros(1, 2, requires_grad=True)
        prior = tau * torch.tensor([0.75, 0.25]).log() if tau else None
        for _ in range(300):
            loss = batch_loss(config, logits.expand(4, 2), targets, adjustment=prior)
            logits = (logits - torch.autograd.grad(loss, logits)[0]).detach().requires_grad_()
        assert logits.softmax(1)[0, 0].item() == pytest.approx(expected, abs=1e-3)


class Pooled(nn.Module):
    """Features (B, 3) of images (B, 1, 1, 7), and their logits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk, self.head = nn.Linear(7, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 7))

    def forward(self, images):
        return self.head(self.trunk(images.flatten(1)))

    def stages(self):
        return [self.head, self.trunk]


def test_a_second_head_learns_the_votes_by_hand(tiny_run):
    """It starts at zero, so every class is as likely to it; its loss is added by its weight and shapes the trunk."""
    images, labels, votes = torch.randn(5, 1, 1, 7), torch.eye(7)[:5], torch.full((5, 7), 1 / 7)
    network, targets = Pooled(), torch.cat([labels, votes], dim=1)
    objective = make_objective(tiny_run(loss=LossConfig(votes_weight=2.0)), network, torch.ones(14), CLASSES)
    assert isinstance(objective, VotesHead)
    found = objective.step(images, targets)
    of_labels = nn.functional.cross_entropy(network(images), torch.arange(5))
    assert found.loss.item() == pytest.approx(of_labels.item() + 2 * torch.tensor(7.0).log().item())
    assert found.logs["loss"].item() == pytest.approx(of_labels.item()), "what compares with validation"
    assert torch.equal(found.logits, network(images))
    hits = (network(images).argmax(1) == torch.arange(5)).float().mean()
    assert found.logs["accuracy"] == hits
    nn.init.ones_(objective.learned.weight[0])
    features = network.head[0](network.trunk(images.flatten(1)))
    of_votes = nn.functional.cross_entropy(objective.learned(features), votes)
    assert objective.step(images, targets).logs["votes"].item() == pytest.approx(of_votes.item())
    objective.step(images, targets).loss.backward()
    assert objective.learned.weight.grad.any() and network.trunk.weight.grad.any()


def test_a_head_without_a_linear_layer_is_refused():
    network = Pooled()
    network.head = nn.Sequential(nn.Linear(3, 6))
    with pytest.raises(InputError, match="model tiny: its head has no linear layer of 7 logits"):
        label_layer(network, 7, "tiny")


@pytest.mark.parametrize("name", ["emotion_cnn", "simple_resnet", "cbam_cnn", "fer48", "vgg19_48", "emonext_atto",
                                  "resface18", "hybrid_resnet50", "timm:test_resnet", "ldg"])  # fmt: skip
def test_heads_of_registered_networks_end_in_their_logits(name):
    with torch.device("meta"):
        network = models.create_model(ModelConfig(name=name, input_size=64), 7)
        assert label_layer(network, 7, name).out_features == 7


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (LossConfig, {"effective_beta": 0.9}, "effective_beta is 0.9, allowed with class_weights 'none': 0.999"),
        (LossConfig, {"temperature": 2.0}, "temperature is 2.0, allowed with no teacher: 1.0"),
        (LossConfig, {"hard_share": 0.5}, "hard_share is 0.5, allowed with no teacher: 0.0"),
        (LossConfig, {"hard_share": 1.0, "teacher": "0" * 16}, "less than 1"),
        (LossConfig, {"teacher": "0" * 16 + "+"}, "should match pattern"),
        (LossConfig, {"teacher": "0" * 16 + "+" + "0" * 16}, "allowed: each key once"),
        (LossConfig, {"focal_gamma": 1.0, "distribution": "teacher"}, "focal_gamma is 1.0, allowed with distribution"),
        (LossConfig, {"logit_adjustment": 1.0, "distribution": "teacher"}, "logit_adjustment is 1.0, allowed with dist"),
        (LossConfig, {"logit_adjustment": 1.0, "class_weights": "inverse"}, "which make up for the same frequencies"),
        (LossConfig, {"logit_adjustment": 1.0, "teacher": "0" * 16}, "logit_adjustment is 1.0, allowed with a teacher: 0"),
        (LossConfig, {"focal_gamma": -1.0}, "greater than or equal to 0"),
        (SamplingConfig, {"times": 3}, "times is 3, allowed without rare classes: the default"),
        (SamplingConfig, {"shear": 3.0}, "shear is 3.0, allowed without rare classes"),
        (SamplingConfig, {"rare": "disgust"}, "rare is 'disgust', allowed: with times, rotate or shear"),
        (SamplingConfig, {"rare": "disgust", "times": 2, "balanced": True}, "balanced is True and times 2, allowed: one"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(kind, fields, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        kind(**fields)


@pytest.mark.parametrize("loss", [{"logit_adjustment": 1.0}, {"class_weights": "square_root"}])
def test_frequencies_are_made_up_for_once(tiny_run, loss):
    with pytest.raises(ValueError, match=r"sampling\.balanced is True, .* allowed: one of them"):
        tiny_run(loss=LossConfig(**loss), sampling=SamplingConfig(balanced=True))


@pytest.mark.parametrize("targets", [{"targets": "votes"}, {"annotation": "probability"}])
def test_a_second_head_beside_votes_is_refused(tiny_run, targets):
    config = tiny_run(loss=LossConfig(votes_weight=1.0))
    with pytest.raises(InputError, match=r"tiny: loss\.votes_weight is 1\.0, allowed with votes as the targets"):
        check_objective(config.replace(data=config.data.replace(**targets)))
    joint = ModelConfig(name="resface18", options={"branch": "joint"}, input_size=64)
    with pytest.raises(InputError, match="allowed with a second head of its own: 0"):
        check_objective(config.replace(model=joint))


def test_new_fields_leave_old_keys(tiny_run):
    """At their defaults they are no part of a key; each of them changes it."""
    assert "sampling" not in tiny_run().resolved() and "focal_gamma" not in tiny_run().resolved()["loss"]
    keys = [tiny_run(**change).key for change in (
        {}, {"loss": LossConfig(focal_gamma=1.0)}, {"loss": LossConfig(logit_adjustment=1.0)},
        {"loss": LossConfig(votes_weight=1.0)}, {"sampling": SamplingConfig(balanced=True)},
        {"sampling": SamplingConfig(rare="disgust", times=3)},
    )]  # fmt: skip
    assert len(set(keys)) == len(keys)
