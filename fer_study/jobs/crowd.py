"""What the crowd says of every image of a dataset, as a job: pages without the data score by it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from .. import store
from ..settings.environment import environment
from ..settings.experiment import CrowdConfig, DataConfig
from ..training.sources import faces_of
from .job import Job


class Crowd(Job):
    """Keep the votes of a dataset, and the true mixture of each face where it is known."""

    config: CrowdConfig
    on_page = True

    @property
    def model(self) -> str:
        return "crowd"

    def data(self) -> tuple[DataConfig, ...]:
        return (self.config.data,)

    def make(
        self, folder: Path, root: str | None = None, deadline: float | None = None
    ) -> store.Record:
        """Make its record, whose ``rows`` are ``votes`` and ``mixture``; none of a set without."""
        start, faces = time.perf_counter(), faces_of(self.config.data, root)
        rows = {} if faces.votes is None else {"votes": faces.votes}
        if "mixture" in faces.truth:
            rows["mixture"] = faces.truth["mixture"].astype(np.float16)
        parts = {"faces.npz": store.as_npz(**rows)}
        return store.save_files(folder, self.config, environment(start), parts)
