"""EmoNeXt: counts and logits of the published network, the identity of the transformer, the penalty by hand."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import timm
import torch

from emonext_weights import fill, published_name, seeded_images
from fer_study.models import FaceModel, create_model
from fer_study.models.emonext import AttentionPenalty, entropy, largest_variance, variance
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import ModelConfig, OptimiserConfig
from fer_study.training.loop import parameter_groups
from fer_study.training.losses import soft_cross_entropy
from fer_study.training.objectives import Penalised
from network_checks import UNMOVED, awake, silent

PUBLISHED = json.loads((Path(__file__).parent / "emonext_logits.json").read_text())
COUNTS = {"tiny": 30_564_331, "small": 52_198_891, "base": 91_765_259, "large": 204_582_475, "xlarge": 362_312_331}
PLAIN = {"tiny": 27_825_511, "small": 49_460_071, "base": 87_573_639, "large": 196_241_095, "xlarge": 348_162_311}
SIZES = {
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
    "xlarge": ((3, 3, 27, 3), (256, 512, 1024, 2048)),
}
"""Blocks and channels of each stage (Liu et al., 2022, section 3)."""


def build(name: str, size: int = 64, channels: int = 1, **options):
    torch.manual_seed(0)
    return create_model(ModelConfig(name=f"emonext_{name}", input_size=size, options=options), 7, channels)


def parameters(model) -> int:
    return sum(p.numel() for p in model.parameters())


def drop_rates(model) -> list[float]:
    """Of every block, stem first; timm leaves out a rate of 0."""
    return [getattr(block.drop_path, "drop_prob", 0.0) for stage in model.net.stages for block in stage.blocks]


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_stochastic_depth_of_the_published_network(name):
    with torch.device("meta"):
        model = build(name, 224, 3)
    assert parameters(model) == COUNTS[name]
    last = sum(SIZES[name][0]) - 1
    assert drop_rates(model) == pytest.approx([0.1 * i / last for i in range(last + 1)])


def convnext_parameters(depths: tuple[int, ...], dims: tuple[int, ...], classes: int) -> int:
    """ConvNeXt's by hand (Liu et al., 2022, figure 4): a 4x4 stem, 2x2 convolutions between the stages, and blocks of a 7x7
    depthwise convolution, layer normalisation, two linear layers by way of 4 D, and layer scale."""
    stem = 3 * 4 * 4 * dims[0] + dims[0] + 2 * dims[0]
    between = sum(2 * i + 2 * 2 * i * o + o for i, o in pairwise(dims))
    block = [(49 * d + d) + 2 * d + (4 * d * d + 4 * d) + (4 * d * d + d) + d for d in dims]
    blocks = sum(n * size for n, size in zip(depths, block, strict=True))
    return stem + between + blocks + 2 * dims[-1] + (dims[-1] + 1) * classes


@pytest.mark.parametrize("name", PLAIN)
def test_counts_of_plain_convnext(name):
    assert convnext_parameters(*SIZES[name], 7) == PLAIN[name]
    with torch.device("meta"):
        plain = create_model(ModelConfig(name=f"timm:convnext_{name}", input_size=224), 7, 3)
        bare = build(name, 224, 3, stn=False, se="none", attention="none")
    assert parameters(plain) == PLAIN[name] == parameters(bare)


LONG = ("small", "base", "large", "xlarge")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.bench] * (n in LONG)) for n in PUBLISHED])
def test_logits_of_the_published_network(name):
    """Same weights, same logits: reference logits were computed by the authors' code, which is not part of this project, of
    three images (``small`` and larger: two).

    Float32 kernels of other processors move the logits by up to 1e-4 and the penalty by up to 0.13 %.
    """
    expected = torch.tensor(PUBLISHED[name]["logits"])
    model, images = build(name, 224, 3).eval(), seeded_images()[: len(expected)]
    ours = model.state_dict()
    published = fill({published_name(key): value.shape for key, value in ours.items()})
    assert len(published) == len(ours)
    model.load_state_dict({key: published[published_name(key)] for key in ours})
    with torch.no_grad():
        outputs = model.training_outputs(images)
    logits, penalty = outputs["logits"], outputs["penalty"]
    assert torch.allclose(logits, expected, atol=5e-4) and expected.std() > 0.05
    assert float(penalty) == pytest.approx(PUBLISHED[name]["penalty"], rel=5e-3)
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


def test_the_power_is_that_of_the_option():
    """Identity projections of a vector of 320 features and of its opposite: scores are +-320 / 320^power, +-76 and +-18 at
    1/4 and 1/2, where a softmax is one-hot, and +-1 at 1."""
    one = torch.tensor([1.0, -1.0]).repeat(160)  # what its layer normalisation leaves unchanged
    for power, weight in ((0.25, 1.0), (0.5, 1.0), (1.0, 1 / (1 + math.exp(-2))), (1.5, 1 / (1 + math.exp(-2 / 320**0.5)))):
        penalty = build("atto", attention_power=power).attention
        for layer in (penalty.query, penalty.key):
            layer.weight.data.copy_(torch.eye(320))
        assert penalty(torch.stack([one, -one])).item() == pytest.approx((weight - 0.5) ** 2, rel=1e-3)
    assert build("atto").attention.scale == pytest.approx(320**-0.25)
    assert build("atto", attention_power=0.5).attention.scale == pytest.approx(320**-0.5)


@pytest.mark.parametrize(("place", "dims"), [("before", (80, 160, 320)), ("after", (40, 80, 160, 320))])
def test_the_reduction_is_that_of_the_option(place, dims):
    """2 C (C // r) weights: at least one hidden unit where r is more than C."""
    bare = parameters(build("atto", se="none"))
    for reduction in (4, 16, 64, 320):
        by_hand = sum(2 * dim * max(dim // reduction, 1) for dim in dims)
        assert parameters(build("atto", se=place, se_reduction=reduction)) - bare == by_hand
    assert parameters(build("atto")) - bare == 2 * (80 * 5 + 160 * 10 + 320 * 20)


def test_penalty_of_a_run():
    images = torch.rand(3, 1, 64, 64)
    model = build("atto").train()
    penalty = lambda model, images: model.training_outputs(images)["penalty"]  # noqa: E731
    assert penalty(model, images) > 0 and penalty(model, images[:2]) != penalty(model, images)
    model.eval()
    assert penalty(model, images[:1]) == 0
    half = build("atto", attention_weight=0.5).eval()
    assert torch.allclose(2 * penalty(half, images), penalty(model, images))
    tokens = build("atto", attention="tokens").eval()
    assert penalty(tokens, images[:1]) > 0  # within an image, so a batch of one has a penalty too
    assert build("atto", attention="none").training_outputs(images).keys() == {"logits"}


def test_a_step_adds_the_penalty_and_logs_both():
    """The history shows the cross-entropy, which can be compared with validation, and the penalty beside it."""
    model, images, targets = build("atto").train(), torch.rand(3, 1, 64, 64), torch.eye(7)[:3]
    step = Penalised(model.eval(), soft_cross_entropy).step(images, targets)
    outputs = model.training_outputs(images)
    expected = soft_cross_entropy(outputs["logits"], targets)
    assert torch.equal(step.loss, expected + outputs["penalty"]) and torch.equal(step.logits, outputs["logits"])
    assert step.logs == {"loss": expected} | {name: value for name, value in outputs.items() if name != "logits"}
    assert step.logs.keys() == {"loss", "penalty", "attention_variance", "attention_entropy"}


def test_the_term_is_that_of_the_source():
    """By hand, and by its own two lines (001, section 4.7, lines 226-227)."""
    weights = torch.tensor([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0], [0.4, 0.4, 0.2]])
    mean_attention_weight = torch.mean(weights)
    attention_loss = torch.mean((weights - mean_attention_weight) ** 2)
    by_hand = (0.25 + 0.09 + 0.04 + 1 + 0.16 + 0.16 + 0.04) / 9 - 1 / 9
    assert variance(weights).item() == pytest.approx(attention_loss.item()) == pytest.approx(by_hand, rel=1e-5)
    rows = [
        -(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2)),
        0,
        -(0.8 * math.log(0.4) + 0.2 * math.log(0.2)),
    ]
    assert entropy(weights).item() == pytest.approx(sum(rows) / 3, rel=1e-5)


@pytest.mark.parametrize("attending", [1, 2, 49, 64])
def test_a_batch_bounds_the_term(attending):
    """One-hot rows reach the bound, uniform ones the other end, and nothing lies beyond it."""
    assert variance(torch.eye(attending)).item() == pytest.approx(largest_variance(attending), rel=1e-4)
    uniform = torch.full((attending, attending), 1 / attending)
    assert variance(uniform) < 1e-12 and entropy(uniform).item() == pytest.approx(math.log(attending), abs=1e-5)
    any_rows = torch.softmax(9 * torch.randn(attending, attending), dim=-1)
    assert variance(any_rows) <= largest_variance(attending) + 1e-7


def test_without_a_factor_the_attention_is_only_watched():
    images = torch.rand(3, 1, 64, 64)
    outputs = {factor: build("atto", attention_weight=factor).eval().training_outputs(images) for factor in (0.0, 1.0, 10.0)}
    spread = outputs[1.0]["attention_variance"]
    assert spread > 0 and not spread.requires_grad
    for factor, one in outputs.items():
        assert one["attention_variance"] == spread and one["penalty"].item() == pytest.approx(factor * spread.item())


class OfTokens(FaceModel):
    """Another network with an attention map: four quarters of a picture that attend to each other."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.attention, self.head = factor, AttentionPenalty(16, 0.5), torch.nn.Linear(16, 7)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.mean(dim=1).flatten(1)[:, :16])

    def training_outputs(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        weights = self.attention.weights(images.reshape(len(images), 4, 16))
        outputs = {"penalty": self.factor * variance(weights), "attention_entropy": entropy(weights)}
        return {"logits": self(images)} | outputs


def test_any_network_with_an_attention_map_can_be_penalised():
    torch.manual_seed(0)
    images, targets = torch.rand(3, 1, 8, 8), torch.eye(7)[:3]
    network = OfTokens(10.0)
    step = Penalised(network, soft_cross_entropy).step(images, targets)
    assert step.loss == step.logs["loss"] + step.logs["penalty"] and 0 < step.logs["penalty"] <= 10 * largest_variance(4)
    step.logs["penalty"].backward()
    assert network.attention.query.weight.grad.abs().sum() > 0 and network.head.weight.grad is None


def test_a_penalty_that_cannot_be_is_refused():
    with pytest.raises(InputError, match=r"emonext_atto: attention_weight is -1.0, allowed: 0 and more"):
        build("atto", attention_weight=-1.0)
    with pytest.raises(InputError, match=r"attention_weight is 2.0, but attention 'none' has nothing to penalise"):
        build("atto", attention="none", attention_weight=2.0)
    with pytest.raises(InputError, match=r"cbam_cnn.*attention_weight"):
        create_model(ModelConfig(name="cbam_cnn", options={"attention_weight": 1.0}), 7, 1)


def test_the_transformer_learns_at_a_rate_of_its_own(tiny_run):
    def groups(rate, **options):
        run = tiny_run(model=ModelConfig(name="emonext_atto", options=options), optimiser=OptimiserConfig(warp_rate=rate))
        return parameter_groups(run, model := build("atto", **options)), model

    plain, model = groups(1.0)
    assert [id(one) for one in plain] == [id(one) for one in model.parameters()]
    (rest, own), model = groups(10.0)
    assert {id(one) for one in own["params"]} == {id(one) for one in model.stn.parameters()} and own["factor"] == 10
    assert len(rest["params"]) + len(own["params"]) == len(list(model.parameters()))
    with pytest.raises(InputError, match=r"warp_rate is 10.0, allowed for emonext_atto, without a spatial transformer: 1"):
        groups(10.0, stn=False)
    assert (
        tiny_run().key
        == tiny_run(optimiser=OptimiserConfig(warp_rate=1.0)).key
        != tiny_run(optimiser=OptimiserConfig(warp_rate=2.0)).key
    )


@pytest.mark.parametrize("options", [{"se": "after"}, {"se": "none"}, {"attention": "tokens"}, {"stn": False}])
def test_a_gradient_in_every_parameter(options):
    """But for those that are named in ``UNMOVED``."""
    model = awake(build("atto", **options))
    assert {"attention.value.weight", "attention.value.bias"} <= silent(model, torch.rand(8, 1, 64, 64)) <= set(UNMOVED)
    inside = [id(p) for stage in model.stages() for p in stage.parameters()]
    assert len(inside) == len(set(inside)) == len(list(model.parameters()))


def test_squeeze_and_excitation_stands_where_it_is_said():
    before, after = build("atto"), build("atto", se="after")
    assert [len(list(se.parameters())) for se in before.se] == [0, 2, 2, 2]
    assert [len(list(se.parameters())) for se in after.se] == [2, 2, 2, 2]
    assert sum(p.numel() for p in after.se[-1].parameters()) == 2 * 320 * 320 // 16


def step_by_step(model, images: torch.Tensor, place: str) -> torch.Tensor:
    """Logits with squeeze-and-excitation ``before`` or ``after`` the blocks of each stage, by hand around timm's modules."""

    def reweighted(x: torch.Tensor, i: int) -> torch.Tensor:
        if isinstance(model.se[i], torch.nn.Identity):
            return x
        squeeze, _, excite, _ = model.se[i].fc
        hidden = (x.flatten(2).mean(dim=2) @ squeeze.weight.T).clamp(min=0)
        return x / (1 + torch.exp(-hidden @ excite.weight.T))[:, :, None, None]

    x = model.net.stem(model.stn(images))
    for i, stage in enumerate(model.net.stages):
        x = stage.downsample(x)
        if place == "before":
            x = reweighted(x, i)
        for block in stage.blocks:
            x = block(x)
        if place == "after":
            x = reweighted(x, i)
    norm, linear = model.net.head.norm, model.net.head.fc
    x = x.mean(dim=(2, 3))
    x = (x - x.mean(dim=1, keepdim=True)) / (x.var(dim=1, keepdim=True, correction=0) + norm.eps).sqrt()
    return (x * norm.weight + norm.bias) @ linear.weight.T + linear.bias


@pytest.mark.parametrize(("place", "other"), [("before", "after"), ("after", "before")])
def test_logits_step_by_step(place, other):
    """And the other place is another function of the same weights."""
    model, images = awake(build("atto", 32, se=place)).eval(), torch.randn(4, 1, 32, 32)
    for se in model.se:
        for p in se.parameters():
            torch.nn.init.normal_(p, std=0.5)
    with torch.no_grad():
        logits = model(images)
        assert torch.allclose(logits, model.training_outputs(images)["logits"])
        assert torch.allclose(logits, step_by_step(model, images, place), atol=1e-4)
        assert not torch.allclose(logits, step_by_step(model, images, other), atol=1e-2)
        assert not torch.allclose(logits, step_by_step(model, images, "none"), atol=1e-2)


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
