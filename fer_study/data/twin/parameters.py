"""Draw what a synthetic face is made of: a person, an expression, the world around.

Expressions follow the Facial Action Coding System (Ekman and Friesen, 1978) and its EMFACS
prototypes.
"""

from __future__ import annotations

import numpy as np

from ..labels import FER2013

Params = dict[str, np.ndarray]
"""Named columns of N numbers each; everything a face is drawn from."""

ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 16, 20, 23, 25, 26)
"""FACS numbers, in the order of the columns of ``truth["action_units"]``."""

PROTOTYPES = {
    "angry": {4: 1.0, 5: 0.35, 7: 0.8, 23: 0.9},
    "disgust": {9: 1.0, 10: 0.9, 15: 0.5, 16: 0.6},
    "fear": {1: 1.0, 2: 0.5, 4: 0.5, 5: 0.9, 7: 0.2, 20: 1.0, 25: 0.6, 26: 0.25},
    "happy": {6: 0.9, 12: 1.0},
    "sad": {1: 1.0, 4: 0.45, 15: 1.0},
    "surprise": {1: 0.9, 2: 1.0, 5: 0.9, 25: 0.5, 26: 1.0},
    "neutral": {},
}
"""Class -> action unit -> full intensity (EMFACS; lips part, AU 25, where the jaw drops or the lips
stretch)."""

REGION_NAMES = ("brows", "eyes", "nose", "cheeks", "mouth", "jaw")
"""Bit 0..5 of ``truth["region_masks"]``."""

CLASS_REGIONS = {
    "angry": ("brows", "eyes", "mouth"),
    "disgust": ("brows", "eyes", "nose", "mouth"),
    "fear": ("brows", "eyes", "mouth", "jaw"),
    "happy": ("eyes", "cheeks", "mouth"),
    "sad": ("brows", "eyes", "mouth"),
    "surprise": ("brows", "eyes", "mouth", "jaw"),
    "neutral": (),
}
"""Class -> the regions that its prototype moves (a test compares them with the pixels)."""

SKIN_TONES = ("light", "medium", "dark")
AGE_GROUPS = ("young", "adult", "older")
HAIR_STYLES = ("bald", "short", "long", "fringe")
OCCLUSIONS = ("none", "hand", "hair")


def prototype_matrix() -> np.ndarray:
    """Tabulates (7, 15) float: full intensity of each action unit (column) by class."""
    return np.array(
        [[PROTOTYPES[name].get(unit, 0.0) for unit in ACTION_UNITS] for name in FER2013]
    )


def people(rng: np.random.Generator, count: int) -> Params:
    """Draws ``count`` identities; codes index ``SKIN_TONES``, ``AGE_GROUPS``, ``HAIR_STYLES``."""

    def spread(mean: float, deviation: float) -> np.ndarray:
        return mean + deviation * np.clip(rng.standard_normal(count), -2, 2)

    skin, age = rng.choice(3, count, p=[0.5, 0.3, 0.2]), rng.choice(3, count, p=[0.35, 0.4, 0.25])
    masculine = rng.random(count) < 0.5
    chances = {True: [0.15, 0.7, 0.05, 0.1], False: [0.01, 0.17, 0.52, 0.3]}
    hair = np.where(masculine, *(rng.choice(4, count, p=chances[key]) for key in (True, False)))
    grey = (age == 2) & (rng.random(count) < 0.6)
    hair_tone = np.where(
        skin == 0, rng.choice([0.1, 0.22, 0.4, 0.6], count), 0.1
    ) + 0.05 * rng.random(count)
    return {
        "skin": skin, "age": age, "hair": hair, "masculine": masculine,
        "skin_tone": np.array([0.78, 0.62, 0.42])[skin] + rng.uniform(-0.06, 0.06, count),
        "hair_tone": np.where(grey, rng.uniform(0.6, 0.8, count), hair_tone),
        "beard": np.where(masculine & (age > 0) & (rng.random(count) < 0.35),
                          rng.uniform(0.25, 0.85, count), 0.0),
        "glasses": rng.random(count) < np.array([0.1, 0.15, 0.35])[age],
        "glasses_round": rng.random(count),
        "lines": np.array([0.05, 0.3, 0.85])[age] * rng.uniform(0.7, 1.2, count),
        "head_width": spread(0.71, 0.05) + 0.02 * masculine, "head_height": spread(0.93, 0.045),
        "jaw": spread(0.2, 0.06) - 0.06 * masculine,
        "square": np.clip(spread(0.25, 0.15) + 0.25 * masculine, 0, 0.8),
        "eye_spacing": spread(0.325, 0.018), "eye_size": spread(1.0, 0.09),
        "eye_open": spread(1.0, 0.1),
        "eye_tilt": spread(0.01, 0.014), "iris": rng.uniform(0.08, 0.4, count),
        "eye_height": spread(-0.17, 0.02),
        "brow_height": spread(-0.2, 0.018), "brow_thick": spread(0.036, 0.007) + 0.014 * masculine,
        "brow_arch": spread(0.045, 0.02), "nose_width": spread(0.125, 0.018) + 0.03 * (skin == 2),
        "nose_length": spread(0.19, 0.03), "mouth_height": spread(0.5, 0.02),
        "mouth_width": spread(0.245, 0.02),
        "lips": spread(1.0, 0.18) + 0.3 * (skin == 2) - 0.15 * masculine,
        "lip_tone": rng.uniform(0.62, 0.85, count),
        "hairline": spread(-0.62, 0.05), "parting": rng.uniform(-0.5, 0.5, count),
        "streaks": rng.uniform(18, 40, count),
    }  # fmt: skip


