"""EmoNeXt (El Boudouri and Bohi, 2023).

ConvNeXt (Liu et al., 2022), a spatial transformer, squeeze-and-excitation.

Where the description and the published code differ, the difference is an option whose default is
the published value:

``se``
    published ``before``: behind the three down-sampling convolutions, none behind the last stage;
    described ``after`` every stage.
``attention``
    published ``batch``: between the pooled vectors of a batch, whose output is not used; described
    between features (here ``tokens``, the positions of the last map).
``attention_power``
    published 0.25: scores are divided by D^(1/4); described 0.5.

The blocks are timm's. The penalty is ``attention_weight * mean((W - mean W)^2)`` over the attention
weights W; with ``batch`` it is 0 for a batch of one, and its value projection never gets a
gradient. Of B vectors that attend to each other it is (1 / B) (1 - 1 / B) at most, where each
attends to one alone (``largest_variance``). With ``attention_weight`` 0 the attention is there, and
what it does is in the history, but nothing is learned from it.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from ..settings.errors import InputError
from .registry import FaceModel, check_side, register


class SpatialTransformer(nn.Module):
    """Spatial transformer (Jaderberg et al., 2015, section 3), the identity at the start.

    For any input size.

    Two convolutions with pooling, then 32 hidden units and the six numbers of an affine map.
    """

    def __init__(self, in_channels: int, input_size: int) -> None:
        super().__init__()
        self.localization = nn.Sequential(
            nn.Conv2d(in_channels, 8, 7),
            nn.BatchNorm2d(8),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(8, 10, 5),
            nn.BatchNorm2d(10),
            nn.MaxPool2d(2),
            nn.ReLU(),
        )
        side = ((input_size - 6) // 2 - 4) // 2
        self.regressor = nn.Sequential(nn.Linear(10 * side**2, 32), nn.ReLU(), nn.Linear(32, 6))

    def start_as_identity(self) -> None:
        """Zero weights and the bias of the identity in the last layer."""
        nn.init.zeros_(self.regressor[-1].weight)
        self.regressor[-1].bias.data.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def theta(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, 2, 3) float32: where each position of the result, in coordinates of
        [-1, 1], is taken from."""
        return self.regressor(self.localization(images).flatten(1)).view(-1, 2, 3).float()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W), sampled in float32."""
        grid = F.affine_grid(self.theta(images), images.shape, align_corners=True)
        return F.grid_sample(images.float(), grid, align_corners=True)


class SqueezeExcitation(nn.Module):
    """Channel attention (Hu et al., 2018, eq. 2-4): 2 C^2 / r weights, no biases."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x * self.fc(x.mean(dim=(2, 3)))[:, :, None, None]


