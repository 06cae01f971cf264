"""Print the built book as one PDF, with outline, links inside and page numbers; fail where anything would be cut.

Usage: python tests/print_book.py book/_build/html book/_build/fer-study.pdf

All pages are joined to one document in the order of the sidebar, and Chromium prints that: links between pages, the
outline and the numbers of pages then come from the printer. Sphinx's own single page (``singlehtml``) would do the
joining, but notebooks share the names of their sections, and its links lead to the first of that name.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pikepdf
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Page, sync_playwright

from browser_check import NO_NETWORK, find_browser, serve

PAPER = {"width": 673, "height": 978}
"""What the margins of ``book/_static/print.css`` leave of A4, in pixels of 1/96 inch."""

CUT = """height => {
    const [edge, found] = [document.documentElement.clientWidth + 1, []];
    for (const part of document.querySelectorAll("article *")) {
        const box = part.getBoundingClientRect();
        if (!box.width || part.ownerSVGElement || part.parentElement.closest("math")) continue;
        const wide = part.clientWidth && part.scrollWidth > part.clientWidth + 1;
        const right = wide ? box.left + part.scrollWidth : box.right;
        const hidden = wide && getComputedStyle(part).overflowX != "visible";
        const high = box.height > height && part.matches("img, svg, math");
        if (right <= edge && box.left >= -1 && !hidden && !high) continue;
        if (found.some(({part: outer}) => outer.contains(part))) continue;
        found.push({part, fault: high ? `is ${box.height} px high` : `ends at ${Math.round(right)} of ${edge - 1} px`});
    }
    return found.map(({part, fault}) => {
        const page = part.closest("article").id || location.pathname;
        const text = part.textContent.trim().replace(/\\s+/g, " ").slice(0, 60);
        return `${page}: <${part.localName} class="${part.className}"> ${fault}: ${text}`;
    });
}"""

FILL_NUMBERS = "places => document.querySelectorAll('[data-page]').forEach(e => e.textContent = places[e.dataset.page])"

PRINT_BUTTON = re.compile(r'<li>\s*<button onclick="window\.print\(\)".*?</li>', re.DOTALL)


def cut_elements(tab: Page) -> list[str]:
    """Name every element of the page in a tab that reaches beyond the paper or hides a part of itself, as printed."""
    tab.set_viewport_size(PAPER)
    tab.emulate_media(media="print")
    return tab.evaluate(CUT, PAPER["height"])


def read_parts(index: BeautifulSoup) -> list[tuple[str, list[str]]]:
    """Titles of parts and paths of their pages, as the sidebar of the front page has them."""
    parts: list[tuple[str, list[str]]] = [("", ["index.html"])]
    for entry in index.select("nav.bd-links p.caption, nav.bd-links a.reference.internal"):
        if entry.name == "p":
            parts.append((entry.get_text(strip=True), []))
        elif entry["href"] != "#":
            parts[-1][1].append(urlsplit(str(entry["href"])).path)
    return parts


def name_of(path: str, place: str = "") -> str:
    """The name in the whole book of a page, or of a place in it."""
    page = re.sub(r"\W+", "-", path.removesuffix(".html"))
    return f"{page}--{place}" if place else page


def read_article(html: Path, path: str, pages: set[str], deeper: int) -> Tag:
    """The text of a page with names, links and pictures as the joined document, beside the folder, needs them."""
    article = BeautifulSoup((html / path).read_text(encoding="utf-8"), "html.parser").select_one("article.bd-article")
    for leftover in article.select("a.headerlink, details.hide, a[download], script, .ledger-filters"):
        leftover.decompose()
    for part in article.find_all(id=True):
        part["id"] = name_of(path, part["id"])
    for heading in article.find_all(re.compile("^h[1-6]$")):
        heading["aria-level"] = int(heading.name[1]) + deeper
    for picture in article.find_all("img"):
        picture.attrs.pop("loading", None)  # paper is not scrolled
        if not picture["src"].startswith("data:"):
            picture["src"] = f"{html.name}/{urljoin(path, picture['src'])}"
    for link in article.find_all("a", href=True):
        target = urlsplit(urljoin(path, link["href"]))
        if target.scheme in ("http", "https", "mailto"):
            continue
        if (target.path or path) in pages:
            link["href"] = "#" + name_of(target.path or path, target.fragment)
        else:  # a file of the web page alone
            del link["href"]
    article["id"] = name_of(path)
    return article


def join(html: Path) -> str:
    """The whole book as one page of HTML, to lie beside the folder of the pages."""
    index = BeautifulSoup((html / "index.html").read_text(encoding="utf-8"), "html.parser")
    parts = read_parts(index)
    pages = {path for _, paths in parts for path in paths}
    contents, articles, heads = [], [], []
    for part, paths in parts:
        entries = []
        for path in paths:
            article = read_article(html, path, pages, deeper=bool(part) and len(paths) > 1)
            title = article.h1.get_text(strip=True)
            entries.append(f'<li><a href="#{article["id"]}">{title}</a><span data-page="{article["id"]}"></span></li>')
            heads.append(f'@page {article["id"]} {{ @top-left {{ content: "{title}"; }} }}')
            heads.append(f"#{article['id']} {{ page: {article['id']}; }}")
            if path == paths[0] and len(paths) > 1:
                article.h1.insert_before(BeautifulSoup(f'<h1 class="part">{part}</h1>', "html.parser"))
            articles.append(str(article))
        contents.append(f"<p>{part}</p>" * (len(paths) > 1) + f"<ul>{''.join(entries)}</ul>")
    styles = [f"{html.name}/{link['href']}" for link in index.select('link[rel="stylesheet"]')]
    links = "".join(f'<link rel="stylesheet" href="{style}">' for style in styles)
    title = index.title.get_text().split(" \u2014 ")[-1]
    return f"""<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light" class="whole-book">
