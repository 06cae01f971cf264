"""Every plot by its numbers: bar lengths, line data, texts of cells; never by its pixels."""

import warnings

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from fer_study import plots
from fer_study.analysis.verdicts import GROUPS
from fer_study.data.labels import EIGHT, FER2013, VOTE_NAMES

SEVEN = np.arange(1, 8)


@pytest.fixture(autouse=True)
def _close():
    with plots.style():
        yield
    plt.close("all")


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def heads(ax) -> list[str]:
    """Texts of the figure: the title and the note of each of its axes."""
    return [text.get_text() for text in ax.figure.texts]


def labels(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def widths(ax) -> np.ndarray:
    return np.array([patch.get_width() for patch in ax.patches])


def heights(ax) -> np.ndarray:
    return np.array([patch.get_height() for patch in ax.patches])


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def score_table(**columns) -> pd.DataFrame:
    table = {"name": ["a", "b"], "value": [0.70, 0.65], "low": [0.68, np.nan], "high": [0.72, np.nan]}
    table["of"] = ["5 seeds", "3,589 images"]
    return pd.DataFrame(table | columns)


def bin_table(count: int) -> pd.DataFrame:
    """The table behind a reliability diagram of so many bins, the first without an image."""
    edges = np.arange(count + 1) / count
    table = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": 200 * np.arange(count)})
    return table.assign(confidence=edges[1:], accuracy=edges[:-1])


def history(seeds: int) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {"epoch": [1, 2, 3], "seed": seed, "train_loss": [2.0, 1.0, 0.5], "train_accuracy": [0.2, 0.5, 0.8]}
            | {"validation_loss": [2.1, 1.2, 1.0 + seed], "validation_accuracy": [0.2, 0.4, 0.6]}
        )
        for seed in range(seeds)
    ]
    return pd.concat(parts)


LONG = "n = 3,589 images, test, no copy in train or validation; 1-3 seeds; last weights, single; 95 % intervals"
SYSTEMS = ["CNN + fixed kernels, ladder", "heavy (disgust x15, fear x8)", "half as many epochs again", "synthetic-wild",
           "one tagger, the majority of the others", "shortcuts that average, one_cycle_short"]  # fmt: skip
WIDE = {
    "class_balance": lambda n, **k: plots.class_balance(pd.DataFrame([SEVEN] * 3, SYSTEMS[:3], FER2013).iloc[:, :n], **k),
    "confusion": lambda n, **k: plots.confusion(np.eye(n, dtype=int), FER2013[:n], **k),
    "agreement": lambda n, **k: plots.agreement(pd.DataFrame(np.ones((7, n)), FER2013, VOTE_NAMES[-n:]), **k),
    "transfer_matrix": lambda n, **k: plots.transfer_matrix(
        *3 * [pd.DataFrame(np.full((n, n), 0.5), ["synthetic-wild"] * n, ["synthetic-wild"] * n)], **k
    ),
    "recall_by_class": lambda n, **k: plots.recall_by_class(
        *3 * [pd.DataFrame(np.full((n, 7), 0.5), SYSTEMS[:n], FER2013)], **k
    ),
    "verdict_bars": lambda n, **k: plots.verdict_bars(pd.DataFrame([[9] * 5] * n, (SYSTEMS * 3)[:n], list(GROUPS)), **k),
    "score_intervals": lambda n, **k: plots.score_intervals(
        pd.DataFrame({"name": SYSTEMS[-n:], "value": 0.5, "low": 0.4, "high": 0.6, "of": "28,709 images", "reported": 0.5}),
        **k,
    ),
    "duplicates_by_class": lambda n, **k: plots.duplicates_by_class(
        pd.Series(SEVEN[:n] / 10, FER2013[:n]), ["118 of 416"] * n, **k
    ),
    "architecture": lambda n, **k: plots.architecture(
        pd.DataFrame({"part": "global average pooling", "channels": 512, "side": 8, "parameters": 10**7}, range(n)), **k
    ),
    "block_diagram": lambda n, **k: plots.block_diagram(
        pd.DataFrame({"text": "global average\npooling", "column": range(n), "row": 0, "kind": "layer"}, list("abcdef")[:n]),
        [("a", "b", "skip")],
        **k,
    ),
    "reliability": lambda n, **k: plots.reliability(bin_table(n), **k),
    "contact_sheet": lambda n, **k: plots.contact_sheet(np.zeros((2, n, 8, 8), np.uint8), ["happy", "another"], **k),
    "overlay": lambda n, **k: plots.overlay(
        np.zeros((n, 8, 8), np.uint8), np.ones((n, 3, 2)), np.ones((n, 1, 8, 8)) > 1, FER2013[:n], ["brows"], **k
    ),
    "face_grid": lambda n, **k: plots.face_grid(np.zeros((n, 8, 8), np.uint8), FER2013[:n], **k),
    "mean_faces": lambda n, **k: plots.mean_faces(np.ones((n, 8, 8)), FER2013[:n], **k),
    "class_saliency": lambda n, **k: plots.class_saliency(
        np.random.rand(n, 3, 3), SEVEN[:n], np.ones((n, 8, 8)), FER2013[:n], **k
    ),
}
"""Every plot with so many columns, or systems, of long names."""


