"""Labels and what they say: crowd votes against labels, class balance, class weights."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.faceset import SPLITS, FaceSet
from ..data.labels import FER2013, VOTE_NAMES
from ..data.votes import majority
from ..settings.errors import InputError
from .copies import share

VOTE_OPTIONS = {"seven emotions": 7, "eight emotions": 8, "ten columns": 10}
"""Which votes an arg-max may run over -> the first so many of ``VOTE_NAMES``."""

PRINTED_WEIGHTS = (0.81, 7.31, 0.78, 0.44, 0.66, 0.99, 0.65)
"""Class weights as printed in the source, FER2013 order (claim weight-01)."""

SOURCE_TOTAL = 28_000
"""Number of images in the source's worked example of its formula (claim weight-02)."""


def count_votes(faces: FaceSet) -> dict[str, int]:
    """Count images by the number of their votes: do as many taggers as stated stand behind each?

    Returns:
        Number of votes -> images that have so many; empty without votes.
    """
    if faces.votes is None:
        return {}
    numbers, images = np.unique(faces.votes.sum(axis=1), return_counts=True)
    return {str(votes): int(count) for votes, count in zip(numbers, images, strict=True)}


def agreement(faces: FaceSet, num_options: int = 10) -> pd.DataFrame:
    """Hold labels against crowd votes, by class of the label and for all classes.

    Returns:
        Table of ``images``, ``voted`` (images with a vote for one of the options) and shares of
        these: ``equal`` (label is the majority, ties as in ``majority``), ``equal_strict`` (a tie
        counts as disagreement), ``equal_lenient`` (a tie that the label takes part in counts as
        agreement), ``tied``; and ``no_vote``, the share of all images whose label has no vote.
    """
    classes, votes = crowd_columns(faces)
    options = np.where(np.arange(len(VOTE_NAMES)) < num_options, votes, 0)
    top = (options == options.max(axis=1, keepdims=True)) & (options > 0)
    voted, tied = options.any(axis=1), top.sum(axis=1) > 1
    own = np.arange(len(faces)), classes[faces.labels]
    equal = majority(votes, num_options) == own[1]
    rows = []
    for label, name in enumerate((*faces.classes, "all")):
        mask = (faces.labels == label) | (name == "all")
        use = mask & voted
        shares = [share(x[use]) for x in (equal, top[own] & ~tied, top[own], tied)]
        rows.append([name, mask.sum(), use.sum(), *shares, share(votes[own][mask] == 0)])
    names = [
        "class",
        "images",
        "voted",
        "equal",
        "equal_strict",
        "equal_lenient",
        "tied",
        "no_vote",
    ]
    return pd.DataFrame(rows, columns=names).set_index("class")


def crowd_columns(faces: FaceSet) -> tuple[np.ndarray, np.ndarray]:
    """Column of ``VOTE_NAMES`` of each class (K,), and the votes (N, 10)."""
    if faces.votes is None:
        raise InputError(f"{faces.name} has no crowd votes")
    if unknown := [c for c in faces.classes if c not in VOTE_NAMES]:
        raise InputError(f"class {unknown[0]!r} has no votes; known: {', '.join(VOTE_NAMES)}")
    return np.array([VOTE_NAMES.index(c) for c in faces.classes]), faces.votes


def majority_shares(votes: np.ndarray) -> np.ndarray:
    """Give all of an image to the option with most votes, a tie shared evenly.

    (N, M) votes -> (N, M) float64; zeros where none has a vote.
    """
    top = (votes == votes.max(axis=1, keepdims=True)) & (votes > 0)
    return top / np.maximum(top.sum(axis=1, keepdims=True), 1)


def transitions(faces: FaceSet, num_options: int = 10) -> pd.DataFrame:
    """Count images by label (rows) and majority vote (columns).

    ``none`` where no option has a vote; totals in row ``all``.
    """
    _, votes = crowd_columns(faces)
    names = (*VOTE_NAMES[:num_options], "none")
    table = np.zeros((faces.num_classes, len(names)), np.int64)
    # -1, no majority, is the last column
    np.add.at(table, (faces.labels, majority(votes, num_options)), 1)
    table = pd.DataFrame(
        table, pd.Index(faces.classes, name="label"), pd.Index(names, name="majority")
    )
    table.loc["all"] = table.sum()
    return table


def gains(faces: FaceSet, num_options: int = 10) -> pd.DataFrame:
    """Count by class the images that the crowd gives it minus those with its label.

    Over the images with a vote for an option.

    Returns:
        Table of ``ties_first`` (a tie goes to one option, as in ``majority``) and ``ties_shared``
        (evenly to all of them).
    """
    classes, votes = crowd_columns(faces)
    options = votes[:, :num_options]
    options, labels = (x[options.any(axis=1)] for x in (options, faces.labels))
    first = np.bincount(majority(options, num_options), minlength=len(VOTE_NAMES))[classes]
    shared = np.pad(majority_shares(options).sum(axis=0), (0, len(VOTE_NAMES) - num_options))[
        classes
    ]
    labelled = np.bincount(labels, minlength=faces.num_classes)
    return pd.DataFrame(
        {"ties_first": first - labelled, "ties_shared": shared - labelled}, pd.Index(faces.classes)
    )


# ------------------------------------------------------------------------------------------ balance


def balance(faces: FaceSet) -> pd.DataFrame:
    """Count images by split (rows) and class (columns).

    Rows also ``validation+test`` and ``all``; columns also ``total``.
    """
    table = faces.counts().reindex(list(SPLITS), fill_value=0)
    table.loc["validation+test"] = table.loc["validation"] + table.loc["test"]
    table.loc["all"] = table.loc["train"] + table.loc["validation+test"]
    return table


def inverse_frequency(counts: np.ndarray, total: float | None = None) -> np.ndarray:
    """Class weights N / (K n_c) (claim weight-02): (K,) float64, NaN for a class without images.

    Args:
        counts: (K,) images of each class, n_c.
        total: N; None takes the sum of the counts.
    """
    counts = np.asarray(counts, dtype=np.float64)
    total = counts.sum() if total is None else total
    return total / (len(counts) * np.where(counts > 0, counts, np.nan))


def class_weights(faces: FaceSet) -> pd.DataFrame:
    """Table class weights (columns: classes) by where N and n_c come from (rows).

    On FER2013 also as printed in the source.
    """
    table = balance(faces).drop(columns="total")
    rows = {
        "N and n_c of train": inverse_frequency(table.loc["train"]),
        "N and n_c of all": inverse_frequency(table.loc["all"]),
        "N 28,000, n_c of train": inverse_frequency(table.loc["train"], SOURCE_TOTAL),
        "N 28,000, n_c of all": inverse_frequency(table.loc["all"], SOURCE_TOTAL),
    }
    if faces.name == "fer2013" and faces.classes == FER2013:
        rows["printed"] = np.array(PRINTED_WEIGHTS)
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(faces.classes))
