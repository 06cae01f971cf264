"""Make a FaceSet of rows: read one after the other, and count what is left out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ...settings.errors import InputError
from ..faceset import FaceSet
from ..rows import TWO_LABELS, BadRow, Face, Omitted, Options, good, pluralise
from .pictures import pixels

IN_MEMORY = 2**28
"""Bytes of pixels up to which a set is held in memory; those of a larger one are mapped from a
temporary file."""


def collect(
    name: str,
    rows: Collection[Face | BadRow],
    options: Options,
    write: Callable[[bytes], object],
    omitted: Omitted,
) -> dict[str, Any]:
    """Reads rows one after the other, so that memory does not grow with the pixels.

    Args:
        write: takes the (C, S, S) uint8 pixels of every image that is kept, in order.
        omitted: counts what is not kept.

    Returns:
        The arguments of ``FaceSet``, without images.

    Raises:
        BadRow: a row is wrong, unless they are skipped.
        InputError: more than one label in twenty is wrong; or no row is right.
    """
    faces: list[Face] = []
    first: dict[str, tuple[int, str]] = {}  # id -> row and label of the image that has it
    bar = tqdm(rows, desc=name, unit="image", disable=len(rows) < 50_000, mininterval=2)
    for number, row in enumerate(bar):
        try:
            face = good(row)
            where = f"{name}, row {number} ({face.id})"
            if face.id in first:
                raise _repeated(where, *first[face.id], face.label)
            if face.label not in options.names:
                omitted.classes[face.label] += 1
                continue
            picture = face.picture()
            _check_shape(*picture.size, where)
            write(pixels(picture, options, where).tobytes())
        except BadRow as error:
            if not options.skip_bad or error.reason == TWO_LABELS:
                raise
            omitted.add(error)
            continue
        first[face.id] = number, face.label
        faces.append(face._replace(picture=None))
    _check_omitted(name, omitted, len(rows), len(faces))
    return _columns(name, faces, options, omitted)


def _repeated(where: str, first: int, first_label: str, label: str) -> BadRow:
    reason = "twice" if first_label == label else TWO_LABELS
    what = f"the same image as row {first}, {first_label} there and {label} here"
    return BadRow(where, reason, what)


def _check_shape(width: int, height: int, where: str) -> None:
    if min(width, height) < 8 or max(width, height) > 4 * min(width, height):
        allowed = "sides from 8 px, one at most 4 times the other"
        what = f"a picture of {width}x{height}, allowed: {allowed}"
        raise BadRow(where, "no face has this shape", what)


def _check_omitted(name: str, omitted: Omitted, rows: int, kept: int) -> None:
    """Refuses a set in which too much is wrong."""
    if (wrong := omitted.rows["label not allowed"]) > max(2, rows // 20):
        line = next(line for reason, line in omitted.lines if reason == "label not allowed")
        raise InputError(
            f"{name}: {wrong} of {rows} labels are none of this layout, so the others may mean "
            f"other classes too; --skip-bad is for single rows (the first: {line})"
        )
    if not kept and omitted.lines:
        wrong = pluralise(omitted.rows.total(), "row")
        raise InputError(f"{omitted.lines[0][1]} ({wrong} wrong, no images in it that are right)")


def _columns(name: str, faces: list[Face], options: Options, omitted: Omitted) -> dict[str, Any]:
    def stacked(key: str, kind: type) -> np.ndarray | None:
        values = [getattr(face, key) for face in faces]
        return np.array(values, kind) if faces and all(x is not None for x in values) else None

    return {
        "name": name,
        "labels": np.array([options.names.index(face.label) for face in faces], np.int64),
        "split": np.array([face.split for face in faces], dtype=str),
        "ids": np.array([face.id for face in faces], dtype=str),
        "votes": stacked("votes", np.uint8),
        "targets": stacked("target", np.float32),
        "attributes": pd.DataFrame([face.attributes for face in faces], dtype=object),
        "classes": options.names,
        "dropped": dict(omitted.classes),
        "left_out": dict(omitted.rows),
    }


def face_set(
    name: str, rows: Collection[Face | BadRow], options: Options, omitted: Omitted
) -> FaceSet:
    """Reads the set of some rows; arguments and errors as in ``collect``."""
    # not closed here: the map of a large set outlives this function, and the file goes with it
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
    columns = collect(name, rows, options, file.write, omitted)
    shape = (len(columns["labels"]), *options.shape)
    if file.tell() > IN_MEMORY:
        images = np.memmap(file, np.uint8, "r", shape=shape)
    else:
        file.seek(0)
        images = np.frombuffer(bytearray(file.read()), np.uint8).reshape(shape)
    return FaceSet(images=images, **columns)
