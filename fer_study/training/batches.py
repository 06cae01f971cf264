"""Batches: the whole set on the device as uint8, shuffled by index; no loader, no workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ..data.labels import FER2013

RESIDENT = 2 * 2**30
"""Bytes of training images that are kept on the device; of a larger set, batches are read from its
memory map."""


class Batches:
    """Images and targets that live on the device.

    Args:
        images: (N, C, H, W) uint8, in memory or mapped.
        targets: (N, K) float32.
        rows: (n,) int64, the rows that are trained on.
        resident: bytes up to which the images of these rows are copied to the device.
        classes: what the K columns of the targets mean.
        sample: whether the target of an image is one class, drawn from its distribution each time
            that it is shown.
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
    ) -> None:
        self.targets = torch.from_numpy(np.ascontiguousarray(targets[rows], dtype=np.float32)).to(
            device
        )
        self.batch_size, self.device, self.classes, self.sample = (
            batch_size,
            device,
            classes,
            sample,
        )
        fits = len(rows) * int(np.prod(images.shape[1:])) <= resident
        self.images = torch.from_numpy(images[rows]).to(device) if fits else None
        self.mapped, self.rows = images, rows

    def __len__(self) -> int:
        """Batches in an epoch. A last batch of one image is dropped: batch statistics need two."""
        full, rest = divmod(len(self.rows), self.batch_size)
        return full + (rest > 1)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yields ``(images (B, C, H, W) uint8, targets (B, K) float32)`` in random order."""
        order = torch.randperm(len(self.rows), generator=generator, device=generator.device).to(
            self.device
        )
        for rows in order.split(self.batch_size)[: len(self)]:
            targets = self.targets[rows]
            yield self._images(rows), sample_targets(targets, generator) if self.sample else targets

    def _images(self, rows: torch.Tensor) -> torch.Tensor:
        if self.images is not None:
            return self.images[rows]
        return torch.from_numpy(self.mapped[self.rows[rows.cpu().numpy()]]).to(self.device)


def sample_targets(targets: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw one class of each image from its distribution: (B, K) one-hot (Barsoum et al., 2016,
    section 3, "probabilistic label drawing": another draw each time an image is shown)."""
    return torch.zeros_like(targets).scatter_(
        1, torch.multinomial(targets, 1, generator=generator), 1.0
    )
