"""Weights and images that follow from names and seeds alone: only logits of the published network need to be stored."""

import zlib

import torch


def seeded(name: str, shape: torch.Size) -> torch.Tensor:
    """A weight of the published state dict, drawn from the hash of its name."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if name.endswith("running_var"):
        return 1 + 0.1 * drawn.abs()
    if name.endswith("gamma"):
        return 0.3 * drawn
    if len(shape) > 1:
        return drawn * shape[1:].numel() ** -0.5
    if name.endswith("fc_loc.2.bias"):
        return torch.tensor([1.0, 0, 0, 0, 1, 0]) + 0.05 * drawn
    return 0.1 * drawn + (1 if name.endswith("weight") else 0)


def fill(shapes: dict[str, torch.Size]) -> dict[str, torch.Tensor]:
    """A state dict: published name -> weight; counters are zero."""
    return {
        name: torch.zeros((), dtype=torch.int64) if name.endswith("num_batches_tracked") else seeded(name, shape)
        for name, shape in shapes.items()
    }


def seeded_images() -> torch.Tensor:
    """(3, 3, 224, 224) float32."""
    return torch.randn((3, 3, 224, 224), generator=torch.Generator().manual_seed(7)).mul(0.5)


def published_name(name: str) -> str:
    """Name of one of our weights in the published code's state dict."""
    parts = name.split(".")
    if parts[0] == "stn":
        return ".".join([{"localization": "localization", "regressor": "fc_loc"}[parts[1]], *parts[2:]])
    if parts[0] == "se":
        return ".".join(["downsample_layers", parts[1], "2", *parts[2:]])
    if parts[0] == "attention":
        return name
    if parts[1] == "stem":
        return ".".join(["downsample_layers", "0", *parts[2:]])
    if parts[1] == "head":
        return ".".join(["head" if parts[2] == "fc" else "norm", *parts[3:]])
    if parts[3] == "downsample":
        return ".".join(["downsample_layers", parts[2], *parts[4:]])
    inner = {"conv_dw": "dwconv", "norm": "norm", "gamma": "gamma", "mlp.fc1": "pwconv1", "mlp.fc2": "pwconv2"}
    key = ".".join(parts[5:7]) if parts[5] == "mlp" else parts[5]
    return ".".join(["stages", parts[2], parts[4], inner[key], *parts[7 if parts[5] == "mlp" else 6 :]])
