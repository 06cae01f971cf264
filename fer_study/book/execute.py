"""Execute notebooks with papermill, strictly: wrong parameters are refused, a failed page leaves
nothing behind."""

from __future__ import annotations

import ast
import hashlib
import json
import logging
import os
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..jobs import editions
from ..jobs.job import Job, is_done, unique
from ..jobs.processes import Died, Pool
from ..jobs.stages import STAGES, check_stage, edition_jobs
from ..settings.checkout import ROOT, STUDY, commit, versions
from ..settings.environment import processor
from ..settings.errors import InputError
from ..settings.experiment import PARAMS
from ..settings.yaml_files import read_yaml, value_of
from ..store import local_root
from ..store.record_files import write_atomically
from .freshness import content_hash, is_current, stamp
from .kernel import check_packages, executed
from .standalone import standalone

log = logging.getLogger(__name__)

NOTEBOOKS = STUDY / "notebooks"
PAGES = {"fer2013": ROOT / "book" / "fer2013", "synthetic": ROOT / "book" / "synthetic"}
"""Where the pages of an edition belong that are part of the book; others go to ``pages/`` of the
store."""

LONG_PARAMETERS = 500
"""Characters of a cell of parameters from which a page folds it: some six lines."""


class Task(NamedTuple):
    """A page that is to be made: its notebook, where it goes, all its parameters and the hash of
    what it depends on."""

    notebook: Path
    page: Path
    parameters: dict
    content: str


def stage_names(edition: str) -> list[str]:
    """The notebooks that an edition has parameters for: its stages, in order, then other pages."""
    known = {p.stem for p in NOTEBOOKS.glob("*.ipynb")}
    names = {p.stem for p in editions.folder_of(edition, PARAMS).glob("[!.]*.yaml")}
    return sorted(known & names)


def page_names(edition: str) -> list[str]:
    """The notebooks that are executed when a call names none: all but those that the edition leaves
    to calls that do."""
    left_out = editions.load_edition(edition, PARAMS).when_named
    return [name for name in stage_names(edition) if name not in left_out]


def check_files(edition: str) -> None:
    """Refuse an edition with a file that no page reads, such as one whose name has a slip.

    Raises:
        InputError: there is such a file.
    """
    known = sorted({p.stem for p in NOTEBOOKS.glob("*.ipynb")} | set(STAGES))
    for path in sorted(editions.folder_of(edition, PARAMS).glob("[!.]*.y*ml")):
        if path.name != "edition.yaml" and path.name not in {f"{name}.yaml" for name in known}:
            raise InputError(
                f"{path}: no stage has this name; allowed: NAME.yaml with one of {', '.join(known)}"
            )


def find_stages(edition: str, wanted: list[str]) -> list[str]:
    """Full names of the stages meant by names or numbers; for an empty list ``page_names``.

    Raises:
        InputError: a stage that the edition has not.
    """
    known = stage_names(edition)
    found = []
    for name in wanted or page_names(edition):
        matches = [k for k in known if k == name or k.split("_")[0] == name.zfill(2)]
        if not matches:
            raise InputError(f"edition {edition} has no stage {name!r}; it has: {', '.join(known)}")
        found += matches
    return list(dict.fromkeys(found))


def defaults(notebook: Path) -> dict:
    """Names and default values of a notebook's parameters cell, read without running it.

    Raises:
        InputError: the notebook has no such cell, or one that is more than assignments of plain
            values.
    """
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            body = ast.parse("".join(cell["source"])).body
            try:
                return {node.targets[0].id: ast.literal_eval(node.value) for node in body}
            except (AttributeError, ValueError):
                raise InputError(
                    f"{notebook}: the parameters cell holds more than plain values"
                ) from None
    raise InputError(f"{notebook}: no cell is tagged 'parameters'")


def check_parameters(given: dict, allowed: dict, where: str) -> None:
    """Check parameters of a notebook that is no stage: each name is known and its value has the
    type of the default.

    Raises:
        InputError: the name or the value, and what is allowed.
    """
    for name, value in given.items():
        if name not in allowed:
            raise InputError(f"{where}: unknown parameter {name!r}; allowed: {', '.join(allowed)}")
        expected = type(allowed[name])
        if type(value) is not expected and not (expected is float and type(value) is int):
            raise InputError(
                f"{where}: {name} is {value!r} ({type(value).__name__}), expected "
                f"{expected.__name__}"
            )
        if expected is list and value and allowed[name]:
            kinds = {type(item) for item in allowed[name]}
            if wrong := [item for item in value if type(item) not in kinds]:
                raise InputError(
                    f"{where}: {name} holds {wrong[0]!r}, expected "
                    f"{' or '.join(k.__name__ for k in kinds)}"
                )


