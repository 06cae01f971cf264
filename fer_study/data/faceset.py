"""FaceSet: the one container in which every dataset travels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from ..settings.errors import InputError
from .fingerprints import fingerprint_of
from .labels import FER2013, VOTE_NAMES

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class FaceSet:
    """Holds a dataset of faces.

    Attributes:
        name: name of the dataset, e.g. ``fer2013``.
        images: (N, C, H, W) uint8, C = 1 for grayscale; a read-only memory map where the set was
            imported or is large.
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
        n, k = len(self.images), len(self.classes)
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            found = f"{self.images.shape} {self.images.dtype}"
            raise InputError(f"images must be (N, C, H, W) uint8, got {found}")
        for name in ("labels", "split", "ids", "votes", "targets"):
            values = getattr(self, name)
            if values is not None and len(values) != n:
                raise InputError(f"{name} has {len(values)} rows, images {n}")
        if n and not (self.labels.min() >= 0 and self.labels.max() < k):
            found = f"{self.labels.min()}..{self.labels.max()}"
            raise InputError(f"labels span {found}, allowed 0..{k - 1}")
        if self.votes is not None and self.votes.shape[1] != len(VOTE_NAMES):
            found = self.votes.shape[1]
            raise InputError(f"votes must have {len(VOTE_NAMES)} columns, got {found}")
        if unknown := set(np.unique(self.split)) - set(SPLITS):
            raise InputError(f"unknown split {sorted(unknown)[0]!r}; allowed: {', '.join(SPLITS)}")
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint_of(self))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def num_classes(self) -> int:
        """Counts the classes."""
        return len(self.classes)

    def counts(self) -> pd.DataFrame:
        """Counts images by split (rows) and class (columns), with a ``total`` column."""
        names = pd.Categorical.from_codes(self.labels, self.classes)
        table = pd.crosstab(self.split, names, dropna=False)
        splits = [split for split in SPLITS if split in table.index]
        table = table.reindex(index=splits, columns=self.classes, fill_value=0)
        table["total"] = table.sum(axis=1)
        table.index.name, table.columns.name = "split", "class"
        return table

    def select(self, rows: np.ndarray) -> FaceSet:
        """Takes the given rows (mask or indices) of all parts, under a fingerprint of their own."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        arrays = ("images", "labels", "split", "ids", "votes", "targets")
        parts = {name: getattr(self, name) for name in arrays}
        parts = {name: None if part is None else part[rows] for name, part in parts.items()}
        table = self.attributes
        if len(table):
            table = table.iloc[rows].reset_index(drop=True)
        truth = {name: values[rows] for name, values in self.truth.items()}
        return replace(self, **parts, attributes=table, truth=truth, fingerprint="")

    def subset(self, split: str) -> FaceSet:
        """Takes the images of one split."""
        return self.select(self.split == split)
