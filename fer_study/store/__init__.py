"""Store records: one folder each, written as a whole, found by key.

In ``runs/`` (local) and ``results/`` (published).
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import filelock
import numpy as np
import pandas as pd

from ..settings.checkout import ROOT, STUDY
from ..settings.errors import InputError
from ..settings.experiment import (
    AuditConfig,
    CostConfig,
    CrowdConfig,
    GanConfig,
    MapTestConfig,
    PeersConfig,
    RunConfig,
    TransferConfig,
    ViewsConfig,
)
from ..settings.frozen import Frozen, parse
from .predictions import Predictions, read_predictions, write_predictions
from .record_files import DONE, damaged, listed, read_part, remove_temporary, write_parts

log = logging.getLogger(__name__)

PUBLISHED = (
    "config.json",
    "history.csv",
    "predictions.parquet",
    "metrics.json",
    "env.json",
    "cam.npz",
    "audit.json",
    "faces.npz",
    "cost.json",
    "map_test.npz",
    "views.npz",
    "peers.json",
    "gan.json",
)
"""Parts of a record that are published; weights are not."""
KINDS: dict[str, type[Frozen]] = {
    kind.__name__: kind
    for kind in (
        RunConfig,
        TransferConfig,
        AuditConfig,
        CrowdConfig,
        CostConfig,
        MapTestConfig,
        ViewsConfig,
        PeersConfig,
        GanConfig,
    )
}


def local_root() -> Path:
    """Where records are written: ``$FER_STUDY_RUNS``, else ``runs/`` of ``ROOT``."""
    return Path(os.environ.get("FER_STUDY_RUNS") or ROOT / "runs")


def published_root() -> Path:
    """Where published records lie: ``results/`` of the checkout or of the wheel."""
    return STUDY / "results"


DRAWN = "drawn.safetensors"
"""Faces that a generator drew, in the folder of its local record; they are not published."""

PENDING = "maps.pending"
"""In the folder of a record whose Grad-CAM maps are still to be made; a line for each attempt."""


class Busy(InputError):
    """Another process works on this run."""


@dataclass(frozen=True)
class Record:
    """A finished record; ``published`` says that it came from ``results/``.

    Reading a part that is not as it was written raises ``Damaged``.
    """

    folder: Path
    published: bool

    @property
    def key(self) -> str:
        return self.folder.name

    @cached_property
    def config(self) -> Frozen:
        """What it is the record of: one of ``KINDS``."""
        content, path = self._json("config.json"), self.folder / "config.json"
        kind = str(content.pop("kind", None))
        if kind not in KINDS:
            raise InputError(f"{path}: kind is {kind!r}, allowed: {', '.join(KINDS)}")
        return parse(KINDS[kind], content, str(path))

    @cached_property
    def metrics(self) -> dict[str, dict[str, dict[str, float]]]:
        """view -> subset -> metric -> value; None in the file stands for NaN."""
        content = self._json("metrics.json")
        return {
            view: {name: _with_nan(scores) for name, scores in subsets.items()}
            for view, subsets in content.items()
        }

    @cached_property
    def env(self) -> dict:
        return self._json("env.json")

    @cached_property
    def history(self) -> pd.DataFrame:
        return pd.read_csv(self._part("history.csv"))

    @cached_property
    def predictions(self) -> Predictions:
        return read_predictions(self._part("predictions.parquet"))

    @cached_property
    def audit(self) -> dict:
        """The summary of an audit (see ``audit.AuditReport.summary``)."""
        return self._json("audit.json")

    @cached_property
    def cost(self) -> dict[str, float]:
        """What a network costs (``jobs.cost``); NaN where it is not known."""
        return _with_nan(self._json("cost.json"))

    @cached_property
    def peers(self) -> dict[str, dict[str, float | str]]:
        """What classifiers cost that were timed in turns, by package; see
        ``inference.peers.measure``. ``predictions`` has a view of each."""
        return self._json("peers.json")

    @cached_property
    def gan(self) -> dict[str, dict[str, float]]:
        """How far drawn faces are from real ones; see ``training.drawn_faces.statistics``."""
        return self._json("gan.json")

    @cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """What an audit, or the crowd, says of each image, by row of the FaceSet.

        ``crowd`` (N, K) float32: the share of each class in what most votes name: 1, or that of a
        tie, or 0; ``agreement`` (N,) uint8: how many votes the class with most of them has;
        ``near_copy`` (N,) bool: a test image with a near copy in train or validation;
        ``true_label`` (N,) int8 where known; ``regions`` (K, H, W) float16 where known: how often a
        pixel lies in a region that the class moves. Of a crowd: ``votes`` (N, 10) uint8 over
        ``VOTE_NAMES``, and ``mixture`` (N, K) float16, the true one, where known.
        """
        return {name: array for name, array in self._arrays("faces.npz").items() if name != "mean"}

    @cached_property
    def mean_faces(self) -> np.ndarray:
        """(K, H, W) float32 in [0, 1]: mean training image of each class, stored by an audit.

        NaN below 30 images.
        """
        return self._arrays("faces.npz")["mean"].astype(np.float32)

    @cached_property
    def cam(self) -> dict[str, np.ndarray]:
        """Class means ``maps (K, h, w) float16``, ``counts (K,)``; empty where the run has none."""
        return self._arrays("cam.npz") if "cam.npz" in listed(self.folder) else {}

    @cached_property
    def map_test(self) -> dict[str, np.ndarray]:
        """What maps of a network and of others with random weights hit, over n faces that it gets
        right.

        ``networks`` (M,) str: ``trained``, ``random 0``, ...; ``from the top, 1``, ...: as trained,
        but so many stages from the head on random; ``blob``: no network, one spot in the middle.
        ``inside`` (M, n) float16: the share of a map inside the regions that moved; ``pointing``
        (M, n) bool: its highest place lies inside; ``alike`` (M, n) float16: its rank correlation
        with the map of the trained network, NaN where one is flat. ``area`` (n,) float16: the
        share of the picture that moved; ``classes`` (n,) int8: the true class, which is explained.
        """
        return self._arrays("map_test.npz")

    @property
    def views(self) -> dict[str, np.ndarray]:
        """What a network says of n test images that are changed in V ways (``ViewsConfig.changes``,
        whose order it has).

        ``label`` (n,) int8; ``clean`` (n,) bool: no copy in train or validation; ``predicted``
        (V, n) int8; ``log_loss`` and ``confidence`` (V,) float32: over all n, the mean log loss and
        the mean probability of the named class, which records of the first form of this table lack.
        Of a network with a spatial transformer also ``warp_names`` (S,) str and ``warps`` (V, S)
        float32, the means over images of what ``analysis.warps.describe`` says of its warp, and the
        standard deviations as ``warp_sds``.
        """
        return self._arrays("views.npz")

    @property
    def maps_pending(self) -> bool:
        """Whether its maps are still to be made; all else is there."""
        return not self.published and (self.folder / PENDING).is_file()

    def weights(self, kind: str = "last") -> Path:
        """Path of weights of a kind (``last, best, ema, mean``); only local records have them."""
        return self.folder / f"{kind}.safetensors"

    def check(self) -> None:
        """Hold published parts against their SHA-256, the name of the folder against the config.

        Raises:
            Damaged: a part is not as it was written.
            InputError: this version cannot read the config.
        """
        for name in listed(self.folder):
            if name in PUBLISHED:
                self._part(name)
            elif not name.endswith(".safetensors"):
                raise damaged(self.folder / DONE, f"lists {name!r}, which is no part of a record")
        if self.config.key != self.key:
            raise damaged(self.folder, f"holds another record, {self.config.key}")

    def _part(self, name: str) -> io.BytesIO:
        return io.BytesIO(read_part(self.folder, name))

    def _json(self, name: str) -> dict:
        try:
            content = json.load(self._part(name))
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise damaged(self.folder / name, "holds no JSON object")
        return content

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self._part(name), allow_pickle=False) as arrays:
            return dict(arrays)


def _with_nan(scores: dict[str, float | None]) -> dict[str, float]:
    return {name: float("nan") if value is None else value for name, value in scores.items()}


def lookup(key: str, suits: Callable[[Record], bool] | None = None) -> Record | None:
    """Find the whole record of a key: local first, then published.

    None where there is none, or only a damaged one, which is said once.

    Args:
        suits: passes over a local record that does not serve its caller, so that it does not hide
            the published one.
    """
    for root, published in ((local_root(), False), (published_root(), True)):
        record = Record(root / key, published)
        try:
            if not (record.folder / DONE).is_file():
                continue
            record.check()
        except (InputError, OSError) as damage:
            _warn_once(str(damage))
        else:
            if suits is None or suits(record):
                return record
    return None


def is_damaged(key: str) -> bool:
    """Whether there is a record of a key, but none that is whole."""
    there = any((root / key / DONE).is_file() for root in (local_root(), published_root()))
    return there and lookup(key) is None


@functools.cache
def _warn_once(message: str) -> None:
    log.warning("%s", message)


def records(suits: Callable[[Record], bool] | None = None) -> list[Record]:
    """Every whole record, by key; a local one hides the published one of the same key, where it
    suits (see ``lookup``)."""
    keys = {
        path.parent.name
        for root in (published_root(), local_root())
        for path in root.glob(f"[!.]*/{DONE}")
    }
    return [record for key in sorted(keys) if (record := lookup(key, suits))]


@contextlib.contextmanager
def locked(key: str, timeout: float = 0) -> Iterator[Path]:
    """Hold the folder of a key for this process alone.

    One in which nothing was begun does not stay behind a failure.

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
        remove_temporary(folder)
        yield folder
    except BaseException:
        # with a timeout, others wait for the file
        if not timeout and [path.name for path in folder.iterdir()] == [".lock"]:
            shutil.rmtree(folder)
        raise
    finally:
        lock.release()


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
    weights: dict[str, str] | None = None,
) -> Record:
    """Write all parts of a record of predictions.

    Args:
        weights: file of weights in the folder -> its SHA-256.
    """
    parts = {
        "history.csv": history.to_csv(index=False, float_format="%.6g"),
        "predictions.parquet": as_parquet(table, views),
        "metrics.json": as_json(metrics),
        **({"cam.npz": as_npz(**cam)} if cam else {}),
    }
    return save_files(folder, config, env, parts, weights)


