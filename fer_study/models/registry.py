"""The registry of networks and the contract that they keep."""

from __future__ import annotations

import inspect
import linecache
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal, get_args, get_origin, get_type_hints

import torch
from torch import nn

from ..settings.checkout import PACKAGE, code_hash, short_hash
from ..settings.errors import InputError
from ..settings.experiment import ModelConfig

NOT_NETWORKS = ("hog_svm",)
"""Names of systems that are trained elsewhere (``baseline.py``)."""

RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("dropout", "head_dropout", "drop_rate", "drop_path", "drop_path_rate"), (0, 1)
    ),
    **dict.fromkeys(("hidden", "convolutions", "local_channels", "se_reduction"), (1, math.inf)),
    **dict.fromkeys(
        ("attention_power", "attention_weight", "branch_weight", "mlp_ratio"), (0, math.inf)
    ),
    "width": (1 / 8, math.inf),
}
"""Option, of whichever network has it -> least value, and the first that is too large. At 1/8 of
its width every layer of every network still has channels."""

GIVEN = ("num_classes", "in_channels", "input_size")
"""Arguments of every constructor that are no options."""

_REGISTRY: dict[str, Callable[..., FaceModel]] = {}
_SOURCES: dict[str, tuple[str, str]] = {}
"""Name -> file in the checkout, empty outside the package, and hash of the source as it was when
the name was registered."""


