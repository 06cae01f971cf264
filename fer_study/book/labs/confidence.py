"""Lab 3: predictions of a published run, and the questions about how sure it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax

from ...analysis import conformal, report
from ...store import Record
from .comparison import SECOND, systems
from .marking import Question

BINS = 10
"""Equal parts of the interval from 0 to 1 into which confidences fall."""

GRID = np.arange(50, 301) / 100
"""Temperatures that are tried."""

LEVEL = 90
"""How often a set is to hold the label, in per cent."""

HONEST = frozenset("bce")
"""The sentences of question 10 that these data support."""


class Predictions(NamedTuple):
    """What one trained network says of images.

    Attributes:
        logits: (n, 7) float64, log-probabilities.
        labels: (n,) int64, an index into the classes.
    """

    logits: np.ndarray
    labels: np.ndarray


def run(seed: int = 0) -> Record:
    """Find a published run of the network with attention."""
    return systems()[SECOND][seed]


def load(seed: int = 0) -> tuple[Predictions, Predictions]:
    """Read what the network says of PublicTest and of PrivateTest."""
    found = []
    for subset in ("validation", "test"):
        logits, labels, _ = report.stacked([run(seed)], "last_single", subset)
        found.append(Predictions(logits[0].astype(np.float64), labels))
    return found[0], found[1]


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over ``BINS`` parts, each by its images."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    sums = np.bincount(place, right - sure, BINS)
    return float(np.abs(sums).sum() / len(labels))


def log_loss(p: Predictions, temperature: float) -> float:
    """Mean log loss with logits divided by a temperature."""
    scores = log_softmax(p.logits / temperature, axis=1)
    return -float(scores[np.arange(len(p.labels)), p.labels].mean())


def best_temperature(p: Predictions) -> float:
    """The temperature of ``GRID`` with the least log loss."""
    return float(GRID[np.argmin([log_loss(p, t) for t in GRID])])


def sets(fitted: Predictions, seen: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Make the conformal sets of images at the temperature of ``fitted``: (n, 7) bool, the classes
    that each holds; (n,) bool, whether the label is one of them."""
    t = best_temperature(fitted)
    known, asked = (softmax(p.logits / t, axis=1) for p in (fitted, seen))
    held = conformal.sets(asked, conformal.threshold(known, fitted.labels, LEVEL))
    return held, held[np.arange(len(seen.labels)), seen.labels]


def _sure_and_right(test: Predictions) -> np.ndarray:
    p = softmax(test.logits, axis=1)
    return np.array([p.max(axis=1).mean(), (p.argmax(axis=1) == test.labels).mean()])


def _error(test: Predictions) -> np.ndarray:
    return np.array(100 * calibration_error(softmax(test.logits, axis=1), test.labels))


def _temperature(validation: Predictions) -> np.ndarray:
    return np.array(best_temperature(validation))


def _before_and_after(validation: Predictions, test: Predictions) -> np.ndarray:
    t = best_temperature(validation)
    return np.array([
        [100 * calibration_error(softmax(test.logits / x, axis=1), test.labels), log_loss(test, x)]
        for x in (1.0, t)
    ])  # fmt: skip


def _changed(validation: Predictions, test: Predictions) -> np.ndarray:
    scaled = test.logits / best_temperature(validation)
    return np.array(float((scaled.argmax(axis=1) != test.logits.argmax(axis=1)).sum()))


def _cheated(test: Predictions) -> np.ndarray:
    p = softmax(test.logits / best_temperature(test), axis=1)
    return np.array(100 * calibration_error(p, test.labels))


def _answered(test: Predictions, least: float) -> np.ndarray:
    order = np.argsort(-softmax(test.logits, axis=1).max(axis=1), kind="stable")
    right = (test.logits.argmax(axis=1) == test.labels)[order]
    kept = np.arange(1, len(right) + 1)
    return np.array(kept[right.cumsum() / kept >= least].max() / len(right))


def _covered(validation: Predictions, test: Predictions) -> np.ndarray:
    held, covered = sets(validation, test)
    return np.array([covered.mean(), held.sum(axis=1).mean()])


def _covered_by_class(validation: Predictions, test: Predictions) -> np.ndarray:
    held, covered = sets(validation, test)
    return np.array([covered[test.labels == k].mean() for k in range(held.shape[1])])


QUESTIONS = {
    "1": Question(
        2, _sure_and_right, 0.0005,
        hints=(
            "Confidence is the largest of the seven probabilities of an image.",
            "`probabilities.max(axis=1).mean()`; then how often `argmax(axis=1)` is the label.",
        ),
        because="In the mean this network claims more than it keeps.",
    ),
    "2": Question(
        2, _error, 0.02,
        hints=(
            "Ten bins: `np.minimum((confidence * 10).astype(int), 9)` has the place of each image.",
            "In a bin: confidence minus accuracy, without sign, times its share of images.",
            "In points: a hundred times the sum over the bins.",
        ),
        because="It looks at each level of confidence, where errors of two signs do not cancel.",
    ),
    "3": Question(
        2, _temperature, 0.015,
        hints=(
            "Divide all logits by T, then take the mean of minus the log-probability of the label.",
            "`log_softmax(logits / T, axis=1)` has the log-probabilities; try every T of `grid`.",
        ),
        because="Above 1: probabilities have to be flattened, for the network is too sure.",
    ),
    "4": Question(
        2, _before_and_after, 0.02,
        hints=(
            "Both rows are of the test images. The temperature is the one of question 3.",
            "The first row has T = 1, which changes nothing.",
        ),
        because="One number, chosen on other images, takes away a good part of the error.",
    ),
    "5": Question(
        2, _changed,
        hints=("Which class is largest when all seven logits are divided by one positive number?",),
        because="A temperature changes how sure a network is, and never what it says.",
    ),
    "6": Question(
        2, _cheated, 0.02,
        hints=("As questions 3 and 4, with the test images in both places.",),
        because="Smaller, and no estimate: what is chosen on the test images describes them only.",
    ),
    "7": Question(
        2, _answered, 0.002,
        hints=(
            "Sort the images from the surest to the least sure, and look at the first m of them.",
            "`right[order].cumsum() / np.arange(1, n + 1)` is the accuracy of the first m.",
            "Take the largest m for which it is at least 0.8, as a share of n.",
        ),
        because="Confidence orders the images usefully even where its level is wrong.",
    ),
    "8": Question(
        2, _covered, 0.002,
        hints=(
            "The score of an image is 1 minus the probability of its label, with T of question 3.",
            "The limit is the score in place ceil(0.9 (n + 1)), counted from 1, when sorted.",
            "A set holds the classes whose score, 1 minus their probability, is at most the limit.",
        ),
        because="Nine of ten, as promised, and it took two to three classes an image to get there.",
    ),
    "9": Question(
        2, _covered_by_class, 0.002,
        hints=("Of the test images of each label: the share whose set holds that label.",),
        because="The promise is about all images together. The rarest class pays for it.",
    ),
    "10": Question(
        2, lambda: HONEST,
        hints=("Which of them follow from what you measured, and on which images was it chosen?",),
        because="Each says on what it was chosen, and for whom it holds.",
    ),
}  # fmt: skip
