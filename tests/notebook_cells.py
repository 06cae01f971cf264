"""Run the cells of a notebook here, without a kernel, and look at what they made."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fer_study.audit.tables import classes_of
from fer_study.book import execute, notebook


def run_cell(text: str, where: str, names: dict) -> object:
    """Run a cell; gives the value of its last line, which a page would show."""
    body = ast.parse(text).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), where, "exec"), names)
    return eval(compile(ast.Expression(last.value), where, "eval"), names) if last else None


def run_notebook(name: str, given: dict | None = None, only: Iterable[str] | None = None) -> dict:
    """Run the cells of a notebook, all or those with some ids; gives the names that they bound, and as
    ``said`` all that a page would show, in order.

    Args:
        given: other values of its parameters.
    """
    said: list[object] = []
    names = {"display": said.append, "said": said}
    for cell in json.loads((execute.NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code" or (only is not None and cell["id"] not in only):
            continue
        said.append(run_cell("".join(cell["source"]), f"{name}, cell {cell['id']}", names))
        if "parameters" in cell["metadata"].get("tags", []):
            assert set(given or {}) <= set(names)
            names.update(given or {})
    plt.close("all")
    return names


def page_of(monkeypatch: pytest.MonkeyPatch, *audits: dict, title: str = "made") -> None:
    """Let ``open_stage`` of a notebook give a page of these audits, as records store them; it has no verdicts."""
    records = [SimpleNamespace(audit=audit, mean_faces=np.zeros((len(classes_of(audit)), 1, 4, 4))) for audit in audits]
    page = SimpleNamespace(
        audits=records, title=title, verdicts=lambda: pd.DataFrame({"verdict": [], "seeds": []}), provenance=lambda: None
    )
    monkeypatch.setattr(notebook, "open_stage", lambda *_, **__: page)
