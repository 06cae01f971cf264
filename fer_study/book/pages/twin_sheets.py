"""Contact sheets of the synthetic twin: faces by class, action unit and degradation, drawn for the page that shows them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...data.faceset import FaceSet
from ...data.labels import FER2013
from ...data.twin import drawing, synthetic
from ...data.twin.parameters import ACTION_UNITS, Params, people, prototype_matrix, world

ACTIONS = {
    1: "inner brow\nraiser", 2: "outer brow\nraiser", 4: "brow\nlowerer", 5: "upper lid\nraiser", 6: "cheek\nraiser",
    7: "lid\ntightener", 9: "nose\nwrinkler", 10: "upper lip\nraiser", 12: "lip corner\npuller", 15: "lip corner\ndepressor",
    16: "lower lip\ndepressor", 20: "lip\nstretcher", 23: "lip\ntightener", 25: "lips\npart", 26: "jaw\ndrop",
}  # fmt: skip
"""FACS number -> what the action unit does (Ekman and Friesen, 1978)."""

DEGRADATIONS = {
    "none": {}, "turned\nhead": {"yaw": 26.0, "roll": 9.0}, "side\nlight": {"light_x": 0.38}, "dark": {"gain": 0.72},
    "hand": {"occlusion": 1, "occluder_x": 0.6, "occluder_y": 0.35}, "hair": {"occlusion": 2, "occluder_x": -0.5},
    "watermark": {"watermark": True}, "blur": {"blur": 0.18}, "noise": {"noise": 0.03}, "JPEG": {"jpeg": 0.035},
}  # fmt: skip
"""What may spoil a picture of the ``wild`` style, each near the strongest that occurs, and the parameters that it sets."""


def by_class(faces: FaceSet, columns: int, start: int = 0) -> np.ndarray:
    """(7, columns, 48, 48) uint8: the first faces whose true class it is (a row each); no blank image, no copy."""
    usable = ~faces.truth["blank"] & (faces.truth["duplicate_of"] < 0)
    rows = [np.flatnonzero(usable & (faces.truth["true_label"] == k))[start : start + columns] for k in range(len(FER2013))]
    return faces.images[np.stack(rows), 0]


def _plain_world(count: int) -> Params:
    """``count`` copies of a frontal, evenly lit picture without noise."""
    still = {name: np.zeros(count, values.dtype) for name, values in world(np.random.default_rng(0), 1, "lab").items()}
    lit = {
        "scale": 1.03,
        "light_y": -0.05,
        "gain": 1.0,
        "contrast": 1.0,
        "back_tone": 0.85,
        "back_frequency": 1.0,
        "cloth": 0.3,
    }
    return still | {name: np.full(count, value) for name, value in lit.items()}


def _draw(seeds: Sequence[int], units: np.ndarray, changes: Sequence[dict] | None = None) -> np.ndarray:
    """(B, 48, 48) uint8: persons by seed, (B, A) action units, and what each picture changes of the plain world."""
    persons = {seed: people(np.random.default_rng(seed), 1) for seed in seeds}
    p = {name: np.concatenate([persons[seed][name] for seed in seeds]) for name in persons[seeds[0]]}
    p |= _plain_world(len(seeds))
    for i, change in enumerate(changes or ()):
        for name, value in change.items():
            p[name][i] = value
    return drawing.draw(p, units.astype(np.float32), np.random.default_rng(0))[0]


def by_action_unit(intensities: Sequence[float], person: int) -> np.ndarray:
    """(len(intensities), 15, 48, 48) uint8: one person, each action unit alone (a column), at each intensity (a row)."""
    count, width = len(intensities), len(ACTION_UNITS)
    units = np.asarray(intensities)[:, None, None] * np.eye(width)
    return _draw([person] * (count * width), units.reshape(-1, width)).reshape(count, width, 48, 48)


def by_degradation(persons: Sequence[int], name: str = "happy") -> np.ndarray:
    """(len(persons), len(DEGRADATIONS), 48, 48) uint8: each person (a row) with one expression, spoiled in each way."""
    changes = [change for _ in persons for change in DEGRADATIONS.values()]
    seeds = [person for person in persons for _ in DEGRADATIONS]
    units = np.tile(0.8 * prototype_matrix()[FER2013.index(name)], (len(seeds), 1))
    return _draw(seeds, units, changes).reshape(len(persons), len(DEGRADATIONS), 48, 48)


def marked(faces: FaceSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One face of each class: images (7, 48, 48) uint8, landmarks (7, 22, 2), and the regions that its class moves, a plane
    for each of ``REGION_NAMES``: (7, 6, 48, 48) bool."""
    usable = ~faces.truth["blank"] & (faces.truth["duplicate_of"] < 0)
    rows = np.array([np.flatnonzero(usable & (faces.truth["true_label"] == k))[0] for k in range(len(FER2013))])
    bits = faces.truth["region_masks"][rows]
    moved = np.stack([
        [(bits[k] >> i) & 1 if region in synthetic.CLASS_REGIONS[name] else np.zeros_like(bits[k])
         for i, region in enumerate(synthetic.REGION_NAMES)] for k, name in enumerate(FER2013)
    ])  # fmt: skip
    return faces.images[rows, 0], faces.truth["landmarks"][rows], moved.astype(bool)


def mixtures(faces: FaceSet) -> pd.DataFrame:
    """Sum of the true mixtures (columns) of the faces of each true class (rows)."""
    return pd.DataFrame(faces.truth["mixture"].astype(float), columns=FER2013).groupby(_true_class(faces)).sum()


def peaks(faces: FaceSet) -> list[pd.DataFrame]:
    """Share of the true class in the faces of each: median, 5 % and 95 % quantile, a table of one row each."""
    groups = pd.Series(faces.truth["mixture"].max(axis=1)).groupby(_true_class(faces))
    return [groups.quantile(q).to_frame("median").T for q in (0.5, 0.05, 0.95)]


def _true_class(faces: FaceSet) -> pd.Categorical:
    return pd.Categorical.from_codes(faces.truth["true_label"], FER2013)
