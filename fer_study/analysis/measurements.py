"""Measure one record, by name: what it stores, or a function of its predictions, history or maps.

A measurement is written ``name`` or ``name[argument, ...]``, for example ``accuracy``,
``recall_fear``, ``confused[fear, surprise]`` or ``history[validation_loss, 20]``. Each gives one
float a record, NaN where it is undefined, so that every check treats all of them alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from .. import store
from ..data.labels import EIGHT, class_names
from ..data.votes import clear_majority
from ..settings.experiment import RunConfig, ViewsConfig
from ..store import Record
from . import metrics, warps
from .runs_table import classes_in, scored_subsets

THIRDS = ("upper", "middle", "lower")
HISTORY = (
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "train_attention_variance",
    "train_attention_entropy",
)
CHANGES = ("turn", "shift", "zoom", "cover")
FAULTS = ("collapsed", "distorted", "outside", "degenerate")


class Scored:
    """Hold one record in one view on one subset.

    With what the crowd says of its images, where that is known: its majority shares, its votes.
    """

    def __init__(
        self,
        record: Record,
        view: str,
        subset: str,
        crowd: np.ndarray | None = None,
        votes: np.ndarray | None = None,
    ):
        self.record, self.view, self.subset = record, view, subset
        self._crowd, self._votes = crowd, votes

    @property
    def allowed(self) -> bool:
        """Whether the record may be, and was, scored here."""
        return self.subset in scored_subsets(self.record, self.view)

    @cached_property
    def mask(self) -> np.ndarray:
        """(n,) bool: which of the record's images."""
        return self.record.predictions.subset(self.subset)

    @cached_property
    def logits(self) -> np.ndarray:
        """(N, K) float32 log-probabilities."""
        return self.record.predictions.views[self.view][self.mask]

    @cached_property
    def labels(self) -> np.ndarray:
        """(N,) int64."""
        return self.record.predictions.table["label"][self.mask].to_numpy(np.int64)

    @cached_property
    def predicted(self) -> np.ndarray:
        """(N,) int64."""
        return self.logits.argmax(axis=1)

    @cached_property
    def crowd(self) -> np.ndarray:
        """(N, K) float32: share of each class in what most votes name.

        Rows of zeros where that is no class, or unknown.
        """
        if self._crowd is None:
            return np.zeros(self.logits.shape, np.float32)
        shares = self._crowd[self.record.predictions.table["row"][self.mask]]
        return np.pad(shares, ((0, 0), (0, self.logits.shape[1] - shares.shape[1])))

    @cached_property
    def votes(self) -> np.ndarray | None:
        """(N, 10) uint8 votes over ``VOTE_NAMES``."""
        if self._votes is None:
            return None
        return self._votes[self.record.predictions.table["row"][self.mask]]

    @cached_property
    def confusion(self) -> np.ndarray:
        """(K, K) int64 counts, label in rows."""
        return metrics.confusion(self.logits, self.labels)

    @cached_property
    def scores(self) -> dict[str, float]:
        """Every metric that the record states, from its predictions where it stores them: a number
        that stands beside them is only what somebody wrote."""
        stated = self.record.metrics[self.view][self.subset]
        if self.view not in self.record.predictions.views:
            return stated
        classes = classes_in(self.record.config)
        found = metrics.compute(self.logits, self.labels, classes)
        return {name: x if np.isnan(x) else found.get(name, x) for name, x in stated.items()}

    def place(self, name: str) -> int:
        """Index of a class of this record."""
        return classes_in(self.record.config).index(name)

    def pairs(self) -> dict[frozenset[int], int]:
        """Images on which two classes are taken for each other, both ways together, by pair."""
        both = self.confusion + self.confusion.T
        k = len(both)
        return {frozenset((i, j)): int(both[i, j]) for i in range(k) for j in range(i)}


class Measurement(NamedTuple):
    """A measurement: ``(Scored, *arguments) -> float``, the kinds of its arguments, its unit.

    The unit is ``SHARE`` (in [0, 1]), ``POINTS`` (a difference of shares) or ``NUMBER``.
    """

    function: Callable[..., float]
    arguments: tuple[str, ...]
    unit: str


