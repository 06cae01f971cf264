"""How a page shows things: sharp figures, and long tables in a fold with a file beside them."""

from __future__ import annotations

import base64
from html import escape

import matplotlib.pyplot as plt
import pandas as pd
from IPython import get_ipython
from IPython.core.pylabtools import print_figure, retina_figure
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from pandas.io.formats.style import Styler


def sharpen_figures() -> None:
    """Show every figure of this kernel as SVG, or, where it holds pictures, as PNG at twice its
    size.

    Nothing happens outside a notebook.
    """
    shell = get_ipython()
    if shell is None:
        return
    plt.switch_backend(plt.get_backend())  # now, for the backend sets formats when it is loaded
    printers = {"image/svg+xml": _svg, "image/png": _png}
    for kind, formatter in shell.display_formatter.formatters.items():
        formatter.pop(Figure, None)
        if kind in printers:
            formatter.for_type(Figure, printers[kind])


def _holds_pictures(figure: Figure) -> bool:
    return any(figure.findobj(AxesImage))


def _svg(figure: Figure) -> str | None:
    if _holds_pictures(figure):
        return None
    # Without a date, and with the hash salt of the style, the same figure is the same text.
    return print_figure(figure, fmt="svg", metadata={"Date": None})


def _png(figure: Figure) -> tuple[str, dict[str, int]] | None:
    return retina_figure(figure, base64=True) if _holds_pictures(figure) else None


def picture_of(figure: Figure, alternative: str) -> HTML:
    """Turn a figure into one that other pages can quote: ``glue`` it, and name it in ``glue:any``.

    Args:
        alternative: what a reader who does not see it has to know: kind of chart, axes, message.
    """
    svg = _svg(figure)
    kind, data = ("svg+xml", svg.encode()) if svg else ("png", print_figure(figure, fmt="png"))
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return HTML(f'<img class="quoted" src="{source}" alt="{escape(alternative)}">')


def fold(table: pd.DataFrame | Styler, title: str) -> HTML:
    """Fold a table away under its title, with all its numbers as a CSV file to download.

    The file is part of the page, so that it needs no network and no folder beside it. For example
    ``fold(scores.round(3), "All scores of the test split")``.

    Args:
        table: of any width; of a ``Styler`` the fold shows what it shows, the file its values.
        title: says what is in it; also names the file.
    """
    values = table.data if isinstance(table, Styler) else table
    file = base64.b64encode(values.to_csv().encode()).decode()
    name = "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())
    return HTML(
        f'<details class="fold"><summary>{escape(title)}</summary>\n'
        f'<a download="{name}.csv" href="data:text/csv;base64,{file}">Download as CSV</a>\n'
        f'<div class="scroll" tabindex="0">{table.to_html()}</div>\n</details>'
    )
