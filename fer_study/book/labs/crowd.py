"""Lab 4: labels of one careless tagger, votes of ten others and the truth, and the questions about
what a label is worth."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.stats

from ...audit.crowd import weigh
from ...data.faceset import FaceSet
from ...data.labels import FER2013
from . import first
from .marking import Question

K = len(FER2013)

HONEST = frozenset("acf")
"""The sentences of question 10 that these data support."""


class Crowd(NamedTuple):
    """What is known of the expression in each image.

    Attributes:
        labels: (n,) int64, what one tagger in a hurry wrote down.
        votes: (n, 7) int64, how many of ten other taggers named each class; a vote for none of the
            seven is left out.
        truth: (n,) int64, what the program drew.
        older: (n,) bool, the face is of the age group ``older``.
    """

    labels: np.ndarray
    votes: np.ndarray
    truth: np.ndarray
    older: np.ndarray


def draw(count: int, seed: int) -> FaceSet:
    """Draw faces, and keep those that are no copy, not blank, and got a vote for one of the seven
    classes."""
    faces = first.draw(count, seed)
    return faces.select(faces.votes[:, :K].any(axis=1))


def crowd_of(faces: FaceSet) -> Crowd:
    """Take labels, votes, truth and age group from drawn faces."""
    older = (faces.attributes["age_group"] == "older").to_numpy()
    votes = faces.votes[:, :K].astype(np.int64)
    return Crowd(faces.labels, votes, faces.truth["true_label"], older)


def networks(crowd: Crowd, seed: int = 0) -> dict[str, np.ndarray]:
    """Simulate what three networks say of the images: name -> (n,) int64.

    Two are right about the truth in 90 % and 80 %, and else name any other class. The third names
    the label, or in one of five images the truth: it has seen most of the labels.
    """
    rng = np.random.default_rng(seed)
    other = (crowd.truth + rng.integers(1, K, len(crowd.truth))) % K
    chance = rng.random((3, len(crowd.truth)))
    return {
        "careful": np.where(chance[0] < 0.9, crowd.truth, other),
        "hasty": np.where(chance[1] < 0.8, crowd.truth, other),
        "imitator": np.where(chance[2] < 0.8, crowd.labels, crowd.truth),
    }


def majority(crowd: Crowd) -> np.ndarray:
    """Find the class with the most votes, (n,) int64; of equal ones the first."""
    return crowd.votes.argmax(axis=1)


def _counts(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(7, 7) float64: images by two of their classes."""
    return np.bincount(K * rows + columns, minlength=K * K).reshape(K, K).astype(np.float64)


def _right(crowd: Crowd) -> np.ndarray:
    shares = crowd.votes / crowd.votes.sum(axis=1, keepdims=True)
    one = shares[np.arange(len(shares)), crowd.truth]
    right = [crowd.labels == crowd.truth, one, majority(crowd) == crowd.truth]
    return np.array([x.mean() for x in right])


def _right_by_class(crowd: Crowd) -> np.ndarray:
    """(7,) float64: NaN, which no answer equals, for a class that is no label."""
    counts = _counts(crowd.labels, crowd.truth)
    images = counts.sum(axis=1)
    return np.divide(np.diag(counts), images, out=np.full(K, np.nan), where=images > 0)


def _habits(crowd: Crowd) -> np.ndarray:
    said = np.eye(K)[majority(crowd)].T @ crowd.votes
    total = said.sum(axis=1, keepdims=True)
    return np.divide(said, total, out=np.full((K, K), np.nan), where=total > 0)


def _weighed(crowd: Crowd) -> np.ndarray:
    most = crowd.votes == crowd.votes.max(axis=1, keepdims=True)
    tied = most.sum(axis=1) > 1
    weighed = weigh(crowd.votes, crowd.labels, 1).argmax(axis=1)
    right = [found == crowd.truth for found in (majority(crowd), weighed)]
    return np.array([[x.mean(), x[tied].mean() if tied.any() else np.nan] for x in right])


def _entropies(crowd: Crowd) -> np.ndarray:
    bits = scipy.stats.entropy(crowd.votes, axis=1, base=2)
    right = crowd.labels == crowd.truth
    return np.array([bits[right].mean(), bits[~right].mean()])


def _suspects(crowd: Crowd) -> np.ndarray:
    suspect, wrong = majority(crowd) != crowd.labels, crowd.labels != crowd.truth
    return np.array([wrong[suspect].mean(), suspect[wrong].mean()])


def _ceiling(crowd: Crowd) -> np.ndarray:
    counts = _counts(crowd.truth, crowd.labels)
    return np.array([np.trace(counts), counts.max(axis=1).sum()]) / counts.sum()


