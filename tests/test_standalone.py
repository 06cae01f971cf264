"""Pages outside the book: their text quotes numbers, and says which parameters changed."""

from __future__ import annotations

import json

from fer_study.book.standalone import PLAIN, standalone, without_book


def notebook(text: str, **values: object) -> dict:
    """A page with a text and what it offers for quotation."""
    outputs = [{"metadata": {"scrapbook": {"name": name}}, "data": {PLAIN: repr(value)}} for name, value in values.items()]
    text_cell = {"cell_type": "markdown", "metadata": {}, "source": [text]}
    return {"cells": [text_cell, {"cell_type": "code", "metadata": {}, "outputs": outputs}]}


def test_quoted_numbers_are_those_of_this_page_or_of_the_one_that_is_named(tmp_path):
    (tmp_path / "other.ipynb").write_text(json.dumps(notebook("", share=0.5)))
    quoted = [f"{{glue:text}}`{name}`" for name in ("share:.2f", "other.ipynb::share:.1f", "name:s", "lost:d")]
    text = ", ".join(quoted) + " {cite:p}`wilson1927`"
    page = standalone(notebook(text, share=0.25, name="ours"), tmp_path / "this.ipynb", {})
    assert page["cells"][0]["source"] == "0.25, 0.5, ours, (lost) [Wilson 1927]"
    assert len(page["cells"]) == 2


def test_a_page_says_what_was_changed(tmp_path):
    page = standalone(notebook("# Title"), tmp_path / "this.ipynb", {"seeds": [0, 1]})
    first, notice, _ = page["cells"]
    assert first["source"] == "# Title" and "`seeds: [0, 1]`" in notice["source"]


def test_a_page_that_quotes_itself_by_its_path_means_its_own_numbers(tmp_path):
    (tmp_path / "this.ipynb").write_text(json.dumps(notebook("", share=0.5)))
    (tmp_path / "edition").mkdir()
    text = f"{{glue:text}}`../{tmp_path.name}/this.ipynb::share:.2f`"
    page = standalone(notebook(text, share=0.25), tmp_path / "this.ipynb", {})
    assert page["cells"][0]["source"] == "0.25"


def test_texts_outside_of_the_book_name_what_it_links():
    text = "See [the audit](../fer2013/01.ipynb) and [lab 1](01_leakage.ipynb) {cite:p}`guo2017calibration,facex`."
    assert without_book(text) == "See *the audit* (a page of the book) and [lab 1](01_leakage.ipynb) [Guo 2017; facex]."