class AttentionPenalty(nn.Module):
    """How unevenly features attend to each other.

    Their attended values are used nowhere (so ``value`` gets no gradient).
    """

    def __init__(self, dim: int, power: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.scale = dim**-power

    def weights(self, features: torch.Tensor) -> torch.Tensor:
        """(..., N, D) -> attention weights (..., N, N) float32, whose rows sum to 1."""
        x = self.norm(features)
        scores = self.query(x) @ self.key(x).transpose(-2, -1) * self.scale
        return torch.softmax(scores, dim=-1).float()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(..., N, D) -> scalar, ``mean((W - mean W)^2)`` of attention weights W (..., N, N)."""
        return variance(self.weights(features))


def variance(weights: torch.Tensor) -> torch.Tensor:
    """Attention weights (..., N, N) -> scalar, ``mean((W - mean W)^2)`` over all of them."""
    return (weights - weights.mean()).square().mean()


def entropy(weights: torch.Tensor) -> torch.Tensor:
    """Attention weights (..., N, N) -> scalar, the mean entropy of a row in nats: log N where it is
    uniform, 0 where it has one weight."""
    return torch.special.entr(weights).sum(dim=-1).mean()


def largest_variance(attending: int) -> float:
    """The most that ``variance`` can be of so many vectors: the rows sum to 1, so the mean is 1 / N
    and the mean square at most 1 / N."""
    return (1 - 1 / attending) / attending


class EmoNeXt(FaceModel):
    """See the module; images from 32 px.

    ``depths`` and ``dims`` are those of ConvNeXt, ``weights`` its name in timm.

    Args:
        se_reduction: r of squeeze-and-excitation.
        attention_weight: lambda of the penalty; 0: the attention is only watched.
        stn: whether a spatial transformer comes first.
        drop_path_rate: of stochastic depth, rising linearly over the blocks.
    """

    depths: tuple[int, ...]
    dims: tuple[int, ...]
    weights: str

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        stn: bool = True,
        se: Literal["none", "before", "after"] = "before",
        se_reduction: int = 16,
        attention: Literal["none", "batch", "tokens"] = "batch",
        attention_power: float = 0.25,
        attention_weight: float = 1.0,
        drop_path_rate: float = 0.1,
    ) -> None:
        from timm.models.convnext import ConvNeXt  # seconds to import, so not on every start

        super().__init__()
        check_side("emonext", input_size, 32)
        if attention == "none" and attention_weight not in (0, 1):  # 1, the default, says nothing
            raise InputError(
                f"attention_weight is {attention_weight}, but attention 'none' has nothing to "
                "penalise; allowed: attention 'batch' or 'tokens'"
            )
        self.se_place, self.attends, self.attention_weight = se, attention, attention_weight
        self.stn = SpatialTransformer(in_channels, input_size) if stn else nn.Identity()
        self.net = ConvNeXt(
            in_chans=in_channels,
            num_classes=num_classes,
            depths=self.depths,
            dims=self.dims,
            drop_path_rate=drop_path_rate,
        )
        places = {"none": (False,) * 4, "before": (False, True, True, True), "after": (True,) * 4}[
            se
        ]
        self.se = nn.ModuleList(
            SqueezeExcitation(dim, se_reduction) if there else nn.Identity()
            for dim, there in zip(self.dims, places, strict=True)
        )
        self.attention = (
            AttentionPenalty(self.dims[-1], attention_power) if attention != "none" else None
        )
        ours = (
            part for name, part in self.named_children() if name != "net"
        )  # timm starts its blocks so already
        for module in (module for part in ours for module in part.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if stn:
            self.stn.start_as_identity()

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, D, H / 32, W / 32), the last feature map."""
        x = self.net.stem(self.stn(images))
        for stage, se in zip(self.net.stages, self.se, strict=True):
            x = stage.downsample(x)
            x = stage.blocks(se(x)) if self.se_place == "before" else se(stage.blocks(x))
        return x

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net.head(self.features(images))

    @classmethod
    def extra_outputs(cls, options: dict[str, int | float | bool | str]) -> tuple[str, ...]:
        return () if options["attention"] == "none" else ("penalty",)

    def training_outputs(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """``{"logits": (B, K), "penalty": scalar}``, the penalty already weighted; beside it
        ``attention_variance`` and ``attention_entropy``, which are only looked at."""
        if self.attention is None:
            return super().training_outputs(images)
        x = self.features(images)
        logits = self.net.head(x)
        attended = (
            self.net.head(x, pre_logits=True)
            if self.attends == "batch"
            else x.flatten(2).transpose(1, 2)
        )
        weights = self.attention.weights(attended)
        spread = variance(weights)
        return {
            "logits": logits,
            "penalty": self.attention_weight * spread,
            "attention_variance": spread.detach(),
            "attention_entropy": entropy(weights.detach()),
        }

    def spatial_transformer(self) -> nn.Module | None:
        return self.stn if isinstance(self.stn, SpatialTransformer) else None

    @property
    def cam_layer(self) -> nn.Module:
        return self.se[-1] if self.se_place == "after" else self.net.stages[-1].blocks

    def stages(self) -> list[nn.Module]:
        head = [self.net.head] if self.attention is None else [self.net.head, self.attention]
        body = [
            nn.ModuleList([stage, se]) for stage, se in zip(self.net.stages, self.se, strict=True)
        ]
        stem = [self.net.stem] if isinstance(self.stn, nn.Identity) else [self.net.stem, self.stn]
        return [nn.ModuleList(head), *reversed(body), *stem]

    def trunk(self) -> tuple[str, nn.Module]:
        return self.weights, self.net


def _size(name: str, depths: tuple[int, ...], dims: tuple[int, ...], tag: str = "fb_in22k") -> None:
    """Register a size; ``tag`` names its weights: ImageNet-22k, or 1k where timm has no other."""
    parts = {"depths": depths, "dims": dims, "weights": f"convnext_{name}.{tag}"}
    register(f"emonext_{name}")(type(f"EmoNeXt_{name}", (EmoNeXt,), parts))


_size("atto", (2, 2, 6, 2), (40, 80, 160, 320), "d2_in1k")
_size("pico", (2, 2, 6, 2), (64, 128, 256, 512), "d1_in1k")
_size("tiny", (3, 3, 9, 3), (96, 192, 384, 768))
_size("small", (3, 3, 27, 3), (96, 192, 384, 768))
_size("base", (3, 3, 27, 3), (128, 256, 512, 1024))
_size("large", (3, 3, 27, 3), (192, 384, 768, 1536))
_size("xlarge", (3, 3, 27, 3), (256, 512, 1024, 2048))
