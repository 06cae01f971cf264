"""Processes of this machine that work off tasks; they end when this one does, however it ends."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any


class Died(RuntimeError):
    """A process ended in the middle of a task."""


class Pool:
    """So many processes, each with one task at a time. One that dies costs its task only: another
    takes its place.

    ``with Pool(2) as pool`` ends them all behind the block; nothing is left of a task that still
    ran. If this process is killed, they notice that it is gone, and end.
    """

    def __init__(self, count: int, threads: int = 0) -> None:
        """Start nothing yet.

        Args:
            threads: of each process, where ``OMP_NUM_THREADS`` does not say it; 0: as many as it
                likes.
        """
        self.count, self.threads = count, threads
        self.idle: list[_Worker] = []
        self.busy: dict[multiprocessing.connection.Connection, tuple[_Worker, tuple]] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        workers = [*self.idle, *(worker for worker, _ in self.busy.values())]
        for worker in workers:
            worker.channel.close()  # which an idle one takes for the end of its work
            if worker not in self.idle:
                worker.process.terminate()
        for worker in workers:
            worker.process.join(5)
            worker.process.kill()
            worker.process.join()

    def each(self, function: Callable, tasks: Iterable[tuple]) -> Iterator[tuple[tuple, Any]]:
        """Call a function, which has to be that of a module, with the arguments of each task.

        Args:
            tasks: asked for the next one only when a process is free.

        Returns:
            Task and result, as they come; the result is ``Died`` where the process was lost.

        Raises:
            Exception: what the function raised; it ends the others at the end of the block.
        """
        tasks = iter(tasks)
        while True:
            while len(self.busy) < self.count and (task := next(tasks, None)) is not None:
                worker = self._free()
                worker.channel.send((function, task))
                self.busy[worker.channel] = worker, task
            if not self.busy:
                return
            for channel in multiprocessing.connection.wait(list(self.busy)):
                worker, task = self.busy[channel]
                try:
                    result, error = channel.recv()
                    self.idle.append(worker)
                except (EOFError, OSError):
                    result, error = worker.death(), None
                del self.busy[channel]
                if error:
                    raise error
                yield task, result

    def _free(self) -> _Worker:
        self.idle = [worker for worker in self.idle if worker.process.is_alive()]
        return self.idle.pop() if self.idle else _Worker(self.threads)


class _Worker:
    """A process and the way to it. It is started afresh and not forked: a copy of a process with
    threads may hang."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.channel, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        self.process.start()
        theirs.close()  # or the end of the process would not close it

    def death(self) -> Died:
        """How the process ended."""
        self.process.join()
        code = self.process.exitcode
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return Died(f"its process died ({how}{': out of memory?' if how == 'SIGKILL' else ''})")


def _serve(channel: multiprocessing.connection.Connection, threads: int) -> None:
    """Work off what comes, before anything is imported that reads the environment."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # the bars of several processes write into each other
    os.environ.setdefault("TQDM_DISABLE", "1")
    if threads:
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    from tqdm import tqdm  # reads the environment once

    # its own one is of the system, and would outlive a process that is killed
    tqdm.set_lock(threading.RLock())
    while True:
        # Ctrl-C reaches all processes: the parent ends this one
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            function, arguments = channel.recv()
        except (EOFError, OSError):
            return
        try:
            answer = function(*arguments), None
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = None, error
        try:
            channel.send(answer)
        except OSError:  # nobody waits for it any more
            return


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
