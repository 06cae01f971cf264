"""The hybrid ResNet50 of Pauyac and Debnath (final project of ECEN 5743) and its summary.

Grayscale adapter, ResNet50 (He et al., 2016), multi-scale fusion, 1x1 convolution to 512 channels,
channel and spatial attention, a transformer block over the positions of the map, two class-specific
branches, a fusion layer. Every part can be taken out. The documents give no code, and leave open:

``adapter``
    one 1x1 convolution to three channels, which starts as the duplication that it replaces.
``fusion``
    "multi-scale image fusion": ``images`` reads the image and its half through one trunk and
    averages the maps; ``features`` adds stages 3 and 4 on the grid of stage 3 (Lin et al., 2017,
    section 3).
``attention``
    ``channel``, ``spatial`` or ``both``; where it stands: here behind the reduction to 512
    channels.
``mlp_ratio``
    of the feed-forward part (4 in the cited Vaswani et al., 2017; the documents describe none: 0).
``resnet_features``
    what of ResNet50 reaches the branches beside the tokens: the ``average`` of the attended map, or
    the last map, not attended, through 512 units (``flatten``), which the printed number of
    parameters asks for (the gallery has the sums).
``hidden``
    units of the dense layer of each branch.

DEVIATION: timm's ResNet50 strides in the 3x3 convolution and has no biases there; Keras strides in
the first 1x1.
DEVIATION: attention scores are divided by sqrt(D / 8), as in Vaswani et al. (eq. 1); the
summary writes sqrt(D).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from ..data.labels import FER2013
from ..settings.errors import InputError
from .emonext import SqueezeExcitation
from .registry import FaceModel, check_side, register

GROUPS = (("happy", "surprise", "neutral"), ("angry", "disgust", "fear", "sad"))
"""Classes of the two branches: the frequent ones and the rare ones (document 003, section 2.3)."""

DIM, HEADS = 512, 8
"""Features of a token, attention heads (document 003, section 2.2)."""


class Adapter(nn.Conv2d):
    """1x1 convolution from one channel to three that starts as duplication.

    (B, 1, H, W) -> (B, 3, H, W).
    """

    def __init__(self) -> None:
        super().__init__(1, 3, 1)
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)


class Duplicate(nn.Module):
    """(B, 1, H, W) -> (B, 3, H, W), three times the same."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.expand(-1, 3, -1, -1)


class SpatialAttention(nn.Module):
    """Spatial attention (the technical summary, section 2.1).

    A 7x7 convolution of the maximum and the mean over channels.
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        pooled = torch.cat([x.max(dim=1, keepdim=True).values, x.mean(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.conv(pooled))


class TransformerBlock(nn.Module):
    """Encoder layer (Vaswani et al., 2017, section 3.1).

    ``LayerNorm(x + attention(x))``, then the same feed-forward.

    Args:
        mlp_ratio: hidden units of the feed-forward part over ``dim``; 0: none.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        from timm.layers import Attention, Mlp  # seconds to import, so not on every start

        super().__init__()
        parts = [Attention(dim, heads, qkv_bias=True)]
        if mlp_ratio:
            parts.append(Mlp(dim, round(mlp_ratio * dim), act_layer=nn.ReLU))
        self.parts = nn.ModuleList(parts)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in parts)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, D) -> (B, N, D). No position is added: the order of the tokens does not matter."""
        for part, norm in zip(self.parts, self.norms, strict=True):
            tokens = norm(tokens + part(tokens))
        return tokens


def _dense(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)
    )


class ClassBranches(nn.Module):
    """A branch for each of ``GROUPS``, then a fusion layer.

    That starts by putting their logits in the order of FER2013.
    """

    def __init__(self, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            _dense(inputs, hidden, len(group), dropout) for group in GROUPS
        )
        self.fusion = nn.Linear(len(FER2013), len(FER2013))
        order = [name for group in GROUPS for name in group]
        nn.init.zeros_(self.fusion.bias)
        self.fusion.weight.data = torch.tensor(
            [[float(column == row) for column in order] for row in FER2013]
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, D) -> (B, 7) logits."""
        return self.fusion(torch.cat([branch(features) for branch in self.branches], dim=1))


