"""Figures: arrays and tables in, Axes out. Nothing is computed here but the layout (and the row shares of a count table).

Every function draws into ``ax`` (a new figure without it), sets a ``title`` and below it a ``note``: n, split and interval.
Each of the seven classes has one colour, marker, line style and hatch; the order is that of the data. Shares are in [0, 1],
shown in per cent. Colours, safe for the colour-blind: classes by Paul Tol ("bright"), systems and splits by Okabe and Ito.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TypedDict, Unpack

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .labels import FER2013

Table, AnyTable, AnyAxes = pd.DataFrame, pd.DataFrame | None, Axes | None


class Head(TypedDict, total=False):
    """What every figure says above itself; without ``title`` it has one of its own."""

    title: str
    note: str


INK, GREY, LIGHT = "#222222", "#666666", "#dddddd"
CLASS_COLOURS = dict(zip(FER2013, ("#e67", "#283", "#a37", "#cb4", "#47a", "#6ce", "#bbb"), strict=True))
SERIES_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#222222", "#56b4e9", "#e69f00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "oo", "--")
STYLE = {
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 110,
    "savefig.dpi": 200, "font.size": 10, "axes.titlesize": 11, "xtick.labelsize": 9, "ytick.labelsize": 9,
    "legend.fontsize": 9, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": GREY, "axes.linewidth": 0.8, "axes.grid": True, "axes.axisbelow": True, "grid.color": LIGHT,
    "grid.linewidth": 0.6, "text.color": INK, "axes.labelcolor": INK, "hatch.linewidth": 0.6,
}  # fmt: skip


def style() -> ExitStack:
    """Set the look of all figures from here on, or, as ``with style():``, inside a block only."""
    before, restore = {key: mpl.rcParams[key] for key in STYLE}, ExitStack()
    mpl.rcParams.update(STYLE)
    restore.callback(mpl.rcParams.update, before)
    return restore


def class_style(name: str) -> dict[str, object]:
    """Colour, marker, line style and hatch of a class; black for a class that FER2013 does not have."""
    i = FER2013.index(name) if name in FER2013 else 0
    return {"color": CLASS_COLOURS.get(name, INK), "marker": MARKERS[i], "linestyle": LINES[i], "hatch": HATCHES[i]}


def _bar(i: int) -> dict[str, object]:
    return {"color": SERIES_COLOURS[i % 7], "hatch": HATCHES[i % 7], "edgecolor": "white", "linewidth": 0.5}


def _start(ax: AnyAxes, size: tuple[float, float]) -> Axes:
    return ax if ax is not None else plt.subplots(figsize=size, layout="constrained")[1]


def _finish(ax: Axes, default: str, grid: str | None, title: str | None = None, note: str = "") -> Axes:
    """Title and note at the left, grid along one axis only."""
    ax.set_title(default if title is None else title, loc="left", fontweight="bold", pad=20 if note else 8)
    ax.annotate(note, (0, 1), (0, 6), "axes fraction", "offset points", color=GREY, fontsize=9)
    for axis in (ax.xaxis, ax.yaxis):
        axis.grid(grid in (axis.axis_name, "both"))
    return ax


def _percent(axis: mpl.axis.Axis, label: str) -> None:
    axis.set_major_formatter(lambda x, _: f"{100 * x:g}")
    axis.set_label_text(f"{label} (%)")


def _heatmap(ax: Axes, shares: np.ndarray, texts: np.ndarray, rows: Sequence, columns: Sequence, labels: Sequence) -> None:
    """(R, C) shares in [0, 1] as shades of one colour, NaN in grey, with a text in each cell; ``labels`` of x and y."""
    blues = mpl.colormaps["Blues"].with_extremes(bad="#eeeeee")
    ax.imshow(np.ma.masked_invalid(shares), cmap=blues, vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(columns)), columns)
    if len(columns) > 5:
        plt.setp(ax.get_xticklabels(), rotation=35, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    for (row, column), share in np.ndenumerate(shares):
        look = {"fontsize": 9, "color": "white" if share > 0.6 else INK}
        ax.text(column, row, texts[row, column], ha="center", va="center", **look)


def _texts(shares: np.ndarray, digits: int) -> np.ndarray:
    """Per cent as text, a dash for NaN."""
    texts = ["–" if np.isnan(x) else f"{100 * x:.{digits}f}" for x in shares.flat]
    return np.array(texts, dtype=object).reshape(shares.shape)


def _row_shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def class_balance(counts: Table, ax: AnyAxes = None, **head: Unpack[Head]) -> Axes:
    """Stacked bars. ``counts``: images, rows splits, columns classes (``FaceSet.counts()``; ``total`` is left out)."""
    ax, counts = _start(ax, (7, 3.4)), counts.drop(columns="total", errors="ignore")
    left = np.zeros(counts.shape[1])
    for i, (split, row) in enumerate(counts.iterrows()):
        ax.barh(counts.columns, row, left=left, label=f"{split} ({row.sum():,})", **_bar(i))
        left += row.to_numpy()
    for place, total in enumerate(left):
        ax.text(total, place, f" {total:,.0f} ({100 * total / max(left.sum(), 1):.1f} %)", va="center", fontsize=9)
    ax.set(xlabel="images", xlim=(0, 1.2 * left.max()), ylim=(len(left) - 0.5, -0.5))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.legend(loc="lower right")
    return _finish(ax, "Images by class and split", "x", **head)


def confusion(matrix: np.ndarray, classes: Sequence[str] = FER2013, ax: AnyAxes = None, **head: Unpack[Head]) -> Axes:
    """(K, K) int counts, label in rows: per cent of the row above the count; a dash in a row without images."""
    ax, shares = _start(ax, (6.2, 5.4)), _row_shares(np.asarray(matrix))
    _heatmap(ax, shares, _texts(shares, 0), classes, classes, ("predicted class", "label"))
    for text, (row, column), count in zip(list(ax.texts), np.ndindex(shares.shape), np.ravel(matrix), strict=True):
        text.set(fontsize=11 if row == column else 10, va="bottom")
        ax.text(column, row + 0.08, f"{count:,}", ha="center", va="top", fontsize=7, color=text.get_color())
    return _finish(ax, "Confusion matrix", None, **head)


def agreement(matrix: Table, ax: AnyAxes = None, **head: Unpack[Head]) -> Axes:
    """Counts, rows FER2013 labels, columns FER+ majority (or votes): the share of each row in per cent, n beside it."""
    ax, shares = _start(ax, (7.4, 4.4)), _row_shares(matrix.to_numpy(dtype=float))
    rows = [f"{name} (n = {total:,.0f})" for name, total in matrix.sum(axis=1).items()]
    columns = [name.replace("_", " ") for name in matrix.columns]
    _heatmap(ax, shares, _texts(shares, 0), rows, columns, ("FER+ (% of the row)", "FER2013 label"))
    return _finish(ax, "From FER2013 labels to FER+ votes", None, **head)


def transfer_matrix(
    value: Table, low: AnyTable = None, high: AnyTable = None, ax: AnyAxes = None, **head: Unpack[Head]
) -> Axes:
    """Shares in [0, 1], rows trained on, columns scored on; the interval below each, the diagonal framed."""
    ax, values = _start(ax, (1.4 * value.shape[1] + 2.2, 0.8 * len(value) + 1.8)), value.to_numpy(dtype=float)
    texts = _texts(values, 1)
    if low is not None and high is not None:
        limits = _texts(low.to_numpy(dtype=float), 1) + ", " + _texts(high.to_numpy(dtype=float), 1)
        texts = np.where(np.isnan(values), texts, texts + "\n[" + limits + "]")
    _heatmap(ax, values, texts, value.index, value.columns, ("scored on", "trained on"))
    for row, column in np.argwhere(np.equal.outer(value.index, value.columns)):
        ax.add_patch(mpl.patches.Rectangle((column - 0.48, row - 0.46), 0.96, 0.92, fill=False, edgecolor=INK, lw=1.5))
    return _finish(ax, "Accuracy across datasets (%)", None, **head)


def recall_by_class(
    value: Table, low: AnyTable = None, high: AnyTable = None, counts: pd.Series | None = None,
    ax: AnyAxes = None, **head: Unpack[Head],
) -> Axes:  # fmt: skip
    """Shares, rows systems, columns classes: a dot and interval a system, side by side; ``counts``: images of a class."""
    ax, places = _start(ax, (7.4, 3.6)), np.arange(value.shape[1])
    shifts = (np.arange(len(value)) - (len(value) - 1) / 2) * min(0.15, 0.7 / max(len(value), 1))
    for i, (system, row) in enumerate(value.iterrows()):
        colour = SERIES_COLOURS[i % 7]
        ax.plot(places + shifts[i], row, MARKERS[i % 7], color=colour, markersize=5, label=str(system))
        if low is not None and high is not None:
            ax.vlines(places + shifts[i], low.loc[system], high.loc[system], colour, linewidth=1.4)
    ax.set_xticks(places, [name if counts is None else f"{name}\nn = {counts[name]:,}" for name in value.columns])
    ax.set(ylim=(0, 1), xlim=(-0.5, len(places) - 0.5))
    _percent(ax.yaxis, "recall")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return _finish(ax, "Recall by class", "y", **head)


def score_intervals(
    table: Table, ax: AnyAxes = None, label: str = "accuracy", percent: bool = True, **head: Unpack[Head]
) -> Axes:
    """A row a system: ``name, value, low, high, n`` and, where a source gives one, ``reported`` (hollow diamond)."""
    ax, places = _start(ax, (7.4, 0.36 * len(table) + 1.5)), np.arange(len(table))
    scale, digits = (100, 1) if percent else (1, 3)
    ax.hlines(places, table["low"], table["high"], SERIES_COLOURS[0], linewidth=2)
    ax.plot(table["value"], places, "o", color=SERIES_COLOURS[0], label="measured")
    if "reported" in table and table["reported"].notna().any():
        hollow = {"markerfacecolor": "none", "color": SERIES_COLOURS[1], "markeredgewidth": 1.4}
        ax.plot(table["reported"], places, "D", label="reported by the source", **hollow)
        below = ax.transAxes + mpl.transforms.ScaledTranslation(0, -36 / 72, ax.figure.dpi_scale_trans)
        ax.legend(loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, ncols=2, borderaxespad=0)
    for place, row in enumerate(table.itertuples()):
        interval = "" if np.isnan(row.low) else f" [{scale * row.low:.{digits}f}, {scale * row.high:.{digits}f}]"
        text = f"{scale * row.value:.{digits}f}{interval}, n = {row.n:,.0f}"
        ax.annotate(text, (1, place), (6, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=9)
    ax.set(yticks=places, yticklabels=table["name"], ylim=(len(table) - 0.5, -0.5), xlabel=label)
    if percent:
        _percent(ax.xaxis, label)
    return _finish(ax, "Score and interval", "both", **head)


def learning_curves(history: Table, axes: Sequence[Axes] | None = None, **head: Unpack[Head]) -> np.ndarray:
    """Columns ``train_|validation_`` times ``loss|accuracy`` by ``epoch``, a line a ``seed`` (if any); gives both Axes."""
    axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")[1] if axes is None else np.asarray(axes)
    runs = [run for _, run in history.groupby("seed")] if "seed" in history else [history]
    for ax, quantity in zip(axes, ("loss", "accuracy"), strict=True):
        for part, colour, line in (("train", SERIES_COLOURS[1], "--"), ("validation", SERIES_COLOURS[0], "-")):
            for i, run in enumerate(runs):
                ax.plot(run["epoch"], run[f"{part}_{quantity}"], line, color=colour, lw=1.2, label=None if i else part)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set(xlabel="epoch", ylabel=quantity)
    _percent(axes[1].yaxis, "accuracy")
    axes[0].legend()
    _finish(axes[1], "", "y")
    _finish(axes[0], "Learning curves", "y", **head)
    return axes


def duplicates_by_class(shares: pd.Series, texts: Sequence[str] = (), ax: AnyAxes = None, **head: Unpack[Head]) -> Axes:
    """Share of each class (index) that has a duplicate; ``texts`` beside the bars, such as "118 of 416"."""
    ax, n = _start(ax, (6, 3)), len(shares)
    for place, (name, share) in enumerate(shares.items()):
        look = class_style(name)
        ax.barh(place, share, color=look["color"], hatch=look["hatch"], edgecolor="white")
        ax.text(share, place, f" {100 * share:.1f} %" + (f" ({texts[place]})" if texts else ""), va="center", fontsize=9)
    limits = {"xlim": (0, 1.35 * max(shares.max(), 0.01)), "ylim": (n - 0.5, -0.5)}
    ax.set(yticks=range(n), yticklabels=shares.index, **limits)
    _percent(ax.xaxis, "share of the class")
    return _finish(ax, "Test images with a copy in train", "x", **head)


def votes_bars(distributions: Table, ax: AnyAxes = None, **head: Unpack[Head]) -> Axes:
    """Shares in [0, 1], rows sources (say, taggers and model), columns options: grouped bars."""
    ax, places, width = _start(ax, (8, 3)), np.arange(distributions.shape[1]), 0.8 / len(distributions)
    for i, (source, row) in enumerate(distributions.iterrows()):
        ax.bar(places + (i - (len(distributions) - 1) / 2) * width, row, width, label=str(source), **_bar(i))
    ax.set_xticks(places, [c.replace("_", " ") for c in distributions.columns])
    ax.set_ylim(0, min(1, 1.1 * distributions.max(axis=None)))
    _percent(ax.yaxis, "share")
    ax.legend()
    return _finish(ax, "Votes and prediction", "y", **head)


def reliability(bins: Table, ax: AnyAxes = None, **head: Unpack[Head]) -> Axes:
    """Accuracy by confidence, ``metrics.reliability``: bars of accuracy, the gap to the confidence hatched, n in each."""
    ax, full = _start(ax, (4.4, 4.2)), bins[bins["n"] > 0]
    centre, width = (full["low"] + full["high"]) / 2, full["high"] - full["low"]
    ax.bar(centre, full["accuracy"], width, color=SERIES_COLOURS[5], edgecolor="white", label="accuracy")
    gap = {"color": "none", "edgecolor": SERIES_COLOURS[1], "hatch": "////", "linewidth": 0.8}
    ax.bar(centre, full["confidence"] - full["accuracy"], width, full["accuracy"], label="gap to confidence", **gap)
    ax.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1, label="perfect")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    _percent(ax.xaxis, "confidence")
    _percent(ax.yaxis, "accuracy")
    for x, n in zip(centre, full["n"], strict=True):
        ax.text(x, 0.015, f"{n:,}", rotation=90, ha="center", va="bottom", fontsize=7)
    ax.legend(loc="upper left")
    return _finish(ax, "Reliability", "both", **head)


def _tiles(ax: Axes, images: np.ndarray, titles: Sequence[str], columns: int) -> list[tuple[float, float, float, float]]:
    """(N, H, W) images in a grid of unit squares with a title above each; returns the extents (left, right, bottom, top)."""
    step, head, rows = 1.08, 0.12 + 0.16 * max(name.count("\n") + 1 for name in titles), -(-len(images) // columns)
    extents, brightest = [], 255 if np.nanmax(images) > 1 else 1
    for i, (image, name) in enumerate(zip(images, titles, strict=True)):
        left, top = step * (i % columns), (1 + head) * (i // columns)
        extents.append((left, left + 1, top + 1, top))
        ax.imshow(image, cmap="gray", vmin=0, vmax=brightest, extent=extents[-1])
        ax.text(left + 0.5, top - 0.04, name, ha="center", va="bottom", fontsize=9)
    ax.set(xlim=(0, step * min(columns, len(images)) - 0.08), ylim=((1 + head) * rows - head, -head), aspect="equal")
    ax.set_axis_off()
    return extents


def face_grid(images: np.ndarray, titles: Sequence[str], ax: AnyAxes = None, columns: int = 8, **head: Unpack[Head]) -> Axes:
    """(N, H, W) uint8, or float in [0, 1], a title each. For synthetic faces only: no real face is published."""
    ax = _start(ax, (8, 1.25 * -(-len(images) // columns) + 0.5))
    _tiles(ax, images, titles, columns)
    return _finish(ax, "Synthetic faces", None, **head)


def mean_faces(images: np.ndarray, classes: Sequence[str] = FER2013, ax: AnyAxes = None, **head: Unpack[Head]) -> Axes:
    """(K, H, W) float in [0, 255] or [0, 1]: one mean image a class."""
    return face_grid(images, classes, ax, len(classes), **{"title": "Mean face by class", **head})


def class_saliency(
    maps: np.ndarray, counts: Sequence[int], faces: np.ndarray, classes: Sequence[str] = FER2013,
    ax: AnyAxes = None, **head: Unpack[Head],
) -> Axes:  # fmt: skip
    """(K, h, w) mean saliency >= 0 (NaN: no map) of ``counts`` images over (K, H, W) mean ``faces``; contour: half peak."""
    ax, top = _start(ax, (8.6, 2.1)), max(float(np.nan_to_num(maps).max()), 1e-12)
    extents = _tiles(ax, faces, [f"{name}\nn = {n:,}" for name, n in zip(classes, counts, strict=True)], len(classes))
    scale = mpl.colors.Normalize(0, top)
    for saliency, extent in zip(maps, extents, strict=True):
        alpha = 0.75 * np.nan_to_num(saliency) / top
        ax.imshow(saliency, "inferno", norm=scale, alpha=alpha, extent=extent, interpolation="bilinear")
        if np.nan_to_num(saliency).max() > top / 2:
            ax.contour(saliency, [top / 2], colors="white", linewidths=1, origin="upper", extent=extent)
    ax.figure.colorbar(mpl.cm.ScalarMappable(scale, "inferno"), ax=ax, label="saliency", shrink=0.75, pad=0.01)
    return _finish(ax, "Where the model looks: mean saliency by class", None, **head)
