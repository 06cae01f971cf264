"""From a data config and a FaceSet to rows, targets and flags: which image trains, chooses or
scores."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from ..data.copies import copy_groups, count_among, near_groups
from ..data.faceset import FaceSet
from ..data.labels import VOTE_NAMES
from ..data.official import OFFICIAL_COUNTS
from ..data.twin.synthetic import split_names
from ..data.votes import clear_majority
from ..settings.errors import InputError
from ..settings.experiment import DataConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Rows of a FaceSet by use.

    Attributes:
        train, validation, test: (n,) int64 rows.
        targets: (N, K) float32 target distribution of every row that trains.
        copy_in_train, copy_in_validation: (N,) bool: a pixel-identical other image is used there.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    targets: np.ndarray
    copy_in_train: np.ndarray
    copy_in_validation: np.ndarray


def label_targets(faces: FaceSet) -> np.ndarray:
    """(N, K) float32 one-hot labels."""
    return np.eye(faces.num_classes, dtype=np.float32)[faces.labels]


def vote_targets(faces: FaceSet) -> np.ndarray:
    """Share of the votes for each class, or the distribution that the dataset defines itself
    (``ferplus``).

    DEVIATION: of the modes of Barsoum et al. (2016), these shares are nearest to "crossentropy",
    but no single vote is discarded as an outlier and no image is dropped, so that the arm trains on
    the same images as the hard labels.

    Returns:
        (N, K) float32. An image without a vote for any class keeps its hard label.

    Raises:
        InputError: the set has no votes.
    """
    if faces.targets is not None:
        return faces.targets
    if faces.votes is None:
        raise _no_votes(faces, "votes")
    votes = faces.votes[:, : faces.num_classes].astype(np.float32)
    total = votes.sum(axis=1, keepdims=True)
    return np.where(total > 0, votes / np.maximum(total, 1), label_targets(faces))


def majority_targets(faces: FaceSet) -> np.ndarray:
    """The class that more than half of the crowd names (``votes.clear_majority``).

    Returns:
        (N, K) float32, one-hot; a row of zeros where it names no class, or none that the set has.

    Raises:
        InputError: the set has no votes.
    """
    if faces.votes is None:
        raise _no_votes(faces, "majority")
    chosen = clear_majority(faces.votes)[:, None]
    return (chosen == np.arange(faces.num_classes)).astype(np.float32)


def _no_votes(faces: FaceSet, targets: str) -> InputError:
    return InputError(
        f"{faces.name}: targets are {targets}, but the data has no votes; FER+ votes "
        "(fer2013new.csv) are needed"
    )


def split(faces: FaceSet, config: DataConfig) -> Split:
    """Rows and targets of a run.

    ``resplit`` and folds are stratified by class, keep copies together (folds: near ones too), so
    that no image is chosen on that was trained on, and depend on ``world_seed`` only, never on the
    run's seed.

    Raises:
        InputError: a split is missing, or no training image is left, or votes are asked for and
            absent.
    """
    rows = {name: np.flatnonzero(faces.split == name) for name in ("train", "validation", "test")}
    if not len(rows["train"]) or not len(rows["test"]):
        raise InputError(
            f"{faces.name}: no {'training' if not len(rows['train']) else 'test'} images, both "
            "are needed"
        )
    train, validation, test = rows["train"], rows["validation"], rows["test"]
    same = copy_groups(faces.images)
    if config.protocol == "resplit":
        part = _parts(faces.labels[train], same[train], 5, config.world_seed)
        test = np.sort(np.concatenate([validation, test]))
        train, validation = train[part > 0], train[part == 0]
    if config.folds:
        near = near_groups(faces.images[train])
        part = _parts(faces.labels[train], near, config.folds, config.world_seed)
        train, validation = train[part != config.fold], train[part == config.fold]
    targets = TARGETS[config.targets](faces)
    if config.targets == "majority":
        known = targets[train].any(axis=1)
        _log_left_out(faces, train[~known])
        train = train[known]
    if config.deduplicate or config.drop_tested:
        train = train[~np.isin(same[train], same[np.concatenate([validation, test])])]
    if config.deduplicate:
        train = np.sort(train[np.unique(same[train], return_index=True)[1]])
    if config.max_train is not None and config.max_train < len(train):
        train = np.sort(
            np.random.default_rng([config.world_seed, 7]).permutation(train)[: config.max_train]
        )
    return Split(train, validation, test, targets, _copies(same, train), _copies(same, validation))


def fold_leaks(faces: FaceSet, config: DataConfig, rows: Split) -> dict[str, object]:
    """Count the validation images of a fold that have a copy among its training images.

    For example ``{"images": 9570, "naive": {"exact": 541, "near": 752}, "grouped": {"exact": 0,
    "near": 0}}``.

    Args:
        rows: what ``split`` gives for this config.

    Returns:
        ``images`` of the fold; ``grouped``: as ``split`` parts them; ``naive``: as folds would that
        are stratified by class and do not know of copies. Near copies are those that a chain of
        copies links; exact ones are among them.
    """
    used = np.sort(np.concatenate([rows.train, rows.validation]))
    images, labels, alone = faces.images[used], faces.labels[used], np.arange(len(used))
    by_image = _parts(labels, alone, config.folds, config.world_seed)
    held = {"naive": by_image == config.fold, "grouped": np.isin(used, rows.validation)}
    groups = {"exact": copy_groups(images), "near": near_groups(images)}
    leaks = {
        name: {
            kind: int((count_among(group, ~mask)[mask] > 0).sum()) for kind, group in groups.items()
        }
        for name, mask in held.items()
    }
    return {"images": len(rows.validation), **leaks}


TARGETS = {"labels": label_targets, "votes": vote_targets, "majority": majority_targets}
"""``DataConfig.targets`` -> the target distribution of every row."""


def _log_left_out(faces: FaceSet, rows: np.ndarray) -> None:
    """Log which training images have no majority to learn from, and why."""
    chosen = clear_majority(faces.votes[rows])
    names = ["no option has more than half", *VOTE_NAMES]
    reasons = {name: int((chosen == i).sum()) for i, name in enumerate(names, -1)}
    said = ", ".join(f"{name} {count}" for name, count in reasons.items() if count)
    log.info("%s: %d training images without a majority left out (%s)", faces.name, len(rows), said)


def training_images(config: DataConfig) -> int | None:
    """How many images a run trains on, known without the data (parts to the nearest image, copies
    not counted off); None: the size of the set is not known."""
    count = sum(OFFICIAL_COUNTS.get(config.dataset, {}).get("train", ()))
    if config.dataset == "synthetic" and config.faces:
        count = np.count_nonzero(split_names(config.faces) == "train")
    if not count:
        return config.max_train
    count = round(
        count
        * (0.8 if config.protocol == "resplit" else 1)
        * (1 - 1 / config.folds if config.folds else 1)
    )
    return min(count, config.max_train or count)


def _parts(labels: np.ndarray, groups: np.ndarray, number: int, seed: int) -> np.ndarray:
    """(n,) int: part 0..number-1 of each row. Rows of one group share a part; each class is spread
    as evenly as they let."""
    from sklearn.model_selection import StratifiedGroupKFold  # slow, so not on every start

    state = np.random.RandomState([seed, number])
    folds = StratifiedGroupKFold(number, shuffle=True, random_state=state)
    part = np.empty(len(labels), dtype=np.int64)
    for index, (_, rows) in enumerate(folds.split(labels, labels, groups)):
        part[rows] = index
    return part


def _copies(same: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(N,) bool: another image among ``rows`` is pixel-identical."""
    return count_among(same, np.isin(np.arange(len(same)), rows)) > 0
