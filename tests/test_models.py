"""The ladder and the networks for 48 px: sizes and parts by hand, options, refusals (the contract: ``test_contract``)."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fer_study import models
from fer_study.models import registry
from fer_study.models.ladder import CBAM, FIXED_KERNELS, FixedKernels
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import ModelConfig

LADDER = ["emotion_cnn", "kernel_cnn", "baseline_cnn", "simple_resnet", "cbam_cnn"]


def make(name: str, size: int = 48, channels: int = 1, **options: object) -> models.FaceModel:
    torch.manual_seed(0)
    return models.create_model(ModelConfig(name=name, input_size=size, options=options), 7, channels)


def test_small_networks_are_the_published_ones():
    """Counts of ResNet-18 and VGG-19 without their fully connected layers, with our stem and head, by hand."""
    count = lambda name: sum(p.numel() for p in make(name).parameters())  # noqa: E731
    basic = lambda i, o, s: 9 * i * o + 9 * o * o + 4 * o + (i * o + 2 * o if s else 0)  # noqa: E731
    stages = [(64, 64, 0), (64, 128, 1), (128, 256, 1), (256, 512, 1)]
    resnet = sum(basic(i, o, s) + basic(o, o, 0) for i, o, s in stages) + 9 * 64 + 128 + 512 * 7 + 7
    plan = [1, 64, 64, 128, 128, *[256] * 4, *[512] * 8]
    vgg = sum(9 * i * o + 2 * o for i, o in pairwise(plan)) + 512 * 7 + 7
    assert count("resnet18_48") == resnet and count("vgg19_48") == vgg


def test_each_part_of_fer48_is_there():
    plain = make("fer48", se=False, depths="1-1-1")
    assert not any(type(m).__name__ == "SEModule" for m in plain.modules())
    assert sum(type(m).__name__ == "SEModule" for m in make("fer48").modules()) == 6
    pools = {
        cut: sum(isinstance(m, nn.AvgPool2d) for m in make("fer48", shortcut=cut).modules()) for cut in ("conv", "average")
    }
    assert pools == {"conv": 0, "average": 4}
    assert [len(stage) for stage in make("fer48", depths="1-3-2").blocks] == [1, 3, 2]
    assert any(isinstance(m, FixedKernels) for m in make("fer48", kernels=True).modules())
    for wrong in ("2", "2-2", "2-0-2", "2-2-2-2-2", "two"):
        with pytest.raises(InputError, match=f"depths is '{wrong}', allowed: blocks of 3 or 4 stages"):
            make("fer48", depths=wrong)


PARAMETERS = {
    "emotion_cnn": (320 + 18496 + 73856) + (4608 * 128 + 128) + (128 * 7 + 7),
    "baseline_cnn": (320 + 18496 + 73856) + (4608 * 128 + 128) + (128 * 7 + 7),
    "kernel_cnn": (5 * 9 * 32 + 32 + 18496 + 73856) + (4608 * 128 + 128) + (128 * 7 + 7),
    "simple_resnet": (5 * 9 * 32 + 64)
    + sum(9 * i * o + 2 * o + 9 * o * o + 2 * o + i * o + 2 * o for i, o in ((32, 64), (64, 128), (128, 256)))
    + (256 * 7 + 7),
    "cbam_cnn": sum(
        9 * i * o + 2 * o + 2 * o * max(o // 16, 4) + o + max(o // 16, 4) + 98 for i, o in ((5, 64), (64, 128), (128, 256))
    )
    + (9216 * 512 + 512)
    + (512 * 7 + 7),
}


@pytest.mark.parametrize("name", LADDER)
def test_number_of_parameters(name):
    assert sum(p.numel() for p in make(name).parameters()) == PARAMETERS[name]


def test_fixed_kernels_are_fixed_and_right():
    layer, images = FixedKernels(), torch.randn(2, 3, 8, 8)
    assert not list(layer.parameters()) and "kernels" in layer.state_dict()
    out, grey = layer(images), images.mean(dim=1)
    for channel, kernel in enumerate(FIXED_KERNELS.values()):
        patch = (grey[:, 2:5, 3:6] * torch.tensor(kernel, dtype=torch.float32)).sum(dim=(1, 2))
        assert torch.allclose(out[:, channel, 3, 4], patch, atol=1e-5)
    model = make("kernel_cnn", 16)
    optimiser = torch.optim.SGD(model.parameters(), 1.0)
    model(torch.randn(4, 1, 16, 16)).sum().backward()
    optimiser.step()
    assert torch.equal(model.kernels.kernels, layer.kernels)


def test_cbam_by_hand():
    torch.manual_seed(1)
    block, x = CBAM(8, kernel_size=3), torch.randn(2, 8, 5, 5)
    (first, _, second), expected = block.channel, x.clone()
    for b in range(2):
        pooled = [x[b].flatten(1).mean(dim=1), x[b].flatten(1).max(dim=1).values]
        scale = sum(second.weight @ (first.weight @ p + first.bias).clamp(min=0) + second.bias for p in pooled)
        expected[b] = x[b] * (1 / (1 + torch.exp(-scale)))[:, None, None]
        maps = F.pad(torch.stack([expected[b].mean(dim=0), expected[b].max(dim=0).values]), (1, 1, 1, 1))
        for i in range(5):
            for j in range(5):
                logit = (maps[:, i : i + 3, j : j + 3] * block.spatial.weight[0]).sum()
                expected[b, :, i, j] = expected[b, :, i, j] * torch.sigmoid(logit)
    assert torch.allclose(block(x), expected, atol=1e-6)


def test_the_ablation_removes_its_parts():
    assert not any(isinstance(m, CBAM) for m in make("cbam_cnn", attention=False).modules())
    assert not any(isinstance(m, FixedKernels) for m in make("cbam_cnn", kernels=False).modules())
    assert sum(isinstance(m, CBAM) for m in make("cbam_cnn").modules()) == 3


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"name": "nothing"}, "unknown model 'nothing'; known: .*cbam_cnn, .*timm:<name>"),
        ({"name": "timm"}, "unknown model 'timm'"),
        ({"name": "timm:resnet18x"}, "unknown timm model 'resnet18x'; near: .*resnet18"),
        ({"name": "cbam_cnn", "options": {"depth": 3}}, "unknown option 'depth'; allowed: width, kernels"),
        ({"name": "cbam_cnn", "options": {"kernels": 1}}, "option kernels is 1, expected bool"),
        ({"name": "cbam_cnn", "options": {"hidden": "many"}}, "option hidden is 'many', expected int"),
    ],
)
def test_wrong_input_is_refused(config, words):
    with pytest.raises(InputError, match=words) as caught:
        models.create_model(ModelConfig(**config), 7)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", models.registry.names())
def test_a_choice_that_is_not_offered_is_refused_before_anything_is_built(name):
    if name == "timm":
        return
    words = {key for key, value in models.options_of(name).items() if isinstance(value, str)}
    assert words - {"depths", "trunk", "branch_widths", "widths"} <= set(registry.choices_of(name)), "numbers in a word"
    for option, offered in registry.choices_of(name).items():
        assert models.options_of(name)[option] in offered
        for value in offered:
            models.resolve(ModelConfig(name=name, options={option: value}))
        wrong = type(offered[0])(9)
        with pytest.raises(InputError, match=f"model {name}: {option} is {wrong!r}, allowed: {offered[0]}, "):
            models.resolve(ModelConfig(name=name, options={option: wrong}))


def test_the_ranges():
    """As literal numbers, for the test below takes them from the table itself."""
    rates = ("dropout", "head_dropout", "drop_rate", "drop_path", "drop_path_rate")
    assert {registry.RANGES[name] for name in rates} == {(0, 1)} and registry.RANGES["width"] == (0.125, math.inf)
    assert {registry.RANGES[name][0] for name in ("hidden", "convolutions", "local_channels", "se_reduction")} == {1}


FREE = {"position", "local_kernel"}
"""Numbers that a network checks by itself."""


@pytest.mark.parametrize("name", [*(n for n in models.names() if n != "timm"), "timm:test_convnext"])
def test_a_number_outside_its_range_is_refused_before_anything_is_built(name):
    numbers = {key: type(value) for key, value in models.options_of(name).items() if type(value) in (int, float)}
    assert set(numbers) - FREE <= set(registry.RANGES)
    for key, kind in numbers.items():
        if key in FREE:
            continue
        least, end = registry.RANGES[key]
        wrong = [0 if kind is int else least - 1e-3, -1] + [end, math.inf, math.nan] * (kind is float)
        for value in map(kind, wrong):
            refused = f"model {name}: {key} is {value}, allowed: {least} and more" + f", below {end}" * (end < math.inf)
            with pytest.raises(InputError, match=re.escape(refused)) as caught:
                models.resolve(ModelConfig(name=name, options={key: value}))
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["emotion_cnn", "kernel_cnn", "baseline_cnn", "simple_resnet", "cbam_cnn", "fer48", "fast48", "resnet18_48", "vgg19_48"],
)
def test_the_narrowest_network_has_channels_in_every_layer(name):
    model = make(name, width=1 / 8)
    assert all(p.numel() for p in model.parameters()) and model(torch.rand(2, 1, 48, 48)).shape == (2, 7)


def test_options_are_spelled_out():
    resolved = models.resolve(ModelConfig(name="emotion_cnn", options={"width": 1}))
    assert resolved.options == {"width": 1, "hidden": 128, "dropout": 0.25, "head_dropout": 0.5}
    assert models.resolve(resolved) == resolved


def test_an_added_option_is_in_the_key_only_where_it_changes_something():
    plain, spelled, without = (
        models.resolve(ModelConfig(name="simple_resnet", options=options))
        for options in ({}, {"shortcuts": True}, {"shortcuts": False})
    )
    assert plain.options == {"width": 1.0, "kernels": True} and spelled == plain
    assert without.options == plain.options | {"shortcuts": False} and without.key != plain.key
    assert models.resolve(without) == without


def test_without_shortcuts_a_block_is_what_its_convolutions_say():
    """And nothing else of the network is another: the weights that are left fit one into the other."""
    plain, residual = make("simple_resnet", shortcuts=False).eval(), make("simple_resnet").eval()
    left = {key: value for key, value in residual.state_dict().items() if "shortcut" not in key}
    assert plain.load_state_dict(left) and len(left) < len(residual.state_dict())
    images = torch.rand(2, 1, 48, 48)
    x = plain.stem(plain.kernels(images))
    for block in residual.blocks:
        x = block.body(x).relu()
    assert torch.allclose(plain(images), residual.head(x.mean(dim=(2, 3))))


def test_a_name_is_registered_once():
    with pytest.raises(KeyError, match="cbam_cnn"):
        registry.register("cbam_cnn")(lambda: None)
