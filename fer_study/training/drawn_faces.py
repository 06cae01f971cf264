"""How far drawn faces are from real ones, and whether a network may be trained on them."""

from __future__ import annotations

import operator
import warnings
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from .. import store
from ..data.copies import NEAR
from ..data.faceset import FaceSet
from ..models import FaceModel
from ..settings.errors import InputError
from ..settings.experiment import AugmentConfig, DataConfig
from ..store.record_files import check_part
from .augment import evaluation_views
from .explain import as_map, explained
from .weights import SourceMissing

SHIFT = 1 / 8
"""Share of the side by which a copy may be shifted and is still found: what ``adversarial.CHANGES``
teaches a generator to do."""

SUBSET = 50
"""Faces in each of the hundred draws of the kernel distance; of fewer real ones, all."""


class Judge(NamedTuple):
    """A trained network whose features measure faces, and how it sees them."""

    network: FaceModel
    augment: AugmentConfig
    size: int

    @torch.no_grad()
    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Average the last map of the network over its places: (N, D) float32 of (N, C, H, W)
        uint8."""
        maps: list[torch.Tensor] = []
        layer = self.network.cam_layer
        handle = layer.register_forward_hook(lambda part, given, made: maps.append(made))
        try:
            with explained(self.network):
                for part in images.split(256):
                    self.network(evaluation_views(part, self.augment, self.size, "single")[0])
        finally:
            handle.remove()
        return torch.cat([as_map(self.network, one).float().mean((2, 3)) for one in maps])


class Gate(NamedTuple):
    """What drawn faces have to pass: ``measured`` lies at or below ``limit``, or at or above."""

    name: str
    measured: float
    limit: float
    passed: bool

    def __str__(self) -> str:
        return f"{self.name} is {self.measured:.3g}, the limit {self.limit:.3g}"


def statistics(
    drawn: torch.Tensor, real: torch.Tensor, held_out: torch.Tensor, judge: Judge
) -> dict[str, dict[str, float]]:
    """Measure drawn faces beside real ones that their generator saw, and others that it did not.

    Args:
        drawn, real, held_out: (N, C, H, W) uint8 on the device of the judge's network.

    Returns:
        ``images``: how many of each. Over faces, of ``nearest_correlation`` with the real ones:
        ``nearest``, its median, ``nearest_tenth``, its quantile of .9, and ``near_copies``, the
        share of faces for which it is ``copies.NEAR`` or more. ``pairs``: the mean distance between
        the features of two faces; ``alike``: the median distance from a face to the nearest other
        one, among as many of each. ``frechet`` (Heusel et al., 2017) and ``kernel`` (Binkowski et
        al., 2018), which a small number of faces does not bias: distances of features from those
        of the real faces. ``noise`` and ``mean_face`` are what any generator has to beat.
    """
    source = torch.Generator(drawn.device).manual_seed(0)
    noise = torch.randint(
        256, drawn.shape, generator=source, device=drawn.device, dtype=torch.uint8
    )
    mean_face = real.float().mean(0).round().to(torch.uint8).expand_as(drawn)
    sets = {"real": real, "drawn": drawn, "held_out": held_out}
    sets |= {"noise": noise, "mean_face": mean_face}
    nearest = {name: nearest_correlation(sets[name], real) for name in ("drawn", "held_out")}
    fewest = min(len(drawn), len(real))
    features = {name: judge.features(images) for name, images in sets.items()}
    others = {name: those for name, those in features.items() if name != "real"}
    return {
        "images": {name: len(images) for name, images in sets.items()},
        "nearest": {name: float(high.median()) for name, high in nearest.items()},
        "nearest_tenth": {name: float(high.quantile(0.9)) for name, high in nearest.items()},
        "near_copies": {name: float((x >= NEAR).float().mean()) for name, x in nearest.items()},
        "pairs": {name: float(nn.functional.pdist(features[name]).mean()) for name in sets},
        "alike": {name: nearest_other(features[name][:fewest]) for name in ("drawn", "real")},
        "frechet": {
            name: frechet_distance(features["real"], those)
            for name, those in others.items()
            if name != "held_out"  # of too few faces
        },
        "kernel": {
            name: kernel_distance(features["real"], those) for name, those in others.items()
        },
    }


def gates(found: dict[str, dict[str, float]]) -> list[Gate]:
    """Judge drawn faces by their ``statistics``: not copied, as different from each other as half
    of the real ones, and nearer to these than what is no face at all.

    The limits have no slack for chance: as many other real faces would miss one of them about every
    second time, copies practically always.
    """
    frechet = found["frechet"]
    copied = {
        "median correlation with the nearest training image": found["nearest"],
        "its highest tenth": found["nearest_tenth"],
        "share of near copies": found["near_copies"],
    }
    different = {
        "distance between two drawn faces": found["pairs"],
        "distance to the nearest other drawn face": found["alike"],
    }
    noise, blur = (f"distance from real faces ({what})" for what in ("noise", "mean face"))
    judged = [(name, x["drawn"], x["held_out"], operator.le) for name, x in copied.items()]
    judged += [(name, x["drawn"], x["real"] / 2, operator.ge) for name, x in different.items()]
    judged += [
        (noise, frechet["drawn"], frechet["noise"], operator.lt),
        (blur, frechet["drawn"], frechet["mean_face"], operator.lt),
    ]
    return [Gate(name, x, limit, passes(x, limit)) for name, x, limit, passes in judged]


def nearest_other(features: torch.Tensor) -> float:
    """Take the median distance from a row of (N, D) to the nearest other one."""
    distances = torch.cdist(features, features).fill_diagonal_(torch.inf)
    return float(distances.amin(1).median())


def nearest_correlation(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Find the highest correlation of each image's pixels with those of another set: (N,) float32.

    The middle of an image is held against every part of the other ones that is as large and lies up
    to ``SHIFT`` of the side away, and of their mirror images: a generator may repeat a face where
    it did not stand. A blank image has 0.

    Args:
        images, others: (N, C, H, W) and (M, C, H, W) uint8, of one size.
    """

    def standardised(faces: torch.Tensor) -> torch.Tensor:
        centred = faces.flatten(1).float()
        centred = centred - centred.mean(1, keepdim=True)
        return nn.functional.normalize(centred, dim=1)

    height, width = images.shape[-2:]
    margin = round(SHIFT * min(height, width))
    inside = (height - 2 * margin, width - 2 * margin)
    middle = standardised(images[..., margin : margin + inside[0], margin : margin + inside[1]])
    both = torch.cat([others, others.flip(-1)])
    best = torch.zeros(len(images), device=images.device)
    for top in range(2 * margin + 1):
        for left in range(2 * margin + 1):
            part = both[..., top : top + inside[0], left : left + inside[1]]
            best = torch.maximum(best, (middle @ standardised(part).T).amax(1))
    return best


