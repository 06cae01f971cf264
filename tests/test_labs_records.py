"""Labs on published records: plausible mistakes get no point, and what the text says is what the records say."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import balanced_accuracy_score, precision_score, recall_score

from fer_study.book.labs import marking, weights
from fer_study.data.labels import FER2013

DISGUST, HAPPY, ANGRY = (FER2013.index(name) for name in ("disgust", "happy", "angry"))


def points(name: str, answer: object, *data: object, of) -> int:
    sheet = marking.Sheet(of.QUESTIONS)
    sheet.check(name, answer, *data)
    return sheet.points


def check_all(answers: dict[str, tuple], of) -> None:
    """Question -> what it is about, a right answer, and wrong ones."""
    assert list(answers) == list(of.QUESTIONS)
    for name, (given, good, *bad) in answers.items():
        assert points(name, good, *given, of=of) == 2, name
        assert [points(name, answer, *given, of=of) for answer in bad] == [0] * len(bad), name
        assert len(bad) >= 2, name


def student(d: np.ndarray) -> np.ndarray:
    """95 % of the mean of three differences, in points."""
    return 100 * np.array(scipy.stats.t.interval(0.95, len(d) - 1, d.mean(), scipy.stats.sem(d)))


def normal(d: np.ndarray) -> np.ndarray:
    return 100 * np.array(scipy.stats.norm.interval(0.95, d.mean(), scipy.stats.sem(d)))


@pytest.fixture(scope="module")
def data():
    return weights.load()


def test_plausible_mistakes_about_weights(data):
    counts, validation, test = data
    y = test.labels
    inverse = counts.sum() / (7 * counts)
    root = 7 * inverse**0.5 / (inverse**0.5).sum()
    plain, weighted = (x.argmax(axis=2) for x in (test.plain, test.weighted))
    log_prior = np.log(counts / counts.sum())

    def recalls(named: np.ndarray) -> np.ndarray:
        return np.array([recall_score(y, one, average=None) for one in named])

    def scores(named: np.ndarray) -> np.ndarray:
        return np.array([[(one == y).mean(), balanced_accuracy_score(y, one), (one[y == 1] == 1).mean()] for one in named])

    def balanced(named: np.ndarray, labels: np.ndarray) -> float:
        return (np.bincount(labels[named == labels], minlength=7) / np.bincount(labels)).mean()

    def best(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
        grid = np.arange(0, 2.01, 0.05)
        reached = [[balanced((one - t * log_prior).argmax(axis=1), labels) for t in grid] for one in x]
        return grid[np.argmax(reached, axis=1)]

    def moved(taus: np.ndarray, sign: float = 1.0) -> np.ndarray:
        return scores([(x - sign * t * log_prior).argmax(axis=1) for x, t in zip(test.plain, taus, strict=True)])

    before, after, both = scores(plain), scores(weighted), np.tile(y, 3)
    taus, cheated = best(validation.plain, validation.labels), best(test.plain, y)
    shifted = moved(taus)
    gained = [shifted - x for x in (before, after)]
    named = [(x == DISGUST).sum() for x in (plain, weighted)]
    precise = partial(precision_score, labels=[DISGUST], average="macro")
    precision = [precise(both, x.ravel()) for x in (plain, weighted)]
    of_each = [np.mean([precise(y, one) for one in x]) for x in (plain, weighted)]
    called = np.bincount(both[weighted.ravel() == DISGUST], minlength=7)
    answers = {
        "1": ([inverse, root], [inverse, inverse**0.5], [counts.sum() / counts, root], [root, inverse], [1 / inverse, root]),
        "2": ([recalls(x).mean(axis=0) for x in (plain, weighted)], [recalls(x)[0] for x in (plain, weighted)],
              [recalls(x).mean(axis=0) for x in (weighted, plain)],
              [precision_score(both, x.ravel(), average=None) for x in (plain, weighted)]),
        "3": ([before.mean(axis=0)[:2], after.mean(axis=0)[:2]], [before.mean(axis=0)[1::-1], after.mean(axis=0)[1::-1]],
              [before[0, :2], after[0, :2]], [100 * before.mean(axis=0)[:2], 100 * after.mean(axis=0)[:2]]),
        "4": (np.transpose([named, precision]), np.transpose([np.divide(named, 3), precision]),
              np.transpose([named, of_each]), np.transpose([named, [before[:, 2].mean(), after[:, 2].mean()]])),
        "5": (called, np.bincount(weighted[np.tile(y == DISGUST, (3, 1))], minlength=7),
              np.bincount(both[plain.ravel() == DISGUST], minlength=7), called / called.sum()),
        "6": ([student(d) for d in (after - before).T], [normal(d) for d in (after - before).T],
              [student(d) for d in (before - after).T], [student(d) / 100 for d in (after - before).T]),
        "7": (taus, cheated, np.full(3, taus.mean()), np.ones(3), best(validation.weighted, validation.labels)),
        "8": [x.mean(axis=0) for x in (shifted, moved(cheated), moved(np.ones(3)), moved(taus, -1))],
        "9": ([student(d[:, 1]) for d in gained], [student(d[:, 1]) for d in gained[::-1]],
              [student(d[:, 0]) for d in gained], [normal(d[:, 1]) for d in gained]),
        "10": ({"a", "c", "e"}, {"a", "b", "c", "e"}, {"a", "c", "e", "f"}, ["a", "c", "e"]),
    }  # fmt: skip
    about = {"10": ()}
    check_all({name: (about.get(name, (data,)), *given) for name, given in answers.items()}, weights)


def test_the_story_of_the_fifth_lab_is_that_of_its_records(data):
    assert (data.counts[DISGUST], data.counts[HAPPY]) == (436, 7215) and len(data.test.labels) == 3589
    assert data.counts.argmin() == DISGUST and data.counts.argmax() == HAPPY
    assert 16 < data.counts[HAPPY] / data.counts[DISGUST] < 17
    assert (data.test.labels == DISGUST).sum() == 55
    recalls = weights._recalls(data)
    assert recalls[0, DISGUST] < 0.15 and recalls[1, DISGUST] > 0.6, "hardly any, then most of them"
    assert (recalls[1] - recalls[0]).argmax() == DISGUST and (recalls[1] - recalls[0]).argmin() == HAPPY
    each = [weights.recalls(x, data.test.labels)[:, HAPPY] for x in (data.test.plain, data.test.weighted)]
    assert (each[1] < each[0]).all(), "happy loses in every training"
    scores, named, called = weights._scores(data), weights._named(data), weights._by_label(data)
    assert scores[1, 0] < scores[0, 0] and scores[1, 1] > scores[0, 1]
    assert named[1, 0] > 3 * 55 > named[0, 0] and named[1, 1] < 0.4 < named[0, 1]
    others = np.delete(called, DISGUST)
    assert others.sum() > called[DISGUST] > called[ANGRY] == others.max() > 0.8 * called[DISGUST]
    accuracy, balanced, disgust = weights._change(data)
    assert accuracy[1] < 0 < disgust[0] and balanced[0] < 0 < balanced[1]
    assert (weights.best_taus(data) > 1).all()
    after, gained = weights._shifted(data), weights._balance(data)
    assert after[1] >= scores[1, 1] and after[0] > scores[1, 0]
    assert gained[0, 0] > 0 and gained[1, 0] < 0 < gained[1, 1]
    assert len(weights.records()) == 7 and all(len(q.hints) >= 2 for q in weights.QUESTIONS.values())
