"""Lab 2: predictions of published runs, and the questions about which of two networks is better."""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ...analysis import metrics, report
from ...analysis.report import Runs
from ...jobs import stages
from ...settings.experiment import RunConfig
from ...store import Record
from .marking import Question

FIRST, SECOND = "SimpleResNetFER", "CBAM + kernels"
"""The two networks of the story: the one of old, and the one that is said to be better."""

HONEST = frozenset("bdf")
"""The sentences of question 10 that these data support."""


class Predictions(NamedTuple):
    """What trained networks said of the same test images.

    Attributes:
        right: network -> (S, n) bool, a row a training with a seed of its own: the class with the
            highest probability is the label.
        has_copy: (n,) bool, the image has a copy in the data that networks learn or choose from.
    """

    right: dict[str, np.ndarray]
    has_copy: np.ndarray


def systems(seeds: int = 3, stage: str = "03_model_comparison") -> Runs:
    """Find the published runs of a stage on FER2013 by name, so many of each; its folds are left
    out."""
    listed = stages.read_stage("fer2013", stage).jobs()
    jobs = [x for x in listed if isinstance(x.config, RunConfig) and not x.config.data.folds]
    found = report.by_name(jobs, [job.record() for job in jobs])
    return {name: rows[:seeds] for name, rows in found.items() if len(rows) >= seeds}


def load(seeds: int = 3) -> Predictions:
    """Read what so many trainings of each network say of PrivateTest."""
    right = {}
    for name, records in systems(seeds).items():
        logits, labels, rows = report.stacked(records, "last_single", "test")
        right[name] = logits.argmax(axis=2) == labels
        clean = report.stacked(records, "last_single", "test_clean")[2]
    return Predictions(right, ~np.isin(rows, clean))


def records(seeds: int = 3) -> list[Record]:
    """List the records behind ``load``."""
    return [record for rows in systems(seeds).values() for record in rows]


def differences(p: Predictions, seed: int = 0) -> np.ndarray:
    """(n,) float64 in -1, 0, 1: right by the second network minus right by the first."""
    return 1.0 * p.right[SECOND][seed] - p.right[FIRST][seed]


def half_width(x: np.ndarray) -> float:
    """1.96 standard errors of the mean of (n,) values."""
    return 1.96 * float(x.std(ddof=1)) / math.sqrt(len(x))


def _accuracies(p: Predictions) -> np.ndarray:
    return np.array([p.right[name].mean(axis=1) for name in (FIRST, SECOND)])


def _interval(p: Predictions) -> np.ndarray:
    right = 1.0 * p.right[FIRST][0]
    return right.mean() + half_width(right) * np.array([-1, 1])


def _standard_errors(p: Predictions) -> np.ndarray:
    first, second = (1.0 * p.right[name][0] for name in (FIRST, SECOND))
    root = math.sqrt(len(first))
    apart = math.hypot(first.std(ddof=1), second.std(ddof=1)) / root
    return 100 * np.array([apart, differences(p).std(ddof=1) / root])


def _paired(p: Predictions) -> np.ndarray:
    d = differences(p)
    return 100 * (d.mean() + half_width(d) * np.array([-1, 1]))


def _disagreements(p: Predictions) -> np.ndarray:
    d = differences(p)
    return np.array([(d < 0).sum(), (d > 0).sum()], dtype=np.float64)


def _false_alarms(p: Predictions) -> np.ndarray:
    alarms = 0
    for right in p.right.values():
        for a, b in combinations(1.0 * right, 2):
            alarms += abs((a - b).mean()) > half_width(a - b)
    return np.array(float(alarms))


def _over_seeds(p: Predictions) -> np.ndarray:
    found = metrics.over_seeds(100 * np.diff(_accuracies(p), axis=0)[0])
    return np.array([found.low, found.high])


def _seeds_needed(p: Predictions) -> np.ndarray:
    variances = [(100 * right.mean(axis=1)).var(ddof=1) for right in p.right.values()]
    spread = math.sqrt(np.mean(variances))
    return np.array(float(math.ceil(2 * (1.96 + 0.84) ** 2 * spread**2)))


def _without_copies(p: Predictions) -> np.ndarray:
    accuracies = [
        [p.right[name][:, part].mean() for part in (~p.has_copy | True, ~p.has_copy)]
        for name in (FIRST, SECOND)
    ]
    return 100 * (np.array(accuracies[1]) - np.array(accuracies[0]))


QUESTIONS = {
    "1": Question(
        2, _accuracies, 0.0005,
        hints=(
            "The mean of a row of booleans is the share of True.",
            "`right.mean(axis=1)` has one number a training.",
        ),
        because="Three trainings of one network differ by more than a point. Only the seed did.",
    ),
    "2": Question(
        2, _interval, 0.001,
        hints=(
            "It is the mean, plus and minus 1.96 standard errors.",
            "The standard error of a mean is the standard deviation divided by the root of n.",
        ),
        because="It says how far another 3,589 images would move this score; the training stays.",
    ),
    "3": Question(
        2, _standard_errors, 0.01,
        hints=(
            "Variances of independent means add up; so the first is a root of a sum of squares.",
            "For the second, take the difference of each image first, then one standard deviation.",
            "Both in points: a hundred times the share.",
        ),
        because="Most images are right, or wrong, by both; these say nothing and only add noise.",
    ),
    "4": Question(
        2, _disagreements,
        hints=(
            "An image counts where one network is right and the other is not.",
            "`(d < 0).sum()` counts the images that the first alone has right.",
        ),
        because="A comparison on one test set rests on these few hundred images alone.",
    ),
    "5": Question(
        2, _paired, 0.15,
        hints=(
            "It is the mean of the differences, plus and minus 1.96 of its standard errors.",
            "You have both from question 3.",
        ),
        because="It excludes zero: with these two trainings, other images would hardly turn it.",
    ),
    "6": Question(
        2, _false_alarms,
        hints=(
            "Three trainings make three pairs, four networks make twelve.",
            "`itertools.combinations(right, 2)` gives the pairs of rows.",
            "A pair counts where its mean difference is more than 1.96 standard errors from 0.",
        ),
        because="There is nothing to find, for only the seed differs. One in twenty was promised.",
    ),
    "7": Question(
        2, _over_seeds, 0.05,
        hints=(
            "There are three differences, one a seed; n is 3, not 3,589.",
            "Use the standard deviation with `ddof=1` and `scipy.stats.t.ppf(0.975, 2)`.",
        ),
        because="Here a training is the unit. With three, Student's factor is 4.3, not 1.96.",
    ),
    "8": Question(
        2, _seeds_needed,
        hints=(
            "The spread s is the root of the mean of four variances (`ddof=1`), in points.",
            "The formula has d = 1. Round up: half a training is none.",
        ),
        because="Few studies train as often. So a gap of a point between two papers says little.",
    ),
    "9": Question(
        2, _without_copies, 0.02,
        hints=(
            "Take means over images and seeds; the second only where `has_copy` is False.",
            "`right[:, ~has_copy].mean()` is the accuracy without copies.",
        ),
        because="Copies lift both networks about alike, so here they do not make the difference.",
    ),
    "10": Question(
        2, lambda: HONEST,
        hints=(
            "Ask of each sentence what would vary: the images, or the training.",
            "*Not shown to differ* is not *shown to be equal*.",
        ),
        because="Each says what was varied, and no more than its interval.",
    ),
}  # fmt: skip
