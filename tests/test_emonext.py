"""EmoNeXt: counts and logits of the published network, the identity of the transformer, the penalty by hand."""

import json
from pathlib import Path

import pytest
import timm
import torch
from emonext_weights import fill, published_name, seeded_images

from fer_study.config import ModelConfig
from fer_study.errors import InputError
from fer_study.models import create_model
from fer_study.models.emonext import AttentionPenalty

PUBLISHED = json.loads((Path(__file__).parent / "emonext_logits.json").read_text())
COUNTS = {"tiny": 30_564_331, "small": 52_198_891, "base": 91_765_259, "large": 204_582_475, "xlarge": 362_312_331}
PLAIN = {"tiny": 27_825_511, "xlarge": 348_162_311}


def build(name: str, size: int = 64, channels: int = 1, **options):
    torch.manual_seed(0)
    return create_model(ModelConfig(name=f"emonext_{name}", input_size=size, options=options), 7, channels)


def parameters(model) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_the_published_network(name):
    with torch.device("meta"):
        assert parameters(build(name, 224, 3)) == COUNTS[name]


@pytest.mark.parametrize("name", PLAIN)
def test_counts_of_plain_convnext(name):
    with torch.device("meta"):
        plain = create_model(ModelConfig(name=f"timm:convnext_{name}", input_size=224), 7, 3)
        bare = build(name, 224, 3, stn=False, se="none", attention="none")
    assert parameters(plain) == PLAIN[name] == parameters(bare)


@pytest.mark.parametrize("name", PUBLISHED)
def test_logits_of_the_published_network(name):
    """Same weights, same logits: reference logits were computed by the authors' code, which is not part of this project."""
    model, images = build(name, 224, 3).eval(), seeded_images()
    ours = model.state_dict()
    published = fill({published_name(key): value.shape for key, value in ours.items()})
    assert len(published) == len(ours)
    model.load_state_dict({key: published[published_name(key)] for key in ours})
    with torch.no_grad():
        logits, penalty = model.forward_with_penalty(images)
    expected = torch.tensor(PUBLISHED[name]["logits"])
    assert torch.allclose(logits, expected, atol=1e-4) and expected.std() > 0.05
    assert float(penalty) == pytest.approx(PUBLISHED[name]["penalty"], rel=1e-4)
    with torch.no_grad():  # each part matters: the same without it is far off
        model.stn.start_as_identity()
        assert not torch.allclose(model(images), expected, atol=1e-2)


@pytest.mark.parametrize("size", [32, 48, 64, 224])
def test_the_transformer_starts_as_the_identity(size):
    model = build("atto", size)
    images = torch.rand(2, 1, size, size)
    assert torch.allclose(model.stn(images), images, atol=1e-4)
    assert model(images).shape == (2, 7)


def test_penalty_by_hand():
    """Two features on the axes, identity projections: scores are their inner products over D^power."""
    penalty = AttentionPenalty(2, 0.5)
    for layer in (penalty.query, penalty.key):
        layer.weight.data.copy_(torch.eye(2))
        layer.bias.data.zero_()
    x = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])  # what its layer normalisation leaves unchanged
    weight = 1 / (1 + torch.exp(torch.tensor(-4 / 2**0.5)))  # softmax of (2, -2) / sqrt 2
    assert penalty(x).item() == pytest.approx(float((weight - 0.5) ** 2), rel=1e-4)
    assert penalty(x[:1]).item() == 0.0
    assert AttentionPenalty(16, 0.25).scale == 0.5


def test_penalty_of_a_run():
    images = torch.rand(3, 1, 64, 64)
    model = build("atto").train()
    logits, penalty = model.forward_with_penalty(images)
    assert penalty > 0 and model.forward_with_penalty(images[:2])[1] != penalty
    model.eval()
    assert model.forward_with_penalty(images[:1])[1] == 0
    half = build("atto", attention_weight=0.5).eval()
    assert torch.allclose(2 * half.forward_with_penalty(images)[1], model.forward_with_penalty(images)[1])
    tokens = build("atto", attention="tokens").eval()
    assert tokens.forward_with_penalty(images[:1])[1] > 0  # within an image, so a batch of one has a penalty too
    assert build("atto", attention="none").forward_with_penalty(images)[1] == 0 and logits.shape == (3, 7)


@pytest.mark.parametrize("options", [{}, {"se": "after"}, {"se": "none"}, {"attention": "tokens"}, {"stn": False}])
def test_a_gradient_in_every_parameter(options):
    """All but the value projection, whose output the published code computes and does not use."""
    model = build("atto", drop_path_rate=0.0, **options)
    logits, penalty = model.forward_with_penalty(torch.rand(4, 1, 64, 64))
    (logits.square().mean() + penalty).backward()
    missing = {name.rsplit(".", 1)[0] for name, p in model.named_parameters() if p.grad is None}
    assert missing <= {"attention.value"}
    inside = [id(p) for stage in model.stages() for p in stage.parameters()]
    assert len(inside) == len(set(inside)) == len(list(model.parameters()))


def test_squeeze_and_excitation_stands_where_it_is_said():
    before, after = build("atto"), build("atto", se="after")
    assert [len(list(se.parameters())) for se in before.se] == [0, 2, 2, 2]
    assert [len(list(se.parameters())) for se in after.se] == [2, 2, 2, 2]
    assert sum(p.numel() for p in after.se[-1].parameters()) == 2 * 320 * 320 // 16


def test_wrong_options():
    for options, words in (({"se": "everywhere"}, "se is 'everywhere', allowed: none, before, after"),
                           ({"attention": "self"}, "attention is 'self'")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            build("atto", **options)
    with pytest.raises(InputError, match="input_size is 24, allowed: 32"):
        build("atto", 24)


def test_a_step_in_bfloat16():
    model = build("atto").train()
    with torch.autocast("cpu", torch.bfloat16):
        logits, penalty = model.forward_with_penalty(torch.rand(4, 1, 64, 64))
    (logits.float().square().mean() + penalty).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_saliency_at_the_stated_layer():
    for options in ({}, {"se": "after"}):
        model, seen = build("atto", 96, **options), []
        handle = model.cam_layer.register_forward_hook(lambda module, given, made, seen=seen: seen.append(made.shape))
        model(torch.rand(1, 1, 96, 96))
        handle.remove()
        assert seen == [(1, 320, 3, 3)]


@pytest.mark.parametrize("name", ["atto", "pico", *COUNTS])
def test_the_trunk_is_what_the_weights_were_made_for(name):
    """Names and shapes of timm's network, but for 1x1 convolutions that are linear layers here (atto and pico)."""
    with torch.device("meta"):
        weights, net = build(name, 224, 3).trunk()
        theirs = timm.create_model(weights, num_classes=7).state_dict()
    assert weights in timm.list_pretrained("convnext_*")
    ours = net.state_dict()
    assert set(ours) == set(theirs)
    differ = {key for key in ours if ours[key].shape != theirs[key].shape}
    assert all(theirs[key].shape == (*ours[key].shape, 1, 1) for key in differ)
    assert bool(differ) == (name in ("atto", "pico"))


def test_the_start_is_that_of_the_published_code():
    """Every convolution and linear layer: normal with deviation .02, cut off far outside, biases zero."""
    model = build("atto")
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear) and module is not model.stn.regressor[-1]:
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.35) and module.weight.abs().max() < 0.2
            assert module.bias is None or not module.bias.any()
