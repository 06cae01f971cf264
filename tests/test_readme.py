"""README.md says what the ledger, the settings and the committed page of the claims say."""

from __future__ import annotations

import re

import pytest

import readme_parts

WITH_ADDRESS = {"urls": {"Repository": "https://github.com/someone/fer-study"}}


@pytest.fixture(scope="module")
def text() -> str:
    return (readme_parts.ROOT / "README.md").read_text(encoding="utf-8")


def test_answers_and_badges_are_up_to_date(text):
    assert readme_parts.readme(text, readme_parts.project()) == text, "run: make readme"


def test_pictures_are_those_of_the_committed_page():
    for name, svg in readme_parts.pictures(readme_parts.project()).items():
        path = readme_parts.ROOT / readme_parts.PICTURES / name
        assert path.read_text(encoding="utf-8") == svg, f"{name}: run: make readme"


def test_every_file_that_it_names_is_there(text):
    named = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(named) > 8
    assert [name for name in named if "://" not in name and not (readme_parts.ROOT / name).exists()] == []


def test_the_two_commands_come_before_all_else(text):
    first = text.index("```bash")
    assert text[first:].startswith("```bash\nmake book") and text.count("\n## ", 0, first) == 1
    assert len(text.splitlines()) < 160


def test_badges_ask_only_where_the_repository_is():
    without = readme_parts.badges({})
    assert "://" not in without and without.count("[![") == 2
    links = re.findall(r"https?://[^)]+", readme_parts.badges(WITH_ADDRESS))
    assert set(links) == {
        "https://github.com/someone/fer-study/actions/workflows/tests.yml/badge.svg",
        "https://github.com/someone/fer-study/actions/workflows/tests.yml",
        "https://github.com/someone/fer-study/actions/workflows/book.yml/badge.svg",
        "https://someone.github.io/fer-study/",
    }
    elsewhere = {"urls": {"Repository": "https://git.example.org/someone/fer-study"}}
    assert readme_parts.badges(elsewhere) == without
