"""The book as a PDF: what would be cut is found, the style sheet of print mends it, and links stay in the book."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

pytest.importorskip("playwright")
pytest.importorskip("pikepdf")
import pikepdf
from playwright.sync_api import Page, sync_playwright

import print_book
from browser_check import BROWSERS, find_browser

PRINT_CSS = Path(__file__).parents[1] / "book" / "_static" / "print.css"
PLANTED = """<!DOCTYPE html><html><head><title>Planted \u2014 A book</title>
<link rel="stylesheet" href="_static/theme.css"><link rel="stylesheet" href="_static/print.css"></head><body>
<nav class="bd-links"><a class="reference internal" href="#">Planted</a><p class="caption">Part</p>
<a class="reference internal" href="a/one.html">One</a><a class="reference internal" href="a/two.html">Two</a></nav>
<ul><li><button onclick="window.print()">.pdf</button></li></ul>
<p class="component-author">Its authors</p><article class="bd-article"><h1>Planted</h1>
<div class="scroll"><table class="wide"><tr>{cells}</tr></table></div>
<div class="highlight"><pre class="long">{code}</pre></div><p>A line that fits.</p>
<a href="a/two.html#same">two</a></article></body></html>"""
LONG = "whose title is so long that it has to wrap and goes on in a second line of the page on which it stands"
PAGE = """<article class="bd-article"><section id="same"><h1>{title}<a class="headerlink" href="#same">#</a></h1>
<h2>A section of {title} {long}</h2>
<p><a href="#same">here</a> <a href="two.html">page</a> <a href="../_sources/two.txt">file</a> <a href="https://a.org">away</a></p>
<img src="../_images/x.png"></section></article>"""
SCROLLS = ".scroll, .highlight {overflow-x: auto} td {white-space: nowrap}"

needs_browser = pytest.mark.skipif(
    not any(map(shutil.which, filter(None, (os.environ.get("CHROMIUM"), *BROWSERS)))), reason="no Chromium or Chrome here"
)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A built book of three pages, the first of which has a wide table and a long line of code."""
    html = tmp_path / "html"
    for folder in ("a", "_static"):
        (html / folder).mkdir(parents=True)
    cells = "".join(f"<td>a value {number} [with, interval]</td>" for number in range(14))
    (html / "index.html").write_text(PLANTED.format(cells=cells, code="f(" + "argument, " * 40 + ")"), encoding="utf-8")
    for name in ("one", "two"):
        (html / "a" / f"{name}.html").write_text(PAGE.format(title=name, long=LONG), encoding="utf-8")
    (html / "_static" / "theme.css").write_text(SCROLLS)
    return html


@pytest.fixture
def tab() -> Page:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--disable-dev-shm-usage"])
        yield browser.new_page()
        browser.close()


@needs_browser
def test_a_wide_table_and_a_long_line_of_code_are_found_and_the_style_sheet_mends_both(book, tab):
    tab.goto((book / "index.html").as_uri())
    faults = print_book.cut_elements(tab)
    named = [fault.split(": ")[1].split(" ends")[0] for fault in faults]
    assert named == ['<div class="scroll">', '<div class="highlight">']
    assert all("index.html" in fault for fault in faults)
    shutil.copy(PRINT_CSS, book / "_static" / "print.css")
    tab.goto((book / "index.html").as_uri())
    assert print_book.cut_elements(tab) == []


def test_joined_pages_keep_their_order_names_and_links(book):
    whole = print_book.BeautifulSoup(print_book.join(book), "html.parser")
    assert [article["id"] for article in whole.select("article")] == ["index", "a-one", "a-two"]
    assert [title.get_text() for title in whole.select("h1")] == ["Planted", "Part", "one", "two"]
    assert [int(title.get("aria-level", 1)) for title in whole.select("h1")] == [1, 1, 2, 2]
    assert [link.get("href") for link in whole.select("#index a")] == ["#a-two--same"]
    assert [link.get("href") for link in whole.select("#a-one a")] == ["#a-one--same", "#a-two", None, "https://a.org"]
    assert whole.select_one("#a-one img")["src"] == "html/_images/x.png"
    assert whole.select_one("#a-two--same h1")


@needs_browser
def test_the_printed_book_has_an_outline_links_inside_and_page_numbers(book, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["print_book", str(book), str(tmp_path / "book.pdf")])
    with pytest.raises(SystemExit, match="index: <div"):
        print_book.main()
    shutil.copy(PRINT_CSS, book / "_static" / "print.css")
    assert print_book.main() == 0
    with pikepdf.open(tmp_path / "book.pdf") as pdf, pdf.open_outline() as outline:
        assert len(pdf.pages) == 5
        assert [item.title for item in outline.root] == ["Planted", "Part"]
        one, two = outline.root[1].children
        assert (one.title, two.title) == ("one", "two")
        assert one.children[0].title == f"A section of one {LONG}"
        places = pdf.Root.Dests
        assert places["/a-two--same"][0].objgen == pdf.pages[4].obj.objgen
        assert {str(link.get("/Dest", "")) for link in pdf.pages[3].Annots} == {"/a-one--same", "/a-two", ""}
    assert (book / "book.pdf").exists()
    assert '<a class="btn btn-sm dropdown-item" href="book.pdf">' in (book / "index.html").read_text(encoding="utf-8")
