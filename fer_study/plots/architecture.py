"""Diagrams of networks and of their blocks."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Unpack

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse, FancyArrowPatch, Rectangle
from matplotlib.path import Path

from .frame import GREY, INK, LIGHT, SERIES_COLOURS, AnyAxes, Head, Table, finish, start

PART_WIDTH, UNIT = 0.79, 1.65
"""Inches: from one part of a network to the next (ten fill a page, where text keeps its size), and
of a unit of height, the box of the largest map. One scale for all networks."""

LARGEST_SIDE = 224
"""Side of a map whose box is one unit high."""

ARROWS = {
    "data": {"color": INK, "linestyle": "-", "linewidth": 1.6},
    "skip": {"color": SERIES_COLOURS[0], "linestyle": "-", "linewidth": 2.4},
    "gate": {"color": SERIES_COLOURS[1], "linestyle": "--", "linewidth": 1.8},
    "aside": {"color": GREY, "linestyle": ":", "linewidth": 1.8},
}
FILLS = {"data": "white", "layer": LIGHT, "gate": "#fde3cf", "join": "white"}

HALF, FORK = 0.36, 0.43
"""In parts, from the middle of a part: to the edge of its box, and to where paths leave or join."""


def architecture(
    table: Table,
    ax: AnyAxes = None,
    links: Sequence[tuple[int, int, str]] = (),
    **head: Unpack[Head],
) -> Axes:
    """Draw a network from left to right: a box a part, as high as the map that leaves it.

    The height is the logarithm of the side. All diagrams have one scale.

    Args:
        table: ``part, channels, side, parameters``; a ``side`` of 1 is a vector. ``paths``, where
            there are: for each part pairs of a kind and a label (see ``models.trace``). ``skip``:
            an arc above, what the part adds unchanged. ``gate``: a node below, what it multiplies.
            ``guide``: a node below that says where it reads. ``aside``: a node below that training
            alone uses. ``branches``: boxes beside each other in place of one, a line of the label
            each.
        links: lines that go around parts: from behind the first to before the second, by their
            numbers, with a label.
    """
    bottom, top = -1.02, 1.14 if links else 0.92
    ax = start(ax, (PART_WIDTH * (len(table) + 0.1), UNIT * (top - bottom) + 0.5))
    heights = 0.25 + 0.75 * np.log(table["side"]) / np.log(LARGEST_SIDE)
    paths = table["paths"] if "paths" in table else [()] * len(table)
    rows = zip(table.itertuples(), heights, paths, strict=True)
    for i, (row, height, around) in enumerate(rows):
        kinds = dict(around)
        if i:
            end = i - (FORK if "branches" in kinds else HALF)
            ax.plot([i - 1 + HALF, end], [0, 0], zorder=1, **ARROWS["data"])
        shape = f"{row.channels}" if row.side == 1 else f"{row.channels}\n{row.side}×{row.side}"
        names = kinds["branches"].split("\n") if "branches" in kinds else [shape]
        _draw_boxes(ax, i, height, names)
        top_of_part = 0.17 * (len(names) - 1) + height / 2
        _draw_paths(ax, i, height, kinds)
        look = {"ha": "center", "fontsize": 8}
        y = top_of_part + (0.17 if "skip" in kinds else 0.04)
        ax.text(i, y, "\n".join(wrap(row.part, 11)), va="bottom", color=INK, **look)
        ax.text(i, -0.87, _thousands(row.parameters), va="top", color=GREY, **look)
    for first, last, label in links:
        x = np.array([first + 0.5, first + 0.5, last - FORK, last - FORK])
        ax.plot(x, [0, 0.95, 0.95, 0], gid=f"link {first} {last}", zorder=1, **ARROWS["data"])
        ax.text(x[1:3].mean(), 0.97, label, ha="center", va="bottom", fontsize=8, color=INK)
    ax.set(xlim=(-0.55, len(table) - 0.45), ylim=(bottom, top))
    ax.set_axis_off()
    return finish(ax, "Architecture", None, **head)


def _draw_boxes(ax: Axes, i: int, height: float, texts: Sequence[str]) -> None:
    """The box of part ``i``, or its branches one below the other, with lines to and from them."""
    look = {"facecolor": LIGHT, "edgecolor": INK, "linewidth": 1.3, "zorder": 2}
    for place, text in enumerate(texts):
        y = 0.34 * ((len(texts) - 1) / 2 - place)
        ax.add_patch(Rectangle((i - HALF, y - height / 2), 2 * HALF, height, **look))
        ax.text(i, y, text, ha="center", va="center", fontsize=8, color=INK)
        if i:
            _head(ax, (i - HALF - 0.05, y), (i - HALF, y), **ARROWS["data"])
        if len(texts) > 1:
            for side in (-1, 1):  # to the box, and from it
                x = [i + side * FORK, i + side * FORK, i + side * HALF]
                ax.plot(x, [0, y, y], zorder=1, gid=f"branches {i}", **ARROWS["data"])


def _draw_paths(ax: Axes, i: int, height: float, kinds: dict[str, str]) -> None:
    """The arc above box ``i`` and the nodes below it, each with its label."""
    for kind, label in kinds.items():
        if kind == "skip":
            look, y = ARROWS["skip"], height / 2 + 0.07
            x = np.array([i - FORK, i - FORK, i + 0.46, i + 0.46])
            ax.plot(x, [0, y, y, 0], gid=f"skip {i}", solid_joinstyle="round", **look)
            _join(ax, (i + 0.46, 0), "+")
            ax.text(i, y + 0.01, label, ha="center", va="bottom", fontsize=8, color=look["color"])
        elif kind in ("gate", "guide", "aside"):
            look, edge = ARROWS["aside" if kind == "aside" else "gate"], -height / 2
            down, up, y = i - 0.22, i + 0.22, edge - 0.22
            x = np.array([down, down, up, up] if kind != "aside" else [i, i])
            ax.plot(x, [edge, y, y, edge][: len(x)], gid=f"{kind} {i}", zorder=1, **look)
            if kind == "gate":
                _join(ax, (up, edge), "×")
            elif kind == "guide":
                _head(ax, (up, edge - 0.05), (up, edge), **look | {"linestyle": "-"})
            box = {"boxstyle": "round,pad=0.25", "facecolor": FILLS["gate"], "edgecolor": INK}
            if kind == "aside":
                box["facecolor"] = "white"
            ax.text(i, y, label, ha="center", va="center", fontsize=8, color=INK, bbox=box)


def _join(ax: Axes, place: tuple[float, float], sign: str) -> None:
    """A small circle with the sign of what happens there."""
    look = {"markerfacecolor": "white", "markeredgecolor": INK, "markersize": 9, "zorder": 4}
    ax.plot(*place, "o", gid=f"join {sign}", **look)
    ax.text(*place, sign, ha="center", va="center_baseline", fontsize=8, color=INK, zorder=5)


def _head(
    ax: Axes, begin: tuple[float, float], end: tuple[float, float], **look: str | float
) -> None:
    """The head of a straight arrow."""
    style = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}
    ax.annotate("", end, begin, arrowprops=style | look)


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