<head><meta charset="utf-8"><title>{title}</title>{links}<style>{" ".join(heads)}</style></head><body>
<header class="title-page"><p class="title">{title}</p><p>{index.select_one(".component-author").get_text(strip=True)}</p>
<p>Version {version("fer-study")}{state(html)}</p><p>The web edition holds the same pages, the code of folded cells, and
every table as a file. There, the code of each page can be run.</p></header>
<nav class="contents-page"><p class="title">Contents</p>{"".join(contents)}</nav>{"".join(articles)}</body></html>"""


def state(html: Path) -> str:
    """Day and commit of the book, where it lies in a repository."""
    command = ["git", "-C", str(html), "log", "-1", "--format=, %cs, commit %h"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def print_book(tab: Page, pdf: Path) -> int:
    """Print twice: the numbers of pages in the contents are known after the first time. Returns how many pages it has."""
    for _ in range(2):
        tab.pdf(path=pdf, format="A4", prefer_css_page_size=True, outline=True, tagged=True, print_background=True)
        with pikepdf.open(pdf) as book:
            numbers = {page.objgen: number for number, page in enumerate(book.pages, start=1)}
            places = {name[1:]: numbers[place[0].objgen] for name, place in book.Root.Dests.items()}
        tab.evaluate(FILL_NUMBERS, places)
    titles = tab.evaluate("[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(title => title.textContent)")
    finish(pdf, {"".join(title.split()): title.strip() for title in titles})
    return len(numbers)


def finish(pdf: Path, titles: dict[str, str]) -> None:
    """Give the outline the spaces back that the printer drops where a title wraps, and pack the file."""

    def mend(items: list[pikepdf.OutlineItem]) -> None:
        for item in items:
            item.title = titles.get("".join(item.title.split()), item.title)
            mend(item.children)

    with pikepdf.open(pdf, allow_overwriting_input=True) as book:
        with book.open_outline() as outline:
            mend(outline.root)
        book.Root.PageMode = pikepdf.Name.UseOutlines
        book.save(pdf, object_stream_mode=pikepdf.ObjectStreamMode.generate)


def offer(html: Path, pdf: Path) -> None:
    """Copy the file into the web book and name it in the download menu of every page; the menu has no dead link before."""
    shutil.copy(pdf, html)
    for page in html.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        up = "../" * (len(page.relative_to(html).parts) - 1)
        entry = f'<li><a class="btn btn-sm dropdown-item" href="{up}{pdf.name}">The whole book as .pdf</a></li>'
        if entry not in text:
            page.write_text(PRINT_BUTTON.sub(rf"\g<0>{entry}", text), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("html", type=Path, help="folder of the built book")
    parser.add_argument("pdf", type=Path, help="file to write")
    arguments = parser.parse_args()
    html = arguments.html.resolve()
    joined = html.parent / "whole-book.html"
    joined.write_text(join(html), encoding="utf-8")
    with serve(html.parent) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=[NO_NETWORK, "--disable-dev-shm-usage"])
        tab = browser.new_page()
        tab.set_default_timeout(600_000)
        tab.goto(f"{address}/{joined.name}", wait_until="load")
        if faults := cut_elements(tab):
            sys.exit("\n".join(["Would be cut in print:", *faults]))
        pages = print_book(tab, arguments.pdf)
        browser.close()
    offer(html, arguments.pdf)
    print(f"{arguments.pdf}: {pages} pages, {arguments.pdf.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
