"""Networks of your own, named where they lie: ``package.module:Class``.

Any ``torch.nn.Module`` whose constructor takes ``num_classes``, and whose ``forward`` maps images
``(B, C, H, W)`` to logits ``(B, num_classes)``, will do; a ``FaceModel`` can do more.
"""

from __future__ import annotations

import importlib
import inspect
import sys

import torch
from torch import nn

from ..settings.checkout import ROOT
from ..settings.errors import InputError
from .registry import GIVEN, FaceModel, enter
from .timm_models import one_line

OPTIONS = (bool, int, float, str)
"""Types of defaults that make an argument of a constructor an option."""


def import_network(name: str) -> None:
    """Import ``package.module:Class`` and make it known by this name.

    Modules are looked for where Python does, then in the checkout (of the command alone: in the
    folder of the call).

    Raises:
        InputError: there is no such module or class, the module cannot be imported, or the class
            is no network.
    """
    place, _, wanted = name.partition(":")
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    try:
        module = importlib.import_module(place)
    except Exception as error:  # code of others: whatever it raises
        raise InputError(
            f"model {name!r}: module {place} cannot be imported, in {ROOT} or elsewhere: "
            f"{one_line(error)}"
        ) from None
    kind = getattr(module, wanted, None)
    if not inspect.isclass(kind) or not issubclass(kind, nn.Module):
        there = [
            key
            for key, value in vars(module).items()
            if inspect.isclass(value) and issubclass(value, nn.Module)
        ]
        known = ", ".join(there) or "none"
        raise InputError(f"model {name!r}: {place} has no network {wanted!r}; it has {known}")
    enter(name, kind if issubclass(kind, FaceModel) else adapt(name, kind), kind)


def adapt(name: str, kind: type[nn.Module]) -> type[FaceModel]:
    """Put a module behind the contract.

    Arguments of its constructor with a default that is a number, a word, true or false are its
    options. Its ``cam_layer`` and ``stages()`` are used where it has them; without, it has no
    saliency maps, and is one stage.

    Raises:
        InputError: its constructor takes no ``num_classes``.
    """
    arguments = inspect.signature(kind).parameters
    if "num_classes" not in arguments:
        raise InputError(f"model {name!r}: its constructor has no argument num_classes")
    options = [
        argument.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for key, argument in arguments.items()
        if key not in GIVEN
        and argument.kind not in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL)
        and (argument.default is argument.empty or isinstance(argument.default, OPTIONS))
    ]

    class Adapted(FaceModel):
        __signature__ = inspect.Signature(
            [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY) for key in GIVEN] + options
        )

        def __init__(self, **given: int | float | bool | str) -> None:
            super().__init__()
            try:
                self.network = kind(**{k: v for k, v in given.items() if k in arguments})
            except Exception as error:
                raise InputError(f"model {name}: {one_line(error)}") from None
            check_logits(name, self, *(given[key] for key in GIVEN))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.network(images)

        @property
        def cam_layer(self) -> nn.Module:
            return getattr(self.network, "cam_layer", self.network)

        def stages(self) -> list[nn.Module]:
            own = getattr(self.network, "stages", None)
            return own() if callable(own) else [self.network]

    return Adapted


def check_logits(
    name: str, model: nn.Module, num_classes: int, in_channels: int, input_size: int
) -> None:
    """Show a network two black images, and draw no random number.

    Raises:
        InputError: it cannot take them, or does not put out ``num_classes`` numbers for each.
    """
    images = torch.zeros(2, in_channels, input_size, input_size)
    taken = f"images of {in_channels} x {input_size} x {input_size}"
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            made = model.eval()(images)
    except Exception as error:
        raise InputError(f"model {name}: cannot take {taken}: {one_line(error)}") from None
    model.train()
    shape = tuple(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
    if shape != (2, num_classes):
        raise InputError(
            f"model {name}: makes {shape} of 2 {taken}, allowed: a tensor (2, {num_classes})"
        )
