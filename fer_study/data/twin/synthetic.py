"""Synthetic faces: a controlled twin of FER2013 in which every answer is known.

`make` draws who is in the picture, what is felt, how ten taggers vote and what one careless tagger
writes down; it plants faults, and keeps all of it as truth. The picture itself is drawn in
`drawing`.
"""

from __future__ import annotations

import hashlib

import joblib
import numpy as np
import pandas as pd

from ...settings.errors import InputError
from ..faceset import FaceSet
from ..labels import FER2013, VOTE_NAMES
from . import drawing
from .geometry import LANDMARK_NAMES
from .parameters import (
    ACTION_UNITS,
    AGE_GROUPS,
    CLASS_REGIONS,
    HAIR_STYLES,
    OCCLUSIONS,
    REGION_NAMES,
    SKIN_TONES,
    Params,
    expressions,
    people,
    world,
)

__all__ = [
    "ACTION_UNITS",
    "AGREEMENT",
    "CLASS_REGIONS",
    "GENERATOR_VERSION",
    "LANDMARK_NAMES",
    "PLANTED_GAP",
    "PRIORS",
    "REGION_NAMES",
    "STYLES",
    "careless_transitions",
    "fingerprint",
    "make",
    "moved_region",
]

GENERATOR_VERSION = 1
"""Raise it with every change that alters a pixel, a label or a vote."""

STYLES = ("wild", "lab")
MIN_FACES = 100
CHUNK = 50
"""Faces drawn at a time, each chunk from a random stream of its own."""

PRIORS = np.array([0.138, 0.0152, 0.1427, 0.2505, 0.1693, 0.1115, 0.1728])
"""Share of each class, as in FER2013 (angry, disgust, fear, happy, sad, surprise, neutral)."""

AGREEMENT = np.array([0.60, 0.50, 0.40, 0.92, 0.55, 0.80, 0.84])
"""How often the careless tagger of the ``wild`` style finds the true class; in ``lab`` the misses
are halved."""

PLANTED_GAP = ("age_group", "older", 0.05)
"""Attribute, group and points: the careless tagger agrees this much less often on that group than
on the others."""

DUPLICATE_SHARE, CROSS_SPLIT_SHARE, CONFLICT_SHARE = 0.04, 0.5, 0.1
"""Share of images that copy another; of the copies, those in another split and those with a
conflicting label."""

CONFUSIONS = np.array([
    [80, 4, 2, 1, 4, 2, 5, 1.5, 0.5, 0],
    [14, 68, 3, 1, 5, 2, 3, 3, 1, 0],
    [3, 2, 68, 1, 7, 14, 4, 0.3, 0.7, 0],
    [0.5, 0.2, 0.3, 92, 0.5, 1.5, 4, 0.8, 0.2, 0],
    [4, 2, 4, 1, 72, 1, 14, 1.2, 0.8, 0],
    [1, 0.5, 7, 3, 0.5, 84, 3, 0.2, 0.8, 0],
    [3, 0.7, 0.8, 3, 6, 1.5, 82, 2.2, 0.8, 0],
]) / 100  # fmt: skip
"""(7, 10) What one of the ten taggers says (columns ``VOTE_NAMES``) of a pure expression (rows)."""


def fingerprint(num_faces: int, seed: int, style: str) -> str:
    """Hashes the generator's version and parameters: 16 digits; nothing is drawn."""
    check(num_faces, seed, style)
    text = repr(("synthetic", GENERATOR_VERSION, int(num_faces), int(seed), style))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check(num_faces: int, seed: int, style: str) -> None:
    """Refuses parameters that make no dataset."""
    if seed < 0:
        raise InputError(f"seed is {seed}; allowed: 0 or more")
    if style not in STYLES:
        allowed = ", ".join(STYLES)
        raise InputError(f"unknown style {style!r} of synthetic faces; allowed: {allowed}")
    if num_faces < MIN_FACES:
        raise InputError(f"num_faces is {num_faces}; allowed: {MIN_FACES} or more")


