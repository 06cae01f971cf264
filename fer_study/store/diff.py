"""Two records compared: is it the same experiment, and does it say the same?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from .. import store
from ..settings.errors import InputError
from . import Record
from .record_files import listed

LOG_PROBABILITY = 0.05
"""Within tolerance, no stored log-probability (half precision) differs by more,"""
DECISIONS = 0.005
"""and in no view more than this share of the images gets another class."""

EQUAL, WITHIN, DIFFERENT = "equal to the last bit", "within tolerance", "different"


class Comparison(NamedTuple):
    """Two records side by side.

    Attributes:
        verdict: ``EQUAL``, ``WITHIN`` or ``DIFFERENT``.
        reason: what cannot be compared, e.g. other images, or views of one record only; empty where
            everything can.
        config: fields of the config that differ: columns ``a, b``.
        views: a row a view of both: ``images``, largest ``log_probability`` difference,
            ``decisions`` that differ.
        metrics: a row a view, subset and metric that differs: columns ``a, b``.
    """

    verdict: str
    reason: str
    config: pd.DataFrame
    views: pd.DataFrame
    metrics: pd.DataFrame


def find(name: str) -> Record:
    """The finished record of a key or of its first digits, at least six, or in a folder.

    Raises:
        InputError: there is none, there are several, or it holds no predictions.
    """
    folder = Path(name)
    if (folder / "done").is_file():
        record = Record(folder, published=False)
    else:
        record = store.lookup(whole_key(name))
    if record is None:
        places = f"{store.local_root()}, {store.published_root()}"
        raise InputError(
            f"no finished record {name!r}: neither a folder with one nor a key in {places}"
        )
    if "predictions.parquet" not in listed(record.folder):
        raise InputError(f"{name}: a record without predictions, which alone are compared")
    return record


def whole_key(name: str) -> str:
    """The key of a finished record that begins with ``name``, at least six of its digits; any other
    name stays as it is.

    Raises:
        InputError: several keys begin so.
    """
    if not re.fullmatch("[0-9a-f]{6,15}", name):
        return name
    roots = (store.local_root(), store.published_root())
    keys = sorted({done.parent.name for root in roots for done in root.glob(f"{name}*/done")})
    if len(keys) > 1:
        raise InputError(f"{name!r} begins several keys: {', '.join(keys)}; give more digits")
    return keys[0] if keys else name


def compare(a: Record, b: Record) -> Comparison:
    """Compare config, predictions of every view, and metrics.

    The verdict is about predictions and metrics, whatever made them.
    """
    config = differences(flat(a.config.resolved()), flat(b.config.resolved()))
    metrics = differences(flat(a.metrics), flat(b.metrics))
    ours, theirs = a.predictions, b.predictions
    if not ours.table.equals(theirs.table):
        return Comparison(
            DIFFERENT, "other images, labels or copies", config, pd.DataFrame(), metrics
        )
    rows = {}
    for name in ours.views:
        if name in theirs.views:
            x, y = ours.views[name], theirs.views[name]
            changed = int((x.argmax(axis=1) != y.argmax(axis=1)).sum())
            largest = float(np.abs(x.astype(np.float64) - y).max(initial=0))
            rows[name] = {"images": len(x), "log_probability": largest, "decisions": changed}
    views = pd.DataFrame.from_dict(
        rows, orient="index", columns=["images", "log_probability", "decisions"]
    )
    # older records keep the predictions of more views
    alone = sorted(set(ours.views) ^ set(theirs.views))
    reason = f"views of one record only: {', '.join(alone)}" if alone else ""
    if not views["log_probability"].any() and not (metrics != "-").all(axis=1).any() and rows:
        return Comparison(EQUAL, reason, config, views, metrics)
    close = (views["log_probability"] <= LOG_PROBABILITY) & (
        views["decisions"] <= DECISIONS * views["images"]
    )
    return Comparison(WITHIN if rows and close.all() else DIFFERENT, reason, config, views, metrics)


def flat(nested: dict, above: str = "") -> dict[str, object]:
    """Nested dicts and lists as one, with dotted names."""
    found: dict[str, object] = {}
    for name, value in nested.items():
        if isinstance(value, list):
            value = {str(i): item for i, item in enumerate(value)}
        found |= (
            flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
        )
    return found


def differences(a: dict[str, object], b: dict[str, object]) -> pd.DataFrame:
    """Find names whose values differ (two NaN are equal), with both values.

    ``-`` where a record lacks the name.
    """
    rows = {}
    for name in dict.fromkeys([*a, *b]):
        x, y = a.get(name, "-"), b.get(name, "-")
        if x != y and not (x != x and y != y):
            rows[name] = {"a": x, "b": y}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["a", "b"])


def render(found: Comparison) -> str:
    """The comparison in words, the verdict last."""
    parts = ["same config" if found.config.empty else f"config:\n{found.config.to_string()}"]
    if len(found.views):
        shown = found.views.rename(
            columns={
                "log_probability": "largest difference of a log-probability",
                "decisions": "other decisions",
            }
        )
        parts.append(shown.to_string(float_format="%.4f"))
    parts.append(
        "same metrics" if found.metrics.empty else f"metrics:\n{found.metrics.to_string()}"
    )
    tolerance = (
        f"log-probabilities {LOG_PROBABILITY}, decisions {100 * DECISIONS:g} % of the images"
    )
    reason = f" ({found.reason})" if found.reason else ""
    parts.append(f"{found.verdict}{reason}; tolerance: {tolerance}")
    return "\n\n".join(parts) + "\n"
