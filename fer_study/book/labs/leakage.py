"""Lab 1: a synthetic world with planted leakage, networks trained with and without it, and the
questions about both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from ... import audit, models, store
from ...analysis import metrics
from ...analysis.curves import pooled
from ...data.faceset import FaceSet
from ...jobs.train import train_and_predict
from ...settings.experiment import DataConfig, ModelConfig
from ...settings.recipes import load_recipe
from ...training import sources
from .marking import Question

KINDS = ("original", "exact", "brighter", "noisy", "shifted")
"""How a planted copy differs from its original (``truth["kind"]`` counts along here)."""

ELSEWHERE = ("train", "validation")
THRESHOLDS, PRECISE, GRID = (0.99, 0.95, 0.85), 0.95, np.arange(80, 100) / 100
REPORT = frozenset("bce")


class World(NamedTuple):
    """Two datasets that differ only in the training and validation rows where ``leaky`` holds a
    copy of a test image.

    ``truth["duplicate_of"]`` (N,) int64 is the row that a planted copy shows (-1: no copy),
    ``truth["kind"]`` (N,) int64 indexes ``KINDS``.
    """

    leaky: FaceSet
    clean: FaceSet


class Experiment(NamedTuple):
    """Test predictions of the networks trained with and without the leaked copies, all seeds one
    under the other.

    Attributes:
        with_copies, without_copies: (n, K) float32 log-probabilities of the same images in the same
            order.
        labels: (n,) int64.
        rows: (n,) int64 row in the FaceSet; each test image comes once a seed.
        leaked: (n,) bool, the image has a planted copy in train.
        records: of the runs, with copies, then without.
    """

    with_copies: np.ndarray
    without_copies: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    leaked: np.ndarray
    records: tuple[list[store.Record], list[store.Record]]


def make_world(faces: int, seed: int = 1, share: float = 0.25) -> World:
    """Synthetic faces without the generator's own copies and blanks, then copies planted anew.

    Args:
        faces: to draw; a quarter of the people in train move to test, since more test images give
            narrower intervals.
        share: of the test images that get a copy in train or validation.
    """
    base = sources.faces_of(
        DataConfig(dataset="synthetic", faces=faces, style="wild", world_seed=seed)
    )
    base = base.select((base.truth["duplicate_of"] < 0) & ~base.truth["blank"])
    first = np.unique(base.attributes["person"])[: faces // 15]
    moved = (base.split == "train") & np.isin(base.attributes["person"], first)
    base = replace(base, split=np.where(moved, "test", base.split))
    rng = np.random.default_rng([seed, 2])
    rows = {
        name: rng.permutation(np.flatnonzero(base.split == name))
        for name in ("train", "validation", "test")
    }
    leaked, rest = np.split(rows["test"], [round(share * len(rows["test"]))])
    inside, tenth, fifth = len(rows["train"]) // 20, len(leaked) // 10, len(leaked) // 5
    # the copies in `held` leak no test image, and are in both sets
    free, held = np.split(rows["train"], [-4 * inside])
    harmless = np.concatenate([held[: 2 * inside], rest[:tenth]])
    shown = np.concatenate(
        [held[3 * inside :], rows["validation"][-inside:], rest[tenth : 2 * tenth]]
    )
    clean = with_copies(base, harmless, shown, rng)
    # a fifth is in train twice, a tenth in validation only
    originals = np.concatenate([leaked[tenth:], leaked[-fifth:]])
    target = np.concatenate([free[: len(originals)], rows["validation"][:tenth]])
    return World(
        with_copies(clean, target, np.concatenate([originals, leaked[:tenth]]), rng), clean
    )


def with_copies(
    faces: FaceSet, target: np.ndarray, source: np.ndarray, rng: np.random.Generator
) -> FaceSet:
    """The set with ``source`` rows shown in place of ``target`` rows: half of them changed, one
    label in eight another."""
    images, labels = faces.images.copy(), faces.labels.copy()
    origin = faces.truth["duplicate_of"].copy()
    kind = faces.truth.get("kind", np.zeros(len(faces), np.int64)).copy()
    origin[target], labels[target] = source, labels[source]
    kind[target] = np.where(
        rng.random(len(target)) < 0.5, 1, rng.integers(2, len(KINDS), len(target))
    )
    x = images[source].astype(np.float64)
    # in the order of KINDS
    ways = [x, x, 1.15 * x + 15, x + rng.normal(0, 8, x.shape), np.roll(x, 1, axis=3)]
    images[target] = np.clip(np.rint(np.choose(kind[target][:, None, None, None], ways)), 0, 255)
    other = target[rng.random(len(target)) < 1 / 8]
    labels[other] = (
        labels[other] + rng.integers(1, faces.num_classes, len(other))
    ) % faces.num_classes
    truth = faces.truth | {"duplicate_of": origin, "kind": kind}
    return replace(
        faces, name="lab-leakage", images=images, labels=labels, truth=truth, fingerprint=""
    )


def leaked(faces: FaceSet, in_: Sequence[str] = ELSEWHERE) -> np.ndarray:
    """(N,) bool: the truth about which test images have a planted copy, changed or not, in some
    splits."""
    origin = faces.truth["duplicate_of"]
    shown = np.unique(origin[(origin >= 0) & np.isin(faces.split, in_)])
    return np.isin(np.arange(len(faces)), shown) & (faces.split == "test")


def train(faces: FaceSet, seeds: Sequence[int], name: str) -> list[store.Record]:
    """One small network a seed, from the store where it is done, else trained now."""
    options = {"width": 0.5, "dropout": 0.0, "head_dropout": 0.0}
    model = models.resolve(ModelConfig(name="emotion_cnn", options=options, input_size=32))
    data, found = DataConfig(dataset=faces.name, fingerprint=faces.fingerprint), []
    for seed in seeds:
        config = load_recipe("memorise").run(name=name, data=data, model=model, seed=seed)
        with store.locked(config.key, timeout=600) as folder:
            found.append(store.lookup(config.key) or train_and_predict(config, faces, folder))
    return found


def run_experiment(world: World, seeds: Sequence[int]) -> Experiment:
    """Train on both sets with every seed; all networks are scored on the same test images."""
    records = train(world.leaky, seeds, "with copies"), train(world.clean, seeds, "without copies")
    (a, labels, rows), (b, _, _) = (pooled(there, "last_single", "test") for there in records)
    return Experiment(a, b, labels, rows, leaked(world.leaky, ("train",))[rows], records)


def accuracies(e: Experiment) -> pd.DataFrame:
    """A row a part and network for ``plots.score_intervals``: its accuracy, by itself, over images
    drawn with all seeds."""
    rows = []
    for part_name, part in (
        ("all", e.leaked | True),
        ("leaked", e.leaked),
        ("not leaked", ~e.leaked),
    ):
        for name, logits in (("with copies", e.with_copies), ("without", e.without_copies)):
            table = metrics.bootstrap_interval(
                logits[part], e.labels[part], ["accuracy"], groups=e.rows[part]
            )
            images = f"{len(np.unique(e.rows[part])):,} images"
            rows.append(
                table.loc["accuracy"].to_dict() | {"name": f"{part_name}, {name}", "of": images}
            )
    return pd.DataFrame(rows)


def _shares_by_class(faces: FaceSet) -> np.ndarray:
    hit, test = audit.has_copy(faces), faces.split == "test"
    return np.array([hit[test & (faces.labels == k)].mean() for k in range(faces.num_classes)])


def _precision_recall(faces: FaceSet, thresholds: Sequence[float]) -> np.ndarray:
    """(T, 2) float64 over test images, for every threshold."""
    pairs, truth = audit.near_pairs(faces.images, min(thresholds)), leaked(faces)
    found = [audit.has_copy(faces, threshold=t, pairs=pairs) for t in thresholds]
    return np.array(
        [
            [(hit & truth).sum() / max(hit.sum(), 1), (hit & truth).sum() / truth.sum()]
            for hit in found
        ]
    )


def _threshold(faces: FaceSet) -> np.ndarray:
    precise = _precision_recall(faces, GRID)[:, 0] >= PRECISE
    return np.array(GRID[precise].min())


def _conflicting(faces: FaceSet) -> np.ndarray:
    copies, same = audit.count_copies(faces, ELSEWHERE, audit.copy_groups(faces.images)).T
    return np.array(float(((copies > same) & (faces.split == "test")).sum()))


def _gain(e: Experiment, part: np.ndarray) -> metrics.Estimate:
    """Accuracy with copies minus without, over a part (n,) bool, paired, all seeds of an image
    drawn together."""
    parts = (x[part] for x in (e.with_copies, e.without_copies, e.labels))
    return metrics.paired_bootstrap_difference(*parts, groups=e.rows[part], repetitions=4000)


def _gains(e: Experiment) -> np.ndarray:
    return np.array([100 * _gain(e, part).value for part in (e.leaked | True, e.leaked, ~e.leaked)])


def _intervals(e: Experiment) -> np.ndarray:
    return np.array(
        [[100 * bound for bound in _gain(e, part)[-2:]] for part in (e.leaked, ~e.leaked)]
    )


def _safe(faces: FaceSet, threshold: float) -> np.ndarray:
    spoiled = audit.has_copy(faces, of=("train",), in_=("validation", "test"), threshold=threshold)
    return (faces.split == "train") & ~spoiled


def _excess(e: Experiment, row: dict) -> np.ndarray:
    share, (_, here, there) = row["with_copy"] / row["images"], _gains(e)
    return np.array([share * here, share * here + (1 - share) * there])


QUESTIONS = {
    "1": Question(
        2, audit.has_copy,
        hints=(
            "An image of test counts where an image outside of test has its number in `group`.",
            "`np.isin(group, group[~in_test])` says which numbers occur outside of test.",
            "Combine this with `in_test`: everywhere else the answer is False.",
        ),
        because="Copies within test, or within train, let no network score by remembering.",
    ),
    "2": Question(
        2, _shares_by_class, 0.001,
        hints=(
            "For each class take its test images only, and the share of True among them.",
            "The mean of a boolean array is that share: a value from 0 to 1, not per cent.",
        ),
        because="A leak that hits classes unequally bends the comparison of classes as well.",
    ),
    "3": Question(
        2, lambda faces: _precision_recall(faces, THRESHOLDS), 0.005,
        hints=(
            "Count test images, not pairs: one image may have several pairs.",
            "A pair has two sides, and the test image may be `first` or `second`.",
            "The other image of the pair has to be outside of test.",
        ),
        because="Below some threshold strangers come in faster than copies.",
    ),
    "4": Question(
        2, _threshold, 0.001,
        hints=(
            "Compute precision at each of the twenty thresholds, as in question 3.",
            "Take the smallest threshold whose precision is 0.95 or more.",
        ),
        because="It was chosen with the truth in hand, which no real set gives you.",
    ),
    "5": Question(
        2, _conflicting,
        hints=(
            "Join the test images with those outside of test by `group`, and compare the labels.",
            "An image with two such copies counts once: `nunique` of its row.",
        ),
        because="On such an image a network that remembers the copy is counted wrong.",
    ),
    "6": Question(
        2, _gains, 0.05,
        hints=(
            "For each answer: right with copies minus right without, as -1, 0 or 1.",
            "Take its mean over all rows, over the leaked ones, and over the others.",
            "In points: a hundred times the share.",
        ),
        because="Only the training differed, so the difference is what the copies did.",
    ),
    "7": Question(
        2, _intervals, 0.4,
        hints=(
            "Give the function the rows of one part only, of all three arrays and of the groups.",
            "`groups=experiment.rows[part]`: the answers of all seeds on an image go together.",
            "`.low` and `.high` are shares of 1; a hundred times that are points.",
        ),
        because="It says how far other images would move the difference, for these networks.",
    ),
    "8": Question(
        2, _safe,
        hints=(
            "Take the pairs from 0.90 on with one image in train and the other not in train.",
            "Both sides: the image of train may be `first` or `second`.",
        ),
        because="Test stays as it is, so your score can be compared with those of others.",
    ),
    "9": Question(
        2, _excess, 0.02,
        hints=(
            "A score over all images is a weighted mean of that over two parts.",
            "The share of the images with a copy is the weight of the first part.",
            "First the others gain nothing; then they gain `gains[2]`, with the other weight.",
        ),
        because="The two answers are far apart: what copies do elsewhere is not known from here.",
    ),
    "10": Question(
        2, lambda: REPORT,
        hints=(
            "Ask of each sentence whether a reader could be misled by it.",
            "What is chosen by looking at the test score is no longer a test.",
        ),
        because="It says what was found, what was done, and what the score is with and without.",
    ),
}  # fmt: skip