class FaceModel(nn.Module):
    """Contract of every network.

    ``forward`` maps ``images: (B, C, H, W) float32, normalised`` to ``logits: (B, K)``;
    ``training_outputs`` adds what else a training step learns from, which ``extra_outputs``
    declares; ``stages`` lists its parts from the head to the stem, for unfreezing; ``cam_layer`` is
    the layer whose activations Grad-CAM weighs; ``trunk`` is the part that published weights fill.
    """

    added_options: ClassVar[frozenset[str]] = frozenset()
    """Options that came after records were published: ``resolve`` leaves them out while they hold
    their default, so that old records keep their keys."""

    @property
    def cam_layer(self) -> nn.Module:
        """The layer whose activations Grad-CAM weighs; a property: its weights are stored once."""
        raise NotImplementedError

    def cam_map(self, activations: torch.Tensor) -> torch.Tensor:
        """Lay out activations of ``cam_layer``, or their gradients, as a map (B, D, h, w).

        Networks of tokens have to.
        """
        return activations

    @classmethod
    def extra_outputs(cls, options: dict[str, int | float | bool | str]) -> tuple[str, ...]:
        """Name what ``training_outputs`` holds beside the logits, with these options, all given.

        ``penalty``, a scalar that is added to the loss (all else that ``training_outputs`` then
        holds is written into the history), or ``branch``, logits (B, K) of a second head, which
        needs an attribute ``branch_weight`` (``objectives.JointGenerator``).
        """
        return ()

    def training_outputs(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """``{"logits": (B, K)}`` and what ``extra_outputs`` declares."""
        return {"logits": self(images)}

    def spatial_transformer(self) -> nn.Module | None:
        """The part that warps images before anything else sees them, which learns at a rate of its
        own where ``OptimiserConfig.warp_rate`` says so; None: there is none."""
        return None

    def stages(self) -> list[nn.Module]:
        """Parts of the network from head to stem; together they hold every parameter once."""
        raise NotImplementedError

    def trunk(self) -> tuple[str, nn.Module] | None:
        """Name the ImageNet weights in timm, and the submodule that they fill; None: none there.

        The submodule names its weights as timm does. Its classifier, if it has one, has other
        classes; the first convolution may have other input channels; and a weight may differ in
        shape by axes of length 1 (a 1x1 convolution in timm, a linear layer here).
        """
        return None


def start_as_he(model: nn.Module) -> None:
    """Fresh weights of every convolution by He et al. (2015), as for ReLU networks."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def check_side(name: str, input_size: int, least: int) -> None:
    """Refuse an input size below the least that the layers of a network can take."""
    if input_size < least:
        raise InputError(f"model {name}: input_size is {input_size}, allowed: {least} and more")


def register(name: str) -> Callable[[Callable[..., FaceModel]], Callable[..., FaceModel]]:
    """Class decorator: make a network known by ``name``.

    The constructor takes ``num_classes, in_channels, input_size`` and its own options with
    defaults; an option annotated as ``Literal`` takes only the values that it lists.

    Raises:
        KeyError: the name is taken.
        InputError: a class that does not keep the contract, or whose source cannot be read.
    """

    def add(factory: Callable[..., FaceModel]) -> Callable[..., FaceModel]:
        if name in _REGISTRY:
            raise KeyError(f"model {name!r} is registered already")
        enter(name, factory, factory)
        return factory

    return add


def enter(name: str, factory: Callable[..., FaceModel], written: Callable) -> None:
    """Make a network known by ``name``; ``written`` is the class whose source counts.

    Raises:
        InputError: see ``register``.
    """
    check_factory(name, factory)
    _SOURCES[name] = read_source(name, written)
    _REGISTRY[name] = factory


def check_factory(name: str, factory: object) -> None:
    """Refuse what makes no network of the contract, as far as can be seen without making one.

    Raises:
        InputError: no class of ``FaceModel`` and no function, or arguments other than ``register``
            says.
    """
    if not inspect.isfunction(factory) and not (
        inspect.isclass(factory) and issubclass(factory, FaceModel)
    ):
        raise InputError(
            f"model {name!r}: {getattr(factory, '__name__', factory)} has to derive from "
            "fer_study.models.FaceModel, and to "
            "define forward, stages and cam_layer"
        )
    arguments = inspect.signature(factory).parameters
    if missing := [key for key in GIVEN if key not in arguments]:
        raise InputError(
            f"model {name!r}: its constructor has no argument {missing[0]}, it needs "
            f"{', '.join(GIVEN)}"
        )
    if bare := [
        key
        for key, argument in arguments.items()
        if key not in GIVEN and argument.default is inspect.Parameter.empty
    ]:
        raise InputError(f"model {name!r}: option {bare[0]} has no default, every option needs one")


def read_source(name: str, factory: Callable[..., FaceModel]) -> tuple[str, str]:
    """Name the file of a network in the checkout, and hash its code.

    Outside the package the file is empty, and the hash is part of the key: it is that of the text
    of the file, or cell of a notebook, where its class and those that it derives from are defined.

    Raises:
        InputError: there is no source to be read, so records of other code could not be told apart.
    """
    package = __name__.partition(".")[0]
    if factory.__module__.partition(".")[0] == package:
        path = Path(inspect.getfile(factory)).resolve()
        file = path.relative_to(PACKAGE.parent).as_posix()
        return file, code_hash(path.read_text(encoding="utf-8"))
    known = (package, "torch", "builtins")
    kinds = inspect.getmro(factory) if inspect.isclass(factory) else (factory,)
    texts = [source_text(kind) for kind in kinds if kind.__module__.partition(".")[0] not in known]
    if not all(texts):
        raise InputError(
            f"model {name!r}: the source of its class cannot be read; define it in a file or a "
            "notebook"
        )
    return "", short_hash("\n".join(dict.fromkeys(texts)))


def source_text(kind: type | Callable) -> str:
    """Read the file, or cell, in which a class or function is defined; empty: it cannot be read."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None:  # a cell: its functions remember where they come from
        functions = [
            inspect.unwrap(part)
            for part in (kind, *vars(kind).values())
            if inspect.isfunction(part)
        ]
        file = next((function.__code__.co_filename for function in functions), "")
    linecache.checkcache(file)
    return "".join(linecache.getlines(file))


def source_of(name: str) -> str:
    """Give what the key of a run holds of the code of its network.

    The hash of its source where it lies outside the package; nothing of a name that is not
    registered.
    """
    file, mark = _SOURCES.get(name, ("", ""))
    return "" if file else mark


def names() -> list[str]:
    """Registered names; ``timm:<name>`` stands for any timm classifier.

    Networks of your own, ``module:Class``, are not among them.
    """
    return sorted(name for name in _REGISTRY if ":" not in name)


def _key(name: str) -> str:
    key = "timm" if name.startswith("timm:") else name
    if ":" in key and key not in _REGISTRY:
        from .own import import_network  # which enters its networks here

        import_network(key)
    if key not in _REGISTRY or name == "timm":
        known = ", ".join([*(n if n != "timm" else "timm:<name>" for n in names()), "module:Class"])
        raise InputError(f"unknown model {name!r}; known: {known}")
    return key


def _lookup(name: str) -> Callable[..., FaceModel]:
    return _REGISTRY[_key(name)]


def options_of(name: str) -> dict[str, int | float | bool | str]:
    """The options of a network with their defaults.

    Raises:
        InputError: unknown model.
    """
    parameters = inspect.signature(_lookup(name)).parameters
    return {key: p.default for key, p in parameters.items() if key not in (*GIVEN, "name")}


def choices_of(name: str) -> dict[str, tuple]:
    """List what each option may be, of those that the constructor annotates as ``Literal``."""
    factory = _lookup(name)
    hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    return {key: get_args(hint) for key, hint in hints.items() if get_origin(hint) is Literal}


def extra_outputs(config: ModelConfig) -> tuple[str, ...]:
    """What a network puts out for training beside its logits; see ``FaceModel.extra_outputs``.

    Raises:
        InputError: unknown model.
    """
    factory = _lookup(config.name)
    if not inspect.isclass(factory):
        return ()
    return factory.extra_outputs({**options_of(config.name), **config.options})


def resolve(config: ModelConfig) -> ModelConfig:
    """Spell out every option of a config.

    So its key does not depend on defaults in the code. A network from outside the package gets the
    hash of its source, too.

    Raises:
        InputError: unknown model or option, or an option of the wrong type, outside ``RANGES`` or
            not among its choices.
    """
    if config.name in NOT_NETWORKS:
        return config
    if config.name.startswith("timm:"):
        from .timm_models import check_name  # which registers its networks here

        check_name(config.name.removeprefix("timm:"))
    defaults, choices, given = options_of(config.name), choices_of(config.name), {}
    for key, value in config.options.items():
        if key not in defaults:
            raise InputError(
                f"model {config.name}: unknown option {key!r}; allowed: "
                f"{', '.join(defaults) or 'none'}"
            )
        expected = type(defaults[key])
        if type(value) is not expected and not (expected is float and type(value) is int):
            raise InputError(
                f"model {config.name}: option {key} is {value!r}, expected {expected.__name__}"
            )
        given[key] = expected(value)  # 1 and 1.0 are one option, so one key
        if value not in choices.get(key, (value,)):
            raise InputError(
                f"model {config.name}: {key} is {value!r}, allowed: "
                f"{', '.join(map(str, choices[key]))}"
            )
        if key in RANGES and not RANGES[key][0] <= value < RANGES[key][1]:
            below = "" if RANGES[key][1] == math.inf else f", below {RANGES[key][1]}"
            raise InputError(
                f"model {config.name}: {key} is {value!r}, allowed: {RANGES[key][0]} and "
                f"more{below}"
            )
    added = getattr(_lookup(config.name), "added_options", frozenset())
    spelled = {**defaults, **given}
    options = {
        key: value for key, value in spelled.items() if key not in added or value != defaults[key]
    }
    return config.replace(options=options, source=source_of(config.name))


def create_model(config: ModelConfig, num_classes: int, in_channels: int = 1) -> FaceModel:
    """Build the network of a config with fresh weights, drawn from torch's global generator.

    Raises:
        InputError: see ``resolve``; an input size that the network cannot take; or the network is
            now another.
    """
    factory = _lookup(config.name)
    if config.source and config.source != source_of(config.name):
        raise InputError(
            f"model {config.name}: its code has changed since this config was made; make a new "
            "config"
        )
    options = dict(resolve(config).options)
    if config.name.startswith("timm:"):
        options["name"] = config.name.removeprefix("timm:")
    made = factory(
        num_classes=num_classes, in_channels=in_channels, input_size=config.input_size, **options
    )
    if not isinstance(made, FaceModel):
        raise InputError(
            f"model {config.name}: makes a {type(made).__name__}, allowed: a "
            "fer_study.models.FaceModel"
        )
    return made


def code_of(name: str) -> dict[str, str]:
    """What a record says of the code of a network of the package (see ``checkout.other_code``)."""
    file, mark = _SOURCES[_key(name)]
    return {"network_source": f"{file} {mark}"} if file else {}
