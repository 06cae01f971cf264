"""Batches: the whole set on the device as uint8, shuffled by index; no loader, no workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ..data.labels import FER2013
from ..settings.errors import InputError
from ..settings.experiment import SamplingConfig
from .losses import check_counts

RESIDENT = 2 * 2**30
"""Bytes of training images that are kept on the device; of a larger set, batches are read from its
memory map."""


class Batches:
    """Images and targets that live on the device.

    Args:
        images: (N, C, H, W) uint8, in memory or mapped.
        targets: (N, K) float32; or (N, 2K), the votes behind the labels, for a second head.
        rows: (n,) int64, the rows that are trained on.
        resident: bytes up to which the images of these rows are copied to the device.
        classes: what the K columns of the targets mean.
        sample: whether the target of an image is one class, drawn from its distribution each time
            that it is shown.
        sampling: how often an image is shown.

    Raises:
        InputError: a class that is to be shown more often is unknown, or has no images.
    """

    def __init__(
        self,
        images: np.ndarray,
        targets: np.ndarray,
        rows: np.ndarray,
        batch_size: int,
        device: torch.device,
        resident: int = RESIDENT,
        classes: Sequence[str] = FER2013,
        sample: bool = False,
        sampling: SamplingConfig | None = None,
    ) -> None:
        own = np.ascontiguousarray(targets[rows], dtype=np.float32)
        self.targets = torch.from_numpy(own).to(device)
        self.batch_size, self.device = batch_size, device
        self.classes, self.sample = classes, sample
        fits = len(rows) * int(np.prod(images.shape[1:])) <= resident
        self.images = torch.from_numpy(images[rows]).to(device) if fits else None
        self.mapped, self.rows = images, rows
        sampling = sampling or SamplingConfig()
        self.rare = self._places_of(sampling.rare_classes())
        self.shown = self._repeated(sampling.times)
        self.chances = self._chances() if sampling.balanced else None

    def __len__(self) -> int:
        """Batches in an epoch. A last batch of one image is dropped: batch statistics need two."""
        full, rest = divmod(len(self.shown), self.batch_size)
        return full + (rest > 1)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yields ``(images (B, C, H, W) uint8, targets (B, K) float32)`` in random order."""
        order = self._order(generator).to(self.device)
        for rows in order.split(self.batch_size)[: len(self)]:
            targets = self.targets[rows]
            yield self._images(rows), sample_targets(targets, generator) if self.sample else targets

    def is_rare(self, targets: torch.Tensor) -> torch.Tensor:
        """Whether an image is of a rare class, by its target (B, K): (B,) bool."""
        return torch.isin(class_of(targets, self.classes), self.rare)

    def _order(self, generator: torch.Generator) -> torch.Tensor:
        """Draw which images an epoch shows, in order: (n,) int64, places in ``rows``."""
        if self.chances is not None:
            chances = self.chances.to(generator.device)
            return torch.multinomial(chances, len(chances), replacement=True, generator=generator)
        order = torch.randperm(len(self.shown), generator=generator, device=generator.device)
        return self.shown[order.to(self.device)]

    def _places_of(self, names: Sequence[str]) -> torch.Tensor:
        """Find the places of classes among all, each of which has images."""
        if unknown := [name for name in names if name not in self.classes]:
            raise InputError(
                f"sampling.rare names {' and '.join(unknown)}, allowed: {', '.join(self.classes)}"
            )
        places = torch.tensor([self.classes.index(name) for name in names], dtype=torch.int64)
        counts = class_of(self.targets, self.classes).cpu().bincount(minlength=len(self.classes))
        check_counts("sampling.rare", counts[places], names)
        return places.to(self.device)

    def _repeated(self, times: int) -> torch.Tensor:
        """List the images of an epoch before they are shuffled, those of rare classes so often."""
        repeats = torch.where(self.is_rare(self.targets), times, 1)
        return torch.arange(len(self.rows), device=self.device).repeat_interleave(repeats)

    def _chances(self) -> torch.Tensor:
        """Weigh each image by how rare its class is: (n,) float32."""
        labels = class_of(self.targets, self.classes)
        counts = labels.bincount(minlength=len(self.classes))
        check_counts("sampling.balanced", counts, self.classes)
        return 1 / counts[labels].float()

    def _images(self, rows: torch.Tensor) -> torch.Tensor:
        if self.images is not None:
            return self.images[rows]
        return torch.from_numpy(self.mapped[self.rows[rows.cpu().numpy()]]).to(self.device)


def class_of(targets: torch.Tensor, classes: Sequence[str]) -> torch.Tensor:
    """The class with the largest share of each target: (B,) int64."""
    return targets[:, : len(classes)].argmax(dim=1)


def sample_targets(targets: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw one class of each image from its distribution: (B, K) one-hot (Barsoum et al., 2016,
    section 3, "probabilistic label drawing": another draw each time an image is shown)."""
    return torch.zeros_like(targets).scatter_(
        1, torch.multinomial(targets, 1, generator=generator), 1.0
    )
