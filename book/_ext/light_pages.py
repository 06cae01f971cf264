"""Keep pages light: take out scripts that they do not need (for Sphinx; see ``_config.yml``)."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

ICONS = re.compile(r'\s*<script src="[^"]*scripts/fontawesome\.js[^"]*"></script>')
"""1.5 MB that draw the icons which the theme's style sheet draws from its fonts already."""
FORMULAS = re.compile(r"\s*<script [^>]*mathjax/[^>]*></script>")
"""2.3 MB; Sphinx loads them on every page that quotes another one with a formula."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", drop_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def drop_scripts(app: Sphinx, error: Exception | None) -> None:
    """Rewrite every page of the book without the scripts that it does not need."""
    if error or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        light = ICONS.sub("", text)
        if 'class="math' not in light:
            light = FORMULAS.sub("", light)
        if light != text:
            path.write_text(light, encoding="utf-8")
