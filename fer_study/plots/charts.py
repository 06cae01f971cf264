"""Charts: tables of counts, shares and scores."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Unpack

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes

from .frame import (
    GREY,
    HATCHES,
    INK,
    LIGHT,
    LINES,
    MARKERS,
    SERIES_COLOURS,
    AnyAxes,
    AnyTable,
    Head,
    Table,
    finish,
    legend_below,
    percent_axis,
    start,
)


def _bar(i: int) -> dict[str, object]:
    return {
        "color": SERIES_COLOURS[i % 7],
        "hatch": HATCHES[i % 7],
        "edgecolor": "white",
        "linewidth": 0.5,
    }


def _heatmap(
    ax: Axes,
    shares: np.ndarray,
    texts: np.ndarray,
    rows: Sequence,
    columns: Sequence,
    labels: Sequence,
) -> None:
    """Shade (R, C) shares in [0, 1], NaN in grey, a text in each cell; ``labels`` of x and y."""
    seaborn.heatmap(
        pd.DataFrame(shares, rows, columns), vmin=0, vmax=1, cmap="Blues", cbar=False, ax=ax
    )
    # seaborn leaves out cells of NaN
    ax.set(xlabel=labels[0], ylabel=labels[1], facecolor="#eeeeee")
    slanted = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    plt.setp(ax.get_xticklabels(), **(slanted if len(columns) > 5 else {"rotation": 0}))
    plt.setp(ax.get_yticklabels(), rotation=0)
    ax.tick_params(length=0)
    # seaborn would write nothing into cells of NaN
    for (row, column), share in np.ndenumerate(shares):
        look = {"fontsize": 9, "color": "white" if share > 0.6 else INK}
        ax.text(column + 0.5, row + 0.5, texts[row, column], ha="center", va="center", **look)


def _texts(shares: np.ndarray, digits: int) -> np.ndarray:
    """Per cent as text, a dash for NaN."""
    texts = ["–" if np.isnan(x) else f"{100 * x:.{digits}f}" for x in shares.flat]
    return np.array(texts, dtype=object).reshape(shares.shape)


def _row_shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def class_balance(counts: Table, ax: AnyAxes = None, **head: Unpack[Head]) -> Axes:
    """Draw images by class and split as stacked bars.

    ``counts``: rows splits, columns classes (``FaceSet.counts()``; ``total`` is left out).
    """
    ax, counts = start(ax, (7, 3.4)), counts.drop(columns="total", errors="ignore")
    left = np.zeros(counts.shape[1])
    for i, (split, row) in enumerate(counts.iterrows()):
        ax.barh(counts.columns, row, left=left, label=f"{split} ({row.sum():,})", **_bar(i))
        left += row.to_numpy()
    for place, total in enumerate(left):
        ax.text(
            total,
            place,
            f" {total:,.0f} ({100 * total / max(left.sum(), 1):.1f} %)",
            va="center",
            fontsize=9,
        )
    ax.set(xlabel="images", xlim=(0, 1.2 * left.max()), ylim=(len(left) - 0.5, -0.5))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    legend_below(ax, columns=1)
    return finish(ax, "Images by class and split", "x", **head)


def confusion(
    matrix: np.ndarray,
    classes: Sequence[str],
    ax: AnyAxes = None,
    pairs: Sequence[tuple[str, str]] = (),
    **head: Unpack[Head],
) -> Axes:
    """Draw a (K, K) int confusion in per cent of the row, label in rows; a dash without images.

    One scale of colours for all such figures. ``pairs`` of classes are framed, in both directions.
    """
    ax, shares = start(ax, (5.2, 4.6)), _row_shares(np.asarray(matrix))
    _heatmap(ax, shares, _texts(shares, 0), classes, classes, ("predicted class", "label"))
    for row, column in np.ndindex(shares.shape):
        ends = {classes[row], classes[column]}
        if row != column and any(ends == set(pair) for pair in pairs):
            _frame(ax, row, column)
    return finish(ax, "Confusion matrix", None, **head)


def _frame(ax: Axes, row: int, column: int) -> None:
    """Draw a line around a cell of a heatmap."""
    corner = (column + 0.03, row + 0.04)
    ax.add_patch(mpl.patches.Rectangle(corner, 0.94, 0.92, fill=False, edgecolor=INK, lw=1.6))


def agreement(
    matrix: Table,
    ax: AnyAxes = None,
    labels: Sequence[str] = ("most votes (% of the row)", "label"),
    **head: Unpack[Head],
) -> Axes:
    """Draw counts, rows labels, columns what most votes say.

    Cells are the share of the row in per cent; n images stand beside it.
    """
    ax, shares = start(ax, (7.4, 4.4)), _row_shares(matrix.to_numpy(dtype=float))
    rows = [f"{name} (n = {total:,.0f})" for name, total in matrix.sum(axis=1).items()]
    columns = [name.replace("_", " ") for name in matrix.columns]
    _heatmap(ax, shares, _texts(shares, 0), rows, columns, labels)
    return finish(ax, "From labels to votes", None, **head)


def transfer_matrix(
    value: Table,
    low: AnyTable = None,
    high: AnyTable = None,
    ax: AnyAxes = None,
    **head: Unpack[Head],
) -> Axes:
    """Draw shares in [0, 1], rows trained on, columns scored on.

    The interval stands below each that has one; what was trained on what it is scored on is framed.
    """
    ax = start(ax, (1.4 * value.shape[1] + 2.2, 0.8 * len(value) + 1.8))
    values = value.to_numpy(dtype=float)
    texts = _texts(values, 1)
    if low is not None and high is not None:
        below, above = low.to_numpy(dtype=float), high.to_numpy(dtype=float)
        limits = texts + "\n[" + _texts(below, 1) + ", " + _texts(above, 1) + "]"
        texts = np.where(np.isnan(values) | np.isnan(below), texts, limits)
    _heatmap(ax, values, texts, value.index, value.columns, ("scored on", "trained on"))
    for row, column in np.argwhere(np.equal.outer(value.index, value.columns)):
        _frame(ax, row, column)
    return finish(ax, "Accuracy across datasets (%)", None, **head)


def dots_by_group(
    value: Table,
    low: AnyTable = None,
    high: AnyTable = None,
    ax: AnyAxes = None,
    label: str = "accuracy",
    percent: bool = True,
    joined: bool = False,
    reference: float | None = None,
    **head: Unpack[Head],
) -> Axes:
    """Draw a dot and an interval for each system (rows) in each group (columns).

    Args:
        percent: values are shares in [0, 1]; the axis shows all of it, in per cent.
        joined: by a line, for groups that have an order.
        reference: a value of its own line, such as that of chance.
    """
    ax, places = start(ax, (7.4, 3.6)), np.arange(value.shape[1])
    shifts = (np.arange(len(value)) - (len(value) - 1) / 2) * min(0.15, 0.7 / max(len(value), 1))
    if reference is not None:
        ax.axhline(reference, color=INK, linestyle="--", linewidth=1)
    for i, (system, row) in enumerate(value.iterrows()):
        look = {"color": SERIES_COLOURS[i % 7], "marker": MARKERS[i % 7], "markersize": 5}
        line = LINES[i % 7] if joined else ""
        name = textwrap.fill(str(system), 24)
        ax.plot(places + shifts[i], row, linestyle=line, linewidth=1.4, label=name, **look)
        if low is not None and high is not None:
            ends = low.loc[system], high.loc[system]
            ax.vlines(places + shifts[i], *ends, look["color"], linewidth=1.4)
    ax.set_xticks(places, value.columns)
    ax.set(xlim=(-0.5, max(len(places), 1) - 0.5), ylabel=label)
    if percent:
        ax.set_ylim(0, 1)
        percent_axis(ax.yaxis, label)
    if len(value):
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return finish(ax, f"{label[:1].upper()}{label[1:]} by group", "y", **head)


def recall_by_class(
    value: Table,
    low: AnyTable = None,
    high: AnyTable = None,
    ax: AnyAxes = None,
    label: str = "recall",
    **head: Unpack[Head],
) -> Axes:
    """Draw shares, rows systems, columns classes: a dot and interval a system, side by side."""
    title = {"title": f"{label.capitalize()} by class"}
    return dots_by_group(value, low, high, ax, label, **{**title, **head})


def score_intervals(
    table: Table, ax: AnyAxes = None, label: str = "accuracy", **head: Unpack[Head]
) -> Axes:
    """Draw a share and its interval, a row a system.

    ``table`` holds ``name, value, low, high``, ``of`` (how many images or seeds, in words) and,
    where a source gives one, ``reported`` (hollow diamond) and ``reported_spread`` (a line of plus
    or minus below it); ``stands_in`` (bool): what was measured is another or a smaller system than
    the reported one (hollow point).
    """
    names = [textwrap.fill(name, 30) for name in table["name"]]
    lines = sum(1 + 0.7 * name.count("\n") for name in names)
    ax, places = start(ax, (8.4, 0.4 * lines + 1.5)), np.arange(len(table))
    ax.hlines(places, table["low"], table["high"], SERIES_COLOURS[0], linewidth=2)
    stands_in = table.get("stands_in", pd.Series(False, table.index)).to_numpy(bool)
    for chosen, fill, words in (
        (~stands_in, SERIES_COLOURS[0], "measured"),
        (stands_in, "white", "measured, with another or a smaller system"),
    ):
        if chosen.any():
            look = {"color": SERIES_COLOURS[0], "markerfacecolor": fill, "markeredgewidth": 1.4}
            ax.plot(table["value"][chosen], places[chosen], "o", label=words, **look)
    if "reported" in table and table["reported"].notna().any():
        hollow = {"markerfacecolor": "none", "color": SERIES_COLOURS[1], "markeredgewidth": 1.4}
        ax.plot(table["reported"], places, "D", label="reported by the source", **hollow)
        if "reported_spread" in table:
            ends = (
                table["reported"] - table["reported_spread"],
                table["reported"] + table["reported_spread"],
            )
            ax.hlines(places + 0.18, *ends, SERIES_COLOURS[1], linewidth=1.4)
        legend_below(ax)
    for place, row in enumerate(table.itertuples()):
        interval = "" if np.isnan(row.low) else f" [{100 * row.low:.1f}, {100 * row.high:.1f}]"
        value = "no record" if np.isnan(row.value) else f"{100 * row.value:.1f}"
        text = f"{value}{interval}, {row.of}"
        ax.annotate(
            text,
            (1, place),
            (6, 0),
            ("axes fraction", "data"),
            "offset points",
            va="center",
            fontsize=9,
        )
    ax.set(yticks=places, yticklabels=names, ylim=(len(table) - 0.5, -0.5))
    percent_axis(ax.xaxis, label)
    return finish(ax, "Score and interval", "both", **head)


VERDICT_LOOKS = {
    "holds": ("#009e73", ""), "holds in part": ("#7fc8b2", "////"), "answered": ("#56b4e9", ""),
    "holds and fails": ("#b9a6d9", "////"),
    "fails in part": ("#eba87f", "\\\\\\\\"), "does not hold": ("#d55e00", "xxxx"),
    "undecided": ("#f0e442", "...."), "open": (LIGHT, ""),
}  # fmt: skip


def verdict_bars(counts: Table, ax: AnyAxes = None, **head: Unpack[Head]) -> Axes:
    """Stacked bars of claims. ``counts``: rows sources, columns what a claim comes to
    (``verdicts.GROUPS``); each part says its number, each bar ends in its total."""
    ax, left = start(ax, (7.4, 0.5 * len(counts) + 1.6)), np.zeros(len(counts))
    names = [textwrap.fill(str(name), 26) for name in counts.index]
    for group, column in counts.loc[:, counts.any()].items():
        colour, hatch = VERDICT_LOOKS[str(group)]
        look = {"color": colour, "hatch": hatch, "edgecolor": "white"}
        bars = ax.barh(names, column, left=left, label=f"{group} ({column.sum()})", **look)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
        texts = [str(n) if n else "" for n in column]
        for text in ax.bar_label(bars, texts, label_type="center", fontsize=8):
            text.set_bbox(box if text.get_text() else None)
        left += column.to_numpy()
    ax.bar_label(bars, [f"{total:.0f}" for total in left], padding=4, fontsize=9)
    ax.set(xlabel="claims", xlim=(0, 1.08 * left.max()), ylim=(len(counts) - 0.5, -0.5))
    legend_below(ax, columns=3, columnspacing=1.2, handlelength=1.4)
    return finish(ax, "Claims by what became of them", "x", **head)


def dumbbells(
    table: Table,
    ax: AnyAxes = None,
    label: str = "recall",
    names: tuple[str, str] = ("before", "after"),
    **head: Unpack[Head],
) -> Axes:
    """Draw what a change does to the share of each row: hollow before, filled after, and between
    them a bar, blue for a gain and red for a loss where the difference is clear, else grey.

    ``table`` holds ``before`` and ``after``, their ``_low`` and ``_high`` (thin lines above and
    below the bar), and ``clear``: whether the interval of the paired difference excludes zero.
    """
    ax, places = start(ax, (6.2, 0.45 * len(table) + 1.6)), np.arange(len(table))
    colours = np.where(
        table["clear"],
        np.where(table["after"] > table["before"], SERIES_COLOURS[0], SERIES_COLOURS[1]),
        "#bbbbbb",
    )
    ax.hlines(places, table["before"], table["after"], colours, linewidth=4)
    dots = {"markersize": 6, "color": INK, "zorder": 3}
    for part, name, shift, fill in zip(
        ("before", "after"), names, (-0.18, 0.18), ("white", INK), strict=True
    ):
        ends = table[f"{part}_low"], table[f"{part}_high"]
        ax.hlines(places + shift, *ends, GREY, linewidth=1)
        ax.plot(table[part], places, "o", markerfacecolor=fill, label=name, **dots)
    ax.set(yticks=places, yticklabels=table.index, ylim=(len(table) - 0.5, -0.5), xlim=(0, 1))
    percent_axis(ax.xaxis, label)
    legend_below(ax)
    return finish(ax, f"{label.capitalize()}, {names[0]} and {names[1]}", "x", **head)


def slopes(
    value: Table,
    low: AnyTable = None,
    high: AnyTable = None,
    ax: AnyAxes = None,
    label: str = "accuracy",
    **head: Unpack[Head],
) -> Axes:
    """Draw how the share of every system (row) changes from column to column: a line each, with
    its name, its first and its last value at the right end."""
    ax = start(ax, (7.4, 0.45 * len(value) + 2.2))
    places = np.arange(value.shape[1])
    for i, (system, row) in enumerate(value.iterrows()):
        x = places + 0.025 * (i - (len(value) - 1) / 2)
        look = {"color": SERIES_COLOURS[i % 7], "linestyle": LINES[i % 8], "marker": MARKERS[i % 8]}
        ax.plot(x, row, markersize=5, **look)
        if low is not None and high is not None:
            ax.vlines(x, low.loc[system], high.loc[system], SERIES_COLOURS[i % 7], linewidth=1)
    ax.set(xticks=places, xticklabels=value.columns, xlim=(-0.2, len(places) - 0.8))
    percent_axis(ax.yaxis, label)
    ends = value.iloc[:, [0, -1]].dropna().sort_values(value.columns[-1])
    texts = [
        f"{name} {100 * row.iloc[0]:.1f} → {100 * row.iloc[1]:.1f}" for name, row in ends.iterrows()
    ]
    _name_ends(ax, texts, ends.iloc[:, 1])
    return finish(ax, f"{label.capitalize()} from {value.columns[0]} on", "y", **head)


def _name_ends(ax: Axes, names: Sequence[str], ends: Sequence[float]) -> None:
    """Write the names of lines right of the axes at their ends, from the lowest on, none over
    another."""
    bottom, top = ax.get_ylim()
    line = (top - bottom) * 0.17 / (0.75 * ax.figure.get_figheight())  # height of one of text
    free = -np.inf
    for name, end in zip(names, ends, strict=True):
        text = textwrap.fill(name, 34)
        room = line * (text.count("\n") + 1)
        centre = max(end, free + room / 2)
        free = centre + room / 2
        ax.annotate(
            text, (1.02, centre), xycoords=("axes fraction", "data"), va="center", fontsize=9
        )


def forest(
    table: Table,
    ax: AnyAxes = None,
    label: str = "accuracy",
    unit: str = "points",
    reference: float = 0.0,
    **head: Unpack[Head],
) -> Axes:
    """Draw values and intervals against a reference line, a row each; filled and coloured (blue
    above, red below) only where the interval excludes the reference.

    ``table`` holds ``name, value, low, high``; no mark where the value is NaN. It may hold
    ``few`` (bool): too few runs for an interval over them, so it is never filled nor coloured.
    Shares are shown a hundred times as large, as ``points`` or ``%``; without a ``unit`` all is
    shown as it is.
    """
    ax, places = start(ax, (6.4, 0.45 * len(table) + 1.4)), np.arange(len(table))
    ax.axvline(reference, color=INK, linewidth=1)
    scale, form = (100, ".1f") if unit else (1, ".3f")
    form = "+" + form if reference == 0 else form
    for place, row in enumerate(table.itertuples()):
        clear = not getattr(row, "few", False)
        above, below = clear and row.low > reference, clear and row.high < reference
        colour = SERIES_COLOURS[0] if above else SERIES_COLOURS[1] if below else GREY
        fill = colour if above or below else "white"
        ax.hlines(place, row.low, row.high, colour, linewidth=2)
        ax.plot(row.value, place, "o", color=colour, markerfacecolor=fill)
        if not np.isnan(row.value):
            text = f"{scale * row.value:{form}}"
            ax.annotate(
                text,
                (row.value, place),
                (0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3},
            )
    names = [textwrap.fill(str(name), 24) for name in table["name"]]
    ax.set(yticks=places, yticklabels=names, ylim=(len(table) - 0.5, -0.7), xlabel=label)
    if unit:
        percent_axis(ax.xaxis, label, unit)
    return finish(ax, f"{label.capitalize()} against a reference", "x", **head)


def learning_curves(history: Table, **head: Unpack[Head]) -> np.ndarray:
    """Draw small multiples of loss (above) and accuracy (below) by epoch: a column of panels a
    system, on shared axes, the gap between training and validation shaded.

    Columns ``name``, ``epoch``, ``train_|validation_`` times ``loss|accuracy``; if any, ``seed`` (a
    line each) and ``remark`` on the training: such a loss is on a scale of its own, so its gap is
    not shaded. No line for what is NaN. Gives the (2, systems) Axes.
    """
    names = list(dict.fromkeys(history["name"])) or ["no record yet"]
    size = (min(2.4 * len(names) + 1.6, 8), 4.6)
    figure, axes = plt.subplots(
        2, len(names), figsize=size, layout="constrained", sharex=True, sharey="row", squeeze=False
    )
    for name, column in zip(names, axes.T, strict=True):
        runs = history[history["name"] == name]
        remark = next(iter(runs.get("remark", ())), "")
        for ax, quantity in zip(column, ("loss", "accuracy"), strict=True):
            for _, run in runs.groupby("seed" if "seed" in runs else "name"):
                _draw_epochs(ax, run, quantity, shaded=not (remark and quantity == "loss"))
            ax.grid(False, axis="x")
        text = f"{name} ({remark})" if remark else name
        wrapped = textwrap.fill(text, max(int(13 * size[0] / (len(names) + 0.6)), 12))
        column[0].set_title(wrapped, loc="left", fontsize=9)
        column[1].set_xlabel("epoch")
    axes[0, 0].set_ylabel("loss")
    axes[0, 0].xaxis.get_major_locator().set_params(integer=True)
    percent_axis(axes[1, 0].yaxis, "accuracy")
    title, note = head.get("title", "Learning curves"), head.get("note", "")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=11)
    key = "dashed: training; solid: validation; shaded: between them; a line a seed"
    figure.supxlabel(note or key, x=0.01, ha="left", fontsize=9, color=GREY)
    return axes


def _draw_epochs(ax: Axes, run: Table, quantity: str, shaded: bool) -> None:
    """Draw one quantity of one run by epoch, in training and validation, and the gap."""
    train, validation = run[f"train_{quantity}"], run[f"validation_{quantity}"]
    if shaded:
        ax.fill_between(
            run["epoch"],
            train.astype(float),
            validation.astype(float),
            color=GREY,
            alpha=0.15,
            lw=0,
        )
    for values, colour, line in (
        (train, SERIES_COLOURS[1], "--"), (validation, SERIES_COLOURS[0], "-"),
    ):  # fmt: skip
        if values.notna().any():
            ax.plot(run["epoch"], values, line, color=colour, lw=1.2)


def duplicates_by_class(
    shares: pd.Series, texts: Sequence[str] = (), ax: AnyAxes = None, **head: Unpack[Head]
) -> Axes:
    """Draw the share of each class (index) that has a duplicate, the largest at the top.

    ``texts`` stand beside the bars, such as "118 of 416".
    """
    ax, n = start(ax, (6, 3)), len(shares)
    order = shares.fillna(-1).to_numpy().argsort(kind="stable")[::-1]
    ax.barh(range(n), shares.iloc[order], color=SERIES_COLOURS[0], height=0.7)
    for place, row in enumerate(order):
        share = shares.iloc[row]
        text = "–" if np.isnan(share) else f"{100 * share:.1f} %"
        beside = f" {text} ({texts[row]})" if texts else f" {text}"
        ax.text(np.nan_to_num(share), place, beside, va="center", fontsize=9)
    limits = {"xlim": (0, 1.35 * max(shares.max(), 0.01)), "ylim": (n - 0.5, -0.5)}
    ax.set(yticks=range(n), yticklabels=shares.index[order], **limits)
    percent_axis(ax.xaxis, "share of the class")
    return finish(ax, "Test images with a copy in train", "x", **head)


def stacked_shares(
    value: Table,
    low: AnyTable = None,
    high: AnyTable = None,
    ax: AnyAxes = None,
    lines: Sequence[float] = (),
    **head: Unpack[Head],
) -> Axes:
    """Draw shares that add up to 1 as stacked bars: a bar a row, a part a column.

    The intervals of the first and the last part stand at their inner ends. ``lines`` are drawn over
    all bars, such as those of equal shares.
    """
    ax, places = start(ax, (6, 0.35 * len(value) + 1.6)), np.arange(len(value))
    left = np.zeros(len(value))
    for i, (part, column) in enumerate(value.items()):
        ax.barh(places, column, left=left, label=part, height=0.75, alpha=0.8, **_bar(i))
        left += column.to_numpy(float)
    if low is not None and high is not None:
        first, last = value.columns[0], value.columns[-1]
        ax.hlines(places + 0.12, low[first], high[first], INK, linewidth=1.6)
        ax.hlines(places - 0.12, 1 - high[last], 1 - low[last], INK, linewidth=1.6)
    for line in lines:
        ax.axvline(line, color="white", linewidth=2.4)
        ax.axvline(line, color=INK, linestyle="--", linewidth=1.2)
    ax.set(yticks=places, yticklabels=value.index, xlim=(0, 1), ylim=(len(value) - 0.5, -0.5))
    percent_axis(ax.xaxis, "share")
    legend_below(ax, columns=3, columnspacing=1.2, handlelength=1.4)
    return finish(ax, "Shares of the whole", None, **head)


def reliability(bins: Table, ax: AnyAxes = None, error: str = "", **head: Unpack[Head]) -> Axes:
    """Draw accuracy by confidence with intervals; below it, how many predictions a bin holds.

    A row of ``bins`` is a bin of confidence: its edges ``start`` and ``end``, its number of
    predictions ``n``, their mean ``confidence``, and their accuracy: ``value``, ``low``, ``high``.
    The larger the bin, the larger its point. ``error``: the calibration error in words.
    """
    ax, full = start(ax, (4.2, 5.0)), bins[bins["n"] > 0]
    ax.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1)
    ax.vlines(full["confidence"], full["low"], full["high"], SERIES_COLOURS[0], linewidth=1.4)
    sizes = 6 + 60 * full["n"] / max(full["n"].max(), 1)
    ax.scatter(full["confidence"], full["value"], sizes, SERIES_COLOURS[0], zorder=3)
    if error:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
        ax.text(0.97, 0.04, error, ha="right", va="bottom", fontsize=9, bbox=box)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=np.linspace(0, 1, 6))
    ax.set_yticks(np.linspace(0, 1, 6))
    percent_axis(ax.yaxis, "accuracy")
    ax.tick_params(labelbottom=False)
    below = ax.inset_axes((0, -0.3, 1, 0.24), sharex=ax)
    widths = full["end"] - full["start"]
    below.bar(full["start"], full["n"], widths, align="edge", color=LIGHT, edgecolor=INK, lw=0.6)
    below.set(ylabel="n")
    below.grid(axis="x", visible=False)
    below.yaxis.set_major_locator(mpl.ticker.MaxNLocator(2))
    below.yaxis.set_major_formatter("{x:,.0f}")
    below.tick_params(labelbottom=True)
    percent_axis(below.xaxis, "confidence")
    return finish(ax, "Reliability", "both", **head)
