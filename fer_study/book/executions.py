"""Tell what was executed, on which machine, and how long it took: pages of the book, and records.

Nothing of a machine but the name of its processor or accelerator is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ..jobs.job import Job
from ..jobs.stages import listed_jobs
from ..settings.experiment import (
    AuditConfig,
    CostConfig,
    CrowdConfig,
    GanConfig,
    MapTestConfig,
    PeersConfig,
    RunConfig,
    TransferConfig,
    ViewsConfig,
)
from ..store import Record
from .execute import PAGES

KINDS = {
    RunConfig: "training",
    TransferConfig: "transfer",
    AuditConfig: "audit",
    CrowdConfig: "crowd",
    CostConfig: "cost",
    MapTestConfig: "map test",
    ViewsConfig: "changed test images",
    PeersConfig: "peers",
    GanConfig: "generator of faces",
}
"""Config of a record -> what made it."""
UNKNOWN = "-"
COLUMNS = [
    "stage", "arm", "made by", "seed", "minutes", "device", "threads", "commit", "Python", "torch",
]  # fmt: skip


def pages_table(pages: Iterable[Path]) -> pd.DataFrame:
    """Table executed notebooks: one row a page, indexed by its path.

    What a page made by an older version does not say of itself is ``-``.

    Args:
        pages: files; those that were not executed are left out.

    Returns:
        columns ``title, edition, date`` (UTC), ``seconds, commit, device, threads, versions``.
    """
    rows = {}
    for path in pages:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        run, made = notebook["metadata"].get("papermill"), notebook["metadata"].get("fer_study", {})
        if run:
            where = made.get("made", {})
            rows[path] = {
                "title": title_of(notebook),
                "edition": run["parameters"].get("edition", UNKNOWN),
                "date": run["start_time"][:10],
                "seconds": round(run["duration"]),
                **{
                    name: where.get(name, UNKNOWN)
                    for name in ("commit", "device", "threads", "versions")
                },
            }
    columns = ["title", "edition", "date", "seconds", "commit", "device", "threads", "versions"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def title_of(notebook: dict) -> str:
    """The first heading of a notebook."""
    text = "".join(notebook["cells"][0]["source"])
    found = re.search(r"^# +(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def jobs_of_the_book() -> list[Job]:
    """List what the stages of the editions in the book need; what several need stands in each."""
    return [job for edition in PAGES for job in listed_jobs(edition)]


def records_table(records: Iterable[Record], jobs: Iterable[Job]) -> pd.DataFrame:
    """Table records: one row each, indexed by key, longest first within a stage.

    A record that several stages list has them all in its row.

    Args:
        records: those to be told of.
        jobs: of the stages that may list them (see ``jobs_of_the_book``).

    Returns:
        columns ``stage, arm, made by`` (a value of ``KINDS``), ``seed, minutes, device, threads,
        commit, Python, torch``.
    """
    listed: dict[str, list[Job]] = {}
    for job in jobs:
        listed.setdefault(job.key, []).append(job)
    rows = {}
    for record in records:
        places, env = listed.get(record.key, []), record.env
        rows[record.key] = {
            "stage": _joined(job.stage for job in places),
            "arm": _joined(job.arm or job.name for job in places),
            "made by": KINDS[type(record.config)],
            "seed": getattr(record.config, "seed", UNKNOWN),
            "minutes": seconds_of(record) / 60,
            "device": env.get("device", UNKNOWN),
            "threads": env.get("threads", UNKNOWN),
            "commit": env.get("commit", UNKNOWN),
            "Python": env.get("python", UNKNOWN),
            "torch": env.get("torch", UNKNOWN),
        }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS)
    return table.sort_values(["stage", "minutes"], ascending=[True, False], kind="stable")


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, words))) or UNKNOWN


def seconds_of(record: Record) -> float:
    """How long a record took, of a training never less than its epochs: early records left out
    those before an interruption."""
    history = record.history if (record.folder / "history.csv").is_file() else {}
    return max(record.env.get("seconds", 0), sum(history.get("seconds", ())))


def totals(records: pd.DataFrame) -> pd.DataFrame:
    """Sum up records by kind of machine, and all together.

    Args:
        records: of ``records_table``.

    Returns:
        index ``machine``, the last ``all``; columns ``records, hours`` (on the clock) and
        ``core-hours``: hours times threads, for processors only; one thread where a record does
        not say how many.
    """
    processor = records["device"].str.startswith("cpu")
    threads = pd.to_numeric(records["threads"], errors="coerce").fillna(1)
    hours = records["minutes"] / 60
    sums = pd.DataFrame({
        "machine": records["device"], "records": 1, "hours": hours,
        "core-hours": (hours * threads).where(processor),
    })  # fmt: skip
    by_machine = sums.groupby("machine").sum(min_count=1)
    return pd.concat([by_machine, by_machine.sum().to_frame("all").T.rename_axis("machine")])
