"""What was executed, where and how long: from planted notebooks and records."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from fer_study import store
from fer_study.book import execute, executions
from fer_study.jobs.job import job_for
from fer_study.settings.checkout import commit, versions
from fer_study.store import Record
from page_records import make_record, two_epochs


def planted_page(folder, name, **metadata):
    path = folder / f"{name}.ipynb"
    cells = [{"cell_type": "markdown", "metadata": {}, "source": [f"# Page {name}\n", "\n", "Text."]}]
    path.write_text(json.dumps({"cells": cells, "metadata": metadata}))
    return path


RUN = {"parameters": {"edition": "smoke"}, "start_time": "2026-01-02T23:59:59.9+00:00", "duration": 12.6}


def test_a_page_says_when_how_long_and_with_what(tmp_path):
    made = {"commit": "abc", "versions": "Python 3", "device": "cpu: test", "threads": "2"}
    new = planted_page(tmp_path, "new", papermill=RUN, fer_study={"content": "c", "made": made})
    old = planted_page(tmp_path, "old", papermill=RUN | {"parameters": {}}, fer_study={"content": "c"})
    never = planted_page(tmp_path, "never")
    table = executions.pages_table([new, old, never])
    assert list(table.index) == [new, old]
    assert table.loc[new].to_dict() == {
        "title": "Page new", "edition": "smoke", "date": "2026-01-02", "seconds": 13, **made,
    }  # fmt: skip
    assert list(table.loc[old, ["edition", *made]]) == ["-"] * 5


def test_an_executed_notebook_keeps_what_it_was_made_with():
    task = execute.Task(execute.NOTEBOOKS / "design.ipynb", execute.NOTEBOOKS, {}, "content")
    made = json.loads(execute.finished({"cells": [], "metadata": {}}, task, [], "2"))["metadata"]["fer_study"]["made"]
    assert (made["commit"], made["versions"], made["threads"]) == (commit(), versions(), "2")
    assert made["device"].startswith("cpu: ")


@pytest.fixture
def records(tmp_path):
    """Two of one machine, of which one does not say its threads; one of another; one of an accelerator."""
    env = [
        {"device": "cpu: a", "threads": 4, "seconds": 1800.0}, {"device": "cpu: a", "seconds": 3600.0},
        {"device": "cpu: b", "threads": 2, "seconds": 60.0}, {"device": "cuda: c", "threads": 8, "seconds": 7200.0},
    ]  # fmt: skip
    made = [make_record(tmp_path, 20, seed=seed, env=values) for seed, values in enumerate(env)]
    return [Record(record.folder.rename(tmp_path / record.config.key), published=True) for record in made]


def test_a_record_stands_once_with_every_stage_that_lists_it(records):
    jobs = [
        job_for(records[0].config, stage=stage, arm=arm) for stage, arm in (("03", "ours"), ("04", "full"), ("04", "full"))
    ]
    table = executions.records_table(records, [*jobs, job_for(records[2].config, stage="03", arm="ours")])
    assert len(table) == 4 and set(table.index) == {record.key for record in records}
    first = table.loc[records[0].key]
    assert (first["stage"], first["arm"], first["made by"], first["seed"]) == ("03, 04", "ours, full", "training", 0)
    assert (first["minutes"], first["device"], first["threads"], first["commit"]) == (30, "cpu: a", 4, "abc")
    assert table.loc[records[1].key, ["stage", "arm", "threads"]].tolist() == ["-", "-", "-"]


def test_totals_by_machine(records):
    sums = executions.totals(executions.records_table(records, []))
    assert list(sums.index) == ["cpu: a", "cpu: b", "cuda: c", "all"]
    assert list(sums["records"]) == [2, 1, 1, 4]
    assert sums["hours"].tolist() == pytest.approx([1.5, 1 / 60, 2, 3.5 + 1 / 60])
    assert sums["core-hours"].tolist() == pytest.approx([3, 2 / 60, np.nan, 3 + 2 / 60], nan_ok=True)


def test_a_record_took_no_less_than_its_epochs(tmp_path):
    record = make_record(tmp_path, 20, history=two_epochs().assign(seconds=[600.0, 600.0]), env={"seconds": 60})
    assert executions.seconds_of(record) == 1200


def test_no_pages_and_no_records_are_empty_tables():
    assert executions.pages_table([]).empty and executions.records_table([], []).empty
    assert isinstance(executions.records_table([], []), pd.DataFrame)


def test_every_kind_of_record_has_a_name():
    assert set(executions.KINDS) == set(store.KINDS.values())
