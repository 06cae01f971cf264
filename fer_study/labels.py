"""Class orders of the datasets and the maps between them.

Every dataset is read into the FER2013 order (Goodfellow et al., 2015); what cannot be mapped is refused.
"""

from __future__ import annotations

import numpy as np

from .errors import InputError

FER2013 = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Label 0..6 of FER2013, the class order of every table and figure in the study."""

VOTE_NAMES = FER2013 + ("contempt", "unknown", "not_face")
"""Columns of ``FaceSet.votes``: the ten FER+ options (Barsoum et al., 2016), canonical names, FER2013 classes first."""

FERPLUS_COLUMNS = {
    "neutral": "neutral", "happiness": "happy", "surprise": "surprise", "sadness": "sad", "anger": "angry",
    "disgust": "disgust", "fear": "fear", "contempt": "contempt", "unknown": "unknown", "NF": "not_face",
}  # fmt: skip
"""Column of ``fer2013new.csv`` -> canonical name, in the order of the file."""

ALIASES = {
    "anger": "angry", "angry": "angry",
    "disgust": "disgust", "disgusted": "disgust",
    "fear": "fear", "fearful": "fear", "afraid": "fear",
    "happiness": "happy", "happy": "happy",
    "sadness": "sad", "sad": "sad",
    "surprise": "surprise", "surprised": "surprise",
    "neutral": "neutral",
    "contempt": "contempt", "contemptuous": "contempt",
}  # fmt: skip
"""Every spelling met in the wild (lower case) -> canonical class name."""


def canonical(name: str) -> str:
    """Canonical class name of any known spelling.

    Raises:
        InputError: the name is no known spelling of a class.
    """
    try:
        return ALIASES[name.strip().lower()]
    except KeyError:
        raise InputError(f"unknown class name {name!r}; known: {', '.join(sorted(ALIASES))}") from None


def remap(source: tuple[str, ...], target: tuple[str, ...] = FER2013) -> np.ndarray:
    """Index map between two class orders.

    Returns:
        (len(source),) int64: position of each source class in ``target``; -1 where the class is lost.
    """
    return np.array([target.index(c) if c in target else -1 for c in map(canonical, source)], dtype=np.int64)
