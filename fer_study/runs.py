"""The store: one folder a record, written atomically, found by key, in ``runs/`` (local) and ``results/`` (published)."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .checkout import ROOT
from .config import AuditConfig, CostConfig, RunConfig, TransferConfig
from .errors import InputError
from .frozen import Frozen, parse

PUBLISHED = ("config.json", "history.csv", "predictions.parquet", "metrics.json", "env.json", "cam.npz",
             "audit.json", "faces.npz", "cost.json", "done")  # fmt: skip
KINDS: dict[str, type[Frozen]] = {k.__name__: k for k in (RunConfig, TransferConfig, AuditConfig, CostConfig)}


def local_root() -> Path:
    """Where records are written: ``$FER_STUDY_RUNS``, else ``runs/`` of the checkout."""
    return Path(os.environ.get("FER_STUDY_RUNS") or ROOT / "runs")


def published_root() -> Path:
    """Where published records lie: ``results/`` of the checkout."""
    return ROOT / "results"


class Busy(InputError):
    """Another process works on this run."""


@dataclass(frozen=True)
class Record:
    """A finished record. ``published`` says that it came from ``results/``."""

    folder: Path
    published: bool

    @property
    def key(self) -> str:
        return self.folder.name

    @cached_property
    def config(self) -> RunConfig | TransferConfig:
        content = self._json("config.json")
        return parse(KINDS[content.pop("kind")], content, str(self.folder / "config.json"))

    @cached_property
    def metrics(self) -> dict[str, dict[str, dict[str, float]]]:
        """view -> subset -> metric -> value; None in the file stands for NaN."""
        content = self._json("metrics.json")
        return {view: {name: _with_nan(scores) for name, scores in subsets.items()} for view, subsets in content.items()}

    @cached_property
    def env(self) -> dict:
        return self._json("env.json")

    @cached_property
    def history(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "history.csv")

    @cached_property
    def predictions(self) -> Predictions:
        return read_predictions(self.folder / "predictions.parquet")

    @cached_property
    def audit(self) -> dict:
        """The summary of an audit (see ``audit.AuditReport.summary``)."""
        return self._json("audit.json")

    @cached_property
    def cost(self) -> dict[str, float]:
        """What a network costs (``study.cost_of``); NaN where it is not known."""
        return _with_nan(self._json("cost.json"))

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """What an audit says of each image, by row of the FaceSet: ``crowd`` (N, K) float32, the share of each class in what
        most votes name: 1, or that of a tie, or 0; ``near_copy`` (N,) bool, a test image with a near copy in train or
        validation, ``true_label`` (N,) int8 where known; and ``regions`` (K, H, W) float16, how often a pixel lies in a
        region that the class moves, where known."""
        with np.load(self.folder / "faces.npz", allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if name != "mean"}

    @cached_property
    def mean_faces(self) -> np.ndarray:
        """(K, H, W) float32 in [0, 1]: mean training image of each class, stored by an audit; NaN below 30 images."""
        with np.load(self.folder / "faces.npz", allow_pickle=False) as arrays:
            return arrays["mean"].astype(np.float32)

    @cached_property
    def cam(self) -> dict[str, np.ndarray]:
        """``maps (K, h, w) float16`` class means and ``counts (K,)``; empty where the run has none."""
        path = self.folder / "cam.npz"
        if not path.is_file():
            return {}
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)

    def weights(self, kind: str = "last") -> Path:
        """Path of the weights of a kind (``last``, ``best``, ``ema``); only local records have them."""
        return self.folder / f"{kind}.safetensors"

    def _json(self, name: str) -> dict:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


def _with_nan(scores: dict[str, float | None]) -> dict[str, float]:
    return {name: float("nan") if value is None else value for name, value in scores.items()}


@dataclass(frozen=True)
class Predictions:
    """Stored predictions.

    Attributes:
        table: N rows: ``row`` (in the FaceSet), ``split``, ``label``, and flags ``copy_in_train``, ``copy_in_validation``
            (an exact copy of the image is there).
        views: view -> (N, K) float32 log-probabilities, rounded to half precision.
    """

    table: pd.DataFrame
    views: dict[str, np.ndarray]

    def subset(self, name: str) -> np.ndarray:
        """(N,) bool: ``validation``, ``test``, ``test_clean`` (no copy in train or validation), ``merged`` (validation and
        test) or ``merged_clean`` (no copy in train).

        Raises:
            ValueError: unknown name.
        """
        in_test, in_train = self.table["split"] == "test", self.table["copy_in_train"]
        masks = {
            "validation": self.table["split"] == "validation",
            "test": in_test,
            "test_clean": in_test & ~in_train & ~self.table["copy_in_validation"],
            "merged": in_test | (self.table["split"] == "validation"),
            "merged_clean": ~in_train,
        }
        if name not in masks:
            raise ValueError(f"subset is {name!r}, allowed: {', '.join(masks)}")
        return masks[name].to_numpy()


SUBSETS = ("validation", "test", "test_clean", "merged", "merged_clean")


def write_predictions(path: Path, table: pd.DataFrame, views: dict[str, np.ndarray]) -> None:
    """One parquet file: the table's columns and one fixed-size list of K half floats per view."""
    columns = {name: pa.array(table[name]) for name in table.columns}
    columns["split"] = columns["split"].dictionary_encode()
    for view, logits in views.items():
        values = pa.array(np.ascontiguousarray(logits, dtype=np.float16).ravel())
        columns[view] = pa.FixedSizeListArray.from_arrays(values, logits.shape[1])
    pq.write_table(pa.table(columns), path, compression="zstd", compression_level=15)


