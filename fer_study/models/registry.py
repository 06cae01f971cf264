"""The registry of networks and the contract that they keep."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable

import torch
from torch import nn

from ..config import ModelConfig
from ..errors import InputError

NOT_NETWORKS = ("hog_svm",)
"""Names of systems that are trained elsewhere (``baseline.py``)."""

RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("dropout", "head_dropout", "drop_rate", "drop_path", "drop_path_rate"), (0, 1)),
    **dict.fromkeys(("hidden", "convolutions", "local_channels", "se_reduction"), (1, math.inf)),
    **dict.fromkeys(("attention_power", "attention_weight", "branch_weight", "mlp_ratio"), (0, math.inf)),
    "width": (1 / 8, math.inf),
}
"""Option, of whichever network has it -> least value, and the first that is too large. At 1/8 of its width every layer of
every network still has channels."""

_REGISTRY: dict[str, Callable[..., FaceModel]] = {}


class FaceModel(nn.Module):
    """Contract of every network.

    ``forward`` maps ``images: (B, C, H, W) float32, normalised`` to ``logits: (B, K)``; ``forward_with_penalty`` adds a
    scalar that the loss is increased by; ``stages`` lists its parts from the head to the stem, for unfreezing; ``cam_layer``
    is the layer whose activations Grad-CAM weighs; ``trunk`` is the part that published weights fill.
    """

    @property
    def cam_layer(self) -> nn.Module:
        """The layer whose activations Grad-CAM weighs; a property, so that its weights are stored once."""
        raise NotImplementedError

    def cam_map(self, activations: torch.Tensor) -> torch.Tensor:
        """Activations of ``cam_layer``, or their gradients, as a map (B, D, h, w); networks of tokens lay them out."""
        return activations

    def forward_with_penalty(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``(logits (B, K), penalty scalar)``; the penalty is 0 unless a network says otherwise."""
        logits = self(images)
        return logits, logits.new_zeros(())

    def stages(self) -> list[nn.Module]:
        """Parts of the network from head to stem; together they hold every parameter once."""
        raise NotImplementedError

    def trunk(self) -> tuple[str, nn.Module] | None:
        """``(timm name of the ImageNet weights, the submodule that they fill)``; None where there are none.

        The submodule names its weights as timm does. Its classifier, if it has one, has other classes; the first convolution
        may have other input channels; and a weight may differ in shape by axes of length 1 (a 1x1 convolution in timm, a
        linear layer here).
        """
        return None


def start_as_he(model: nn.Module) -> None:
    """Fresh weights of every convolution by He et al. (2015), as for ReLU networks."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def register(name: str) -> Callable[[Callable[..., FaceModel]], Callable[..., FaceModel]]:
    """Class decorator: make a network known by ``name``.

    The constructor takes ``num_classes, in_channels, input_size`` and its own options with defaults.

    Raises:
        KeyError: the name is taken.
    """

    def add(factory: Callable[..., FaceModel]) -> Callable[..., FaceModel]:
        if name in _REGISTRY:
            raise KeyError(f"model {name!r} is registered already")
        _REGISTRY[name] = factory
        return factory

    return add


def names() -> list[str]:
    """Registered names; ``timm:<name>`` stands for any timm classifier."""
    return sorted(_REGISTRY)


def _lookup(name: str) -> Callable[..., FaceModel]:
    key = "timm" if name.startswith("timm:") else name
    if key not in _REGISTRY or name == "timm":
        known = ", ".join(n if n != "timm" else "timm:<name>" for n in names())
        raise InputError(f"unknown model {name!r}; known: {known}")
    return _REGISTRY[key]


def options_of(name: str) -> dict[str, int | float | bool | str]:
    """The options of a network with their defaults.

    Raises:
        InputError: unknown model.
    """
    parameters = inspect.signature(_lookup(name)).parameters
    common = ("num_classes", "in_channels", "input_size", "name")
    return {key: p.default for key, p in parameters.items() if key not in common}


def resolve(config: ModelConfig) -> ModelConfig:
    """The config with every option spelled out, so that its key does not depend on defaults in the code.

    Raises:
        InputError: unknown model or option, or an option of the wrong type or outside ``RANGES``.
    """
    if config.name in NOT_NETWORKS:
        return config
    if config.name.startswith("timm:"):
        from .timm_models import check_name  # which registers its networks here

        check_name(config.name.removeprefix("timm:"))
    defaults, given = options_of(config.name), {}
    for key, value in config.options.items():
        if key not in defaults:
            raise InputError(f"model {config.name}: unknown option {key!r}; allowed: {', '.join(defaults) or 'none'}")
        expected = type(defaults[key])
        if type(value) is not expected and not (expected is float and type(value) is int):
            raise InputError(f"model {config.name}: option {key} is {value!r}, expected {expected.__name__}")
        given[key] = expected(value)  # 1 and 1.0 are one option, so one key
        if key in RANGES and not RANGES[key][0] <= value < RANGES[key][1]:
            below = "" if RANGES[key][1] == math.inf else f", below {RANGES[key][1]}"
            raise InputError(f"model {config.name}: {key} is {value!r}, allowed: {RANGES[key][0]} and more{below}")
    return config.replace(options={**defaults, **given})


def create_model(config: ModelConfig, num_classes: int, in_channels: int = 1) -> FaceModel:
    """Build the network of a config with fresh weights, drawn from torch's global generator.

    Raises:
        InputError: see ``resolve``; or an input size that the network cannot take.
    """
    options = dict(resolve(config).options)
    if config.name.startswith("timm:"):
        options["name"] = config.name.removeprefix("timm:")
    return _lookup(config.name)(num_classes=num_classes, in_channels=in_channels, input_size=config.input_size, **options)
