"""The design of our network: others of its cost beside it, and its steps. Validation chooses, so the steps are never scored
on the test split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from ...analysis import report, verdicts
from ...analysis.report import Record, Runs, percent
from ...data.labels import of_view
from ...models.cost import size
from .readings import NOT_YET, direction, not_yet, points

GOAL, CORE_HOURS = 0.70, 4.0
"""What our network was designed for: this accuracy on PrivateTest after two hours of training on two cores of a CPU."""

SAME = "not distinguishable"


def there(runs: Runs) -> Runs:
    """The networks that have records."""
    return {name: records for name, records in runs.items() if records}


def chosen_view(runs: Runs) -> str:
    """The evaluation view (weights and test-time crops) with the highest accuracy on validation; of equal ones the first,
    and ``last_single`` where nothing was scored on validation. A network counts once, by the mean over its seeds."""
    networks = list(there(runs).values())
    records = [record for network in networks for record in network]
    known = records[0].metrics if records else ()
    views = [
        view
        for view in known
        if all("validation" in r.metrics.get(view, {}) and view in r.predictions.views for r in records)
    ]

    def accuracy(view: str) -> float:
        return np.mean([np.mean([report.stored(r, "accuracy", view, "validation") for r in seeds]) for seeds in networks])

    return max(views, key=accuracy, default="last_single")


def choice(runs: Runs, view: str) -> str:
    """How the view was chosen, in words."""
    scored = any("validation" in record.metrics.get(view, {}) for records in runs.values() for record in records)
    return f"The view that validation chose: {of_view(view)}." if scored else f"No validation to choose by: {of_view(view)}."


def core_hours(records: Sequence[Record]) -> float:
    """Hours of training times threads, mean over seeds."""
    return float(np.mean([r.env["seconds"] * r.env["threads"] for r in records]) / 3600)


def cost(records: Sequence[Record]) -> dict[str, str]:
    """Size and cost of a network, as printed."""
    found = size(records[0].config.model, len(report.classes_of(records)))
    return {"parameters (M)": f"{found['parameters'] / 1e6:.2f}", "MFLOPs": f"{found['mflops']:.0f}",
            "core-hours of training": f"{core_hours(records):.1f}"}  # fmt: skip


def beside(runs: Runs, view: str) -> pd.DataFrame:
    """One row a network: what it costs, and its accuracy in ``view`` and in a single one."""
    rows = {}
    for name, records in there(runs).items():
        measured = {
            "validation": (view, "validation"), "test": (view, "test"),
            "test, no copy in train or validation": (view, "test_clean"), "test, a single view": ("last_single", "test"),
        }  # fmt: skip
        accuracy = {head: percent(report.interval(records, view=v, subset=s)) for head, (v, s) in measured.items()}
        rows[name] = cost(records) | accuracy | {"seeds": len(records)}
    return pd.DataFrame(rows).T.rename_axis("network")


def against(runs: Runs, view: str) -> str:
    """The first network minus every other on the same test images."""
    (ours, first), *others = runs.items()
    lines = []
    for name, records in others:
        if first and records:
            effect = report.difference(first, records, view=view)
            word = verdicts.qualified(direction(effect, "better", "worse", SAME), effect.n)
            lines.append(f"- {ours} minus {name}: {points(effect)}: **{word}**.")
    return "\n".join(lines) if lines else not_yet(runs)


def goal(runs: Runs, view: str) -> str:
    """Whether the first network reached what it was designed for, by its whole interval."""
    ours, records = next(iter(runs.items()))
    if not records:
        return NOT_YET
    found, hours = report.interval(records, view=view), core_hours(records)
    devices = ", ".join(dict.fromkeys(r.env["device"] for r in records))
    short = found.high < GOAL or hours > CORE_HOURS
    word = "not reached" if short else "reached" if found.low >= GOAL else "undecided"
    word = verdicts.qualified(word, len(records))
    return (
        f"The aim was {100 * GOAL:.0f} % of PrivateTest, the whole interval above it, after at most "
        f"{CORE_HOURS:.0f} core-hours of training on a CPU ({CORE_HOURS / 2:.0f} hours on two cores), everything "
        f"chosen on PublicTest. `{ours}`: {percent(found)} after "
        f"{hours:.1f} core-hours on {devices}: **{word}**."
    )


def numbers(runs: Runs, view: str) -> dict[str, str]:
    """What other pages quote: the accuracy of the first network on the test split, its seeds and view, and what it took."""
    records = next(iter(runs.values()))
    if not records:
        return {"accuracy_ours": percent(report.MISSING), "core_hours_ours": "-"}
    said = f"{percent(report.interval(records, view=view))} ({verdicts.seeds([len(records)])}; {of_view(view)})"
    return {"accuracy_ours": said, "core_hours_ours": f"{core_hours(records):.1f}"}


def steps(runs: Runs) -> pd.DataFrame:
    """One row a step, in order: size, accuracy and loss on validation, and the paired difference from the step before."""
    rows: dict[str, dict] = {}
    before: list[Record] = []
    for name, records in there(runs).items():
        change = points(report.difference(records, before, subset="validation")) if before else "-"
        loss = report.interval(records, "log_loss", subset="validation").value
        rows[name] = cost(records) | {
            "validation": percent(report.interval(records, subset="validation")),
            "log loss": "-" if np.isnan(loss) else f"{loss:.3f}",
            "accuracy minus the step before": change, "seeds": len(records),
        }  # fmt: skip
        before = records
    return pd.DataFrame(rows).T.rename_axis("step")


def argued(runs: Runs) -> str:
    """Verdicts on each step and on all of them together, by paired differences of accuracy and log loss on validation."""
    made = list(there(runs).items())
    changes = [(f"*{name}*", before, records) for (_, before), (name, records) in pairwise(made)]
    if len(made) > 2:
        changes.append(("all of them together", made[0][1], made[-1][1]))
    lines = []
    for what, before, records in changes:
        right = report.difference(records, before, subset="validation")
        loss = report.difference(records, before, "log_loss", subset="validation")
        words = direction(right, "better", "worse", SAME), direction(loss, "worse", "better", SAME)
        of_right, of_loss = (verdicts.qualified(word, right.n) for word in words)
        lines.append(f"- {what}: accuracy {points(right)}: **{of_right}**; log loss {report.plain(loss)}: **{of_loss}**.")
    return "\n".join(lines) if lines else not_yet(runs)
