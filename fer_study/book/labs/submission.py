"""A notebook that was handed in: which lab it is, and what of it is run to be marked."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import NamedTuple

from ...settings.errors import InputError
from . import versions

SEED = re.compile(r"^world_seed = (\d{1,6})\b", re.MULTILINE)
"""The one parameter of a lab that is a student's own: which world is drawn."""

SET_UP, STUDENT, CHECK = "set-up", "student", "check"


class Step(NamedTuple):
    """One cell to run.

    Attributes:
        kind: ``SET_UP``, of the lab; ``STUDENT``, of the submission; ``CHECK``, of the lab.
        code: what is run; of a check the answer, an expression.
        question: of a check its name; of other cells that of the next check.
        data: of a check, what the question is about: expressions.
    """

    kind: str
    code: str
    question: str
    data: tuple[str, ...] = ()


class Submission(NamedTuple):
    """A notebook that was handed in.

    Attributes:
        lab: the name of its lab. seed: of its world, as text; empty where the lab draws none.
        steps: to run, in order.
        notes: what of the notebook is not as it was handed out, and does not count.
    """

    lab: str
    seed: str
    steps: list[Step]
    notes: list[str]


def read(path: Path) -> Submission:
    """Read a submission: the answer cells, and cells that were added, of the file; all others of
    the lab.

    Raises:
        InputError: the file cannot be read, is no notebook, or none of a lab.
    """
    cells = _code_cells(path)
    labs = {source.stem: blank_cells(source) for source in versions.sources()}
    found = {name: sum(cell["id"] in cells for cell in own) for name, own in labs.items()}
    lab = max(found, key=found.get)
    if not found[lab]:
        raise InputError(f"{path}: no cell is one of a lab ({', '.join(labs)})")
    seeds = [SEED.search(cells.get(c["id"], "")) or SEED.search(c["source"]) for c in labs[lab]]
    seed = next((found[1] for found in seeds if found), "")
    return Submission(lab, seed, *_steps(labs[lab], cells, seed))


def blank_cells(source: Path) -> list[dict]:
    """List the code cells of the student version of a lab, up to the last check."""
    cells = [c for c in versions.version(source, "student")["cells"] if c["cell_type"] == "code"]
    last = max(i for i, cell in enumerate(cells) if "check" in _tags(cell))
    return cells[: last + 1]


def blank_steps(source: Path, seed: str = "") -> list[Step]:
    """List the steps of a lab without a submission."""
    return _steps(blank_cells(source), {}, seed)[0]


def check_arguments(code: str) -> list[str]:
    """Take a check cell, such as ``sheet.check("1", answer, data)``, apart: the name of the
    question, the expression of the answer, those of the data."""
    call = ast.parse(code).body[-1].value
    return [call.args[0].value, *map(ast.unparse, call.args[1:])]


def _steps(own: list[dict], handed_in: dict[str, str], seed: str) -> tuple[list[Step], list[str]]:
    """List what is run of a lab with the cells that were handed in, and what is not as it was."""
    added, notes = _added({cell["id"] for cell in own}, handed_in), []
    steps: list[Step] = []
    question = ""
    for cell in reversed(own):
        name = cell["id"]
        code = SEED.sub(f"world_seed = {seed}", cell["source"]) if seed else cell["source"]
        kind = next((k for k in (CHECK, STUDENT) if k in _tags(cell)), SET_UP)
        given = handed_in.get(name)
        if given is None:
            notes.append(f"{name} is missing")
        elif kind == STUDENT:
            code = given
        elif given.strip() != code.strip():
            notes.append(f"{name} was changed")
        data: tuple[str, ...] = ()
        if kind == CHECK:
            question, code, *data = check_arguments(code)
        steps.append(Step(kind, code, question, tuple(data)))
        steps += [Step(STUDENT, text, question) for text in reversed(added.get(name, ()))]
    return steps[::-1], notes[::-1] if handed_in else []


def _added(known: set[str], handed_in: dict[str, str]) -> dict[str, list[str]]:
    """Map the id of a cell of the lab to the texts of the cells that were added before it."""
    added: dict[str, list[str]] = {}
    waiting: list[str] = []
    for name, text in handed_in.items():
        if name in known:
            added[name], waiting = waiting, []
        else:
            waiting.append(text)
    return added


def _code_cells(path: Path) -> dict[str, str]:
    """Map the id of each code cell of a file to its text; a cell without an id gets a number."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code"]
        return {str(cell.get("id", i)): "".join(cell["source"]) for i, cell in enumerate(code)}
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path}: no notebook that can be read") from None


def _tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])
