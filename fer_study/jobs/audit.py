"""The audit of a dataset as a job: tables, mean faces, and what it says of each image."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from .. import audit, store
from ..data.faceset import FaceSet
from ..data.twin import synthetic
from ..settings.environment import environment
from ..settings.experiment import AuditConfig, DataConfig
from ..training.sources import faces_of
from .job import Job


class Audit(Job):
    """Look for copies, conflicts and noise in a dataset."""

    config: AuditConfig
    patience = 600
    on_page = True

    @property
    def model(self) -> str:
        return "audit"

    def data(self) -> tuple[DataConfig, ...]:
        return (self.config.data,)

    def make(
        self, folder: Path, root: str | None = None, deadline: float | None = None
    ) -> store.Record:
        """Make its record; see ``Record.rows`` for what it says of each image."""
        start = time.perf_counter()
        faces = faces_of(self.config.data, root)
        report = audit.run(faces, self.config.threshold)
        rows, env = audit_rows(faces, report), environment(start)
        arrays = store.as_npz(mean=mean_faces(faces).astype(np.float16), **rows)
        parts = {"audit.json": store.as_json(report.summary()), "faces.npz": arrays}
        return store.save_files(folder, self.config, env, parts)


def mean_faces(faces: FaceSet, minimum: int = 30) -> np.ndarray:
    """(K, H, W) float32 in [0, 1]: mean training image of each class; NaN below ``minimum`` images,
    lest one face shows."""
    means = np.full((faces.num_classes, *faces.images.shape[2:]), np.nan, np.float32)
    for label in range(faces.num_classes):
        rows = np.flatnonzero((faces.labels == label) & (faces.split == "train"))
        if len(rows) >= minimum:
            # a set in a memory map is never loaded whole
            parts = np.array_split(rows, len(rows) // 4096 + 1)
            total = sum(
                faces.images[part].mean(axis=1, dtype=np.float64).sum(axis=0) for part in parts
            )
            means[label] = total / len(rows) / 255
    return means


def audit_rows(faces: FaceSet, report: audit.AuditReport) -> dict[str, np.ndarray]:
    """What ``Record.rows`` describes."""
    near = audit.has_copy(faces, threshold=report.threshold, pairs=report.pairs)
    rows = {"near_copy": near}
    if faces.votes is not None:
        votes = faces.votes[:, : faces.num_classes]
        rows["crowd"] = audit.majority_shares(votes).astype(np.float32)
        rows["agreement"] = votes.max(axis=1).astype(np.uint8)
    if "region_masks" in faces.truth:
        rows["regions"] = mean_regions(faces).astype(np.float16)
    if "true_label" in faces.truth:
        rows["true_label"] = faces.truth["true_label"].astype(np.int8)
    return rows


def mean_regions(faces: FaceSet) -> np.ndarray:
    """(K, H, W) float32 in [0, 1]: how often a pixel lies in a region that the expression of a
    class moves (synthetic faces only), over the faces whose true expression it is."""
    masks = [
        synthetic.moved_region(faces, name)[faces.truth["true_label"] == k]
        for k, name in enumerate(faces.classes)
    ]
    return np.stack([mask.mean(axis=0) for mask in masks]).astype(np.float32)
