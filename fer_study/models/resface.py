"""ResFace (Qu and Niu, 2023) and its label distribution generator; images from 48 px.

The *local module* (stem, stages 1 and 2 of a residual trunk) ends in an up-sampling transposed
convolution, the *channel-spatial block* reweights what comes out of it, the other stages follow. A
*compact branch* from Conv1 predicts a label distribution. What the text leaves open is an option:

``trunk``
    blocks of each stage, two to four stages; default ``1-1-1-2`` (ResNet-18 is 2-2-2-2, -50 is
    3-4-6-3).
``local``
    default ``stage2``: a transposed convolution closes stage 2; also ``last`` stage, ``none``.
``local_kernel``
    its side; default 2, also 3, 4.
``local_channels``
    its maps, of twice the side; default 256.
``attention``
    default ``sum``: sigma(Zc + Zs); also ``product``, ``none``.
``position``
    the stage that the channel-spatial block follows; default 2, from 1 to the number of stages.
``branch``
    default ``none``: the generator is a network of its own, ``ldg``; also ``joint``, ``sum``: see
    ``ResFace``.

DEVIATION: the text compares the softmax output of the branch, "treated as the model's predicted
distribution", with that of the generator, beside the main network and not combined with it. Here,
as in EfficientFace, the generator teaches the output of the network itself, which alone is used at
inference; the branch is what the generator is made of.

The quoted sizes, 10.4 and 12.4 million parameters and about 2,000 MFLOPs, are those of no trunk
that we could think of (the gallery searches). Of the trunks that agree with the text the default
comes nearest to both counts: at 224 px, three channels and seven classes 10.11 and 12.71 million.
With the up-sampling it cannot come near the operations (3,280 and 4,603 million multiply-adds).

The arms of the source: A is ``attention="none"``; A+B the default; A+C and A+B+C are these two,
taught by a trained and frozen ``ldg`` (``losses.label_distribution_loss``). The teacher is no part
of the network and costs nothing at inference.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from ..settings.errors import InputError
from .registry import FaceModel, check_side, register, start_as_he

STEM = 64
"""Maps of Conv1."""


class ChannelSpatial(nn.Module):
    """``F + F * sigma(Zc + Zs)``: channel and spatial heatmaps (Qu and Niu, section 3.3).

    Zc: global average, C -> C/r, ReLU, -> C, one number a channel. Zs: 1x1 convolution C -> C/r,
    two 3x3 of dilation 4, 1x1 -> 1, one number a place. The reduction, the dilation and the batch
    normalisation are those of EfficientFace (Zhao et al., 2021), which multiplies the heatmaps
    (``product``) where ResFace adds them.
    """

    def __init__(self, channels: int, operator: str, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.operator = operator
        self.channel = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            *_normalised(channels, hidden, 1),
            nn.Conv2d(hidden, channels, 1),
        )
        self.spatial = nn.Sequential(
            *_normalised(channels, hidden, 1),
            *_normalised(hidden, hidden, 3, dilation=4),
            *_normalised(hidden, hidden, 3, dilation=4),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        channel, spatial = self.channel(x), self.spatial(x)  # (B, C, 1, 1), (B, 1, H, W)
        return x + x * torch.sigmoid(
            channel + spatial if self.operator == "sum" else channel * spatial
        )


class CompactBranch(nn.Module):
    """Four convolutional blocks (Conv2 to Conv5), flatten, fully connected.

    Qu and Niu, section 3.4.

    Each block halves the side: "reduces the spatial redundancy". Kernel, widths and normalisation
    are ours.

    Args:
        inputs, side: maps that it sees, and their side.
    """

    def __init__(self, num_classes: int, inputs: int, side: int, widths: str) -> None:
        super().__init__()
        channels = _numbers(widths, "branch_widths", 4, 4)
        side = -(-side // 16)  # each block divides it by 2, rounded up
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(*_normalised(i, o, 3, stride=2))
                for i, o in pairwise([inputs, *channels])
            )
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(channels[-1] * side**2, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs, side, side), the output of Conv1 -> logits (B, K)."""
        return self.head(self.blocks(x))


