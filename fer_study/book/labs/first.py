"""Lab 0: drawn faces as HOG features, a linear model of them, and the questions about its score."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix

from ...data.faceset import FaceSet
from ...data.labels import FER2013
from ...data.twin import draw_face, make
from .marking import Question

SMILE = {12: 1.0, 6: 0.7}
"""What question 1 asks for: lip corners pulled up in full, cheeks raised a little less."""


class Data(NamedTuple):
    """What a classifier learns from, and is tested on.

    Attributes:
        features: (n, D) float64, a row an image.
        labels: (n,) int64, an index into the seven classes of FER2013.
        train: (n,) bool, the image is for training; all others are for testing.
    """

    features: np.ndarray
    labels: np.ndarray
    train: np.ndarray


def draw(count: int, seed: int) -> FaceSet:
    """Draw faces without blank images and without copies; no person is in train and test."""
    faces = make(count, seed)
    return faces.select((faces.truth["duplicate_of"] < 0) & ~faces.truth["blank"])


def predict(data: Data) -> np.ndarray:
    """Predict all images, (n,) int64, by the linear model of the train images."""
    return _model(data.features[data.train], data.labels[data.train]).predict(data.features)


def _model(features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    return LogisticRegression(C=0.1, max_iter=1000).fit(features, labels)


def _smile(person: int) -> np.ndarray:
    return draw_face(SMILE, person).astype(np.float64)


def _baselines(labels: np.ndarray, train: np.ndarray) -> np.ndarray:
    common = np.bincount(labels[train]).argmax()
    return np.array([1 / len(FER2013), (labels[~train] == common).mean()])


def _accuracies(data: Data) -> np.ndarray:
    right = predict(data) == data.labels
    return np.array([right[data.train].mean(), right[~data.train].mean()])


def _interval(data: Data) -> np.ndarray:
    right = 1.0 * (predict(data) == data.labels)[~data.train]
    half = 1.96 * right.std(ddof=1) / math.sqrt(len(right))
    return right.mean() + half * np.array([-1, 1])


def _confusion(data: Data) -> np.ndarray:
    test, classes = ~data.train, range(len(FER2013))
    found = confusion_matrix(data.labels[test], predict(data)[test], labels=classes)
    return found.astype(np.float64)


def _recalls(data: Data) -> np.ndarray:
    """(7,) float64: NaN, which no answer equals, for a class without a test image."""
    counts = _confusion(data)
    images = counts.sum(axis=1)
    return np.divide(np.diag(counts), images, out=np.full(len(images), np.nan), where=images > 0)


def _leaked(data: Data) -> np.ndarray:
    test = ~data.train
    predicted = _model(data.features, data.labels).predict(data.features[test])
    return np.array((predicted == data.labels[test]).mean())


QUESTIONS = {
    "1": Question(
        1, _smile,
        hints=(
            "`draw_face` takes a dictionary: number of the action unit -> how strong, 0 to 1.",
            "The numbers are 12 and 6; the person is `person`.",
            "It looks like `draw_face({26: 1.0}, person)`, which drops the jaw.",
        ),
        because="Some pixels move a little. Another person, or another light, would move them all.",
    ),
    "2": Question(
        1, _baselines, 0.0005,
        hints=(
            "Who guesses blindly among seven classes is right one time in seven.",
            "`np.bincount(labels[train])` counts each class; its `argmax` is the commonest.",
            "The second number is the share of that class among the *test* images.",
        ),
        because="What needs no picture is no achievement. The second number is the one to beat.",
    ),
    "3": Question(
        2, _accuracies, 0.003,
        hints=(
            "Fit with the rows of `train` only: `features[train]` and `labels[train]`.",
            "Predict all rows once, and compare with `labels`: `right` is (n,) bool.",
            "The mean of `right[train]` is the first number, that of `right[~train]` the second.",
        ),
        because="It has seen the first images before. Only the second number speaks of new faces.",
    ),
    "4": Question(
        2, _interval, 0.002,
        hints=(
            "Whether a test image is answered rightly is a 0 or a 1; take these numbers.",
            "Their standard error is `right.std(ddof=1) / math.sqrt(len(right))`.",
            "Low and high are the mean minus and plus 1.96 standard errors.",
        ),
        because="All of it lies above what needs no picture. But a point or two mean nothing here.",
    ),
    "5": Question(
        2, _confusion,
        hints=(
            "Use the test images only.",
            "`sklearn.metrics.confusion_matrix` has the true classes in its rows.",
            "Give it `labels=range(7)`, so that a class which is never named keeps its column.",
        ),
        because="The diagonal is right. Beside it stand mistakes, and they are not spread evenly.",
    ),
    "6": Question(
        2, _recalls, 0.002,
        hints=(
            "Of the images that truly show a class: what share was called so?",
            "A row of the confusion matrix holds all images of one class.",
            "Divide the diagonal by the sums of the rows.",
        ),
        because="A class of a few test images can fail, and the accuracy does not notice.",
    ),
    "7": Question(
        2, _leaked, 0.003,
        hints=(
            "Nothing changes but what is given to `fit`: now it is all rows.",
            "The score is still taken from the test images alone.",
            "Compare `predict(features[~train])` with `labels[~train]`.",
        ),
        because="They are train images now. Of what the score gains, new faces see nothing.",
    ),
}  # fmt: skip
