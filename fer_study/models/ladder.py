"""The ladder of small CNNs of Rowson and Slotter, Facial Expression Recognition Project.

The text gives the number of filters and the order of the layers. What it leaves open is chosen here
and is a field where it could matter: 3x3 convolutions with padding 1, 2x2 max pooling, dropout .25
after pooling and .5 before the last layer, a hidden layer of 128 (baseline) or, as stated, 512
units (CBAM network), one convolution per block. The baseline of the hybrid's technical summary,
described nowhere, stands beside them. Images from 16 px: multiples of 8 where the last layers see
every position, any size in ``simple_resnet``.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from ..settings.errors import InputError
from .registry import FaceModel, check_side, register

FIXED_KERNELS = {
    "sobel_x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "sobel_y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "laplacian": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
}
"""The "custom kernel layer (5 filters)": edge and shape filters "like Sobel and Laplacian"; the
other three are ours."""


class FixedKernels(nn.Module):
    """Fixed 3x3 filters at the input: (B, C, H, W) -> (B, 5, H, W).

    Channels are averaged first; nothing is learned.
    """

    out_channels = len(FIXED_KERNELS)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer(
            "kernels", torch.tensor(list(FIXED_KERNELS.values()), dtype=torch.float32).unsqueeze(1)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.conv2d(images.mean(dim=1, keepdim=True), self.kernels, padding=1)


class CBAM(nn.Module):
    """Convolutional block attention module (Woo et al., 2018, eq. 1-3).

    Channel, then spatial attention.

    Args:
        reduction: of the hidden layer of the channel branch (16 in the paper).
        kernel_size: of the spatial branch (7 in the paper).
    """

    def __init__(self, channels: int, reduction: int = 16, kernel_size: int = 7) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.channel = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )
        self.spatial = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        average, maximum = (
            F.adaptive_avg_pool2d(x, 1).flatten(1),
            F.adaptive_max_pool2d(x, 1).flatten(1),
        )
        x = x * torch.sigmoid(self.channel(average) + self.channel(maximum))[:, :, None, None]
        pooled = torch.cat([x.mean(dim=1, keepdim=True), x.max(dim=1, keepdim=True).values], dim=1)
        return x * torch.sigmoid(self.spatial(pooled))


def _dense_head(
    name: str, maps: int, input_size: int, hidden: int, num_classes: int, dropout: float
) -> nn.Sequential:
    """Two fully connected layers that see every position of the map behind three poolings."""
    if input_size % 8 or input_size < 16:
        raise InputError(
            f"model {name}: input_size is {input_size}, allowed: multiples of 8 from 16"
        )
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(maps * (input_size // 8) ** 2, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, num_classes),
    )


class _Blocks(FaceModel):
    """A kernel layer or none, blocks and a head, one behind the other."""

    kernels: nn.Module
    blocks: nn.ModuleList
    head: nn.Module

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.kernels(images)
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def stages(self) -> list[nn.Module]:
        return [self.head, *reversed(self.blocks)]


@register("emotion_cnn")
class EmotionCNN(_Blocks):
    """Rowson and Slotter, model 1: convolutions of 32, 64 and 128 filters.

    Three convolutions with pooling and dropout, then two fully connected layers: 0.7 M parameters
    at 48 px.

    DEVIATION: the text lists pooling and dropout behind the first two convolutions of model 1, and
    none in model 2; here they follow all three in both, which leaves 0.7 of 2.5 million parameters
    at 48 px.
    """

    name = "emotion_cnn"
    has_kernels = False

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        width: float = 1.0,
        hidden: int = 128,
        dropout: float = 0.25,
        head_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        widths = [round(width * w) for w in (32, 64, 128)]
        self.kernels = FixedKernels() if self.has_kernels else nn.Identity()
        inputs = [FixedKernels.out_channels if self.has_kernels else in_channels] + widths[:-1]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(dropout)
            )
            for i, o in zip(inputs, widths, strict=True)
        )
        self.head = _dense_head(
            self.name, widths[-1], input_size, hidden, num_classes, head_dropout
        )

    @property
    def cam_layer(self) -> nn.Module:
        return self.blocks[-1][1]


@register("kernel_cnn")
class KernelCNN(EmotionCNN):
    """Rowson and Slotter, model 2: the same behind five fixed kernels."""

    name = "kernel_cnn"
    has_kernels = True


@register("baseline_cnn")
class BaselineCNN(EmotionCNN):
    """The baseline CNN of the hybrid's summary, which gives its name and scores (6.1), no layers.

    Ours is the plainest reading: ``emotion_cnn`` without any dropout, so with nothing that the
    hybrid network adds.
    """

    name = "baseline_cnn"

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        width: float = 1.0,
        hidden: int = 128,
        dropout: float = 0.0,
        head_dropout: float = 0.0,
    ) -> None:
        super().__init__(num_classes, in_channels, input_size, width, hidden, dropout, head_dropout)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a projected shortcut, stride 2 (He et al., 2016, fig. 2).

    With batch normalisation.

    Without ``shortcut`` it is a plain block, as in the plain networks that He et al. compare with.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 2, shortcut: bool = True
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = None
        if shortcut:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, out_channels, H / stride, W / stride)."""
        return F.relu(self.body(x) if self.shortcut is None else self.body(x) + self.shortcut(x))


