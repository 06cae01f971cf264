"""Write pages that are up to date and light (for Sphinx; see ``_config.yml``)."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path

from PIL import Image
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

ICONS = re.compile(r'\s*<script src="[^"]*scripts/fontawesome\.js[^"]*"></script>')
"""1.5 MB that draw the icons which the theme's style sheet draws from its fonts already."""
VIEWPORT = re.compile(r'\s*<meta name="viewport"[^>]*>')
"""Written three times, by docutils, by Sphinx and by the theme."""
WAITED_FOR = re.compile(r'<script (?=[^>]*src="(?!http)(?![^"]*documentation_options))(?!defer)')
"""Scripts for which a page waits before it shows anything; inline ones need the exception."""
LANDMARK = '<div id="pst-primary-sidebar" '
ENTRY = 'role="doc-biblioentry"'
"""A deprecated role, which docutils writes in a list."""
TABLE = re.compile(r'(?<=<div class="output text_html")(?=>\s*<div>\s*<style scoped>)')
"""A plain table of pandas, which scrolls on a phone where its lines are long."""

PICTURE = re.compile(r'(?<=(?:src|ref)=")([^":]*_images/\w+)\.png(?=")')
FIGURE = re.compile(r'<img (?![^>]*--legible)[^>]*src="([^":]*_images/[^"]+)"[^>]*>')
SIZE = re.compile(r'style="(?=[^"]*width: (\d+)px)')
"""Of a picture whose size Sphinx writes; it is a link already."""
LETTERS = re.compile(r"scale\(([\d.]+) -")
"""Matplotlib draws letters as outlines, a hundred units to the size of the font."""
VIEW = re.compile(r'viewBox="0 0 ([\d.]+) ')
LEGIBLE = 8
"""Pixels: the size of the font below which nobody reads a chart."""
PHONE = 342
"""Pixels: the width of a page's text on a phone."""
LEGIBLE_SHARE = 0.7
"""Of the width of a picture of faces, whose letters have 8 points: there they have 8.5 pixels."""
PATH = re.compile(r'(?<= )d="[^"]*"')
DECIMALS = re.compile(r"(\.\d\d)\d+")
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
        better = TABLE.sub(' tabindex="0"', better.replace(ENTRY, 'role="listitem"'))
        named = f'{LANDMARK}role="region" aria-label="Contents of the book" '
        better = better.replace(f"{LANDMARK}class", f"{named}class")
        better = PICTURE.sub(partial(compressed, path.parent), better)
        better = FIGURE.sub(partial(enlarged, path.parent), better)
        if better != text:
            path.write_text(better, encoding="utf-8")
    for path in (Path(app.outdir) / "_images").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        path.write_text(PATH.sub(rounded, text), encoding="utf-8")


def enlarged(folder: Path, found: re.Match[str]) -> str:
    """Link a picture to itself, and say how wide it has to be that its letters can be read.

    Where that is wider than the screen, the link scrolls sideways (``custom.css``).
    """
    picture, source = found[0], found[1]
    size = SIZE.search(picture)
    if size:
        width = round(LEGIBLE_SHARE * int(size[1]))
    elif source.endswith(".svg") and (folder / source).is_file():
        width = legible_width((folder / source).read_text(encoding="utf-8"))
    else:
        width = 0
    wide = "data-wide " if width > PHONE else ""
    if size:
        sized = picture.replace("<img ", f"<img {wide}", 1)
        return SIZE.sub(f"\\g<0>--legible: {width}px; ", sized)
    sized = picture.replace("<img ", f'<img {wide}style="--legible: {width}px" ', 1)
    return f'<a href="{source}" class="enlarge">{sized}</a>'


def legible_width(chart: str) -> int:
    """Width in pixels at which the smallest letters of an SVG are ``LEGIBLE``."""
    sizes = [100 * float(scale) for scale in LETTERS.findall(chart)]
    return math.ceil(float(VIEW.search(chart)[1]) * LEGIBLE / min(sizes)) if sizes else 0


def rounded(outline: re.Match[str]) -> str:
    """Cut coordinates to a hundredth of a point: a quarter of a chart with hatches."""
    return DECIMALS.sub(r"\1", outline[0])


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
            picture.convert("RGB").save(light, quality=80)
    return f"{found[1]}.webp"
