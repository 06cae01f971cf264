"""Ways in and out of the book: buttons from one address, how to cite, version and date, links that lead somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import nbformat
import pytest
import yaml

import link_check

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "https://github.com/someone/fer-study"
ON_EVERY_BOOK = ("https://creativecommons.org", "https://keepachangelog.com")
PAGES = ("reproduce", "cite", "changelog", "ethics", "references", "fer2013/03_model_comparison", "labs/01_leakage")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Maker of a book of a few pages: address of the repository -> folder of its HTML."""

    def make(address: str) -> Path:
        book = tmp_path_factory.mktemp("ways") / "book"
        for name in ("_ext", "_static"):
            shutil.copytree(ROOT / "book" / name, book / name)
        shutil.copy(ROOT / "CHANGELOG.md", book.parent)
        for name in ("cite.md", "changelog.md", "references.bib"):
            shutil.copy(ROOT / "book" / name, book)
        settings = yaml.safe_load((ROOT / "book" / "_config.yml").read_text())
        settings["sphinx"]["config"] |= {"repository": address, "study_version": "Version 4.7.11, 2026-01-02"}
        (book / "_config.yml").write_text(yaml.safe_dump(settings))
        toc = {"format": "jb-book", "root": "index", "chapters": [{"file": name} for name in PAGES]}
        (book / "_toc.yml").write_text(yaml.safe_dump(toc))
        (book / "index.md").write_text("# Front\n\nA page that says in a sentence of some length what it is about.\n")
        (book / "reproduce.md").write_text("# Run\n\n{{ clone }}\n\n{{ colab }}\n")
        (book / "references.md").write_text("# References\n")
        (book / "ethics.md").write_text("# Ethics\n\n## Licence of this work\n\nText.\n")
        language = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
        for name in PAGES[-2:]:
            (book / name).parent.mkdir()
            cells = [nbformat.v4.new_markdown_cell("# A page")]
            nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=language), book / f"{name}.ipynb")
        command = [Path(sys.executable).with_name("jupyter-book"), "build", "-n", "--keep-going", book]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return book / "_build" / "html"

    return make


@pytest.fixture(scope="module")
def public(built):
    return built(ADDRESS)


@pytest.fixture(scope="module")
def private(built):
    return built("")


def outside(page: Path) -> set[str]:
    """Links of a page to elsewhere, without those that every book has."""
    links = re.findall(r'href="(https?://[^"]+)"', page.read_text())
    return {unescape(link) for link in links if not link.startswith(ON_EVERY_BOOK)}


@pytest.mark.parametrize(
    ("page", "file", "is_notebook"),
    [
        ("index", "book/index.md", False),
        ("fer2013/03_model_comparison", "notebooks/03_model_comparison.ipynb", True),
        ("labs/01_leakage", "notebooks/labs/01_leakage.ipynb", True),
    ],
)
def test_buttons_follow_from_the_address(public, page, file, is_notebook):
    expected = {ADDRESS, f"{ADDRESS}/edit/main/{file}", f"{ADDRESS}/issues/new?title=Page%20{page}%3A%20"}
    if is_notebook:
        expected |= {
            f"https://colab.research.google.com/github/someone/fer-study/blob/main/{file}",
            f"https://mybinder.org/v2/gh/someone/fer-study/main?urlpath=lab/tree/{file}",
        }
    assert outside(public / f"{page}.html") == expected
    assert (ROOT / file).is_file()


def test_commands_follow_from_the_address(public):
    text = re.sub("<[^>]+>", "", (public / "reproduce.html").read_text())
    assert f"git clone {ADDRESS}\ncd fer-study" in text
    assert f'%pip install --quiet "fer-study[book] @ git+{ADDRESS}"' in unescape(text)


def test_without_an_address_nothing_leads_to_one(private):
    for page in private.rglob("*.html"):
        assert outside(page) == set(), page
        assert not re.search("git clone|git\\+|ways-buttons|og:image", page.read_text()), page


def test_an_address_elsewhere_has_a_button_for_the_repository_alone(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    import ways

    (menu,) = ways.buttons("https://git.example.org/someone/fer-study", "notebooks/design.ipynb", "fer2013/design")
    assert [button["url"] for button in menu["buttons"]] == ["https://git.example.org/someone/fer-study"]


def test_the_citation_is_that_of_the_file(public):
    text = unescape(re.sub("<[^>]+>", "", (public / "cite.html").read_text()))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert f"title = {{{citation['title']}}}" in text and f"version = {{{citation['version']}}}" in text
    assert f"({citation['date-released'].year}). {citation['title']}, version {citation['version']}. {ADDRESS}" in text
    assert (public / "cite.html").read_text().count("highlight-") >= 2, "each in a block, which has a button to copy it"


def test_every_page_has_its_version_its_citation_and_one_viewport(private, public):
    for page in private.rglob("*.html"):
        if "_static" in page.parts:
            continue
        text = page.read_text()
        assert "Version 4.7.11, 2026-01-02" in text and "How to cite" in text and "CC BY 4.0" in text
        assert text.count('name="viewport"') == 1
    front = (public / "index.html").read_text()
    sentence = "A page that says in a sentence of some length what it is about."
    assert f'<meta name="description" content="{sentence}" />' in front
    assert '<meta property="og:image" content="https://someone.github.io/fer-study/_static/preview.png" />' in front
    assert (public / "_static" / "preview.png").is_file()


def test_version_and_date_agree():
    project = (ROOT / "pyproject.toml").read_text()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version, day = re.search(r"^## \[([\d.]+)\] - ([\d-]+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE).groups()
    assert f'version = "{version}"' in project
    assert (citation["version"], str(citation["date-released"])) == (version, day)


def test_the_text_is_under_cc_by_and_the_code_under_bsd():
    assert (ROOT / "LICENSES" / "CC-BY-4.0.txt").read_text().startswith("Attribution 4.0 International")
    for name in ("README.md", "book/ethics.md", "CITATION.cff"):
        assert re.search("CC.BY.4.0", text := (ROOT / name).read_text()) and re.search("BSD.3", text), name
    assert 'license = "BSD-3-Clause AND CC-BY-4.0"' in (ROOT / "pyproject.toml").read_text()


def test_a_link_that_leads_nowhere_is_found(public, tmp_path):
    assert link_check.broken_links(public) == []
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "there.html").write_text('<p id="here"><a href="#here">1</a><a href="#gone">2</a>')
    links = ("sub/there.html#here", "sub/there.html#gone", "gone.html", "https://elsewhere.org/", "mailto:a@b.c")
    (tmp_path / "index.html").write_text("".join(f'<a href="{link}">x</a>' for link in links) + '<img src="gone.png">')
    assert link_check.broken_links(tmp_path) == [
        "index.html: sub/there.html#gone", "index.html: gone.html", "index.html: gone.png", "sub/there.html: #gone",
    ]  # fmt: skip
