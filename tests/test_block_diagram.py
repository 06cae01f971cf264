"""Drawings of blocks, by their numbers: where boxes, texts and the corners of arrows lie."""

from __future__ import annotations

import ast
import json
from itertools import pairwise

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import FancyArrowPatch

from fer_study import plots
from fer_study.book.execute import NOTEBOOKS
from notebook_cells import run_cell

BOXES = {
    "x": ("input\n(B, C, H, W)", 0, 0, "data"),
    "inner": ("convolution", 0, 1, "layer"),
    "mean": ("mean over H and W\n(B, C)", 1, 1, "layer"),
    "gate": ("linear, sigmoid", 1, 2, "gate"),
    "times": ("×", 0, 3, "join"),
    "y": ("output", 0, 4, "data"),
}
ARROWS = [
    ("x", "inner", "data"), ("inner", "times", "data"), ("times", "y", "data"), ("x", "mean", "gate"),
    ("mean", "gate", "gate"), ("gate", "times", "gate"), ("x", "times", "skip"),
]  # fmt: skip


def table(**changed: tuple) -> pd.DataFrame:
    return pd.DataFrame.from_dict(BOXES | changed, orient="index", columns=["text", "column", "row", "kind"])


@pytest.fixture
def ax():
    drawn = plots.block_diagram(table(), ARROWS)
    drawn.figure.draw_without_rendering()
    yield drawn
    plt.close("all")


def boxes_and_arrows(ax) -> tuple[dict, dict]:
    arrows = {p.get_gid(): p for p in ax.patches if isinstance(p, FancyArrowPatch)}
    return {p.get_gid(): p for p in ax.patches if p.get_gid() not in arrows}, arrows


def corners(arrow: FancyArrowPatch) -> np.ndarray:
    """Of its path, in columns and rows: it is given whole, so none of it is shrunk away."""
    return np.asarray(arrow._path_original.vertices)


def assert_readable(ax) -> None:
    """Boxes lie inside the axes, and each text inside its box; no two boxes meet."""
    boxes, _ = boxes_and_arrows(ax)
    whole = ax.get_window_extent()
    frames = [box.get_window_extent() for box in boxes.values()]
    for frame, text in zip(frames, ax.texts, strict=True):
        word = text.get_window_extent()
        assert whole.x0 <= frame.x0 and frame.x1 <= whole.x1 and whole.y0 <= frame.y0 and frame.y1 <= whole.y1
        assert frame.x0 < word.x0 and word.x1 < frame.x1 and frame.y0 < word.y0 and word.y1 < frame.y1, text.get_text()
    pairs = [(a, b) for i, a in enumerate(frames) for b in frames[:i]]
    assert not any(a.overlaps(b) for a, b in pairs)


def test_boxes_hold_their_texts(ax):
    assert_readable(ax)
    assert [text.get_text() for text in ax.texts] == [text for text, *_ in BOXES.values()]
    assert all(text.get_fontsize() >= 8 for text in ax.texts)
    boxes, _ = boxes_and_arrows(ax)
    centres = {name: tuple(box.get_center()) for name, box in boxes.items()}
    assert centres == {name: pytest.approx((column, row)) for name, (_, column, row, _) in BOXES.items()}


def test_it_is_narrow_enough_for_a_phone(ax):
    assert ax.figure.get_figwidth() < 4.5, "two columns; a phone of 390 px shows them at about nine tenths of their size"


def test_arrows_join_the_boxes_that_they_name(ax):
    boxes, arrows = boxes_and_arrows(ax)
    assert list(arrows) == [f"{source} -> {target}" for source, target, _ in ARROWS]
    for name, arrow in arrows.items():
        way = corners(arrow)
        for place, end in zip(name.split(" -> "), (way[0], way[-1]), strict=True):
            frame = boxes[place].get_window_extent()
            assert np.isclose(ax.transData.transform(end), [[frame.x0, frame.y0], [frame.x1, frame.y1]]).any(), name
        steps = np.diff(way, axis=0)
        assert (np.isclose(steps, 0).sum(axis=1) == 1).all(), "each piece is level or upright"


def test_no_arrow_crosses_a_box(ax):
    boxes, arrows = boxes_and_arrows(ax)
    for name, arrow in arrows.items():
        way = ax.transData.transform(corners(arrow))
        points = np.concatenate([np.linspace(a, b, 50)[1:-1] for a, b in pairwise(way)])
        for place, box in boxes.items():
            x0, y0, x1, y1 = box.get_window_extent().extents
            inside = (points > (x0 + 1, y0 + 1)).all(axis=1) & (points < (x1 - 1, y1 - 1)).all(axis=1)
            assert not inside.any(), f"{name} crosses {place}"


def test_a_skip_goes_around_and_each_kind_has_its_look(ax):
    _, arrows = boxes_and_arrows(ax)
    assert corners(arrows["x -> times"])[:, 0].min() < -0.43, "left of the boxes"
    looks = {kind: (arrows[f"{a} -> {b}"].get_edgecolor(), arrows[f"{a} -> {b}"].get_linestyle()) for a, b, kind in ARROWS}
    assert len(set(looks.values())) == 3


@pytest.mark.parametrize(
    ("changed", "arrows", "words"),
    [
        ({}, [("x", "nose", "data")], "no box 'nose'; there are: x, inner"),
        ({}, [("x", "y", "thick")], "unknown kind 'thick'; known: data, skip, gate"),
        ({"x": ("input", 0, 0, "cloud")}, [], "unknown kind 'cloud'; known: data, layer, gate, join"),
    ],
)
def test_what_cannot_be_drawn_is_refused(changed, arrows, words):
    with pytest.raises(ValueError, match=words):
        plots.block_diagram(table(**changed), arrows)


def test_two_boxes_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"boxes of one name: \['x'\]"):
        plots.block_diagram(pd.concat([table(), table().loc[["x"]]]), [])


@pytest.mark.parametrize(
    ("notebook", "count"), [("method_blocks", 4), ("method_gradcam", 1), ("method_losses", 1), ("method_labels", 1)]
)
def test_the_drawings_of_the_pages_are_readable(notebook, count):
    """Cells that draw are run with the functions of the set-up cell; nothing is trained."""
    notebook = json.loads((NOTEBOOKS / f"{notebook}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (set_up,) = [text for text in cells if "page = " in text]
    drawings = [text for text in cells if '"data"),' in text]
    names: dict = {"pd": pd, "plots": plots}
    functions = [part for part in ast.parse(set_up).body if isinstance(part, ast.FunctionDef) and part.name == "diagram"]
    exec(compile(ast.Module(functions, []), "set-up", "exec"), names)
    assert len(drawings) == count
    for text in drawings:
        run_cell(text, "drawing", names)
        ax = plt.gca()
        ax.figure.draw_without_rendering()
        assert_readable(ax)
    plt.close("all")