@register("simple_resnet")
class SimpleResNetFER(FaceModel):
    """Rowson and Slotter, model 3: residual blocks of 64, 128 and 256 filters.

    Kernels and a convolution of 32 filters stand before them, average pooling behind.

    DEVIATION: no dropout. The text says that it was "integrated throughout our deeper models", but
    lists none here.

    Args:
        shortcuts: whether the blocks are residual.
    """

    added_options = frozenset({"shortcuts"})

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        width: float = 1.0,
        kernels: bool = True,
        shortcuts: bool = True,
    ) -> None:
        super().__init__()
        check_side("simple_resnet", input_size, 16)
        widths = [round(width * w) for w in (32, 64, 128, 256)]
        self.kernels = FixedKernels() if kernels else nn.Identity()
        first = FixedKernels.out_channels if kernels else in_channels
        self.stem = nn.Sequential(
            nn.Conv2d(first, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(i, o, shortcut=shortcuts) for i, o in pairwise(widths)
        )
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(self.kernels(images))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(dim=(2, 3)))

    @property
    def cam_layer(self) -> nn.Module:
        return self.blocks[-1]

    def stages(self) -> list[nn.Module]:
        return [self.head, *reversed(self.blocks), self.stem]


@register("cbam_cnn")
class CustomFERCNN(_Blocks):
    """Rowson and Slotter, model 4: blocks of 64, 128 and 256 filters with CBAM, then 512 -> K.

    Kernels stand before them.

    Args:
        kernels, attention: the two parts that the ablation removes.
        dropout: after the pooling of each block; the text lists none there for this network, though
            it speaks of dropout "throughout our deeper models"; its validation loss of 1.8 at epoch
            20 speaks against it.
        convolutions: 3x3 convolutions per block (the text says "conv block"; 1 is the smallest
            reading).
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        input_size: int,
        width: float = 1.0,
        kernels: bool = True,
        attention: bool = True,
        convolutions: int = 1,
        hidden: int = 512,
        dropout: float = 0.0,
        head_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        widths = [round(width * w) for w in (64, 128, 256)]
        self.kernels = FixedKernels() if kernels else nn.Identity()
        inputs = [FixedKernels.out_channels if kernels else in_channels] + widths[:-1]
        self.blocks = nn.ModuleList(
            self._block(i, o, convolutions, attention, dropout)
            for i, o in zip(inputs, widths, strict=True)
        )
        self.head = _dense_head(
            "cbam_cnn", widths[-1], input_size, hidden, num_classes, head_dropout
        )

    @staticmethod
    def _block(
        inputs: int, outputs: int, convolutions: int, attention: bool, dropout: float
    ) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i in range(convolutions):
            layers += [
                nn.Conv2d(outputs if i else inputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        return nn.Sequential(
            *layers,
            nn.MaxPool2d(2),
            CBAM(outputs) if attention else nn.Identity(),
            nn.Dropout(dropout),
        )

    @property
    def cam_layer(self) -> nn.Module:
        return self.blocks[-1][-2]
