"""Readers: one file a dataset, which knows the layouts in which that dataset circulates."""

from __future__ import annotations

from pathlib import Path

from . import affectnet, expw, fer2013, fer2013_folders, ferplus, folders, muxspace, posed, rafdb
from .layout import Layout

_READERS = (fer2013, fer2013_folders, ferplus, muxspace, rafdb, affectnet, expw, posed, folders)

LAYOUTS: tuple[Layout, ...] = tuple(layout for reader in _READERS for layout in reader.LAYOUTS)
"""Every layout that can be read; the first one that recognises a path reads it."""


def recognise(path: str | Path, dataset: str | None = None) -> Layout | None:
    """Finds the layout of a path, or None: of one dataset, or of any not only ``named``."""
    path = Path(path)
    layouts = (x for x in LAYOUTS if dataset == x.dataset or (dataset is None and not x.named))
    return next((x for x in layouts if x.recognises(path)), None)