@pytest.mark.parametrize("name", WIDE)
def test_heading_and_own_axes(name):
    _, ax = plt.subplots()
    assert WIDE[name](3, ax=ax, title="A title", note="n = 7; test; 95 %") is ax
    assert heads(ax) == ["A title", "n = 7; test; 95 %"]
    ax.figure.draw_without_rendering()
    fresh = WIDE[name](3)
    assert fresh is not ax and heads(fresh)[0] not in ("", "A title") and heads(fresh)[1] == ""


def test_every_plot_has_a_test():
    public = {
        k
        for k, v in vars(plots).items()
        if callable(v) and getattr(v, "__module__", "").startswith(plots.__name__) and k[0] != "_"
    }
    assert public - {"Head", "style", "class_style", "learning_curves", "panels"} == set(WIDE)


@pytest.mark.parametrize("count", [2, 6])
@pytest.mark.parametrize("name", WIDE)
def test_the_axes_keep_their_width_under_a_long_note(name, count):
    """More than half of what is saved, as under a short one; and the note is whole in what is saved."""
    ax = WIDE[name](count, title="Balanced accuracy across datasets (%), recipe one_cycle_short", note=LONG)
    short = WIDE[name](count, title="A", note="n = 7")
    for one in (ax, short):
        one.figure.draw_without_rendering()
    width = short.get_window_extent().width
    assert ax.get_window_extent().width == pytest.approx(width)
    assert width > 0.5 * short.figure.get_tightbbox().width * short.figure.dpi
    saved = ax.figure.get_tightbbox().extents * ax.figure.dpi
    for text in ax.figure.texts:
        x0, _, x1, _ = text.get_window_extent().extents
        assert saved[0] <= x0 + 1 and x1 <= saved[2] + 1, "cut off"


def test_learning_curves_keep_their_width_under_a_long_note():
    axes = plots.learning_curves(history(3), title="heavy (disgust x15, fear x8), one_cycle_short", note=LONG)
    axes[0].figure.draw_without_rendering()
    left, right = (ax.get_position() for ax in axes)
    assert left.width == pytest.approx(right.width, rel=0.1) and left.width + right.width > 0.7


def test_style_is_restored():
    before = mpl.rcParams["font.size"], mpl.rcParams["axes.spines.top"]
    with mpl.rc_context({"font.size": 5, "axes.spines.top": True}):
        with plots.style():
            assert mpl.rcParams["font.size"] == 10 and not mpl.rcParams["axes.spines.top"]
        assert mpl.rcParams["font.size"] == 5 and mpl.rcParams["axes.spines.top"]
        plots.style()  # without a block it stays
        assert mpl.rcParams["font.size"] == 10
    assert before == (mpl.rcParams["font.size"], mpl.rcParams["axes.spines.top"])


