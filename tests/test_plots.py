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
    table = pd.DataFrame({"start": edges[:-1], "end": edges[1:], "n": 200 * np.arange(count)})
    return table.assign(confidence=edges[1:], value=edges[:-1], low=edges[:-1] / 2, high=edges[1:])


def history(seeds: int, name: str = "a") -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {
                "name": name,
                "epoch": [1, 2, 3],
                "seed": seed,
                "train_loss": [2.0, 1.0, 0.5],
                "train_accuracy": [0.2, 0.5, 0.8],
            }
            | {"validation_loss": [2.1, 1.2, 1.0 + seed], "validation_accuracy": [0.2, 0.4, 0.6]}
        )
        for seed in range(seeds)
    ]
    return pd.concat(parts)


def change_table(count: int) -> pd.DataFrame:
    """Shares of so many classes before and after a change: a clear gain, a clear loss, and unclear ones."""
    before, after = np.full(count, 0.5), np.resize([0.7, 0.4], count)
    columns = {"before": before, "before_low": before - 0.1, "before_high": before + 0.1}
    columns |= {"after": after, "after_low": after - 0.05, "after_high": after + 0.05}
    return pd.DataFrame(columns | {"clear": np.arange(count) < 2}, index=list(FER2013[:count]))


def effect_table(names: list[str]) -> pd.DataFrame:
    """Effects with intervals of one point on both sides: a gain, a loss, none, and one not measured."""
    value = np.resize([0.02, -0.03, 0.005, np.nan], len(names))
    return pd.DataFrame({"name": names, "value": value, "low": value - 0.01, "high": value + 0.01})


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
    "verdict_bars": lambda n, **k: plots.verdict_bars(pd.DataFrame([[9] * 8] * n, (SYSTEMS * 3)[:n], list(GROUPS)), **k),
    "score_intervals": lambda n, **k: plots.score_intervals(
        pd.DataFrame({"name": SYSTEMS[-n:], "value": 0.5, "low": 0.4, "high": 0.6, "of": "28,709 images", "reported": 0.5}),
        **k,
    ),
    "dumbbells": lambda n, **k: plots.dumbbells(change_table(n), names=("no weights", "heavy (disgust x15, fear x8)"), **k),
    "slopes": lambda n, **k: plots.slopes(
        *3 * [pd.DataFrame([[0.5, 0.4]] * n, SYSTEMS[:n], ["all 3,589 images", "3,275 without a copy"])], **k
    ),
    "forest": lambda n, **k: plots.forest(effect_table(SYSTEMS[:n]), **k),
    "dots_by_group": lambda n, **k: plots.dots_by_group(
        *3 * [pd.DataFrame(np.full((n, 7), 0.5), SYSTEMS[:n], FER2013)], **k
    ),
    "stacked_shares": lambda n, **k: plots.stacked_shares(
        *3 * [pd.DataFrame(np.full((n, 3), 1 / 3), FER2013[:n], ["lower (mouth, chin)", "middle (eyes, nose)", "upper"])],
        **k,
    ),
    "duplicates_by_class": lambda n, **k: plots.duplicates_by_class(
        pd.Series(SEVEN[:n] / 10, FER2013[:n]), ["118 of 416"] * n, **k
    ),
    "scatter": lambda n, **k: plots.scatter(
        pd.DataFrame({"name": (SYSTEMS * 6)[: 6 * n], "x": np.arange(1, 6 * n + 1), "y": np.arange(1, 6 * n + 1) % 5}), **k
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
        {x: np.random.rand(n, 3, 3) for x in "ab"}, dict.fromkeys("ab", SEVEN[:n]), np.ones((n, 8, 8)), FER2013[:n], **k
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


@pytest.mark.parametrize("count", [1, 2, 5])
def test_learning_curves_keep_their_width_under_long_names(count):
    table = pd.concat([history(3, name) for name in SYSTEMS[:count]]).assign(remark="training loss with class weights")
    axes = plots.learning_curves(table, note=LONG)
    axes[0, 0].figure.draw_without_rendering()
    panels = [ax.get_position().width for ax in axes[0]]
    assert panels == pytest.approx([panels[0]] * count, rel=0.1) and sum(panels) > 0.5


@pytest.mark.parametrize("count", [3, 4])
def test_panels_share_their_axes(count):
    axes = plots.panels(count, (4, 2), sharex=True, sharey=True)
    for ax in axes:
        plots.forest(effect_table(SYSTEMS[:4]), ax)
    figure = axes[0].figure
    figure.draw_without_rendering()
    assert len({ax.get_xlim() for ax in axes}) == 1
    shown = [bool([t for t in ax.get_yticklabels() if t.get_visible() and t.get_text()]) for ax in axes[:2]]
    assert shown == [True, False], "the names stand once a row"
    assert all(ax.xaxis.get_tick_params()["labelbottom"] for ax in axes[count - 2 :])
    assert sum(ax.get_position().width for ax in axes[:2]) > 0.5


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


def test_the_legend_of_the_class_balance_is_away_from_the_bars():
    ax = plots.class_balance(pd.DataFrame([SEVEN] * 3, ["train", "validation", "test"], FER2013))
    ax.figure.draw_without_rendering()
    assert ax.get_legend().get_window_extent().y1 < ax.get_window_extent().y0


def test_class_balance():
    counts = pd.DataFrame([SEVEN, 2 * SEVEN], index=["train", "test"], columns=FER2013).assign(total=[28, 56])
    ax = plots.class_balance(counts)
    assert widths(ax).tolist() == [*SEVEN, *(2 * SEVEN)]
    assert [patch.get_x() for patch in ax.patches[7:]] == SEVEN.tolist()  # test is stacked on train
    assert texts(ax)[0] == " 3 (3.6 %)" and legend(ax) == ["train (28)", "test (56)"]
    assert labels(ax.yaxis) == list(FER2013) and ax.yaxis_inverted()


def test_confusion():
    ax = plots.confusion(np.array([[3, 1, 0], [0, 1200, 0], [0, 0, 0]]), ("a", "b", "c"), pairs=[("c", "a")])
    assert texts(ax)[:9] == ["75", "25", "0", "0", "100", "0", "–", "–", "–"] and len(texts(ax)) == 9
    shown = ax.collections[0].get_array()
    assert shown[0].tolist() == [0.75, 0.25, 0] and shown.mask[2].all() and not shown.mask[:2].any()
    assert ax.collections[0].get_clim() == (0, 1), "one scale for all networks"
    assert framed(ax) == [(0.5, 2.5), (2.5, 0.5)], "both directions of the pair"
    assert labels(ax.xaxis) == labels(ax.yaxis) == ["a", "b", "c"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "label")


def framed(ax) -> list[tuple[float, float]]:
    """Centres of the cells of a heatmap that are framed, x before y."""
    return sorted((round(p.get_x() + p.get_width() / 2, 6), round(p.get_y() + p.get_height() / 2, 6)) for p in ax.patches)


def test_agreement():
    ax = plots.agreement(pd.DataFrame([[1, 3], [500, 1500]], index=["angry", "sad"], columns=["angry", "not_face"]))
    assert texts(ax)[:4] == ["25", "75", "25", "75"]
    assert labels(ax.yaxis) == ["angry (n = 4)", "sad (n = 2,000)"] and labels(ax.xaxis) == ["angry", "not face"]


def test_transfer_matrix():
    value = pd.DataFrame([[0.7, np.nan], [0.5, 0.9]], index=["x", "y"], columns=["y", "x"])
    ax = plots.transfer_matrix(value, value - 0.1, value + 0.05)
    assert texts(ax)[:4] == ["70.0\n[60.0, 75.0]", "–", "50.0\n[40.0, 55.0]", "90.0\n[80.0, 95.0]"]
    assert framed(ax) == [(0.5, 1.5), (1.5, 0.5)], "trained and scored on the same"
    constant = value.rename(index={"y": "most frequent class"})
    low = constant - 0.1
    low.loc["most frequent class"] = np.nan
    ax = plots.transfer_matrix(constant, low, low + 0.15)
    assert texts(ax)[2:4] == ["50.0", "90.0"] and framed(ax) == [(1.5, 0.5)], "a row without intervals or a frame"


def test_dots_by_group():
    value = pd.DataFrame([[0.5, 0.6], [0.7, np.nan]], ["one", "two"], ["a", "b"])
    ax = plots.dots_by_group(value, value - 0.1, value + 0.2, joined=True, reference=0.25)
    line, one, two = ax.lines
    assert list(line.get_ydata()) == [0.25, 0.25] and one.get_ydata().tolist() == [0.5, 0.6]
    assert (one.get_xdata() + two.get_xdata()) / 2 == pytest.approx([0, 1])
    assert ax.collections[0].get_segments()[0][:, 1] == pytest.approx([0.4, 0.7])
    assert one.get_linestyle() != two.get_linestyle() and one.get_marker() != two.get_marker()
    assert ax.get_ylim() == (0, 1) and labels(ax.xaxis) == ["a", "b"] and legend(ax) == ["one", "two"]
    apart = plots.dots_by_group(3 * value, label="ratio", percent=False)
    assert {one.get_linestyle() for one in apart.lines} == {"None"}, "no order, no line"
    assert apart.get_ylabel() == "ratio" and apart.get_ylim()[1] > 2.1


def test_stacked_shares():
    value = pd.DataFrame([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], ["happy", "sad"], ["lower", "middle", "upper"])
    ax = plots.stacked_shares(value, value - 0.1, value + 0.1, lines=[1 / 3])
    assert widths(ax) == pytest.approx([0.5, 0.2, 0.3, 0.2, 0.2, 0.6])
    assert [patch.get_x() for patch in ax.patches] == pytest.approx([0, 0, 0.5, 0.2, 0.8, 0.4])
    first, last = (lines.get_segments() for lines in ax.collections[-2:])
    assert first[0][:, 0] == pytest.approx([0.4, 0.6]) and last[0][:, 0] == pytest.approx([0.7, 0.9])
    assert legend(ax) == ["lower", "middle", "upper"] and labels(ax.yaxis) == ["happy", "sad"] and ax.yaxis_inverted()
    assert set(ax.lines[-1].get_xdata()) == {1 / 3} and ax.get_xlim() == (0, 1)
    assert len({patch.get_hatch() for patch in ax.patches}) == 3, "told apart without colour"


def test_recall_by_class():
    value = pd.DataFrame([SEVEN / 10, SEVEN / 20], index=["one", "two"], columns=FER2013)
    value.loc["two", "disgust"] = np.nan
    ax = plots.recall_by_class(value, value - 0.02, value + 0.01)
    assert ax.lines[0].get_ydata() == pytest.approx(SEVEN / 10) and np.isnan(ax.lines[1].get_ydata()[1])
    assert (ax.lines[0].get_xdata() + ax.lines[1].get_xdata()) / 2 == pytest.approx(np.arange(7))
    assert ax.collections[0].get_segments()[0][:, 1] == pytest.approx([0.08, 0.11])
    assert ax.lines[0].get_marker() != ax.lines[1].get_marker() and legend(ax) == ["one", "two"]
    assert labels(ax.xaxis)[6] == "neutral" and ax.get_ylim() == (0, 1)


def test_score_intervals():
    ax = plots.score_intervals(score_table(reported=[np.nan, 0.71]))
    measured, reported = ax.lines
    assert measured.get_xdata().tolist() == [0.70, 0.65] and reported.get_xdata()[1] == 0.71
    assert reported.get_markerfacecolor() == "none" and measured.get_marker() != reported.get_marker()
    assert ax.collections[0].get_segments()[0][:, 0].tolist() == [0.68, 0.72]
    assert texts(ax)[:2] == ["70.0 [68.0, 72.0], 5 seeds", "65.0, 3,589 images"]
    assert labels(ax.yaxis) == ["a", "b"] and ax.yaxis_inverted() and legend(ax) == ["measured", "reported by the source"]
    alone = plots.score_intervals(score_table())
    assert alone.get_legend() is None and len(alone.lines) == 1
    assert texts(plots.score_intervals(score_table(value=[0.70, np.nan])))[1] == "no record, 3,589 images"


def test_dumbbells():
    ax = plots.dumbbells(change_table(3), names=("plain", "weighted"))
    bars, before_intervals, after_intervals = ax.collections
    assert [segment[:, 0].tolist() for segment in bars.get_segments()] == [[0.5, 0.7], [0.5, 0.4], [0.5, 0.7]]
    assert [to_hex(colour) for colour in bars.get_colors()] == [*plots.SERIES_COLOURS[:2], "#bbbbbb"], "gain, loss, unclear"
    assert before_intervals.get_segments()[0][:, 0] == pytest.approx([0.4, 0.6])
    assert after_intervals.get_segments()[1][:, 0] == pytest.approx([0.35, 0.45])
    before, after = ax.lines
    assert before.get_xdata().tolist() == [0.5] * 3 and after.get_xdata().tolist() == [0.7, 0.4, 0.7]
    assert before.get_markerfacecolor() == "white" != after.get_markerfacecolor()
    assert legend(ax) == ["plain", "weighted"] and labels(ax.yaxis) == list(FER2013[:3]) and ax.yaxis_inverted()


def test_slopes():
    value = pd.DataFrame([[0.6, 0.5], [0.55, 0.499], [0.7, np.nan]], ["a", "b", "c"], ["all", "no copy"])
    ax = plots.slopes(value, value - 0.01, value + 0.02)
    assert [line.get_ydata().tolist() for line in ax.lines[:2]] == [[0.6, 0.5], [0.55, 0.499]]
    assert ax.collections[0].get_segments()[1][:, 1] == pytest.approx([0.49, 0.52])
    assert len({(line.get_marker(), line.get_linestyle()) for line in ax.lines}) == 3, "told apart without colour"
    assert texts(ax) == ["b 55.0 → 49.9", "a 60.0 → 50.0"] and labels(ax.xaxis) == ["all", "no copy"]
    ax.figure.draw_without_rendering()
    lower, upper = (text.get_window_extent() for text in ax.texts)
    assert lower.y1 <= upper.y0 + 1, "no name over another"


def test_forest():
    ax = plots.forest(effect_table(["gain", "loss", "none", "missing"]))
    reference, *dots = ax.lines
    assert reference.get_xdata() == [0, 0] and [dot.get_xdata()[0] for dot in dots[:3]] == [0.02, -0.03, 0.005]
    fills = [dot.get_markerfacecolor() for dot in dots[:3]]
    assert fills == [*plots.SERIES_COLOURS[:2], "white"], "coloured only where the interval excludes zero"
    assert [c.get_segments()[0][:, 0].tolist() for c in ax.collections[:2]] == [
        pytest.approx([0.01, 0.03]), pytest.approx([-0.04, -0.02]),
    ]  # fmt: skip
    assert texts(ax) == ["+2.0", "-3.0", "+0.5"] and ax.get_xlabel() == "accuracy (points)"
    assert labels(ax.yaxis) == ["gain", "loss", "none", "missing"] and ax.yaxis_inverted()
    once = plots.forest(effect_table(["gain", "loss"]).assign(few=[True, False]))
    assert [dot.get_markerfacecolor() for dot in once.lines[1:]] == ["white", plots.SERIES_COLOURS[1]], "one run of each"
    losses = plots.forest(
        effect_table(["x"]) + {"name": "", "value": 1, "low": 1, "high": 1}, reference=1.2, unit="", label="log loss"
    )
    assert texts(losses) == ["1.020"] and losses.get_xlabel() == "log loss"
    assert losses.lines[1].get_color() == plots.SERIES_COLOURS[1], "below the reference"


@pytest.mark.parametrize("seeds", [1, 3])
def test_learning_curves(seeds):
    table = pd.concat([history(seeds), history(seeds, "b").assign(train_loss=np.nan, epoch=[4, 5, 6] * seeds)])
    axes = plots.learning_curves(table if seeds > 1 else table.drop(columns="seed"))
    (loss, other), (accuracy, _) = axes
    assert len(loss.lines) == len(accuracy.lines) == 2 * seeds and len(other.lines) == seeds, "not drawn without values"
    assert loss.lines[0].get_ydata().tolist() == [2.0, 1.0, 0.5]
    assert loss.lines[-1].get_ydata().tolist() == [2.1, 1.2, seeds]
    assert accuracy.lines[0].get_ydata().tolist() == [0.2, 0.5, 0.8]
    assert loss.lines[0].get_linestyle() == "--" and loss.lines[-1].get_linestyle() == "-"
    assert [ax.get_title("left") for ax in axes[0]] == ["a", "b"] and loss.get_ylabel() == "loss"
    assert loss.get_xlim() == other.get_xlim() and loss.get_ylim() == other.get_ylim(), "one scale for all"
    assert len(loss.collections) == seeds, "the gap is shaded"


def test_a_training_loss_of_another_scale_is_not_set_against_validation():
    (loss,), (accuracy,) = plots.learning_curves(history(1).assign(remark="training loss with class weights"))
    assert len(loss.lines) == 2 and not loss.collections and len(accuracy.collections) == 1
    assert loss.get_title("left").replace("\n", " ") == "a (training loss with class weights)"


def test_learning_curves_of_nothing():
    assert plots.learning_curves(pd.DataFrame(columns=["name"]))[0, 0].get_title("left") == "no record yet"


def test_duplicates_by_class():
    """Sorted by share, the largest at the top, each with its own text; a class without images comes last."""
    shares = pd.Series([0.03, np.nan, 0.29], ["happy", "fear", "disgust"])
    ax = plots.duplicates_by_class(shares, ["28 of 879", "0 of 0", "16 of 55"])
    assert widths(ax)[:2].tolist() == [0.29, 0.03] and np.isnan(widths(ax)[2])
    assert texts(ax) == [" 29.0 % (16 of 55)", " 3.0 % (28 of 879)", " – (0 of 0)"]
    assert len({to_hex(patch.get_facecolor()) for patch in ax.patches}) == 1, "one series has one colour"
    assert labels(ax.yaxis) == ["disgust", "happy", "fear"] and ax.yaxis_inverted()


def test_reliability():
    bins = pd.DataFrame({"start": [0, 0.4, 0.8], "end": [0.4, 0.8, 1], "n": [0, 12, 1200], "confidence": [np.nan, 0.6, 0.9]})
    ax = plots.reliability(bins.assign(value=[np.nan, 0.5, 0.75], low=0.2, high=0.8), error="calibration error 3.4 %")
    intervals, points = ax.collections
    assert points.get_offsets().data == pytest.approx(np.array([[0.6, 0.5], [0.9, 0.75]])), "no point for no image"
    assert intervals.get_segments()[0].tolist() == [[0.6, 0.2], [0.6, 0.8]]
    small, large = points.get_sizes()
    assert large > 5 * small, "a bin of few does not look like one of many"
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]] and texts(ax)[:1] == ["calibration error 3.4 %"]
    (below,) = ax.child_axes
    assert heights(below).tolist() == [12, 1200] and widths(below) == pytest.approx([0.4, 0.2])
    assert below.get_xlim() == ax.get_xlim() == (0, 1) and below.get_xlabel() == "confidence (%)"