def as_parquet(table: pd.DataFrame, views: dict[str, np.ndarray]) -> bytes:
    """The bytes of a file of predictions; see ``Predictions``."""
    buffer = io.BytesIO()
    write_predictions(buffer, table, views)
    return buffer.getvalue()


def as_npz(**arrays: np.ndarray) -> bytes:
    """The bytes of a compressed ``.npz`` file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def save_files(
    folder: Path,
    config: Frozen,
    env: dict,
    parts: dict[str, str | bytes],
    weights: dict[str, str] | None = None,
) -> Record:
    """Write a record: its config, its environment and other parts; see ``save``."""
    config_json = as_json({"kind": type(config).__name__, **config.model_dump(mode="json")})
    parts = {"config.json": config_json, "env.json": as_json(env), **parts}
    assert set(parts) <= set(PUBLISHED)
    write_parts(folder, parts, weights)
    return Record(folder, published=False)


def is_published(record: Record) -> bool:
    """Say whether ``results/`` holds a record as it is: every part that is published, unharmed."""
    if record.published:
        return True
    copy = Record(published_root() / record.key, published=True)
    parts = {name: digest for name, digest in listed(record.folder).items() if name in PUBLISHED}
    try:
        copy.check()
        return listed(copy.folder) == parts
    except InputError:  # there is none, or one that is damaged
        return False


def publish(record: Record) -> Path:
    """Copy the publishable files of a record (no weights, no checkpoints) to ``results/``.

    Raises:
        InputError: its maps are still to be made, no commit holds its code, or it is damaged.
    """
    if record.maps_pending:
        remedy = "make them with `fer-study train`, then publish again"
        raise InputError(f"{record.folder}: lacks its maps; {remedy}")
    made_with = str(record.env.get("commit", ""))
    if made_with.endswith("+"):
        raise InputError(
            f"{record.folder}: made from changed code (commit {made_with}); commit, remove it, "
            "make it again"
        )
    parts = {
        name: read_part(record.folder, name) for name in listed(record.folder) if name in PUBLISHED
    }
    target = published_root() / record.key
    with filelock.FileLock(local_root() / ".publish.lock"):
        write_parts(target, parts)
        remove_temporary(target)
    return target
