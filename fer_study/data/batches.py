"""Batches: the whole set on the device as uint8, shuffled by index; no loader, no workers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch


class Batches:
    """Images and targets that live on the device.

    Args:
        images: (N, C, H, W) uint8.
        targets: (N, K) float32.
        rank, ranks: with several processes, each takes every ``ranks``-th image of a batch.
    """

    def __init__(self, images: np.ndarray, targets: np.ndarray, batch_size: int, device: torch.device,
                 rank: int = 0, ranks: int = 1) -> None:  # fmt: skip
        self.images = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        self.targets = torch.from_numpy(np.ascontiguousarray(targets, dtype=np.float32)).to(device)
        self.batch_size, self.rank, self.ranks = batch_size, rank, ranks

    def __len__(self) -> int:
        """Batches in an epoch. A last batch of one image is dropped: batch statistics need two."""
        full, rest = divmod(len(self.images), self.batch_size)
        return full + (rest > self.ranks)

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One pass in random order: ``(images (B, C, H, W) uint8, targets (B, K) float32)``."""
        order = torch.randperm(len(self.images), generator=generator, device=generator.device).to(self.images.device)
        for rows in order.split(self.batch_size)[: len(self)]:
            rows = rows[self.rank :: self.ranks]
            yield self.images[rows], self.targets[rows]
