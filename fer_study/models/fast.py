"""A network for the CPU: as accurate as it can be after ten minutes of training on one core.

Most of a step on a CPU goes to maps, not to filters: normalising and activating one of 24x24 and 64
channels takes longer than the convolution that made it (``airbench``, Jordan 2024, of a GPU too).
So a map is halved before it is normalised, the stem learns nothing, and the filters are many where
the maps are small. The page ``design`` says what each step brought.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from .registry import FaceModel, check_side, register, start_as_he


class CosineStem(nn.Module):
    """Fixed cosine filters at half the side: (B, C, H, W) -> (B, 2 * filters, H / 2, W / 2).

    Channels are averaged first. The lowest frequencies of the discrete cosine transform of 6x6
    patches are close to the principal components of the patches of photographs; normalised filter
    by filter they whiten them, as the first layer of Jordan (2024, section 3.2) does, and need no
    data. Positive and negative parts are kept apart (Shang et al., 2016, CReLU). Nothing is
    learned, so nothing is differentiated at the largest maps.
    """

    side, stride = 6, 2

    def __init__(self, filters: int = 16) -> None:
        super().__init__()
        places = torch.arange(self.side) + 0.5
        waves = [torch.cos(math.pi * u * places / self.side) for u in range(self.side)]
        pairs = [(u, v) for u in range(self.side) for v in range(self.side)]
        lowest = sorted(pairs, key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair))[:filters]
        patches = torch.stack([torch.outer(waves[u], waves[v]) for u, v in lowest])
        norms = patches.flatten(1).norm(dim=1).view(-1, 1, 1)
        self.register_buffer("filters", (patches / norms).unsqueeze(1))
        self.norm = nn.BatchNorm2d(filters, affine=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grey = images.mean(dim=1, keepdim=True)
        padding = (self.side - self.stride) // 2
        found = self.norm(F.conv2d(grey, self.filters, stride=self.stride, padding=padding))
        return torch.cat([F.relu(found), F.relu(-found)], dim=1)


def _convolution(inputs: int, outputs: int, halve: bool) -> nn.Sequential:
    """A 3x3 convolution; a map that is halved is normalised after it, at a quarter of the cost."""
    pool = [nn.MaxPool2d(2)] if halve else []
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(conv, *pool, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _Stage(nn.Module):
    """Halve the map, then add one convolution to it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.halve = _convolution(inputs, outputs, halve=True)
        self.add = _convolution(outputs, outputs, halve=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        maps = self.halve(maps)
        return maps + self.add(maps)


@register("fast48")
class Fast48(FaceModel):
    """Ours for time to accuracy: a fixed stem, three stages of two convolutions, global average.

    Images from 16 px, where the last map is a single place.

    Args:
        width: factor of the filters of the stages, 64, 128 and 256.
        dropout: before the linear layer.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        width: float = 1.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_side("fast48", input_size, 16)
        stem = CosineStem()
        widths = [8 * max(round(width * filters / 8), 1) for filters in (64, 128, 256)]
        channels = [2 * len(stem.filters), *widths]
        self.stem = stem
        self.blocks = nn.ModuleList(_Stage(i, o) for i, o in pairwise(channels))
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels[-1], num_classes),
        )
        start_as_he(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    @property
    def cam_layer(self) -> nn.Module:
        return self.blocks[-1]

    def stages(self) -> list[nn.Module]:
        return [self.head, *reversed(self.blocks)]
