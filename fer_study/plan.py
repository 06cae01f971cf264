"""What an edition still needs, what it costs, and working it off: one process, several, or a Dask cluster."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import logging
import os
import sys
import time
from collections.abc import Iterator

import joblib
import pandas as pd

from . import data, protocol, runs, stages, study, weights
from .checkpoint import CHECKPOINT
from .config import RunConfig, TransferConfig
from .editions import editions, load_edition
from .errors import InputError
from .recipes import load_recipe
from .train import OutOfTime

log = logging.getLogger(__name__)


class RunsFailed(RuntimeError):
    """Some runs of a queue failed; the others are made."""


def table(jobs: list[RunConfig | TransferConfig]) -> pd.DataFrame:
    """One row a job, in order, with its state (``done``, ``published``, ``damaged``, ``started``, ``missing``) and estimated
    seconds."""
    rows, speed = [], speeds()
    for job in jobs:
        record = runs.lookup(job.key)
        if record:
            state = "published" if record.published else "done"
        elif runs.is_damaged(job.key):
            state = "damaged"
        else:
            started = (runs.local_root() / job.key / CHECKPOINT).is_file()
            state = "started" if started else "missing"
        kind = "transfer" if isinstance(job, TransferConfig) else job.model.name
        seconds = 0.0 if record else estimate(job, speed)
        rows.append({"name": job.name, "kind": kind, "seed": job.seed, "key": job.key, "state": state, "seconds": seconds})
    return pd.DataFrame(rows, columns=["name", "kind", "seed", "key", "state", "seconds"])


def data_lines(jobs: list[RunConfig | TransferConfig]) -> Iterator[str]:
    """Whether each dataset of jobs that is not drawn is in place, by names and headers only."""
    for dataset in dict.fromkeys((job.target if isinstance(job, TransferConfig) else job.data).dataset for job in jobs):
        try:
            if dataset != "synthetic":
                place = data.locate(dataset)
                yield f"data: {dataset} is in {place} (not looked into: `fer-study data doctor {place}` does)"
        except (InputError, OSError) as error:
            yield f"data: {error}"


def speeds() -> dict[str, float]:
    """Median training speed, images a second, over the records at hand that this version can read: by network with its
    options and input size (``network``), and by name alone, for arms that were never timed."""
    measured: dict[str, list[float]] = {}
    for record in runs.records():
        config = record.config
        if isinstance(config, RunConfig) and record.env.get("images_per_second"):
            for key in (network(config), config.model.name):
                measured.setdefault(key, []).append(record.env["images_per_second"])
    return {name: float(pd.Series(values).median()) for name, values in measured.items()}


def network(config: RunConfig) -> str:
    """The network of a run with its options and input size, as text."""
    return json.dumps(config.model.resolved(), sort_keys=True)


def estimate(job: RunConfig | TransferConfig, speed: dict[str, float]) -> float:
    """Seconds of training by the speeds measured so far; NaN for a network that was never timed or a set of unknown size."""
    if isinstance(job, TransferConfig):
        return 30.0
    rate = speed.get(network(job)) or speed.get(job.model.name)
    images = protocol.training_images(job.data)
    return images * max(job.epochs, 1) / rate if images and rate else float("nan")


def train_jobs(jobs: list[RunConfig | TransferConfig], *, deadline: float | None = None, parallel: int = 1,
               scheduler_file: str | None = None, root: str | None = None) -> tuple[int, int]:  # fmt: skip
    """Make the records that are missing: first what needs no other run, then what does, transfers last. Interrupted runs go
    on where they stopped.

    Args:
        deadline: ``time.monotonic()`` after which training stops at the first epoch's end.
        parallel: processes on this machine, which share its cores.
        scheduler_file: of a Dask cluster with one worker per device (resource ``GPU``), instead.

    Returns:
        Records made and jobs left over.

    Raises:
        RunsFailed: some failed; all others were tried.
        InputError: initial weights that do not fit, before any is trained; or wrong input of one, which ends them all.
    """
    todo = [job for job in jobs if not study.is_complete(job)]
    weights.check({network(job): job for job in todo if isinstance(job, RunConfig)}.values())
    threads, made, failed = threads_each(parallel), 0, []
    try:
        with backend(scheduler_file):
            for wave in range(3):
                pool = joblib.Parallel(n_jobs=parallel, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs")
                part = [job for job in todo if wave_of(job) == wave]
                for outcome in pool(joblib.delayed(work)(job, root, deadline, threads) for job in part):
                    if isinstance(outcome, str):
                        log.warning("failed, going on: %s", outcome)
                        failed.append(outcome)
                    made += outcome is True
    except (InputError, KeyboardInterrupt):
        sys.stderr.write("\n" if parallel > 1 else "")  # what ends them all is not said behind the bar of one
        raise
    if failed:
        raise RunsFailed(f"{len(failed)} of {len(todo)} runs failed, {made} made: {'; '.join(failed)}")
    return made, len(todo) - made


def wave_of(job: RunConfig | TransferConfig) -> int:
    """0: needs no other run; 1: starts from one, or is taught by one; 2: scores one."""
    if isinstance(job, TransferConfig):
        return 2
    return int(bool(job.loss.teacher) or job.model.weights.startswith("run:"))


def threads_each(parallel: int) -> int:
    """Threads of each of several processes, its share of the cores; 0 leaves them as they are: one process, or pinned."""
    alone = parallel == 1 or "OMP_NUM_THREADS" in os.environ
    return 0 if alone else max(1, (os.cpu_count() or 1) // parallel)


def live_jobs(edition: str, jobs: list[RunConfig | TransferConfig]) -> list[RunConfig | TransferConfig]:
    """The jobs that a notebook of the edition trains by itself: those with the live recipe's schedule, and the baseline."""
    live = load_edition(edition).live
    if live is None:
        return []
    phases = load_recipe(live.recipe).phases
    trained = [job.run if isinstance(job, TransferConfig) else job for job in jobs]
    return [job for job, run in zip(jobs, trained, strict=True) if live_run(run, phases)]


