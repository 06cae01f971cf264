"""Networks for 48 px faces: ours, and two of equal cost beside it.

Halving the side of an image makes a convolution four times as cheap. So ours works at 24, 12 and
6 px mostly, and can train for more epochs in the same time. The page ``design`` argues each step.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import nn

from ..settings.errors import InputError
from .ladder import FixedKernels
from .registry import FaceModel, check_side, register, start_as_he
from .resface import CompactBranch


class _Pooled(FaceModel):
    """A stem, parts and global average pooling, dropout and one linear layer."""

    def _assemble(
        self,
        stem: nn.Module,
        parts: list[nn.Module],
        features: int,
        num_classes: int,
        dropout: float,
    ) -> None:
        self.stem, self.blocks = stem, nn.ModuleList(parts)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(features, num_classes),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._logits(self.stem(images))

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    @property
    def cam_layer(self) -> nn.Module:
        return self.blocks[-1]

    def stages(self) -> list[nn.Module]:
        return [self.head, *reversed(self.blocks), self.stem]


def _stem(inputs: int, outputs: int, kernels: bool = False) -> nn.Sequential:
    fixed = [FixedKernels()] if kernels else []
    inputs = FixedKernels.out_channels if kernels else inputs
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(*fixed, conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _stage(
    inputs: int, outputs: int, blocks: int, stride: int, se: bool, shortcut: str, drop_path: float
) -> nn.Sequential:
    """Basic blocks (He et al., 2016, fig. 2), the first with the stride."""
    from timm.layers import DropPath  # seconds to import, so not on every start
    from timm.models.resnet import BasicBlock, downsample_avg, downsample_conv

    layers = []
    for _ in range(blocks):
        project = None
        if stride > 1 or inputs != outputs:
            project = {"conv": downsample_conv, "average": downsample_avg}[shortcut](
                inputs, outputs, 1, stride
            )
        path = DropPath(drop_path) if drop_path else None
        block = BasicBlock(
            inputs, outputs, stride, project, attn_layer="se" if se else None, drop_path=path
        )
        layers.append(block)
        inputs, stride = outputs, 1
    return nn.Sequential(*layers)


@register("fer48")
class FER48(_Pooled):
    """Ours: a stem at full size, then a stage at each half of the size before.

    Of 64, 128, 256 and 512 filters; images from 16 px, where the last map is a single place.

    Args:
        width: factor of all filters (stem 32).
        depths: basic blocks of each stage, from the stem on, joined by hyphens.
        se: squeeze-and-excitation in every block (Hu et al., 2018; r 16).
        shortcut: how a stage halves its shortcut: ``average`` pools first (He et al., 2019,
            ResNet-D), ``conv`` drops three of four positions.
        kernels: the fixed filters of ``ladder`` before the stem.
        dropout: before the linear layer.
        drop_path: stochastic depth of every block.
        branch: with ``joint`` a label distribution generator stands on the stem and is trained
            together with the network, as in ``resface``; it is left out at inference.
    """

    added_options: ClassVar[frozenset[str]] = frozenset({"branch"})
    branch_weight = 1.0
    """Of the distribution loss between network and generator."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        width: float = 1.0,
        depths: str = "1-2-2-1",
        se: bool = True,
        shortcut: Literal["conv", "average"] = "average",
        kernels: bool = False,
        dropout: float = 0.2,
        drop_path: float = 0.0,
        branch: Literal["none", "joint"] = "none",
    ) -> None:
        super().__init__()
        check_side("fer48", input_size, 16)
        if not re.fullmatch(r"[1-9]-[1-9]-[1-9](-[1-9])?", depths):
            raise InputError(
                f"model fer48: depths is {depths!r}, allowed: blocks of 3 or 4 stages, as in "
                "2-2-2 or 1-2-2-1"
            )
        blocks = [int(depth) for depth in depths.split("-")]
        widths = [
            8 * max(round(width * w / 8), 1) for w in (32, 64, 128, 256, 512)[: len(blocks) + 1]
        ]
        stages = [
            _stage(i, o, n, 2, se, shortcut, drop_path)
            for (i, o), n in zip(pairwise(widths), blocks, strict=True)
        ]
        stem = _stem(in_channels, widths[0], kernels)
        self._assemble(stem, stages, widths[-1], num_classes, dropout)
        self.branch = (
            CompactBranch(num_classes, widths[0], input_size, "32-64-128-256")
            if branch == "joint"
            else None
        )
        start_as_he(self)

    @classmethod
    def extra_outputs(cls, options: dict[str, int | float | bool | str]) -> tuple[str, ...]:
        return ("branch",) if options["branch"] == "joint" else ()

    def training_outputs(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """``{"logits": (B, K), "branch": (B, K)}``, the second of a joint generator."""
        if self.branch is None:
            return super().training_outputs(images)
        x = self.stem(images)
        return {"logits": self._logits(x), "branch": self.branch(x)}

    def stages(self) -> list[nn.Module]:
        head, *rest = super().stages()
        return [head if self.branch is None else nn.ModuleList([self.branch, head]), *rest]


@register("resnet18_48")
class ResNet18For48(_Pooled):
    """ResNet-18 (He et al., 2016, table 1) as it is used on small pictures; from 16 px.

    A 3x3 stem without stride or pooling.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        width: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_side("resnet18_48", input_size, 16)
        widths = [8 * round(width * w / 8) for w in (64, 64, 128, 256, 512)]
        stages = [
            _stage(i, o, 2, s, False, "conv", 0.0)
            for (i, o), s in zip(pairwise(widths), (1, 2, 2, 2), strict=True)
        ]
        self._assemble(_stem(in_channels, widths[0]), stages, widths[-1], num_classes, dropout)
        start_as_he(self)


@register("vgg19_48")
class VGG19For48(_Pooled):
    """VGG-19 (Simonyan and Zisserman, 2015, configuration E) for 44 and 48 px faces; from 32 px.

    With batch normalisation, average pooling and one linear layer in place of the three fully
    connected ones.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        width: float = 1.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_side("vgg19_48", input_size, 32)
        widths = [8 * round(width * w / 8) for w in (64, 128, 256, 512, 512)]
        parts, inputs = [], in_channels
        for outputs, convolutions in zip(widths, (2, 2, 4, 4, 4), strict=True):
            layers = [_stem(outputs if i else inputs, outputs) for i in range(convolutions)]
            parts.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
            inputs = outputs
        self._assemble(parts[0], parts[1:], widths[-1], num_classes, dropout)
        start_as_he(self)

    @property
    def cam_layer(self) -> nn.Module:
        return self.blocks[-1][-2]  # before the last pooling: one pixel is no map
