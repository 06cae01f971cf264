"""The committed pages say what the published records say: every page is run again, without data, and its numbers compared.

What is drawn is not: figures are of the same tables.
"""

from __future__ import annotations

import copy
import html
import json
import re
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fer_study.book import execute
from fer_study.settings.checkout import ROOT

PAGES = sorted((ROOT / "book" / "fer2013").glob("*.ipynb"))
MEASURED_LIVE = ("page.provenance(", "cost(config")
"""What stands in a cell whose numbers are of the machine and the minute in which the page is made."""

NUMBER = re.compile(r"(?<![\w.])[-+−]?\d[\d,]*(?:\.\d+)?")
DIGIT = re.compile(r"(?<=[>\s'(])[0-9](?=\d*\.\d)")
"""The first digit of a decimal fraction outside the tags of a table."""

GLUED = "application/papermill.record/text/plain"


def numbers(outputs: list[dict]) -> list[str]:
    """The numbers of a cell's outputs as they are printed, in order; of several forms of an output the richest."""
    found = []
    for output in outputs:
        data = output.get("data", {"text/plain": output.get("text", "")})
        form = next((f for f in (GLUED, "text/html", "text/markdown", "text/plain") if f in data), None)
        if form is None or any(f.startswith("image/") for f in data):
            continue
        text = "".join(data[form])
        text = html.unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL))
        found += NUMBER.findall(text)
    return found


def code_cells(page: dict) -> list[dict]:
    return [cell for cell in page["cells"] if cell["cell_type"] == "code"]


def compared(page: dict) -> list[int]:
    """Places of the cells, among those of code, whose numbers follow from the records."""
    sources = ["".join(cell["source"]) for cell in code_cells(page)]
    return [i for i, source in enumerate(sources) if not any(mark in source for mark in MEASURED_LIVE)]


def printed(cell: dict) -> list[tuple[int, str, str]]:
    """Of each output of a cell that has numbers: its place, form and text."""
    data = [output.get("data", {}) for output in cell["outputs"]]
    return [
        (i, form, "".join(d[form]))
        for i, d in enumerate(data)
        for form in (GLUED, "text/html", "text/markdown")
        if form in d
    ]


def run_again(page: dict) -> dict[int, list[str]]:
    """Cell -> its numbers, from running those of ``compared`` here; no figure is rendered."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell, found = InteractiveShell.instance(), {}
    try:
        for place in compared(page):
            with capture_output() as captured:
                done = shell.run_cell("".join(code_cells(page)[place]["source"]))
            done.raise_error()
            last = {"text": captured.stdout}  # of what a shell prints of its last value, only the richest form counts
            if done.result is not None:
                last = {"data": shell.display_formatter.format(done.result)[0]}
            found[place] = numbers([{"data": output.data} for output in captured.outputs] + [last])
    finally:
        InteractiveShell.clear_instance()
    return found


def differing(page: dict, again: dict[int, list[str]]) -> dict[int, tuple[list[str], list[str]]]:
    """Cell -> the numbers that the page has and those that it should have, where they differ."""
    shown = {place: numbers(code_cells(page)[place]["outputs"]) for place in again}
    return {place: (shown[place], right) for place, right in again.items() if shown[place] != right}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_numbers_of_a_page_are_those_of_the_records(path, runs_folder, monkeypatch):
    """Of each table, sentence and glued number, to the last digit; and a digit changed by hand in any of them is seen."""
    monkeypatch.chdir(execute.NOTEBOOKS)
    page = json.loads(path.read_text(encoding="utf-8"))
    with mpl.rc_context({"backend": "agg"}), pd.option_context("display.max_colwidth", 50):
        again = run_again(page)
        plt.close("all")
    assert differing(page, again) == {}, f"not of these records or this code: fer-study execute fer2013 {path.stem}"
    assert sum(map(len, again.values())) > 20
    for place in compared(page):
        for output, form, text in printed(code_cells(page)[place]):
            forged = copy.deepcopy(page)
            changed = DIGIT.sub(lambda digit: str(9 - int(digit[0])), text, count=1)
            code_cells(forged)[place]["outputs"][output]["data"][form] = changed
            assert (place in differing(forged, again)) == (changed != text), (place, form)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_code_of_a_page_is_that_of_its_notebook(path):
    source = json.loads((execute.NOTEBOOKS / path.name).read_text(encoding="utf-8"))
    page = [cell for cell in code_cells(json.loads(path.read_text(encoding="utf-8")))
            if "injected-parameters" not in cell["metadata"].get("tags", [])]  # fmt: skip
    assert ["".join(cell["source"]) for cell in page] == ["".join(cell["source"]) for cell in code_cells(source)]


def accuracies(folder: Path) -> pd.Series:
    """Share of right predictions of a record, last weights and a single view, on PrivateTest and on both test sets."""
    table = pd.read_parquet(folder / "predictions.parquet")
    right = np.stack(table["last_single"]).argmax(axis=1) == table["label"]
    return pd.Series({"test": right[table["split"] == "test"].mean(), "merged": right.mean()})


def test_the_accuracies_of_the_comparison_follow_from_the_predictions():
    """Computed here from the files alone, in the tables and among the numbers that the front page quotes."""
    page = json.loads((ROOT / "book" / "fer2013" / "03_model_comparison.ipynb").read_text(encoding="utf-8"))
    text = json.dumps(page, ensure_ascii=False)
    found: dict[str, list[pd.Series]] = {}
    for path in (ROOT / "results").glob("*/config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["kind"] != "RunConfig" or config["data"]["dataset"] != "fer2013":
            continue
        if config["name"] == config["model"]["name"] and sum(p["epochs"] for p in config["phases"]) in (0, 20):
            found.setdefault(config["name"], []).append(accuracies(path.parent))
    found.pop("timm:mobilenetv3_small_100")  # it has no row on this page: the ledger alone reads it
    assert {name: len(seeds) for name, seeds in found.items()} == {
        "emotion_cnn": 3, "kernel_cnn": 3, "simple_resnet": 3, "cbam_cnn": 3, "hog_svm": 1,
    }  # fmt: skip
    glued = {
        output["metadata"]["scrapbook"]["name"]: "".join(output["data"][GLUED])
        for cell in code_cells(page) for output in cell["outputs"] if GLUED in output.get("data", {})
    }  # fmt: skip
    for name, seeds in found.items():
        mean, sd = pd.DataFrame(seeds).mean(), pd.DataFrame(seeds).std()
        for split in ("test", "merged"):
            cell = f"{100 * mean[split]:.1f}" + (f" ± {100 * sd[split]:.1f}" if len(seeds) > 1 else "")
            assert f"<td>{cell} [" in text, (name, split)
        assert glued[f"fer2013_accuracy_{name}"].startswith(f"'{100 * mean['test']:.1f} % [")
