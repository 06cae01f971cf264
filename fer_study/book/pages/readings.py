"""What a page says about its own numbers: sentences whose every figure and verdict comes from records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...analysis import report, verdicts
from ...analysis.metrics import Estimate
from ...analysis.report import Runs, difference, title
from . import findings

NOT_YET = "The records that this reading needs are not there yet; `fer-study plan` lists them."

LEFT_OUT = "The parameters of this page leave out what this reading compares."


def not_yet(runs: Runs, *needed: str) -> str:
    """Why there is no reading: a record is missing, or nobody asked for a run of one of the names."""
    missing, asked_for = not runs or not all(runs.values()), all(title(name) in runs for name in needed)
    return NOT_YET if missing and asked_for else LEFT_OUT


def direction(effect: Estimate, more: str = "more", less: str = "less", same: str = "not distinguishable") -> str:
    """The word for an effect: its sign where the interval excludes zero."""
    if np.isnan(effect.value):
        return "not measured"
    return more if effect.low > 0 else less if effect.high < 0 else same


def points(effect: Estimate) -> str:
    """A difference with its unit: ``+1.2 [+0.3, +2.1] points``."""
    return "not measured" if np.isnan(effect.value) else f"{report.points(effect)} points"


def ordering(runs: Runs, order: Sequence[str], edition: str) -> str:
    """The stated ordering of models, step by step, and its verdict; on other data than FER2013 it is none on the claim."""
    there = [runs.get(title(name), []) for name in order]
    if not all(there):
        return not_yet(runs, *order)
    pairs = zip(order[:-1], order[1:], there[:-1], there[1:], strict=True)
    steps = [(title(a), title(b), difference(ours, theirs)) for a, b, ours, theirs in pairs]
    found = verdicts.ordering([effect for _, _, effect in steps], all(map(findings.as_claimed, there)))
    verdict = f"Verdict: **{found}**" if edition == "fer2013" else "No verdict: the claim is about FER2013"
    words = ("as stated", "the other way", "not distinguishable")
    lines = [f"- {a} minus {b}: {points(effect)}, seeds: {effect.n}: {direction(effect, *words)}" for a, b, effect in steps]
    stated = " > ".join(title(name) for name in order)
    return "\n".join([f"Stated: {stated}. {verdict}. Paired differences on the same test images:", *lines])


def errors(runs: Runs) -> str:
    """The most confused pair and the best and worst recalled classes of each network, and which have no saliency maps."""
    there = [record for records in runs.values() for record in records]
    value, low, high = report.recalls(runs, report.classes_of(there))
    pairs = findings.confused_pairs(runs, top=1)
    lines = []
    for name, recall in value.iterrows():
        best, worst = recall.idxmax(), recall.idxmin()
        confused = "confuses nothing"
        if name in pairs.index:
            pair = pairs.loc[name]
            confused = f"confuses {pair['pair']} most ({pair['share of both classes']} of the predictions for these two)"
        bounds = f"[{100 * low.loc[name, worst]:.1f}, {100 * high.loc[name, worst]:.1f}]"
        seeds = verdicts.seeds([len(runs[name])])
        lines.append(
            f"- **{name}**, {seeds}: {confused}; recalls {best} best ({100 * recall[best]:.1f} %) "
            f"and {worst} least ({100 * recall[worst]:.1f} % {bounds})."
        )
        if not any(record.cam for record in runs[name]):
            lines[-1] += " It has no saliency maps."
    return "\n".join(lines) if lines else NOT_YET
