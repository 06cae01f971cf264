"""Datasets: ``load`` reads a path in any known layout, ``find`` finds a dataset below the data root."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from ..errors import InputError
from . import fer2013, muxspace, official
from .faceset import SPLITS, FaceSet, fingerprint_of
from .layout import Layout

__all__ = ["LAYOUTS", "SPLITS", "FaceSet", "find", "fingerprint_of", "load", "recognise"]

log = logging.getLogger(__name__)

LAYOUTS: tuple[Layout, ...] = (*fer2013.LAYOUTS, *muxspace.LAYOUTS)
"""Every layout that can be read; the first one that recognises a path reads it."""


def recognise(path: str | Path, dataset: str | None = None) -> Layout | None:
    """The layout of a path, or None; only layouts of ``dataset`` where it is given."""
    path = Path(path)
    return next((x for x in LAYOUTS if dataset in (None, x.dataset) and x.recognises(path)), None)


def load(path: str | Path, dataset: str | None = None, verify: bool = True) -> FaceSet:
    """Reads a dataset from a file or folder in any known layout.

    Args:
        path: file or folder.
        dataset: name of the dataset that is expected; None takes whatever is found.
        verify: refuse a set whose counts by split and class differ from the official ones.

    Raises:
        InputError: the path is missing, its layout unknown, its content wrong, or its counts not the official ones.
    """
    path = Path(path)
    _check_name(dataset)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    layout = recognise(path, dataset)
    if layout is None:
        other = recognise(path) if dataset else None
        found = f"holds {other.dataset} ({other.name}), not {dataset}" if other else "layout not recognised"
        known = "; ".join(f"{x.dataset} {x.name}: {x.looks_like}" for x in LAYOUTS if dataset in (None, x.dataset))
        raise InputError(f"{path}: {found}; known layouts: {known}")
    faces = layout.read(path)
    if not len(faces):
        raise InputError(f"{path}: no images in it")
    log.info("%s: %s (%s), %d images, fingerprint %s", path, layout.dataset, layout.name, len(faces), faces.fingerprint)
    if verify and (wrong := official.difference(faces)):
        raise InputError(f"{path}: not the official {faces.name}: {wrong}; verify=False loads it all the same")
    return faces


def find(dataset: str, root: str | Path | None = None, verify: bool = True) -> FaceSet:
    """Finds a dataset at a data root or in the folder of its name below it, and loads it.

    Args:
        dataset: name of the dataset, e.g. ``fer2013``.
        root: the data root; None takes ``$FER_STUDY_DATA``, else ``data`` in the working directory.
        verify: as in ``load``.

    Raises:
        InputError: the dataset is unknown, not there, or not right.
    """
    _check_name(dataset)
    root = Path(root or os.environ.get("FER_STUDY_DATA") or "data")
    for path in (root, root / dataset):
        if path.exists() and recognise(path, dataset):
            return load(path, dataset, verify)
    raise InputError(
        f"{dataset} not found in {root} nor in {root / dataset}; say where it is with --data or $FER_STUDY_DATA "
        f"(layouts: {'; '.join(x.looks_like for x in LAYOUTS if x.dataset == dataset)})"
    )


def _check_name(dataset: str | None) -> None:
    known = sorted({x.dataset for x in LAYOUTS})
    if dataset is not None and dataset not in known:
        raise InputError(f"unknown dataset {dataset!r}; known: {', '.join(known)}")
