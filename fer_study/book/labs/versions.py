"""Labs: a student and a solution version from one notebook, the executed solution as a page, and a
rehearsal before class.

In the notebook (``notebooks/labs/``) cells tagged ``solution`` hold the worked answers and cells
tagged ``student`` the blanks; each version leaves the other's cells out.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from pathlib import Path

from ...settings.checkout import ROOT, STUDY
from ...store.record_files import write_atomically
from .. import execute
from ..freshness import content_hash, is_current
from ..kernel import check_packages
from ..standalone import without_book

log = logging.getLogger(__name__)

SOURCES, WORK, PAGES = STUDY / "notebooks" / "labs", ROOT / "labs", ROOT / "book" / "labs"
LEFT_OUT = {"student": "solution", "solution": "student"}
"""Version -> tag of the cells that it has not."""


def sources() -> list[Path]:
    """The notebook of every lab, in order."""
    return sorted(SOURCES.glob("[0-9]*.ipynb"))


def version(source: Path, name: str, in_book: bool = False) -> dict:
    """A version of a lab, as a notebook marked with the hash of its cells.

    Args:
        in_book: references and links to other pages stay for the builder of the book, which does
            not see what is handed out.
    """
    import nbformat
    from nbconvert.preprocessors import TagRemovePreprocessor

    notebook = nbformat.read(source, as_version=4)
    notebook, _ = TagRemovePreprocessor(remove_cell_tags={LEFT_OUT[name]}).preprocess(notebook, {})
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown" and not in_book:
            cell["source"] = without_book(cell["source"])
    notebook["metadata"]["fer_study"] = {"version": name, "cells": mark(notebook)}
    return notebook


def mark(notebook: dict) -> str:
    """Hash of what the cells say, outputs aside."""
    text = json.dumps(
        [
            cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            for cell in notebook["cells"]
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write() -> list[Path]:
    """Write both versions of every lab to ``labs/``; a notebook in which somebody has worked is
    kept.

    Returns:
        The solutions.

    Raises:
        InputError: the packages of notebooks are not installed.
    """
    check_packages()
    for source in sources():
        for name in LEFT_OUT:
            target = WORK / name / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if worked_in(target):
                log.info(
                    "%s was worked in and is kept; move it away for a fresh one",
                    target.relative_to(ROOT),
                )
            else:
                write_atomically(target, as_text(version(source, name)))
    return [WORK / "solution" / source.name for source in sources()]


def as_text(notebook: dict) -> str:
    """The notebook as it is written to a file."""
    import nbformat

    return nbformat.writes(notebook) + "\n"


def worked_in(path: Path) -> bool:
    """The file is there and its cells are not those that were written."""
    if not path.is_file():
        return False
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        return mark(notebook) != notebook["metadata"]["fer_study"]["cells"]
    except (ValueError, KeyError, TypeError):
        return True


def pages() -> int:
    """Execute the solution of every lab into the book where its page is out of date.

    Returns:
        0 when every page is there, 1 when one failed.
    """
    failed = 0
    for source in sources():
        page, content = PAGES / source.name, content_hash(source, execute.defaults(source))
        if is_current(page, content):
            log.info("lab %s is up to date", source.stem)
        else:
            failed += not _executed(source, page, content)
    return 1 if failed else 0


def rehearse() -> int:
    """Execute every solution with an empty store, and say how long it took and how many points it
    got.

    Returns:
        0 when every lab is ready, 1 when one failed.
    """
    failed, before = 0, os.environ.get("FER_STUDY_RUNS")
    for source in sources():
        with tempfile.TemporaryDirectory() as folder:
            os.environ["FER_STUDY_RUNS"] = folder
            try:
                failed += not _executed(source, Path(folder) / source.name, "")
            finally:
                os.environ.pop("FER_STUDY_RUNS")
                if before is not None:
                    os.environ["FER_STUDY_RUNS"] = before
    return 1 if failed else 0


def _executed(source: Path, page: Path, content: str) -> bool:
    """Execute the solution of a lab and say how it went."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        solution = Path(folder) / source.name
        solution.write_text(as_text(version(source, "solution", in_book=True)), encoding="utf-8")
        task = execute.Task(solution, page, {}, content)
        ((_, failure, _),) = execute.attempts([(task, [])])
    if failure:
        log.error("fer-study: lab %s", failure)
        return False
    log.info("lab %s: %s in %.0f s", source.stem, score(page), time.perf_counter() - start)
    return True


def score(page: Path) -> str:
    """What the last cell tagged ``score`` says, such as ``20 of 20 points``."""
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    (last,) = [cell for cell in cells if "score" in cell["metadata"].get("tags", [])]
    return "".join(last["outputs"][-1]["data"]["text/markdown"]).strip("*")
