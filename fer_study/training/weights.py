"""Where the initial weights of a network come from, and the weights of finished runs.

``ModelConfig.weights`` is one of

- ``scratch``: none, the network's own random start;
- ``imagenet``: those that the network's ``trunk()`` names (``imagenet.py``). A classifier of other classes stays fresh, and
  so does all that lies outside the trunk. The key says ``imagenet`` and no more; which file it was, the record does
  (``initial_weights`` of ``env.json``);
- ``run:<key>``: the last weights of a finished run of the same network and options; ``run:<key>:best`` and ``:ema`` name its
  others;
- a path: a state dict of this network as safetensors, whatever its options were; its content is part of the key.

Files of the last two have to fit to the last tensor, the head included: a head for other classes is refused, not replaced.
What shapes cannot tell, files that ``save`` wrote do: they name their network, another one is refused, and the options with
which it was trained, where they differ from ours, are reported. Of other files nobody can see it, nor in any file that two
tensors of one shape stand under each other's names.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save as as_safetensors

from .. import store
from ..models import FaceModel, create_model, options_of, resolve
from ..models.registry import NOT_NETWORKS
from ..settings.checkout import sha256
from ..settings.errors import InputError
from ..settings.experiment import ModelConfig, RunConfig
from ..settings.frozen import parse
from ..settings.weight_origin import FILE, RUN, folder, without_place
from ..store.record_files import check_part, write_atomically
from . import imagenet
from .checkpoint import CHECKPOINT
from .state_dicts import Report, State, changes, fill, mismatch, read

log = logging.getLogger(__name__)

NETWORK = "fer_study_network"
"""In the metadata of a file of weights: the name and the options of its network, as JSON."""

NOTE = "initial_weights.json"
"""In the folder of a run in progress: what its network started from."""


class SourceMissing(InputError):
    """The run ``key``, whose weights are wanted, has none here; once it is trained, the same call works."""

    def __init__(self, what: str, key: str = "") -> None:
        super().__init__(what)
        self.key = key


def check(configs: Iterable[RunConfig]) -> None:
    """Refuse initial weights that are not there, or of another network, before any of these runs is trained; the weights of
    a run that is itself not trained are not judged. A config does not say how many channels images have: 1 or 3 must fit.

    Raises:
        InputError: see ``load``.
    """
    for config in configs:
        model, classes, started = config.model, config.data.classes, store.local_root() / config.key / CHECKPOINT
        if model.weights == "scratch" or model.name in NOT_NETWORKS or started.is_file():
            continue
        if model.weights == "imagenet":
            imagenet.fill_trunk(create_model(model, classes), model)
            continue
        try:
            path, where = file_of(model)
        except SourceMissing:
            continue
        state = read(path)
        other_options(model, path, where)
        with torch.device("meta"):
            networks = [create_model(model, classes, channels).state_dict() for channels in (1, 3)]
        wrong = [mismatch(network, state, classes) for network in networks]
        if all(wrong):
            raise InputError(f"{where} {wrong[0]}")


def initialise(model: FaceModel, config: RunConfig, num_classes: int, place: Path) -> dict[str, dict]:
    """Give a fresh network its initial weights; a run that goes on from its checkpoint needs none, only the note of them.

    Args:
        place: folder of the run, held by this process.

    Returns:
        ``{"initial_weights": report}`` for the record of the environment; empty for ``scratch``.

    Raises:
        InputError: see ``load``.
    """
    if config.model.weights == "scratch":
        return {}
    note = place / NOTE
    if not (note.is_file() and (place / CHECKPOINT).is_file()):
        report = load(model, config.model, num_classes)
        log.log(logging.WARNING if report.options else logging.INFO, "%s: %s", config.name or config.key, report)
        write_atomically(note, store.as_json(asdict(report)))
    return {"initial_weights": json.loads(note.read_text(encoding="utf-8"))}


def load(model: FaceModel, config: ModelConfig, num_classes: int) -> Report:
    """Fill a network with the weights that its config names (not ``scratch``).

    Raises:
        SourceMissing: the run has no weights here.
        InputError: there is no such file, or it is not whole, or its weights are not of this network.
    """
    if config.weights == "imagenet":
        return imagenet.fill_trunk(model, config)
    path, where = file_of(config)
    state, source = read(path), without_place(config.weights)
    options = other_options(config, path, where)
    fill(model, state, where, num_classes)
    adapted = changes(state, model.state_dict())
    return Report(source, path.name, sha256(path), len(state), adapted=adapted, options=options)


def save(state: State, config: ModelConfig, path: Path) -> None:
    """Write the weights of a network, with its name and its options, as safetensors."""
    network = {"name": config.name, "options": resolve(config).options}
    write_atomically(path, as_safetensors(state, {NETWORK: json.dumps(network, sort_keys=True)}))


def other_options(config: ModelConfig, path: Path, where: str) -> tuple[str, ...]:
    """Options of a network that differ from those that a file of weights names; none where it names none.

    Raises:
        InputError: the file names another network; the message begins with ``where``.
    """
    with safe_open(path, "pt") as file:
        written = (file.metadata() or {}).get(NETWORK)
    if written is None:
        return ()
    try:
        theirs = parse(ModelConfig, json.loads(written), NETWORK)
    except (ValueError, RecursionError):
        raise InputError(f"{path}: its {NETWORK} is {written[:80]!r}, allowed: a name and options, as JSON") from None
    if theirs.name != config.name:
        raise InputError(f"{where} of {theirs.name}, this network is {config.name}")
    ours = resolve(config).options
    differ = [name for name in {**theirs.options, **ours} if theirs.options.get(name) != ours.get(name)]
    return tuple(f"{name} {theirs.options.get(name)}, here {ours.get(name)}" for name in differ)


def file_of(config: ModelConfig) -> tuple[Path, str]:
    """The file of weights that a config names (not ``imagenet``), and what a message about them begins with."""
    path = of_run(config) if RUN.fullmatch(config.weights) else of_file(config.weights)
    return path, f"{without_place(config.weights)}: {path.name} holds weights"


def of_run(config: ModelConfig) -> Path:
    """The file that ``run:<key>`` names, of a run of the same network with the same options.

    Raises:
        SourceMissing, InputError: see ``finished``; or the run is of another network.
    """
    found = RUN.fullmatch(config.weights)
    source, path = finished(found["key"], found["kind"] or "last")
    ours, theirs = resolve(config), resolve(source.model)
    if ours.name != theirs.name:
        raise InputError(f"weights {config.weights}: they are of {theirs.name}, this network is {ours.name}")
    for option, value in {**options_of(config.name), **ours.options}.items():
        if (given := theirs.options.get(option, value)) != value:
            raise InputError(
                f"weights {config.weights}: {option} is {given} there, {value} in this network; give the "
                "path of the file where that is meant"
            )
    return path


def of_file(weights: str) -> Path:
    """The file of ``file:<digest>:<path>``, or with that digest in ``folder()`` where the path is not known.

    Raises:
        InputError: it is not there, or another file lies in its place.
    """
    found = FILE.fullmatch(weights)
    paths = [Path(found["place"])] if found["place"] else sorted(folder().glob("*.safetensors"))
    for path in paths:
        if path.is_file() and sha256(path).startswith(found["digest"]):
            return path
    where = found["place"] or f"{folder()}/*.safetensors"
    raise InputError(f"weights {where}: no file there with SHA-256 {found['digest']}..., which this run is defined on")


def finished(key: str, kind: str = "last", name: str = "") -> tuple[RunConfig, Path]:
    """The config of a finished run and the file of its weights.

    Args:
        kind: ``last``, ``best`` or ``ema``.
        name: what a message calls it where there is no record.

    Raises:
        SourceMissing: it was never trained here: there is no record, or a published one, which has no weights.
        InputError: it is no network, or has no weights of this kind, or they are not as they were written.
    """
    record = store.lookup(key)
    if record is None:
        raise SourceMissing(f"{name or 'run'} ({key}) is not trained", key)
    config, path = record.config, record.weights(kind)
    if not isinstance(config, RunConfig) or config.model.name in NOT_NETWORKS:
        what = config.model.name if isinstance(config, RunConfig) else type(config).__name__
        raise InputError(f"run {key}: a record of {what}, not of a network")
    if path.is_file():
        check_part(record.folder, path.name)
        return config, path
    if there := [name for name in ("last", "best", "ema") if record.weights(name).is_file()]:
        raise InputError(f"run {key}: has no {kind} weights, allowed: {', '.join(there)}")
    label = config.name or config.model.name
    raise SourceMissing(f"{label} ({key}) has a record without weights", key)


def network_of(key: str, kind: str = "last") -> tuple[RunConfig, FaceModel]:
    """A finished run of the local store: its config, and its network with its weights, in evaluation mode.

    Raises:
        SourceMissing, InputError: see ``finished``; or the weights do not fit the network of the config.
    """
    config, path = finished(key, kind)
    state, num_classes = read(path), next(iter(store.lookup(key).predictions.views.values())).shape[1]
    with torch.random.fork_rng(devices=[]):
        for channels in (1, 3):  # the config does not say whether the images are gray
            model = create_model(config.model, num_classes, channels)
            if not mismatch(model.state_dict(), state, num_classes):
                break
    fill(model, state, f"run {key}: {path.name} holds weights", num_classes)
    return config, model.eval()
