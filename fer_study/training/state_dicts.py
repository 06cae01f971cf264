"""State dicts: read from safetensors only, held against a network, and what loading did. Nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..settings.errors import InputError

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Report:
    """What loading did to a network; tensors by name.

    Attributes:
        source: what the config says, without a place.
        file: name of the file; of timm's hub, its address there.
        sha256: of the file.
        loaded: how many tensors of the network it filled.
        fresh: those it did not, which keep their random start.
        unused: of the file.
        adapted: loaded with another shape or type than in the file.
        options: of the network, other than those that the file was trained with.
    """

    source: str
    file: str
    sha256: str
    loaded: int
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = f"fresh: {some(self.fresh)}; unused: {some(self.unused)}; adapted: {some(self.adapted)}"
        parts += f"; options of the file: {'; '.join(self.options)}" if self.options else ""
        return f"weights {self.source} ({self.file}, sha256 {self.sha256[:16]}): {self.loaded} tensors loaded; {parts}"


def some(names: Iterable[str]) -> str:
    """How many names, and the first three."""
    names = list(names)
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} ({', '.join(names[:3])}{more})" if names else "none"


def read(path: Path) -> State:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        InputError: it is no such file, or damaged, or holds no tensor, or a value that is not finite.
    """
    try:
        state = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({' '.join(str(error).split())})") from None
    if not state:
        raise InputError(f"{path}: holds no tensor")
    for name, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(f"{path}: {name} has values that are not finite")
    return state


def mismatch(ours: State, theirs: State, num_classes: int) -> str:
    """Why a state dict is not one of a network, in words; empty where it is.

    Args:
        ours: of the network.
        theirs: of the file.
    """
    missing, foreign = [n for n in ours if n not in theirs], [n for n in theirs if n not in ours]
    if prefix := prefix_of(ours, theirs):
        return f"of this network with {prefix!r} before each name; save them without it"
    if len(ours) == len(theirs) and (prefix := prefix_of(theirs, ours)):
        return f"of this network without {prefix!r} before each name; save them with it"
    if missing or foreign:
        return f"of another network: missing {some(missing)}, unknown {some(foreign)}"
    other = [n for n in ours if ours[n].shape != theirs[n].shape]
    if other and all(ours[n].shape == (num_classes, *theirs[n].shape[1:]) for n in other):
        return f"of {len(theirs[other[0]])} classes, this network has {num_classes}"
    kinds = [n for n in ours if ours[n].is_floating_point() != theirs[n].is_floating_point()]
    return f"of another network: {some(differences(theirs, ours, other or kinds))}" if other or kinds else ""


def prefix_of(names: Collection[str], longer: Collection[str]) -> str:
    """What stands before each of ``names`` in ``longer``, such as ``module.``; empty: nothing, or not before each."""
    first = next(iter(names), "")
    prefixes = [name.removesuffix(first) for name in longer if name.endswith(f".{first}")]
    return next((p for p in prefixes if all(p + name in longer for name in names)), "")


def differences(theirs: State, ours: State, names: Iterable[str]) -> tuple[str, ...]:
    """Shape and type of tensors in the file and in the network."""
    return tuple(f"{n}: {form(theirs[n])} -> {form(ours[n])}" for n in names)


def changes(theirs: State, ours: State) -> tuple[str, ...]:
    """``differences`` of the tensors of both that have another shape or type."""
    return differences(theirs, ours, [n for n in ours if n in theirs and form(ours[n]) != form(theirs[n])])


def form(value: torch.Tensor) -> str:
    """Shape and type in words."""
    return f"{'x'.join(map(str, value.shape)) or 'scalar'} {str(value.dtype).removeprefix('torch.')}"


def fill(model: nn.Module, state: State, where: str, num_classes: int) -> None:
    """Load a state dict that fits to the last tensor.

    Raises:
        InputError: it does not; the message begins with ``where`` ("... weights are").
    """
    if why := mismatch(model.state_dict(), state, num_classes):
        raise InputError(f"{where} {why}")
    model.load_state_dict(state)