MEASUREMENTS: dict[str, Measurement] = {}
SHARE, POINTS, NUMBER = "share", "points", "number"


def measurement(
    unit: str, *arguments: str
) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Register a function by its name; ``arguments`` are kinds of ``ARGUMENTS``."""

    def add(function: Callable[..., float]) -> Callable[..., float]:
        name = function.__name__
        if name in MEASUREMENTS:
            raise KeyError(f"measurement {name!r} is registered already")
        MEASUREMENTS[name] = Measurement(function, arguments, unit)
        return function

    return add


ARGUMENTS: dict[str, Callable[[str], object]] = {
    "class": EIGHT.index,
    "third": THIRDS.index,
    "curve": HISTORY.index,
    "epoch": int,
    "passes": int,
    "change": CHANGES.index,
    "fault": FAULTS.index,
}
"""Kind of argument -> a function that raises ``ValueError`` for what is none."""


def parsed(text: str) -> tuple[str, list[str]]:
    """Name and arguments of a measurement.

    Raises:
        ValueError: an unknown name, or arguments of the wrong number or kind.
    """
    found = re.fullmatch(r"(\w+)(?:\[([^\]]*)\])?", text)
    name, arguments = (
        (found[1], [part.strip() for part in (found[2] or "").split(",") if part])
        if found
        else (text, [])
    )
    stored = name in metrics.SCALARS or (
        name.startswith("recall_") and name.removeprefix("recall_") in EIGHT
    )
    if stored and not arguments:
        return name, arguments
    if stored:
        raise ValueError(f"metric {text!r} has {len(arguments)} arguments, allowed: {name}")
    if name not in MEASUREMENTS:
        known = ", ".join([*metrics.SCALARS, "recall_<class>", *MEASUREMENTS])
        raise ValueError(f"unknown metric {name!r}; known: {known}")
    kinds = MEASUREMENTS[name].arguments
    if len(kinds) != len(arguments):
        raise ValueError(
            f"metric {text!r} has {len(arguments)} arguments, allowed: {name}[{', '.join(kinds)}]"
        )
    for kind, argument in zip(kinds, arguments, strict=True):
        try:
            ARGUMENTS[kind](argument)
        except ValueError:
            raise ValueError(f"metric {text!r}: {argument!r} is no {kind}") from None
    return name, arguments


def unit_of(text: str) -> str:
    """What a measurement is: ``SHARE``, ``POINTS`` or ``NUMBER``."""
    name, _ = parsed(text)
    if name in MEASUREMENTS:
        return MEASUREMENTS[name].unit
    return NUMBER if name in metrics.UNSCALED else SHARE


def measure(text: str, scored: Scored) -> float:
    """Measure a record.

    NaN where it was not, or must not be, scored there, or has no such class.
    """
    name, arguments = parsed(text)
    if not scored.allowed:
        return float("nan")
    if name not in MEASUREMENTS:
        return scored.scores.get(name, float("nan"))
    kinds, classes = MEASUREMENTS[name].arguments, classes_in(scored.record.config)
    if any(kind == "class" and a not in classes for kind, a in zip(kinds, arguments, strict=True)):
        return float("nan")
    return float(MEASUREMENTS[name].function(scored, *arguments))


@measurement(SHARE, "class", "class")
def confused(scored: Scored, label: str, predicted: str) -> float:
    """Share of the images of a class that are called another."""
    row = scored.confusion[scored.place(label)]
    return row[scored.place(predicted)] / row.sum() if row.sum() else np.nan


@measurement(POINTS, "class", "class")
def pair_lead(scored: Scored, one: str, other: str) -> float:
    """Share of images on which two classes are confused, less that of another pair.

    That is the run's own most frequent other pair.
    """
    pairs = scored.pairs()
    stated = pairs.pop(frozenset((scored.place(one), scored.place(other))))
    return (stated - max(pairs.values())) / len(scored.labels)


@measurement(NUMBER, "class", "class")
def pair_rank(scored: Scored, one: str, other: str) -> float:
    """Rank of a pair among all by how many images are confused: 1 is the most frequent."""
    pairs = scored.pairs()
    stated = pairs.pop(frozenset((scored.place(one), scored.place(other))))
    return 1 + sum(count > stated for count in pairs.values())


@measurement(POINTS, "class")
def recall_lead(scored: Scored, name: str) -> float:
    """Recall of a class minus the highest of the others."""
    recalls = metrics.ratio(np.diag(scored.confusion).astype(float), scored.confusion.sum(axis=1))
    return recalls[scored.place(name)] - np.nanmax(np.delete(recalls, scored.place(name)))


@measurement(POINTS)
def recall_spread(scored: Scored) -> float:
    """Standard deviation of the recalls over the classes."""
    return np.nanstd(
        metrics.ratio(np.diag(scored.confusion).astype(float), scored.confusion.sum(axis=1))
    )


@measurement(NUMBER, "class")
def predicted_ratio(scored: Scored, name: str) -> float:
    """How often a class is predicted, by how often it is the label."""
    place = scored.place(name)
    return scored.confusion[:, place].sum() / scored.confusion[place].sum()


@measurement(NUMBER)
def frequency_lead(scored: Scored) -> float:
    """Compare two rank correlations (Spearman) with recall by class.

    That of the frequency of a class, minus that of the share of its labels that the crowd's
    majority names.
    """
    images, classes = scored.confusion.sum(axis=1), range(len(scored.confusion))
    agreement = [scored.crowd[scored.labels == k, k].mean() for k in classes]
    recall = pd.Series(metrics.ratio(np.diag(scored.confusion).astype(float), images)).rank()
    frequency, agreement = pd.Series(images).rank(), pd.Series(agreement).rank()
    return recall.corr(frequency) - recall.corr(agreement)


@measurement(NUMBER, "curve", "epoch")
def history(scored: Scored, column: str, epoch: str) -> float:
    """A curve of training at an epoch."""
    table = scored.record.history
    there = len(table) and column in table
    at = table.loc[table["epoch"] == int(epoch), column] if there else []
    return at.iloc[0] if len(at) else np.nan


@measurement(NUMBER, "curve")
def falls(scored: Scored, column: str) -> float:
    """All falls of a curve of training from an epoch to the next, added up: 0 where it only
    rises."""
    table = scored.record.history
    return float(-np.minimum(np.diff(table[column]), 0).sum()) if column in table else np.nan


def changed_images(scored: Scored) -> tuple[ViewsConfig, Record] | None:
    """Find what a run said of the test images that were changed as ``ViewsConfig`` does where
    nothing else is asked; None where nobody asked, or of other images."""
    if not isinstance(scored.record.config, RunConfig) or not scored.subset.startswith("test"):
        return None
    asked = ViewsConfig(run=scored.record.config)
    record = store.lookup(asked.key)
    return (asked, record) if record else None


@measurement(POINTS, "change")
def lost(scored: Scored, change: str) -> float:
    """Accuracy on the test images as they are, minus that on the same images changed: the mean over
    all changes of a kind."""
    found = changed_images(scored)
    if found is None:
        return np.nan
    views, kinds = found[1].views, [kind.split()[0] for kind, _ in found[0].changes()]
    asked = views["clean"] if scored.subset == "test_clean" else np.full(len(views["label"]), True)
    right = (views["predicted"] == views["label"])[:, asked].mean(axis=1)
    return right[0] - right[[kind == change for kind in kinds]].mean()


@measurement(NUMBER, "passes")
def dropout_gain(scored: Scored, passes: str) -> float:
    """Log loss on the test images less that of the mean of so many passes with dropout on."""
    if not isinstance(scored.record.config, RunConfig) or scored.subset != "test":
        return np.nan
    record = store.lookup(ViewsConfig.of_dropout(scored.record.config, int(passes)).key)
    losses = record.views["log_loss"] if record else [np.nan, np.nan]
    return float(losses[0] - losses[1])


@measurement(NUMBER, "change")
def undone(scored: Scored, change: str) -> float:
    """How much of a known change a spatial transformer undoes (``warps.undone``), of shifts the
    mean of both ways; NaN without one."""
    found = changed_images(scored)
    if found is None or "warps" not in found[1].views:
        return np.nan
    means = dict(zip(found[1].views["warp_names"], found[1].views["warps"].T, strict=True))
    ways = [kind for kind in warps.UNDOES if kind.split()[0] == change]
    parts = []
    for way in ways:
        changes = enumerate(found[0].changes())
        rows = [(row, size) for row, (kind, size) in changes if kind in (way, "none")]
        sizes = [size if row else float(way == "zoom") for row, size in rows]
        means_there = [float(means[warps.UNDOES[way][0]][row]) for row, _ in rows]
        parts.append(warps.undone(way, sizes, means_there))
    return float(np.mean(parts)) if parts else np.nan


@measurement(SHARE, "fault")
def warped(scored: Scored, fault: str) -> float:
    """Share of the test images, as they are, whose warp has a fault (``warps.describe``)."""
    found = changed_images(scored)
    if found is None or "warps" not in found[1].views:
        return np.nan
    views = found[1].views
    return float(views["warps"][0, list(views["warp_names"]).index(fault)])


OF_VIEWS = frozenset(one.__name__ for one in (lost, dropout_gain, undone, warped))
"""Measurements that read what a run said of changed images, or with dropout on."""


@measurement(POINTS)
def train_gap(scored: Scored) -> float:
    """Accuracy on the training images, scored as any others, less that on the subset."""
    seen = scored.record.metrics[scored.view].get("train", {}).get("accuracy", np.nan)
    return seen - scored.scores["accuracy"]


@measurement(SHARE, "class", "third")
def saliency(scored: Scored, name: str, third: str) -> float:
    """Share of the class-mean Grad-CAM in a third of the image."""
    if not scored.record.cam:
        return np.nan
    heat = scored.record.cam["maps"][scored.place(name)].astype(np.float64)
    parts = [part.sum() for part in np.array_split(heat, 3)]
    return parts[THIRDS.index(third)] / sum(parts) if sum(parts) > 0 else np.nan


def crowd_score(scored: Scored, of: np.ndarray) -> float:
    """Share of some images (N,) bool whose prediction is what most votes name, or one of several
    classes that tie.

    A tie that was shared among its classes would halve every score, and every gain, on tied images.
    """
    named = scored.crowd[np.flatnonzero(of), scored.predicted[of]] > 0
    return named.mean() if of.any() else np.nan


@measurement(POINTS)
def tied_less_clear(scored: Scored) -> float:
    """Accuracy against the crowd where its majority is tied, minus that where it is one class."""
    known, clear = scored.crowd.any(axis=1), scored.crowd.max(axis=1) == 1
    return crowd_score(scored, known & ~clear) - crowd_score(scored, clear)


@measurement(SHARE)
def crowd_accuracy(scored: Scored) -> float:
    """Accuracy against the crowd, on the images where its majority is one class."""
    return crowd_score(scored, scored.crowd.max(axis=1) == 1)


@measurement(SHARE)
def clear_accuracy(scored: Scored) -> float:
    """Accuracy against the labels, on the images where the crowd's majority is one class."""
    clear = scored.crowd.max(axis=1) == 1
    return (scored.predicted == scored.labels)[clear].mean() if clear.any() else np.nan


@measurement(SHARE)
def ferplus_accuracy(scored: Scored) -> float:
    """Accuracy against the majority of FER+, eight classes, on the images that have one."""
    if scored.votes is None:
        return np.nan
    chosen = clear_majority(scored.votes)
    of = (chosen >= 0) & (chosen < len(EIGHT))
    right = scored.logits[:, : len(EIGHT)].argmax(axis=1) == chosen
    return right[of].mean() if of.any() else np.nan


@measurement(POINTS)
def calibration_gain(scored: Scored) -> float:
    """Calibration error less that after a temperature chosen on validation (Guo et al., 2017)."""
    predictions = scored.record.predictions
    every = predictions.views[scored.view].astype(np.float64)
    labels = predictions.table["label"].to_numpy(np.int64)
    fitted_on = np.flatnonzero(predictions.subset("validation"))
    temperature = metrics.temperature(every[fitted_on], labels[fitted_on])
    return calibration_error(every[scored.mask], scored.labels) - calibration_error(
        every[scored.mask] / temperature, scored.labels
    )


def calibration_error(logits: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error (Guo et al., 2017, eq. 3)."""
    return metrics.compute(logits, labels, class_names(logits.shape[1]))[
        "expected_calibration_error"
    ]
