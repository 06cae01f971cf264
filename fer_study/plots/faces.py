"""Pictures: synthetic faces, class means, and what lies over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Unpack

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from .frame import INK, SERIES_COLOURS, AnyAxes, Head, finish, start


def _tiles(
    ax: Axes, images: np.ndarray, titles: Sequence[str], columns: int
) -> list[tuple[float, float, float, float]]:
    """Lay (N, H, W) images out in unit squares; gives extents (left, right, bottom, top)."""
    step, rows = 1.08, -(-len(images) // columns)
    head = 0.12 + 0.16 * max(name.count("\n") + 1 for name in titles)
    extents, brightest = [], 255 if np.nanmax(images, initial=0) > 1 else 1
    for i, (image, name) in enumerate(zip(images, titles, strict=True)):
        left, top = step * (i % columns), (1 + head) * (i // columns)
        extents.append((left, left + 1, top + 1, top))
        ax.imshow(image, cmap="gray", vmin=0, vmax=brightest, extent=extents[-1])
        ax.text(left + 0.5, top - 0.04, name, ha="center", va="bottom", fontsize=9)
    ax.set(
        xlim=(0, step * min(columns, len(images)) - 0.08),
        ylim=((1 + head) * rows - head, -head),
        aspect="equal",
    )
    ax.set_axis_off()
    return extents


def face_grid(
    images: np.ndarray,
    titles: Sequence[str],
    ax: AnyAxes = None,
    columns: int = 8,
    **head: Unpack[Head],
) -> Axes:
    """Draw (N, H, W) images, uint8 or float in [0, 1], a title each.

    For synthetic faces only: no real face is published.
    """
    ax = start(ax, (8, 1.25 * -(-len(images) // columns) + 0.5))
    _tiles(ax, images, titles, columns)
    return finish(ax, "Synthetic faces", None, **head)


def contact_sheet(
    images: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str] = (),
    ax: AnyAxes = None,
    **head: Unpack[Head],
) -> Axes:
    """Draw (R, M, H, W) uint8 synthetic faces: R rows with a name each, M columns.

    ``columns`` names these, where it is given.
    """
    count, width = images.shape[:2]
    ax, step = start(ax, (min(0.62 * width + 1.2, 11), 0.62 * count + 0.7)), 1.04
    for (row, column), image in ((place, images[place]) for place in np.ndindex(count, width)):
        left, top = step * column, step * row
        ax.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(left, left + 1, top + 1, top))
    for row, name in enumerate(rows):
        ax.text(-0.12, step * row + 0.5, name, ha="right", va="center", fontsize=9)
    for column, name in enumerate(columns):
        ax.text(step * column + 0.5, -0.08, name, ha="center", va="bottom", fontsize=6.5)
    lines = max((name.count("\n") + 1 for name in columns), default=0)
    ax.set(
        xlim=(-0.1, step * width - 0.04), ylim=(step * count - 0.04, -0.25 * lines), aspect="equal"
    )
    ax.set_axis_off()
    return finish(ax, "Synthetic faces", None, **head)


def overlay(
    images: np.ndarray,
    points: np.ndarray,
    masks: np.ndarray,
    titles: Sequence[str],
    names: Sequence[str],
    ax: AnyAxes = None,
    **head: Unpack[Head],
) -> Axes:
    """Draw (M, H, W) uint8 synthetic faces, a title each, in two rows.

    Above with landmarks ``points`` (M, P, 2), x and y in pixels; below with the outlines of regions
    ``masks`` (M, R, H, W) bool, a colour for each of the R ``names``.
    """
    colours = [c for c in SERIES_COLOURS if c != INK]
    ax, step, size = start(ax, (1.35 * len(images), 3.2)), 1.04, images.shape[-1]
    for i, image in enumerate(images):
        for top in (0, step):
            ax.imshow(
                image, cmap="gray", vmin=0, vmax=255, extent=(step * i, step * i + 1, top + 1, top)
            )
        x, y = ((points[i] + 0.5) / size)[((points[i] > 0) & (points[i] < size - 1)).all(axis=1)].T
        ax.text(step * i + 0.5, -0.04, titles[i], ha="center", va="bottom", fontsize=9)
        ax.plot(step * i + x, y, ".", color=SERIES_COLOURS[6], markersize=3.5)
        grid = (np.arange(size) + 0.5) / size
        for colour, mask in zip(colours, masks[i], strict=False):
            if mask.any():
                ax.contour(step * i + grid, step + grid, mask, [0.5], colors=colour, linewidths=1.2)
    handles = [
        mpl.lines.Line2D([], [], color=c, label=name)
        for c, name in zip(colours, names, strict=False)
    ]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1))
    ax.set(xlim=(0, step * len(images)), ylim=(2 * step, -0.2), aspect="equal")
    ax.set_axis_off()
    return finish(ax, "Landmarks and regions", None, **head)


def mean_faces(
    images: np.ndarray, classes: Sequence[str], ax: AnyAxes = None, **head: Unpack[Head]
) -> Axes:
    """(K, H, W) float in [0, 255] or [0, 1]: one mean image a class."""
    return face_grid(images, classes, ax, len(classes), **{"title": "Mean face by class", **head})


def class_saliency(
    maps: Mapping[str, np.ndarray],
    counts: Mapping[str, Sequence[int]],
    faces: np.ndarray,
    classes: Sequence[str],
    ax: AnyAxes = None,
    **head: Unpack[Head],
) -> Axes:
    """Draw mean saliency over the mean faces: a row a network, a column a class, one scale.

    Args:
        maps: of each network, (K, h, w) >= 0, NaN where a class has no map. A class that no network
            has a map of is left out; where one has none, a dash stands. The line is half the peak
            of a network.
        counts: of each network, how many single maps stand behind each class.
        faces: (K, H, W) float in [0, 1].
    """
    known = {name: [not np.isnan(one).all() for one in heat] for name, heat in maps.items()}
    shown = [k for k in range(len(classes)) if any(has[k] for has in known.values())]
    ax = start(ax, (1.15 * len(shown) + 2.0, 1.25 * len(maps) + 0.8))
    top = max([float(np.nan_to_num(heat).max()) for heat in maps.values()] + [1e-12])
    for row, (name, heat) in enumerate(maps.items()):
        y, half = 1.22 * row, np.nan_to_num(heat).max() / 2
        ax.text(-0.1, y + 0.5, name.replace(" + ", " +\n"), ha="right", va="center", fontsize=9)
        for place, k in enumerate(shown):
            extent = (1.06 * place, 1.06 * place + 1, y + 1, y)
            if not row:
                ax.text(extent[0] + 0.5, -0.24, classes[k], ha="center", va="bottom", fontsize=10)
            said = f"n = {counts[name][k]:,}" if known[name][k] else "–"
            ax.text(extent[0] + 0.5, y - 0.02, said, ha="center", va="bottom", fontsize=8)
            if known[name][k]:
                _saliency(ax, heat[k], faces[k], extent, top, half)
    ax.set(xlim=(0, 1.06 * max(len(shown), 1)), ylim=(1.22 * max(len(maps), 1), -0.5))
    ax.set_aspect("equal")
    ax.set_axis_off()
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, top), "YlOrRd")
    ax.figure.colorbar(scale, ax=ax, label="mean saliency", shrink=0.6, pad=0.01)
    return finish(ax, "Where the networks look: mean saliency by class", None, **head)


def _saliency(
    ax: Axes,
    heat: np.ndarray,
    face: np.ndarray,
    extent: tuple[float, float, float, float],
    top: float,
    half: float,
) -> None:
    """Draw a map over a face that is lightened, so that the map is the darker of the two."""
    ax.imshow(face, "gray", vmin=-1.2, vmax=1, extent=extent)
    strength = 0.9 * np.sqrt(np.clip(heat / top, 0, 1))
    ax.imshow(
        heat, "YlOrRd", vmin=0, vmax=top, alpha=strength, extent=extent, interpolation="bilinear"
    )
    if heat.min() < half < heat.max():
        ax.contour(heat, [half], colors=INK, linewidths=1, origin="upper", extent=extent)
