"""Tell what the votes of a crowd say without any network.

How often labels are wrong, and how well a person does.

Every figure is a share with its 95 % bootstrap interval over images; where the truth is known, it
is scored against it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import scipy

from ..analysis import metrics
from ..data.faceset import FaceSet
from .annotation import crowd_columns, majority

WEIGHED = "weighed once"
"""The estimator of label noise that the study uses; the others stand beside it for comparison."""

Beliefs = Callable[[np.ndarray, np.ndarray], np.ndarray]


def weigh(votes: np.ndarray, labels: np.ndarray, passes: int) -> np.ndarray:
    """Weigh how likely each class is the right one (Dawid and Skene, 1979).

    So many passes of their EM.

    It starts from the most voted classes, ties shared evenly. A pass counts how often a tagger, any
    of them, says each class of each right one, and how often the label does; it then weighs votes
    and label by these.

    Args:
        votes: (N, K) integer votes, at least one an image.
        labels: (N,) int64.

    Returns:
        (N, K) float64, rows sum to 1.
    """
    said = [votes.astype(np.float64), np.eye(votes.shape[1])[labels]]
    top = votes == votes.max(axis=1, keepdims=True)
    belief = top / top.sum(axis=1, keepdims=True)
    for _ in range(passes):
        prior = belief.sum(axis=0) + 0.1
        logits = np.tile(np.log(prior / prior.sum()), (len(votes), 1))
        for counts in said:
            confusion = belief.T @ counts + 0.1  # of a vote each: no class is ever impossible
            logits += counts @ np.log(confusion / confusion.sum(axis=1, keepdims=True)).T
        belief = np.exp(scipy.special.log_softmax(logits, axis=-1))
    return belief


ESTIMATORS: dict[str, Beliefs] = {
    "majority": lambda votes, _: np.eye(votes.shape[1])[_most_voted(votes)],
    "majority, ties shared": lambda votes, labels: weigh(votes, labels, 0),
    "share of the votes": lambda votes, _: votes / votes.sum(axis=1, keepdims=True),
    WEIGHED: lambda votes, labels: weigh(votes, labels, 1),
    "weighed to convergence": lambda votes, labels: weigh(votes, labels, 100),
}
"""Name -> from votes (N, K) and labels (N,) to (N, K): how likely each class is the right one. A
label is suspect where its class has less than half."""


def _most_voted(votes: np.ndarray) -> np.ndarray:
    """``majority`` of votes over the classes of FER2013 alone."""
    return majority(np.pad(votes, ((0, 0), (0, 10 - votes.shape[1]))), votes.shape[1])


def _intervals(parts: list[np.ndarray], of: list[np.ndarray]) -> list[np.ndarray]:
    """Ratios of sums of (N, M) ``parts`` and ``of``: (1 + R, M) each, the value, then draws."""
    sums = metrics.resampled(np.concatenate([*parts, *of], axis=1), None, 1000, 0)
    blocks = np.split(sums, len(parts) + len(of), axis=1)
    return [
        metrics.ratio(a, b) for a, b in zip(blocks[: len(parts)], blocks[len(parts) :], strict=True)
    ]


def _table(draws: np.ndarray, names: list[str], prefix: str = "") -> pd.DataFrame:
    """(1 + R, M) from ``_intervals`` as ``value, low, high``, a row a name."""
    rows = [metrics.estimate(column, 0, 0.95) for column in draws.T]
    columns = [f"{prefix}{part}" for part in ("value", "low", "high")]
    return pd.DataFrame([[r.value, r.low, r.high] for r in rows], index=names, columns=columns)


def _by_class(values: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """(N,) values as (N, K + 1): each in the column of its class and in the last one, of all."""
    return np.column_stack([np.eye(count)[classes] * values[:, None], values])


def label_noise(faces: FaceSet) -> dict:
    """Estimate the share of wrong labels by class of the label, by every estimator.

    Over the images with a vote for one of the classes.

    Returns:
        ``estimators``: name -> table by class (and ``all``): ``images``, ``value``, ``low``,
        ``high``; where the truth is known also ``true``, ``error_value`` (estimate minus truth)
        with its interval, and of suspect labels ``precision``, ``recall``. ``lost``: name ->
        classes that the votes for the images believed to be of it do not name most. ``says``: label
        -> class -> belief by ``WEIGHED``; ``true_says``: the same from the truth, None where
        unknown. The interval holds what the estimator learned about the crowd fixed.
    """
    columns, votes = crowd_columns(faces)
    voted = votes[:, columns].any(axis=1)
    votes, labels, names = votes[voted][:, columns], faces.labels[voted], [*faces.classes, "all"]
    true = faces.truth["true_label"][voted] if "true_label" in faces.truth else None
    beliefs = {name: estimator(votes, labels) for name, estimator in ESTIMATORS.items()}
    own, k = (np.arange(len(labels)), labels), faces.num_classes
    here = _by_class(np.ones(len(labels)), labels, k)
    wrong = None if true is None else _by_class((true != labels).astype(float), labels, k)
    doubts = {name: _by_class(1 - belief[own], labels, k) for name, belief in beliefs.items()}
    parts = [*doubts.values(), *([] if wrong is None else [wrong])]
    draws = _intervals(parts, [here] * len(parts))
    tables = {}
    for (name, doubt), drawn in zip(doubts.items(), draws, strict=False):
        table = _table(drawn, names)
        table.insert(0, "images", here.sum(axis=0).astype(int))
        if wrong is not None:
            suspect = (doubt > 0.5).astype(float)
            right = (suspect * wrong).sum(axis=0)
            table["true"] = draws[-1][0]
            table = table.join(_table(drawn - draws[-1], names, "error_"))
            table["precision"], table["recall"] = (
                metrics.ratio(right, x.sum(axis=0)) for x in (suspect, wrong)
            )
        tables[name] = table
    lost = {name: _lost(belief, votes, faces.classes) for name, belief in beliefs.items()}
    truth = None if true is None else _says(np.eye(k)[true], labels, faces.classes)
    return {
        "estimators": tables,
        "lost": lost,
        "says": _says(beliefs[WEIGHED], labels, faces.classes),
        "true_says": truth,
    }


def _lost(belief: np.ndarray, votes: np.ndarray, classes: tuple[str, ...]) -> list[str]:
    said = belief.T @ votes
    return [name for i, name in enumerate(classes) if said[i, i] < said[i].max()]


def _says(belief: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """Mean belief (columns) by label (rows), NaN where no image has the label."""
    hot = np.eye(len(classes))[labels]
    return pd.DataFrame(
        metrics.ratio(hot.T @ belief, hot.sum(axis=0)[:, None] * np.ones(len(classes))),
        classes,
        classes,
    )


# ------------------------------------------------------------------------------------ human ceiling


def leave_one_out(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score one tagger, drawn from those of an image, against the majority of the others.

    Exact expectations, ties shared evenly.

    Args:
        votes: (N, M) integer votes, at least two an image.

    Returns:
        agrees, weight, (N, M) float64 each: chance that the majority of the others is an option and
        the tagger names it too, and chance that it is that option.
    """
    agrees, weight = np.zeros(votes.shape), np.zeros(votes.shape)
    chance = votes / votes.sum(axis=1, keepdims=True)
    for option in range(votes.shape[1]):
        others = votes.astype(np.int64)
        others[:, option] -= 1
        top = others == others.max(axis=1, keepdims=True)
        winner = chance[:, option, None] * top / top.sum(axis=1, keepdims=True)
        agrees[:, option] = winner[:, option]
        weight += winner
    return agrees, weight


