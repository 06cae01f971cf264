"""A model in a folder: weights as safetensors, what belongs to them as JSON, and a model card.

It is read without the store and without any data, and nothing in it is ever unpickled.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import scipy
import torch
from pydantic import Field

from .. import store
from ..analysis import conformal, metrics
from ..data.labels import class_names
from ..models import FaceModel, create_model
from ..models.modes import eval_mode
from ..settings.checkout import sha256
from ..settings.errors import InputError
from ..settings.experiment import AugmentConfig, ModelConfig, RunConfig
from ..settings.frozen import Frozen, parse
from ..store.diff import whole_key
from ..store.record_files import write_atomically
from ..training import weights
from ..training.predict import log_probabilities
from ..training.sources import faces_of
from . import card

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
Kind = Literal["last", "best"]
SHIPPED = Path(__file__).parent / "model"


class Settings(Frozen):
    """What belongs to the weights of a model.

    Attributes:
        format: of the folder.
        network: its name and its options.
        channels: 1 for gray faces.
        size: side of the faces that it learned from; pictures are brought to it first.
        mean, std: normalisation of pixels in [0, 1].
        temperature: log-probabilities are divided by it (Guo et al., 2017).
        thresholds: level in per cent -> least probability, before that division, with which a class
            belongs to a conformal set.
        calibrated_on: how many validation images both were fitted on.
        record, name, seed, dataset, fingerprint, protocol: the run that trained it, and its data.
        weights: of its last epoch, or of the one with the best accuracy on validation.
        scores: what the model card says of the test split.
        precision: of the weights in the folder.
        sha256: of the file of weights.
    """

    format: Literal[1] = 1
    network: ModelConfig
    channels: Literal[1, 3]
    size: Annotated[int, Field(ge=16, le=1024)] = 48
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    mean: float
    std: Annotated[float, Field(gt=0)]
    temperature: Annotated[float, Field(gt=0)]
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]]
    calibrated_on: int
    record: str
    name: str
    seed: int
    dataset: str
    fingerprint: str
    protocol: str
    weights: Kind = "last"
    scores: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    precision: Literal["float32", "float16"] = "float32"
    sha256: str = ""


@dataclass(frozen=True)
class TrainedModel:
    """A network in evaluation mode on the CPU, with its settings.

    Attributes:
        said: of a model from a record, what it says of the record's images (``predictions_of``).
    """

    network: FaceModel
    settings: Settings
    said: np.ndarray | None = None

    @property
    def augment(self) -> AugmentConfig:
        """Give the normalisation as ``training`` takes it."""
        return AugmentConfig(mean=self.settings.mean, std=self.settings.std)

    def log_probabilities(self, faces: np.ndarray) -> np.ndarray:
        """Compute the log of the class probabilities, not calibrated: (n, K) float32.

        Args:
            faces: (n, C, size, size) uint8.
        """
        images = torch.from_numpy(np.ascontiguousarray(faces))
        return log_probabilities(
            self.network, images, self.augment, self.settings.network.input_size
        )

    def calibrated(self, log_probabilities: np.ndarray) -> np.ndarray:
        """Compute probabilities at the fitted temperature: (n, K), rows sum to 1."""
        scores = log_probabilities.astype(np.float64) / self.settings.temperature
        return scipy.special.softmax(scores, axis=1)

    def threshold(self, level: float) -> float:
        """Look up the least probability, not calibrated, of a class in a set of a level.

        Raises:
            InputError: a level that the settings do not have.
        """
        percent = f"{100 * level:.10g}"
        if percent not in self.settings.thresholds:
            raise InputError(f"level is {level}, allowed: 0.5, 0.51, ... 0.99")
        return self.settings.thresholds[percent]


def open_model(model: str | Path | TrainedModel | None) -> TrainedModel:
    """Open the model in a folder, or of a finished run of the local store, or the shipped one.

    Args:
        model: a folder, or the key of a run or its first digits, at least six; None: shipped.

    Raises:
        InputError: there is none, or it is damaged.
    """
    if isinstance(model, TrainedModel):
        return model
    if model is None:
        return load(SHIPPED)
    return load(Path(model)) if Path(model).is_dir() else from_record(str(model))


def from_record(
    name: str, size: int = 48, kind: Kind = "last", root: str | None = None
) -> TrainedModel:
    """Take a finished run: its network with its weights, calibrated on its validation images.

    Args:
        name: its key, or the first digits of it, at least six.
        size: side of the images of its dataset.
        kind: of the weights; see ``Settings``.
        root: data root, for what ``predictions_of`` computes.

    Raises:
        InputError: there is no such run, or it has no such weights here.
    """
    key = whole_key(name)
    if not re.fullmatch("[0-9a-f]{6,16}", key):
        raise InputError(f"{name}: no folder of a model, nor a key of a run or six digits of it")
    try:
        config, network = weights.trained_network(key, kind)
    except weights.SourceMissing as missing:
        remedy = "published records hold no weights, so train it here first (`fer-study train`)"
        raise InputError(f"{missing}; {remedy}") from None
    record = store.lookup(key)
    rows = record.predictions.subset("validation")
    said = predictions_of(record, network, kind, root)
    known, labels = said[rows], record.predictions.table["label"].to_numpy(np.int64)[rows]
    settings = Settings(
        network=config.model.replace(weights="scratch"),
        channels=channels_of(network, config),
        size=size,
        classes=class_names(config.data.classes),
        mean=config.augment.mean,
        std=config.augment.std,
        temperature=metrics.temperature(known, labels),
        thresholds={
            str(x): conformal.threshold(np.exp(known), labels, x) for x in conformal.LEVELS
        },
        calibrated_on=len(labels),
        record=key,
        name=config.name or config.model.name,
        seed=config.seed,
        dataset=config.data.dataset,
        fingerprint=config.data.fingerprint,
        protocol=config.data.protocol,
        weights=kind,
    )
    return checked(TrainedModel(network, settings, said), f"run {key}")


def predictions_of(
    record: store.Record, network: FaceModel, kind: Kind, root: str | None = None
) -> np.ndarray:
    """Look up what weights say of the images of a record; compute it where it is not stored.

    Args:
        root: data root, for that.

    Returns:
        (N, K) float32 log-probabilities, a row for each of its predictions.

    Raises:
        InputError: it is not stored, and the data is not in place.
    """
    view, config = f"{kind}_single", record.config
    if view in record.predictions.views:
        return record.predictions.views[view]
    faces = faces_of(config.data, root)
    images = torch.from_numpy(faces.images[record.predictions.table["row"]])
    return log_probabilities(network, images, config.augment, config.model.input_size)


def channels_of(network: FaceModel, config: RunConfig) -> int:
    """Find how many channels the images of a network have: 1 or 3."""
    side = config.model.input_size
    with eval_mode(network), contextlib.suppress(RuntimeError):
        network(torch.zeros(1, 1, side, side))
        return 1
    return 3


def checked(model: TrainedModel, where: str) -> TrainedModel:
    """Refuse a network that does not put out one score a class.

    Raises:
        InputError: what it puts out instead.
    """
    settings, side = model.settings, model.settings.network.input_size
    with eval_mode(model.network):
        made = model.network(torch.zeros(2, settings.channels, side, side))
    if tuple(made.shape) != (2, len(settings.classes)):
        raise InputError(
            f"{where}: {settings.network.name} puts out {tuple(made.shape)} for two images, "
            f"allowed: (2, {len(settings.classes)}), a score for each class"
        )
    return model


def save(model: TrainedModel, folder: Path, half: bool = False) -> None:
    """Write a model folder; one that is there already is replaced.

    Args:
        half: matrices and filters in half precision; vectors, which are few, stay as they are.

    Raises:
        InputError: the folder holds something else, or a weight is too large for half precision.
    """
    if folder.is_file() or (
        folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG).is_file()
    ):
        raise InputError(f"{folder}: is there and is no model folder; name another one")
    folder.mkdir(parents=True, exist_ok=True)
    state = dict(model.network.state_dict())
    if half:
        wide = {name for name, value in model.network.named_parameters() if value.ndim > 1}
        state = {name: v.half() if name in wide else v for name, v in state.items()}
        if lost := [name for name, value in state.items() if not value.isfinite().all()]:
            raise InputError(f"{lost[0]} has values that half precision cannot hold")
    state = {name: value.contiguous() for name, value in state.items()}
    weights.save(state, model.settings.network, folder / WEIGHTS)
    settings = model.settings.replace(
        precision="float16" if half else "float32",
        sha256=sha256(folder / WEIGHTS),
        scores=model.settings.scores or card.test_scores(model.settings, model.said),
    )
    size = (folder / WEIGHTS).stat().st_size
    write_atomically(folder / CARD, card.card(settings, size, folder.as_posix()))
    write_atomically(folder / CONFIG, store.as_json(settings.model_dump(mode="json")))


def read_settings(folder: Path) -> Settings:
    """Read what belongs to the weights in a model folder.

    Raises:
        InputError: the file is missing or damaged.
    """
    path = folder / CONFIG
    try:
        content = json.loads(path.read_bytes())
    except OSError:
        raise InputError(
            f"{folder}: has no {CONFIG}; `fer-study export` writes a model folder"
        ) from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path}: damaged, it holds no JSON object; export it again")
    return parse(Settings, content, str(path))


def load(folder: Path) -> TrainedModel:
    """Read a model folder.

    Raises:
        InputError: a file is missing or damaged, or the weights are of another network.
    """
    settings = read_settings(folder)
    if not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder}: has no {WEIGHTS}; `fer-study export` writes a model folder")
    with torch.random.fork_rng(devices=[]):
        network = create_model(settings.network, len(settings.classes), settings.channels)
    path, own = folder / WEIGHTS, network.state_dict()
    state = weights.read(path)
    if why := weights.mismatch(path, settings.network, state, own, len(settings.classes)):
        raise InputError(f"{folder}: {why}")
    if sha256(path) != settings.sha256:
        raise InputError(f"{path}: not the file that {CONFIG} names (SHA-256); export it again")
    network.load_state_dict(state)
    return checked(TrainedModel(network.eval(), settings), str(folder))