def read_predictions(path: Path) -> Predictions:
    """What ``write_predictions`` wrote."""
    table = pq.read_table(path)
    is_view = [pa.types.is_fixed_size_list(f.type) for f in table.schema]
    names = [n for n, view in zip(table.column_names, is_view, strict=True) if view]
    views = {}
    for name in names:
        column = table[name].combine_chunks()
        flat = (column if isinstance(column, pa.Array) else column.chunk(0)).flatten().to_numpy(zero_copy_only=False)
        views[name] = flat.reshape(len(table), -1).astype(np.float32)
    frame = table.drop(names).to_pandas()
    frame["split"] = frame["split"].astype(str)
    return Predictions(frame, views)


def lookup(key: str) -> Record | None:
    """The record of a key: local first, then published; None where there is none that is done."""
    for root, published in ((local_root(), False), (published_root(), True)):
        if (root / key / "done").is_file():
            return Record(root / key, published)
    return None


def records() -> list[Record]:
    """Every finished record, by key; a local one hides the published one of the same key."""
    found = {}
    for root, published in ((published_root(), True), (local_root(), False)):
        done = sorted(root.glob("[!.]*/done"))  # a copy that is being published lies beside, in a hidden folder
        found.update({path.parent.name: Record(path.parent, published) for path in done})
    return list(found.values())


@contextlib.contextmanager
def locked(key: str, timeout: float = 0) -> Iterator[Path]:
    """The folder of a key, held by this process alone; one in which nothing was begun does not stay behind a failure.

    Raises:
        Busy: another process works on it.
    """
    folder = local_root() / key
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock", timeout=timeout)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise Busy(f"{folder}: another process works on this run; wait for it or stop it") from None
    try:
        yield folder
    except BaseException:
        if not timeout and [path.name for path in folder.iterdir()] == [".lock"]:  # with a timeout, others wait for the file
            shutil.rmtree(folder)
        raise
    finally:
        lock.release()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write beside the target and rename: a reader sees the old file or the new one, never half of one."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(temporary, path)


def as_json(value: dict) -> str:
    """JSON with sorted keys and a line end."""
    return json.dumps(value, indent=1, sort_keys=True, default=float) + "\n"


def save(
    folder: Path,
    config: RunConfig | TransferConfig,
    *,
    history: pd.DataFrame,
    table: pd.DataFrame,
    views: dict[str, np.ndarray],
    metrics: dict,
    env: dict,
    cam: dict[str, np.ndarray] | None = None,
) -> Record:
    """Write all parts of a record; ``done`` comes last, so a record without it is never read."""
    write_atomically(folder / "config.json", as_json({"kind": type(config).__name__, **config.model_dump(mode="json")}))
    write_atomically(folder / "history.csv", history.to_csv(index=False, float_format="%.6g"))
    buffer = io.BytesIO()
    write_predictions(buffer, table, views)
    write_atomically(folder / "predictions.parquet", buffer.getvalue())
    write_atomically(folder / "metrics.json", as_json(metrics))
    write_atomically(folder / "env.json", as_json(env))
    if cam:
        write_atomically(folder / "cam.npz", as_npz(**cam))
    write_atomically(folder / "done", "")
    return Record(folder, published=False)


def as_npz(**arrays: np.ndarray) -> bytes:
    """The bytes of a compressed ``.npz`` file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def save_files(folder: Path, config: AuditConfig | CostConfig, env: dict, files: dict[str, str | bytes]) -> Record:
    """Write a record that is no training: its config, its environment and some files; ``done`` last."""
    write_atomically(folder / "config.json", as_json({"kind": type(config).__name__, **config.model_dump(mode="json")}))
    for name, content in {**files, "env.json": as_json(env)}.items():
        assert name in PUBLISHED
        write_atomically(folder / name, content)
    write_atomically(folder / "done", "")
    return Record(folder, published=False)


def publish(record: Record) -> Path:
    """Copy the publishable files of a record (no weights, no checkpoints) to ``results/``.

    Raises:
        InputError: the record was made by code that no commit holds.
    """
    made_with = str(record.env.get("commit", ""))
    if made_with.endswith("+"):
        raise InputError(f"{record.folder}: made from changed code (commit {made_with}); commit, remove it, make it again")
    target, temporary = published_root() / record.key, published_root() / f".{record.key}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name in PUBLISHED:
        if (record.folder / name).is_file():
            shutil.copyfile(record.folder / name, temporary / name)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)
    return target
