"""What the votes of the crowd say on the audit page: how labels shift, how often they are wrong, how well a person does.

All from the summary that an audit stored (``AuditReport.summary``).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...analysis import claims
from ...audit.crowd import ESTIMATORS, WEIGHED
from .audit_tables import classes_of, transitions

MAJORITY = "majority"
QUESTIONS = {
    "tagger_crowd": "one tagger, the majority of the others", "tagger_label": "one tagger, the label",
    "crowd_label": "majority of the crowd, the label", "truth_label": "the truth, the label",
    "tagger_truth": "one tagger, the truth", "crowd_truth": "majority of the crowd, the truth",
}  # fmt: skip
"""Entry of ``human_ceiling`` -> who answers, and what counts as right."""


def own_options(audit: dict) -> str:
    """Key of ``audit.VOTE_OPTIONS`` for the votes for one of the classes of the set."""
    return next(key for key in ("seven emotions", "eight emotions") if key in audit["ceiling"])


def shift_reading(audit: dict, options: str = "eight emotions") -> str:
    """Which labels the crowd keeps and where it moves the others, in one paragraph."""
    table = transitions(audit, options).drop(columns="none", errors="ignore")
    shares = table.div(table.sum(axis=1), axis=0)
    kept = pd.Series({name: shares.loc[name, name] for name in shares.index}).dropna().sort_values(ascending=False)
    moves = []
    for name in kept.index[::-1]:
        away = shares.loc[name].drop(name).sort_values(ascending=False)
        moves.append(f"{name} to {', '.join(f'{to} ({_whole(share)})' for to, share in away[away >= 0.05].items())}")
    moves = [move for move in moves if not move.endswith(" to ")]
    gains = pd.DataFrame(audit["gains"][options]).T.sort_values("ties_first")
    shared, tied = gains["ties_shared"], _number(audit["agreement"][options]["all"]["tied"])
    keeps = ", ".join(f"{_whole(share)} of {name}" for name, share in kept.items())
    return (
        f"Of the labels the crowd keeps {keeps}. Of the others, 5 % of a label or more go from "
        f"{'; '.join(moves)}. Counted by the crowd instead of the label, {gains.index[-1]} grows most "
        f"({gains['ties_first'].iloc[-1]:+,.0f} images) and {gains.index[0]} shrinks most "
        f"({gains['ties_first'].iloc[0]:+,.0f}). Of the images {tied} % are tied, and go to the option that comes first in "
        f"the file of the votes; with ties shared evenly it is {shared.iloc[-1]:+,.0f} and {shared.iloc[0]:+,.0f}, and "
        f"{shared.idxmax()} grows most."
    )


def noise_reading(audit: dict) -> str:
    """How many labels the votes are at odds with, where most, and how far the estimate can be trusted, in one paragraph."""
    table = _noise(audit, WEIGHED)
    by_class, every = table["value"].drop("all").dropna(), table.loc["all"]
    worst, best = by_class.idxmax(), by_class.idxmin()
    lines = [
        f"An estimated {_cell(every)} % of the {int(every['images']):,} labels are at odds with the votes of "
        f"{'the FER+ taggers' if audit['name'] == 'fer2013' else 'the crowd'}, weighed once: most among {worst} "
        f"({_cell(table.loc[worst])} %), fewest among {best} ({_cell(table.loc[best])} %)."
    ]
    if "true" in table:
        ours, simple = (_noise(audit, name)["error_value"].drop("all").abs() for name in (WEIGHED, MAJORITY))
        lines.append(
            f"The truth is {_number(every['true'])} %. By class the estimate is off by {100 * ours.mean():.2f} points on "
            f"average and {100 * ours.max():.2f} at most; disagreement with the majority, by {100 * simple.mean():.2f} and "
            f"{100 * simple.max():.2f}. A label is suspect where the votes leave it less than half: "
            f"{_number(every['precision'])} % of the suspects are wrong, and "
            f"{_number(every['recall'])} % of the wrong labels are suspects. From label to class, the votes miss the true "
            f"transitions by {100 * _transition_error(audit):.1f} points at most."
        )
    if lost := {name: classes for name, classes in audit["noise"]["lost"].items() if classes}:
        named = "; ".join(f"*{name}* for {', '.join(classes)}" for name, classes in lost.items())
        lines.append(
            f"An estimator has lost a class when the votes for what it takes for that class mostly name another: {named}."
        )
    return " ".join(lines)


def noise(audit: dict) -> pd.DataFrame:
    """Share of wrong labels by class: by disagreement with the majority and by weighed votes, and against the truth."""
    table, simple = _noise(audit, WEIGHED), _noise(audit, MAJORITY)
    shown = pd.DataFrame({
        "images": [f"{n:,.0f}" for n in table["images"]],
        "not the majority (%)": simple.apply(_cell, axis=1), "by weighed votes (%)": table.apply(_cell, axis=1),
    })  # fmt: skip
    if "true" in table:
        shown["true (%)"] = table["true"].map(_number)
        shown["error, majority (points)"] = simple.apply(_cell, axis=1, prefix="error_", sign="+")
        shown["error, weighed (points)"] = table.apply(_cell, axis=1, prefix="error_", sign="+")
        shown["suspects that are wrong (%)"] = table["precision"].map(_number)
        shown["wrong that are suspect (%)"] = table["recall"].map(_number)
    return shown.rename_axis("label")


def says(audit: dict) -> pd.DataFrame:
    """Images by label (rows) and by what the weighed votes say (columns)."""
    table = pd.DataFrame(audit["noise"]["says"]).T.astype(float)
    order = classes_of(audit)
    return table.loc[order, order].mul(_noise(audit, WEIGHED)["images"].loc[order], axis=0).fillna(0)


def estimators(audit: dict) -> pd.DataFrame:
    """What was tried: a row an estimator, its rate over all classes, its errors by class where the truth is known."""
    rows = {}
    for name in audit["noise"]["estimators"]:
        table = _noise(audit, name)
        row = {
            "labels at odds (%)": _cell(table.loc["all"]),
            "classes lost": ", ".join(audit["noise"]["lost"][name]) or "none",
        }
        if "true" in table:
            errors, every = table["error_value"].drop("all").abs(), table.loc["all"]
            row |= {
                "mean error by class (points)": f"{100 * errors.mean():.2f}",
                "largest (points)": f"{100 * errors.max():.2f}", "classes": int(errors.notna().sum()),
                "suspects that are wrong (%)": _number(every["precision"]),
                "wrong that are suspect (%)": _number(every["recall"]),
            }  # fmt: skip
        rows[name] = row
    order = [name for name in ESTIMATORS if name in rows]
    return pd.DataFrame(rows).T.loc[order].rename_axis("estimator")


def noise_shares(audit: dict) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Value, low, high of the share of wrong labels: rows ways to know it, columns classes, for a figure."""
    sources = {"not the majority": _noise(audit, MAJORITY), "weighed votes": _noise(audit, WEIGHED)}
    parts = [pd.DataFrame({k: t[part] for k, t in sources.items()}).T for part in ("value", "low", "high")]
    if "true" in sources["weighed votes"]:
        parts[0].loc["truth"] = sources["weighed votes"]["true"]
        parts[1:] = [part.reindex(parts[0].index) for part in parts[1:]]
    return tuple(part[classes_of(audit)] for part in parts)


