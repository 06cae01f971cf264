"""Lab 6: a network of two layers on drawn faces, maps of where it looks, and the questions about
them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import zoom

from ...analysis.saliency import blob, inside_regions
from ...data.twin import synthetic
from ...jobs import stages
from ...settings.experiment import MapTestConfig
from ...store import Record
from .marking import Question
from .weights import interval

SIDE, CELL, DIRECTIONS = 48, 6, 8
"""Pixels of a picture, pixels of a place, and directions of an edge."""

RANDOM = 5
"""Networks with random weights in the second layer."""

HONEST = frozenset("adf")
"""The sentences of question 8 that these data support."""


class World(NamedTuple):
    """Drawn faces that a trained network of two layers gets right, and the network.

    Attributes:
        images: (n, 48, 48) uint8; new persons, and every face moves a region.
        classes: (n,) int64, their true classes.
        regions: (n, 48, 48) bool, what the expression of each face moves.
        activations: (n, 8, 8, 8) float64 >= 0, of the first layer: channels, rows, columns.
        weights: (7, 8, 8, 8) float64 of the second layer, classes first. bias: (7,) float64.
        random_weights: (5, 7, 8, 8, 8) float64, drawn anew five times.
        accuracy: of the network on new faces.
    """

    images: np.ndarray
    classes: np.ndarray
    regions: np.ndarray
    activations: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    random_weights: np.ndarray
    accuracy: float


def edges(images: np.ndarray) -> np.ndarray:
    """Compute the first layer: how much brightness rises in each of eight directions, the mean over
    places of 6 by 6 pixels, its root, and of all of a picture one size.

    Args:
        images: (N, 48, 48).

    Returns:
        (N, 8, 8, 8) float64, directions first.
    """
    down, right = np.gradient(images.astype(np.float64), axis=(1, 2))
    turn = np.arctan2(down, right) % (2 * np.pi) / (2 * np.pi)
    direction, size = (DIRECTIONS * turn).astype(int) % DIRECTIONS, np.hypot(down, right)
    every = np.stack([size * (direction == k) for k in range(DIRECTIONS)], axis=1)
    places = every.reshape(len(images), DIRECTIONS, SIDE // CELL, CELL, SIDE // CELL, CELL)
    roots = np.sqrt(places.mean(axis=(3, 5)))
    return roots / np.sqrt((roots**2).mean(axis=(1, 2, 3), keepdims=True) + 1e-6)


def make_world(faces: int = 1500, seed: int = 1) -> World:
    """Draw faces, train the second layer on most of them, and keep those of new persons that it
    gets right."""
    from sklearn.linear_model import LogisticRegression  # slow to import

    drawn = synthetic.make(faces, seed=seed, style="wild")
    true, activations = drawn.truth["true_label"], edges(drawn.images[:, 0])
    usable = ~drawn.truth["blank"] & (drawn.truth["duplicate_of"] < 0)
    train, new = (
        np.flatnonzero(usable & x) for x in (drawn.split == "train", drawn.split != "train")
    )
    flat = activations.reshape(len(activations), -1)
    fitted = LogisticRegression(C=0.05, max_iter=500).fit(flat[train], true[train])
    weights = fitted.coef_.reshape(-1, *activations.shape[1:])
    right = fitted.predict(flat[new]) == true[new]
    moves = np.array([len(synthetic.CLASS_REGIONS[name]) > 0 for name in drawn.classes])
    rows = new[right & moves[true[new]]]
    regions = np.stack([synthetic.moved_region(drawn, name)[rows] for name in drawn.classes])
    rng = np.random.default_rng(seed)
    return World(
        drawn.images[rows, 0],
        true[rows],
        regions[true[rows], np.arange(len(rows))],
        activations[rows],
        weights,
        fitted.intercept_,
        rng.normal(0, weights.std(), (RANDOM, *weights.shape)),
        float(right.mean()),
    )


def enlarge(maps: np.ndarray) -> np.ndarray:
    """Maps (n, 8, 8) in the size of the picture, (n, 48, 48): linear between centres of places."""
    scale = SIDE // maps.shape[1]
    return zoom(maps, (1, scale, scale), order=1, mode="nearest", grid_mode=True)


def records() -> list[Record]:
    """Find the published scores of maps of the network that was trained on drawn faces."""
    listed = stages.read_stage("synthetic", "twin_networks").jobs()
    found = [job.record() for job in listed if isinstance(job.config, MapTestConfig)]
    return [record for record in found if record is not None]


def load() -> pd.DataFrame:
    """Read these scores: a row a training and network, ``inside`` and ``pointing`` as means over
    faces."""
    rows = []
    for seed, record in enumerate(records()):
        test = record.map_test
        for name, inside, pointing in zip(
            test["networks"], test["inside"], test["pointing"], strict=True
        ):
            kind = "random" if name.startswith("random") else str(name)
            scores = {"inside": np.nanmean(inside.astype(float)), "pointing": pointing.mean()}
            rows.append({"seed": seed, "network": kind} | scores)
    table = pd.DataFrame(rows)
    return table[table["network"].isin(["trained", "random", "blob"])].reset_index(drop=True)


def grad_cam(world: World, weights: np.ndarray) -> np.ndarray:
    """(n, 8, 8) float64: Grad-CAM of each face for its class, of a second layer."""
    slopes = weights[world.classes].mean(axis=(2, 3), keepdims=True)
    return np.maximum((slopes * world.activations).sum(axis=1), 0)


def contributions(world: World, weights: np.ndarray) -> np.ndarray:
    """(n, 8, 8) float64: what each place adds to the score of the class of each face."""
    return (weights[world.classes] * world.activations).sum(axis=1)


def hits(maps: np.ndarray, world: World) -> np.ndarray:
    """(2,) float64, means over faces: the share of a map inside, and highest places inside."""
    inside, pointing = inside_regions(enlarge(maps), world.regions)
    return np.array([inside.mean(), pointing.mean()])


def _slopes(world: World) -> np.ndarray:
    return world.weights[world.classes[0]]


def _maps(world: World) -> np.ndarray:
    return grad_cam(world, world.weights)


def _chance(world: World) -> np.ndarray:
    return np.array(world.regions.mean())


def _hits(world: World) -> np.ndarray:
    return hits(_maps(world), world)


def _nulls(world: World) -> np.ndarray:
    spot = np.broadcast_to(blob(SIDE), world.regions.shape)
    of_blob = [x.mean() for x in inside_regions(spot, world.regions)]
    each = [hits(grad_cam(world, weights), world) for weights in world.random_weights]
    return np.array([of_blob, np.mean(each, axis=0)])


def _contributed(world: World) -> np.ndarray:
    return hits(np.maximum(contributions(world, world.weights), 0), world)


def _over_seeds(published: pd.DataFrame) -> np.ndarray:
    means = published.groupby(["network", "seed"])[["inside", "pointing"]].mean()
    trained, random, spot = (means.loc[x] for x in ("trained", "random", "blob"))
    return np.stack([
        interval((trained - random)["inside"].to_numpy()),
        interval((trained - random)["pointing"].to_numpy()),
        interval((trained - spot)["inside"].to_numpy()),
    ])  # fmt: skip


QUESTIONS = {
    "1": Question(
        2, _slopes, 1e-6,
        hints=(
            "The score is a sum of products. By how much does it rise when one activation does?",
            "The derivative of b + w a by a is w. There are 8 x 8 x 8 activations.",
            "The class of the first face is `world.classes[0]`.",
        ),
        because="A linear layer has the same gradient for every picture: its own weights.",
    ),
    "2": Question(
        2, _maps, 1e-6,
        hints=(
            "The gradients of all faces are `world.weights[world.classes]`: (n, 8, 8, 8).",
            "Their mean over rows and columns, `axis=(2, 3)`, leaves a number a channel.",
            "Multiply the activations by it, add over channels, `axis=1`, and cut off below zero.",
        ),
        because="This is the whole method. Libraries only add the enlarging and the colours.",
    ),
    "3": Question(
        2, _chance, 0.001,
        hints=(
            "A map that is the same everywhere has as much inside as the region is large.",
            "`world.regions` is bool; its mean is a share.",
        ),
        because="This is chance. A share inside means nothing before it is known.",
    ),
    "4": Question(
        2, _hits, 0.002,
        hints=(
            "Enlarge the maps of question 2 first, and cut off nothing more.",
            "The first is a mean over faces of shares, and not the share of all maps together.",
            "`maps.reshape(n, -1).argmax(axis=1)` is the highest place; look it up in the region.",
        ),
        because="The network is right on all of these, and its maps lie mostly elsewhere. Odd?",
    ),
    "5": Question(
        2, _nulls, 0.002,
        hints=(
            "The first row is of one map, `blob(48)`, for all faces. It is large enough already.",
            "For the second, questions 2 and 4 with each `world.random_weights[r]`.",
            "Then the mean over the five.",
        ),
        because="Whoever knows only where a face is has more inside than chance.",
    ),
    "6": Question(
        2, _contributed, 0.002,
        hints=(
            "Multiply weights and activations place by place; no mean over places.",
            "Add over channels only, then cut off below zero, enlarge, and score as before.",
        ),
        because="The same network. It did look; the mean over places had blotted that out.",
    ),
    "7": Question(
        2, _over_seeds, 0.05,
        hints=(
            "For each seed: the row `trained` minus the mean of the five rows `random`.",
            "`published.groupby(['network', 'seed'])[['inside', 'pointing']].mean()` has them all.",
            "Three differences, `ddof=1`, `scipy.stats.t.ppf(0.975, 2)`; in points.",
        ),
        because="By one score better than random, by the other not, and below the blob.",
    ),
    "8": Question(
        2, lambda: HONEST,
        hints=(
            "For each sentence: which null does it name, and which score?",
            "What does a map speak of: the network, the method, or both?",
        ),
        because="Each names its null, or keeps the network and the method apart.",
    ),
}  # fmt: skip
