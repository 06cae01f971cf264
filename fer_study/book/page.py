"""A page of the book: what it says, what other pages may quote, and where it comes from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property

import pandas as pd

from ..data.labels import class_names
from ..jobs.editions import load_edition
from ..settings.checkout import commit, versions
from ..store import Record


class Facts(pd.DataFrame):
    """A table of one column: a fact a row. Shown without heads and in a class of its own, whose
    text starts at the left and wraps (``book/_static/custom.css``)."""

    def _repr_html_(self) -> str:
        return self.to_html(header=False, index_names=False, classes="facts")


class Page:
    """An executed page: started at its first cell, closed by ``provenance`` at its last."""

    def __init__(self, edition: str) -> None:
        self.edition, self.start = edition, time.perf_counter()
        pd.set_option("display.max_colwidth", None)  # what a table says is never cut

    @cached_property
    def title(self) -> str:
        """What figures call the data of the edition."""
        return load_edition(self.edition).title or self.edition

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes of the edition, in order."""
        return class_names(load_edition(self.edition).data.classes)

    def provenance(self, records: Sequence[Record | None] = ()) -> Facts:
        """Where the page and its records come from: one row a fact."""
        there = [r for r in records if r]

        def unique(key: str) -> str:
            return ", ".join(sorted({str(r.env[key]) for r in there if r.env.get(key)})) or "-"

        rows = {
            "edition": self.edition, "page made with commit": commit(), "with": versions(),
            "this page took": f"{time.perf_counter() - self.start:.0f} s",
            "records": f"{len(there)} ({sum(r.published for r in there)} published)",
            "records made with commit": unique("commit"),
            "device of the records": unique("device"), "precision": unique("precision"),
            "torch of the records": unique("torch"), "threads": unique("threads"),
            "training time in all": f"{sum(map(_seconds, there)) / 60:.1f} min",
        }  # fmt: skip
        return Facts(pd.DataFrame({"value": rows}).rename_axis("provenance"))


def _seconds(record: Record) -> float:
    """Of a training never less than its epochs took: early records left out those before an interruption."""
    history = record.history if (record.folder / "history.csv").is_file() else {}
    return max(record.env.get("seconds", 0), sum(history.get("seconds", ())))


def show(text: str) -> None:
    """A sentence with measured numbers in it, as Markdown."""
    from IPython.display import Markdown, display

    display(Markdown(text))


def glue(edition: str, **values: str | float) -> None:
    """Numbers for the prose of other pages; ``edition`` is part of each name, as in ``fer2013_accuracy_cbam``."""
    from myst_nb import glue as paste

    for name, value in values.items():
        paste(f"{edition}_{name}", value, display=False)
