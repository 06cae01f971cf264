"""What a page says about its own numbers: sentences whose every figure and verdict comes from records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...analysis import claims, report, verdicts
from ...analysis.metrics import Estimate
from ...analysis.report import Record, Runs, difference, interval, percent, title
from ...training import protocol
from . import findings, other_labels

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


WEIGHTING = {"inverse": "weight-03", "heavy": "weight-05"}
"""Scheme -> the claim about it."""


def weighting(runs: Runs, schemes: Sequence[str], edition: str) -> str:
    """What each weighting does to every class, worst first, and to the recall of disgust on the split of the claim."""
    base, claim = runs.get(title(schemes[0]), []), claims.load().loc["weight-03"]
    lines = []
    for scheme in schemes[1:]:
        there = runs.get(title(scheme), [])
        if not there:
            lines.append(f"- **{title(scheme)}**: no record yet; claim {WEIGHTING[scheme]} about it is not tested yet.")
            continue
        if not report.paired(there, base)[0]:
            lines.append(f"- **{title(scheme)}**: no seed in common with {title(schemes[0])}, so nothing is compared.")
            continue
        classes = report.classes_of(there)
        changes = sorted((difference(there, base, f"recall_{c}"), c) for c in classes)
        found: dict[str, list[str]] = {}
        for effect, name in changes:
            found.setdefault(direction(effect, "gained", "lost"), []).append(f"{name} {report.points(effect)}")
        pair = [interval(records, "recall_disgust", subset="merged") for records in (base, there)]
        before, after = (f"{percent(recall)} ({verdicts.seeds([recall.n])})" for recall in pair)
        every, balanced = (difference(there, base, metric) for metric in ("accuracy", "balanced_accuracy"))
        gained, lost = (len(found.get(word, ())) for word in ("gained", "lost"))
        accuracy = direction(every, "higher", "lower")
        judged = _recalls(pair) if scheme == "inverse" and edition == "fer2013" else ""
        words = f"recall is gained in {gained} of {len(classes)} classes and lost in {lost}; accuracy {accuracy}"
        lines.append(
            f"- **{title(scheme)}**: recall on the test split, in points: "
            f"{'; '.join(f'*{word}*: ' + ', '.join(names) for word, names in found.items())}. "
            f"Accuracy {points(every)}, balanced accuracy {points(balanced)}. On validation and test merged, disgust is "
            f"recalled {before} -> {after}. **{verdicts.qualified(words, every.n, as_claimed=False)}**.{judged}"
        )
    if not base or not any(runs.get(title(scheme)) for scheme in schemes[1:]):
        return not_yet(runs)
    split = "only the merged figures are of its split" if edition == "fer2013" else "on other faces than those of the claim"
    stated = (
        f"The source states {claim['value']} for the recall of disgust, on {claim['dataset']}, {claim['split']}, with a "
        f"larger network than this one. So what follows is *at our scale*, and {split}."
    )
    return "\n".join([stated, *lines])


def _recalls(pair: Sequence[Estimate]) -> str:
    """The verdict on each recall of disgust that claim weight-03 states, before and after weighting."""
    stated = map(float, claims.load().loc["weight-03", "value"].split(" -> "))
    words = [f"{100 * at:.0f} %: **{verdicts.number(x, at, as_claimed=False)}**" for x, at in zip(pair, stated, strict=True)]
    return f" Claim weight-03, without weights {words[0]}, with them {words[1]}."


def ablation(runs: Runs, base: Sequence[Record]) -> str:
    """What each removed part was worth."""
    lines = []
    for name, there in runs.items():
        if there and base and there[0] is not base[0]:
            effect = difference(there, base)
            word = direction(effect, "better", "worse", "not distinguishable from it")
            found = verdicts.qualified(word, effect.n, findings.as_claimed(base))
            lines.append(f"- **{name}**: accuracy {points(effect)} against the full network: **{found}**.")
    return "\n".join(lines) if lines else not_yet(runs)


def votes(runs: Runs, crowd: np.ndarray | None) -> str:
    """Votes against hard labels, scored both ways; ``crowd`` is None where the data has no votes."""
    if crowd is None:
        return "The data has no votes to compare with."
    hard, soft = (runs.get(title(name), []) for name in ("labels", "votes"))
    if not report.paired(soft, hard)[0]:
        return not_yet(runs, "labels", "votes")
    on_labels, (soft, hard) = difference(soft, hard), report.paired(soft, hard)
    table = other_labels.scores({"hard": hard, "soft": soft}, crowd, ["accuracy"]).set_index("name")["value"]
    gain = other_labels.difference(soft, hard, crowd)
    word = verdicts.qualified(direction(on_labels, "better", "worse"), on_labels.n)
    return (
        f"Trained on votes instead of hard labels, compared on what both have ({verdicts.seeds([len(soft)])}), the "
        f"network changes by {points(on_labels)} of accuracy on the hard labels of the test split: {word}. Against the "
        f"crowd's majority, ties shared, it changes from {100 * table['hard']:.1f} to {100 * table['soft']:.1f} % "
        f"({points(gain)}): {verdicts.qualified(direction(gain, 'better', 'worse'), gain.n)}."
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
        records = runs[source]
        found = f"accuracy {percent(interval(records))} at home, elsewhere {away}"
        size = protocol.training_images(records[0].config.data)
        on = f"**{source}** ({size:,} images)" if size else f"**{source}**"
        fewest = min(len(records), *(len(runs[f"{source} -> {target}"]) for target in row.index))
        lines.append(f"- Trained on {on}: {verdicts.qualified(found, fewest)}.")
    if not lines:
        return not_yet(runs)
    for target, counts in findings.target_counts(runs, sources, targets).iterrows():
        few = [f"{name} ({n})" for name, n in counts.items() if n < READABLE]
        hidden = f"; not readable, and with it the balanced accuracy: {', '.join(few)}" if few else ""
        usual = f"always naming {counts.idxmax()} gives {100 * counts.max() / counts.sum():.1f} %"
        lines.append(f"- Scored on **{target}**: {counts.sum():,} test images; {usual}{hidden}.")
    return "\n".join(lines)
