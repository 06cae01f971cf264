"""Draw chosen persons, action units and conditions: faces for show, without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real

import numpy as np

from ...settings.errors import InputError
from . import drawing
from .parameters import ACTION_UNITS, Params, people, world

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


def draw_face(units: Mapping[int, float], person: int = 0) -> np.ndarray:
    """Draw one face from action units of the Facial Action Coding System.

    Frontal, evenly lit, without noise; the same arguments give the same pixels.

    Example:
        >>> from fer_study.data.twin import draw_face
        >>> smile = draw_face({12: 1.0, 6: 0.7}, person=3)  # lip corners and cheeks raised
        >>> smile.shape, smile.dtype, bool((smile == draw_face({}, person=3)).all())
        ((48, 48), dtype('uint8'), False)

    Args:
        units: number of an action unit (one of ``ACTION_UNITS``) -> intensity, 0 to 1; one that is
            not named is 0, so ``{}`` is a face at rest.
        person: who is drawn, a whole number from 0.

    Returns:
        (48, 48) uint8, gray levels.

    Raises:
        InputError: units are no mapping, one is unknown, an intensity not from 0 to 1, or the
            person no such number.
    """
    if not isinstance(units, Mapping):
        raise InputError(f"units are {units!r}; allowed: such as {{12: 1.0, 6: 0.7}}")
    if isinstance(person, bool) or not isinstance(person, Integral) or person < 0:
        raise InputError(f"person is {person!r}; allowed: a whole number, 0 or more")
    row = np.zeros((1, len(ACTION_UNITS)), np.float32)
    for unit, intensity in units.items():
        if isinstance(unit, bool) or unit not in ACTION_UNITS:
            known = ", ".join(map(str, ACTION_UNITS))
            raise InputError(f"unknown action unit {unit!r}; allowed: {known}")
        if not isinstance(intensity, Real) or not 0 <= intensity <= 1:
            raise InputError(f"action unit {unit} has intensity {intensity!r}; allowed: 0 to 1")
        row[0, ACTION_UNITS.index(unit)] = intensity
    return draw_portraits([int(person)], row)[0]
