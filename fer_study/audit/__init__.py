"""Audit of a dataset: copies and leakage, blank images, label noise, class balance, class weights.

``run(faces)`` computes everything once; its ``summary()`` is the same as plain numbers. Where a
generator planted the faults (``faces.truth``), the audit itself is scored against them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..data.copies import NEAR, copy_groups, duplicate_groups, near_pairs
from ..data.doctor import examine
from ..data.faceset import SPLITS, FaceSet
from ..data.faults import NEARLY_BLANK
from ..settings.errors import InputError
from .annotation import (
    PRINTED_WEIGHTS,
    VOTE_OPTIONS,
    agreement,
    balance,
    class_weights,
    count_votes,
    gains,
    inverse_frequency,
    majority,
    majority_shares,
    transitions,
)
from .copies import RELATIONS, blank, count_copies, has_copy, leakage
from .crowd import human_ceiling, label_gaps, label_noise

__all__ = [
    "NEAR", "NEARLY_BLANK", "PRINTED_WEIGHTS", "RELATIONS", "VOTE_OPTIONS", "AuditReport",
    "agreement", "balance",
    "blank", "class_weights", "copy_groups", "count_copies", "count_votes",
    "duplicate_groups", "gains", "has_copy",
    "human_ceiling", "inverse_frequency", "label_gaps", "label_noise", "leakage", "majority",
    "majority_shares",
    "near_pairs", "run", "score_against_truth", "transitions",
]  # fmt: skip


@dataclass(frozen=True)
class AuditReport:
    """Everything the audit found, in tables.

    Attributes:
        name: name of the dataset.
        fingerprint: its fingerprint.
        threshold: correlation from which two images are near copies.
        group: (N,) int64, equal for pixel-identical images.
        pairs: near pairs, exact ones included (``near_pairs``).
        groups: groups of identical images (``duplicate_groups``).
        leakage: images with a copy elsewhere (``leakage``).
        blanks: one row a blank or nearly blank image: row, split, class, grey levels spanned.
        balance: images by split and class.
        weights: class weights by formula (``class_weights``).
        votes: images by the number of their votes (``count_votes``); empty without votes.
        agreement: key of ``VOTE_OPTIONS`` -> table (``agreement``); empty without votes.
        transitions: key of ``VOTE_OPTIONS`` -> table (``transitions``); empty without votes.
        gains: key of ``VOTE_OPTIONS`` -> table (``gains``); empty without votes.
        noise: label noise by class (``label_noise``); empty without votes.
        ceiling: key of ``VOTE_OPTIONS`` -> how well people do (``human_ceiling``); empty without
            votes. As above, only options that hold all classes of the set.
        gaps: labels by group of an attribute (``label_gaps``); empty without votes, attributes or
            truth.
        truth: scores of the audit (``score_against_truth``); empty for real data.
        doctor: what the doctor says of the set (``data.doctor.examine``).
    """

    name: str
    fingerprint: str
    threshold: float
    group: np.ndarray
    pairs: pd.DataFrame
    groups: pd.DataFrame
    leakage: pd.DataFrame
    blanks: pd.DataFrame
    balance: pd.DataFrame
    weights: pd.DataFrame
    votes: dict[str, int]
    agreement: dict[str, pd.DataFrame]
    transitions: dict[str, pd.DataFrame]
    gains: dict[str, pd.DataFrame]
    noise: dict[str, object]
    ceiling: dict[str, dict[str, pd.DataFrame]]
    gaps: pd.DataFrame
    truth: dict[str, dict[str, float]]
    doctor: dict[str, object]

    def summary(self) -> dict:
        """The report without its rows of single images: plain dicts, lists, numbers and strings;
        undefined is None."""
        levels, per_class = self.blanks["levels"], self.balance.drop(columns="total")
        report = {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "images": len(self.group),
            "classes": list(per_class.columns),
            "threshold": self.threshold,
            "exact": _count_groups(self.groups),
            "exact_without_blank": _count_groups(self.groups[~self.groups["blank"]]),
            "near_pairs": len(self.pairs),
            "blank": _by_split(self.blanks[levels == 0]),
            "nearly_blank": _by_split(self.blanks[levels > 0]),
            "leakage": self.leakage.to_dict("records"),
            "balance": self.balance,
            "class_share": per_class.div(
                self.balance["total"].where(self.balance["total"] > 0), axis=0
            ),
            "weights": self.weights,
            "votes": self.votes,
            "agreement": self.agreement,
            "transitions": self.transitions,
            "gains": self.gains,
            "noise": self.noise,
            "ceiling": self.ceiling,
            "gaps": self.gaps,
            "truth": self.truth,
            "doctor": self.doctor,
        }
        return _plain(report)


def run(faces: FaceSet, threshold: float = NEAR, score: bool = True) -> AuditReport:
    """The whole audit of a dataset.

    Args:
        faces: the dataset.
        threshold: correlation from which two images are near copies.
        score: score the audit where the truth is known; False for a selection of a generated
            dataset.
    """
    group, pairs = copy_groups(faces.images), near_pairs(faces.images, threshold)
    weights = class_weights(faces)
    options = (
        {}
        if faces.votes is None
        else {name: n for name, n in VOTE_OPTIONS.items() if n >= faces.num_classes}
    )
    knows_groups = bool(options) and len(faces.attributes) > 0 and "true_label" in faces.truth
    return AuditReport(
        name=faces.name,
        fingerprint=faces.fingerprint,
        threshold=threshold,
        group=group,
        pairs=pairs,
        groups=duplicate_groups(faces, group),
        leakage=leakage(faces, group, pairs),
        blanks=_blanks(faces),
        balance=balance(faces),
        weights=weights,
        votes=count_votes(faces),
        agreement={name: agreement(faces, n) for name, n in options.items()},
        transitions={name: transitions(faces, n) for name, n in options.items()},
        gains={name: gains(faces, n) for name, n in options.items()},
        noise=label_noise(faces) if options else {},
        ceiling={name: human_ceiling(faces, n) for name, n in options.items()},
        gaps=label_gaps(faces) if knows_groups else pd.DataFrame(),
        truth=score_against_truth(faces, group, pairs) if score else {},
        doctor=examine(faces, group),
    )


def score_against_truth(
    faces: FaceSet, group: np.ndarray, pairs: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """Score how well the audit finds the faults that a generator planted.

    Only those on record are scored.

    Args:
        faces: a whole generated dataset: ``truth["duplicate_of"]`` counts its rows, so a selection
            cannot be scored.
        group: (N,) int64 from ``copy_groups``.
        pairs: from ``near_pairs``.

    Returns:
        ``exact_copies`` and ``near_copies``, over pairs of images that are not blank, where copies
        of one original are pairs too; ``blank``, over images. Each has ``planted``, ``found``,
        ``precision``, ``recall``; the recall of near copies is NaN where every planted pair is
        exact, for then it says nothing of near ones. Label noise is scored where it is estimated
        (``label_noise``).

    Raises:
        InputError: a row in ``duplicate_of`` is not in the dataset.
    """
    truth, scores = faces.truth, {}
    blanks = blank(faces.images)
    if "duplicate_of" in truth:
        first, second = (pairs[c].to_numpy() for c in ("first", "second"))
        root = _roots(truth["duplicate_of"])
        right, exact = root[first] == root[second], group[first] == group[second]
        planted, planted_exact = _pairs(root[~blanks]), _pairs(root[~blanks], group[~blanks])
        scores["exact_copies"] = _score(int(right[exact].sum()), int(exact.sum()), planted)
        scores["near_copies"] = _score(int(right.sum()), len(right), planted)
        if planted == planted_exact:
            scores["near_copies"]["recall"] = float("nan")
    if "blank" in truth:
        known = truth["blank"].astype(bool)
        scores["blank"] = _score(int((known & blanks).sum()), int(blanks.sum()), int(known.sum()))
    return scores


def _pairs(*groups: np.ndarray) -> int:
    """Pairs of images that are in one group by each of some groupings, (N,) int64 each."""
    sizes = np.unique(np.stack(groups), axis=1, return_counts=True)[1]
    return int((sizes * (sizes - 1) // 2).sum())


def _score(right: int, found: int, planted: int) -> dict[str, float]:
    precision, recall = (right / n if n else float("nan") for n in (found, planted))
    return {"planted": planted, "found": found, "precision": precision, "recall": recall}


def _roots(duplicate_of: np.ndarray) -> np.ndarray:
    """(N,) int64: first original of each image, itself where it is none; chains are followed."""
    n = len(duplicate_of)
    if n and duplicate_of.max() >= n:
        raise InputError(
            f"truth['duplicate_of'] names row {duplicate_of.max()} of {n}: a selection cannot be "
            "scored (score=False)"
        )
    own = np.arange(n)
    parent = np.where(duplicate_of < 0, own, duplicate_of)
    while (parent[parent] != parent).any():
        parent = parent[parent]
    return parent


def _blanks(faces: FaceSet) -> pd.DataFrame:
    """One row a blank or nearly blank image."""
    rows = np.flatnonzero(blank(faces.images, NEARLY_BLANK))
    flat = faces.images[rows].reshape(len(rows), int(np.prod(faces.images.shape[1:])))
    classes = np.array(faces.classes, dtype=str)[faces.labels[rows]]
    return pd.DataFrame(
        {"row": rows, "split": faces.split[rows], "class": classes, "levels": np.ptp(flat, axis=1)}
    )


def _by_split(images: pd.DataFrame) -> dict[str, int]:
    return images["split"].value_counts().reindex(SPLITS, fill_value=0).to_dict()


def _count_groups(groups: pd.DataFrame) -> dict[str, int]:
    """Count groups and their images: all, across splits, with several labels, by pair of splits."""
    across = {
        f"{a}+{b}": ((groups[a] > 0) & (groups[b] > 0)).sum()
        for a, b in itertools.combinations(SPLITS, 2)
    }
    sums = {
        "images": groups["images"].sum(),
        **{c: groups[c].sum() for c in ("crosses", "conflicting")},
    }
    return {"groups": len(groups), **sums, "across": across}


def _plain(value: object) -> object:
    """Nested tables, dicts and numpy numbers as what JSON knows."""
    if isinstance(value, pd.DataFrame):
        value = value.to_dict("index")
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value
