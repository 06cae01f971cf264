"""What a page says about its own numbers: sentences whose every figure and verdict comes from records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .. import report, verdicts
from ..labels import FER2013
from ..metrics import Estimate
from ..report import Record, Runs, difference, interval, percent, title
from . import findings

NOT_YET = "The records that this reading needs are not there yet; `fer-study plan` lists them."


def direction(effect: Estimate, more: str = "more", less: str = "less", same: str = "not distinguishable") -> str:
    """The word for an effect: its sign where the interval excludes zero."""
    return more if effect.low > 0 else less if effect.high < 0 else same


def points(effect: Estimate) -> str:
    """A difference with its unit: ``+1.2 [+0.3, +2.1] points``."""
    return "not measured" if np.isnan(effect.value) else f"{report.points(effect)} points"


def weighting(runs: Runs, schemes: Sequence[str], claim: pd.Series) -> str:
    """What each weighting does to the rare classes and to the accuracy, on the test split and on the split of the claim."""
    base = runs.get(title(schemes[0]), [])
    lines = []
    for scheme in schemes[1:]:
        there = runs.get(title(scheme), [])
        if not base or not there:
            continue
        disgust, fear, every = (difference(there, base, m) for m in ("recall_disgust", "recall_fear", "accuracy"))
        changes = []
        for subset in ("test", "merged"):
            before, after = (interval(records, "recall_disgust", subset=subset) for records in (base, there))
            change = points(difference(there, base, "recall_disgust", subset=subset))
            changes.append(f"{report.SUBSET_NAMES[subset]} {percent(before)} -> {percent(after)} ({change})")
        often = direction(disgust, "more often", "less often", "as often, as far as the interval tells")
        words = f"disgust is recalled {often}, and the accuracy is {direction(every, 'higher', 'lower')}"
        lines.append(
            f"- **{title(scheme)}**: recall of disgust: {'; '.join(changes)}. On the test split, fear {points(fear)}, "
            f"accuracy {points(every)}; **{verdicts.qualified(words, every.n, as_claimed=False)}**."
        )
    stated = (
        f"The source states {claim['value']} for the recall of disgust, on {claim['dataset']}, {claim['split']}, with a "
        "larger network than this one. So what follows is *at our scale*, and only the merged figures are of its split."
    )
    return "\n".join([stated, *lines]) if lines else NOT_YET


def ordering(runs: Runs, order: Sequence[str], edition: str) -> str:
    """The stated ordering of models, step by step, and its verdict; on other data than FER2013 it is none on the claim."""
    there = [runs.get(title(name), []) for name in order]
    if not all(there):
        return NOT_YET
    pairs = zip(order[:-1], order[1:], there[:-1], there[1:], strict=True)
    steps = [(title(a), title(b), difference(ours, theirs)) for a, b, ours, theirs in pairs]
    found = verdicts.ordering([effect for _, _, effect in steps], all(map(findings.as_claimed, there)))
    verdict = f"Verdict: **{found}**" if edition == "fer2013" else f"The claim is about FER2013; on these faces: **{found}**"
    lines = [f"- {a} minus {b}: {points(effect)}, seeds: {effect.n}" for a, b, effect in steps]
    stated = " > ".join(title(name) for name in order)
    return "\n".join([f"Stated: {stated}. {verdict}. Paired differences on the same test images:", *lines])


def ablation(runs: Runs, base: Sequence[Record]) -> str:
    """What each removed part was worth."""
    lines = []
    for name, there in runs.items():
        if there and base and there[0] is not base[0]:
            effect = difference(there, base)
            word = direction(effect, "better", "worse", "not distinguishable from it")
            found = verdicts.qualified(word, effect.n, findings.as_claimed(base))
            lines.append(f"- **{name}**: accuracy {points(effect)} against the full network: **{found}**.")
    return "\n".join(lines) if lines else NOT_YET


def votes(runs: Runs, targets: Sequence[str], crowd: np.ndarray) -> str:
    """Votes against hard labels, scored both ways."""
    hard, soft = (runs.get(title(t), []) for t in targets[:2])
    if not hard or not soft:
        return NOT_YET
    on_labels = difference(soft, hard)
    table = report.scores_against({"hard": hard, "soft": soft}, crowd, ["accuracy"]).set_index("name")["value"]
    gain = 100 * (table["soft"] - table["hard"])
    word = verdicts.qualified(direction(on_labels, "better", "worse"), on_labels.n)
    return (
        f"Trained on votes instead of hard labels, the network changes by {points(on_labels)} of accuracy on the hard "
        f"labels of the test split: {word}. Against the crowd's majority it changes from "
        f"{100 * table['hard']:.1f} to {100 * table['soft']:.1f} % ({gain:+.1f} points)."
    )


READABLE = 10
"""With fewer test images of a class, its recall is not readable: one image moves it by more than ten points."""


def transfer(runs: Runs, sources: Sequence[str], targets: Sequence[str]) -> str:
    """How much accuracy is lost away from home, and what the test split of each target allows to read."""
    value, _, _ = findings.transfer(runs, sources, targets, "accuracy")
    lines = []
    for source in sources:
        row = value.loc[source].drop(source, errors="ignore").dropna()
        home = value.loc[source].get(source, np.nan)
        if np.isnan(home) or row.empty:
            continue
        away = f"{100 * row.min():.1f} % ({row.idxmin()})"
        if len(row) > 1:
            away = f"from {away} to {100 * row.max():.1f} % ({row.idxmax()})"
        lines.append(f"- Trained on **{source}**: accuracy {100 * home:.1f} % at home, elsewhere {away}.")
    if not lines:
        return NOT_YET
    for target, counts in findings.target_counts(runs, sources, targets).iterrows():
        few = [f"{name} ({n})" for name, n in counts.items() if n < READABLE]
        hidden = f"; not readable, and with it the balanced accuracy: {', '.join(few)}" if few else ""
        usual = f"always naming {counts.idxmax()} gives {100 * counts.max() / counts.sum():.1f} %"
        lines.append(f"- Scored on **{target}**: {counts.sum():,} test images; {usual}{hidden}.")
    return "\n".join(lines)


def errors(runs: Runs) -> str:
    """The most confused pair and the best and worst recalled classes of each network."""
    value, low, high = report.recalls(runs)
    pairs = findings.confused_pairs(runs, top=1)
    lines = []
    for name, recall in value.iterrows():
        best, worst = recall.idxmax(), recall.idxmin()
        above = [c for c in FER2013 if low.loc[name, c] > 0.7]
        confused = "confuses nothing"
        if name in pairs.index:
            pair = pairs.loc[name]
            confused = f"confuses {pair['pair']} most ({pair['share of both classes']} of the predictions for these two)"
        bounds = f"[{100 * low.loc[name, worst]:.1f}, {100 * high.loc[name, worst]:.1f}]"
        lines.append(
            f"- **{name}**: {confused}; recalls {best} best ({100 * recall[best]:.1f} %) and {worst} "
            f"least ({100 * recall[worst]:.1f} % {bounds}); classes whose interval over images lies above 70 %: "
            f"{verdicts.qualified(', '.join(above) or 'none', len(runs[name]))}."
        )
    return "\n".join(lines) if lines else NOT_YET