def test_reliability_panels_are_readable():
    """Two beside each other, at least two inches wide as drawn, the counts below the points and not on them."""
    axes = plots.panels(3, (4.2, 5.0))
    assert len(axes) == 3 and len({round(ax.get_position().y0, 2) for ax in axes}) == 2
    for ax in axes:
        plots.reliability(bin_table(15), ax, title="EmotionCNN", note="10,767 predictions; 3 seeds")
    figure = axes[0].figure
    figure.draw_without_rendering()
    boxes = [box for ax in axes for box in (ax.get_window_extent(), ax.child_axes[0].get_window_extent())]
    assert all(box.width / figure.dpi > 2 for box in boxes)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_panels_in_one_column():
    axes = plots.panels(2, (6, 2), columns=1)
    assert axes[0].figure.get_size_inches().tolist() == [6, 4] and len(axes) == 2


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
    rng = np.random.default_rng(0)
    maps = {"one": rng.random((3, 3, 3)), "two": 2 * rng.random((3, 4, 4))}
    maps["one"][1:], maps["two"][1] = np.nan, np.nan
    counts = {"one": [55, 0, 0], "two": [1200, 0, 30]}
    ax = plots.class_saliency(maps, counts, np.full((3, 8, 8), 0.5), ("a", "b", "c"))
    assert texts(ax)[:8] == ["one", "a", "n = 55", "c", "–", "two", "n = 1,200", "n = 30"], "b has no map: left out"
    faces, layers = ax.images[::2], ax.images[1::2]
    assert [layer.get_array().shape for layer in layers] == [(3, 3), (4, 4), (4, 4)]
    assert {layer.get_clim() for layer in layers} == {(0, np.nanmax(maps["two"]))}, "one scale for all networks"
    for face, layer in zip(faces, layers, strict=True):
        assert face.get_extent() == layer.get_extent()
    with warnings.catch_warnings(action="error"):  # nothing to see: no contour, no warning
        plots.class_saliency({"x": np.zeros((2, 3, 3))}, {"x": [1, 1]}, np.zeros((2, 8, 8)), ("a", "b"))