def target_of(edition: str, stage: str, changed: dict) -> Path:
    """Where a page is written: into the book, or below the store if a parameter changed or the book
    lacks it."""
    if changed:
        mark = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]
        return local_root() / "pages" / edition / f"{stage}-{mark}.ipynb"
    folder = local_root() / "pages" / edition
    if edition in PAGES and stage not in editions.load_edition(edition, PARAMS).when_named:
        folder = PAGES[edition]
    return folder / f"{stage}.ipynb"


def tasks(edition: str, stages: list[str], overrides: dict[str, str]) -> list[Task]:
    """The pages that are meant, up to date or not.

    Args:
        overrides: parameter -> value as YAML text, as given by ``-p``.

    Raises:
        InputError: an unknown edition, stage or parameter, a value of the wrong type, or ``-p``
            without a stage.
    """
    folder = editions.folder_of(edition, PARAMS)
    if "edition" in overrides:
        raise InputError(
            "-p edition: the edition is the first argument: fer-study execute "
            f"{overrides['edition']} ..."
        )
    if overrides and not stages:
        raise InputError(
            f"-p {next(iter(overrides))}: name the stage that it is for, as in "
            f"`fer-study plan {edition} STAGE -p NAME VALUE`; {edition} has: "
            f"{', '.join(stage_names(edition))}"
        )
    check_files(edition)
    changed = {name: value_of(text, f"-p {name}") for name, text in overrides.items()}
    found = []
    for stage in find_stages(edition, stages):
        notebook, where = NOTEBOOKS / f"{stage}.ipynb", folder / f"{stage}.yaml"
        allowed, parameters = defaults(notebook), editions.parameters(edition, stage, PARAMS)
        for given, place in ((parameters, str(where)), (parameters | changed, f"-p for {stage}")):
            if stage in STAGES:
                check_stage(stage, allowed | given, place)
            else:
                check_parameters(given, allowed, place)
        parameters |= changed
        content = content_hash(notebook, allowed | parameters, PARAMS)
        found.append(
            Task(notebook, target_of(edition, stage, changed), allowed | parameters, content)
        )
    return found


def needed(edition: str, wanted: list[str], overrides: dict[str, str]) -> list[Job]:
    """List the jobs that pages need (see ``tasks``), each once; all of an edition as
    ``stages.edition_jobs`` does."""
    pages = tasks(edition, wanted, overrides)
    if not (wanted or overrides):
        return edition_jobs(edition)
    return unique(job for task in pages for job in jobs_of(task))


def jobs_of(task: Task) -> list[Job]:
    """List the jobs that a page needs, none where its notebook is no stage."""
    stage = task.notebook.stem
    return check_stage(stage, task.parameters).jobs() if stage in STAGES else []


def run(edition: str, stages: list[str], overrides: dict[str, str], root: str | None = None) -> int:
    """Execute stages of an edition (see ``tasks``); pages that are up to date are left alone.

    Returns:
        0 when every page is there, 1 when one failed.
    """
    pages = tasks(edition, stages, overrides)
    todo = [task for task in pages if not is_current(task.page, task.content)]
    for task in pages:
        if task not in todo:
            log.info("%s %s is up to date: %s", edition, task.notebook.stem, task.page)
    code = make(todo, root) if todo else 0
    lacking = {key for task in pages for key in stamp(task.page).get("missing", [])}
    if missing := [key for key in lacking if not is_done(key)]:
        words = [
            "train",
            edition,
            *stages,
            *(word for item in overrides.items() for word in ("-p", *item)),
        ]
        words = ["fer-study", *(("--data", root) if root else ()), *words]
        log.info(
            "records that are missing: %d; train them with: %s", len(missing), shlex.join(words)
        )
    return code


def make(todo: list[Task], root: str | None) -> int:
    """Train what the pages train by themselves, then execute them, as many at a time as there are
    cores.

    Returns:
        0 when every page is there, 1 when one failed or cannot be made.

    Raises:
        InputError: the packages of notebooks are not installed, or the store cannot be written.
    """
    from ..jobs import plan, queue

    check_packages()
    queue.check_store()
    start = time.perf_counter()
    missing = train_live(todo, root)
    trained, failed = time.perf_counter() - start, 0
    pages = []
    for task, keys in zip(todo, missing, strict=True):
        if reason := plan.hopeless(task.parameters["edition"], jobs_of(task), root):
            failed += 1
            log.error(
                "fer-study: %s %s cannot be made: %s",
                task.parameters["edition"],
                task.notebook.stem,
                reason,
            )
        else:
            pages.append((task, keys))
    for task, failure, seconds in attempts(pages):
        if failure:
            failed += 1
            log.error("fer-study: %s", failure)
        else:
            log.info(
                "%s %s done in %.0f s: %s",
                task.parameters["edition"],
                task.notebook.stem,
                seconds,
                task.page,
            )
    log.info(
        "%.0f s in all, %.0f s of them to find or train records",
        time.perf_counter() - start,
        trained,
    )
    return 1 if failed else 0


