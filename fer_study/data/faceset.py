"""FaceSet: the one container in which every dataset travels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from ..settings.errors import InputError
from .fingerprints import fingerprint_of
from .labels import FER2013, VOTE_NAMES

__all__ = ["SPLITS", "FaceSet", "copy_groups", "fingerprint_of"]

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class FaceSet:
    """A dataset of faces.

    Attributes:
        name: name of the dataset, e.g. ``fer2013``.
        images: (N, C, H, W) uint8, C = 1 for grayscale; a read-only memory map where the set was imported.
        labels: (N,) int64, index into ``classes``.
        split: (N,) str, each one of ``train``, ``validation``, ``test``.
        ids: (N,) str, unique.
        votes: (N, 10) uint8 crowd votes over ``VOTE_NAMES``, or None.
        targets: (N, K) float32 distributions that the dataset itself defines (FER+), or None.
        attributes: table of N rows (``person`` and the like), possibly without columns.
        classes: class names, in the order of ``labels``.
        truth: what only a generator knows (name -> array with N rows): ``mixture`` (N, K) float32,
            ``duplicate_of`` (N,) int64, ``regions`` and so on. Empty for real data.
        dropped: class that the set does not have -> images of it that were left out.
        left_out: reason -> rows that were skipped because they are wrong.
        fingerprint: short hash that names this exact data (see ``fingerprint_of``).
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    ids: np.ndarray
    votes: np.ndarray | None = None
    targets: np.ndarray | None = None
    attributes: pd.DataFrame = field(default_factory=pd.DataFrame)
    classes: tuple[str, ...] = FER2013
    truth: dict[str, np.ndarray] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    fingerprint: str = ""

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise InputError(f"images must be (N, C, H, W) uint8, got {self.images.shape} {self.images.dtype}")
        for name in ("labels", "split", "ids", "votes", "targets"):
            if getattr(self, name) is not None and len(getattr(self, name)) != n:
                raise InputError(f"{name} has {len(getattr(self, name))} rows, images {n}")
        if n and not (self.labels.min() >= 0 and self.labels.max() < len(self.classes)):
            raise InputError(f"labels span {self.labels.min()}..{self.labels.max()}, allowed 0..{len(self.classes) - 1}")
        if self.votes is not None and self.votes.shape[1] != len(VOTE_NAMES):
            raise InputError(f"votes must have {len(VOTE_NAMES)} columns, got {self.votes.shape[1]}")
        if unknown := set(np.unique(self.split)) - set(SPLITS):
            raise InputError(f"unknown split {sorted(unknown)[0]!r}; allowed: {', '.join(SPLITS)}")
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint_of(self))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def counts(self) -> pd.DataFrame:
        """Images by split (rows, fixed order) and class (columns), with a ``total`` column."""
        table = pd.crosstab(self.split, pd.Categorical([self.classes[i] for i in self.labels], self.classes), dropna=False)
        table = table.reindex(index=[s for s in SPLITS if s in table.index], columns=self.classes, fill_value=0)
        table["total"] = table.sum(axis=1)
        table.index.name, table.columns.name = "split", "class"
        return table

    def select(self, rows: np.ndarray) -> FaceSet:
        """The given rows (boolean mask or indices), all parts together, with a fingerprint of its own."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return replace(
            self,
            images=self.images[rows], labels=self.labels[rows], split=self.split[rows], ids=self.ids[rows],
            votes=None if self.votes is None else self.votes[rows],
            targets=None if self.targets is None else self.targets[rows],
            attributes=self.attributes.iloc[rows].reset_index(drop=True) if len(self.attributes) else self.attributes,
            truth={k: v[rows] for k, v in self.truth.items()},
            fingerprint="",
        )  # fmt: skip

    def subset(self, split: str) -> FaceSet:
        """The images of one split."""
        return self.select(self.split == split)


def copy_groups(images: np.ndarray) -> np.ndarray:
    """Groups of pixel-identical images.

    Args:
        images: (N, C, H, W) uint8.

    Returns:
        (N,) int64: two images have the same number exactly when all their pixels are equal (SHA-256).
    """
    digests = np.array([hashlib.sha256(np.ascontiguousarray(image)).digest() for image in images], dtype=object)
    return pd.factorize(digests)[0].astype(np.int64)
