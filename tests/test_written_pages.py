"""What the book's own Sphinx extensions write: formulas, heads of tables, light pages."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "book" / "_ext"))

import accessible
import mathml
import searched_numbers
import written_pages


@pytest.mark.parametrize(
    ("tex", "part"),
    [
        (r"\mathrm{softmax}(z)", "<mi>softmax</mi><mo"),
        (r"\mathit{dis}", '<mtext class="italic">dis</mtext>'),
        (r"p \log p", f"<mi>p</mi>{mathml.SPACE}<mi>log</mi>{mathml.SPACE}<mi>p</mi>"),
        (r"\log(p)", "<mi>log</mi><mo"),
        (r"\overline{W}", '<mo stretchy="true">&#x000AF;</mo>'),
    ],
)
def test_a_formula_needs_nothing_that_browsers_do_not_know(tex, part):
    assert part in mathml.mathml(tex, "block")


def heads(table: pd.DataFrame) -> list[str]:
    text = accessible.plain_heads(table.to_html())
    assert "<th></th>" not in text
    head = text.partition("<thead>")[2].partition("</thead>")[0]
    return [row.replace("<td>", "<th>").count("<th>") for row in head.split("</tr>")[:-1]]


def test_a_table_has_one_row_of_heads_whatever_its_index_is_called():
    table = pd.DataFrame({"accuracy": [1.0], "seeds": [3]}, index=["CNN"])
    assert heads(table) == [3]
    assert heads(table.rename_axis("system")) == [3]
    two = table.assign(split="test").set_index("split", append=True).rename_axis(["system", "split"])
    assert heads(two) == [4]
    assert ">system</th>" in accessible.plain_heads(two.to_html())


def test_groups_of_columns_keep_their_rows():
    table = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_product([["all"], ["mean", "n"]]))
    assert len(heads(table)) == 2


def test_only_a_heavy_picture_is_compressed(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    (tmp_path / "_images").mkdir()
    Image.fromarray(noise).save(tmp_path / "_images" / "heavy.png")
    Image.fromarray(noise[:8, :8]).save(tmp_path / "_images" / "light.png")
    found = [written_pages.PICTURE.search(f'<img src="_images/{name}.png">') for name in ("heavy", "light")]
    names = [written_pages.compressed(tmp_path, match) for match in found]
    assert names == ["_images/heavy.webp", "_images/light.png"]
    sizes = [(tmp_path / "_images" / f"heavy.{kind}").stat().st_size for kind in ("webp", "png")]
    assert sizes[0] < sizes[1]


def test_scripts_wait_but_the_one_that_inline_scripts_need():
    page = '<script src="a.js"></script><script src="_static/documentation_options.js"></script><script>1</script>'
    assert written_pages.WAITED_FOR.sub("<script defer ", page).count("defer") == 1


def test_a_number_with_a_point_is_one_word():
    words = searched_numbers.WORD.findall("hybrid-01 reaches 71.7 % of 3,589 images.")
    assert words == ["hybrid", "01", "reaches", "71.7", "of", "3", "589", "images"]


def test_outlines_of_charts_lose_what_nobody_sees():
    text = '<path id="m" d="M 1.234567 2 L 0.015625 3" transform="scale(0.015625)"/>'
    assert written_pages.PATH.sub(written_pages.rounded, text) == text.replace("1.234567", "1.23").replace(
        "L 0.015625", "L 0.01"
    )


CHART = """<svg viewBox="0 0 540 200">
<g transform="translate(1 2) scale(0.09 -0.09)"/><g transform="scale(0.075 -0.075)"/></svg>"""


def test_a_chart_says_how_wide_it_has_to_be_to_be_read(tmp_path):
    assert written_pages.legible_width(CHART) == 540 * 8 / 7.5
    assert written_pages.legible_width('<svg viewBox="0 0 540 200"></svg>') == 0
    (tmp_path / "_images").mkdir()
    (tmp_path / "_images" / "a.svg").write_text(CHART, encoding="utf-8")

    def page(text: str) -> str:
        return written_pages.FIGURE.sub(lambda found: written_pages.enlarged(tmp_path, found), text)

    chart = page('<img alt="x" src="_images/a.svg">')
    assert chart == (
        '<a href="_images/a.svg" class="enlarge"><img data-wide style="--legible: 576px" alt="x" src="_images/a.svg"></a>'
    )
    faces = page('<a href="b.png"><img src="_images/b.png" style="width: 930px; height: 651px;"/></a>')
    assert faces == (
        '<a href="b.png"><img data-wide src="_images/b.png" style="--legible: 651px; width: 930px; height: 651px;"/></a>'
    )
    assert (page(chart), page(faces)) == (chart, faces)
