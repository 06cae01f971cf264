"""From a data config to its FaceSet, loaded once a process and checked against the fingerprint."""

from __future__ import annotations

import functools
import os

import joblib

from . import data, runs
from .config import DataConfig
from .data import synthetic
from .data.faceset import FaceSet
from .errors import InputError


def faces_of(config: DataConfig, root: str | None = None) -> FaceSet:
    """The FaceSet of a data config, checked against its fingerprint.

    Args:
        root: data root (``--data``); None: ``$FER_STUDY_DATA`` or ``data/``.

    Raises:
        InputError: the data is missing, or other data than the config was made for.
    """
    if config.dataset == "synthetic":
        faces = _synthetic(config.faces or 12000, config.world_seed, config.style or "wild")
    else:
        options = data.Options(classes=config.classes, annotation=config.annotation)
        faces = _found(config.dataset, root or os.environ.get("FER_STUDY_DATA"), options)
    if config.fingerprint and faces.fingerprint != config.fingerprint:
        raise InputError(
            f"{config.dataset}: fingerprint is {faces.fingerprint}, the run was defined on {config.fingerprint}; "
            "this is other data under the same name"
        )
    return faces


@functools.lru_cache(maxsize=2)
def _found(dataset: str, root: str | None, options: data.Options) -> FaceSet:
    return data.find(dataset, root, options=options)


@functools.lru_cache(maxsize=2)
def _synthetic(faces: int, seed: int, style: str) -> FaceSet:
    """Synthetic faces, drawn once and kept in ``cache/`` of the store under their fingerprint."""
    path = runs.local_root() / "cache" / f"synthetic-{synthetic.fingerprint(faces, seed, style)}.joblib"
    if path.is_file():
        return joblib.load(path)
    made = synthetic.make(faces, seed, style)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    joblib.dump(made, temporary)
    os.replace(temporary, path)
    return made