def make(
    num_faces: int = 12000, seed: int = 0, style: str = "wild", processes: int | None = None
) -> FaceSet:
    """Makes a dataset; the same parameters give the same bytes, on any number of processes.

    Args:
        processes: workers that draw at the same time (threads: NumPy releases the interpreter);
            None takes every core.

    Returns:
        ``images`` (N, 1, 48, 48), ``votes`` of ten taggers, ``attributes``, and as ``truth``:
        ``mixture`` (N, 7) float32, ``true_label`` (N,) int64, ``duplicate_of`` (N,) int64 (-1 or
        the row copied), ``blank`` (N,) bool, ``action_units`` (N, 15) float32, ``landmarks`` (N,
        22, 2) float32 x and y in pixels, ``region_masks`` (N, 48, 48) uint8 with one bit for each
        of ``REGION_NAMES`` (see `moved_region`). A blank image keeps the truth of the face that was
        not drawn; the votes say that it is none.

    Raises:
        InputError: the style is unknown, or there are too few faces.
    """
    name = fingerprint(num_faces, seed, style)
    plan_seed, pixel_seed = np.random.SeedSequence(seed).spawn(2)
    rng = np.random.default_rng(plan_seed)
    split = split_names(num_faces)
    true_label = stratified_labels(rng, split)
    mixture = mixtures(rng, true_label)
    person, p = cast(rng, split, 3 if style == "wild" else 7)
    p |= world(rng, num_faces, style)
    units = expressions(rng, mixture, style)
    labels = careless_labels(rng, true_label, p["age"] == AGE_GROUPS.index(PLANTED_GAP[1]), style)
    images, masks, points = draw_all(p, units, pixel_seed, processes)
    truth = {"mixture": mixture, "true_label": true_label, "action_units": units}
    truth |= {"landmarks": points, "region_masks": masks}

    source, blank = planted_faults(rng, split)
    copied = source >= 0
    rows = np.where(copied, source, np.arange(num_faces))
    images, labels = images[rows], labels[rows]
    truth = {key: value[rows] for key, value in truth.items()}
    truth |= {"duplicate_of": source, "blank": blank}
    conflicting = np.flatnonzero(copied & (rng.random(num_faces) < CONFLICT_SHARE))
    labels[conflicting] = other_labels(rng, labels[conflicting], truth["true_label"][conflicting])
    tones = 37 * np.arange(blank.sum()) % 256  # no two blanks are duplicates
    images[blank] = tones.astype(np.uint8)[:, None, None]
    return FaceSet(
        name="synthetic",
        images=images[:, None],
        labels=labels,
        split=split,
        ids=np.array([f"{style}-{seed}-{i:06d}" for i in range(num_faces)]),
        votes=crowd_votes(rng, truth["mixture"], blank, style),
        attributes=describe(person, p).iloc[rows].reset_index(drop=True),
        truth=truth,
        fingerprint=name,
    )


def moved_region(faces: FaceSet, class_name: str) -> np.ndarray:
    """Marks in every face the regions that the prototype of a class moves: (N, 48, 48) bool."""
    bits = sum(1 << REGION_NAMES.index(region) for region in CLASS_REGIONS[class_name])
    return (faces.truth["region_masks"] & np.uint8(bits)) > 0


def split_names(n: int) -> np.ndarray:
    """Splits n rows into 80 % train, 10 % validation, 10 % test, in this order: (n,) str."""
    tenth = round(n / 10)
    return np.repeat(["train", "validation", "test"], [n - 2 * tenth, tenth, tenth])


def stratified_labels(rng: np.random.Generator, split: np.ndarray) -> np.ndarray:
    """Draws (N,) int64 true classes, as near to ``PRIORS`` in every split as counts allow."""
    labels = np.empty(len(split), np.int64)
    for name in np.unique(split):
        n = np.count_nonzero(split == name)
        spaced = np.searchsorted(np.cumsum(PRIORS / PRIORS.sum()), (np.arange(n) + 0.5) / n)
        labels[split == name] = rng.permutation(np.minimum(spaced, len(PRIORS) - 1))
    return labels


def mixtures(rng: np.random.Generator, true_label: np.ndarray) -> np.ndarray:
    """Draws (N, 7) float32 shares of expressions; over one half for the true class."""
    n, k = len(true_label), len(FER2013)
    alike = CONFUSIONS[:, :k] * (1 - np.eye(k)) + 0.002
    alike = alike[true_label]
    rest = rng.standard_gamma(12 * alike / alike.sum(1, keepdims=True) + 0.02)
    rest[np.arange(n), true_label] = 0
    peak = 0.52 + 0.48 * rng.beta(4, 1.5, n)
    mixture = rest / rest.sum(1, keepdims=True) * (1 - peak)[:, None]
    mixture[np.arange(n), true_label] = peak
    return mixture.astype(np.float32)


