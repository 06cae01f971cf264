"""Make a page that lies outside the book readable by itself, in JupyterLab for instance.

The book's builder fills in quoted numbers and references; outside of the book nobody does.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path

QUOTED = re.compile(r"\{glue:text\}`(?:([^`:]+)::)?([^`:]+)(?::([^`]*))?`")
PLAIN = "application/papermill.record/text/plain"
"""Where ``glue`` keeps a value that it does not display."""
CITED = re.compile(r"\{cite(?::[a-z]+)?\}`([^`]+)`")
KEY = re.compile(r"([a-z]+)(\d{4})\w*")
"""Key of a reference: the first author, the year, a word of the title."""
TO_PAGE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]+\)")
"""A link to a page of another folder of the book."""


def standalone(notebook: dict, published: Path, changed: Mapping[str, object]) -> dict:
    """Fill in what the text of an executed notebook quotes, and say which parameters changed.

    Args:
        notebook: as nbformat's JSON; it is altered.
        published: the page of the book that it is a variant of; it may quote others beside it, and
            where it quotes itself by its path its own numbers are meant.
        changed: parameters that are other than those of the edition.
    """
    own = glued(notebook)

    def number(found: re.Match[str]) -> str:
        page, name, form = found.groups()
        path = (published.parent / page).resolve() if page else published.resolve()
        other = path != published.resolve() and path.is_file()
        there = glued(json.loads(path.read_text(encoding="utf-8"))) if other else own
        return format(there[name], form or "") if name in there else f"({name})"

    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = QUOTED.sub(number, "".join(cell["source"]))
            cell["source"] = CITED.sub(_reference, text)
    if changed:
        values = ", ".join(f"`{name}: {value}`" for name, value in changed.items())
        notice = (
            f"> Executed with other parameters than the published page: {values}. Tables, figures "
            "and the numbers quoted from this page are of these; its words were written for the "
            "published one and may not fit."
        )
        cell = {"cell_type": "markdown", "id": "changed", "metadata": {}, "source": notice}
        notebook["cells"].insert(1, cell)
    return notebook


def without_book(text: str) -> str:
    """Name references, for example ``[Guo 2017]``, and pages where no builder links them."""
    return TO_PAGE.sub(r"*\1* (a page of the book)", CITED.sub(_reference, text))


def _reference(cited: re.Match[str]) -> str:
    keys = [key.strip() for key in cited[1].split(",")]
    return f"[{'; '.join(KEY.sub(lambda key: f'{key[1].capitalize()} {key[2]}', k) for k in keys)}]"


def glued(notebook: dict) -> dict[str, object]:
    """Find the numbers and texts that a notebook offers for quotation, by name."""
    found = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            text = "".join(output.get("data", {}).get(PLAIN, ""))
            if name:
                try:
                    found[name] = ast.literal_eval(text)
                except (SyntaxError, ValueError):
                    found[name] = text  # a picture or a table
    return found
