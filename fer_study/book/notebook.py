"""A page of the book: what it says, what other pages may quote, and where it comes from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from html import escape

import pandas as pd
from IPython.display import HTML

from .. import plots
from ..analysis import claims, ledger
from ..analysis.runs_table import runs_table
from ..data.labels import class_names
from ..jobs import plan
from ..jobs.editions import load_edition
from ..jobs.job import Job
from ..jobs.stages import check_stage
from ..settings.checkout import commit, versions
from ..settings.experiment import AuditConfig, CrowdConfig
from ..store import Record
from .executions import seconds_of
from .show import fold, picture_of, sharpen_figures

__all__ = ["Facts", "Page", "Verdicts", "fold", "glue", "open_stage", "picture_of", "show"]

LEDGER = "../fer2013/00_claims.html"
"""The page of the claims, from a page of any edition."""


class Facts(pd.DataFrame):
    """A table of one column: a fact a row. Shown without heads and in a class of its own, whose
    text starts at the left and wraps (``book/_static/custom.css``)."""

    def _repr_html_(self) -> str:
        return self.to_html(header=False, index_names=False, classes="facts")


class Verdicts(pd.DataFrame):
    """Verdicts of the ledger, a row each, indexed by ``id``; a selection of them is one too.

    Shown short, every claim with a link to its entry in the ledger; the whole lies in a fold.
    """

    @property
    def _constructor(self) -> type[Verdicts]:
        return Verdicts

    def _repr_html_(self) -> str:
        short = pd.DataFrame(self).filter(["of", "reported", "measured", "verdict"]).map(escape)
        said = short.columns[[not set(short[name]) <= {"", "-"} for name in short]]
        short = short[said]  # no column without a word, as of claims that are all open
        links = [f'<a href="{LEDGER}#{claim}">{claim}</a>' if claim else "" for claim in self.index]
        open_table = short.set_axis(links).to_html(escape=False, classes="verdicts")
        return open_table + fold(self, "The verdicts with the statements of the claims").data


def open_stage(stage: str, **parameters: object) -> Page:
    """Open a stage in its notebook: check its parameters, make what the edition makes by itself,
    look up all else.

    For example ``open_stage("01_dataset_audit", edition="smoke", near_threshold=0.95, others=[])``.

    Raises:
        InputError: a parameter that is missing, unknown or not allowed.
        RunsFailed: a training failed; of what cannot be made here there is just no record.
    """
    start = time.perf_counter()
    jobs = check_stage(stage, parameters).jobs()
    edition = str(parameters["edition"])
    return Page(edition, jobs, plan.ensure(edition, jobs), start, stage)


class Page:
    """An executed page: opened at its first cell, closed by ``provenance`` at its last.

    Attributes:
        jobs: all that it needs but audits and crowds. records: of each job, None where there is
            none.
        audits: the records of the audits that it needs.
        crowd: what the crowd says of each image (``Record.rows``); empty without a record.
    """

    def __init__(
        self,
        edition: str,
        jobs: Sequence[Job] = (),
        records: Sequence[Record | None] = (),
        start: float | None = None,
        stage: str = "",
    ) -> None:
        plots.style()
        sharpen_figures()
        pd.set_option("display.max_colwidth", None)  # what a table says is never cut
        self.edition, self.stage = edition, stage
        self.start = time.perf_counter() if start is None else start
        made = list(zip(jobs, records, strict=True))
        self.audits = [record for job, record in made if isinstance(job.config, AuditConfig)]
        crowds = [record for job, record in made if isinstance(job.config, CrowdConfig) and record]
        self.crowd = crowds[0].rows if crowds else {}
        about_data = (AuditConfig, CrowdConfig)
        self.jobs = [job for job, _ in made if not isinstance(job.config, about_data)]
        self.records = [record for job, record in made if not isinstance(job.config, about_data)]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The runs of the page that have a record: one row a record (see
        ``analysis.runs_table``)."""
        return runs_table(self.jobs)

    def verdicts(self, names: Sequence[str] | None = None) -> Verdicts:
        """Table the verdicts of the ledger on the claims that this page is about; they are about
        FER2013, whatever the edition.

        Args:
            names: ids of claims; None takes those whose page this is.

        Returns:
            index ``id``, empty for a further part of a claim; columns ``statement, verdict,
            reported, measured, seeds, of``.
        """
        names = ledger.claims_of(self.stage) if names is None else names
        table = ledger.table(ledger.ledger(names)).set_index("id")
        statements = claims.load()["statement"].reindex(table.index).fillna("")
        table.insert(0, "statement", statements.to_numpy())
        return Verdicts(table.drop(columns="page"))

    @cached_property
    def title(self) -> str:
        """What figures call the data of the edition."""
        return load_edition(self.edition).title or self.edition

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes of the edition, in order."""
        return class_names(load_edition(self.edition).data.classes)

    def provenance(self, records: Sequence[Record] = ()) -> Facts:
        """Say where the page and its records come from: one row a fact.

        Args:
            records: those of a page that is no stage.
        """
        there = [record for record in records or self.records if record] or self.audits

        def unique(key: str) -> str:
            return ", ".join(sorted({str(r.env[key]) for r in there if r.env.get(key)}))

        rows = {
            "edition": self.edition, "page made with commit": commit(), "with": versions(),
            "its cells took": f"{time.perf_counter() - self.start:.0f} s",
            "records": f"{len(there)} ({sum(r.published for r in there)} published)",
        }  # fmt: skip
        if not there:
            rows["records"] = "none: this page computes all that it shows"
        seconds = sum(map(seconds_of, there))
        rows |= {
            "records made with commit": unique("commit"),
            "device of the records": unique("device"), "precision": unique("precision"),
            "torch of the records": unique("torch"), "threads": unique("threads"),
            "training time in all": f"{seconds / 60:.1f} min" if seconds else "",
        }  # fmt: skip
        known = {name: value for name, value in rows.items() if value}
        return Facts(pd.DataFrame({"value": known}).rename_axis("provenance"))


def show(text: str) -> None:
    """A sentence with measured numbers in it, as Markdown."""
    from IPython.display import Markdown, display

    display(Markdown(text))


def glue(edition: str, **values: str | float | HTML) -> None:
    """Numbers and pictures for the prose of other pages; ``edition`` is part of each name, as in
    ``fer2013_accuracy_cbam``."""
    from myst_nb import glue as paste

    for name, value in values.items():
        paste(f"{edition}_{name}", value, display=False)