@register("hybrid_resnet50")
class HybridResNet50(FaceModel):
    """See the module; images from 33 px (a last map of 2x2).

    They have one channel, or three without adapter.

    Args:
        branches: whether each group of classes has a dense layer of its own; without, one layer of
            ``2 * hidden`` units serves all classes. The seven classes are taken to be those of
            ``labels.FER2013``, in that order; another number of classes is refused.
        transformer: whether tokens are transformed; without, the branches see the features of
            ResNet50 alone.
        dropout: after the dense layers.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        adapter: Literal["conv", "duplicate"] = "conv",
        fusion: Literal["none", "images", "features"] = "images",
        attention: Literal["none", "channel", "spatial", "both"] = "both",
        transformer: bool = True,
        branches: bool = True,
        dropout: float = 0.3,
        resnet_features: Literal["average", "flatten"] = "average",
        mlp_ratio: float = 4.0,
        hidden: int = 128,
    ) -> None:
        import timm  # seconds to import, so not on every start

        super().__init__()
        _check(
            num_classes,
            in_channels,
            input_size,
            branches,
            resnet_features == "flatten" and not transformer,
        )
        self.fuses = fusion
        self.backbone = timm.create_model("resnet50", num_classes=0, global_pool="")
        channels = self.backbone.num_features
        self.adapter = (
            nn.Identity() if in_channels == 3 else Adapter() if adapter == "conv" else Duplicate()
        )
        self.reduce = nn.Conv2d(channels, DIM, 1)
        self.reduce_finer = nn.Conv2d(channels // 2, DIM, 1) if fusion == "features" else None
        self.attention = nn.Sequential(
            SqueezeExcitation(DIM) if attention in ("channel", "both") else nn.Identity(),
            SpatialAttention() if attention in ("spatial", "both") else nn.Identity(),
        )
        self.transformer = TransformerBlock(DIM, HEADS, mlp_ratio) if transformer else None
        self.flatten = None
        if resnet_features == "flatten":
            side = -(-input_size // 32)
            self.flatten = nn.Sequential(
                nn.Flatten(), nn.Linear(channels * side**2, DIM), nn.ReLU(), nn.Dropout(dropout)
            )
        inputs = 2 * DIM if transformer else DIM
        self.head = (
            ClassBranches(inputs, hidden, dropout)
            if branches
            else _dense(inputs, 2 * hidden, num_classes, dropout)
        )

    def _maps(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W) -> maps of stages 3 and 4: (B, 1024, H / 16, ..), (B, 2048, H / 32, ..)."""
        net = self.backbone
        x = net.maxpool(net.act1(net.bn1(net.conv1(images))))
        finer = net.layer3(net.layer2(net.layer1(x)))
        return finer, net.layer4(finer)

    def _fused(self, images: torch.Tensor, finer: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """The map that is attended: (B, 512, h, w)."""
        reduced = self.reduce(last)
        if self.fuses == "features":
            return self.reduce_finer(finer) + F.interpolate(
                reduced, finer.shape[-2:], mode="nearest"
            )
        if self.fuses == "images":
            half = self.reduce(self._maps(F.avg_pool2d(images, 2))[1])
            return (reduced + F.interpolate(half, reduced.shape[-2:], mode="bilinear")) / 2
        return reduced

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = self.adapter(images)
        finer, last = self._maps(images)
        attended = self.attention(self._fused(images, finer, last))
        features = [self.flatten(last) if self.flatten is not None else attended.mean(dim=(2, 3))]
        if self.transformer is not None:
            features.append(self.transformer(attended.flatten(2).transpose(1, 2)).mean(dim=1))
        return self.head(torch.cat(features, dim=1))

    @property
    def cam_layer(self) -> nn.Module:
        return self.attention

    def stages(self) -> list[nn.Module]:
        """List all that is not ResNet50, then its convolutions from the last to the stem.

        The adapter comes first too: what is new learns from the start. A convolution comes with its
        batch normalisation, a shortcut with the third convolution of its block.

        50 stages. "Unfreeze layers n-175" of the documents counts Keras' layers from 0; a
        convolution whose batch normalisation the number cuts off is freed with it:

        =======  =======================  ===============================================  ========
        layers   first of them in Keras   first convolution freed here                     unfreeze
        =======  =======================  ===============================================  ========
        175-175  (past the end)           none: only what is not ResNet50                  1
        160-175  ``conv5_block2_2_relu``  ``layer4[1].conv3``, which is layer 161: exact   5
        140-175  ``conv4_block6_3_bn``    ``layer3[5].conv3``, which is layer 139          11
        100-175  ``conv4_block2_3_bn``    ``layer3[1].conv3``, which is layer 99           23
        =======  =======================  ===============================================  ========
        """
        net = self.backbone
        new = nn.ModuleList(part for part in self.children() if part is not net)
        units = [nn.ModuleList([net.conv1, net.bn1])]
        for block in (*net.layer1, *net.layer2, *net.layer3, *net.layer4):
            third = [block.conv3, block.bn3] + (
                [block.downsample] if block.downsample is not None else []
            )
            units += [
                nn.ModuleList([block.conv1, block.bn1]),
                nn.ModuleList([block.conv2, block.bn2]),
                nn.ModuleList(third),
            ]
        return [new, *reversed(units)]

    def trunk(self) -> tuple[str, nn.Module]:
        return "resnet50", self.backbone


def _check(
    num_classes: int, in_channels: int, input_size: int, branches: bool, flat_alone: bool
) -> None:
    where = "model hybrid_resnet50:"
    if in_channels not in (1, 3):
        raise InputError(f"{where} images have {in_channels} channels, allowed: 1, 3")
    check_side("hybrid_resnet50", input_size, 33)
    if branches and num_classes != len(FER2013):
        raise InputError(
            f"{where} {num_classes} classes, but its branches are for {', '.join(FER2013)}: set "
            "branches to false"
        )
    if flat_alone:
        raise InputError(
            f"{where} resnet_features is 'flatten' without transformer (nothing would be "
            "attended): allowed: average"
        )
