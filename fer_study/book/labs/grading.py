"""Marks submissions: each runs in a fresh kernel, and its answers are marked in this process.

The right answers are computed once a lab, in a kernel of their own. Of a submission only the values
of its answers count, so it cannot forge marks; what it runs can do all that its user can.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple, TextIO

from ...settings.errors import InputError
from ..kernel import check_packages
from . import submission, versions
from .answers import decode, decode_key
from .limited_kernel import KernelDied, LimitedKernel
from .marking import Question, fault
from .submission import CHECK, SET_UP, STUDENT, Step

log = logging.getLogger(__name__)

MINUTES = 10.0
"""For a submission; each cell of a student's gets a tenth."""

HEADS = ("file", "student", "lab", "seed", "total", "out_of", "seconds", "problem")

ONE_KEY_AT_A_TIME = threading.Lock()

_ANSWERS = "__import__('fer_study.book.labs.answers', fromlist=['answers'])"


class Result(NamedTuple):
    """What a submission got.

    Attributes:
        file: where it lies in the folder. student: the first folder on the way to it, else the name
            of the file.
        points: by question. out_of: the sum of all. problem: one line; empty where there is none.
    """

    file: str
    student: str
    lab: str = ""
    seed: str = ""
    points: dict[str, int] = {}  # noqa: RUF012
    out_of: int = 0
    seconds: float = 0.0
    problem: str = ""

    def row(self) -> dict[str, object]:
        """Write it as a row of the table."""
        marks = {f"question_{name}": points for name, points in self.points.items()}
        sums = {"total": sum(self.points.values()), "out_of": self.out_of} if self.lab else {}
        row = dict(zip(HEADS[:4], self[:4], strict=True)) | marks | sums
        return row | {"seconds": round(self.seconds), "problem": self.problem}


def grade(folder: str, target: str = "-", minutes: float = MINUTES, at_once: int = 1) -> int:
    """Mark all submissions in a folder, and write a row each as soon as it is done.

    Args:
        folder: holds notebooks, or a folder a student with notebooks somewhere in it.
        target: a file for the table, as CSV; ``-``: standard output.
        minutes: for each submission.
        at_once: how many run at the same time; more than there are cores slow each other down, and
            the time of each is limited.

    Returns:
        0 when all could be read, 2 when a file or folder held no submission.

    Raises:
        InputError: there is no such folder, nothing in it, or the file cannot be written.
    """
    check_packages()
    files = find(Path(folder))
    with contextlib.ExitStack() as stack:
        to = sys.stdout if target == "-" else stack.enter_context(_opened(Path(target)))
        names = question_names()
        table = csv.DictWriter(to, [*HEADS[:4], *names, *HEADS[4:]], lineterminator="\n")
        table.writeheader()
        unread = 0
        pool = ThreadPoolExecutor(at_once)  # a kernel is a process of its own
        stack.callback(pool.shutdown, cancel_futures=True)  # what waits is not begun after an error
        marked = [pool.submit(grade_file, file, Path(folder), minutes) for file in files]
        for future in as_completed(marked):
            result = future.result()
            unread += not result.lab
            table.writerow(result.row())
            to.flush()
            _say(result)
    return 2 if unread else 0


def _opened(target: Path) -> TextIO:
    try:
        return target.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InputError(f"--csv {target}: {error.strerror}") from None


def question_names() -> list[str]:
    """List the columns of points: the questions of all labs, each once."""
    steps = [s for source in versions.sources() for s in submission.blank_steps(source)]
    return list(dict.fromkeys(f"question_{step.question}" for step in steps))


def _say(result: Result) -> None:
    if not result.lab:
        log.error("fer-study: %s: %s", result.file, result.problem)
        return
    log.info(
        "%s: lab %s, %d of %d points in %.0f s%s",
        result.file, result.lab, sum(result.points.values()), result.out_of, result.seconds,
        f" ({result.problem})" if result.problem else "",
    )  # fmt: skip


