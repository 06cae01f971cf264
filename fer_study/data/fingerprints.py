"""Fingerprints: short hashes that name exact data, and those of the official sets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .faceset import FaceSet

FINGERPRINTS = {"fer2013": "d6f4311b00ec234e", "muxspace": "098c89d93327d3a2"}
"""Dataset -> ``FaceSet.fingerprint`` of the complete set in the row order of its source: FER2013
from parquet or CSV, muxspace from parquet (faces of at most 96 px as JPEG, so that another JPEG
decoder may give another one)."""

FINGERPRINTS_OF_EIGHT = {"fer2013": "9e7845653c8e0844"}
"""The same of a set that is read with eight classes, contempt among them, which only its crowd
names."""

ROWS = {"fer2013": "6a01d1da75be01e3"}
"""Dataset -> ``mark_of`` its labels and split in the row order of its source."""

VOTES = {"fer2013": "d1163d3d447f45a1"}
"""Dataset -> ``mark_of`` its votes (N, 10) over ``VOTE_NAMES`` in the row order of its source: the
whole of FER+."""


def mark_of(*parts: np.ndarray) -> str:
    """Hashes some arrays, one after the other: 16 hexadecimal digits of their SHA-256.

    Args:
        parts: integers count as int64 (unsigned ones as bytes), shares as float32, texts line by
            line.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(_bytes(part))
    return digest.hexdigest()[:16]


def _bytes(part: np.ndarray) -> bytes:
    if part.dtype.kind in "UO":
        return "\n".join(part.tolist()).encode("utf-8", "surrogateescape")
    return np.ascontiguousarray(part, {"u": "u1", "f": "<f4"}.get(part.dtype.kind, "<i8")).tobytes()


def fingerprint_of(faces: FaceSet, pixels: Iterable[bytes] | None = None) -> str:
    """Hashes pixels, labels, split, votes and targets: 16 digits of their SHA-256.

    An official set has one fingerprint with and without its votes, as long as these are the
    official ones.

    Args:
        pixels: the bytes of the images where they are at hand without ``faces.images``: hashed
            through a map, all of it would count as memory of the process.
    """
    digest = hashlib.sha256()
    digest.update(repr((faces.images.shape, faces.classes)).encode())
    for part in pixels or [np.ascontiguousarray(faces.images).data]:
        digest.update(part)
    digest.update(_bytes(faces.labels))
    digest.update(_bytes(faces.split))
    mark = digest.hexdigest()[:16]
    crowd = [x for x in (faces.votes, faces.targets) if x is not None]
    known = (*FINGERPRINTS.values(), *FINGERPRINTS_OF_EIGHT.values())
    if not crowd or (mark in known and mark_of(*crowd) in VOTES.values()):
        return mark
    for part in crowd:
        digest.update(repr((part.dtype.kind, part.shape)).encode() + _bytes(part))
    return digest.hexdigest()[:16]
