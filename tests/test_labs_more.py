"""Labs 0 and 4: plausible mistakes get no point, and what the prose says is so in the data."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from fer_study.audit.crowd import weigh
from fer_study.book.labs import crowd, first, marking, versions
from fer_study.data.labels import FER2013
from fer_study.data.twin import PLANTED_GAP, draw_face
from test_labs import NONSENSE, points


def check_answers(lab: object, answers: dict[str, tuple]) -> None:
    """Question -> what it is about, a right answer, and wrong ones: full points, and none."""
    assert list(answers) == list(lab.QUESTIONS)
    for name, (given, good, *bad) in answers.items():
        assert points(name, good, *given, of=lab) == lab.QUESTIONS[name].points, name
        assert [points(name, answer, *given, of=lab) for answer in bad] == [0] * len(bad), name
        assert len(bad) >= 2, name
        right = lab.QUESTIONS[name].expected(*given)
        for answer in NONSENSE:
            assert marking.fault(answer, right, lab.QUESTIONS[name].tolerance), f"question {name}: {answer!r}"


@pytest.fixture(scope="module")
def sample():
    """Seven clouds that overlap, and a rare class; 600 to learn from, 300 to be tested on."""
    rng = np.random.default_rng(4)
    labels = rng.choice(7, 900, p=[0.16, 0.02, 0.14, 0.26, 0.16, 0.1, 0.16])
    features = rng.normal(0, 1.6, (900, 60)) + 1.5 * np.eye(7, 60)[labels]
    return first.Data(features, labels, np.arange(900) < 600)


def test_plausible_mistakes_about_a_first_classifier(sample):
    features, labels, train = sample
    predicted, test = first.predict(sample), ~train
    right = predicted == labels
    shares = np.bincount(labels, minlength=7) / 900
    error = right[test].std(ddof=1) / 300**0.5
    interval = right[test].mean() + np.array([-1.96, 1.96]) * error
    counts = np.array([[((labels == i) & (predicted == j))[test].sum() for j in range(7)] for i in range(7)])
    recalls = counts.diagonal() / counts.sum(axis=1)
    leaky = first.predict(first.Data(features, labels, np.ones(900, bool))) == labels
    baselines, accuracies = [1 / 7, (labels[test] == 3).mean()], [right[train].mean(), right[test].mean()]
    smile = draw_face({6: 0.7, 12: 1.0}, 3)
    check_answers(first, {
        "1": ((3,), smile, draw_face({}, 3), draw_face({6: 1.0, 12: 0.7}, 3), draw_face({6: 0.7, 12: 1.0}), smile / 255),
        "2": ((labels, train), baselines, baselines[::-1], [1 / 7, shares.max()], [1 / 6, baselines[1]]),
        "3": ((sample,), accuracies, accuracies[::-1], [right.mean()] * 2, 100 * np.array(accuracies)),
        "4": ((sample,), interval, interval[::-1], 100 * interval, right[test].mean() + np.array([-1, 1]) * error),
        "5": ((sample,), counts, counts.T, counts / counts.sum(), np.diag(counts.diagonal())),
        "6": ((sample,), recalls, counts.diagonal() / counts.sum(axis=0).clip(1), recalls[::-1], counts.diagonal() / 300),
        "7": ((sample,), leaky[test].mean(), right[test].mean(), leaky[train].mean(), leaky.mean()),
    })  # fmt: skip


def test_a_class_without_test_images_has_no_recall(sample):
    labels = np.where(sample.labels == 1, 2, sample.labels)
    found = first._recalls(sample._replace(labels=labels))
    assert np.isnan(found[1]) and np.isfinite(np.delete(found, 1)).all()


def test_the_story_of_the_first_lab():
    """What its text says, of the world that it draws by default."""
    from skimage.feature import hog

    faces = first.draw(1400, 1)
    people, train = faces.attributes["person"].to_numpy(), faces.split == "train"
    assert not set(people[train]) & set(people[~train]) and 200 < (~train).sum() < 300 and len(train) > 1000
    cells = {"orientations": 8, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2)}
    features = np.array([hog(image, **cells) for image in faces.images[:, 0]])
    data = first.Data(features, faces.truth["true_label"], train)
    assert features.shape[1] == 800 and len(np.unique(data.labels[~train])) == 7
    (low, high), (on_train, on_test) = first._interval(data), first._accuracies(data)
    assert low > max(first._baselines(data.labels, train)) + 0.1 and 0.08 < high - low < 0.12
    assert on_train > on_test + 0.05 and first._leaked(data) > on_test + 0.05
    recalls = first._recalls(data)
    assert recalls.argmax() == FER2013.index("happy") and recalls[FER2013.index("disgust")] < 0.5
    smile, still, other = draw_face(first.SMILE, 3), draw_face({}, 3), draw_face({}, 4)
    assert (smile != still).mean() < 0.25 and (other != still).mean() > 0.75


@pytest.fixture(scope="module")
def tagged():
    """A crowd and a label whose habits are known: 1,500 images, seven classes, a worse label for the older and in doubt."""
    rng = np.random.default_rng(2)
    truth, older = rng.choice(7, 1500, p=[0.14, 0.06, 0.14, 0.22, 0.17, 0.11, 0.16]), rng.random(1500) < 0.3
    habits = 0.6 * np.eye(7) + 0.25 * np.roll(np.eye(7), 1, axis=1) + 0.15 / 7
    votes = np.array([rng.multinomial(10, habits[k]) for k in truth])
    missed = rng.random(1500) < 0.2 + 0.1 * older + 0.2 * (votes.max(axis=1) < 6)
    return crowd.Crowd(np.where(missed, (truth + rng.integers(1, 7, 1500)) % 7, truth), votes, truth, older)


def test_plausible_mistakes_about_the_crowd(tagged):
    labels, votes, truth, older = tagged
    majority, right = votes.argmax(axis=1), labels == truth
    one = (votes[range(1500), truth] / votes.sum(axis=1)).mean()
    shares = [right.mean(), one, (majority == truth).mean()]
    by_label, by_truth = ([(right[x == k]).mean() for k in range(7)] for x in (labels, truth))
    habits, of_truth = (np.array([votes[x == k].sum(axis=0) for k in range(7)]) for x in (majority, truth))
    habits, of_truth = (x / x.sum(axis=1, keepdims=True) for x in (habits, of_truth))
    tied = np.sort(votes)[:, -1] == np.sort(votes)[:, -2]
    weighed = np.array([
        [(x == truth).mean(), (x == truth)[tied].mean()] for x in (majority, weigh(votes, labels, 1).argmax(axis=1))
    ])  # fmt: skip
    bits = scipy.stats.entropy(votes, axis=1, base=2)
    entropies = np.array([bits[right].mean(), bits[~right].mean()])
    suspect = labels != majority
    found = [(~right)[suspect].mean(), suspect[~right].mean()]
    ceiling = [right.mean(), right.mean()]
    scores = np.array([[(x == y).mean() for y in (labels, majority, truth)] for x in crowd.networks(tagged).values()])
    gaps, alone = [], []
    for ruler in (labels, majority):
        a, b = (1.0 * (ruler == truth)[side] for side in (older, ~older))
        half = 1.96 * (a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)) ** 0.5
        gaps.append([100 * (a.mean() - b.mean() - half), 100 * (a.mean() - b.mean() + half)])
        alone.append([100 * (a.mean() - b.mean())] * 2)
    of, gaps = (tagged,), np.array(gaps)
    check_answers(crowd, {
        "1": (of, shares, shares[::-1], [right.mean(), votes.max(axis=1).mean() / 10, shares[2]], 100 * np.array(shares)),
        "2": (of, by_label, by_truth, by_label[::-1]),
        "3": (of, habits, of_truth, habits.T, habits * habits.sum(axis=0)),
        "4": (of, weighed, weighed[::-1], weighed.T, np.repeat(weighed[:, :1], 2, axis=1)),
        "5": (of, entropies, entropies[::-1], entropies * np.log(2)),
        "6": (of, found, found[::-1], [suspect.mean(), suspect[~right].mean()]),
        "7": (of, ceiling, [1.0, right.mean()], [shares[2], right.mean()]),
        "8": (of, scores, scores.T, scores[::-1], scores[:, ::-1]),
        "9": (of, gaps, gaps / 100, -gaps[:, ::-1], gaps[::-1], alone),
        "10": ((), {"a", "c", "f"}, {"a", "c"}, {"a", "b", "c", "f"}, {"b", "d", "e"}),
    })  # fmt: skip


@pytest.fixture(scope="module")
def drawn():
    """The crowd that lab 4 shows by default."""
    return crowd.crowd_of(crowd.draw(4000, 1))


def test_the_story_of_the_lab_about_the_crowd(drawn):
    """What its text says: of label, tagger and majority; of ties; of the ceiling; of three networks; of the gap."""
    label, one, most = crowd._right(drawn)
    assert 0.68 < label < 0.74 and abs(one - label) < 0.03 and most > 0.96
    by_class = crowd._right_by_class(drawn)
    assert by_class.min() < 0.5 and by_class.max() > 0.9
    (everywhere, tied), (weighed, weighed_tied) = crowd._weighed(drawn)
    assert weighed > everywhere and weighed_tied > tied + 0.05
    right, wrong = crowd._entropies(drawn)
    doubt = scipy.stats.entropy(drawn.votes, axis=1)
    assert wrong > right + 0.1 and roc_auc_score(drawn.labels != drawn.truth, doubt) < 0.7
    assert min(crowd._suspects(drawn)) > 0.93
    assert crowd._ceiling(drawn) == pytest.approx([label, label])
    on_labels, _, on_truth = crowd._scores(drawn).T
    assert on_labels.argsort().tolist() == [1, 0, 2] and on_truth.argsort().tolist() == [2, 1, 0]
    assert on_truth[0] - on_truth[1] > on_labels[0] - on_labels[1] > 0 and on_labels[2] > label
    (low, high), (crowd_low, crowd_high) = crowd._gaps(drawn)
    assert low < -100 * PLANTED_GAP[2] < high < 0 and crowd_low < 0 < crowd_high


def test_the_crowd_of_a_lab_is_that_of_its_faces():
    faces = crowd.draw(300, 7)
    one, again = crowd.crowd_of(faces), crowd.crowd_of(crowd.draw(300, 7))
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert one.votes.any(axis=1).all() and (faces.truth["duplicate_of"] < 0).all() and not faces.truth["blank"].any()
    said, same = crowd.networks(one), crowd.networks(one)
    assert list(said) == ["careful", "hasty", "imitator"] and all((said[x] == same[x]).all() for x in said)
    assert ((said["imitator"] == one.labels) | (said["imitator"] == one.truth)).all()


@pytest.mark.parametrize("lab", [first, crowd])
def test_every_question_has_hints_and_a_reason(lab):
    assert all(len(question.hints) == 3 and question.because for question in lab.QUESTIONS.values())


@pytest.mark.parametrize("name", ["00_first", "04_crowd"])
def test_set_up_and_answers_are_cells_of_their_own(name):
    """Between the cell of an answer and its check stands nothing, so a deleted answer costs its question alone."""
    cells = [c for c in versions.version(versions.SOURCES / f"{name}.ipynb", "student")["cells"] if c.cell_type == "code"]
    tags = [set(cell.metadata.get("tags", [])) for cell in cells]
    assert all("check" in after for before, after in pairwise(tags) if "student" in before)