def test_classes_differ_in_colour_and_in_black_and_white():
    looks = [plots.class_style(name) for name in EIGHT]
    for key in ("color", "marker", "linestyle", "hatch"):
        assert len({str(look[key]) for look in looks}) == 8
    assert to_hex(looks[0]["color"]) == "#ee6677"


def test_class_balance():
    counts = pd.DataFrame([SEVEN, 2 * SEVEN], index=["train", "test"], columns=FER2013).assign(total=[28, 56])
    ax = plots.class_balance(counts)
    assert widths(ax).tolist() == [*SEVEN, *(2 * SEVEN)]
    assert [patch.get_x() for patch in ax.patches[7:]] == SEVEN.tolist()  # test is stacked on train
    assert texts(ax)[0] == " 3 (3.6 %)" and legend(ax) == ["train (28)", "test (56)"]
    assert labels(ax.yaxis) == list(FER2013) and ax.yaxis_inverted()


def test_confusion():
    ax = plots.confusion(np.array([[3, 1, 0], [0, 1200, 0], [0, 0, 0]]), ("a", "b", "c"), note="n = 1,204")
    assert texts(ax)[:9] == ["75", "25", "0", "0", "100", "0", "–", "–", "–"]
    assert texts(ax)[9:18] == ["3", "1", "0", "0", "1,200", "0", "0", "0", "0"]
    shown = ax.collections[0].get_array()
    assert shown[0].tolist() == [0.75, 0.25, 0] and shown.mask[2].all() and not shown.mask[:2].any()
    assert labels(ax.xaxis) == labels(ax.yaxis) == ["a", "b", "c"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "label")


def test_agreement():
    ax = plots.agreement(pd.DataFrame([[1, 3], [500, 1500]], index=["angry", "sad"], columns=["angry", "not_face"]))
    assert texts(ax)[:4] == ["25", "75", "25", "75"]
    assert labels(ax.yaxis) == ["angry (n = 4)", "sad (n = 2,000)"] and labels(ax.xaxis) == ["angry", "not face"]


def test_transfer_matrix():
    value = pd.DataFrame([[0.7, np.nan], [0.5, 0.9]], index=["x", "y"], columns=["y", "x"])
    ax = plots.transfer_matrix(value, value - 0.1, value + 0.05)
    assert texts(ax)[:4] == ["70.0\n[60.0, 75.0]", "–", "50.0\n[40.0, 55.0]", "90.0\n[80.0, 95.0]"]
    centres = sorted((p.get_x() + p.get_width() / 2, p.get_y() + p.get_height() / 2) for p in ax.patches)
    assert centres == [pytest.approx((0.5, 1.5)), pytest.approx((1.5, 0.5))]  # framed where trained and scored on the same


def test_recall_by_class():
    value = pd.DataFrame([SEVEN / 10, SEVEN / 20], index=["one", "two"], columns=FER2013)
    value.loc["two", "disgust"] = np.nan
    ax = plots.recall_by_class(value, value - 0.02, value + 0.01, pd.Series(SEVEN * 1000, FER2013))
    assert ax.lines[0].get_ydata() == pytest.approx(SEVEN / 10) and np.isnan(ax.lines[1].get_ydata()[1])
    assert (ax.lines[0].get_xdata() + ax.lines[1].get_xdata()) / 2 == pytest.approx(np.arange(7))
    assert ax.collections[0].get_segments()[0][:, 1] == pytest.approx([0.08, 0.11])
    assert ax.lines[0].get_marker() != ax.lines[1].get_marker() and legend(ax) == ["one", "two"]
    assert labels(ax.xaxis)[6] == "neutral\nn = 7,000" and ax.get_ylim() == (0, 1)


