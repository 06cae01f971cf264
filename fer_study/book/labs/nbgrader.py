"""The labs as sources of nbgrader: https://nbgrader.readthedocs.io, metadata of version 3."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

from ...settings.errors import InputError
from ...store.record_files import write_atomically
from ..kernel import check_packages
from . import submission, versions
from .marking import Sheet

log = logging.getLogger(__name__)

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


def write(folder: Path) -> list[Path]:
    """Write each lab to ``source/LAB/LAB.ipynb`` of a course; a file that is there is kept.

    Args:
        folder: of the course; made where it is not there.

    Raises:
        InputError: the folder cannot be made, or the packages of notebooks are not installed.
    """
    check_packages()
    written = []
    for source in versions.sources():
        target = folder / "source" / source.stem / source.name
        if target.exists():
            log.info("%s is there and is kept; move it away for a fresh one", target)
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, versions.as_text(convert(source)))
        except OSError as error:
            raise InputError(f"{target}: {error.strerror}") from None
        log.info("%s", target)
        written.append(target)
    return written


def convert(source: Path) -> dict:
    """Make a notebook of nbgrader of a lab: its student version, with the worked answers between
    marks in the cells of the answers, and with points at the checks."""
    import nbformat

    notebook = versions.version(source, "student")
    del notebook["metadata"]["fer_study"]
    worth, answers = Sheet.of(source.stem).worth, _worked(nbformat.read(source, as_version=4).cells)
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        role = {"grade": "check" in tags, "solution": "student" in tags, "task": False}
        if role["solution"]:
            blank, worked = cell["source"].rstrip(), answers[cell["id"]].rstrip()
            cell["source"] = f"{blank}\n{BEGIN}\n{worked}\n{END}"
        role |= {"locked": not role["solution"], "grade_id": cell["id"], "schema_version": 3}
        role["cell_type"] = cell["cell_type"]
        if role["grade"]:
            role["points"] = worth[submission.check_arguments(cell["source"])[0]]
        cell["metadata"]["nbgrader"] = role
    return notebook


def _worked(cells: list[dict]) -> dict[str, str]:
    """Map the id of each cell of an answer to the worked answer, which is the cell after it."""
    pairs = itertools.pairwise(cells)
    return {a["id"]: b["source"] for a, b in pairs if "student" in a["metadata"].get("tags", [])}
