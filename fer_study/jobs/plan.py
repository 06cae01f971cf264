"""What an edition still needs, what it costs, and working it off: one process, several, or a Dask
cluster."""

from __future__ import annotations

import fnmatch
import logging
import math
from collections.abc import Iterator

import pandas as pd

from .. import data, store
from ..settings.errors import InputError
from ..settings.experiment import RunConfig
from ..training.checkpoint import CHECKPOINT
from .editions import load_edition
from .job import Job, network
from .obstacles import Obstacle, obstacles
from .queue import by_reason, outcomes_of

log = logging.getLogger(__name__)


class RunsFailed(RuntimeError):
    """Some runs of a queue failed; the others are made."""


def table(jobs: list[Job]) -> pd.DataFrame:
    """One row a job, in order, with its state, estimated seconds, and why it cannot be made where
    that is known.

    States: ``done``, ``published``, ``damaged``, ``started``, ``missing``, and of what cannot be
    made now ``no data`` (it is not in place) or ``impossible`` (the data that is there does not
    allow it).
    """
    known = speeds()
    found = {job.key: job.record() if job.done else None for job in jobs}
    against = obstacles([job for job in jobs if found[job.key] is None])
    rows = []
    for job in jobs:
        record, obstacle = found[job.key], against.get(job.key)
        state = state_of(job, record, obstacle)
        seconds = job.seconds(known) if not record and state != "impossible" else float("nan")
        rows.append({
            "stage": job.stage,
            "name": job.name,
            "kind": job.model,
            "seed": job.seed,
            "key": job.key,
            "state": state,
            "seconds": 0.0 if record else seconds,
            "reason": obstacle.reason if obstacle else "",
        })  # fmt: skip
    return pd.DataFrame(
        rows, columns=["stage", "name", "kind", "seed", "key", "state", "seconds", "reason"]
    )


def state_of(job: Job, record: store.Record | None, obstacle: Obstacle | None) -> str:
    """Say how far a job is (see ``table``)."""
    if record:
        return "published" if record.published else "done"
    if obstacle:
        return obstacle.state
    if store.is_damaged(job.key):
        return "damaged"
    folder = store.local_root() / job.key
    begun = (folder / CHECKPOINT, folder / store.PENDING)
    return "started" if any(file.is_file() for file in begun) else "missing"


def obstacle_lines(jobs: pd.DataFrame) -> Iterator[str]:
    """How many runs of a ``table`` are impossible, and why, a line a reason."""
    for reason, rows in jobs[jobs["state"] == "impossible"].groupby("reason", sort=False):
        yield f"impossible: {len(rows)} of {len(jobs)} runs: {reason}"


def data_lines(jobs: list[Job]) -> Iterator[str]:
    """Whether each dataset of jobs that is not drawn is in place, by names and headers only; of one
    that is not, a line each for what is looked for, the remedy last."""
    for dataset in dict.fromkeys(config.dataset for job in jobs for config in job.data()):
        try:
            if dataset != "synthetic":
                place = data.locate(dataset)
                unseen = f"not looked into: `fer-study data doctor {place}` does"
                yield f"data: {dataset} is in {place} ({unseen})"
        except (InputError, OSError) as error:
            first, *others = str(error).split("; ")
            yield from (f"data: {first}", *(f"  {part}" for part in others))


def lasting(seconds: float) -> str:
    """Print a duration in a unit that is easy to read: ``96 s``, ``24 min``, ``3.5 h``; NaN is
    ``-``."""
    if math.isnan(seconds):
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def summary(jobs: pd.DataFrame) -> str:
    """Say in a line how many jobs of a ``table`` are left, and how long they take as far as records
    tell."""
    left = jobs[~jobs["state"].isin(["done", "published", "impossible"])]
    counted = f"{len(left)} of {len(jobs)} jobs left"
    timed, untimed = left["seconds"].dropna(), int(left["seconds"].isna().sum())
    unknown = "no record at hand tells how long"
    if left.empty:
        return counted
    if timed.empty:
        return f"{counted}; {unknown} they take"
    total = f"{counted}, about {lasting(timed.sum())} at the speed of the records at hand"
    return f"{total}, and {untimed} more of which {unknown}" if untimed else total


