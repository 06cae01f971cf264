"""The shapes that an image takes on its way through a network, for its diagram."""

from __future__ import annotations

import pandas as pd
import torch
from torch import nn

from ..settings.experiment import ModelConfig
from .modes import eval_mode
from .registry import create_model

BLOCKS = ("BasicBlock", "Bottleneck", "ConvNeXtBlock", "ResidualBlock", "TransformerBlock")
"""Classes that add their input to what they compute."""

BESIDE = {
    "CBAM": ("gate", "CBAM"),
    "SEModule": ("gate", "SE"),
    "SqueezeExcitation": ("gate", "SE"),
    "SpatialAttention": ("gate", "spatial"),
    "ChannelSpatial": ("gate", "channel\n+ spatial"),
    "Attention": ("guide", "self-\nattention"),
    "SpatialTransformer": ("guide", "where to\nread"),
    "ClassBranches": ("branches", "frequent\nrare"),
}
"""Classes that multiply, say where to read, or part; and what a diagram calls them."""


def paths_of(module: nn.Module) -> tuple[tuple[str, str], ...]:
    """Name what goes around or beside the layers of a part, as pairs of a kind and a label.

    ``skip`` counts the blocks that add their input; of two gates the labels are joined.
    """
    names = [type(part).__name__ for part in module.modules()]
    paths: dict[str, str] = {}
    if count := sum(name in BLOCKS for name in names):
        paths["skip"] = f"{count} block{'s' if count > 1 else ''}"
    for kind, label in dict.fromkeys(BESIDE[name] for name in names if name in BESIDE):
        paths[kind] = f"{paths[kind]},\n{label}" if kind in paths else label
    return tuple(paths.items())


def trace(
    config: ModelConfig, parts: dict[str, str], num_classes: int = 7, in_channels: int = 1
) -> pd.DataFrame:
    """What leaves some parts of a network, on the meta device.

    Args:
        parts: name to print -> path of the module in the network, like ``net.stages.0``.

    Returns:
        A row a part, in the order in which they run: ``part``, ``channels`` and ``side`` (of the
            map that leaves it; of tokens the root of their number; 1 for vectors), ``parameters``
            and ``paths`` (see ``paths_of``).

    Raises:
        ValueError: the network has no module of a path, or does not call it.
    """
    rows: list[dict[str, object]] = []
    with torch.device("meta"):
        model = create_model(config, num_classes, in_channels)
        handles = []
        for name, path in parts.items():
            try:
                module = model.get_submodule(path)
            except AttributeError:
                raise ValueError(f"{config.name} has no module {path!r}") from None

            def note(
                module: nn.Module, _given: object, made: torch.Tensor, name: str = name
            ) -> None:
                channels = made.shape[1] if made.dim() == 4 else made.shape[-1]
                side = {4: made.shape[-1], 3: round(made.shape[1] ** 0.5), 2: 1}[made.dim()]
                parameters = sum(p.numel() for p in module.parameters())
                shape = {"part": name, "channels": channels, "side": side}
                rows.append(shape | {"parameters": parameters, "paths": paths_of(module)})

            handles.append(module.register_forward_hook(note))
        with eval_mode(model):
            model(torch.zeros(1, in_channels, config.input_size, config.input_size))
    for handle in handles:
        handle.remove()
    if missing := sorted(set(parts) - {row["part"] for row in rows}):
        raise ValueError(f"{config.name} does not call {parts[missing[0]]!r}")
    return pd.DataFrame(rows).drop_duplicates("part", ignore_index=True)
