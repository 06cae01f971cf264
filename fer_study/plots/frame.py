"""What all figures share: look, colours, heading and axes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypedDict

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from ..data.labels import EIGHT

Table, AnyTable, AnyAxes = pd.DataFrame, pd.DataFrame | None, Axes | None


class Head(TypedDict, total=False):
    """What every figure says above itself; without ``title`` it has one of its own."""

    title: str
    note: str


INK, GREY, LIGHT = "#222222", "#666666", "#dddddd"
CLASS_COLOURS = dict(
    zip(EIGHT, ("#e67", "#283", "#a37", "#cb4", "#47a", "#6ce", "#bbb", INK), strict=True)
)
SERIES_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#222222", "#56b4e9", "#e69f00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "oo", "--", "++")
STYLE = {
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
    "figure.dpi": 110,
    "savefig.dpi": 200, "font.size": 10, "axes.titlesize": 11, "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9, "legend.frameon": False, "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY, "axes.linewidth": 0.8, "axes.grid": True, "axes.axisbelow": True,
    "grid.color": LIGHT,
    "grid.linewidth": 0.6, "text.color": INK, "axes.labelcolor": INK, "hatch.linewidth": 0.6,
    "svg.hashsalt": "fer-study",
}  # fmt: skip


def style() -> ExitStack:
    """Set the look of all figures from here on, or, as ``with style():``, inside a block only."""
    before, restore = {key: mpl.rcParams[key] for key in STYLE}, ExitStack()
    mpl.rcParams.update(STYLE)
    restore.callback(mpl.rcParams.update, before)
    return restore


def class_style(name: str) -> dict[str, object]:
    """Colour, marker, line style and hatch of a class, each its own."""
    i = EIGHT.index(name)
    return {
        "color": CLASS_COLOURS[name],
        "marker": MARKERS[i],
        "linestyle": LINES[i],
        "hatch": HATCHES[i],
    }


def start(ax: AnyAxes, size: tuple[float, float]) -> Axes:
    return ax if ax is not None else plt.subplots(figsize=size, layout="constrained")[1]


def panels(
    count: int, size: tuple[float, float] = (4.8, 5.4), columns: int = 2, **shared: bool | str
) -> list[Axes]:
    """So many panels in one figure, ``columns`` beside each other; ``shared`` is the ``sharex`` and
    ``sharey`` of ``plt.subplots``."""
    rows = max(-(-count // columns), 1)
    size = (columns * size[0], rows * size[1])
    _, axes = plt.subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False, **shared
    )
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    for ax in axes.flat[max(count - columns, 0) : count]:
        ax.xaxis.set_tick_params(labelbottom=True)  # where the one below is not there
    return list(axes.flat[:count])


def finish(
    ax: Axes, default: str, grid: str | None, title: str | None = None, note: str = ""
) -> Axes:
    """Title and note at the left, grid along one axis only.

    Both belong to the figure: what belongs to the axes narrows them when it is long, until nothing
    is left of them.
    """
    height = 20 if note else 8  # of the title above the axes, in points
    ax.set_title(" ", loc="left", pad=height)  # keeps the room
    heading = {"fontsize": mpl.rcParams["axes.titlesize"], "fontweight": "bold"}
    texts = (
        (default if title is None else title, height, heading),
        (note, 6, {"fontsize": 9, "color": GREY}),
    )
    for text, points, look in texts:
        up = mpl.transforms.ScaledTranslation(0, points / 72, ax.figure.dpi_scale_trans)
        ax.figure.text(0, 1, text, transform=ax.transAxes + up, **look)
    for axis in (ax.xaxis, ax.yaxis):
        axis.grid(grid in (axis.axis_name, "both"))
    return ax


def percent_axis(axis: mpl.axis.Axis, label: str, unit: str = "%") -> None:
    axis.set_major_formatter(lambda x, _: f"{100 * x:g}")
    axis.set_label_text(f"{label} ({unit})")


def legend_below(ax: Axes, columns: int = 2, **look: float) -> None:
    """Put the legend below the axis label."""
    below = ax.transAxes + mpl.transforms.ScaledTranslation(0, -36 / 72, ax.figure.dpi_scale_trans)
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below}
    ax.legend(**place, ncols=columns, borderaxespad=0, **look)