def live_run(run: RunConfig, phases: tuple) -> bool:
    """At most twice the epochs of the live recipe, at its rates."""
    return run.epochs <= 2 * sum(p.epochs for p in phases) and {p.lr for p in run.phases} <= {p.lr for p in phases}


def ensure(edition: str, jobs: list[RunConfig | TransferConfig], root: str | None = None) -> list[runs.Record | None]:
    """What a notebook calls: live jobs are trained where they are missing.

    Returns:
        The record of each job, None where there is none.
    """
    train_jobs(live_jobs(edition, jobs), root=root)
    return [runs.lookup(job.key) for job in jobs]


def matches(job: RunConfig | TransferConfig, pattern: str | None) -> bool:
    """Whether a job is meant by ``--only``."""
    model = "transfer" if isinstance(job, TransferConfig) else job.model.name
    return pattern is None or fnmatch.fnmatch(f"{job.name}/{model}/{job.seed}/{job.key}", pattern)


def work(job: RunConfig | TransferConfig, root: str | None, deadline: float | None, threads: int) -> bool | str:
    """One job in this process: True when its record is there, False when it is left over, else in words how it failed.

    Another process's run is left to it. Wrong input ends the queue; so does a failure under ``$FER_STUDY_DEBUG``.
    """
    if deadline is not None and time.monotonic() > deadline:
        return False
    if threads:
        import torch

        torch.set_num_threads(threads)
    try:
        study.run(job, root=root, deadline=deadline)
    except OutOfTime as stop:
        log.info("%s", stop)
        return False
    except (runs.Busy, weights.SourceMissing) as reason:
        source = getattr(reason, "key", "")
        log.info("left over: %s%s", reason, source and f"; train it with: {train_command(source)}")
        return False
    except InputError:
        raise
    except Exception as failure:
        if os.environ.get("FER_STUDY_DEBUG"):
            raise
        return f"{job.name} ({job.key}): {type(failure).__name__}: {' '.join(str(failure).split())}"
    return True


def train_command(key: str) -> str:
    """The command line that trains a run, or the call where no edition lists it."""
    found = [name for name in editions() if any(job.key == key for job in stages.jobs(name))]
    return f"fer-study train {found[0]} --only '*/{key}'" if found else "study.run of its config (no edition lists it)"


@contextlib.contextmanager
def backend(scheduler_file: str | None):
    """joblib's own processes, or a Dask cluster where each run takes one unit of the resource ``GPU``."""
    if scheduler_file is None:
        yield
        return
    if not os.path.isfile(scheduler_file):
        raise InputError(
            f"--scheduler-file {scheduler_file}: no such file; start one with dask scheduler --scheduler-file F"
        )
    from dask.distributed import Client

    try:
        client = Client(scheduler_file=scheduler_file, timeout=30)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"--scheduler-file {scheduler_file}: no scheduler answers within 30 s ({reason})") from None
    with client, joblib.parallel_config(backend="dask", resources={"GPU": 1}):
        yield