def expressions(rng: np.random.Generator, mixture: np.ndarray, style: str) -> np.ndarray:
    """Draws the action units of blended, jittered prototypes.

    Args:
        mixture: (N, 7) shares of the seven classes; rows sum to 1.

    Returns:
        (N, 15) float32 in [0, 1.2], columns as ``ACTION_UNITS``.
    """
    n, column = len(mixture), {unit: i for i, unit in enumerate(ACTION_UNITS)}
    low, high, jitter = (0.8, 1.15, 0.03) if style == "lab" else (0.65, 1.15, 0.06)
    units = (
        mixture
        @ prototype_matrix()
        * rng.uniform(low, high, (n, 1))
        * rng.uniform(0.8, 1.2, (n, len(ACTION_UNITS)))
    )
    share = dict(zip(FER2013, mixture.T, strict=True))
    units[:, column[25]] += share["happy"] * (rng.random(n) < 0.65) * rng.uniform(0.4, 1.1, n)
    # some angry mouths bare the teeth instead of pressing the lips
    bared = share["angry"] * (rng.random(n) < 0.3)
    units[:, column[23]] *= 1 - 0.8 * (bared > 0)
    for unit, amount in ((10, 0.5), (16, 0.7), (25, 0.6)):
        units[:, column[unit]] += bared * amount
    units += jitter * rng.standard_normal(units.shape)
    return np.clip(units, 0, 1.2).astype(np.float32)


def world(rng: np.random.Generator, n: int, style: str) -> Params:
    """Draws pose (degrees), light, background and what spoils the picture, for ``n`` images."""
    wild = style == "wild"
    angle = 1.0 if wild else 0.12
    rare = {
        name: wild & (rng.random(n) < rate)
        for name, rate in (("watermark", 0.06), ("jpeg", 0.3), ("blurred", 0.35))
    }
    return {
        "yaw": angle * np.clip(12 * rng.standard_normal(n), -30, 30),
        "roll": angle * np.clip(7 * rng.standard_normal(n), -18, 18),
        "pitch": angle * np.clip(7 * rng.standard_normal(n), -16, 16),
        "scale": rng.uniform(0.98, 1.22, n) if wild else rng.uniform(1.0, 1.06, n),
        "shift_x": (0.07 if wild else 0.01) * rng.uniform(-1, 1, n),
        "shift_y": (0.06 if wild else 0.01) * rng.uniform(-1, 1, n),
        "light_x": (0.38 if wild else 0.05) * rng.uniform(-1, 1, n),
        "light_y": rng.uniform(-0.3, 0.15, n) if wild else np.full(n, -0.05),
        "gain": rng.uniform(0.72, 1.15, n) if wild else rng.uniform(0.97, 1.03, n),
        "contrast": rng.uniform(0.75, 1.2, n) if wild else np.ones(n),
        "back_tone": rng.uniform(0.05, 0.95, n) if wild else np.full(n, 0.85),
        "back_wave": rng.uniform(0, 0.2, n) * wild,
        "back_frequency": rng.uniform(1, 7, n), "back_angle": rng.uniform(0, 6.3, n),
        "cloth": rng.uniform(0.05, 0.9, n),
        "gaze_x": (0.04 if wild else 0.008) * rng.standard_normal(n),
        "gaze_y": (0.012 if wild else 0.004) * rng.standard_normal(n),
        "smirk": (0.012 if wild else 0.005) * rng.standard_normal(n),
        "occlusion": rng.choice(3, n, p=[0.9, 0.06, 0.04]) if wild else np.zeros(n, int),
        "occluder_x": rng.uniform(-1, 1, n), "occluder_y": rng.uniform(-0.1, 0.6, n),
        "blur": rare["blurred"] * rng.uniform(0.05, 0.18, n),
        "noise": 0.03 * rng.random(n) ** 2 if wild else np.full(n, 0.006),
        "jpeg": rare["jpeg"] * rng.uniform(0.015, 0.035, n), "watermark": rare["watermark"],
    }  # fmt: skip
