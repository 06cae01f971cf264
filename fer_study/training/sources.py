"""From a data config to its FaceSet, loaded once a process and checked against the fingerprint."""

from __future__ import annotations

import functools
import io
import logging
import os
from pathlib import Path

import filelock
import numpy as np
import pandas as pd

from .. import data, store
from ..data.faceset import FaceSet
from ..data.twin import synthetic
from ..settings.errors import InputError
from ..settings.experiment import DataConfig
from ..store.record_files import DONE, read_part, remove_temporary, write_parts

log = logging.getLogger(__name__)


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
            f"{config.dataset}: fingerprint is {faces.fingerprint}, the run was defined on "
            f"{config.fingerprint}; "
            "this is other data under the same name"
        )
    return faces


@functools.lru_cache(maxsize=2)
def _found(dataset: str, root: str | None, options: data.Options) -> FaceSet:
    return data.find(dataset, root, options=options)


@functools.lru_cache(maxsize=2)
def _synthetic(faces: int, seed: int, style: str) -> FaceSet:
    """Synthetic faces, drawn once and kept in ``cache/`` of the store under their fingerprint;
    damaged ones are drawn again."""
    mark = synthetic.fingerprint(faces, seed, style)
    folder = store.local_root() / "cache" / f"synthetic-{mark}"
    if (folder / DONE).is_file():
        try:
            return _read(folder, mark)
        except InputError as damage:
            log.warning("%s; drawn again", damage)
    made = synthetic.make(faces, seed, style)
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        write_parts(folder, _parts(made))
        remove_temporary(folder)
    return made


def _parts(faces: FaceSet) -> dict[str, bytes]:
    """A FaceSet as arrays and a table, which run no code when they are read."""
    arrays = {name: getattr(faces, name) for name in ("images", "labels", "split", "ids", "votes")}
    content, table = io.BytesIO(), io.BytesIO()
    np.savez(content, **arrays, **{f"truth_{name}": values for name, values in faces.truth.items()})
    faces.attributes.to_parquet(table, index=False)
    return {"faces.npz": content.getvalue(), "attributes.parquet": table.getvalue()}


def _read(folder: Path, fingerprint: str) -> FaceSet:
    """What ``_parts`` wrote.

    Raises:
        Damaged: it is not as it was written.
    """
    with np.load(io.BytesIO(read_part(folder, "faces.npz")), allow_pickle=False) as file:
        arrays = dict(file)
    truth = {name: arrays.pop(name) for name in list(arrays) if name.startswith("truth_")}
    table = pd.read_parquet(io.BytesIO(read_part(folder, "attributes.parquet")))
    return FaceSet(
        name="synthetic",
        **arrays,
        attributes=table,
        fingerprint=fingerprint,
        truth={name.removeprefix("truth_"): values for name, values in truth.items()},
    )
