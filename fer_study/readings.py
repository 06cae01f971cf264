"""What a page says about its own numbers: sentences whose every figure and verdict comes from records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import findings, report, verdicts
from .labels import FER2013
from .metrics import Estimate
from .report import Record, Runs, difference, interval, percent, points, title

NOT_YET = "The records that this reading needs are not there yet; `fer-study plan` lists them."


def direction(
    effect: Estimate, more: str = "more", less: str = "less", same: str = "no more and no less, as far as the interval tells"
) -> str:
    """The word for an effect: its sign where the interval excludes zero."""
    return more if effect.low > 0 else less if effect.high < 0 else same


def weighting(runs: Runs, schemes: Sequence[str], stated: str) -> str:
    """What each weighting does to the rare classes and to the accuracy."""
    base = runs.get(title(schemes[0]), [])
    lines = []
    for scheme in schemes[1:]:
        there = runs.get(title(scheme), [])
        if not base or not there:
            continue
        disgust, fear, all_ = (difference(there, base, m) for m in ("recall_disgust", "recall_fear", "accuracy"))
        before, after = interval(base, "recall_disgust"), interval(there, "recall_disgust")
        lines.append(
            f"- **{title(scheme)}**: recall of disgust {percent(before)} -> {percent(after)} ({points(disgust)} points), of fear "
            f"{points(fear)} points; accuracy {points(all_)} points. Disgust is recalled {direction(disgust)} often, and the accuracy is "
            f"{direction(all_, 'higher', 'lower', 'not distinguishable')}."
        )
    return "\n".join([f"The source states {stated} for the recall of disgust.", *lines]) if lines else NOT_YET


def ordering(runs: Runs, order: Sequence[str]) -> str:
    """The stated ordering of models, step by step, and its verdict."""
    there = [runs.get(title(name), []) for name in order]
    if not all(there):
        return NOT_YET
    steps = [difference(a, b) for a, b in zip(there[:-1], there[1:], strict=True)]
    lines = [
        f"- {title(a)} minus {title(b)}: {points(d)} points" for a, b, d in zip(order[:-1], order[1:], steps, strict=True)
    ]
    stated = " > ".join(title(name) for name in order)
    verdict = verdicts.ordering(steps)
    return "\n".join([f"Stated: {stated}. Verdict: **{verdict}**. Paired differences on the same test images:", *lines])


def ablation(runs: Runs, base: Sequence[Record]) -> str:
    """What each removed part was worth."""
    lines = []
    for name, there in runs.items():
        if there and base and there[0] is not base[0]:
            effect = difference(there, base)
            word = direction(effect, "better", "worse", "not distinguishable from it")
            lines.append(f"- **{name}**: {points(effect)} points of accuracy against the full network: {word}.")
    return "\n".join(lines) if lines else NOT_YET


def votes(runs: Runs, targets: Sequence[str], crowd: np.ndarray) -> str:
    """Votes against hard labels, scored both ways."""
    hard, soft = (runs.get(title(t), []) for t in targets[:2])
    if not hard or not soft:
        return NOT_YET
    on_labels = difference(soft, hard)
    table = report.scores_against({"hard": hard, "soft": soft}, crowd, ["accuracy"]).set_index("name")["value"]
    gain = 100 * (table["soft"] - table["hard"])
    return (f"Trained on votes instead of hard labels, the network gains {points(on_labels)} points on the hard labels of the test "
            f"split: {direction(on_labels, 'better', 'worse', 'not distinguishable')}. Against the crowd's majority it changes from "
            f"{100 * table['hard']:.1f} to {100 * table['soft']:.1f} % ({gain:+.1f} points).")  # fmt: skip


def transfer(runs: Runs, sources: Sequence[str], targets: Sequence[str]) -> str:
    """How much is lost away from home."""
    value, _, _ = findings.transfer(runs, sources, targets, "balanced_accuracy")
    lines = []
    for source in sources:
        row = value.loc[source].drop(source, errors="ignore").dropna()
        home = value.loc[source].get(source, np.nan)
        if np.isnan(home) or row.empty:
            continue
        lines.append(f"- Trained on **{source}**: {100 * home:.1f} % balanced accuracy at home; elsewhere from "
                     f"{100 * row.min():.1f} ({row.idxmin()}) to {100 * row.max():.1f} % ({row.idxmax()}). Chance is 14.3 %.")  # fmt: skip
    return "\n".join(lines) if lines else NOT_YET


def errors(runs: Runs) -> str:
    """The most confused pair and the best and worst recalled classes of each network."""
    lines = []
    for name, there in runs.items():
        value, low, high = report.recalls({name: there})
        best, worst = value.loc[name].idxmax(), value.loc[name].idxmin()
        above = [c for c in FER2013 if low.loc[name, c] > 0.7]
        pair = findings.confused_pairs({name: there}, top=1).iloc[0]
        bounds = f"[{100 * low.loc[name, worst]:.1f}, {100 * high.loc[name, worst]:.1f}]"
        lines.append(f"- **{name}**: confuses {pair['pair']} most ({pair['images confused']} images); recalls {best} best "
                     f"({100 * value.loc[name, best]:.1f} %) and {worst} least ({100 * value.loc[name, worst]:.1f} % {bounds}); classes "
                     f"recalled above 70 % beyond doubt: {', '.join(above) or 'none'}.")  # fmt: skip
    return "\n".join(lines) if lines else NOT_YET