def test_a_stand_in_is_drawn_hollow():
    ax = plots.score_intervals(score_table(stands_in=[False, True]))
    own, other = ax.lines
    assert own.get_xdata().tolist() == [0.70] and other.get_xdata().tolist() == [0.65]
    assert other.get_markerfacecolor() == "white" != own.get_markerfacecolor()


def test_verdict_bars():
    counts = pd.DataFrame([[3, 0, 0, 0, 0, 1, 2, 4], [1, 1, 0, 0, 0, 0, 0, 0]], ["a", "b"], list(GROUPS))
    ax = plots.verdict_bars(counts)
    counts = counts.loc[:, counts.any()]  # what no claim comes to takes no place in the legend
    widths = np.array([[bar.get_width() for bar in group] for group in ax.containers])
    assert np.array_equal(widths.T, counts) and ax.yaxis_inverted() and labels(ax.yaxis) == ["a", "b"]
    assert legend(ax) == [f"{name} ({n})" for name, n in counts.sum().items()]
    assert texts(ax)[-2:] == ["10", "2"] and [t for t in texts(ax)[:-2] if t] == ["3", "1", "1", "1", "2", "4"]
    ax.figure.canvas.draw()
    assert ax.get_position().width > 0.6, "a long legend leaves the bars their room"