class ResFace(FaceModel):
    """See the module.

    Args:
        branch: ``sum`` adds its logits to those of the trunk; with ``joint`` the generator is
            trained together with the network and left out at inference: ``forward`` gives the
            trunk's logits alone. What a joint generator is, the text does not say; see
            ``objectives.JointGenerator``.
        branch_weight: of the distribution loss between the two under ``joint``.
        branch_widths: of the four blocks.
    """

    block: str
    expansion: int

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        trunk: str = "1-1-1-2",
        local: Literal["none", "stage2", "last"] = "stage2",
        local_kernel: Literal[2, 3, 4] = 2,
        local_channels: int = 256,
        attention: Literal["none", "sum", "product"] = "sum",
        position: int = 2,
        branch: Literal["none", "joint", "sum"] = "none",
        branch_weight: float = 1.0,
        branch_widths: str = "64-128-256-512",
    ) -> None:
        super().__init__()
        depths = _numbers(trunk, "trunk", 2, 4)
        if not 1 <= position <= len(depths):
            raise InputError(
                f"model resface: position is {position}, allowed: 1..{len(depths)} with trunk "
                f"{trunk}"
            )
        self.stem, self.body = _stem(in_channels, input_size), nn.ModuleList()
        closes, channels = {"none": 0, "stage2": 2, "last": len(depths)}[local], STEM
        for number, depth in enumerate(depths, 1):
            outputs = STEM * 2 ** (number - 1) * self.expansion
            stage = _residual(self.block, channels, outputs, depth, stride=1 if number == 1 else 2)
            channels = outputs
            if number == closes:
                stage.append(_doubling(channels, local_channels, local_kernel))
                channels = local_channels
            if number == position and attention != "none":
                stage.append(ChannelSpatial(channels, attention))
            self.body.append(stage)
        self.branch_use, self.branch_weight = branch, branch_weight
        self.branch = (
            CompactBranch(num_classes, STEM, -(-input_size // 4), branch_widths)
            if branch != "none"
            else None
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)
        )
        start_as_he(self)

    def _trunk_logits(self, x: torch.Tensor) -> torch.Tensor:
        for stage in self.body:
            x = stage(x)
        return self.head(x)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        logits = self._trunk_logits(x)
        return logits + self.branch(x) if self.branch_use == "sum" else logits

    @classmethod
    def extra_outputs(cls, options: dict[str, int | float | bool | str]) -> tuple[str, ...]:
        return ("branch",) if options["branch"] == "joint" else ()

    def training_outputs(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """``{"logits": (B, K), "branch": (B, K)}``, of the trunk and of a joint generator."""
        if self.branch_use != "joint":
            return super().training_outputs(images)
        x = self.stem(images)
        return {"logits": self._trunk_logits(x), "branch": self.branch(x)}

    @property
    def cam_layer(self) -> nn.Module:
        return self.body[-1]

    def stages(self) -> list[nn.Module]:
        head = self.head if self.branch is None else nn.ModuleList([self.branch, self.head])
        return [head, *reversed(self.body), self.stem]


@register("resface18")
class ResFace18(ResFace):
    """ResFace on the basic blocks of ResNet-18 (He et al., 2016, fig. 5 left)."""

    block, expansion = "BasicBlock", 1


@register("resface50")
class ResFace50(ResFace):
    """ResFace on the bottleneck blocks of ResNet-50 (He et al., 2016, fig. 5 right)."""

    block, expansion = "Bottleneck", 4


@register("ldg")
class LabelDistributionGenerator(FaceModel):
    """Conv1 and the compact branch as a network of its own.

    Trained first, then frozen, it teaches ResFace.
    """

    def __init__(
        self, num_classes: int, in_channels: int, input_size: int, widths: str = "64-128-256-512"
    ) -> None:
        super().__init__()
        self.stem, self.branch = (
            _stem(in_channels, input_size),
            CompactBranch(num_classes, STEM, -(-input_size // 4), widths),
        )
        start_as_he(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.branch(self.stem(images))

    @property
    def cam_layer(self) -> nn.Module:
        """The third block: at 48 px the map of the fourth is a single place."""
        return self.branch.blocks[-2]

    def stages(self) -> list[nn.Module]:
        return [self.branch.head, *reversed(self.branch.blocks), self.stem]


def _numbers(text: str, option: str, least: int, most: int) -> list[int]:
    if not re.fullmatch(rf"[1-9]\d*(-[1-9]\d*){{{least - 1},{most - 1}}}", text):
        count = str(least) if least == most else f"{least} to {most}"
        raise InputError(
            f"model resface: {option} is {text!r}, allowed: {count} numbers from 1, like 2-2-2-2"
        )
    return [int(part) for part in text.split("-")]


def _normalised(i: int, o: int, kernel: int, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    """Convolution that keeps the side (or divides it by the stride), batch normalisation, ReLU."""
    padding = dilation * (kernel // 2)
    return [
        nn.Conv2d(i, o, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(o),
        nn.ReLU(),
    ]


def _stem(in_channels: int, input_size: int) -> nn.Sequential:
    """Conv1 of ResNet with its pooling: (B, C, H, W) -> (B, 64, H / 4, W / 4)."""
    check_side("resface", input_size, 48)
    return nn.Sequential(*_normalised(in_channels, STEM, 7, stride=2), nn.MaxPool2d(3, 2, 1))


def _residual(block: str, inputs: int, outputs: int, depth: int, stride: int) -> nn.Sequential:
    """Stack ``depth`` blocks of torchvision; a projection in the first where its shape changes."""
    from torchvision.models import resnet  # seconds to import, so not on every start

    kind = getattr(resnet, block)
    width = outputs // kind.expansion
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )
    return nn.Sequential(
        kind(inputs, width, stride, shortcut), *(kind(outputs, width) for _ in range(depth - 1))
    )


def _doubling(inputs: int, outputs: int, kernel: int) -> nn.ConvTranspose2d:
    """(B, inputs, H, W) -> (B, outputs, 2 H, 2 W)."""
    return nn.ConvTranspose2d(inputs, outputs, kernel, 2, (kernel - 1) // 2, kernel % 2)
