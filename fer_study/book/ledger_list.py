"""Write the claims ledger as a list for a page: a line a claim, which opens; filters where scripts
run (``book/_static/claims.js``)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from ..analysis import claims
from ..analysis.checks import Finding
from ..analysis.ledger import Verdict, shown_measured, shown_reported, shown_word
from ..analysis.verdicts import OPEN

FILTERS = ("source", "kind", "verdict", "system")
MARKS = {
    r"\*\*(\S|\S.*?\S)\*\*": r"<strong>\1</strong>",
    r"(?<![\w*])\*(\w[^*]*?)\*(?![\w*])": r"<em>\1</em>",
    r"&lt;u&gt;(.*?)&lt;/u&gt;": r"<u>\1</u>",
    r"\$\\sim (\d+)\^\\circ\$": r"~ \1°",
}
"""How a document writes emphasis, and the one formula of the quotations -> how a page shows it."""


def ledger_list(verdicts: Iterable[Verdict]) -> str:
    """Write verdicts as HTML, for example ``HTML(ledger_list(ledger.ledger()))``: first the
    filters, then a ``details`` a claim, whose ``id`` is that of the claim."""
    verdicts, stated = list(verdicts), claims.load().copy()
    alike = stated["statement"].duplicated(keep=False)  # many rows of a table share one statement
    number = stated["dataset"] + ": " + stated["metric"] + " " + stated["value"]
    stated["title"] = stated["statement"].mask(alike, stated["system"] + ", " + number)
    facts = {verdict.claim: _facts(verdict, stated.loc[verdict.claim]) for verdict in verdicts}
    items = [
        _item(verdict, facts[verdict.claim], stated.loc[verdict.claim]) for verdict in verdicts
    ]
    choices = [
        _choice(name, [fact[name] for fact in facts.values()], keep=name == "source")
        for name in FILTERS
    ]
    search = '<label>find <input type="search" data-filter="text"/></label>'
    head = f'<div class="ledger-filters">{"".join(choices)}{search}<output></output></div>'
    return f'<div class="ledger">{head}{"".join(items)}</div>'


def _facts(verdict: Verdict, claim) -> dict[str, str]:
    """What a claim is found by."""
    source = claims.SOURCES[claim["source"]]
    return {
        "source": source, "kind": claim["kind"], "verdict": verdict.category,
        "system": claim["system"],
    }  # fmt: skip


def _choice(name: str, values: list[str], keep: bool) -> str:
    """A menu of the values that a filter may have; ``keep``: in their own order."""
    values = list(dict.fromkeys(values)) if keep else sorted(set(values))
    options = "".join(f"<option>{escape(value)}</option>" for value in values)
    return (
        f'<label>{name} <select data-filter="{name}"><option value="">all</option>'
        f"{options}</select></label>"
    )


def _item(verdict: Verdict, facts: dict[str, str], claim) -> str:
    """One claim: what it says and its verdict; opened, the quotation, every part, where from."""
    data = "".join(f' data-{name}="{escape(value)}"' for name, value in facts.items())
    parts = "".join(
        _part(part, claim["value"] if not i else "") for i, part in enumerate(verdict.parts)
    )
    scale = (
        f"<p>Smaller or other than claimed: {escape(verdict.scale)}.</p>" if verdict.scale else ""
    )
    choice = f"<p>Hangs on {escape(verdict.hangs_on)}.</p>" if verdict.hangs_on else ""
    evidence = f"<p>Records: {', '.join(verdict.evidence)}.</p>" if verdict.evidence else ""
    heads = "".join(
        f"<th>{name}</th>" for name in ("of", "verdict", "reported", "measured", "seeds")
    )
    return (
        f'<details class="claim" id="{verdict.claim}"{data}>'
        f"<summary><b>{verdict.claim}</b> {escape(claim['title'])} "
        f'<span class="verdict">{escape(verdict.word)}</span></summary>'
        f"<blockquote>{shown_quote(verdict.quote)}"
        f"<footer>{escape(claims.place(verdict.where))}</footer></blockquote>"
        f"<p>System: {escape(claim['system'])}; data: {escape(claim['dataset'] or '-')}, split "
        f"{escape(claim['split'] or '-')}; metric: {escape(claim['metric'] or '-')}.</p>"
        f'<table class="facts"><thead><tr>{heads}</tr></thead><tbody>{parts}</tbody></table>'
        f"{scale}{choice}{evidence}"
        f'<p>Page: <a href="{verdict.page}.html">{verdict.page}</a></p></details>'
    )


def shown_quote(quote: str) -> str:
    """Write a quotation as HTML: its words, with marks of Markdown as what they mean."""
    text = escape(quote, quote=False)
    for mark, shown in MARKS.items():
        text = re.sub(mark, shown, text)
    return text


def _part(part: Finding, stated: str) -> str:
    """One part of a claim: its verdict and numbers, or what is missing and the command."""
    if part.word == OPEN:
        command = f", <code>{escape(part.command)}</code>" if part.command else ""
        missing = f"missing: {escape(part.needs)}{command}"
        return f'<tr><td>{escape(part.of)}</td><td>open</td><td colspan="3">{missing}</td></tr>'
    cells = (
        part.of, shown_word(part), shown_reported(part, stated), shown_measured(part) or "-",
        str(part.seeds or "-"),
    )  # fmt: skip
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
