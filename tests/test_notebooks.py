"""Every notebook runs as it is opened, and with the least that can be asked of it; its cells are run here, without a kernel."""

from __future__ import annotations

import json
import re

import matplotlib
import matplotlib.pyplot as plt
import pytest

from fer_study import execute, plan
from fer_study.pages import gallery

NOTEBOOKS = sorted(path.stem for path in execute.NOTEBOOKS.glob("*.ipynb"))
ONE = {"model": "emotion_cnn"}
LEAST = [
    ("01_dataset_audit", {"near_threshold": 1.0}),
    ("02_class_weighting", ONE | {"schemes": ["none"]}),
    ("03_model_comparison", {"models": ["emotion_cnn"], "baseline": False}),
    ("04_ablations", ONE | {"arms": ["full"]}),
    ("05_label_distribution", ONE | {"targets": ["labels"]}),
    ("06_cross_dataset", ONE | {"sources": ["synthetic-wild"], "targets": ["synthetic-wild"]}),
    ("07_error_analysis", {"models": ["emotion_cnn"]}),
    ("design", {"networks": [{"name": "one", "model": "emotion_cnn"}]}),
    ("gallery", {"networks": [{"name": "emotion_cnn", "size": 16, "timed": False}]}),
]  # fmt: skip


@pytest.fixture(scope="module")
def one_store(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def run(one_store, monkeypatch):
    """Run the cells of a notebook with other values of its parameters, in the folder of the notebooks."""
    monkeypatch.setenv("FER_STUDY_RUNS", str(one_store))
    monkeypatch.chdir(execute.NOTEBOOKS)
    matplotlib.use("agg")
    for slow in ("squeeze", "printed", "printed_reading", "resface_sizes"):  # they take no parameters
        monkeypatch.setattr(gallery, slow, lambda: "")

    def cells(name: str, given: dict) -> dict:
        notebook, names = execute.NOTEBOOKS / f"{name}.ipynb", {"display": lambda _: None}
        for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"{name}, cell {number}", "exec"), names)
                if "parameters" in cell["metadata"].get("tags", []):
                    assert set(given) <= set(names)
                    names.update(given)
        plt.close("all")
        return names

    return cells


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if name not in ("gallery", "twin")])
@pytest.mark.parametrize("edition", ["smoke", "fer2013"])
def test_without_records(run, monkeypatch, name, edition):
    """As opened in JupyterLab with nothing trained, and with another edition and nothing else changed."""
    monkeypatch.setattr(plan, "live_jobs", lambda *_: [])
    names = run(name, {"edition": edition})
    assert names["page"].edition == edition


@pytest.mark.parametrize(("name", "given"), LEAST, ids=lambda value: value if isinstance(value, str) else "")
def test_the_least_that_can_be_asked_for(run, name, given):
    names = run(name, given)
    assert names["page"] and all(names.get("records", [True]))


@pytest.mark.parametrize("name", ["gallery", "twin"])
def test_as_it_is_opened(run, name):
    assert run(name, {})["page"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_parameter_says_what_it_may_be(name):
    cells = json.loads((execute.NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    (cell,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    assert all(re.fullmatch(r"\w+ = .+  # .{10,}\n?", line) for line in cell["source"]), cell["source"]
