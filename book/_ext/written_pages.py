"""Write pages that are up to date and light (for Sphinx; see ``_config.yml``)."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

ICONS = re.compile(r'\s*<script src="[^"]*scripts/fontawesome\.js[^"]*"></script>')
"""1.5 MB that draw the icons which the theme's style sheet draws from its fonts already."""
VIEWPORT = re.compile(r'\s*<meta name="viewport"[^>]*>')
"""Written three times, by docutils, by Sphinx and by the theme."""
WAITED_FOR = re.compile(r'<script (?=[^>]*src="(?!http)(?![^"]*documentation_options))(?!defer)')
"""Scripts for which a page waits before it shows anything; an inline one needs the one exception."""
LANDMARK = '<div id="pst-primary-sidebar" '
ENTRY = 'role="doc-biblioentry"'
"""A deprecated role, which docutils writes in a list."""

PICTURE = re.compile(r'(?<=src=")([^":]*_images/\w+)\.png(?=")')
HEAVY = 50_000
"""Bytes from which a picture is compressed; below, a page gains nothing that a reader feels."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("env-updated", quoting_pages)
    app.connect("build-finished", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def quoting_pages(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Name the pages that quote numbers, to be written each time: Sphinx looks at their own text
    only, and would leave the old number where the page that it comes from has changed."""
    texts = {name: Path(env.doc2path(name)).read_text(encoding="utf-8") for name in env.found_docs}
    return [name for name, text in texts.items() if "{glue:" in text]


def rewrite(app: Sphinx, error: Exception | None) -> None:
    """Rewrite every page of the book where it is slow, or hard to use by ear."""
    if error or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        head, first, rest = ICONS.sub("", text).partition('<meta name="viewport"')
        better = WAITED_FOR.sub("<script defer ", head + first + VIEWPORT.sub("", rest))
        better = better.replace(ENTRY, 'role="listitem"')
        named = f'{LANDMARK}role="region" aria-label="Contents of the book" '
        better = better.replace(f"{LANDMARK}class", f"{named}class")
        better = PICTURE.sub(lambda found: compressed(path.parent, found), better)
        if better != text:
            path.write_text(better, encoding="utf-8")


def compressed(folder: Path, found: re.Match[str]) -> str:
    """Compress a picture of faces to a fifth, without a loss that is seen; returns the reference.

    Faces at twice their size as PNG make up to 3 MB a page.
    """
    file = folder / found[0]
    if not file.is_file() or file.stat().st_size < HEAVY:
        return found[0]
    light = file.with_suffix(".webp")
    if not light.is_file():
        with Image.open(file) as picture:
            picture.convert("RGB").save(light, quality=90)
    return f"{found[1]}.webp"
