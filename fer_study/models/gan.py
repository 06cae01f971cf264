"""A small generative adversarial network (Goodfellow et al., 2014) for faces of one class, after
DCGAN (Radford et al., 2016). Neither network is a classifier, so neither is registered."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ..settings.errors import InputError

DOUBLINGS = 3
"""The generator begins with a map of an eighth of the side."""


class Generator(nn.Module):
    """Draw faces from random numbers.

    DEVIATION: nearest upsampling and a convolution in place of a transposed convolution, which
    leaves a checkerboard (Odena et al., 2016).

    Args:
        latent: numbers a face.
        width: channels at full resolution.
        side: of a face in pixels, a multiple of 8.
        channels: 1 for gray faces, 3 for colour.

    Raises:
        InputError: a side that is none.
    """

    def __init__(self, latent: int, width: int, side: int, channels: int) -> None:
        super().__init__()
        if side % 2**DOUBLINGS:
            raise InputError(f"a generator of faces: side is {side}, allowed: multiples of 8")
        self.latent, self.least = latent, side // 2**DOUBLINGS
        widths = [width * 2**k for k in range(DOUBLINGS, -1, -1)]
        self.begin = nn.Linear(latent, widths[0] * self.least**2)
        self.first = nn.Sequential(nn.BatchNorm2d(widths[0]), nn.ReLU())
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Upsample(scale_factor=2),
                    nn.Conv2d(wide, narrow, 3, padding=1, bias=False),
                    nn.BatchNorm2d(narrow),
                    nn.ReLU(),
                )
                for wide, narrow in pairwise(widths)
            )
        )
        self.end = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Draw (B, C, side, side) float32 in [0, 1] from (B, latent) float32, normal."""
        start = self.begin(numbers).unflatten(1, (-1, self.least, self.least))
        return torch.sigmoid(self.end(self.blocks(self.first(start))))


class Discriminator(nn.Module):
    """Score how real a face looks; spectral normalisation keeps it smooth (Miyato et al., 2018).

    Args:
        width: channels at half resolution.
        side, channels: as of ``Generator``.
    """

    def __init__(self, width: int, side: int, channels: int) -> None:
        super().__init__()
        widths = [channels, *(width * 2**k for k in range(DOUBLINGS + 1))]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(narrow, wide, 4, 2, 1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.end = spectral_norm(nn.Linear(widths[-1] * (side // 2 ** (DOUBLINGS + 1)) ** 2, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Score (B, C, side, side) float32 in [0, 1]: (B,) float32, the higher the more real."""
        return self.end(self.layers(2 * images - 1)).flatten()
