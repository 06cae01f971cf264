"""Working off what is missing: in this process, in several, or on a Dask cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from .. import data, store
from ..settings.errors import InputError
from ..settings.experiment import DataConfig
from ..training import weights
from ..training.loop import OutOfTime
from ..training.sources import faces_of
from . import stages
from .cluster import connected
from .editions import editions
from .job import Job, graph, run, unique
from .obstacles import obstacles
from .processes import Died, Pool

log = logging.getLogger(__name__)


NOT_MADE = ("failed", "refused")
"""States of a job that this call cannot make."""


class Outcome(NamedTuple):
    """How a job ended: ``made``, ``left`` to a later call, ``failed``, or ``refused``, for its
    input is wrong; and why. What needs a job that failed or was refused is left."""

    state: str
    reason: str = ""
    bad_data: DataConfig | None = None
    """Of a refused job whose data cannot be read: others on the same data need not be tried."""


def outcomes_of(
    jobs: list[Job],
    deadline: float | None = None,
    parallel: int = 1,
    scheduler_file: str | None = None,
    root: str | None = None,
) -> dict[str, Outcome]:
    """How each job without a record ended, by key; see ``plan.train_jobs``.

    Raises:
        InputError: the store cannot be written, or the cluster cannot train.
    """
    todo = [job for job in unique(jobs) if not job.done]
    outcomes: dict[str, Outcome] = {}
    if not todo:
        return outcomes
    check_store()
    outcomes |= {
        job.key: Outcome("refused", reason)
        for job, reason in refused(todo, root, bool(scheduler_file))
    }
    if len(outcomes) == len(todo):
        return outcomes
    if outcomes:
        log.warning("left out: %s", by_reason(todo, outcomes))
    several = parallel > 1 or scheduler_file
    if several:
        log.info("%d jobs to be made", len(todo) - len(outcomes))
    # What measures time comes last, in this process, when no other is at work.
    alone = [job for job in todo if job.alone]
    shared = [job for job in todo if not job.alone]
    make_all(shared, outcomes, deadline, parallel, scheduler_file, root)
    make_all(alone, outcomes, deadline, 1, None, root)
    return outcomes


def make_all(
    jobs: list[Job],
    outcomes: dict[str, Outcome],
    deadline: float | None,
    parallel: int,
    scheduler_file: str | None,
    root: str | None,
) -> None:
    """Make jobs, each after those that it needs, and add how each ended to ``outcomes``; what is
    there already was left out, and so is what needs a job that failed. See ``outcomes_of`` for the
    rest."""
    by_key, order = {job.key: job for job in jobs}, graph(jobs)
    order.prepare()
    count, made = sum(job.key not in outcomes for job in jobs), 0
    if not count:
        return
    lost = {key for key in by_key if key in outcomes and outcomes[key].state in NOT_MADE}

    def end(job: Job, outcome: Outcome) -> None:
        nonlocal made
        outcomes[job.key] = outcome
        order.done(job.key)
        if outcome.state in NOT_MADE:
            lost.add(job.key)
        made += outcome.state == "made"
        report(job, outcome, f"{made} of {count}" if parallel > 1 or scheduler_file else "")

    def tasks() -> Iterator[tuple | None]:
        """Yield what is ready to be made; None where all that is left waits for what others are
        making."""
        ready: deque[str] = deque()
        while order.is_active():
            ready += order.get_ready()
            if not ready:
                yield None
                continue
            job = by_key[ready.popleft()]
            if job.key in outcomes:  # left out before
                order.done(job.key)
                continue
            left = None if deadline is None else deadline - time.monotonic()
            needed = [by_key[key] for key in job.needs() if key in lost]
            unmade = ended_before(job, needed, outcomes, left)
            if unmade is None:
                yield job, None if scheduler_file else root, left
                continue
            if needed:
                lost.add(job.key)
            end(job, unmade)

    with backend(parallel, scheduler_file, root, jobs) as each:
        for (job, *_), outcome in each(work, tasks()):
            end(job, Outcome("failed", str(outcome)) if isinstance(outcome, Died) else outcome)


def report(job: Job, outcome: Outcome, place: str) -> None:
    """Tell how a job ended; ``place`` is its place among those that are made beside each other."""
    if outcome.state in NOT_MADE:
        log.warning("%s, going on: %s (%s): %s", outcome.state, job.name, job.key, outcome.reason)
    elif outcome.reason:
        log.info("%s", outcome.reason)
    elif outcome.state == "made" and place:
        log.info("%s: %s, seed %d (%s)", place, job.name, job.seed, job.key)


def ended_before(
    job: Job, needed: list[Job], outcomes: dict[str, Outcome], left: float | None
) -> Outcome | None:
    """Say how a job ends that is not begun: what it needs was not made, another found its data bad,
    or no time is ``left`` (seconds; None: no limit). None where it can be begun."""
    if needed:
        return Outcome("left", left_out(job, needed, outcomes))
    for other in outcomes.values():
        if other.bad_data and other.bad_data in job.data():
            return Outcome("refused", other.reason)
    return Outcome("left") if left is not None and left <= 0 else None


def left_out(job: Job, needed: list[Job], outcomes: dict[str, Outcome]) -> str:
    """Say in a line which of the jobs that a job needs were not made."""
    states = [outcomes[other.key].state.replace("left", "left out") for other in needed]
    why = [f"{x.name} ({x.key}), {y}" for x, y in zip(needed, states, strict=True)]
    return f"left out: {job.name} ({job.key}) needs {' and '.join(why)}"


def refused(jobs: list[Job], root: str | None, elsewhere: bool) -> Iterator[tuple[Job, str]]:
    """Find the jobs of which is known before any is made that they cannot be, each with the reason:
    their data, or initial weights that are not there or do not fit."""
    against, judged = obstacles(jobs, root, elsewhere), {}
    for job in jobs:
        if reason := against[job.key].reason if job.key in against else job.refusal(judged):
            yield job, reason


def by_reason(jobs: list[Job], outcomes: dict[str, Outcome]) -> str:
    """The jobs that failed or were refused, in one line; a reason that many share is said once."""
    names: dict[str, list[str]] = {}
    for job in {job.key: job for job in jobs}.values():
        if (outcome := outcomes.get(job.key)) and outcome.state in NOT_MADE:
            names.setdefault(outcome.reason, []).append(f"{job.name} ({job.key})")
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in names.items())


def work(job: Job, root: str | None, seconds: float | None) -> Outcome:
    """One job in this process, in at most so many seconds and the rest of an epoch.

    Another process's run is left to it. Under ``$FER_STUDY_DEBUG`` a failure is raised.
    """
    # by the clock of the machine that this runs on
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        run(job, root=root, deadline=deadline)
    except OutOfTime as stop:
        return Outcome("left", str(stop))
    except (store.Busy, weights.SourceMissing) as reason:
        source = getattr(reason, "key", "")
        return Outcome(
            "left", f"left over: {reason}{source and f'; train it with: {train_command(source)}'}"
        )
    except InputError as error:
        return Outcome("refused", str(error), unreadable(job, root))
    except Exception as failure:
        if os.environ.get("FER_STUDY_DEBUG"):
            raise
        return Outcome("failed", reason_of(failure, store.local_root()))
    return Outcome("made")


def check_store(place: Path | None = None) -> None:
    """Refuse a folder of records that cannot be written, before anything is made for it; None: that
    of ``runs/``.

    Raises:
        InputError: the folder, and why.
    """
    place = place or store.local_root()
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        reason = "not a folder" if isinstance(error, FileExistsError) else error.strerror
        remedy = "say where records go with $FER_STUDY_RUNS"
        raise InputError(f"{place}: cannot be written: {reason}; {remedy}") from None


def unreadable(job: Job, root: str | None) -> DataConfig | None:
    """The data of a job where it cannot be read; what could be is at hand, so that asking costs
    nothing."""
    for config in job.data():
        try:
            faces_of(config, root)
        except InputError:
            return config
    return None


def reason_of(failure: Exception, place: Path) -> str:
    """A failure in one line; a full disk is called that, whichever library met it."""
    place = next(path for path in (place, *place.absolute().parents) if path.exists())
    if isinstance(failure, OSError | RuntimeError) and shutil.disk_usage(place).free < 2**20:
        return f"no space left on device: {place}"
    return f"{type(failure).__name__}: {' '.join(str(failure).split())}"


def train_command(key: str) -> str:
    """The command line that trains a run, or the call where no edition lists it."""

    def lists(name: str) -> bool:
        try:
            return any(job.key == key for job in stages.edition_jobs(name))
        except InputError:  # another edition, whose data is not here
            return False

    found = [name for name in editions() if lists(name)]
    return (
        f"fer-study train {found[0]} --only '*/{key}'{' --again' if store.lookup(key) else ''}"
        if found
        else "jobs.job.run of its job (no edition lists it)"
    )


def threads_each(parallel: int) -> int:
    """Threads of each of several processes, its share of the cores; 0 leaves them as they are: one
    process, or pinned."""
    alone = parallel == 1 or "OMP_NUM_THREADS" in os.environ
    return 0 if alone else max(1, (os.cpu_count() or 1) // parallel)


@contextlib.contextmanager
def backend(
    parallel: int, scheduler_file: str | None, root: str | None, jobs: list
) -> Iterator[Callable]:
    """What calls a function with each of some tasks and yields task and result: this process,
    several of this machine, or a Dask cluster, whose workers write to the store of this process and
    read the same folders."""
    if scheduler_file:
        places = {"FER_STUDY_RUNS": store.local_root()}
        if os.environ.get("FER_STUDY_WEIGHTS"):
            places["FER_STUDY_WEIGHTS"] = os.environ["FER_STUDY_WEIGHTS"]
        if (
            any(x.dataset != "synthetic" for job in jobs for x in job.data())
            and data.root_of(root).exists()
        ):
            places["FER_STUDY_DATA"] = data.root_of(root)
        with connected(
            scheduler_file, {name: os.path.abspath(path) for name, path in places.items()}
        ) as cluster:
            yield cluster.each
    elif parallel > 1:
        with Pool(parallel, threads_each(parallel)) as pool:
            yield pool.each
    else:
        yield lambda function, tasks: ((task, function(*task)) for task in tasks if task)
