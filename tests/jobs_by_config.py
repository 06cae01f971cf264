"""Make the record of a config, as the queue does."""

from __future__ import annotations

from collections.abc import Callable

from fer_study import store
from fer_study.jobs import job, train
from fer_study.settings.frozen import Frozen
from fer_study.training.sources import faces_of


def run_job(config: Frozen, on_epoch: Callable | None = None, **given: object) -> store.Record:
    """Take it from the store, or make it; a training may be watched, epoch by epoch."""
    wanted = job.job_for(config)
    if on_epoch is None:
        return job.run(wanted, **given)
    with store.locked(wanted.key) as folder:
        faces = faces_of(wanted.config.data)
        return train.train_and_predict(wanted.config, faces, folder, on_epoch=on_epoch, **given)