def train_live(todo: list[Task], root: str | None) -> list[list[str]]:
    """Train what the pages would train, several networks at a time, before they open.

    Returns:
        For each page the keys of the records that it needs and that are still not there.
    """
    from ..jobs import plan

    needs = [jobs_of(task) for task in todo]
    live = [
        job
        for task, jobs in zip(todo, needs, strict=True)
        for job in plan.live_jobs(task.parameters["edition"], jobs)
    ]
    try:
        plan.train_jobs(live, parallel=os.cpu_count() or 1, root=root)
    # the pages that need these runs fail or lack them, the others are made
    except (plan.RunsFailed, InputError) as failure:
        log.error("fer-study: %s", failure)
    return [sorted({job.key for job in jobs if not job.done}) for jobs in needs]


def attempts(pages: list[tuple[Task, list[str]]]) -> Iterator[tuple[Task, str | None, float]]:
    """Execute pages, as many at a time as there are cores, and write each of which every cell ran.

    Args:
        pages: each with the keys of the records that it lacks.

    Returns:
        Task, the message of its failure or None, and its seconds; as they come.
    """
    from ..jobs import queue

    by_notebook = {str(task.notebook): (task, missing) for task, missing in pages}
    count = max(1, min(len(pages), os.cpu_count() or 1))
    share = queue.threads_each(count)
    threads = str(share or os.environ.get("OMP_NUM_THREADS") or os.cpu_count())
    with Pool(count, share) as pool:
        calls = ((task.notebook, task.parameters, NOTEBOOKS) for task, _ in pages)
        for (notebook, *_), outcome in pool.each(executed, calls):
            task, missing = by_notebook[str(notebook)]
            if isinstance(outcome, Died):
                yield task, f"{task.notebook.name}: {outcome}", 0.0
                continue
            text, failure, seconds = outcome
            if not failure:
                task.page.parent.mkdir(parents=True, exist_ok=True)
                text = finished(json.loads(text), task, missing, threads)
                write_atomically(task.page, text)
            yield task, failure, seconds


def finished(notebook: dict, task: Task, missing: list[str], threads: str) -> str:
    """The executed notebook without what belongs to this machine (paths, process ids), marked with
    its content hash, the keys of the records that it lacks and what it was made with (see
    ``executions``); the heading of a stage names the edition, and a page outside the book can be
    read alone (``standalone``)."""
    papermill = notebook["metadata"].pop("papermill", {})
    kept = ("parameters", "start_time", "end_time", "duration", "version")
    notebook["metadata"]["papermill"] = {key: papermill[key] for key in kept if key in papermill}
    notebook["metadata"]["fer_study"] = {
        "content": task.content,
        "missing": missing,
        "made": {
            "commit": commit(), "versions": versions(), "device": f"cpu: {processor()}",
            "threads": threads,
        },
    }  # fmt: skip
    edition = task.parameters.get("edition")  # a lab has none
    named = edition and read_yaml(editions.folder_of(edition, PARAMS) / "edition.yaml")
    title = named.get("title") if named else None
    if title and task.notebook.stem[0].isdigit():
        first = notebook["cells"][0]
        first["source"] = re.sub(
            r"\A# .*", lambda heading: f"{heading[0]}: {title}", "".join(first["source"])
        )
        if note := named.get("note"):
            cell = {"cell_type": "markdown", "id": "note", "metadata": {}, "source": note}
            notebook["cells"].insert(1, cell)
    if edition and task.page.parent not in PAGES.values():
        own = editions.parameters(edition, task.notebook.stem, PARAMS)
        own = defaults(task.notebook) | {"edition": edition} | own
        changed = {name: value for name, value in task.parameters.items() if own[name] != value}
        page = PAGES.get(edition, task.page.parent) / task.notebook.name
        notebook = standalone(notebook, page, changed)
    for cell in notebook["cells"]:
        cell["metadata"].pop("papermill", None)
        cell["metadata"].pop("execution", None)
        if cell["cell_type"] == "code":
            fold_long_parameters(cell)
            cell["outputs"] = [o for o in cell["outputs"] if o.get("name") != "stderr"]
            leave_out_if_empty(cell)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def leave_out_if_empty(cell: dict) -> None:
    """Leave a cell out of its page that is tagged so and shows nothing, for records are missing."""
    tags = cell["metadata"].get("tags", [])
    if "remove-if-empty" in tags and not cell["outputs"]:
        cell["metadata"]["tags"] = [*tags, "remove-cell"]


def fold_long_parameters(cell: dict) -> None:
    """Fold the cell of the parameters away where it would fill a screen of its page, such as a list
    of thirty networks."""
    tags = cell["metadata"].get("tags", [])
    if "injected-parameters" in tags and len("".join(cell["source"])) > LONG_PARAMETERS:
        cell["metadata"]["tags"] = [*tags, "hide-input"]
