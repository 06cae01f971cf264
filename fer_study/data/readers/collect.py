"""From rows to a FaceSet: this one place reads them, one after the other, and counts what is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ...settings.errors import InputError
from ..faceset import FaceSet
from ..rows import TWO_LABELS, BadRow, Left, Options, Row, many
from .pictures import pixels


def collect(
    name: str, rows: Sequence[Row], options: Options, write: Callable[[np.ndarray], object], left: Left
) -> dict[str, Any]:
    """Reads rows one after the other.

    Args:
        write: takes the (C, S, S) uint8 pixels of every image that is kept, in order.
        left: counts what is not kept.

    Returns:
        The arguments of ``FaceSet``, without images.

    Raises:
        BadRow: a row is wrong, unless they are skipped.
        InputError: more than one label in twenty is wrong; or no row is right.
    """
    faces, names, seen = [], options.names, {}
    for number, row in enumerate(tqdm(rows, desc=name, unit="image", disable=len(rows) < 50_000, mininterval=2)):
        try:
            face = row()
            where = f"{name}, row {number} ({face.id})"
            if face.id in seen:
                first, label = seen[face.id]
                reason = "twice" if label == face.label else TWO_LABELS
                raise BadRow(where, reason, f"the same image as row {first}, {label} there and {face.label} here")
            if face.label not in names:
                left.dropped[face.label] += 1
                continue
            picture = face.picture()
            if min(picture.size) < 8 or max(picture.size) > 4 * min(picture.size):
                size = f"{picture.width}x{picture.height}"
                what = f"a picture of {size}, allowed: sides from 8 px, one at most 4 times the other"
                raise BadRow(where, "no face has this shape", what)
            write(pixels(picture, options, where))
        except BadRow as error:
            if not options.skip_bad or error.reason == TWO_LABELS:
                raise
            left.count(error)
            continue
        seen[face.id] = number, face.label
        faces.append(face._replace(picture=None))
    if (wrong := left.out["label not allowed"]) > max(2, len(rows) // 20):
        first = next(line for reason, line in left.lines if reason == "label not allowed")
        raise InputError(f"{name}: {wrong} of {len(rows)} labels are none of this layout, so the others may mean other "
                         f"classes too; --skip-bad is for single rows (the first: {first})")  # fmt: skip
    if not faces and left.lines:
        raise InputError(f"{left.lines[0][1]} ({many(left.out.total(), 'row')} wrong, no images in it that are right)")
    votes, targets = ([getattr(f, key) for f in faces] for key in ("votes", "target"))
    return {
        "name": name,
        "labels": np.array([names.index(f.label) for f in faces], np.int64),
        "split": np.array([f.split for f in faces], dtype=str),
        "ids": np.array([f.id for f in faces], dtype=str),
        "votes": np.array(votes, np.uint8) if faces and all(v is not None for v in votes) else None,
        "targets": np.array(targets, np.float32) if faces and all(t is not None for t in targets) else None,
        "attributes": pd.DataFrame([f.attributes for f in faces], dtype=object),
        "classes": names,
        "dropped": dict(left.dropped),
        "left_out": dict(left.out),
    }


def face_set(name: str, rows: Sequence[Row], options: Options, left: Left) -> FaceSet:
    """The set of some rows, in memory."""
    images = np.empty((len(rows), 3 if options.colour else 1, options.size, options.size), np.uint8)
    number = iter(range(len(rows)))
    parts = collect(name, rows, options, lambda x: images.__setitem__(next(number), x), left)
    return FaceSet(images=images[: len(parts["labels"])], **parts)
