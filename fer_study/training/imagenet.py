"""ImageNet weights of the trunk of a network: timm's, from its hub or a local file."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from ..models import FaceModel
from ..models.timm_models import REFUSALS, build, words_of
from ..settings.checkout import sha256
from ..settings.errors import InputError
from ..settings.experiment import ModelConfig
from ..settings.weight_origin import folder
from .state_dicts import Report, State, changes, differences, read, some

log = logging.getLogger(__name__)


def fill_trunk(model: FaceModel, config: ModelConfig) -> Report:
    """Fill the trunk of a network with the weights that it names.

    timm loads them into its own network first, as strictly and with the same conversions as ever. From there they are taken
    by name. The first convolution is summed over its input channels for gray images (timm's ``adapt_input_conv``).

    Raises:
        InputError: the network names none, they are not to be had, or they do not fill the whole trunk.
    """
    trunk = model.trunk()
    if trunk is None:
        raise InputError(f"model {config.name}: there are no ImageNet weights for it, allowed: scratch, run:<key>, a path")
    name, net = trunk
    path, address = find(name)
    state = read(path)
    source = published(name, state, config.input_size, path)
    theirs, ours = taken(source, net, f"{path}: weights of {name}"), net.state_dict()
    net.load_state_dict(theirs, strict=False)
    here, filled = net.state_dict(keep_vars=True), model.state_dict(keep_vars=True)
    inside = {id(here[n]) for n in theirs}
    fresh = tuple(n for n, value in filled.items() if id(value) not in inside)
    unused = tuple(n for n in source.state_dict() if n not in theirs)
    adapted = changes({n: state[n] for n in theirs if n in state}, ours)
    return Report("imagenet", address, sha256(path), len(theirs), fresh, unused, adapted)


def published(name: str, state: State, input_size: int, path: Path) -> nn.Module:
    """timm's own network of a name with the weights of a file, under ImageNet's classes and channels.

    Raises:
        InputError: timm does not load them.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            return build(name, input_size, pretrained=True, pretrained_cfg_overlay={"state_dict": state})
    except REFUSALS as error:
        raise InputError(f"{path}: not the weights of timm's {name} ({words_of(error)})") from None


def taken(source: nn.Module, net: nn.Module, where: str) -> State:
    """What a trunk takes of timm's network: every tensor of the trunk, but for a classifier of other classes.

    Args:
        source: timm's network, filled.
        net: the trunk, which names its tensors as timm does; a shape may differ by axes of length 1.

    Raises:
        InputError: a tensor of the trunk's body is missing or has another shape; the message begins with ``where``.
    """
    from timm.models import adapt_input_conv

    config, theirs, ours = source.pretrained_cfg, source.state_dict(), net.state_dict()
    first, heads = names_of(config["first_conv"]), names_of(config["classifier"])
    missing = [n for n in ours if n not in theirs and n.rpartition(".")[0] not in heads]
    chosen, other = {}, []
    for name, value in theirs.items():
        if name not in ours:
            continue
        layer, shape = name.rpartition(".")[0], ours[name].shape
        if layer in heads and value.shape != shape:
            continue
        if layer in first and value.shape != shape and value.ndim == len(shape) == 4:
            channels = config["input_size"][0]
            value = adapt_input_conv(shape[1] * channels // value.shape[1], value, channels)
        if [n for n in value.shape if n != 1] != [n for n in shape if n != 1]:
            other.append(name)
            continue
        chosen[name] = value.reshape(shape)
    if missing or other:
        shapes = some(differences(theirs, ours, other))
        raise InputError(f"{where} do not fill this trunk: missing {some(missing)}, of other shape {shapes}")
    return chosen


def names_of(layers: str | Iterable[str] | None) -> tuple[str, ...]:
    """timm names one layer, several or none."""
    return (layers,) if isinstance(layers, str) else tuple(layers or ())


def find(name: str) -> tuple[Path, str]:
    """The file ``<name>.safetensors`` in ``folder()``, else on timm's hub (fetched once), and what a record calls it.

    Raises:
        InputError: neither has it; the message names the file to put where.
    """
    import timm
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    local = folder() / f"{name}.safetensors"
    if local.is_file():
        return local, local.name
    config = timm.get_pretrained_cfg(name)
    address = config.hf_hub_id if config else None
    if not address:
        raise InputError(f"no ImageNet weights of {name}: timm names none on its hub; put your own at {local}")
    repository, _, revision = address.partition("@")
    file = {"repo_id": repository, "filename": "model.safetensors", "revision": revision or None}
    try:
        path = try_to_load_from_cache(**file)
        if not isinstance(path, str):
            log.info("asking the hub for model.safetensors of %s", address)
            get_hf_file_metadata(hf_hub_url(**file), timeout=5)  # asked once: the download itself goes on for minutes
            path = hf_hub_download(**file)
    except Exception as error:  # of the client, whose kinds of errors change with its version
        raise InputError(
            f"no ImageNet weights of {name}: the hub does not give model.safetensors of {address} ({type(error).__name__}); "
            f"fetch it elsewhere and put it at {local}"
        ) from None
    return Path(path), address
