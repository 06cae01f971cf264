"""Class names, their spellings, and the class orders of the datasets.

Every dataset is read by class name, never by number, and stored in the FER2013 order (Goodfellow et
al., 2013). What has no counterpart there is counted, and a name that nobody knows is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..settings.errors import InputError

FER2013 = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""Label 0..6 of FER2013, the class order of every table and figure in the study."""

EIGHT = (*FER2013, "contempt")
"""The same with contempt, which FER+, AffectNet, CK+ and muxspace have."""

VOTE_NAMES = (*EIGHT, "unknown", "not_face")
"""Columns of ``FaceSet.votes``: the ten FER+ options (Barsoum et al., 2016) by canonical name, the
classes of FER2013 first."""

FERPLUS_COLUMNS = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "contempt": "contempt",
    "unknown": "unknown",
    "NF": "not_face",
}
"""Column of ``fer2013new.csv`` -> canonical name, in the order of the file."""

NATIVE = {
    "fer2013": dict(enumerate(FER2013)),
    "ferplus": dict(enumerate(FERPLUS_COLUMNS.values())),
    "rafdb": dict(
        enumerate(("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), start=1)
    ),
    "affectnet": dict(
        enumerate((
            "neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt",
            "none", "uncertain", "not_face",
        ))
    ),
    "expw": dict(enumerate(FER2013)),
    "jaffe": {
        "AN": "angry", "DI": "disgust", "FE": "fear", "HA": "happy", "SA": "sad", "SU": "surprise",
        "NE": "neutral",
    },
}  # fmt: skip
"""Dataset -> its own label (a number, or letters in a file name) -> canonical name."""

ALIASES = {
    "angry": "anger angry angered mad",
    "disgust": "disgust disgusted disgusting",
    "fear": "fear fearful feared afraid scared scare",
    "happy": "happy happiness joy joyful smile smiling",
    "sad": "sad sadness saddened",
    "surprise": "surprise surprised surprising",
    "neutral": "neutral neutrality",
    "contempt": "contempt contemptuous",
}
"""Canonical class name -> every spelling met in the wild (lower case)."""

WITHOUT_COUNTERPART = ("none", "uncertain", "unknown", "not_face")
"""Labels of datasets that are no expression; images with them are dropped and counted."""

KNOWN = "known: " + "; ".join(", ".join(spellings.split()) for spellings in ALIASES.values())
"""What to say where a class name is unknown."""

_SPELLING = {
    spelling: name for name, spellings in ALIASES.items() for spelling in spellings.split()
}
_SPELLING |= {"noface": "not_face", "nonface": "not_face", "nf": "not_face", "notface": "not_face"}
_SPELLING |= {name: name for name in WITHOUT_COUNTERPART if "_" not in name}
_NAME = re.compile(r"(?:[0-9]+[ ._-]*)?([a-z]+(?:[ _-]+[a-z]+)*)")
_COMPOUND = {
    "happily": "happy",
    "sadly": "sad",
    "fearfully": "fear",
    "angrily": "angry",
    "disgustedly": "disgust",
}


def class_names(classes: int | Sequence[str]) -> tuple[str, ...]:
    """The names of classes: of a number, seven are FER2013's and the eighth is contempt; names of
    one's own are given as they are.

    Raises:
        ValueError: there is no name for each.
    """
    if not isinstance(classes, int):
        return tuple(classes)
    if not 0 < classes <= len(EIGHT):
        raise ValueError(f"the number of classes is {classes}, allowed: 1..{len(EIGHT)}")
    return EIGHT[:classes]


def of_view(view: str) -> str:
    """An evaluation view in words: ``last_ten_crop`` is "last weights, ten-crop"."""
    return view.replace("_", " weights, ", 1).replace("_", "-")


def canonical(name: str) -> str:
    """Find the canonical name: ``Anger``, ``0_happy`` and ``sadness`` are angry, happy and sad.

    Nothing but case, a number in front, and spaces, hyphens and underscores is passed over:
    ``!happy`` may be its opposite.

    Returns:
        One of ``EIGHT``; one of ``WITHOUT_COUNTERPART``; or a compound of two such as
        ``happy+surprise`` (RAF-DB).

    Raises:
        InputError: the name is no known spelling.
    """
    found = _NAME.fullmatch(name.strip().lower())
    words = re.split("[ _-]+", found[1]) if found else []
    if (whole := "".join(words)) in _SPELLING:
        return _SPELLING[whole]
    if len(words) == 2 and words[0] in _COMPOUND and words[1] in _SPELLING:
        return f"{_COMPOUND[words[0]]}+{_SPELLING[words[1]]}"
    raise InputError(f"unknown class name {name!r}; {KNOWN}")