def scattered(count: int) -> pd.DataFrame:
    """So many points, many of them close to each other."""
    rng = np.random.default_rng(0)
    place = np.exp(rng.normal(0, 0.6, (count, 2)))
    return pd.DataFrame({"name": [f"a network ({i} x 48)" for i in range(count)], "x": place[:, 0], "y": place[:, 1]})


def test_scatter():
    table = pd.DataFrame({"name": ["a", "b"], "x": [1, 100], "y": [0.6, 0.7], "low": [0.5, 0.65], "high": [0.7, 0.8]})
    ax = plots.scatter(
        table.assign(size=[1, 4], kind=["ours", "theirs"]), labels=("cost", "gain"), logarithmic=(True, False)
    )
    ours, theirs = ax.collections[1::2]
    assert ours.get_offsets().tolist() == [[1, 0.6]] and theirs.get_offsets().tolist() == [[100, 0.7]]
    assert theirs.get_sizes()[0] - 18 == pytest.approx(4 * (ours.get_sizes()[0] - 18)), "areas tell the size"
    assert ax.collections[0].get_segments()[0][:, 1].tolist() == [0.5, 0.7]
    assert texts(ax) == ["a", "b"] and legend(ax) == ["ours", "theirs"] and ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("cost", "gain")


def name_boxes(ax: plt.Axes) -> np.ndarray:
    """(N, 4) pixels of the names, as they were drawn last."""
    return np.array([text.get_window_extent().extents for text in ax.texts])


