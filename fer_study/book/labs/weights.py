"""Lab 5: predictions of runs with and without class weights, and the questions about their
price."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...analysis import metrics, report
from ...data.labels import FER2013
from ...jobs import stages
from ...store import Record
from .comparison import systems
from .marking import Question

PLAIN, WEIGHTED = "no weights", "inverse frequency"
"""The two losses that are compared."""

RARE = FER2013.index("disgust")

GRID = np.arange(41) / 20
"""Factors of the logarithm of the prior that are tried."""

HONEST = frozenset("ace")
"""The sentences of question 10 that these data support."""


class Split(NamedTuple):
    """What trained networks say of the images of a split.

    Attributes:
        labels: (n,) int64, an index into the classes.
        plain: (S, n, 7) float64, log-probabilities of trainings without weights, a seed each.
        weighted: the same of trainings with weights of inverse frequency, with the same seeds.
    """

    labels: np.ndarray
    plain: np.ndarray
    weighted: np.ndarray


class Data(NamedTuple):
    """What the lab is about.

    Attributes:
        counts: (7,) int64, training images of each class.
    """

    counts: np.ndarray
    validation: Split
    test: Split


def with_both_losses(seeds: int) -> list[list[Record]]:
    """Find so many published runs without weights on FER2013, and as many with them."""
    found = systems(seeds, "02_class_weighting")
    return [found[PLAIN], found[WEIGHTED]]


def audited() -> Record:
    """Find the published audit of FER2013, which has counted its images."""
    listed = stages.read_stage("fer2013", "01_dataset_audit").jobs()
    (record,) = [job.record() for job in listed if job.name == "fer2013"]
    return record


def load(seeds: int = 3) -> Data:
    """Read what so many trainings with each loss say of PublicTest and of PrivateTest."""
    balance = audited().audit["balance"]["train"]
    splits = []
    for subset in ("validation", "test"):
        both = [report.stacked(rows, "last_single", subset) for rows in with_both_losses(seeds)]
        splits.append(Split(both[0][1], *(logits.astype(np.float64) for logits, _, _ in both)))
    return Data(np.array([balance[name] for name in FER2013]), *splits)


def records(seeds: int = 3) -> list[Record]:
    """List the records behind ``load``."""
    return [audited(), *(record for rows in with_both_losses(seeds) for record in rows)]


def recalls(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Recall of every class: (S, 7) float64 of (S, n, 7) logits."""
    named = logits.argmax(axis=2)
    classes = range(logits.shape[2])
    return np.stack([(named[:, labels == k] == k).mean(axis=1) for k in classes], axis=1)


