"""What something gives against what it costs: points with names, none over another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from .frame import GREY, MARKERS, SERIES_COLOURS, AnyAxes, Head, Table, finish, start

LABEL = {"fontsize": 7.5, "annotation_clip": False, "zorder": 4}
DIRECTIONS = (
    (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0.4), (1, -0.4),
    (-1, 0.4), (-1, -0.4), (0.4, 1), (0.4, -1), (-0.4, 1), (-0.4, -1),
)  # fmt: skip
DISTANCES = (5, 12, 20, 30, 42, 56, 72, 90, 110, 130)
"""Where a name may stand: to which side of its point, and how far off in points."""


def scatter(
    table: Table,
    ax: AnyAxes = None,
    labels: tuple[str, str] = ("x", "y"),
    logarithmic: tuple[bool, bool] = (False, False),
    **head: Unpack[Head],
) -> Axes:
    """Draw points with their names, placed so that none covers another name or a point.

    ``table`` holds ``name, x, y`` and, if any, ``low`` and ``high`` (an interval of y), ``size``
    (the area of the point, relative to the largest) and ``kind`` (colour and marker, in a legend).
    """
    ax = start(ax, (7.6, 5.4))
    for axis, log in zip("xy", logarithmic, strict=True):
        if log:
            ax.set(**{f"{axis}scale": "log"})
    kinds = table["kind"] if "kind" in table else np.full(len(table), "")
    areas = 260 * table["size"] / table["size"].max() if "size" in table else np.full(len(table), 0)
    for i, kind in enumerate(dict.fromkeys(kinds)):
        mine, colour = kinds == kind, SERIES_COLOURS[i % 7]
        x, y = table["x"][mine], table["y"][mine]
        if "low" in table:
            ax.vlines(x, table["low"][mine], table["high"][mine], colour, linewidth=1.6)
        ax.scatter(
            x,
            y,
            18 + np.asarray(areas)[mine],
            colour,
            MARKERS[i % 8],
            alpha=0.7,
            label=kind or None,
        )
    ax.margins(0.12)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    if any(kinds):
        ax.legend(markerscale=0.6, frameon=True, edgecolor="none", framealpha=0.85)
    ax = finish(ax, f"{labels[1]} against {labels[0]}", "both", **head)
    _name_points(ax, table)
    return ax


def _name_points(ax: Axes, table: Table) -> None:
    """Write the name of each point at the nearest free place, with a line where that is far."""
    ax.figure.draw_without_rendering()
    points = ax.transData.transform(table[["x", "y"]].to_numpy(float))
    taken = [Bbox.from_extents(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    if ax.get_legend():
        taken.append(ax.get_legend().get_window_extent())
    inside = ax.get_window_extent()
    for row in np.argsort(points[:, 0]):
        if np.isfinite(points[row]).all():
            taken.append(_place(ax, table.iloc[row], taken, inside))


def _place(ax: Axes, point: object, taken: list[Bbox], inside: Bbox) -> Bbox:
    """Write one name where it covers nothing that is ``taken``; gives its box."""
    for note in _candidates(ax, point):
        box = _text_box(note)
        free = not any(box.overlaps(other) for other in taken)
        if free and inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 < inside.y1:
            return box
        note.remove()
    last = ax.annotate(point["name"], (point["x"], point["y"]), **LABEL)
    return _text_box(last)


def _text_box(note: Annotation) -> Bbox:
    """Where the text of a note stands, without its line."""
    note.get_window_extent()  # moves the text to its place
    return Text.get_window_extent(note)


def _candidates(ax: Axes, point: object) -> Iterator[Annotation]:
    """Write the name at one place after the other, the nearest first."""
    line = {"arrowstyle": "-", "color": GREY, "lw": 0.5, "shrinkA": 0, "shrinkB": 2}
    for distance, (right, up) in product(DISTANCES, DIRECTIONS):
        yield ax.annotate(
            point["name"], (point["x"], point["y"]), (distance * right, distance * up),
            textcoords="offset points", ha=("right", "center", "left")[int(np.sign(right)) + 1],
            va=("top", "center", "bottom")[int(np.sign(up)) + 1],
            arrowprops=line if distance > DISTANCES[0] else None, **LABEL,
        )  # fmt: skip
