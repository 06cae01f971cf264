"""Augmentation: each change against exact flips, shifts and scipy's own interpolation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from fer_study.settings.experiment import AugmentConfig
from fer_study.training import augment

PLAIN = {"mean": 0.0, "std": 1.0}  # pixels stay in [0, 1]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> torch.Tensor:
    """(6, 1, 24, 24) uint8: smooth, without symmetry."""
    noise = np.random.default_rng(0).normal(size=(6, 24, 24))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2))
    scaled = (smooth - smooth.min()) / (smooth.max() - smooth.min()) * 255
    return torch.from_numpy(scaled.astype(np.uint8))[:, None]


def fixed(monkeypatch, values: dict[tuple[float, float], float] | float) -> None:
    """Every uniform draw gives this value (or the one of its range)."""

    def draw(n, low, high, _generator, device):
        return torch.full((n,), float(values if not isinstance(values, dict) else values[(low, high)]), device=device)

    monkeypatch.setattr(augment, "_uniform", draw)


def test_nothing_asked_is_resize_and_normalise(images):
    config = AugmentConfig(mean=0.4, std=0.2)
    out = augment.augment(images, config, 24, generator())
    assert torch.equal(out, (images.float() / 255 - 0.4) / 0.2)
    state = generator().get_state()
    used = generator()
    augment.augment(images, config, 24, used)
    assert torch.equal(used.get_state(), state)  # nothing is drawn


def test_resize_against_means(images):
    pixels = torch.kron(images[:, :, ::2, ::2].float(), torch.ones(2, 2))  # every 2 x 2 block is one colour
    bigger = augment.resize(pixels, 48)
    assert bigger.shape == (6, 1, 48, 48)
    assert torch.allclose(augment.resize(torch.full((1, 1, 24, 24), 0.3), 10), torch.tensor(0.3))
    assert torch.allclose(bigger.mean(), pixels.mean(), rtol=1e-2)
    sharp = (torch.arange(48) % 2).float().expand(1, 1, 48, 48)  # stripes of one pixel: without anti-aliasing they alias
    assert augment.resize(sharp, 12)[..., 2:-2].std() < 0.05


@pytest.mark.parametrize(("field", "axis"), [("flip", -1), ("vertical_flip", -2)])
def test_flips_are_exact(images, field, axis):
    out = augment.augment(images, AugmentConfig(**{field: 1.0}, **PLAIN), 24, generator())
    assert torch.allclose(out, images.float().flip(axis) / 255, atol=1e-5)


def test_half_of_the_images_are_flipped():
    ramp = torch.arange(16, dtype=torch.uint8).expand(2000, 1, 16, 16)
    out = augment.augment(ramp, AugmentConfig(flip=0.5, **PLAIN), 16, generator())
    assert 0.45 < (out[:, 0, 0, 0] > out[:, 0, 0, -1]).float().mean() < 0.55


@pytest.mark.parametrize("degrees", [-30.0, 12.0, 90.0])
def test_rotation_against_scipy(images, monkeypatch, degrees):
    fixed(monkeypatch, {(-abs(degrees), abs(degrees)): degrees, (-0.0, 0.0): 0.0})
    out = augment.augment(images, AugmentConfig(rotate=abs(degrees), **PLAIN), 24, generator())
    for image, result in zip(images[:, 0].numpy() / 255.0, out[:, 0].numpy(), strict=True):
        expected = ndimage.rotate(image, degrees, reshape=False, order=1)
        inside = np.hypot(*(np.indices((24, 24)) - 11.5)) < 11
        assert np.abs(result - expected)[inside].max() < 2e-3


def test_shear_against_scipy(images, monkeypatch):
    fixed(monkeypatch, {(-20.0, 20.0): 20.0, (-0.0, 0.0): 0.0})
    out = augment.augment(images, AugmentConfig(shear=20.0, **PLAIN), 24, generator())
    tangent, centre = np.tan(np.deg2rad(20)), 11.5
    matrix = np.array([[1, 0], [tangent, 1]])  # a row further down is read further right
    offset = np.array([centre, centre]) - matrix @ [centre, centre]
    expected = ndimage.affine_transform(images[0, 0].numpy() / 255.0, matrix, offset, order=1)
    assert np.abs(out[0, 0].numpy() - expected)[8:16, 8:16].max() < 2e-3


def test_shift_moves_by_a_share_of_the_side(images, monkeypatch):
    fixed(monkeypatch, {(-0.25, 0.25): 0.25, (-0.0, 0.0): 0.0})
    out = augment.augment(images, AugmentConfig(shift=0.25, **PLAIN), 24, generator())
    assert torch.allclose(out[..., :-6, :-6], images[..., 6:, 6:].float() / 255, atol=1e-5)  # 6 of 24 pixels
    assert out[..., -5:, :].abs().max() == 0 and out[..., :, -5:].abs().max() == 0


def test_zoom_against_scipy(images, monkeypatch):
    fixed(monkeypatch, {(2.0, 2.0): 2.0, (-0.0, 0.0): 0.0})
    out = augment.augment(images, AugmentConfig(zoom=(2.0, 2.0), **PLAIN), 24, generator())
    matrix, centre = np.eye(2) / 2, np.full(2, 11.5)
    expected = ndimage.affine_transform(images[1, 0].numpy() / 255.0, matrix, centre - matrix @ centre, order=1)
    assert np.abs(out[1, 0].numpy() - expected).max() < 2e-3


def test_warp_resizes_as_it_goes(images):
    out = augment.augment(images, AugmentConfig(flip=1.0, **PLAIN), 48, generator())
    expected = torch.nn.functional.interpolate(images.float() / 255, size=(48, 48), mode="bilinear", align_corners=False)
    assert torch.allclose(out[..., 1:-1, 1:-1], expected.flip(-1)[..., 1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize("side", [96, 100, 224])
def test_training_shows_larger_images_as_evaluation_does(side):
    """Stripes finer than the view can show are gray in both, not stripes of another width in training."""
    y, x = np.mgrid[0:side, 0:side]
    stripes = (127 + 120 * np.sin(2 * np.pi * x / (side / 48 * 1.3)) * np.sin(2 * np.pi * y / 9)).astype(np.uint8)
    batch = torch.from_numpy(stripes)[None, None].repeat(4, 1, 1, 1)
    config = AugmentConfig(rotate=1e-6, **PLAIN)  # geometry, but next to none of it
    training = augment.augment(batch, config, 48, generator())
    (evaluation,) = augment.evaluation_views(batch, config, 48, "single")
    assert torch.allclose(training, evaluation, atol=1e-3)
    pixels = batch.float() / 255
    assert (augment.warp(pixels, torch.eye(2, 3).repeat(4, 1, 1), 48) - evaluation).abs().mean() > 0.05


@pytest.mark.parametrize("size", [24, 40])
def test_images_up_to_the_size_of_the_view_are_only_warped(images, size):
    """As every published run was trained, to the last bit."""
    config = AugmentConfig(flip=0.5, rotate=10.0, shift=0.1, zoom=(0.9, 1.1), erase=0.3, fill="reflection", **PLAIN)
    random = generator(3)
    theta = augment.affine(6, config, random, torch.device("cpu"))
    expected = augment.photometric(augment.warp(images.float() / 255, theta, size, "reflection"), config, random)
    assert torch.equal(augment.augment(images, config, size, generator(3)), expected)


def test_fixed_numbers_of_a_training_view():
    """Computed with the code that trained the published runs: 48 px stored and shown."""
    batch = (torch.arange(4 * 48 * 48) * 7919 % 251).to(torch.uint8).view(4, 1, 48, 48)
    config = AugmentConfig(flip=0.5, rotate=10.0, shift=0.1, zoom=(0.9, 1.1), shear=5.0, fill="reflection")
    out = augment.augment(batch, config, 48, generator(3))
    found = [out.sum().item(), out[2, 0, 20, 20].item(), out[1, 0, 5, 40].item()]
    assert found == pytest.approx([-185.084686, -0.24788123, 0.34933209], rel=1e-4)


@pytest.mark.parametrize(("fill", "value"), [("zeros", 0.0), ("border", 100 / 255), ("reflection", 100 / 255)])
def test_fill(monkeypatch, fill, value):
    fixed(monkeypatch, {(-0.5, 0.5): 0.5, (-0.0, 0.0): 0.0})
    flat = torch.full((1, 1, 8, 8), 100, dtype=torch.uint8)
    out = augment.augment(flat, AugmentConfig(shift=0.5, fill=fill, **PLAIN), 8, generator())
    assert out[0, 0, -1, -1].item() == pytest.approx(value, abs=1e-6)


def test_random_resized_crop_keeps_its_bounds():
    config = AugmentConfig(crop_area=(0.3, 0.8), crop_ratio=(0.75, 4 / 3))
    theta = augment.affine(5000, config, generator(), torch.device("cpu"))
    width, height = theta[:, 0, 0], theta[:, 1, 1]
    area = width * height
    assert area.min() > 0.3 - 1e-5 and area.max() < 0.8 + 1e-5
    assert area.min() < 0.31 and area.max() > 0.78
    free = (width < 1) & (height < 1)  # where neither side was cut to the image
    assert (width / height)[free].min() > 0.75 - 1e-5 and (width / height)[free].max() < 4 / 3 + 1e-5
    for side, shift in ((width, theta[:, 0, 2]), (height, theta[:, 1, 2])):
        assert (shift.abs() + side).max() <= 1 + 1e-5  # the crop lies inside the image
    assert theta[:, 0, 1].abs().max() == 0


def test_brightness_and_contrast(images, monkeypatch):
    pixels = images.float() / 255
    fixed(monkeypatch, 0.5)
    out = augment.photometric(pixels, AugmentConfig(brightness=(0.5, 0.5)), generator())
    assert torch.allclose(out, pixels * 0.5)
    out = augment.photometric(pixels, AugmentConfig(contrast=(0.5, 0.5)), generator())
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(out, mean + (pixels - mean) / 2, atol=1e-6)
    fixed(monkeypatch, 3.0)
    assert augment.photometric(pixels, AugmentConfig(brightness=(3.0, 3.0)), generator()).max() == 1


def test_erasing():
    white = torch.ones(3000, 1, 24, 24)
    out = augment.photometric(white, AugmentConfig(erase=0.4, mean=0.25), generator())
    share = (out == 0.25).float().mean(dim=(1, 2, 3))
    assert set(out.unique().tolist()) == {0.25, 1.0}
    assert 0.35 < (share > 0).float().mean() < 0.42
    assert share.max() < 0.26  # 20 % of the area, rounded up to whole pixels
    row = (out[share.argmax(), 0] == 0.25).any(dim=1)
    column = (out[share.argmax(), 0] == 0.25).any(dim=0)
    assert torch.equal(out[share.argmax(), 0] == 0.25, row[:, None] & column[None])  # one rectangle


def test_the_generator_is_the_only_source(images):
    config = AugmentConfig(flip=0.5, rotate=10.0, shift=0.1, crop_area=(0.8, 1.0), erase=0.5, brightness=(0.5, 1.5))
    torch.manual_seed(1)
    one = augment.augment(images, config, 32, generator(5))
    torch.manual_seed(2)
    assert torch.equal(one, augment.augment(images, config, 32, generator(5)))
    assert not torch.equal(one, augment.augment(images, config, 32, generator(6)))


def test_evaluation_views(images):
    config = AugmentConfig(flip=0.5, rotate=10.0)
    (single,) = augment.evaluation_views(images, config, 24, "single")
    assert torch.equal(single, (images.float() / 255 - 0.5) / 0.5)
    first, mirror = augment.evaluation_views(images, config, 24, "flip")
    assert torch.equal(first, single) and torch.equal(mirror, single.flip(-1))
    crops = augment.evaluation_views(images, config, 22, "ten_crop")  # 0.9 x 24 rounds to 22: nothing is resized
    assert len(crops) == 10
    assert torch.equal(crops[0], single[..., :22, :22]) and torch.equal(crops[6], single[..., 2:, 2:])
    assert torch.equal(crops[8], single[..., 1:23, 1:23]) and torch.equal(crops[9], crops[8].flip(-1))
    with pytest.raises(ValueError, match="'twice', allowed: single, flip, ten_crop"):
        augment.evaluation_views(images, config, 24, "twice")
