"""Make what notebooks show light and readable for all (for Sphinx; see ``_config.yml``)."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

HEAD = re.compile(r"<thead>.*?</thead>", re.DOTALL)
ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
CELL = re.compile(r"<th\b.*?</th>", re.DOTALL)
BLANK = re.compile(r"<th\b([^>]*)>(?:\s|&nbsp;)*</th>")
QUOTED = re.compile(r'src="data:image/(svg|png)(?:\+xml)?;base64,([^"]+)"')


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("doctree-resolved", improve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def improve(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Change a page before it is written: heads of tables, and pictures that wait until needed."""
    if app.builder.format != "html":
        return
    for raw in doctree.findall(nodes.raw):
        if raw.get("format") == "html":
            text = QUOTED.sub(lambda found: picture_file(app, page, found), raw.astext())
            raw.children = [nodes.Text(plain_heads(text))]
            raw.rawsource = raw.astext()
    for picture in list(doctree.findall(nodes.image))[1:]:
        picture["loading"] = "lazy"


def plain_heads(text: str) -> str:
    """Rewrite the head of every table of pandas: one row, and no cell is a header without text.

    pandas writes the names of the index in a row of their own, beneath the names of the columns.
    """
    return BLANK.sub(r"<td\1></td>", HEAD.sub(lambda head: _joined(head[0]), text))


def _joined(head: str) -> str:
    rows = ROW.findall(head)
    if len(rows) < 2:
        return head
    above, below = (CELL.findall(row) for row in rows[-2:])
    named = sum(not BLANK.fullmatch(cell) for cell in below)
    corner, values = below[:named], below[named:]
    if not all(map(BLANK.fullmatch, (*above[:named], *values))) or len(above) < named:
        return head
    joined = "<tr>" + "".join((*corner, *above[named:])) + "</tr>"
    return head.replace(rows[-1], "").replace(rows[-2], joined)


def picture_file(app: Sphinx, page: str, found: re.Match[str]) -> str:
    """Write a picture that lies in the text into a file beside the others; returns its reference.

    A front page that carries its figures within itself shows nothing until all have come.
    """
    kind, data = found[1], base64.b64decode(found[2])
    folder = Path(app.outdir) / "_images"
    folder.mkdir(exist_ok=True)
    file = folder / f"{hashlib.sha256(data).hexdigest()}.{kind}"
    file.write_bytes(data)
    return f'loading="lazy" src="{"../" * page.count("/")}_images/{file.name}"'