def test_score_intervals():
    ax = plots.score_intervals(score_table(reported=[np.nan, 0.71]))
    measured, reported = ax.lines
    assert measured.get_xdata().tolist() == [0.70, 0.65] and reported.get_xdata()[1] == 0.71
    assert reported.get_markerfacecolor() == "none" and measured.get_marker() != reported.get_marker()
    assert ax.collections[0].get_segments()[0][:, 0].tolist() == [0.68, 0.72]
    assert texts(ax)[:2] == ["70.0 [68.0, 72.0], 5 seeds", "65.0, 3,589 images"]
    assert labels(ax.yaxis) == ["a", "b"] and ax.yaxis_inverted() and legend(ax) == ["measured", "reported by the source"]
    losses = plots.score_intervals(score_table(), label="log loss", percent=False)
    assert texts(losses)[0] == "0.700 [0.680, 0.720], 5 seeds" and losses.get_xlabel() == "log loss"
    assert losses.get_legend() is None and len(losses.lines) == 1


@pytest.mark.parametrize("seeds", [1, 3])
def test_learning_curves(seeds):
    table = history(seeds) if seeds > 1 else history(1).drop(columns="seed")
    loss, accuracy = plots.learning_curves(table, note=f"n = 3,589; validation; {seeds} seeds")
    assert len(loss.lines) == len(accuracy.lines) == 2 * seeds
    assert loss.lines[0].get_ydata().tolist() == [2.0, 1.0, 0.5]
    assert loss.lines[-1].get_ydata().tolist() == [2.1, 1.2, seeds]
    assert accuracy.lines[0].get_ydata().tolist() == [0.2, 0.5, 0.8]
    assert loss.lines[0].get_linestyle() == "--" and loss.lines[-1].get_linestyle() == "-"
    assert legend(loss) == ["train", "validation"] and heads(loss)[-1:] == [f"n = 3,589; validation; {seeds} seeds"]
    _, own = plt.subplots(1, 2)
    assert plots.learning_curves(table, own)[0] is own[0]
    alone, _ = plots.learning_curves(table.assign(train_loss=np.nan))
    assert len(alone.lines) == seeds and legend(alone) == ["validation"], "what was not scored is not drawn"


def test_duplicates_by_class():
    ax = plots.duplicates_by_class(pd.Series([0.29, 0.03], ["disgust", "happy"]), ["16 of 55", "28 of 879"])
    assert widths(ax).tolist() == [0.29, 0.03] and texts(ax)[:2] == [" 29.0 % (16 of 55)", " 3.0 % (28 of 879)"]
    assert to_hex(ax.patches[0].get_facecolor()) == to_hex(plots.CLASS_COLOURS["disgust"])
    assert labels(ax.yaxis) == ["disgust", "happy"] and ax.yaxis_inverted()


def test_reliability():
    bins = pd.DataFrame({"low": [0, 0.5], "high": [0.5, 1], "n": [0, 1200]})
    ax = plots.reliability(bins.assign(confidence=[np.nan, 0.9], accuracy=[np.nan, 0.75]))
    assert heights(ax) == pytest.approx([0.75, 0.15]) and ax.patches[1].get_y() == 0.75
    assert ax.patches[0].get_x() == 0.5 and texts(ax)[0] == "1,200"
    assert set(legend(ax)) == {"accuracy", "gap to confidence", "perfect"}
    assert ax.texts[0].get_position()[1] > 1 and ax.get_ylim()[1] > 1.1, "counts stand above the bars"
    assert len({patch.get_hatch() for patch in ax.patches}) == 2, "told apart without colour"


def test_reliability_panels_are_readable():
    """Two beside each other, at least three inches wide as drawn, the note beside them and the legend outside the bars."""
    axes = plots.panels(3)
    assert len(axes) == 3 and len({round(ax.get_position().y0, 2) for ax in axes}) == 2
    bins = bin_table(15)
    for ax in axes:
        plots.reliability(bins, ax, title="EmotionCNN", note="n = 3,589 images, test; 3 seeds; last weights, single")
    figure = axes[0].figure
    figure.draw_without_rendering()
    for ax in axes:
        inside = ax.get_window_extent()
        assert inside.width / figure.dpi > 3
        assert not inside.overlaps(ax.get_legend().get_window_extent())


