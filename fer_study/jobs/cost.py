"""What a network costs as a job: parameters, operations, and times on the CPU at hand."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from .. import store
from ..analysis.metrics import median
from ..models.cost import forward_speeds, parameters, size, step_ratios, step_speeds
from ..models.registry import code_of
from ..settings.checkout import other_code
from ..settings.environment import environment
from ..settings.experiment import CostConfig
from .job import Job


class Cost(Job):
    """Measure a network, and how much more it costs than the same network less a part."""

    config: CostConfig
    alone = True
    patience = 600
    on_page = True

    @property
    def model(self) -> str:
        return self.config.model.name

    @property
    def name(self) -> str:
        return f"cost, {self.config.model.input_size} px"

    def record(self) -> store.Record | None:
        """Find its record; one that was measured with other code of the network is none."""
        return store.lookup(self.key, lambda record: not other_code(record.env))

    def make(
        self, folder: Path, root: str | None = None, deadline: float | None = None
    ) -> store.Record:
        """Make its record; see ``Record.cost``.

        Raises:
            InputError: an unknown network, or an input that it cannot take.
        """
        start, config = time.perf_counter(), self.config
        channels, batch = config.channels, config.batch_size
        costs = dict(size(config.model, in_channels=channels))
        if config.timed:
            speeds = step_speeds(config.model, in_channels=channels, batch_size=batch)
            costs |= {
                f"step_{way}": None if np.isnan(speed) else speed for way, speed in speeds.items()
            }
            costs |= forward_speeds(config.model, in_channels=channels)
        if config.without:
            costs["parameters_without"] = parameters(config.without, in_channels=channels)
        if config.without and config.timed:
            ratio = median(
                step_ratios(config.model, config.without, in_channels=channels, batch_size=batch)
            )
            costs |= {
                "time_ratio": ratio.value,
                "time_ratio_low": ratio.low,
                "time_ratio_high": ratio.high,
            }
        env = environment(start) | {"threads": torch.get_num_threads()} | code_of(config.model.name)
        env["parameters"] = costs["parameters"]
        return store.save_files(folder, config, env, {"cost.json": store.as_json(costs)})
