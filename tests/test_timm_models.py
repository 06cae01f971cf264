"""The networks of timm that the study compares: gradients and a map for Grad-CAM, at each size."""

from __future__ import annotations

import re

import numpy as np
import pytest
import timm
import torch

from fer_study.cli import main
from fer_study.models import FaceModel, create_model, resolve
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import AugmentConfig, ModelConfig
from fer_study.training.explain import grad_cam
from network_checks import awake, silent

MAPS = {
    "resnet50": (2048, 2, 7),
    "efficientnet_b3": (1536, 2, 7),
    "legacy_xception": (2048, 2, 7),
    "mobilenetv3_small_100": (576, 2, 7),
    "vit_small_patch16_224": (384, 3, 14),
    "swin_small_patch4_window7_224": (768, 2, 7),
}
"""Name -> channels of the map for Grad-CAM, its side at 48 px and at 224 px."""


def build(name: str, size: int, channels: int = 1) -> FaceModel:
    torch.manual_seed(0)
    return create_model(ModelConfig(name=f"timm:{name}", input_size=size), 7, channels)


@pytest.mark.parametrize("name", MAPS)
def test_a_gradient_in_every_parameter(name):
    """But for the shifts of a batch normalisation that has only convolutions between it and the next, which takes the shift
    away: the last of each inverted residual block."""
    found = silent(awake(build(name, 48)), torch.randn(4, 1, 48, 48))
    assert not {parameter for parameter in found if not re.fullmatch(r"net\.blocks\..*\.bn[23]\.bias", parameter)}
    assert not found or name in ("efficientnet_b3", "mobilenetv3_small_100")


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize(("channels", "size"), [(1, 48), (3, 48), (1, 224)])
def test_the_layer_of_grad_cam_gives_a_map(name, channels, size):
    with torch.device("meta"):
        model, seen = build(name, size, channels), []
        model.cam_layer.register_forward_hook(lambda module, given, made: seen.append(model.cam_map(made).shape))
        assert model(torch.empty(2, channels, size, size)).shape == (2, 7)
    depth, *sides = MAPS[name]
    side = sides[size == 224]
    assert seen == [(2, depth, side, side)]


@pytest.mark.parametrize(
    ("name", "size", "depth", "side"),
    [("vgg11", 48, 512, 3), ("nest_tiny", 224, 384, 14), ("gmlp_ti16_224", 48, 128, 3), ("sequencer2d_s", 64, 384, 4),
     ("cait_xxs24_224", 224, 192, 14), ("efficientformer_l1", 224, 448, 7), ("twins_pcpvt_small", 64, 512, 2)],
)  # fmt: skip
def test_other_families_give_a_map_too(name, size, depth, side):
    """Before the last pooling, channels last, tokens without a class token, a second head."""
    with torch.device("meta"):
        model, seen = build(name, size), []
        model.cam_layer.register_forward_hook(lambda module, given, made: seen.append(model.cam_map(made).shape))
        model.eval()(torch.empty(2, 1, size, size))
    assert seen == [(2, depth, side, side)]


@pytest.mark.parametrize("name", MAPS)
def test_grad_cam_is_not_empty(name):
    """Most of all in a ViT: the gradient at what its last block makes is zero outside the class token."""
    model = awake(build(name, 64))
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 1, 64, 64), dtype=np.uint8))
    maps = np.concatenate([grad_cam(model, images, np.array([k, k]), AugmentConfig(), 64) for k in range(3)])
    assert maps.shape == (6, 64, 64) and maps.max() == pytest.approx(1, abs=1e-3) and maps.std(axis=(1, 2)).max() > 0.05


def test_tokens_are_laid_out_row_by_row():
    vit, swin = build("vit_small_patch16_224", 48), build("swin_small_patch4_window7_224", 48)
    tokens = torch.arange(10.0).view(1, 10, 1)  # a class token, then 3x3 patches
    assert vit.cam_map(tokens).tolist() == [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]]
    assert torch.equal(swin.cam_map(torch.arange(8.0).view(1, 2, 2, 2))[0, 1], torch.tensor([[1.0, 3.0], [5.0, 7.0]]))