def speeds() -> dict[str, float]:
    """Median training speed, images a second, over the records at hand that this version can read:
    by network with its options and input size (``network``), and by name alone, for arms that were
    never timed."""
    measured: dict[str, list[float]] = {}
    for record in store.records():
        config = record.config
        if isinstance(config, RunConfig) and record.env.get("images_per_second"):
            for key in (network(config), config.model.name):
                measured.setdefault(key, []).append(record.env["images_per_second"])
    return {name: float(pd.Series(values).median()) for name, values in measured.items()}


def train_jobs(
    jobs: list[Job],
    *,
    deadline: float | None = None,
    parallel: int = 1,
    scheduler_file: str | None = None,
    root: str | None = None,
) -> tuple[int, int]:
    """Make the records that are missing: first what needs no other run, then what does, transfers
    last. Interrupted runs go on where they stopped.

    Args:
        deadline: ``time.monotonic()`` after which training stops at the first epoch's end.
        parallel: processes on this machine, which share its cores.
        scheduler_file: of a Dask cluster with one worker per device (resource ``GPU``), instead.

    Returns:
        Records made and jobs left over.

    Raises:
        RunsFailed: some failed, or cannot be made; all others were tried.
        InputError: none of the jobs can be made, or has a record.
    """
    outcomes = outcomes_of(jobs, deadline, parallel, scheduler_file, root)
    states = [outcome.state for outcome in outcomes.values()]
    made, failed, refused = map(states.count, ("made", "failed", "refused"))
    if refused and refused == len({job.key for job in jobs}):
        raise InputError(by_reason(jobs, outcomes))
    if failed or refused:
        what = f"{failed + refused} of {len(states)} runs failed, {made} made"
        raise RunsFailed(f"{what}: {by_reason(jobs, outcomes)}")
    return made, states.count("left")


def live_jobs(edition: str, jobs: list[Job]) -> list[Job]:
    """Pick the jobs that a page of the edition makes by itself: those of its live recipe, and what
    takes minutes."""
    world = load_edition(edition)
    return [job for job in jobs if job.on_page or world.is_live(job.recipe)]


def hopeless(edition: str, jobs: list[Job], root: str | None = None) -> str | None:
    """Why a page on these jobs would show nothing: none has a record, and none can be made. Data
    that is only not in place counts where the edition is live: records of others may come from
    elsewhere."""
    # an audit alone is no answer of a page on networks
    jobs = [job for job in jobs if not job.on_page] or jobs
    if any(job.record() for job in jobs):
        return None
    live, found = {job.key for job in live_jobs(edition, jobs)}, obstacles(jobs, root)
    lasting = {key: x.reason for key, x in found.items() if x.state == "impossible" or key in live}
    return (
        "; ".join(dict.fromkeys(lasting.values()))
        if lasting.keys() == {x.key for x in jobs}
        else None
    )


def ensure(edition: str, jobs: list[Job], root: str | None = None) -> list[store.Record | None]:
    """What a notebook calls: live jobs are trained where they are missing.

    Returns:
        The record of each job, None where there is none.

    Raises:
        RunsFailed: a training failed; of one that cannot be made at all there is just no record.
        InputError: an audit or a cost that the page needs cannot be made.
    """
    live = live_jobs(edition, jobs)
    outcomes = outcomes_of(live, root=root)
    if failed := {key: outcome for key, outcome in outcomes.items() if outcome.state == "failed"}:
        raise RunsFailed(by_reason(live, failed))
    needed = {job.key for job in live if job.on_page}  # without its audit a page has nothing to say
    if refused := {key: x for key, x in outcomes.items() if x.state == "refused" and key in needed}:
        raise InputError(by_reason(live, refused))
    return [job.record() for job in jobs]


def matches(job: Job, pattern: str | None) -> bool:
    """Say whether a job is meant by ``--only``."""
    return pattern is None or fnmatch.fnmatch(
        f"{job.name}/{job.model}/{job.seed}/{job.key}", pattern
    )
