"""The contract, over every registered name: the large ones narrow or on the meta device here, in full in ``test_large``."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from fer_study import models
from fer_study.models.modes import eval_mode
from fer_study.models.registry import _REGISTRY
from fer_study.settings.errors import InputError
from fer_study.settings.experiment import PARAMS, AugmentConfig, ModelConfig
from fer_study.settings.yaml_files import read_yaml
from fer_study.training.explain import grad_cam
from network_checks import UNMOVED, awake, comes_back, silent

SIDES = {
    **dict.fromkeys(["emotion_cnn", "kernel_cnn", "baseline_cnn", "cbam_cnn"], (16, 8)),
    **dict.fromkeys(["simple_resnet", "fer48", "fast48", "resnet18_48"], (16, 1)),
    "vgg19_48": (32, 1),
    **{f"emonext_{size}": (32, 1) for size in ("atto", "pico", "tiny", "small", "base", "large", "xlarge")},
    **dict.fromkeys(["resface18", "resface50", "ldg"], (48, 1)),
    **dict.fromkeys(["hybrid_resnet50", "hybrid_lite"], (33, 1)),
}
"""Registered name -> smallest side of the images, and the step from one side to the next."""

LARGE = {f"emonext_{size}" for size in ("tiny", "small", "base", "large", "xlarge")}
TIMM = {"timm:test_convnext": 48, "timm:test_vit": 64}
NAMES = [*SIDES, *TIMM]
SMALL = [name for name in NAMES if name not in LARGE]
GALLERY = sorted({n["name"] for n in read_yaml(PARAMS / "fer2013" / "gallery.yaml")["networks"] if "timm:" in n["name"]})
QUICK = ["timm:efficientnet_b3", "timm:mobilenetv3_small_100"]


def make(name: str, size: int = 64, seed: int = 0, **options: object) -> models.FaceModel:
    torch.manual_seed(seed)
    return models.create_model(ModelConfig(name=name, input_size=size, options=options), 7)


def narrow(name: str) -> dict[str, float]:
    return {"width": 0.25} if "width" in models.options_of(name) else {}


def test_every_registered_name_is_tested_here():
    assert set(SIDES) == set(models.names()) - {"timm"}
    assert set(QUICK) < set(GALLERY) and len(GALLERY) == 11


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", ["smallest", "next", 64, 224])
def test_logits_at_every_size(name, size):
    least, step = SIDES.get(name, (TIMM.get(name), 16))
    side = {"smallest": least, "next": least + step}.get(size, size)
    with torch.device("meta"):
        model, images = make(name, side), torch.zeros(2, 1, side, side)
        with eval_mode(model):
            assert model(images).shape == (2, 7)
        outputs = model.train().training_outputs(images)
    shapes = {"logits": (2, 7), "branch": (2, 7), "penalty": ()}
    taught = {key: value.shape for key, value in outputs.items() if not key.startswith("attention_")}  # those are watched
    assert taught == {key: shapes[key] for key in ("logits", *models.extra_outputs(ModelConfig(name=name)))}


@pytest.mark.parametrize("name", NAMES)
def test_three_channels(name):
    with torch.device("meta"):
        model = models.create_model(ModelConfig(name=name, input_size=64), 7, in_channels=3)
        with eval_mode(model):
            assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 7)


@pytest.mark.parametrize("name", SMALL)
def test_a_step_in_bfloat16(name):
    model = make(name, **narrow(name)).train()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model.training_outputs(torch.rand(4, 1, 64, 64))
    sum(output.float().square().mean() for output in outputs.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


CAM = {
    "emonext_atto": (96, 320, 3),
    "hybrid_resnet50": (48, 512, 2),
    "ldg": (48, 256, 2),
    "resface18": (48, 512, 3),
    "resface50": (48, 2048, 3),
}
"""Name -> side of the images, channels and side of the map for Grad-CAM."""


def test_squeeze_and_excitation_behind_the_last_stage_is_part_of_the_map():
    model = ModelConfig(name="emonext_atto", options={"se": "after"}, input_size=96)
    with torch.device("meta"):
        net = models.create_model(model, 7, 1)
    assert net.cam_layer is net.se[-1]


@pytest.mark.parametrize("name", CAM)
def test_the_layer_of_grad_cam(name):
    size, channels, side = CAM[name]
    with torch.device("meta"):
        model, seen = make(name, size), []
        model.cam_layer.register_forward_hook(lambda module, given, made: seen.append(made.shape))
        model(torch.empty(2, 1, size, size))
    assert seen == [(2, channels, side, side)]


@pytest.mark.parametrize("name", ["simple_resnet", "fer48", "fast48", "resnet18_48", "vgg19_48"])
def test_networks_that_pool_at_the_end_take_every_side(name):
    """A side that does not halve is rounded in each branch alike."""
    least, _ = SIDES[name]
    with torch.device("meta"):
        model = make(name, least)
        with eval_mode(model):
            assert {model(torch.zeros(1, 1, side, side)).shape for side in range(least, 65)} == {(1, 7)}


@pytest.mark.parametrize("name", SIDES)
def test_other_sides_are_refused_and_the_smallest_is_in_the_text(name):
    least, step = SIDES[name]
    for side in [least - step] + ([least + step // 2] if step > 1 else []):
        with pytest.raises(InputError, match=f"input_size is {side}, allowed: ") as caught, torch.device("meta"):
            _REGISTRY[name](7, 1, side)  # a config refuses what is below 16 px by itself
        assert str(least) in str(caught.value)
    text = f"{inspect.getdoc(_REGISTRY[name])} {inspect.getmodule(_REGISTRY[name]).__doc__}"
    assert f"from {least} px" in " ".join(text.split())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", ["smallest", 64])
def test_a_gradient_in_every_parameter(name, size, monkeypatch):
    """But for those that are named, with the reason, in ``UNMOVED``. The large ones have 1/8 of their width."""
    options = narrow(name)
    if name in LARGE:
        monkeypatch.setattr(_REGISTRY[name], "dims", tuple(width // 8 for width in _REGISTRY[name].dims))
        options = {"se_reduction": 4}
    side = SIDES.get(name, (TIMM.get(name), 0))[0] if size == "smallest" else size
    model = awake(make(name, side, **options))
    found = silent(model, torch.randn(8, 1, side, side))
    if name == "hybrid_lite":  # a shift of a linear bottleneck is taken away by the next normalisation
        found = {place for place in found if not place.endswith(("bn2.bias", "bn3.bias"))}
    assert found <= (set(UNMOVED) if name.startswith("emonext") else set())
    assert "attention.value.weight" in found or not name.startswith("emonext")


DROPS = [(name, option) for name in SMALL for option in models.options_of(name) if "drop" in option]


@pytest.mark.parametrize(("name", "option"), DROPS)
def test_each_dropout_makes_training_random_and_evaluation_never(name, option):
    others = {key: 0.0 for key in models.options_of(name) if "drop" in key and key != option}
    images = torch.randn(8, 1, 64, 64)
    with torch.no_grad():
        for rate in (0.0, 0.5):
            model = awake(make(name, **narrow(name), **others, **{option: rate})).train()
            assert torch.equal(model(images), model(images)) == (rate == 0)
            model.eval()
            assert torch.equal(model(images), model(images))


@pytest.mark.parametrize("name", [*NAMES, *GALLERY])
def test_stages_hold_everything_from_head_to_stem(name):
    with torch.device("meta"):
        model = make(name)
    order = {id(p): i for i, p in enumerate(model.parameters())}
    held = [id(p) for stage in model.stages() for p in stage.parameters()]
    assert len(held) == len(set(held)) and set(held) == set(order)
    stages = [s for s in model.stages() if not isinstance(s, nn.ParameterList)]  # the order of bare parameters says nothing
    first = [min(order[id(p)] for p in stage.parameters()) for stage in stages]
    assert first == sorted(first, reverse=True)
    assert any(p.shape[0] == 7 for p in stages[0].parameters()), "the head comes first"
    last = [p for stage in model.stages()[-2:] for p in stage.parameters()]
    if name == "fast48":  # its stem has no weights
        assert stages[-1] is model.blocks[0]
        return
    assert any(p.dim() == 4 and p.shape[1] in (1, 3, 5) for p in last), "the stem, which sees the image, comes last"


@pytest.mark.parametrize(
    "name", [*SMALL, *QUICK, *(pytest.param(n, marks=pytest.mark.bench) for n in GALLERY if n not in QUICK)]
)
def test_the_same_logits_after_save_and_load(name, tmp_path):
    comes_back(awake(make(name)), make(name, seed=1), torch.randn(2, 1, 64, 64), tmp_path / "weights.safetensors")


@pytest.mark.parametrize("name", SMALL)
def test_saliency_is_a_map(name):
    """Grad-CAM at the layer that the network names: several places, some of them above zero."""
    model = make(name)
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.affine):
        nn.init.ones_(norm.weight)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 1, 64, 64), dtype=np.uint8))
    maps = np.concatenate([grad_cam(model, images, np.full(4, label), AugmentConfig(), 64) for label in (0, 3, 6)])
    assert maps.shape == (12, 64, 64) and np.isfinite(maps).all() and maps.min() >= 0 and maps.max() <= 1
    assert maps.std(axis=(1, 2)).max() > 0.05, "no map has more than one value"
