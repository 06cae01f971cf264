"""Claims of the sources beside what the records say of them: a line a claim, its verdict by the rule (``verdicts``)."""

from __future__ import annotations

from collections.abc import Sequence

from ...analysis import claims, verdicts
from ...analysis.report import UNSCALED, Runs, difference, plain, title
from ...data.labels import FER2013
from . import findings
from .readings import points

ABLATIONS = (
    ("ladder-06", "l2", ("log_loss",), "validation"),
    ("ladder-07", "longer", ("accuracy",), "validation"),
    ("ladder-08", "no_cbam", ("recall_fear", "recall_disgust"), "test"),
)
"""Claim, the arm that tests it, the measures of which full network minus arm is stated to be positive, and their split."""


def line(claim: str, edition: str, found: Sequence[tuple[str, str]]) -> str:
    """A claim, and below it what was measured and the verdict on it; there is none on other faces than FER2013's."""
    row = claims.load().loc[claim]
    split = row["split"].replace("val", "validation")
    ends = [f"  - {measured}: **{word if edition == 'fer2013' else 'no verdict, not FER2013'}**" for measured, word in found]
    value = f" ({row['value']})" if row["value"] else ""
    return "\n".join([f"- Claim `{claim}`, {split}: {row['statement']}{value}.", *ends])


def counts(audit: dict) -> str:
    """What is claimed of the images of FER2013 and of their labels in FER+, counted; nothing for other sets."""
    if audit["name"] != "fer2013":
        return "The sources count FER2013 only."
    table, crowd, stated = audit["balance"], audit["transitions"], claims.load()["value"]
    merged, every = table["validation+test"], table["all"]
    found = {
        "data-01": f"{audit['images']}",
        "data-02": "/".join(str(table[split]["total"]) for split in ("train", "validation", "test")),
        "data-03": "/".join(str(every[name]) for name in FER2013),
        "data-14": ", ".join(f"{name} {merged[name]}" for name in ("disgust", "fear", "happy")),
    }
    if crowd:
        found["data-06"] = str(crowd["ten columns"]["all"]["not_face"])
        found["data-07"] = f"{every['fear']} -> {crowd['eight emotions']['all']['fear']}"
    lines = {claim: (text, "right" if text == stated[claim] else "wrong") for claim, text in found.items()}
    share, limit = every["disgust"] / every["total"], float(stated["data-13"].removeprefix("< "))
    lines["data-13"] = (f"{share:.4f}", "right" if share < limit else "wrong")
    return "\n".join(line(claim, "fer2013", [result]) for claim, result in sorted(lines.items()))


def ablations(runs: Runs, edition: str) -> str:
    """What is claimed of the penalty, of more epochs and of the attention."""
    full, lines = runs.get(title("full"), []), []
    for claim, arm, names, split in ABLATIONS:
        effects = {m: difference(full, runs.get(title(arm), []), m, subset=split) for m in names}
        shown = [f"{m.replace('_', ' ')} {plain(d) if m in UNSCALED else points(d)}" for m, d in effects.items()]
        word = verdicts.ordering(list(effects.values()), findings.as_claimed(full))
        lines.append(line(claim, edition, [(f'full network minus "{title(arm)}": {", ".join(shown)}', word)]))
    return "\n".join(lines)