def human_ceiling(faces: FaceSet, num_options: int) -> dict[str, pd.DataFrame]:
    """Score how well people do on the test split.

    Over the images with two votes for the first ``num_options`` of ``VOTE_NAMES``.

    Returns:
        Question -> table by class (and ``all``) of ``value``, ``low``, ``high``, ``images``.
        ``tagger_crowd``: one tagger against the majority of the others, by that majority. By the
        label: ``tagger_label``, ``crowd_label`` (majority, ties shared) and, where the truth is
        known, ``truth_label``. By the truth: ``tagger_truth``, ``crowd_truth``.
    """
    columns, votes = crowd_columns(faces)
    rows = (faces.split == "test") & (votes[:, :num_options].sum(axis=1) > 1)
    votes, labels, k = votes[rows, :num_options], faces.labels[rows], faces.num_classes
    answers = {
        "tagger": votes / votes.sum(axis=1, keepdims=True),
        "crowd": weigh(votes, np.zeros(len(votes), int), 0),
    }
    references = {"label": labels}
    if "true_label" in faces.truth:
        references["truth"] = faces.truth["true_label"][rows]
    found = {
        "tagger_crowd": [
            np.column_stack([x[:, columns], x.sum(axis=1)]) for x in leave_one_out(votes)
        ]
    }
    for (answer, given), (reference, right) in (
        (a, r) for r in references.items() for a in answers.items()
    ):
        hits = given[np.arange(len(right)), columns[right]]
        found[f"{answer}_{reference}"] = [
            _by_class(x, right, k) for x in (hits, np.ones(len(right)))
        ]
    if "truth" in references:
        hits = (references["truth"] == labels).astype(float)
        found["truth_label"] = [_by_class(x, labels, k) for x in (hits, np.ones(len(labels)))]
    draws = _intervals([part for part, _ in found.values()], [of for _, of in found.values()])
    names = [*faces.classes, "all"]
    return {
        key: _table(drawn, names).assign(images=of.sum(axis=0))
        for (key, (_, of)), drawn in zip(found.items(), draws, strict=True)
    }


# ---------------------------------------------------------------------------------------- subgroups


def label_gaps(faces: FaceSet) -> pd.DataFrame:
    """Find groups of an attribute whose labels are right more or less often.

    Than those of all other images.

    Returns:
        Row ``attribute: group`` for every attribute of two to four values (of two, only the
        second): ``images``; ``value``, ``low``, ``high`` of the share of right labels, group minus
        rest; ``estimated_*``, the same by ``WEIGHED``, without the truth. Empty where no attribute
        is such.
    """
    columns, votes = crowd_columns(faces)
    voted = votes[:, columns].any(axis=1)
    labels, table = faces.labels[voted], faces.attributes[voted]
    belief = ESTIMATORS[WEIGHED](votes[voted][:, columns], labels)[np.arange(len(labels)), labels]
    right = (faces.truth["true_label"][voted] == labels).astype(float)
    groups = {
        f"{c}: {v}": (table[c] == v).to_numpy(float)
        for c in table
        if 2 <= table[c].nunique() <= 4
        for v in sorted(table[c].unique())[table[c].nunique() == 2 :]
    }
    if not groups:
        return pd.DataFrame()
    inside = np.stack(list(groups.values()), axis=1)
    sides = [inside, 1 - inside]
    draws = _intervals([s * x[:, None] for x in (right, belief) for s in sides], sides * 2)
    gaps = _table(draws[0] - draws[1], list(groups)).join(
        _table(draws[2] - draws[3], list(groups), "estimated_")
    )
    return gaps.assign(images=inside.sum(axis=0).astype(int))
