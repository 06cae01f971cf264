"""What something gives against what it costs: points with names, none over another."""

from __future__ import annotations

from itertools import product
from typing import Unpack

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.lines import Line2D
from matplotlib.transforms import IdentityTransform

from .frame import GREY, MARKERS, SERIES_COLOURS, AnyAxes, Head, Table, finish, legend_below, start

SMALLEST = 18
"""Area of the smallest mark, in square points."""

PLACES = np.array(
    [
        (distance, *direction)
        for distance, direction in product(
            (3, 9, 16, 26, 40, 58, 80, 106),
            (
                (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0.4),
                (1, -0.4), (-1, 0.4), (-1, -0.4), (0.4, 1), (0.4, -1), (-0.4, 1), (-0.4, -1),
            ),
        )
    ]
)  # fmt: skip
"""Where a name may stand: how far off its mark, in points, and to which side."""

COVERS = {"name": 1000.0, "edge": 1000.0, "mark": 300.0, "interval": 100.0, "line": 60.0}
"""What it costs to cover something, in points of distance for which a name would rather move."""

SAMPLES = 8
"""Of points of the line from a mark to its name: what lies on them is covered."""


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
    ax = start(ax, (6.8, 5.8))
    for axis, log in zip("xy", logarithmic, strict=True):
        if log:
            ax.set(**{f"{axis}scale": "log"})
    kinds = table["kind"] if "kind" in table else np.full(len(table), "")
    areas = SMALLEST + np.zeros(len(table))
    if "size" in table:
        areas += 260 * (table["size"] / table["size"].max()).to_numpy()
    for i, kind in enumerate(dict.fromkeys(kinds)):
        mine, look = kinds == kind, {"color": SERIES_COLOURS[i % 7], "marker": MARKERS[i % 8]}
        x, y = table["x"][mine], table["y"][mine]
        if "low" in table:
            ax.vlines(x, table["low"][mine], table["high"][mine], look["color"], linewidth=1.6)
        ax.scatter(x, y, areas[mine], alpha=0.7, label=kind or None, **look)
    ax.margins(0.12)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    if any(kinds):
        legend_below(ax, columns=3, markerscale=0.7)
    ax.add_artist(_Names(ax, table, areas))
    return finish(ax, f"{labels[1]} against {labels[0]}", "both", **head)


class _Names(Artist):
    """Names of points, placed whenever the figure is drawn: only then its layout is known.

    It draws nothing: it moves texts and lines of the axes, before these are drawn.
    """

    zorder = -1

    def __init__(self, ax: Axes, table: Table, areas: np.ndarray) -> None:
        super().__init__()
        self.set_in_layout(False)
        shown = np.isfinite(table[["x", "y"]].to_numpy(float)).all(axis=1)
        self.table, self.radii = table[shown], np.sqrt(areas[shown]) / 2
        look = {"fontsize": 8, "ha": "center", "va": "center", "zorder": 4, "in_layout": False}
        pixels = IdentityTransform()
        self.texts = [ax.text(0, 0, name, transform=pixels, **look) for name in self.table["name"]]
        self.lines = [Line2D([], [], color=GREY, lw=0.6, transform=pixels) for _ in self.texts]
        for line in self.lines:
            line.set_in_layout(False)
            ax.add_artist(line)

    def draw(self, renderer: RendererBase) -> None:
        """Move every name to its place."""
        extents = [text.get_window_extent(renderer) for text in self.texts]
        sizes = np.array([(extent.width, extent.height) for extent in extents]).reshape(-1, 2)
        scale = self.get_figure(root=True).dpi / 72
        marks = self.axes.transData.transform(self.table[["x", "y"]].to_numpy(float))
        taken = [_boxes(marks, self.radii[:, None] * scale)]
        weights = [np.full(len(marks), COVERS["mark"])]
        if "low" in self.table:
            low, high = (
                self.axes.transData.transform(self.table[["x", end]].to_numpy(float))
                for end in ("low", "high")
            )
            taken.append(np.hstack([low - (scale, 0), high + (scale, 0)]))
            weights.append(np.full(len(marks), COVERS["interval"]))
        taken, weights = np.concatenate(taken), np.concatenate(weights)
        frame = np.array(self.axes.get_window_extent(renderer).extents)
        boxes = place(marks, self.radii * scale, sizes, taken, weights, frame, scale)
        for text, line, mark, box in zip(self.texts, self.lines, marks, boxes, strict=True):
            text.set_position((box[:2] + box[2:]) / 2)
            end = _nearest(mark, box)
            far = np.hypot(*(end - mark)) > 12 * scale
            line.set_data(*(np.stack([mark, end]).T if far else ([], [])))


def place(
    marks: np.ndarray,
    radii: np.ndarray,
    sizes: np.ndarray,
    taken: np.ndarray,
    weights: np.ndarray,
    frame: np.ndarray,
    scale: float,
) -> np.ndarray:
    """Find a box for the name of every mark: near it, in the frame, over as little as possible.

    Every name in turn takes the best place beside those that the others have, a few times over.

    Args:
        marks, radii, sizes: (N, 2), (N,) and (N, 2): of marks their centres and radii, of names
            width and height, all in pixels.
        taken, weights: (M, 4) boxes and what it costs to cover each.
        frame: (4,) what the names should not leave.
        scale: pixels a point.

    Returns:
        (N, 4) boxes: left, bottom, right, top.
    """
    boxes, lines = np.full((len(marks), 4), np.nan), np.full((len(marks), SAMPLES, 4), np.nan)
    for _, i in product(range(3), np.argsort(marks[:, 0])):
        choices, costs = _choices(marks[i], radii[i], sizes[i], scale)
        others = np.arange(len(marks)) != i
        obstacles = np.concatenate([taken, boxes[others]])
        prices = np.concatenate([weights, np.full(len(marks) - 1, COVERS["name"])])
        costs += _covers(choices, obstacles) @ prices
        costs += COVERS["line"] * _covers(choices, lines[others].reshape(-1, 4)).sum(axis=1)
        outside = (choices[:, :2] < frame[:2]) | (choices[:, 2:] > frame[2:])
        costs += COVERS["edge"] * outside.any(axis=1)
        for choice in costs.argsort(kind="stable")[:12]:  # their lines take longer to compare
            over = _covers(_line(marks[i], choices[choice]), obstacles).any(axis=0)
            costs[choice] += 0.2 * over @ prices - 1e6
        best = costs.argmin()
        boxes[i], lines[i] = choices[best], _line(marks[i], choices[best])
    return boxes


def _choices(
    mark: np.ndarray, radius: float, size: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """All boxes that the name of a mark can take, and what their distance costs."""
    sides = np.sign(PLACES[:, 1:])
    edges = mark + PLACES[:, 1:] * (radius + PLACES[:, :1] * scale)
    return _boxes(edges + sides * size / 2, size / 2), PLACES[:, 0].copy()


def _boxes(centres: np.ndarray, half: np.ndarray) -> np.ndarray:
    """(N, 4) boxes around (N, 2) centres."""
    return np.hstack([centres - half, centres + half])


def _nearest(mark: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The point of a box that is nearest to a mark."""
    return np.clip(mark, box[:2], box[2:])


def _line(mark: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Small boxes along the line from a mark to its name."""
    along = mark + np.linspace(0.1, 0.9, SAMPLES)[:, None] * (_nearest(mark, box) - mark)
    return _boxes(along, np.full(2, 0.5))


def _covers(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, M) whether a box has some area in common with another; NaN has none."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return (high > low).all(axis=-1)
