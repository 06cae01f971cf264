"""Claims of the sources beside what the records say of them: a line a claim, its verdict by the rule (``verdicts``)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...analysis import claims, verdicts
from ...analysis.metrics import Estimate
from ...analysis.report import Runs, classes_of, difference, interval, percent, plain, title
from ...data.labels import FER2013
from . import findings
from .readings import direction, points

LOOKS = {"happy": "lower", "surprise": "middle", "angry": "lower"}
"""Class -> the third of the image with the part that claim ladder-12 names: mouth, eyes, open mouth."""

EVEN = ("more than even", "less than even", "not told apart from even")


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


def ladder(runs: Runs, edition: str) -> str:
    """What is claimed of the four networks together: of their shortcuts, of the goal, and of overfitting."""
    systems = {model: runs.get(title(model), []) for model in findings.LADDER}
    scale, goal = all(map(findings.as_claimed, systems.values())), float(claims.load().loc["ladder-14", "value"])
    stated = [claims.reported(findings.LADDER[model]) for model in ("simple_resnet", "kernel_cnn")]
    own = f"in its own table {100 * stated[0]:.2f} % with them and {100 * stated[1]:.2f} % without"
    shortcuts = difference(systems["simple_resnet"], systems["kernel_cnn"])
    pair = f"{title('simple_resnet')} minus {title('kernel_cnn')}: {points(shortcuts)}"
    found = {title(model): interval(records) for model, records in systems.items()}
    short = [_beyond(accuracy, goal, -1) for accuracy in found.values()]
    gaps = {title(model): findings.loss_gap(records) for model, records in systems.items()}
    return "\n".join([
        line("ladder-13", edition, [(own, "refuted by its source" if stated[0] < stated[1] else "as its source has it"),
                                    (pair, verdicts.ordering([shortcuts], scale))]),
        line("ladder-14", edition, [(_listed({name: percent(accuracy) for name, accuracy in found.items()}),
                                     verdicts.ordering(short, scale))]),
        line("ladder-15", edition, [("validation minus training loss (with augmentation and dropout) at the last epoch: "
                                     + _listed({name: plain(gap) for name, gap in gaps.items()}),
                                     verdicts.ordering(list(gaps.values()), scale))]),
    ])  # fmt: skip


def _listed(shown: dict[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in shown.items())


def errors(runs: Runs, edition: str) -> str:
    """What is claimed of the confusions, of the recall of the best network, and of where the networks look."""
    ours = runs.get(title("cbam_cnn"), [])
    scale, lead = findings.as_claimed(ours), findings.pair_lead(ours, ("sad", "neutral"))
    limit, lowest = map(float, re.findall(r"0\.\d+", claims.load().loc["ladder-10", "value"]))
    classes = classes_of(ours)
    recall = {c: interval(ours, f"recall_{c}", subset="validation") for c in classes}
    stated = [_beyond(r, limit, 1 if c in ("neutral", "happy") else -1) for c, r in recall.items()]
    high = ", ".join(f"{c} {percent(recall[c])}" for c in classes if recall[c].value > limit)
    looks = []
    for name, records in runs.items():
        thirds = findings.saliency_thirds(records)
        parts = {c: thirds[classes_of(records).index(c)][list(findings.THIRDS).index(third)] for c, third in LOOKS.items()}
        more = {c: _beyond(share, 1 / 3) for c, share in parts.items()}
        shown = [f"{c} {percent(parts[c])} in the {LOOKS[c]} third ({direction(more[c], *EVEN)})" for c in LOOKS]
        looks.append((f"{name}: {', '.join(shown)}", verdicts.ordering(list(more.values()), findings.as_claimed(records))))
    return "\n".join([
        line("ladder-09", edition, [("sad <-> neutral minus the other pair that all seeds together confuse most, "
                                     f"{points(lead)} of all test images", verdicts.ordering([lead], scale))]),
        line("ladder-10", edition, [(f"above {100 * limit:.0f} %: {high or 'none'}", verdicts.ordering(stated, scale)),
                                    (f"surprise {percent(recall['surprise'])}",
                                     verdicts.number(recall["surprise"], lowest, scale))]),
        line("ladder-12", edition, looks),
    ])  # fmt: skip


def _beyond(share: Estimate, limit: float, sign: int = 1) -> Estimate:
    """A share minus a limit; with ``sign`` -1, the limit minus the share."""
    low, high = sorted((sign * (share.low - limit), sign * (share.high - limit)))
    return share._replace(value=sign * (share.value - limit), low=low, high=high)
