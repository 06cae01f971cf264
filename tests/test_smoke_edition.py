"""The whole study at its smallest: eight pages executed by the command line on 600 synthetic faces (about two minutes)."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import nbformat

from fer_study.analysis import report
from fer_study.book import execute
from fer_study.jobs import plan, stages

STAGES = ["01_dataset_audit", "02_class_weighting", "03_model_comparison", "04_ablations", "05_label_distribution",
          "06_cross_dataset", "07_error_analysis", "design", "emonext", "hybrid", "initial_weights", "resface"]  # fmt: skip


def fer_study(*arguments: str) -> tuple[float, str]:
    """Run the command in a process of its own: seconds of processor time, and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [Path(sys.executable).with_name("fer-study"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-3000:]
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout + done.stderr


def outputs(page: nbformat.NotebookNode, cell: str) -> list[nbformat.NotebookNode]:
    return next(c for c in page.cells if c.id == cell)["outputs"]


def check_page(page: nbformat.NotebookNode, stage: str, text: str, runs_folder: Path) -> None:
    """No errors, nothing of this machine, the parameters and the provenance in sight."""
    code = [c for c in page.cells if c.cell_type == "code"]
    assert all(c.execution_count for c in code), f"{stage}: a cell was not run"
    assert [o for c in code for o in c.outputs if o.output_type == "error" or o.get("name") == "stderr"] == []
    assert str(runs_folder) not in text and str(execute.ROOT) not in text and sys.prefix not in text

    given = stages.parameters("smoke", stage)
    (injected,) = [c for c in code if "injected-parameters" in c.metadata.get("tags", [])]
    shown: dict = {}
    exec(injected.source, shown)
    assert {name: shown[name] for name in given} == given == {k: page.metadata.papermill.parameters[k] for k in given}

    (last,) = code[-1].outputs
    table = last.data["text/plain"]
    assert [line.split()[0] for line in table.splitlines()[2:5]] == ["edition", "page", "with"], stage
    assert "smoke" in table and "records made with commit" in table and "cpu" in table and "training time" in table
    assert "threads" in table or stage == "01_dataset_audit", "an audit does not say them"
    assert page.metadata.fer_study.missing == []


def test_the_smoke_edition_from_nothing_to_its_pages(runs_folder):
    start = time.time()
    first, _ = fer_study("execute", "smoke")
    folder = runs_folder / "pages" / "smoke"
    assert [p.name for p in sorted(folder.iterdir())] == [f"{stage}.ipynb" for stage in STAGES] == [
        f"{stage}.ipynb" for stage in execute.stage_names("smoke")
    ]  # fmt: skip
    pages = {}
    for stage in STAGES:
        text = (folder / f"{stage}.ipynb").read_text(encoding="utf-8")
        pages[stage] = nbformat.reads(text, as_version=4)
        check_page(pages[stage], stage, text, runs_folder)
        assert json.loads(text)["metadata"]["papermill"]["duration"] < time.time() - start

    table = plan.table(stages.edition_jobs("smoke"))
    assert set(table["state"]) == {"done"}, "everything that the edition lists was trained"
    jobs = stages.read_stage("smoke", "03_model_comparison").jobs()
    runs = report.by_name(jobs, plan.ensure("smoke", jobs))
    assert sum(map(len, runs.values())) == len(jobs) == 13
    runs = {name: records for name, records in runs.items() if ", fold " not in name}  # which have a table of their own
    scores = report.wide(report.scores(runs, ["accuracy", "balanced_accuracy", "macro_f1", "log_loss", "cohen_kappa"]))
    (shown,) = outputs(pages["03_model_comparison"], "03-04-all")
    assert scores.to_html() in shown.data["text/html"]
    assert scores["seeds"].tolist() == [2, 2, 2, 2, 1]

    before = {path: path.stat().st_mtime_ns for path in runs_folder.rglob("*")}
    seconds, said = fer_study("execute", "smoke")
    assert [line.partition(":")[0] for line in said.splitlines()] == [f"smoke {stage} is up to date" for stage in STAGES]
    assert {path: path.stat().st_mtime_ns for path in runs_folder.rglob("*")} == before
    assert seconds < first / 5, "nothing is made again"
