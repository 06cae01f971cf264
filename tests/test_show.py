"""How pages show figures and long tables: one sharp form a figure, and no number lost in a fold."""

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure

from fer_study import plots
from fer_study.book import show


@pytest.fixture
def formatter(monkeypatch):
    shell = InteractiveShell()
    monkeypatch.setattr(show, "get_ipython", lambda: shell)
    show.sharpen_figures()
    yield shell.display_formatter
    InteractiveShell.clear_instance()


def figure_of(picture: bool) -> Figure:
    figure, ax = plt.subplots(figsize=(3, 2))
    if picture:
        ax.imshow(np.eye(4))
    else:
        ax.plot([0, 1])
    plt.close(figure)
    return figure


def test_a_chart_is_svg_alone_and_the_same_text_each_time(formatter):
    with plots.style():
        first, second = (formatter.format(figure_of(picture=False))[0] for _ in range(2))
    assert "image/svg+xml" in first and "image/png" not in first
    assert first["image/svg+xml"] == second["image/svg+xml"]


def test_pictures_are_png_at_twice_the_size_they_are_shown_at(formatter):
    data, metadata = formatter.format(figure_of(picture=True))
    assert "image/png" in data and "image/svg+xml" not in data
    header = base64.b64decode(data["image/png"])[16:24]
    width, height = (int.from_bytes(header[i : i + 4], "big") for i in (0, 4))
    assert metadata["image/png"] == {"width": width // 2, "height": height // 2}


def test_outside_of_a_notebook_nothing_happens(monkeypatch):
    monkeypatch.setattr(show, "get_ipython", lambda: None)
    show.sharpen_figures()


@pytest.mark.parametrize("styled", [False, True])
def test_a_fold_holds_the_whole_table_and_its_file(styled):
    table = pd.DataFrame({"accuracy": [0.123456789, 1]}, index=pd.Index(["a", "<b>"], name="system"))
    page = show.fold(table.style.format("{:.1f}") if styled else table, 'Scores & "more": 2').data
    assert "<summary>Scores &amp; &quot;more&quot;: 2</summary>" in page and 'download="scores-more-2.csv"' in page
    file = base64.b64decode(re.search('base64,([^"]+)"', page)[1]).decode()
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(file), index_col="system"), table)
    assert "<b>" not in page or styled


@pytest.mark.parametrize("picture", [False, True])
def test_a_quoted_figure_holds_itself_and_its_alternative_text(picture):
    page = show.picture_of(figure_of(picture), 'Bars, "one" a claim')
    kind, data = re.search(
        r'src="data:image/([\w+]+);base64,([^"]+)" alt="Bars, &quot;one&quot; a claim"', page.data
    ).groups()
    start = base64.b64decode(data)[:400]
    assert (kind, start[:4]) == ("png", b"\x89PNG") if picture else (kind == "svg+xml" and b"<svg" in start)
