"""What is known of a trained model: its scores on the test split, and the card that says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import store
from ..analysis import conformal, metrics
from ..analysis.other_labels import as_shares
from ..settings.experiment import AuditConfig

if TYPE_CHECKING:
    from .model_folder import Settings

KINDS = {
    "last": "the last weights of the training",
    "best": "the weights of the epoch with the best accuracy on validation",
}
SCALARS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "expected_calibration_error")
SHOWN_LEVELS = (80, 90, 95)
NAMES = {
    "test": "all images",
    "no_exact_copy": "without images that have an exact copy in training or validation",
    "no_near_copy": "without images that have a near copy there",
    "crowd": "all images, against the class that most of the crowd named",
    "crowd_no_near_copy": "the same without near copies",
}

CARD = """# {s.network.name}

A network that names the expression a person would see in a face. Written by `fer-study export`.

- **Network**: {s.network.name}, {options}
- **Weights**: {precision}, {megabytes:.1f} MB
- **Input**: {channels} faces of {s.size} x {s.size} pixels
- **Classes**: {classes}
- **Trained on**: {s.dataset} (fingerprint {s.fingerprint}), split protocol {s.protocol}
- **Run**: {s.name}, seed {s.seed}, record {s.record}
- **Licence**: BSD 3-Clause where the weights came with the package `fer-study`; of others, whoever
  trained them says it. The terms of {s.dataset} are its owners' own.

## Scores on the test split

One image, one view, {kind}. Nothing was chosen on this
split. In brackets, 95 % intervals over images (Wilson, 1927; for shares of a crowd, the bootstrap).
The spread of trainings with other seeds is not in them. They are of the training's own precision.
Recipes of this study were chosen on PublicTest of FER2013. Calibration errors in this table are
before the temperature. A near copy is an image that correlates with another one, or with its
mirror image, as the audit of the data says.

{scores}

On the images that it learned from, seen as they are, accuracy is {training}. Always saying the
commonest class of the test split would be right in {commonest}.

## Calibration

Log-probabilities are divided by {s.temperature:.3f} before the softmax. That number has the least
log loss on the {s.calibrated_on:,} validation images (Guo et al., 2017). On the test split the
expected calibration error is {before} before and {after} after it.

Conformal sets hold the label at least as often as their level says, on average over images drawn
as the validation images were (split conformal prediction with the score 1 - p: Sadinle, Lei and
Wasserman, 2019). That is a mean over many draws of {s.calibrated_on:,} images; one
draw of few can be off. No class is promised that for itself.{chosen} On the test split:

{coverage}

## Limits

- The labels are {labels}. They are not what anybody felt.
- Scores and sets are for pictures like those of the dataset. How good the model is on yours is not
  known.
- Faces are looked for by a detector of upright frontal faces. It misses turned, covered and small
  ones.
- Errors differ between classes. They may differ between groups of people: who is in the pictures of
  the dataset is not known, so that was not measured.
- **Not for decisions about people**: not in hiring, schools, medicine or policing, not at borders,
  and not to watch anybody.

## Use

```python
from fer_study import predict

table = predict("picture.jpg", model="{folder}")
```
"""


def test_scores(settings: Settings, said: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Score the predictions of a model on the test split of its record.

    Args:
        said: (N, K) log-probabilities, a row for each of the record's predictions.

    Returns:
        For each of ``NAMES`` that can be known: ``n``, ``SCALARS`` and the ends of the interval of
        accuracy; ``recall_<class>`` with the ends of its interval; ``calibrated``: the expected
        calibration error at the temperature; ``level_<percent>``: how many sets hold the label, of
        all images and of the class with the fewest, and their mean size. NaN is None.
        ``train``: ``accuracy`` on the training images, of records that say it.
    """
    record, classes = store.lookup(settings.record), settings.classes
    predictions = record.predictions
    rows = predictions.subset("test")
    view = f"{settings.weights}_single"
    labels = predictions.table["label"].to_numpy(np.int64)
    found: dict[str, dict[str, float]] = {}
    for name, (keep, target) in targets(record, labels, len(classes)).items():
        found[name] = bounded(said[keep], target[keep], SCALARS, classes)
    for name in classes:
        own = rows & (labels == classes.index(name))
        found[f"recall_{name}"] = bounded(said[own], labels[own], [f"recall_{name}"], classes)
    calibrated = metrics.compute(said[rows] / settings.temperature, labels[rows], classes)
    found["calibrated"] = {"expected_calibration_error": calibrated[SCALARS[-1]]}
    found["train"] = {"accuracy": record.metrics[view].get("train", {}).get("accuracy", np.nan)}
    for percent in SHOWN_LEVELS:
        members = conformal.sets(np.exp(said[rows]), settings.thresholds[str(percent)])
        hit = members[np.arange(len(members)), labels[rows]]
        found[f"level_{percent}"] = {
            "coverage": hit.mean(),
            "size": members.sum(axis=1).mean(),
            "lowest": min(hit[labels[rows] == k].mean() for k in np.unique(labels[rows])),
        }
    return {
        name: {key: None if np.isnan(x) else float(x) for key, x in values.items()}
        for name, values in found.items()
    }