def find(folder: Path) -> list[Path]:
    """List the notebooks of a folder; what lies in it and is or holds none stands for itself.

    Raises:
        InputError: it is no folder, or has nothing in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found: list[Path] = []
    for place in sorted(folder.iterdir()):
        if place.name.startswith("."):
            continue
        inside = sorted(place.rglob("*.ipynb")) if place.is_dir() else []
        found += [path for path in inside if ".ipynb_checkpoints" not in path.parts] or [place]
    if not found:
        raise InputError(f"{folder}: nothing was handed in here")
    return found


def grade_file(path: Path, folder: Path, minutes: float = MINUTES) -> Result:
    """Mark one submission of a folder."""
    file = path.relative_to(folder)
    student = file.parts[0] if len(file.parts) > 1 else file.stem
    result = Result(file.as_posix(), student)
    if path.suffix != ".ipynb":
        return result._replace(problem="no notebook")
    try:
        handed_in = submission.read(path)
    except InputError as error:
        return result._replace(problem=str(error).removeprefix(f"{path}: "))
    with ONE_KEY_AT_A_TIME:  # the next of the same lab finds it
        key = answer_key(handed_in.lab, handed_in.seed)
    start = time.perf_counter()
    answers, problems = run(handed_in.steps, minutes)
    points = {
        name: 0 if name not in answers or _fault(answers[name], question) else question.points
        for name, question in key.items()
    }
    return result._replace(
        lab=handed_in.lab,
        seed=handed_in.seed,
        points=points,
        out_of=sum(question.points for question in key.values()),
        seconds=time.perf_counter() - start,
        problem="; ".join([*problems, *handed_in.notes]),
    )


def _fault(answer: str, question: Question) -> str | None:
    return fault(decode(answer), question.expected(), question.tolerance)


@functools.cache
def answer_key(lab: str, seed: str) -> dict[str, Question]:
    """Compute the right answers of a lab in a kernel that no submission has seen.

    Raises:
        RuntimeError: the lab does not run here.
    """
    key = {}
    with LimitedKernel() as kernel:
        for step in submission.blank_steps(versions.SOURCES / f"{lab}.ipynb", seed):
            if step.kind == CHECK:
                data = "".join(f", {name}" for name in step.data)
                reply = kernel.run(
                    "", float("inf"), f"{_ANSWERS}.encode_key(sheet, {step.question!r}{data})"
                )
            else:
                reply = kernel.run(step.code, float("inf"))
            if reply.problem:
                raise RuntimeError(
                    f"lab {lab} does not run here: {reply.problem} before question {step.question}"
                )
            if step.kind == CHECK:
                key[step.question] = decode_key(reply.value)
    return key


def run(steps: list[Step], minutes: float) -> tuple[dict[str, str], list[str]]:
    """Run a submission: its answers by question, encoded, and its problems.

    A cell that ends the kernel is left out, and all others are run once more.
    """
    end, left_out = time.monotonic() + 60 * minutes, {}
    while True:
        attempt = Attempt(steps, minutes, end, left_out)
        try:
            with LimitedKernel() as kernel:
                attempt.run(kernel)
        except KernelDied as reason:
            attempt.problems[attempt.at] = str(reason)
            if attempt.blamed is not None and time.monotonic() < end:
                left_out[attempt.blamed] = str(reason)
                continue
        said = [f"question {steps[i].question}: {x}" for i, x in sorted(attempt.problems.items())]
        return attempt.answers, list(dict.fromkeys(said))


class Attempt:
    """One run of a submission in one kernel.

    Attributes:
        left_out: step -> why it is not run.
        answers: by question, encoded. problems: step -> what was wrong.
        at: the step that runs. blamed: the last one of the student, None before the first.
    """

    def __init__(
        self, steps: list[Step], minutes: float, end: float, left_out: dict[int, str]
    ) -> None:
        self.steps, self.minutes, self.end, self.left_out = steps, minutes, end, left_out
        self.answers: dict[str, str] = {}
        self.problems = dict(left_out)
        self.at, self.blamed = 0, None

    def run(self, kernel: LimitedKernel) -> None:
        """Run all steps, one after the other, until the time is over.

        Raises:
            KernelDied: a step ended it.
        """
        for i, step in enumerate(self.steps):
            self.at = i
            if i in self.left_out:
                continue
            if step.kind == STUDENT:
                self.blamed = i
            left = self.end - time.monotonic()
            if left <= 0:
                self.problems[i] = f"over {self.minutes:g} minutes"
                return
            seconds = left if step.kind == SET_UP else min(left, 6 * self.minutes)
            if step.kind == CHECK:
                reply = kernel.run("", seconds, f"{_ANSWERS}.encode({step.code})")
            else:
                reply = kernel.run(step.code, seconds)
            if reply.problem:
                self.problems[i] = reply.problem
            elif step.kind == CHECK:
                self.answers[step.question] = reply.value
