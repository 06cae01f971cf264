"""Diagrams of networks."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from .frame import GREY, INK, LIGHT, SERIES_COLOURS, AnyAxes, Head, Table, finish, start


def architecture(table: Table, ax: AnyAxes = None, **head: Unpack[Head]) -> Axes:
    """A box a part, from left to right, as high as the map that leaves it (logarithm of its side).

    Args:
        table: ``part, channels, side, parameters``; a ``side`` of 1 is a vector.
    """
    ax = start(ax, (1.15 * len(table) + 0.6, 3.0))
    heights = 0.25 + 0.75 * np.log(table["side"]) / np.log(table["side"].max())
    for i, (row, height) in enumerate(zip(table.itertuples(), heights, strict=True)):
        if i:
            ax.annotate(
                "", (i - 0.36, 0), (i - 0.64, 0), arrowprops={"arrowstyle": "->", "color": GREY}
            )
        box = Rectangle(
            (i - 0.36, -height / 2),
            0.72,
            height,
            facecolor=LIGHT,
            edgecolor=SERIES_COLOURS[0],
            linewidth=1.4,
        )
        ax.add_patch(box)
        shape = f"{row.channels}" if row.side == 1 else f"{row.channels}\n{row.side} x {row.side}"
        ax.text(i, 0, shape, ha="center", va="center", fontsize=8, color=INK)
        ax.text(
            i, 0.58, row.part.replace(" ", "\n"), ha="center", va="bottom", fontsize=8, color=INK
        )
        ax.text(i, -0.58, _thousands(row.parameters), ha="center", va="top", fontsize=8, color=GREY)
    ax.set(xlim=(-0.6, len(table) - 0.4), ylim=(-0.75, 1.05))
    ax.set_axis_off()
    return finish(ax, "Architecture", None, **head)


def _thousands(count: int) -> str:
    """A number of parameters in three digits or so."""
    return (
        f"{count / 1e6:.1f} M"
        if count >= 1e6
        else f"{count / 1e3:.1f} k"
        if count >= 1e3
        else f"{count}"
    )