def _scores(crowd: Crowd) -> np.ndarray:
    rulers = (crowd.labels, majority(crowd), crowd.truth)
    said = networks(crowd).values()
    return np.array([[(answer == ruler).mean() for ruler in rulers] for answer in said])


def _gaps(crowd: Crowd) -> np.ndarray:
    rows = []
    for ruler in (crowd.labels, majority(crowd)):
        right = 1.0 * (ruler == crowd.truth)
        sides = right[crowd.older], right[~crowd.older]
        half = 1.96 * math.sqrt(sum(x.var(ddof=1) / len(x) for x in sides))
        rows.append(sides[0].mean() - sides[1].mean() + half * np.array([-1, 1]))
    return 100 * np.array(rows)


QUESTIONS = {
    "1": Question(
        2, _right, 0.002,
        hints=(
            "Each is a mean over images of how often the truth is named.",
            "Of one tagger, drawn from those of an image, it is the share of votes for the truth.",
            "`votes[np.arange(len(votes)), truth]` counts those; `argmax(axis=1)` is the majority.",
        ),
        because="One of the ten is about as good as the label. It is their number that helps.",
    ),
    "2": Question(
        2, _right_by_class, 0.002,
        hints=(
            "Take the images that *carry* a label, not those that truly show the class.",
            "Of these, it is the share whose truth is that class.",
            "`(truth[labels == k] == k).mean()` is the value of class k.",
        ),
        because="A label is not worth the same in every class, so no single share describes a set.",
    ),
    "3": Question(
        2, _habits, 0.002,
        hints=(
            "Take the images whose majority is class k, and add their votes up.",
            "Divide these seven sums by their total: that is row k.",
            "`votes[majority == k].sum(axis=0)` are the sums; each row has to sum to 1.",
        ),
        because="Votes go astray to look-alikes. A rival with many such votes may still be wrong.",
    ),
    "4": Question(
        2, _weighed, 0.002,
        hints=(
            "`weigh(votes, labels, 1).argmax(axis=1)` is the class that is believed most.",
            "A tie: more than one class has as many votes as the class with the most.",
            "`(votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1` marks the ties.",
        ),
        because="Where the votes are even, the habits of the taggers and the label still decide.",
    ),
    "5": Question(
        2, _entropies, 0.005,
        hints=(
            "Turn the votes of an image into shares, which sum to 1, and leave out zeros.",
            "With base 2 it is in bits; `scipy.stats.entropy(votes, axis=1, base=2)` does it all.",
            "Then take one mean where `labels == truth`, and one where not.",
        ),
        because="The crowd doubts more where the label is wrong: hard classes have both.",
    ),
    "6": Question(
        2, _suspects, 0.002,
        hints=(
            "`suspect` and `wrong` are (n,) bool; only `wrong` needs the truth.",
            "Precision is a mean over the suspects, recall a mean over the wrong ones.",
            "`wrong[suspect].mean()` and `suspect[wrong].mean()`.",
        ),
        because="The majority is rarely wrong, and hardly ever makes the mistake of the label.",
    ),
    "7": Question(
        2, _ceiling, 0.002,
        hints=(
            "The first network says `truth`; it is right where the label says the same.",
            "For the second, count the labels of the images of each true class.",
            "It says the label with the largest count; add these seven counts up, divide by n.",
        ),
        because="Habits by class do not help: the right label is the commonest of each.",
    ),
    "8": Question(
        2, _scores, 0.002,
        hints=(
            "A row a network, in the order of `said`; a column a yardstick.",
            "The yardsticks are the labels, the majority, the truth.",
            "`(answer == labels).mean()` is one of the nine.",
        ),
        because="The imitator wins on the labels that it has seen, and is the worst by the truth.",
    ),
    "9": Question(
        2, _gaps, 0.15,
        hints=(
            "The network says `truth`, so it is right where the yardstick is: a 0 or a 1 an image.",
            "The groups share no image, so the variances of their two means add up.",
            "Low and high are the difference minus and plus 1.96 roots of that sum, times 100.",
        ),
        because="The network is right on everybody. Any gap that you see is one of the yardstick.",
    ),
    "10": Question(
        2, lambda: HONEST,
        hints=(
            "Ask of each sentence whether it is about the faces or about the labels.",
            "Look at questions 1, 8 and 9 again: what was measured on the wrong yardstick?",
            "Three of the six are supported.",
        ),
        because="A score on labels speaks of the network and of the labels at once.",
    ),
}  # fmt: skip
