"""Labs on published records: plausible mistakes get no point, and what the text says is what the records say."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import balanced_accuracy_score, precision_score, recall_score

from fer_study.analysis.saliency import blob
from fer_study.book.labs import looks, weights
from fer_study.data.labels import FER2013
from test_labs_more import check_answers

DISGUST, HAPPY, ANGRY = (FER2013.index(name) for name in ("disgust", "happy", "angry"))


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
    assert {question.points for question in weights.QUESTIONS.values()} == {2}
    check_answers(weights, {name: (about.get(name, (data,)), *given) for name, given in answers.items()})


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


@pytest.fixture(scope="module", params=[1, 2])
def world(request):
    """A small one, of each number."""
    return looks.make_world(700, request.param)


@pytest.fixture(scope="module")
def published():
    return looks.load()


def hits_of(large: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Face by face, in the plainest way."""
    found = []
    for one, region in zip(large, regions, strict=True):
        place = np.unravel_index(one.argmax(), one.shape)
        found.append([one[region].sum() / one.sum(), region[place]] if one.any() else [0, 0])
    return np.mean(found, axis=0)


def test_plausible_mistakes_about_maps(world, published):
    w, k, a = world.weights, world.classes, world.activations
    cam = np.stack([np.maximum(np.einsum("c,cij->ij", w[c].mean(axis=(1, 2)), x), 0) for c, x in zip(k, a, strict=True)])
    raw = np.stack([np.einsum("cij,cij->ij", w[c], x) for c, x in zip(k, a, strict=True)])
    places, regions, chance = np.maximum(raw, 0), world.regions, world.regions.mean()
    coarse = cam.repeat(6, axis=1).repeat(6, axis=2)
    good = hits_of(looks.enlarge(cam), regions)
    spot = hits_of(np.tile(blob(48), (len(k), 1, 1)), regions)
    random = np.array([hits_of(looks.enlarge(looks.grad_cam(world, x)), regions) for x in world.random_weights])
    contributed = hits_of(looks.enlarge(places), regions)
    each = {
        (name, score): published[published["network"] == name].groupby("seed")[score].mean().to_numpy()
        for name in ("trained", "random", "blob")
        for score in ("inside", "pointing")
    }
    pairs = [("random", "inside"), ("random", "pointing"), ("blob", "inside")]
    gaps = [each["trained", score] - each[name, score] for name, score in pairs]
    assert {question.points for question in looks.QUESTIONS.values()} == {2}
    check_answers(looks, {
        "1": ((world,), w[k[0]], w[(k[0] + 1) % 7], w[k[0]] * a[0], np.full_like(w[0], w[k[0]].mean())),
        "2": ((world,), cam, looks.grad_cam(world, w) / 8, places, np.maximum(cam, 1e-3), cam[:, ::-1],
              np.maximum((w[(k + 1) % 7].mean(axis=(2, 3), keepdims=True) * a).sum(axis=1), 0)),
        "3": ((world,), chance, 100 * chance, 1 - chance, regions.sum() / len(k), 0.5),
        "4": ((world,), good, good[::-1], 100 * good, hits_of(coarse, regions), contributed),
        "5": ((world,), [spot, random.mean(axis=0)], [random.mean(axis=0), spot], [spot, random[0]], [spot, good]),
        "6": ((world,), contributed, good, hits_of(looks.enlarge(abs(raw)), regions), contributed[::-1]),
        "7": ((published,), [student(d) for d in gaps], [normal(d) for d in gaps], [student(-d) for d in gaps],
              [student(d) / 100 for d in gaps], [student(d) for d in gaps[::-1]]),
        "8": ((), {"a", "d", "f"}, {"a", "b", "d", "f"}, {"a", "c", "d", "f"}, "adf"),
    })  # fmt: skip


def test_the_story_of_the_sixth_lab_holds_in_every_world(world):
    """What its text says of the small network, whatever the number of the student."""
    chance, (inside, pointing) = looks._chance(world), looks._hits(world)
    (blob_inside, _), (_, random_pointing) = looks._nulls(world)
    contributed = looks._contributed(world)
    assert world.accuracy > 0.6 and len(world.images) > 60 and inside < 0.3
    assert contributed[0] > 1.3 * blob_inside > 1.3 * inside, "less than the blob, and yet it looks"
    assert blob_inside > 4 / 3 * chance
    assert contributed[0] > 1.8 * chance and contributed[1] > max(pointing, random_pointing) + 0.2
    own, one = world.weights[world.classes], slice(0, 20)
    assert np.abs(own.mean(axis=(2, 3))).mean() < np.abs(own).mean() / 3, "plus and minus cancel out"
    scores = looks.contributions(world, world.weights).sum(axis=(1, 2)) + world.bias[world.classes]
    every = np.einsum("kcij,ncij->nk", world.weights, world.activations[one]) + world.bias
    np.testing.assert_allclose(scores[one], every.max(axis=1), err_msg="the score is a sum, and the answer is right")


def test_the_story_of_the_sixth_lab_is_that_of_its_records(published):
    inside, pointing, beside_blob = looks._over_seeds(published)
    assert inside[0] > 0 and pointing[0] < 0 < pointing[1] and beside_blob[1] < 0
    assert len(looks.records()) == 3 and len(published) == 21
    assert all(430 < record.map_test["area"].size < 450 for record in looks.records())
    random = np.stack(published[published["network"] == "random"].groupby("seed")["inside"].apply(list))
    np.testing.assert_allclose(random - random[0], 0, atol=0.01, err_msg="the same five, on nearly the same faces")
    assert all(len(question.hints) >= 2 for question in looks.QUESTIONS.values())