def cast(
    rng: np.random.Generator, split: np.ndarray, images_each: int
) -> tuple[np.ndarray, Params]:
    """Draws who is in each picture: (N,) persons, none in two splits, and their identities."""
    person, first = np.empty(len(split), np.int64), 0
    for name in ("train", "validation", "test"):
        n = np.count_nonzero(split == name)
        person[split == name] = first + rng.permutation(n) // images_each
        first += -(-n // images_each)
    return person, {key: value[person] for key, value in people(rng, first).items()}


def careless_transitions() -> np.ndarray:
    """Computes the (7, 7) chances that the careless tagger writes the column for the row.

    The wrong labels flow equally in both directions between any two classes, so that labels keep
    the shares of the truth; the flow is the symmetric matrix nearest to the look-alikes of
    ``CONFUSIONS`` that has the demanded row sums (Sinkhorn).
    """
    priors, k = PRIORS / PRIORS.sum(), len(FER2013)
    flow = priors[:, None] * CONFUSIONS[:, :k] * (1 - np.eye(k))
    flow += flow.T
    for _ in range(500):
        scale = np.sqrt(priors * (1 - AGREEMENT) / flow.sum(1))
        flow *= scale[:, None] * scale
    return flow / priors[:, None] + np.diag(AGREEMENT)


def careless_labels(
    rng: np.random.Generator, true_label: np.ndarray, worse: np.ndarray, style: str
) -> np.ndarray:
    """Draws (N,) int64 labels of a tagger in a hurry; ``worse`` marks the planted gap's group."""
    transitions = careless_transitions()
    misses, share = float(PRIORS @ (1 - AGREEMENT) / PRIORS.sum()), 0.25
    gap = np.where(worse, 1 - share, -share) * PLANTED_GAP[2]
    factor = (1 if style == "wild" else 0.5) + gap / misses
    missed = rng.random(len(true_label)) < factor * (1 - AGREEMENT[true_label])
    labels = true_label.copy()
    true = true_label[missed]
    labels[missed] = pick(rng, transitions[true] * (1 - np.eye(len(FER2013)))[true])
    return labels


def other_labels(
    rng: np.random.Generator, labels: np.ndarray, true_label: np.ndarray
) -> np.ndarray:
    """Draws (M,) int64 plausible labels that differ from the given ones."""
    return pick(rng, careless_transitions()[true_label] * (1 - np.eye(len(FER2013)))[labels])


def pick(rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """Draws one column of each row of ``weights`` (M, K), with the chance of its weight."""
    total = np.cumsum(weights, axis=1)
    return (total < rng.random((len(weights), 1)) * total[:, -1:]).sum(1).astype(np.int64)


def crowd_votes(
    rng: np.random.Generator, mixture: np.ndarray, blank: np.ndarray, style: str
) -> np.ndarray:
    """Draws (N, 10) uint8 votes of ten taggers through ``CONFUSIONS`` (halved in ``lab``)."""
    clear = np.eye(len(FER2013), len(VOTE_NAMES))
    confusions = CONFUSIONS if style == "wild" else (CONFUSIONS + clear) / 2
    seen = mixture.astype(np.float64) @ confusions
    seen[blank] = np.eye(len(VOTE_NAMES))[VOTE_NAMES.index("not_face")]
    return rng.multinomial(10, seen / seen.sum(1, keepdims=True)).astype(np.uint8)


def planted_faults(rng: np.random.Generator, split: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draws which rows copy another, (N,) int64 or -1, and which train rows are blank."""
    n = len(split)
    source, blank = np.full(n, -1), np.zeros(n, bool)
    blank[rng.choice(np.flatnonzero(split == "train"), max(2, n // 3000), replace=False)] = True
    copies = rng.choice(np.flatnonzero(~blank), round(DUPLICATE_SHARE * n), replace=False)
    original = ~blank
    original[copies] = False
    crossing = np.arange(len(copies)) < CROSS_SPLIT_SHARE * len(copies)
    for name in np.unique(split):
        for cross in (False, True):
            rows = copies[(split[copies] == name) & (crossing == cross)]
            originals = np.flatnonzero(original & ((split == name) != cross))
            source[rows] = rng.choice(originals, len(rows))
    return source, blank


def describe(person: np.ndarray, p: Params) -> pd.DataFrame:
    """Tabulates who is in the picture and how it was taken."""
    side = np.where(p["light_x"] < -0.12, "left", np.where(p["light_x"] > 0.12, "right", "front"))
    return pd.DataFrame({
        "person": [f"p{i:05d}" for i in person],
        "age_group": np.array(AGE_GROUPS)[p["age"]], "skin_tone": np.array(SKIN_TONES)[p["skin"]],
        "hair": np.array(HAIR_STYLES)[p["hair"]], "beard": p["beard"] > 0, "glasses": p["glasses"],
        "yaw": p["yaw"].round(1), "pitch": p["pitch"].round(1), "roll": p["roll"].round(1),
        "pose": np.where(np.abs(p["yaw"]) > 15, "turned", "frontal"), "light": side,
        "occlusion": np.array(OCCLUSIONS)[p["occlusion"]], "occluded": p["occlusion"] > 0,
        "watermark": p["watermark"],
    })  # fmt: skip


def draw_all(
    p: Params, units: np.ndarray, seed: np.random.SeedSequence, processes: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws all images, region bits and landmarks, in chunks of fixed size."""
    starts = range(0, len(units), CHUNK)
    jobs = (
        joblib.delayed(drawing.draw)(
            {key: value[i : i + CHUNK] for key, value in p.items()},
            units[i : i + CHUNK],
            np.random.default_rng(stream),
        )
        for i, stream in zip(starts, seed.spawn(len(starts)), strict=True)
    )
    parts = joblib.Parallel(n_jobs=processes or joblib.cpu_count(), prefer="threads")(jobs)
    images, masks, points = (np.concatenate(part) for part in zip(*parts, strict=True))
    return images, masks, points
