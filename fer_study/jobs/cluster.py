"""Runs on a Dask cluster: one at a time on each worker that has the resource ``GPU``."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..settings.errors import InputError
from .processes import Died

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds to wait for a worker."""

_ONE_RUN = threading.Lock()
"""Seeds are of a process: a worker with several threads trains one run at a time all the same."""


class Cluster:
    """The workers of a scheduler that can train: they have the resource ``GPU`` and see our
    folders."""

    def __init__(self, client: Client, scheduler_file: str, places: dict[str, str]) -> None:
        """Ask nothing yet.

        Args:
            places: environment variable -> absolute path that it has for every run, on every
                worker.
        """
        self.client, self.scheduler_file, self.places = client, scheduler_file, places
        self.missing: dict[str, str | None] = {}
        """Address -> the first path that the worker does not see; None: it sees them all."""

    def each(self, function: Callable, tasks: Iterable[tuple]) -> Iterator[tuple[tuple, Any]]:
        """Call a function with the arguments of each task on the workers; see
        ``processes.Pool.each``.

        Raises:
            InputError: there is no worker that can train, or none any more.
            RuntimeError: the scheduler is gone.
        """
        from dask.distributed import KilledWorker, wait

        tasks, running = iter(tasks), {}
        while True:
            # one that died is started again
            workers = self.workers(PATIENCE * (6 if running else 1))
            while len(running) < len(workers) and (task := next(tasks, None)) is not None:
                call = (_on_worker, function, task, self.places)
                future = self.client.submit(
                    *call, workers=self.hosts(workers), resources={"GPU": 1}, pure=False
                )
                running[future] = task
            if not running:
                return
            with contextlib.suppress(TimeoutError):  # then workers may have come or gone
                wait(list(running), timeout=5, return_when="FIRST_COMPLETED")
            for future in [x for x in running if x.status != "pending"]:
                task = running.pop(future)
                if future.cancelled() or self.client.status != "running":
                    raise self.gone()
                error = future.exception() if future.status == "error" else None
                if error and not isinstance(error, KilledWorker):
                    raise error
                died = "its worker died, and so did those that tried it again"
                yield task, Died(died) if error else future.result()

    def workers(self, patience: float) -> list[str]:
        """The addresses of those that can train; waits so many seconds where there are none.

        Raises:
            InputError: none came.
        """
        end = time.monotonic() + patience
        while True:
            known = self.client.scheduler_info(n_workers=-1).get("workers")
            if known is None:
                raise self.gone()
            able = [
                address for address, about in known.items() if about["resources"].get("GPU", 0) >= 1
            ]
            self.look_around([address for address in able if address not in self.missing])
            if found := [address for address in able if self.missing.get(address, "") is None]:
                return found
            if time.monotonic() > end:
                break
            time.sleep(0.5)
        if able:
            address = able[0]
            raise InputError(
                f"worker {address}: {self.missing[address]}: not there; the workers need the "
                "same folders"
            )
        what = (
            f"none of its {len(known)} workers has the resource GPU"
            if known
            else "it has no workers"
        )
        start = (
            f"dask worker --scheduler-file {self.scheduler_file} "
            "--nworkers 1 --nthreads 1 --resources GPU=1"
        )
        raise InputError(f"--scheduler-file {self.scheduler_file}: {what}; start one with: {start}")

    def gone(self) -> RuntimeError:
        """What to say when the scheduler does not answer any more."""
        return RuntimeError(
            f"the scheduler of {self.scheduler_file} is gone; start it and its workers again"
        )

    def hosts(self, able: list[str]) -> list[str] | None:
        """Where a run may be made; None: anywhere. A worker that starts again has another address,
        but the same host."""
        from distributed.comm import get_address_host

        return (
            [get_address_host(address) for address in able] if any(self.missing.values()) else None
        )

    def look_around(self, addresses: list[str]) -> None:
        """Ask workers for our folders; without them one would fail run after run."""
        if not addresses:
            return
        paths = list(self.places.values())
        answers = self.client.run(_missing, paths, workers=addresses, on_error="ignore")
        for address, path in answers.items():
            self.missing[address] = path
            if path:
                log.warning("worker %s: %s: not there; going on without it", address, path)


@contextlib.contextmanager
def connected(scheduler_file: str, places: dict[str, str]) -> Iterator[Cluster]:
    """The cluster of a scheduler file.

    Raises:
        InputError: there is no such file, or no scheduler answers.
    """
    if not os.path.isfile(scheduler_file):
        raise InputError(
            f"--scheduler-file {scheduler_file}: no such file; start one with dask scheduler "
            "--scheduler-file F"
        )
    from dask.distributed import Client

    try:
        client = Client(scheduler_file=scheduler_file, timeout=30)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"--scheduler-file {scheduler_file}: no scheduler answers within 30 s ({reason})"
        ) from None
    with client:
        yield Cluster(client, scheduler_file, places)


def _missing(paths: list[str]) -> str | None:
    return next((path for path in paths if not os.path.exists(path)), None)


def _on_worker(function: Callable, arguments: tuple, places: dict[str, str]) -> Any:
    """Call a function with environment variables of its own."""
    if path := _missing(list(places.values())):  # a worker that came just now
        return Died(f"worker {socket.gethostname()}: {path}: not there")
    with _ONE_RUN:
        before = {name: os.environ.get(name) for name in places}
        os.environ.update(places)
        try:
            return function(*arguments)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
