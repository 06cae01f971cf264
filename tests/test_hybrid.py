"""The hybrid ResNet50: each part by hand or by its absence, its stages, its refusals."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fer_study.data.labels import FER2013
from fer_study.models import FaceModel, create_model
from fer_study.models.emonext import SqueezeExcitation
from fer_study.models.hybrid import GROUPS, ClassBranches, SpatialAttention, TransformerBlock
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import ModelConfig
from fer_study.training.loop import unfreeze
from network_checks import awake, silent

PARTS = {
    "adapter": {"adapter": "duplicate"},
    "images": {"fusion": "none"},
    "features": {"fusion": "features"},
    "attention": {"attention": "none"},
    "channel": {"attention": "spatial"},
    "spatial": {"attention": "channel"},
    "transformer": {"transformer": False},
    "feed-forward": {"mlp_ratio": 0.0},
    "branches": {"branches": False},
    "flatten": {"resnet_features": "flatten"},
}
"""Part -> options that take it out or exchange it."""


def build(size: int = 48, channels: int = 1, num_classes: int = 7, **options: object) -> FaceModel:
    torch.manual_seed(0)
    return create_model(ModelConfig(name="hybrid_resnet50", input_size=size, options=options), num_classes, channels)


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return awake(build()).eval()


@pytest.mark.parametrize("options", [{"fusion": "features"}, {"resnet_features": "flatten", "branches": False}], ids=str)
def test_a_gradient_in_every_parameter(options):
    """With other parts than the default, which ``test_contract`` looks at."""
    assert not silent(awake(build(dropout=0.0, **options)), torch.randn(4, 1, 48, 48))


SIZES = {
    "adapter": -6,
    "images": 0,
    "features": 1024 * 512 + 512,
    "attention": -(2 * 512 * 32 + 98),
    "channel": -2 * 512 * 32,
    "spatial": -98,
    "transformer": -4 * (512**2 + 512) - 2 * 512 * 2048 - 2048 - 512 - 2 * 1024 - 2 * 512 * 128,
    "feed-forward": -2 * 512 * 2048 - 2048 - 512 - 1024,
    "branches": 7 * 128 - (7 * 7 + 7),  # as many hidden units, each of which reaches all classes, and no fusion layer
    "flatten": 2 * 2 * 2048 * 512 + 512,
}
"""Part -> parameters that go (or come) with it at 48 px, by hand."""


@pytest.mark.parametrize("part", PARTS)
def test_every_part_can_be_taken_out(model, part):
    """It takes its parameters along and changes the logits: the rest has the same weights."""
    without = build(**PARTS[part]).eval()
    assert count(without) - count(model) == SIZES[part]
    shared = {k: v for k, v in model.state_dict().items() if k in (own := without.state_dict()) and v.shape == own[k].shape}
    without.load_state_dict(shared, strict=False)
    if part == "adapter":
        nn.init.normal_(model.adapter.weight)  # by default it starts as duplication, see below
    images = torch.randn(2, 1, 48, 48)
    with torch.no_grad():
        assert not torch.allclose(model(images), without(images), atol=1e-5)
        model.adapter.weight.fill_(1)


def test_dropout_follows_the_dense_layers(model):
    rates = [m.p for m in build(dropout=0.3, resnet_features="flatten").modules() if isinstance(m, nn.Dropout) and m.p]
    assert rates == [0.3] * 3
    assert not [m for m in build(dropout=0.0).modules() if isinstance(m, nn.Dropout) and m.p]
    images = torch.randn(2, 1, 48, 48)
    assert torch.equal(model(images), model(images))
    heads = [build(dropout=rate).train().head for rate in (0.0, 0.3)]
    features = torch.randn(2, 1024)
    assert [torch.equal(head(features), head(features)) for head in heads] == [True, False]


def test_the_adapter_starts_as_duplication_and_learns():
    conv, duplicate = build().eval(), build(adapter="duplicate").eval()
    duplicate.load_state_dict(conv.state_dict(), strict=False)
    images = torch.randn(2, 1, 48, 48)
    assert torch.equal(conv(images), duplicate(images))
    assert torch.equal(duplicate.adapter(images), images.repeat(1, 3, 1, 1))
    assert isinstance(build(channels=3).adapter, nn.Identity)
    unfreeze(conv, 1)
    assert conv.adapter.weight.requires_grad and not any(p.requires_grad for p in conv.backbone.parameters())
    assert len(conv.stages()) == 1 + 49, "the head, then the convolutions of the trunk one by one"


def test_channel_then_spatial_attention_by_hand(model):
    x = torch.randn(2, 512, 4, 5)
    squeeze, _, excite, _ = model.attention[0].fc
    expected = torch.empty_like(x)
    for b in range(2):
        z = torch.sigmoid(excite.weight @ (squeeze.weight @ x[b].flatten(1).mean(dim=1)).clamp(min=0))
        scaled = x[b] * z[:, None, None]
        maps = F.pad(torch.stack([scaled.max(dim=0).values, scaled.mean(dim=0)]), (3, 3, 3, 3))
        for i in range(4):
            for j in range(5):
                logit = (maps[:, i : i + 7, j : j + 7] * model.attention[1].conv.weight[0]).sum()
                expected[b, :, i, j] = scaled[:, i, j] / (1 + torch.exp(-logit))
    assert torch.allclose(model.attention(x), expected, atol=1e-5)
    assert [type(m) for m in model.attention] == [SqueezeExcitation, SpatialAttention]


def test_transformer_block_by_hand():
    """Two heads of two features over three tokens, then the feed-forward part, each added and normalised."""
    torch.manual_seed(0)
    block, x = TransformerBlock(4, 2, 2.0), torch.randn(1, 3, 4)
    attention, mlp = block.parts
    q, k, v = (x[0] @ attention.qkv.weight.T + attention.qkv.bias).split(4, dim=1)
    heads = []
    for h in (slice(0, 2), slice(2, 4)):
        scores = torch.exp(q[:, h] @ k[:, h].T / 2**0.5)
        heads.append(scores / scores.sum(dim=1, keepdim=True) @ v[:, h])
    y = x[0] + torch.cat(heads, dim=1) @ attention.proj.weight.T + attention.proj.bias
    y = (y - y.mean(dim=1, keepdim=True)) / (y.var(dim=1, keepdim=True, correction=0) + 1e-5).sqrt()
    z = y + (y @ mlp.fc1.weight.T + mlp.fc1.bias).clamp(min=0) @ mlp.fc2.weight.T + mlp.fc2.bias
    z = (z - z.mean(dim=1, keepdim=True)) / (z.var(dim=1, keepdim=True, correction=0) + 1e-5).sqrt()
    assert torch.allclose(block(x)[0], z, atol=1e-5)


def test_tokens_are_512_wide_with_8_heads_and_one_for_each_position():
    model, seen = build(224), []
    model.transformer.register_forward_hook(lambda module, given, made: seen.append(given[0].shape))
    with torch.device("meta"):
        model.to("meta")(torch.empty(2, 1, 224, 224))
    assert seen == [(2, 49, 512)] and model.transformer.parts[0].num_heads == 8


def test_fusion_of_two_scales_by_hand(model):
    """The mean of the reduced maps of the image (2x2 at 48 px) and of its half (1x1, so the same everywhere)."""
    images = torch.randn(1, 3, 48, 48)
    halves = images.view(1, 3, 24, 2, 24, 2).mean(dim=(3, 5))
    with torch.no_grad():
        full, half = (model.reduce(model.backbone.forward_features(x)) for x in (images, halves))
        assert full.shape[-2:] == (2, 2) and half.shape[-2:] == (1, 1)
        assert torch.allclose(model._fused(images, *model._maps(images)), (full + half) / 2, atol=1e-5)


def test_each_branch_serves_its_classes():
    head = ClassBranches(6, 5, 0.0)
    assert sorted(name for group in GROUPS for name in group) == sorted(FER2013)
    for branch, value in zip(head.branches, (1.0, 2.0), strict=True):
        branch[-1].weight.data.zero_()
        branch[-1].bias.data.copy_(value + torch.arange(len(branch[-1].bias)) / 10)
    given = {name: b + 1 + i / 10 for b, group in enumerate(GROUPS) for i, name in enumerate(group)}
    assert head(torch.randn(1, 6))[0].tolist() == pytest.approx([given[name] for name in FER2013])
    features = torch.randn(3, 6)
    first = torch.autograd.grad(
        head(features)[:, FER2013.index("fear")].sum(), head.branches.parameters(), allow_unused=True
    )
    assert not any(g.any() for g in first[: len(first) // 2]) and first[-1].any()  # at the start fear knows its branch only


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"resnet_features": "flatten", "transformer": False}, "'flatten' without transformer .* allowed: average"),
        ({"channels": 2}, "images have 2 channels, allowed: 1, 3"),
        ({"num_classes": 8}, "8 classes, but its branches are for angry, .*: set branches to false"),
    ],
)
def test_wrong_input_is_refused(config, words):
    with pytest.raises(InputError, match=words) as caught:
        build(**config)
    assert "\n" not in str(caught.value)


def test_eight_classes_without_branches():
    with torch.device("meta"):
        assert build(num_classes=8, branches=False)(torch.empty(2, 1, 48, 48)).shape == (2, 8)
