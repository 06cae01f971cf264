"""Batch augmentation on the device: one affine warp, which also resizes, then photometric changes.

Flip, rotation, shear, shift, zoom and random resized crop are composed into one 2x3 matrix per
image and sampled once (Jaderberg et al., 2015, eq. 1); no image is touched outside tensor
operations over the whole batch.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from ..settings.experiment import AugmentConfig, LossConfig, RunConfig

TEN_CROP = 0.9
"""Side of a crop in ten-crop evaluation, as a share of the image (44 of 48 pixels is 0.917, 40 is
0.833)."""


def _uniform(
    n: int, low: float, high: float, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    return torch.empty(n, device=device).uniform_(low, high, generator=generator)


def _sign(
    n: int, probability: float, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """-1 with the given probability, else 1."""
    return 1.0 - 2.0 * (torch.rand(n, device=device, generator=generator) < probability).float()


def affine(
    n: int, config: AugmentConfig, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """One random output-to-input matrix per image, in coordinates of [-1, 1].

    Returns:
        (n, 2, 3) float32.
    """

    def draw(low: float, high: float) -> torch.Tensor:
        return _uniform(n, low, high, generator, device)

    angle = torch.deg2rad(draw(-config.rotate, config.rotate))
    shear = torch.tan(torch.deg2rad(draw(-config.shear, config.shear)))
    scale_x, scale_y = torch.ones(n, device=device), torch.ones(n, device=device)
    shift_x, shift_y = 2 * draw(-config.shift, config.shift), 2 * draw(-config.shift, config.shift)
    if config.zoom:
        scale_x = scale_y = 1 / draw(*config.zoom)
    if config.crop_area:
        area = draw(*config.crop_area)
        ratio = torch.exp(draw(*(math.log(r) for r in config.crop_ratio)))
        width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
        shift_x = shift_x + (1 - width) * draw(-1, 1)
        shift_y = shift_y + (1 - height) * draw(-1, 1)
        scale_x, scale_y = scale_x * width, scale_y * height
    scale_x = scale_x * _sign(n, config.flip, generator, device)
    scale_y = scale_y * _sign(n, config.vertical_flip, generator, device)
    cos, sin = torch.cos(angle), torch.sin(angle)
    # rotation @ shear @ scale, then shift
    rows = [
        cos * scale_x,
        (cos * shear - sin) * scale_y,
        shift_x,
        sin * scale_x,
        (sin * shear + cos) * scale_y,
        shift_y,
    ]
    return torch.stack(rows, dim=1).view(n, 2, 3)


def warp(images: torch.Tensor, theta: torch.Tensor, size: int, fill: str = "zeros") -> torch.Tensor:
    """Sample ``images: (B, C, H, W) float32`` through ``theta: (B, 2, 3)`` into (B, C, size, size),
    bilinearly."""
    grid = F.affine_grid(theta, [len(images), images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=fill, align_corners=False)


def normalise(images: torch.Tensor, config: AugmentConfig) -> torch.Tensor:
    """(images - mean) / std for ``images: (B, C, H, W) float32 in [0, 1]``."""
    return (images - config.mean) / config.std


def photometric(
    images: torch.Tensor, config: AugmentConfig, generator: torch.Generator
) -> torch.Tensor:
    """Brightness and contrast factors, then erasing, on ``images: (B, C, H, W) float32 in [0,
    1]``."""
    n, _, height, width = images.shape

    def draw(low: float, high: float) -> torch.Tensor:
        return _uniform(n, low, high, generator, images.device).view(n, 1, 1, 1)

    if config.brightness:
        images = (images * draw(*config.brightness)).clamp(0, 1)
    if config.contrast:
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        images = ((images - mean) * draw(*config.contrast) + mean).clamp(0, 1)
    if config.erase:
        images = torch.where(
            _rectangles(n, height, width, config.erase, generator, images.device),
            config.mean,
            images,
        )
    return images


def _rectangles(
    n: int,
    height: int,
    width: int,
    probability: float,
    generator: torch.Generator,
    device: torch.device,
) -> torch.Tensor:
    """(n, 1, height, width) bool: one rectangle of 2-20 % of the area, with the given probability
    (Zhong et al., 2020)."""
    area = _uniform(n, 0.02, 0.2, generator, device)
    ratio = torch.exp(_uniform(n, -1.0, 1.0, generator, device))
    half_w, half_h = (area * ratio).sqrt() / 2, (area / ratio).sqrt() / 2
    x, y = _uniform(n, 0, 1, generator, device), _uniform(n, 0, 1, generator, device)
    hit = torch.rand(n, device=device, generator=generator) < probability
    columns = torch.arange(width, device=device) / width
    rows = torch.arange(height, device=device) / height
    inside_x = (columns[None] - x[:, None]).abs() <= half_w[:, None]
    inside_y = (rows[None] - y[:, None]).abs() <= half_h[:, None]
    return (inside_y[:, None, :, None] & inside_x[:, None, None, :]) & hit.view(n, 1, 1, 1)


def augment(
    images: torch.Tensor, config: AugmentConfig, size: int, generator: torch.Generator
) -> torch.Tensor:
    """Training view of a batch.

    Images larger than the view are shrunk to it as in evaluation before they are warped, since the
    warp takes single pixels and would alias: training and test would see different pictures. Images
    of the view's size are warped as they are.

    Args:
        images: (B, C, H, W) uint8.
        size: side of the result.
        generator: source of all randomness, on the images' device.

    Returns:
        (B, C, size, size) float32, normalised.
    """
    pixels = images.float() / 255
    geometry = (
        config.flip,
        config.vertical_flip,
        config.rotate,
        config.shear,
        config.shift,
        config.zoom,
        config.crop_area,
    )
    if any(geometry):
        if max(pixels.shape[-2:]) > size:
            pixels = resize(pixels, size)
        pixels = warp(
            pixels, affine(len(images), config, generator, images.device), size, config.fill
        )
    else:
        pixels = resize(pixels, size)
    return normalise(photometric(pixels, config, generator), config)


def training_view(
    images: torch.Tensor,
    rare: torch.Tensor,
    config: RunConfig,
    size: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """Augment a batch as a config says: rare classes by ranges of their own, where they have such.

    Args:
        images: (B, C, H, W) uint8.
        rare: (B,) bool.
        size: side of the result.

    Returns:
        See ``augment``.
    """
    own = config.sampling.ranges()
    views = augment(images, config.augment, size, generator)
    if not own:
        return views
    theirs = augment(images, config.augment.replace(**own), size, generator)
    return torch.where(rare[:, None, None, None], theirs, views)


def mix(
    images: torch.Tensor, targets: torch.Tensor, config: LossConfig, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix the images of a batch and their targets alike, as a config says; most get them back.

    Args:
        images: (B, C, H, W) float32.
        targets: (B, K) float32.
        generator: of ``mixup``.
    """
    if config.mixup:
        return mixup(images, targets, config.mixup, generator)
    return cutmix(images, targets, config.cutmix) if config.cutmix else (images, targets)


