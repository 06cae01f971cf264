"""Predictions against other labels than those of the set: some images without one, some with two."""

from __future__ import annotations

import numpy as np
import pytest

from fer_study.analysis import metrics, other_labels
from page_records import FIRST_ROW, TEST, VALIDATION, labels_of, make_record

ROWS = FIRST_ROW + VALIDATION + TEST


def test_scores(tmp_path):
    record = make_record(tmp_path, 40)
    other = np.full(ROWS, -1)
    other[-TEST:][:20] = labels_of(TEST)[:20]  # as the set says
    other[-TEST:][20:30] = (labels_of(TEST)[20:30] + 1) % 7  # another class; ten more have no label
    table = other_labels.scores({"x": [record], "none": []}, other, ["accuracy"]).set_index("name")
    assert (table.loc["x", "value"], table.loc["x", "n"]) == (20 / 30, 30)
    assert np.isnan(table.loc["none", "value"]) and table.loc["none", "seeds"] == 0


def test_a_tie_is_shared(tmp_path):
    """Of 40 right predictions, 10 name one of two classes that tie, and 10 name another class than the crowd's."""
    labels, crowd = labels_of(TEST), np.zeros((ROWS, 7))
    crowd[np.arange(ROWS - TEST, ROWS), labels] = 1
    tied, lost = np.arange(ROWS - 10, ROWS), np.arange(ROWS - 20, ROWS - 10)
    crowd[tied] /= 2
    crowd[tied, (labels[-10:] + 1) % 7] = 0.5
    crowd[lost] = np.roll(crowd[lost], 1, axis=1)
    records = [make_record(tmp_path, 40), make_record(tmp_path, 0, name="next")]  # the second names the class after it
    runs = {"right": records[:1], "next": records[1:]}
    names = ["accuracy", "log_loss", "recall_angry"]
    table = other_labels.scores(runs, crowd, names).set_index(["name", "metric"])["value"]
    assert table["right", "accuracy"] == 25 / 40 and table["next", "accuracy"] == 15 / 40
    assert table["right", "log_loss"] == pytest.approx(-(25 * np.log(0.7) + 15 * np.log(0.05)) / 40, abs=1e-3)
    angry = crowd[-TEST:, 0]
    assert table["right", "recall_angry"] == angry[labels == 0].sum() / angry.sum()
    found = other_labels.difference(*runs.values(), crowd)
    assert found.value == 10 / 40 and found.n == 1


def test_shares_of_one_class_are_its_label():
    """Every metric, to the last bit."""
    logits, labels = np.random.default_rng(0).normal(size=(50, 7)), np.arange(50) % 7
    assert metrics.compute(logits, labels) == metrics.compute(logits, np.eye(7)[labels])


def test_difference(tmp_path):
    """The crowd disagrees with the labels of the last 20 test images, where only the second network is right."""
    crowd = np.full(ROWS, -1)
    crowd[-20:] = (labels_of(TEST)[-20:] + 1) % 7
    hard, soft = (make_record(tmp_path, h, name=n) for n, h in (("hard", 30), ("soft", 20)))
    found = other_labels.difference([soft], [hard], crowd)
    assert (found.value, found.n) == (0.5, 1) and 0.2 < found.low < 0.4 < 0.6 < found.high < 0.8
    seeds = [[make_record(tmp_path, h, name=f"{n}{h}", seed=s) for s, h in enumerate(hits)]
             for n, hits in (("a", (40, 30, 20)), ("b", (40, 40, 40)))]  # fmt: skip
    over = other_labels.difference(seeds[0], seeds[1], crowd)
    assert (over.value, over.n) == (0.5, 3) and over.high > 1, "a t interval over 0, 0.5 and 1"
    assert other_labels.difference(seeds[0], seeds[1][:1], crowd).n == 1, "the seeds that both have"
    assert np.isnan(other_labels.difference([soft], [], crowd).value)


def test_labels_of_votes():
    """A clear emotion, contempt, a tie that the columns of FER+ break, unknown, and two of five votes that are single."""
    votes = np.zeros((5, 10), np.uint8)
    votes[0, 3], votes[1, 7], votes[2, [4, 6]], votes[3, 8] = 10, 9, 5, 9
    votes[4, [2, 0, 1]] = [3, 1, 1]
    found = other_labels.of_votes(votes, 8)
    assert list(found) == ["majority, 8 classes", "majority, 7 classes", "most voted, 8 classes"]
    assert [labels.tolist() for labels, _ in found.values()] == [[3, 7, -1, -1, 2], [3, -1, -1, -1, 2], [3, 7, 6, -1, 2]]
    assert [count for _, count in found.values()] == [8, 7, 8]
    assert list(other_labels.of_votes(votes, 7)) == ["majority, 7 classes", "most voted, 7 classes"]
    assert other_labels.of_votes(None, 8) == {}
    shares = other_labels.vote_shares(votes, 7)
    assert shares[2].tolist() == [0, 0, 0, 0, 0.5, 0, 0.5] and shares[1].sum() == 0 and shares[4, 2] == 0.6


def test_fewer_classes_to_choose_from(tmp_path):
    """A network that says contempt of every image is right about none; without contempt it says its second choice."""
    logits = np.full((50, 8), -9.0, np.float32)
    logits[:, 7], logits[:, 2] = -0.1, -3
    labels = np.full(50, 2)
    record = make_record(tmp_path, 0, classes=8, labels=labels, views={"last_single": logits})
    other = np.full(ROWS, 2)
    scores = [other_labels.scores({"x": [record]}, other, ["accuracy"], k)["value"].item() for k in (None, 7)]
    assert scores == [0, 1]


def test_accuracy_and_distance_by_seed(tmp_path):
    records = [make_record(tmp_path, hits, seed=seed) for seed, hits in enumerate((40, 30))]
    assert other_labels.by_seed(records) == {0: 1, 1: 0.75}
    crowd = np.full(ROWS, -1)
    crowd[-20:] = labels_of(TEST)[-20:]
    assert other_labels.by_seed(records, crowd) == {0: 1, 1: 0.5}
    truth = np.zeros((ROWS, 7))
    truth[np.arange(ROWS - TEST, ROWS), labels_of(TEST)] = 1
    found = other_labels.distances(records, truth)
    assert found[0] == pytest.approx(0.3, abs=1e-3)  # .7 of 1 where right
    assert found[1] == pytest.approx(0.75 * 0.3 + 0.25 * 0.95, abs=1e-3)
    assert other_labels.by_seed([]) == other_labels.distances([], truth) == {}
