"""Make the record of a config, as the queue does."""

from __future__ import annotations

from fer_study import store
from fer_study.jobs import job
from fer_study.settings.frozen import Frozen


def run_job(config: Frozen, **given: object) -> store.Record:
    return job.run(job.job_for(config), **given)
