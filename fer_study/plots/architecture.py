"""Diagrams of networks and of their blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse, FancyArrowPatch, Rectangle
from matplotlib.path import Path

from .frame import GREY, INK, LIGHT, SERIES_COLOURS, AnyAxes, Head, Table, finish, start

PAGE_WIDTH = 8.1
"""Inches: what is wider is made smaller by a page, and its text with it."""


def architecture(table: Table, ax: AnyAxes = None, **head: Unpack[Head]) -> Axes:
    """A box a part, from left to right, as high as the map that leaves it (logarithm of its side).

    Above a box, blue, what its blocks add unchanged (skips); below, orange, what they multiply
    (gates of channels or places); two lines out of a box are two branches.

    Args:
        table: ``part, channels, side, parameters``; a ``side`` of 1 is a vector. ``paths``, where
            there are: words of ``skip``, ``gate`` and ``branches`` (see ``models.trace``).
    """
    ax = start(ax, (min(1.15 * len(table) + 0.6, PAGE_WIDTH), 3.4))
    heights = 0.25 + 0.75 * np.log(table["side"]) / np.log(table["side"].max())
    paths = table["paths"] if "paths" in table else [""] * len(table)
    rows = zip(table.itertuples(), heights, paths, strict=True)
    for i, (row, height, words) in enumerate(rows):
        if i:
            _head(ax, (i - 0.64, 0), (i - 0.4, 0), color=GREY)
        box = Rectangle(
            (i - 0.4, -height / 2),
            0.8,
            height,
            facecolor=LIGHT,
            edgecolor=SERIES_COLOURS[0],
            linewidth=1.4,
        )
        ax.add_patch(box)
        _draw_paths(ax, i, height, words.split())
        shape = f"{row.channels}" if row.side == 1 else f"{row.channels}\n{row.side} x {row.side}"
        ax.text(i, 0, shape, ha="center", va="center", fontsize=8, color=INK)
        ax.text(
            i, 0.68, row.part.replace(" ", "\n"), ha="center", va="bottom", fontsize=8, color=INK
        )
        ax.text(i, -0.68, _thousands(row.parameters), ha="center", va="top", fontsize=8, color=GREY)
    ax.set(xlim=(-0.6, len(table) - 0.4), ylim=(-0.85, 1.1))
    ax.set_axis_off()
    return finish(ax, "Architecture", None, **head)


def _draw_paths(ax: Axes, i: int, height: float, words: Sequence[str]) -> None:
    """Loops around box ``i``, and its branches."""
    for word, up in (("skip", 1), ("gate", -1)):
        if word in words:
            look, y = ARROWS[word], up * (height / 2 + 0.08)
            x = np.array([i - 0.47, i - 0.47, i + 0.46])
            ax.plot(x, [0, y, y], gid=f"{word} {i}", solid_joinstyle="miter", **look)
            _head(ax, (i + 0.46, y), (i + 0.46, 0), **look)
    if "branches" in words:
        for y in (-0.06, 0.06):
            ax.plot([i + 0.4, i + 0.55], [y, 2 * y], color=INK, linewidth=1.6, gid=f"branches {i}")


def _head(
    ax: Axes, begin: tuple[float, float], end: tuple[float, float], **look: str | float
) -> None:
    """A straight arrow."""
    ax.annotate("", end, begin, arrowprops={"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0, **look})


def _thousands(count: int) -> str:
    """A number of parameters in three digits or so."""
    return (
        f"{count / 1e6:.1f} M"
        if count >= 1e6
        else f"{count / 1e3:.1f} k"
        if count >= 1e3
        else f"{count}"
    )


BOX_WIDTH, BOX_HEIGHT = 0.86, 0.62
"""Of a box of ``block_diagram``, in columns and rows; the rest of each is room for arrows."""
FILLS = {"data": "white", "layer": LIGHT, "gate": "#fde3cf", "join": "white"}
ARROWS = {
    "data": {"color": INK, "linestyle": "-", "linewidth": 1.6},
    "skip": {"color": SERIES_COLOURS[0], "linestyle": "-", "linewidth": 2.4},
    "gate": {"color": SERIES_COLOURS[1], "linestyle": "--", "linewidth": 1.8},
}


def block_diagram(
    boxes: Table, arrows: Sequence[tuple[str, str, str]], ax: AnyAxes = None, **head: Unpack[Head]
) -> Axes:
    """Draw how data goes through a block, from top to bottom, narrow enough for a phone.

    For example ``block_diagram(boxes, [("x", "mean", "gate"), ("x", "times", "data")])``.

    Args:
        boxes: index: names; ``text, column, row, kind``. A kind is one of ``FILLS``: data, a layer,
            a gate, or a join (a circle, for ``+`` and ``x``).
        arrows: from, to, and what goes along: data, a skip (what is added unchanged) or a gate
            (what is multiplied). An arrow past boxes of its own column goes around them, at the
            left.

    Raises:
        ValueError: two boxes of one name, an arrow from or to no box, or an unknown kind.
    """
    _check_diagram(boxes, arrows)
    columns, rows = boxes["column"].max() + 1, boxes["row"].max() + 1
    ax = start(ax, (2.0 * columns + 0.3, 0.72 * rows + 0.6))
    for name, box in boxes.iterrows():
        x, y, (w, h) = box["column"], box["row"], _half(box)
        look = {"facecolor": FILLS[box["kind"]], "edgecolor": INK, "linewidth": 1.3, "gid": name}
        shape = (
            Ellipse((x, y), 2 * w, 2 * h, **look)
            if box["kind"] == "join"
            else Rectangle((x - w, y - h), 2 * w, 2 * h, **look)
        )
        ax.add_patch(shape)
        ax.text(x, y, box["text"], ha="center", va="center", fontsize=10, color=INK)
    for source, target, kind in arrows:
        path = Path(_route(boxes, source, target))
        arrow = FancyArrowPatch(
            path=path, arrowstyle="-|>", mutation_scale=13, gid=f"{source} -> {target}"
        )
        ax.add_patch(arrow)
        arrow.set(**ARROWS[kind])
    ax.set(xlim=(-0.62, columns - 0.5), ylim=(rows - 0.6, -0.4))
    ax.set_axis_off()
    return finish(ax, "Block", None, **head)


def _check_diagram(boxes: Table, arrows: Sequence[tuple[str, str, str]]) -> None:
    """Refuse what cannot be drawn."""
    if not boxes.index.is_unique:
        raise ValueError(f"boxes of one name: {sorted(boxes.index[boxes.index.duplicated()])}")
    for word, known in [(kind, FILLS) for kind in boxes["kind"]] + [
        (kind, ARROWS) for _, _, kind in arrows
    ]:
        if word not in known:
            raise ValueError(f"unknown kind {word!r}; known: {', '.join(known)}")
    for name in (name for source, target, _ in arrows for name in (source, target)):
        if name not in boxes.index:
            raise ValueError(f"no box {name!r}; there are: {', '.join(boxes.index)}")


def _half(box: pd.Series) -> tuple[float, float]:
    """Half of the width and of the height of a box."""
    return (0.11, 0.3) if box["kind"] == "join" else (BOX_WIDTH / 2, BOX_HEIGHT / 2)


def _route(boxes: Table, source: str, target: str) -> list[tuple[float, float]]:
    """Corners of an arrow between two boxes: straight where it can be, else around one corner, or
    along the left where boxes of the same column lie between."""
    begin, end = boxes.loc[source], boxes.loc[target]
    (x0, y0), (x1, y1) = begin[["column", "row"]], end[["column", "row"]]
    (w0, h0), (w1, h1) = _half(begin), _half(end)
    right, down = (1 if x1 > x0 else -1), (1 if y1 > y0 else -1)
    if x0 == x1:
        between = boxes["row"].between(*sorted((y0, y1)), inclusive="neither")
        if (between & (boxes["column"] == x0)).any():
            lane = x0 - BOX_WIDTH / 2 - 0.12
            return [(x0 - w0, y0), (lane, y0), (lane, y1), (x1 - w1, y1)]
        return [(x0, y0 + down * h0), (x1, y1 - down * h1)]
    if y0 == y1:
        return [(x0 + right * w0, y0), (x1 - right * w1, y1)]
    if end["kind"] == "join" or x1 < x0:  # back to the main path: into its side
        return [(x0, y0 + down * h0), (x0, y1), (x1 - right * w1, y1)]
    return [(x0 + right * w0, y0), (x1, y0), (x1, y1 - down * h1)]