def mixup(
    images: torch.Tensor, targets: torch.Tensor, alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixup (Zhang et al., 2018, eq. 1): one Beta(alpha, alpha) weight a batch, drawn on the
    generator's device.

    By hand and not torchvision's, which draws other numbers: a run made again has to be the run
    that was published.
    """
    seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    order = torch.randperm(len(images), generator=generator, device=generator.device)
    order = order.to(images.device)
    images = share * images + (1 - share) * images[order]
    return images, share * targets + (1 - share) * targets[order]


def cutmix(
    images: torch.Tensor, targets: torch.Tensor, alpha: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """CutMix (Yun et al., 2019, eq. 1): a rectangle of each image comes from its neighbour in the
    batch, of a share that is Beta(alpha, alpha), and so does that share of its target. It draws
    from torch's global generator."""
    from torchvision.transforms import v2  # seconds to import, so not on every start

    return v2.CutMix(alpha=alpha)(images, targets)


def resize(pixels: torch.Tensor, size: int) -> torch.Tensor:
    """(B, C, H, W) -> (B, C, size, size), bilinear, anti-aliased when shrinking."""
    if pixels.shape[-2:] == (size, size):
        return pixels
    return F.interpolate(
        pixels, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )


def evaluation_views(
    images: torch.Tensor, config: AugmentConfig, size: int, tta: str
) -> list[torch.Tensor]:
    """Test-time views of a batch, each (B, C, size, size) float32, normalised.

    Args:
        images: (B, C, H, W) uint8.
        tta: ``single``, ``flip`` (the image and its mirror) or ``ten_crop`` (corners and centre of
            side ``TEN_CROP``, each with its mirror, resized; Krizhevsky et al., 2012).

    Raises:
        ValueError: unknown ``tta``.
    """
    pixels = images.float() / 255
    if tta in ("single", "flip"):
        view = normalise(resize(pixels, size), config)
        return [view] if tta == "single" else [view, view.flip(-1)]
    if tta != "ten_crop":
        raise ValueError(f"tta is {tta!r}, allowed: single, flip, ten_crop")
    side, (height, width) = TEN_CROP, images.shape[-2:]
    h, w = round(side * height), round(side * width)
    corners = [
        (0, 0),
        (0, width - w),
        (height - h, 0),
        (height - h, width - w),
        ((height - h) // 2, (width - w) // 2),
    ]
    crops = [normalise(resize(pixels[..., y : y + h, x : x + w], size), config) for y, x in corners]
    return [view for crop in crops for view in (crop, crop.flip(-1))]