def scores(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(S, 3) float64: accuracy, balanced accuracy and the recall of disgust of every training."""
    found = recalls(logits, labels)
    accuracy = (logits.argmax(axis=2) == labels).mean(axis=1)
    return np.stack([accuracy, found.mean(axis=1), found[:, RARE]], axis=1)


def interval(differences: np.ndarray) -> np.ndarray:
    """95 % of the mean of (S,) differences by Student's t, in points: low and high."""
    found = metrics.over_seeds(differences)
    return 100 * np.array([found.low, found.high])


def shifted(logits: np.ndarray, taus: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Log-probabilities (S, n, 7) minus the logarithm of the prior, ``taus`` (S,) times."""
    return logits - taus[:, None, None] * np.log(counts / counts.sum())


def best_taus(data: Data) -> np.ndarray:
    """(S,) float64 of ``GRID``: the first with the greatest balanced accuracy on validation."""
    logits, labels = data.validation.plain, data.validation.labels
    every = np.full((len(GRID), len(logits)), GRID[:, None])
    tried = [shifted(logits, taus, data.counts) for taus in every]
    return GRID[np.argmax([scores(one, labels)[:, 1] for one in tried], axis=0)]


def _both(test: Split) -> np.ndarray:
    return np.stack([scores(x, test.labels) for x in (test.plain, test.weighted)])


def _after(data: Data) -> np.ndarray:
    return scores(shifted(data.test.plain, best_taus(data), data.counts), data.test.labels)


def _called(test: Split, logits: np.ndarray) -> np.ndarray:
    """Labels of all images that a training calls disgust."""
    return np.broadcast_to(test.labels, logits.shape[:2])[logits.argmax(axis=2) == RARE]


def _weights(data: Data) -> np.ndarray:
    inverse = data.counts.sum() / (len(data.counts) * data.counts)
    return np.stack([inverse, len(inverse) * np.sqrt(inverse) / np.sqrt(inverse).sum()])


def _recalls(data: Data) -> np.ndarray:
    test = data.test
    return np.stack([recalls(x, test.labels).mean(axis=0) for x in (test.plain, test.weighted)])


def _scores(data: Data) -> np.ndarray:
    return _both(data.test)[:, :, :2].mean(axis=1)


def _named(data: Data) -> np.ndarray:
    called = [_called(data.test, x) for x in (data.test.plain, data.test.weighted)]
    return np.array([[len(labels), (labels == RARE).mean()] for labels in called])


def _by_label(data: Data) -> np.ndarray:
    return np.bincount(_called(data.test, data.test.weighted), minlength=7).astype(np.float64)


def _change(data: Data) -> np.ndarray:
    before, after = _both(data.test)
    return np.stack([interval(d) for d in (after - before).T])


def _shifted(data: Data) -> np.ndarray:
    return _after(data).mean(axis=0)


def _balance(data: Data) -> np.ndarray:
    after = _after(data)[:, 1]
    return np.stack([interval(after - others[:, 1]) for others in _both(data.test)])


QUESTIONS = {
    "1": Question(
        2, _weights, 0.01,
        hints=(
            "The first row is the formula, with `counts.sum()` for N and 7 for K.",
            "For the second take `np.sqrt` of the first row, and divide by its sum.",
            "Then multiply by 7, so that the seven weights add up to 7.",
        ),
        because="An image of disgust now counts as much as some sixteen happy ones.",
    ),
    "2": Question(
        2, _recalls, 0.001,
        hints=(
            "Named is `log_probabilities.argmax(axis=2)`: a row a training, a column an image.",
            "Of the images with label k, the share that is named k; then the mean over trainings.",
            "The first row is of `test.plain`, the second of `test.weighted`.",
        ),
        because="Disgust gains most, and happy, the most frequent class, loses in every training.",
    ),
    "3": Question(
        2, _scores, 0.0005,
        hints=(
            "Accuracy is the share of all images that are right.",
            "Balanced accuracy is the mean of the seven recalls of question 2.",
        ),
        because="The two means go in opposite directions: each score counts something else.",
    ),
    "4": Question(
        2, _named, 0.001,
        hints=(
            "Count where `argmax(axis=2)` is `DISGUST`, over all trainings.",
            "Of these images, the share whose label is disgust; divide once, at the end.",
            "`np.tile(test.labels, (3, 1))` has the labels in the shape of three trainings.",
        ),
        because="In all, disgust is named more often than it occurs, and mostly wrongly.",
    ),
    "5": Question(
        2, _by_label,
        hints=(
            "Take the labels of all images that are called disgust, of all three trainings.",
            "`np.bincount(labels, minlength=7)` counts them.",
        ),
        because="Most come from other classes, and angry faces are nearly as many as disgusted.",
    ),
    "6": Question(
        2, _change, 0.05,
        hints=(
            "First the difference of each seed, then the mean and the standard deviation of three.",
            "Use `ddof=1` and `scipy.stats.t.ppf(0.975, 2)`; n is 3. In points: times 100.",
            "Rows: accuracy, balanced accuracy, recall of disgust. With weights minus without.",
        ),
        because="Loss and gain are clear, and whether they balance is not: that interval has zero.",
    ),
    "7": Question(
        2, best_taus, 0.001,
        hints=(
            "Subtract `tau * np.log(counts / counts.sum())` from `validation.plain[s]`.",
            "Then the mean of the seven recalls, for every tau of `grid`.",
            "`np.argmax` gives the first of the largest. One tau for each training.",
        ),
        because="Validation asks for more than tau = 1: more than the prior alone is taken out.",
    ),
    "8": Question(
        2, _shifted, 0.001,
        hints=(
            "The taus of question 7, on `test.plain`: choose there, measure here.",
            "Score each training with its own tau, and take the mean over the three.",
        ),
        because="The mean is near that of the weights, from networks that never heard of weights.",
    ),
    "9": Question(
        2, _balance, 0.05,
        hints=(
            "The formula of question 6, with the balanced accuracies of the same seeds.",
            "First shifted minus `plain`, then shifted minus `weighted`; in points.",
        ),
        because="The shift is clearly better than nothing, and not clearly better than weights.",
    ),
    "10": Question(
        2, lambda: HONEST,
        hints=(
            "Look at the intervals of questions 6 and 9: which of them leave zero out?",
            "For a sentence about faces that are *called* disgust look at the precision.",
        ),
        because="Each has an interval without zero; the others do not, or are about precision.",
    ),
}  # fmt: skip