def test_faces():
    images = np.arange(10 * 4, dtype=np.uint8).reshape(10, 2, 2)
    ax = plots.face_grid(images, [f"face {i}" for i in range(10)], columns=4)
    assert len(ax.images) == 10 and texts(ax)[:10] == [f"face {i}" for i in range(10)]
    assert (ax.images[9].get_array() == images[9]).all() and ax.images[0].get_clim() == (0, 255)
    left, right, bottom, top = ax.images[5].get_extent()  # second row, second column
    assert 1 < left < right < 2.2 and 1 < top < bottom < 2.6
    means = plots.mean_faces(np.linspace(0, 1, 7 * 4).reshape(7, 2, 2), FER2013)
    assert texts(means)[:7] == list(FER2013) and means.images[0].get_clim() == (0, 1)
    assert len({image.get_extent()[3] for image in means.images}) == 1  # one row


def test_contact_sheet():
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 2, 2)
    ax = plots.contact_sheet(images, ["one", "two"], ["x", "", "z"])
    assert texts(ax)[:5] == ["one", "two", "x", "", "z"] and len(ax.images) == 6
    left, right, bottom, top = ax.images[5].get_extent()  # second row, third column
    assert (ax.images[5].get_array() == images[1, 2]).all() and 2 < left < right < 3.2 and 1 < top < bottom < 2.1


def test_overlay():
    points = np.array([[[1.5, 3.5], [9, 1]], [[4, 4], [-3, 2]]])  # one of each face lies outside
    masks = np.zeros((2, 2, 8, 8), bool)
    masks[0, 1, 2:5, 2:5] = True
    ax = plots.overlay(np.zeros((2, 8, 8), np.uint8), points, masks, ["a", "b"], ["brows", "mouth"])
    assert len(ax.images) == 4 and texts(ax)[:2] == ["a", "b"] and legend(ax) == ["brows", "mouth"]
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[2 / 8, 4 / 8]], [[1.04 + 4.5 / 8, 4.5 / 8]]]
    (outline,) = ax.collections
    assert outline.get_edgecolor()[0] == pytest.approx(mpl.colors.to_rgba(ax.get_legend().get_lines()[1].get_color()))


def test_class_saliency():
    maps = np.random.default_rng(0).random((2, 3, 3))
    ax = plots.class_saliency(maps, [55, 1200], np.full((2, 8, 8), 99.0), ("a", "b"))
    faces, layers = ax.images[:2], ax.images[2:]
    assert texts(ax)[:2] == ["a\n55 maps", "b\n1,200 maps"] and len(layers) == 2
    for face, layer, saliency in zip(faces, layers, maps, strict=True):
        assert (layer.get_array() == saliency).all() and face.get_extent() == layer.get_extent()
        assert layer.get_clim() == (0, maps.max())  # one scale for all classes
    with warnings.catch_warnings(action="error"):  # nothing to see: no contour, no warning
        plots.class_saliency(np.zeros((2, 3, 3)), [1, 1], np.zeros((2, 8, 8)), ("a", "b"))


def test_verdict_bars():
    counts = pd.DataFrame([[3, 0, 1, 2, 4], [1, 1, 0, 0, 0]], ["a", "b"], list(GROUPS))
    ax = plots.verdict_bars(counts)
    widths = np.array([[bar.get_width() for bar in group] for group in ax.containers])
    assert np.array_equal(widths.T, counts) and ax.yaxis_inverted() and labels(ax.yaxis) == ["a", "b"]
    assert legend(ax) == [f"{name} ({n})" for name, n in counts.sum().items()]
    assert texts(ax)[-2:] == ["10", "2"] and [t for t in texts(ax)[:-2] if t] == ["3", "1", "1", "1", "2", "4"]
    ax.figure.canvas.draw()
    assert ax.get_position().width > 0.6, "a long legend leaves the bars their room"
