"""Draw chosen persons, action units and conditions: faces for show, without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from . import drawing
from .parameters import Params, people, world

LIT = {
    "scale": 1.03,
    "light_y": -0.05,
    "gain": 1.0,
    "contrast": 1.0,
    "back_tone": 0.85,
    "back_frequency": 1.0,
    "cloth": 0.3,
}
"""What is not zero in a frontal, evenly lit picture without noise."""


def plain_world(count: int) -> Params:
    """Describe ``count`` frontal, evenly lit pictures without noise."""
    names = world(np.random.default_rng(0), 1, "lab")
    return {
        name: np.full(count, LIT.get(name, 0)).astype(values.dtype)
        for name, values in names.items()
    }


def draw_portraits(
    persons: Sequence[int], units: np.ndarray, changes: Sequence[Mapping[str, float]] = ()
) -> np.ndarray:
    """Draw a picture a row, for example ``draw_portraits([3], np.zeros((1, 15)))``: a face at rest.

    Args:
        persons: (B,) the seed of who is drawn.
        units: (B, 15) intensities of ``ACTION_UNITS``.
        changes: (B,) what each picture changes of the plain world, such as ``{"yaw": 26.0}``.

    Returns:
        (B, 48, 48) uint8.
    """
    drawn = [people(np.random.default_rng(seed), 1) for seed in persons]
    given = {name: np.concatenate([person[name] for person in drawn]) for name in drawn[0]}
    given |= plain_world(len(persons))
    for place, change in enumerate(changes):
        for name, value in change.items():
            given[name][place] = value
    return drawing.draw(given, np.asarray(units, np.float32), np.random.default_rng(0))[0]