def targets(
    record: store.Record, labels: np.ndarray, classes: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Say which rows of the predictions are scored, (N,) bool, against what, (N,) or (N, K)."""
    predictions = record.predictions
    place, rows = predictions.table["row"].to_numpy(), predictions.subset("test")
    found = {"test": (rows, labels), "no_exact_copy": (predictions.subset("test_clean"), labels)}
    known = audit_rows(record.config.data.fingerprint)
    if "near_copy" in known and record.config.data.protocol == "official":
        apart = found["no_exact_copy"][0] & ~known["near_copy"][place]
        found["no_near_copy"] = (apart, labels)
    if "crowd" in known:
        shares = as_shares(known["crowd"], classes)[place][:, :classes]
        voted = shares.any(axis=1)
        found["crowd"] = (rows & voted, shares)
        if "no_near_copy" in found:
            found["crowd_no_near_copy"] = (apart & voted, shares)
    return found


def audit_rows(fingerprint: str) -> dict[str, np.ndarray]:
    """Read what an audit of this exact data says of its images (``Record.rows``); empty: none."""
    for root in (store.local_root(), store.published_root()):
        for path in sorted(root.glob("*/audit.json")):
            record = store.lookup(path.parent.name)
            config = record and record.config
            if isinstance(config, AuditConfig) and config.data.fingerprint == fingerprint:
                return record.rows
    return {}


def bounded(
    said: np.ndarray, target: np.ndarray, names: Sequence[str], classes: Sequence[str]
) -> dict[str, float]:
    """Compute metrics over n images, and the ends of the interval of the first, a share."""
    table = metrics.bootstrap_interval(said, target, names, classes=classes)
    value, low, high = table.iloc[0][["value", "low", "high"]]
    if target.ndim == 1:  # the bootstrap of a recall of 0 would be sure of it
        low, high = metrics.wilson_interval(round(np.nan_to_num(value) * len(said)), len(said))
    ends = {f"{names[0]}_low": low, f"{names[0]}_high": high}
    return {"n": len(said), **table["value"].to_dict(), **ends}


def card(settings: Settings, size: int, folder: str) -> str:
    """Write the model card.

    Args:
        size: bytes of the weights.
    """
    scores, options = settings.scores, settings.network.options
    known = [settings.scores[f"recall_{name}"]["n"] or 0 for name in settings.classes]
    drawn, best = settings.dataset == "synthetic", settings.weights == "best"
    return CARD.format(
        s=settings,
        options=", ".join(f"{name} {value}" for name, value in options.items()) or "no options",
        precision="half precision" if settings.precision == "float16" else "single precision",
        megabytes=size / 1e6,
        channels="gray" if settings.channels == 1 else "coloured",
        classes=", ".join(settings.classes),
        scores=score_table(settings),
        training=number(settings.scores.get("train", {}).get("accuracy")),
        kind=KINDS[settings.weights],
        chosen=" These images chose\nthe epoch, too, so the promise is a rough one."
        if best
        else "",
        commonest=number(max(known) / sum(known)),
        labels="what a simulated tagger wrote" if drawn else "what people said of pictures",
        before=number(scores["test"]["expected_calibration_error"]),
        after=number(scores["calibrated"]["expected_calibration_error"]),
        coverage=coverage_table(settings),
        folder=folder,
    )


def number(value: float | None, digits: int = 3) -> str:
    """Write a number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def score_table(settings: Settings) -> str:
    """Lay the scores out as two tables in Markdown."""
    rows = []
    for key, name in NAMES.items():
        if row := settings.scores.get(key):
            rows.append([name, f"{row['n']:,.0f}", ranged(row, "accuracy"),
                         *(number(row[x]) for x in SCALARS[1:])])  # fmt: skip
    head = ["test images", "n", *(x.replace("_", " ") for x in SCALARS)]
    recalls = []
    for name in settings.classes:
        row = settings.scores[f"recall_{name}"]
        recalls.append([name, f"{row['n']:,.0f}", ranged(row, f"recall_{name}")])
    return f"{markdown(head, rows)}\n\n{markdown(['label', 'n', 'recall'], recalls)}"


def coverage_table(settings: Settings) -> str:
    """Lay out how often sets hold the label, as a table in Markdown."""
    rows = [(settings.scores[f"level_{x}"], x) for x in SHOWN_LEVELS]
    made = [
        [f"{x} %", number(row["coverage"]), number(row["lowest"]), number(row["size"], 2)]
        for row, x in rows
    ]
    head = ["level", "sets with the label", "the same, lowest of a class", "classes in a set, mean"]
    return markdown(head, made)


def ranged(row: dict[str, float | None], name: str) -> str:
    """Write a metric with its interval."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{number(row[name])} [{number(low)}, {number(high)}]"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