def overlapping(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    low, high = (f(boxes[:, None], others[None]) for f in (np.maximum, np.minimum))
    return (high[..., 2:] > low[..., :2]).all(axis=-1)


@pytest.mark.parametrize("dpi", [72, 110], ids=["SVG", "PNG"])
def test_no_name_of_a_scatter_covers_another_or_a_point(dpi):
    table = scattered(30).assign(size=np.arange(1, 31), kind="one kind")
    ax = plots.scatter(table, logarithmic=(True, True))
    ax.figure.set_dpi(dpi)
    ax.figure.draw_without_rendering()
    boxes = name_boxes(ax)
    assert sorted(text.get_text() for text in ax.texts) == sorted(table["name"])
    assert overlapping(boxes, boxes).sum() == len(table), "each overlaps itself alone"
    points = ax.transData.transform(table[["x", "y"]].to_numpy())
    half = np.sqrt(ax.collections[0].get_sizes())[:, None] / 2 * ax.figure.dpi / 72
    assert not overlapping(boxes, np.hstack([points - half, points + half])).any()
    frame = ax.get_window_extent()
    assert (boxes[:, 0] >= frame.x0).all() and (boxes[:, 2] <= frame.x1).all()
    below = ax.get_legend().get_window_extent()
    assert below.y1 < frame.y0, "the legend lies outside"


def test_names_of_a_scatter_follow_the_layout_of_the_figure():
    """The first panel becomes narrower when the second is drawn."""
    table = scattered(8).assign(low=lambda t: t["y"] - 0.2, high=lambda t: t["y"] + 0.2)
    axes = plots.panels(2, (4, 4))
    for ax, label in zip(axes, ("y", "a label\nof\nseveral\nlines"), strict=True):
        plots.scatter(table, ax, ("x", label))
    axes[0].figure.draw_without_rendering()
    for ax in axes:
        boxes = name_boxes(ax)
        assert overlapping(boxes, boxes).sum() == len(table)
        points = ax.transData.transform(table[["x", "y"]].to_numpy())
        assert not overlapping(boxes, np.hstack([points - 2, points + 2])).any()


def test_a_name_stands_beside_its_point_and_a_far_one_has_a_line():
    def drawn(table: pd.DataFrame) -> tuple[plt.Axes, np.ndarray]:
        ax = plots.scatter(table)
        ax.figure.draw_without_rendering()
        return ax, ax.transData.transform(table[["x", "y"]].to_numpy())

    ax, (point, _) = drawn(pd.DataFrame({"name": ["a", "b"], "x": [1, 2], "y": [1, 2]}))
    scale = ax.figure.dpi / 72
    radius = np.sqrt(18) / 2 * scale
    assert name_boxes(ax)[0, 0] == pytest.approx(point[0] + radius + 3 * scale), "at the right, three points off"
    assert not any(len(line.get_xdata()) for line in ax.findobj(mpl.lines.Line2D) if line.get_color() == plots.GREY)
    crowd = pd.DataFrame({"name": [f"a long name {i}" for i in range(20)], "x": 1 + np.arange(20) / 1e4, "y": 1.0})
    ax, points = drawn(pd.concat([crowd, pd.DataFrame({"name": ["z"], "x": [2.0], "y": [2.0]})], ignore_index=True))
    lines = [line for line in ax.findobj(mpl.lines.Line2D) if line.get_color() == plots.GREY and len(line.get_xdata())]
    assert lines and all(np.abs(points - line.get_xydata()[0]).sum(axis=1).min() < 1e-6 for line in lines)
