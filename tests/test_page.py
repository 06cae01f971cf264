"""What a page says of itself."""

from __future__ import annotations

import re

import pytest

from fer_study.book.notebook import Page, Verdicts
from fer_study.data.labels import FER2013
from fer_study.settings.checkout import ROOT
from page_records import make_record, two_epochs


def test_the_time_of_a_training_is_at_least_that_of_its_epochs(tmp_path):
    """Early records left out the epochs before an interruption."""
    history = two_epochs().assign(seconds=[600.0, 600.0])
    short, whole = (
        make_record(tmp_path, 20, name=n, history=history, env={"seconds": s}) for n, s in (("a", 60), ("b", 1260))
    )
    bare = make_record(
        tmp_path, 20, name="c", history=two_epochs()[["epoch"]].iloc[:0], env={"seconds": 6}
    )  # HOG + SVM, a transfer
    stated = Page("smoke").provenance([short, whole, bare, None]).loc["training time in all", "value"]
    assert float(stated.removesuffix(" min")) == pytest.approx((1200 + 1260 + 6) / 60)


def test_what_a_page_does_not_know_has_no_row(tmp_path):
    alone = Page("smoke").provenance()["value"]
    assert alone["records"] == "none: this page computes all that it shows"
    assert not alone.isin(["", "-"]).any() and not {"threads", "precision", "training time in all"} & set(alone.index)
    assert Page("smoke").provenance([make_record(tmp_path, 20)]).loc["records", "value"].startswith("1 (")


def test_the_facts_of_a_page_start_at_the_left_and_have_no_heads(tmp_path):
    """The style of the book aligns and wraps tables of this class only."""
    shown = Page("smoke").provenance([make_record(tmp_path, 20)])._repr_html_()
    assert "<thead" not in shown and "<th>edition</th>" in shown and 'class="dataframe facts"' in shown
    style = (ROOT / "book" / "_static" / "custom.css").read_text(encoding="utf-8")
    (rule,) = re.findall(r"^div\.cell_output table\.facts :is\(td, th\) \{(.*?)\}", style, re.DOTALL | re.MULTILINE)
    assert "text-align: left" in rule and "white-space: normal" in rule
    assert style.index("table.facts") > style.index("white-space: nowrap"), "the later rule of two wins"


def test_verdicts_are_shown_short_with_the_whole_in_a_fold():
    """Each claim links to its entry in the ledger; a selection is shown the same way."""
    table = Page("smoke", stage="02_class_weighting").verdicts()
    selected = table[table["verdict"].str.contains("undecided|confirmed")]
    assert isinstance(selected, Verdicts) and len(selected) < len(table)
    for shown in (table._repr_html_(), selected._repr_html_()):
        short, whole = shown.split("<details", 1)
        heads = re.findall(r"<th>(\w+)</th>", short)
        assert heads == ["of", "reported", "measured", "verdict"] and "disgust x15, fear x8" in short
        assert "statement" in whole and "seeds" in whole and "statement" not in short
    claims = [name for name in table.index if name]
    assert re.findall(r'href="../fer2013/00_claims.html#([\w-]+)"', table._repr_html_()) == claims


def test_verdicts_of_claims_that_a_page_names():
    """In its order, whatever page they are of; a further part of a claim has no name."""
    table = Page("smoke").verdicts(["weight-02", "data-01"])
    assert list(table.index) == ["weight-02", "", "data-01"]


def test_what_a_claim_says_is_shown_as_it_is_written():
    table = Verdicts({"of": [""], "reported": ["a > b"], "verdict": ["right"]}, index=["x-01"])
    short = table._repr_html_().split("<details")[0]
    assert ">of<" not in short, "no column without a word"
    assert "a &gt; b" in short and ">x-01</a>" in short


def test_a_page_knows_the_classes_and_the_name_of_its_edition():
    assert (Page("smoke").classes, Page("synthetic").title) == (FER2013, "the controlled twin")


def test_a_page_whose_runs_are_all_missing_says_where_its_audits_come_from(tmp_path):
    page, audit = Page("smoke"), make_record(tmp_path, 20)
    page.records, page.audits = [None, None], [audit]
    assert page.provenance().loc["records", "value"].startswith("1 ")
