"""What every system stores of its predictions, whatever made them: the table, the metrics, where
and how it ran."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..analysis import metrics
from ..data.faceset import FaceSet
from ..settings.experiment import RunConfig, TransferConfig
from ..store.predictions import SUBSETS, Predictions
from ..training.protocol import Split


def prediction_table(faces: FaceSet, rows: Split) -> pd.DataFrame:
    """One row per validation and test image: ``row, split, label, copy_in_train,
    copy_in_validation``."""
    order = np.concatenate([rows.validation, rows.test])
    names = np.repeat(["validation", "test"], [len(rows.validation), len(rows.test)])
    return as_table(faces, order, names, rows.copy_in_train[order], rows.copy_in_validation[order])


def as_table(
    faces: FaceSet,
    rows: np.ndarray,
    split: np.ndarray,
    in_train: np.ndarray,
    in_validation: np.ndarray,
) -> pd.DataFrame:
    """The columns of ``Predictions.table`` for some rows of a set; ``in_...`` (n,) bool are the
    flags of copies."""
    return pd.DataFrame(
        {
            "row": rows.astype(np.int32),
            "split": split,
            "label": faces.labels[rows].astype(np.int8),
            "copy_in_train": in_train,
            "copy_in_validation": in_validation,
        }
    )


def stored(log_probabilities: np.ndarray) -> np.ndarray:
    """(n, K) float32, rounded to half precision as predictions are stored, so that metrics are of
    what is stored."""
    return log_probabilities.astype(np.float16).astype(np.float32)


FITTED_ON_VALIDATION = {"hog_svm": ("log_loss", "brier", "expected_calibration_error")}
"""Model -> metrics that depend on a temperature fitted on validation: not measured where validation
is scored as test."""


def scored_on(config: RunConfig | TransferConfig, view: str) -> tuple[str, ...]:
    """Subsets that a view may be scored on: merged images only where PublicTest neither trained nor
    chose anything.

    A transfer has only ``test``. No merged score have weights that validation chose (``best_...``,
    or an early stop) or may have chosen (a start from a run or a file, a teacher), folds and
    ``resplit``, whose validation images come from the training split.
    """
    if isinstance(config, TransferConfig):
        return ("test",)
    chosen = view.startswith("best_") or config.patience is not None
    chosen |= config.model.weights not in ("scratch", "imagenet") or bool(config.loss.teacher)
    apart = config.data.protocol == "official" and not config.data.folds
    return (
        SUBSETS if apart and not chosen else tuple(name for name in SUBSETS if "merged" not in name)
    )


def score(
    table: pd.DataFrame,
    views: dict[str, np.ndarray],
    classes: Sequence[str],
    config: RunConfig | TransferConfig,
) -> dict[str, dict[str, dict[str, float | None]]]:
    """view -> subset -> metric -> value, from what is stored; subsets without images are left out,
    NaN becomes None."""
    predictions, labels = Predictions(table, views), table["label"].to_numpy().astype(np.int64)
    fitted = (
        ()
        if isinstance(config, TransferConfig)
        else FITTED_ON_VALIDATION.get(config.model.name, ())
    )
    found: dict[str, dict] = {view: {} for view in views}
    for view, logits in views.items():
        for name in scored_on(config, view):
            rows = predictions.subset(name)
            if rows.any():
                left_out = fitted if "merged" in name else ()
                found[view][name] = _defined(
                    metrics.compute(logits[rows], labels[rows], classes), left_out
                )
    return found


def _defined(scores: dict[str, float], left_out: Sequence[str]) -> dict[str, float | None]:
    return {
        name: None if np.isnan(value) or name in left_out else float(value)
        for name, value in scores.items()
    }