def label_shares(audits: dict[str, dict]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Value, low, high of the share of right labels: rows audits by name (and the truth where known), columns classes."""
    shares = {name: [1 - part for part in noise_shares(audit)] for name, audit in audits.items()}
    rows = {name: [part.loc["weighed votes"] for part in parts] for name, parts in shares.items()}
    rows |= {
        f"{name.split(',')[0]}, truth": [p.loc["truth"] for p in parts]
        for name, parts in shares.items()
        if "truth" in parts[0].index
    }
    value, high, low = (pd.DataFrame({name: parts[i] for name, parts in rows.items()}).T for i in range(3))
    return value, low, high


def label_reading(value: pd.DataFrame, ours: str, real: str) -> str:
    """Where the labels of a twin are as good as the real ones, and where not: rows of ``label_shares``."""
    gap = (value.loc[ours] - value.loc[real]).abs().dropna()
    closest, farthest = (
        f"{name} ({_whole(value.loc[ours, name])} against {_whole(value.loc[real, name])})"
        for name in (gap.idxmin(), gap.idxmax())
    )
    return f"The share of right labels is closest to that of FER2013 for {closest}, and farthest off for {farthest}."


def _transition_error(audit: dict) -> float:
    """Largest difference between the believed and the true share of a class in a label."""
    believed, true = (pd.DataFrame(audit["noise"][key]).astype(float) for key in ("says", "true_says"))
    return float((believed - true).abs().max(axis=None))


def _noise(audit: dict, name: str) -> pd.DataFrame:
    """One estimator's table, undefined as NaN."""
    table = pd.DataFrame(audit["noise"]["estimators"][name]).T.astype(float)
    return table.loc[[*classes_of(audit), "all"]]


def ceiling(audit: dict, options: str = "ten columns") -> pd.DataFrame:
    """How well people do on the test split: a row a question, a column a class of what counts as right."""
    found = audit["ceiling"][options]
    rows = {}
    for key, name in QUESTIONS.items():
        if key in found:
            table = pd.DataFrame(found[key]).T.astype(float)
            rows[name] = dict(table.apply(_cell, axis=1)) | {"images": f"{table.loc['all', 'images']:,.0f}"}
    return pd.DataFrame(rows).T[[*classes_of(audit), "all", "images"]]


def ceiling_intervals(audit: dict) -> pd.DataFrame:
    """The same over all classes, of the votes for one of them, for a figure: ``name, value, low, high, of`` and, on FER2013,
    what is ``reported``."""
    found = audit["ceiling"][own_options(audit)]
    table = pd.DataFrame([found[key]["all"] | {"name": name} for key, name in QUESTIONS.items() if key in found])
    table = table.assign(of=[f"{n:,.0f} images" for n in table["images"]])
    table = table.astype({"value": float, "low": float, "high": float})
    if audit["name"] != "fer2013":
        return table
    asked = table["name"] == QUESTIONS["tagger_label"]
    value, spread = reported_human()
    return table.assign(reported=np.where(asked, value, np.nan), reported_spread=np.where(asked, spread, np.nan))


def reported_human() -> tuple[float, float]:
    """What is reported of people on FER2013, and its plus or minus (claim data-05)."""
    value, spread = claims.load().loc["data-05", "value"].split("+-")
    return float(value), float(spread)


def ceiling_reading(audit: dict) -> str:
    """What a person scores, in one paragraph."""
    own = own_options(audit)

    def says(key: str, options: str = own) -> str:
        return f"{_cell(pd.Series(audit['ceiling'][options][key]['all'], dtype=float))} %"

    n = audit["ceiling"][own]["tagger_label"]["all"]["images"]
    lines = [
        f"On the test split, of the votes for one of the {own} ({n:,.0f} images with at least two; the figure "
        f"below), one tagger names the dataset's label in {says('tagger_label')} of the cases and the majority of the crowd "
        f"in {says('crowd_label')}; one tagger agrees with the majority of the others in {says('tagger_crowd')}. "
        f"Of all votes as they were cast, one tagger names the label in {says('tagger_label', 'ten columns')}."
    ]
    if audit["name"] == "fer2013":
        value, spread = reported_human()
        chosen, every = (_place(audit["ceiling"][name]["tagger_label"]["all"], value - spread, value + spread)
                         for name in (own, "ten columns"))  # fmt: skip
        lines.append(
            f"Reported for people is {100 * value:.0f} ± {100 * spread:.0f} % on a subset (claim data-05). One tagger who "
            f"names one of the {own.split()[0]}, {says('tagger_label')}, {chosen}; counted over all votes, "
            f"{says('tagger_label', 'ten columns')}, {every}."
        )
    if "truth_label" in audit["ceiling"][own]:
        lines.append(
            f"Against the truth, one tagger is right in {says('tagger_truth')} and the majority in {says('crowd_truth')}; "
            f"yet whoever always tells the truth agrees with the label in {says('truth_label')} only. A score above that "
            "does not come from seeing better, but from knowing the habits of the label."
        )
    return " ".join(lines)


def _place(row: dict, low: float, high: float) -> str:
    """Where a value lies against a range, and how far its interval reaches into it."""
    if low <= row["value"] <= high:
        return "lies in that range"
    shared = min(row["high"], high) - max(row["low"], low)
    reach = f", though its interval reaches {_number(shared)} points into it" * (shared > 0)
    return f"lies {'below' if row['value'] < low else 'above'} that range{reach}"


def gaps(audit: dict) -> pd.DataFrame:
    """Labels by group: share of right labels, group minus rest, in points, by the truth and by the votes alone."""
    table = pd.DataFrame(audit["gaps"]).T.sort_values("value")
    shown = pd.DataFrame({
        "images": [f"{n:,.0f}" for n in table["images"]], "by the truth (points)": table.apply(_cell, axis=1, sign="+"),
        "by the votes (points)": table.apply(_cell, axis=1, prefix="estimated_", sign="+"),
    })  # fmt: skip
    return shown.rename_axis("group")


def gap_reading(audit: dict, attribute: str, group: str, planted: float) -> str:
    """The planted gap and what was found of it."""
    row = pd.Series(audit["gaps"][f"{attribute}: {group}"], dtype=float)
    return (
        f"Planted: {100 * planted:.0f} points less for *{attribute}: {group}*. Found: {_cell(row, sign='+')} points by the "
        f"truth, {_cell(row, 'estimated_', '+')} by the votes alone (n = {row['images']:,.0f} images of the group)."
    )


def _cell(row: pd.Series, prefix: str = "", sign: str = "") -> str:
    """``52.4 [51.0, 53.8]`` in per cent or points, a dash where it is undefined."""
    value, low, high = (_number(row[f"{prefix}{part}"], sign) for part in ("value", "low", "high"))
    return value if "-" in (value, low) else f"{value} [{low}, {high}]"


def _number(share: float | None, sign: str = "") -> str:
    return "-" if pd.isna(share) else f"{100 * share:{sign}.1f}"


def _whole(share: float) -> str:
    return f"{100 * share:.0f} %"
