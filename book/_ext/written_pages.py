"""Write pages that are up to date and light (for Sphinx; see ``_config.yml``)."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

ICONS = re.compile(r'\s*<script src="[^"]*scripts/fontawesome\.js[^"]*"></script>')
"""1.5 MB that draw the icons which the theme's style sheet draws from its fonts already."""
FORMULAS = re.compile(r"\s*<script [^>]*mathjax/[^>]*></script>")
"""2.3 MB; Sphinx loads them on every page that quotes another one with a formula."""
VIEWPORT = re.compile(r'\s*<meta name="viewport"[^>]*>')
"""Written three times, by docutils, by Sphinx and by the theme."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("env-updated", quoting_pages)
    app.connect("build-finished", drop_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def quoting_pages(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Name the pages that quote numbers, to be written each time: Sphinx looks at their own text
    only, and would leave the old number where the page that it comes from has changed."""
    texts = {name: Path(env.doc2path(name)).read_text(encoding="utf-8") for name in env.found_docs}
    return [name for name, text in texts.items() if "{glue:" in text]


def drop_scripts(app: Sphinx, error: Exception | None) -> None:
    """Rewrite every page of the book without the scripts that it does not need."""
    if error or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        head, first, rest = ICONS.sub("", text).partition('<meta name="viewport"')
        light = head + first + VIEWPORT.sub("", rest)
        if 'class="math' not in light:
            light = FORMULAS.sub("", light)
        if light != text:
            path.write_text(light, encoding="utf-8")