def test_the_trunk_is_the_network():
    model = build("resnet50", 48)
    assert model.trunk() == ("resnet50", model.net)


def same_weights(one: dict, two: dict) -> bool:
    return all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.parametrize(
    ("name", "size", "options", "words"),
    [
        ("convnext_atto", 16, {}, "model timm:convnext_atto: input_size is 16, allowed: .* such as 224 (RuntimeError: "),
        ("test_vit", 16, {"drop_path_rate": 1.0}, "drop_path_rate is 1.0, allowed: 0 and more, below 1"),
        ("test_maxvit", 24, {}, "input_size is 24, allowed: .* such as 160 (ZeroDivisionError: "),
        ("nest_tiny", 24, {}, "input_size is 24, allowed: .* such as 224 (AssertionError: First level blocks don't fit"),
        ("legacy_xception", 64, {"drop_path_rate": 0.1},
         "model timm:legacy_xception: drop_path_rate is 0.1, allowed: 0, it has no such option"),
        ("resnet50.nope", 48, {}, "unknown timm model 'resnet50.nope'; allowed: resnet50, resnet50.a1_in1k, "),
        ("nothing.a1_in1k", 48, {}, "unknown timm model 'nothing.a1_in1k'; near: "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_timm_cannot_make_is_said_in_one_line(name, size, options, words, device):
    with pytest.raises(InputError, match=re.escape(words).replace(r"\.\*", ".*")) as caught, torch.device(device):
        create_model(ModelConfig(name=f"timm:{name}", input_size=size, options=options), 7)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("old", timm.models.get_deprecated_models())
def test_a_name_that_timm_has_changed_is_refused_with_the_new_one(old):
    with pytest.raises(InputError, match=re.escape(repr(old))) as caught:
        resolve(ModelConfig(name=f"timm:{old}"))
    new = str(caught.value).split()[-1]
    assert resolve(ModelConfig(name=f"timm:{new}")) and timm.get_pretrained_cfg(new) is not None


@pytest.mark.parametrize(
    ("name", "said"), [("tf_efficientnet_b0_ns", "tf_efficientnet_b0.ns_jft_in1k"), ("resnet11", "resnet18"),
                       ("resnet50.", "resnet50.a1_in1k"), ("", "none")],
)  # fmt: skip
def test_plan_refuses_what_timm_does_not_have(name, said, caplog):
    assert main(["plan", "smoke", "03", "-p", "models", f'["timm:{name}"]', "-p", "baseline", "false"]) == 2
    (line,) = caplog.messages
    assert repr(name) in line and said in line and "\n" not in line


def test_the_smallest_side_is_not_refused():
    assert build("convnext_atto", 32).eval()(torch.zeros(1, 1, 32, 32)).shape == (1, 7)
    assert build("resnet50.a1_in1k", 16).trunk()[0] == "resnet50.a1_in1k"


@pytest.mark.parametrize("name", ["test_efficientnet", "levit_128s"])
def test_trying_the_size_leaves_no_trace(name):
    """The weights are those that timm draws, batch statistics are untouched, and nothing that was computed from the random
    start outlives it (a LeViT keeps its attention biases in evaluation mode)."""
    torch.manual_seed(0)
    fresh = timm.create_model(name, num_classes=7, in_chans=1, **({"img_size": 64} if "levit" in name else {}))
    model = build(name, 64)
    assert same_weights(fresh.state_dict(), model.net.state_dict()) and all(m.training for m in model.modules())
    other = {key: value + 0.05 * torch.rand_like(value) if value.is_floating_point() else value
             for key, value in fresh.state_dict().items()}  # fmt: skip
    for net in (fresh, model.net):
        net.load_state_dict(other)
    images = torch.randn(2, 1, 64, 64)
    expected = fresh.eval()(images)
    assert expected.isfinite().all() and torch.equal(model.eval()(images), expected)
