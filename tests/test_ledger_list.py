"""The ledger as a list of a page: every claim, its quotation, its numbers, and what it is found by."""

from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree

import pytest

from fer_study.analysis import claims, ledger, verdicts
from fer_study.book.ledger_list import FILTERS, ledger_list, shown_quote
from notebook_cells import run_notebook


@pytest.fixture(scope="module")
def found():
    return ledger.ledger()


@pytest.fixture(scope="module")
def items(found) -> dict[str, ElementTree.Element]:
    """The claims of the list by id; reading them as XML shows that every tag is closed and every sign escaped."""
    return {item.get("id"): item for item in ElementTree.fromstring(ledger_list(found)).iter("details")}


def test_every_claim_stands_there_with_its_quotation_and_its_numbers(found, items):
    assert list(items) == list(claims.load().index)
    for verdict in found:
        item = items[verdict.claim]
        text = unescape("".join(item.itertext()))
        assert claims.place(verdict.where) in text and verdict.word in text
        assert all(key in text for key in verdict.evidence)
        for part in verdict.parts:
            expected = (part.needs, part.command) if part.word == verdicts.OPEN else (ledger.shown_measured(part),)
            assert all(words in text for words in expected), verdict.claim
        assert item.find(".//a").get("href") == f"{verdict.page}.html"


def test_what_was_counted_or_only_read_has_its_words(found):
    """A bare number in the column *measured* would pass for a measurement of what the claim is about."""
    shown = {(verdict.claim, i): ledger.shown_measured(part) for verdict in found for i, part in enumerate(verdict.parts)}
    assert shown["hybrid-01", 0] == "source prints 58.87 and 58.30 %"
    assert shown["hybrid-30", 0] == "15 layers apart"
    assert shown["hybrid-23", 0].endswith(" ms an image") and float(shown["hybrid-23", 0].split()[0]) > 0
    assert not [words for words in shown.values() if "{" in words]


def test_a_claim_is_found_by_what_the_ledger_says(found, items):
    html = ledger_list(found)
    for name in FILTERS:
        menu = html.split(f'<select data-filter="{name}">')[1].split("</select>")[0]
        offered = {unescape(option) for option in re.findall(r"<option>(.*?)</option>", menu)}
        assert offered == {item.get(f"data-{name}") for item in items.values()}
    assert {items[v.claim].get("data-verdict") for v in found if v.is_open} == {"open"}


WRITTEN = re.compile(r"\*\*(?=\S)|(?<=\S)\*\*|(?<!\*)\*(?!\*)|</?u>|\$|\\sim |\^\\circ")
"""Marks of Markdown and TeX; the power in a line of Python is none."""


def test_a_quotation_has_its_words_and_no_marks(found, items):
    for verdict in found:
        quote = items[verdict.claim].find("blockquote")
        quote.remove(quote.find("footer"))
        words = "".join(quote.itertext())
        degrees = verdict.quote.replace("( $\\sim 23^\\circ$ )", "( ~ 23° )")
        assert words == WRITTEN.sub("", degrees), verdict.claim
        assert not WRITTEN.search(words), verdict.claim


@pytest.mark.parametrize(
    ("quote", "html"),
    [
        ("**Stage 2**: 15 epochs", "<strong>Stage 2</strong>: 15 epochs"),
        ("(83% for *Happy*)", "(83% for <em>Happy</em>)"),
        ("like <u>Disgust</u> (<5%)", "like <u>Disgust</u> (&lt;5%)"),
        (r"Shear: 0.4 ( $\sim 23^\circ$ )", "Shear: 0.4 ( ~ 23° )"),
        ("mean((w - m) ** 2) * 3 ** 4", "mean((w - m) ** 2) * 3 ** 4"),
    ],
)
def test_marks_of_a_quotation_are_shown_as_what_they_mean(quote, html):
    assert shown_quote(quote) == html


def test_a_place_names_documents_by_title():
    assert claims.place("003, section 6.2; 002, lines 140-175") == (
        "Hybrid ResNet50, summary, section 6.2; Hybrid ResNet50, course project, lines 140-175"
    )


def test_every_verdict_belongs_to_one_group(found):
    words = [word for group in verdicts.WORDS.values() for word in group]
    assert len(words) == len(set(words)) and {part.word for verdict in found for part in verdict.parts} <= set(words)
    assert {verdict.group for verdict in found} <= set(verdicts.GROUPS)
    assert sum(verdict.group == "open" for verdict in found) == sum(verdict.is_open for verdict in found)


def test_claims_of_one_table_are_told_apart_by_their_titles(found):
    titles = re.findall(r"</b> (.*?) <span class=\"verdict\">", ledger_list(found))
    assert len(titles) == len(set(titles)) == len(found)
    assert "A+B+C: ResFace-50, ferplus: accuracy 0.8987" in titles


def test_a_source_has_a_title():
    assert set(claims.SOURCES) == set(claims.load()["source"])


def test_what_is_open_is_listed_once_by_what_is_missing(monkeypatch):
    """Every open part of a claim is in one of the three tables of the page, with a link into the ledger."""
    glued: dict[str, object] = {}
    monkeypatch.setattr("fer_study.book.notebook.glue", lambda _, **values: glued.update(values))
    names = run_notebook("00_claims", {"pattern": "[hr]*"}, ["claims-01", "claims-02", "claims-15"])
    assert sum(chosen.astype(int) for chosen in names["parts"].values()).eq(1).all()
    counts = {name: glued[f"claims_open_{name}_count"] for name in names["parts"]}
    assert sum(counts.values()) == len(names["missing"]) and all(counts.values())
    tables = "".join(glued[f"claims_open_{name}"].data for name in counts)
    assert all(f'00_claims.html#{name}"' in tables for name in names["missing"]["id"])
    assert glued["verdict_resface-12"] == "no reading found"
    smaller = [v.claim for v in names["verdicts"] if v.scale and v.group not in ("open", "undecided")]
    stood_in = glued["claims_stood_in"].data
    assert smaller and [stood_in.count(f'html#{name}"') for name in smaller] == [1] * len(smaller)
    assert stood_in.count("html#") == len(smaller)
