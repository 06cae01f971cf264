"""List the pages that were executed and the records that are published (for Sphinx; see
``_config.yml``): the tables are those of ``fer_study.book.executions``, made anew in each build."""

from __future__ import annotations

import functools
from html import escape
from pathlib import Path

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from fer_study import store

PAGE = "executions"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("executed-pages", ExecutedPages)
    app.add_directive("published-records", PublishedRecords)
    app.connect("env-before-read-docs", look_at_records)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def look_at_records(app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Call ``published`` before any page is read, where it is needed: autodoc puts the text of a
    default in place of its value, and networks would have other options, stages other jobs."""
    if PAGE in pages:
        published()


@functools.cache
def published() -> pd.DataFrame:
    """Table the published records."""
    from fer_study.book import executions  # here, for an unchanged book does not need it

    found = store.records(lambda record: record.published)
    return executions.records_table(found, executions.jobs_of_the_book())


class ExecutedPages(SphinxDirective):
    """Table every executed page of the book, short, and whole in a fold."""

    def run(self) -> list[nodes.Node]:
        from fer_study.book import executions
        from fer_study.book.show import fold

        env = self.env
        names = {Path(env.doc2path(name)): name for name in sorted(env.found_docs)}
        pages = [path for path in names if path.suffix == ".ipynb"]
        for path in {*pages, *(path.parent for path in pages)}:
            env.note_dependency(str(path))
        table = executions.pages_table(pages)
        uri = env.app.builder.get_relative_uri
        links = [
            f'<a href="{uri(env.docname, names[path])}">{escape(title)}</a>'
            for path, title in table["title"].items()
        ]
        whole = table.set_index("title").rename_axis(None)
        whole = whole.rename(columns={"date": "date (UTC)", "seconds": "seconds in all"})
        short = whole[["edition", "date (UTC)", "seconds in all"]].set_axis(links)
        short.columns.name = "page"
        return [
            shown(short),
            raw(fold(whole, "The pages with commit, device, threads and versions").data),
        ]


class PublishedRecords(SphinxDirective):
    """Table what the published records took, by machine, and each of them in a fold."""

    def run(self) -> list[nodes.Node]:
        from fer_study.book import executions
        from fer_study.book.show import fold

        for path in (store.published_root(), *store.published_root().glob("*/done")):
            self.env.note_dependency(str(path))
        table = published()
        sums = executions.totals(table).rename_axis(index=None, columns="device")
        sums["records"] = sums["records"].astype(int)
        return [
            shown(sums.round(1).astype(object).where(sums.notna(), "-")),
            raw(fold(table.round({"minutes": 1}), "Every published record").data),
        ]


def shown(table: pd.DataFrame) -> nodes.raw:
    """A table in the style of the book; its index may hold links."""
    return raw(table.to_html(escape=False, classes="table executions", border=0))


def raw(text: str) -> nodes.raw:
    """A piece of HTML."""
    return nodes.raw("", text, format="html")