def frechet_distance(real: torch.Tensor, others: torch.Tensor) -> float:
    """Compare the mean and the covariance of features (N, D) and (M, D)."""
    from torchmetrics.image.fid import FrechetInceptionDistance  # seconds to import

    given = nn.Identity()
    given.num_features = real.shape[1]
    metric = FrechetInceptionDistance(given).to(real.device)
    metric.update(real, real=True)
    metric.update(others, real=False)
    return float(metric.compute())


def kernel_distance(real: torch.Tensor, others: torch.Tensor) -> float:
    """Compare features (N, D) and (M, D) by the maximum mean discrepancy of a cubic kernel."""
    from torchmetrics.image.kid import KernelInceptionDistance  # as above

    size = min(SUBSET, len(real), len(others))
    with warnings.catch_warnings(action="ignore"):  # it says that it keeps the features
        metric = KernelInceptionDistance(nn.Identity(), subset_size=size).to(real.device)
    metric.update(real, real=True)
    metric.update(others, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return float(metric.compute()[0])


def with_drawn_faces(
    config: DataConfig, faces: FaceSet, targets: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add the faces that a generator drew to those that a run learns from.

    Args:
        targets: (N, D) float32, D a multiple of the number of classes.
        rows: (n,) int64, the training images.

    Returns:
        Images (N, C, H, W) uint8, targets (N, D) and rows (n,); as they were where the config names
        no generator. Else they hold the training images alone, in memory, before those drawn.

    Raises:
        SourceMissing: the generator has no faces here.
        InputError: it learned from other images than this run may see.
    """
    if not config.generated:
        return faces.images, targets, rows
    record = store.lookup(config.generated)
    path = record and record.folder / store.DRAWN
    if not path or not path.is_file():
        raise SourceMissing(f"generator ({config.generated}) has no faces here", config.generated)
    check_part(record.folder, store.DRAWN)
    made = record.config
    if made.data != config.replace(generated=""):
        raise InputError(f"generator {config.generated}: its data is not that of this run")
    drawn = load_file(path)["images"].numpy()
    one_hot = np.eye(faces.num_classes, dtype=np.float32)[faces.classes.index(made.target_class)]
    own = np.tile(one_hot, (len(drawn), targets.shape[1] // faces.num_classes))
    images = np.concatenate([faces.images[rows], drawn])
    return images, np.concatenate([targets[rows], own]), np.arange(len(images))
