"""A job: a config and what can be done with it. Everything that leaves a record is one."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import ClassVar

from .. import store
from ..settings.checkout import commit
from ..settings.experiment import (
    AuditConfig,
    CostConfig,
    CrowdConfig,
    DataConfig,
    GanConfig,
    MapTestConfig,
    PeersConfig,
    RunConfig,
    TransferConfig,
    ViewsConfig,
)
from ..settings.frozen import Frozen
from ..training.protocol import training_images

BASELINE = "hog_svm"
"""The model of a ``RunConfig`` that is no network (``baseline.py``)."""


@dataclass(frozen=True)
class Job(ABC):
    """What is to be made, and how; the config alone makes the key.

    Attributes:
        config: what it is.
        stage, arm, recipe: where it stands: the stage that lists it, the name that it has there,
            its recipe where it has one. A config that several stages list is made once.
        again: whether a published record will not do, for the weights, which it lacks, are wanted.
    """

    config: Frozen
    stage: str = ""
    arm: str = ""
    recipe: str = ""
    again: bool = False

    patience: ClassVar[float] = 0
    """Seconds to wait for another process that makes it."""
    alone: ClassVar[bool] = False
    """Whether it measures time, so that nothing else may run beside it."""
    leaves_weights: ClassVar[bool] = False
    """Whether its local record holds what its published one lacks, and others start from."""
    on_page: ClassVar[bool] = False
    """Whether a page that needs it makes it, whatever the edition: it takes minutes, not hours."""

    @property
    def key(self) -> str:
        """What names its record."""
        return self.config.key

    @property
    def name(self) -> str:
        """What messages call it."""
        return getattr(self.config, "name", "") or self.arm or self.model

    @property
    def seed(self) -> int:
        """Its seed; 0 of what has none."""
        return getattr(self.config, "seed", 0)

    @property
    @abstractmethod
    def model(self) -> str:
        """The network, or the kind of work where it is about none."""

    def moved(self, stage: str) -> Job:
        """Make the same job of another stage."""
        return replace(self, stage=stage)

    def named(self, name: str) -> Job:
        """Make the same job under another name for messages and tables."""
        return replace(self, config=self.config.replace(name=name))

    def needs(self) -> tuple[str, ...]:
        """Name the keys of the runs whose weights it starts from, is taught by or scores.

        They are keys and not jobs: a config that names its teacher holds no more than its key.
        """
        return ()

    def data(self) -> tuple[DataConfig, ...]:
        """List the data that it reads."""
        return ()

    def record(self) -> store.Record | None:
        """Find its record; None where there is none that is whole."""
        return store.lookup(self.key)

    @property
    def done(self) -> bool:
        """Whether nothing of it is left to be made; pages show records that still lack maps."""
        record = self.record()
        if record is None or record.maps_pending:
            return False
        return not (self.again and self.leaves_weights and record.published)

    def seconds(self, speeds: dict[str, float]) -> float:
        """Estimate how long it takes; NaN where nothing is known.

        Args:
            speeds: training images a second, by network (see ``plan.speeds``).
        """
        return float("nan")

    def refusal(self, judged: dict[str, str]) -> str:
        """Say why it cannot be made though its data is there, as far as is known before it begins;
        empty: nothing is.

        Args:
            judged: what was said of what several jobs share, such as initial weights; it is added
                to.
        """
        return ""

    @abstractmethod
    def make(
        self, folder: Path, root: str | None = None, deadline: float | None = None
    ) -> store.Record:
        """Make its record.

        Args:
            folder: of the record, held by this process.
            root: data root (``--data``); None: ``$FER_STUDY_DATA`` or ``data/``.
            deadline: ``time.monotonic()`` at which a training stops at the next epoch's end with
                ``OutOfTime``.

        Raises:
            InputError: the data is missing or is not what the config names, or the config does not
                fit it.
        """


class Run(Job):
    """A system that is trained on one set of images."""

    config: RunConfig

    @property
    def model(self) -> str:
        return self.config.model.name

    def data(self) -> tuple[DataConfig, ...]:
        return (self.config.data,)

    def seconds(self, speeds: dict[str, float]) -> float:
        rate = speeds.get(network(self.config)) or speeds.get(self.model)
        images = training_images(self.config.data)
        return images * max(self.config.epochs, 1) / rate if images and rate else float("nan")


def network(config: RunConfig) -> str:
    """Describe the network of a run with its options and input size, as text: what its speed
    depends on."""
    return json.dumps(config.model.resolved(), sort_keys=True)


def job_for(config: Frozen, **place: str) -> Job:
    """Find what can be done with a config, for example
    ``run(job_for(CostConfig(model=ModelConfig(name="fer48"))))``.

    Args:
        place: ``stage``, ``arm`` and ``recipe`` of the job.
    """
    from ..models.registry import source_of  # here, for torch takes seconds to import
    from ..training.weights import pin
    from . import audit, baseline, cost, crowd, gan, map_test, peers, train, transfer, views

    if isinstance(config, RunConfig) and config.model.name == BASELINE:
        return baseline.Baseline(config, **place)
    # a config that was made by hand, not by ``models.resolve``
    if isinstance(config, RunConfig) and not config.model.source:
        config = config.replace(
            model=pin(config.model.replace(source=source_of(config.model.name)))
        )
    kinds = {
        RunConfig: train.Training,
        TransferConfig: transfer.Transfer,
        AuditConfig: audit.Audit,
        CrowdConfig: crowd.Crowd,
        CostConfig: cost.Cost,
        MapTestConfig: map_test.MapTest,
        ViewsConfig: views.Views,
        PeersConfig: peers.Peers,
        GanConfig: gan.Gan,
    }
    return kinds[type(config)](config, **place)


def is_done(key: str) -> bool:
    """Say whether nothing of the job behind a key is left to be made; its record says which job
    that is."""
    record = store.lookup(key)
    return record is not None and job_for(record.config).done


def run(job: Job, *, root: str | None = None, deadline: float | None = None) -> store.Record:
    """Take the record of a job from the store where it is done, else make it now.

    Args:
        root, deadline: see ``Job.make``.

    Raises:
        InputError: it cannot be made, or another process makes it.
    """
    commit()  # asked before hours of work, in which the checkout may move on
    if job.done:
        return job.record()
    with store.locked(job.key, timeout=job.patience) as folder:
        # it may have been made while we waited
        return job.record() if job.done else job.make(folder, root, deadline)


def unique(jobs: Iterable[Job]) -> list[Job]:
    """List each job once, where it first stands."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(job.key, job)
    return list(first.values())


def graph(jobs: Iterable[Job]) -> TopologicalSorter:
    """Order jobs, by key, so that each comes after those of them that it needs."""
    needs = {job.key: job.needs() for job in jobs}
    return TopologicalSorter(
        {key: [other for other in others if other in needs] for key, others in needs.items()}
    )
