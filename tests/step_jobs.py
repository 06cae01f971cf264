"""Jobs that take no time, of which some fail: for the tests of the queue and its backends."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_study.jobs import plan, queue
from fer_study.jobs.job import Job
from fer_study.settings.frozen import Frozen


class StepConfig(Frozen):
    """A step, and the keys of those that it needs."""

    name: str
    after: tuple[str, ...] = ()


class Step(Job):
    """Leave a file in the folder of records; ``broken`` fails."""

    config: StepConfig
    model = "step"

    def needs(self) -> tuple[str, ...]:
        return self.config.after

    def make(self, folder: Path, root: str | None = None, deadline: float | None = None) -> None:
        (folder.parent / f"{self.name}.made").touch()
        if self.name == "broken":
            raise RuntimeError("no such thing")


def check_what_needs_a_failed_job(runs_folder: Path, caplog: pytest.LogCaptureFixture, **backend: object) -> None:
    """Hold a backend to it: ``third`` needs ``second``, which needs ``broken``; ``alone`` needs nothing."""
    broken = Step(StepConfig(name="broken"))
    second = Step(StepConfig(name="second", after=(broken.key,)))
    third = Step(StepConfig(name="third", after=(second.key,)))
    jobs = [third, second, broken, Step(StepConfig(name="alone"))]
    caplog.set_level("INFO")
    with pytest.raises(plan.RunsFailed, match=rf"1 of 4 runs failed, 1 made: broken \({broken.key}\): .*no such thing"):
        plan.train_jobs(jobs, **backend)
    assert sorted(path.stem for path in runs_folder.glob("*.made")) == ["alone", "broken"]
    lines = [line for line in caplog.messages if line.startswith("left out")]
    assert lines == [
        f"left out: second ({second.key}) needs broken ({broken.key}), failed",
        f"left out: third ({third.key}) needs second ({second.key}), left out",
    ]
    outcomes = queue.outcomes_of(jobs, **backend)
    assert {job.name: outcomes[job.key].state for job in jobs} == {
        "broken": "failed",
        "second": "left",
        "third": "left",
        "alone": "made",
    }
