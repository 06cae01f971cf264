"""Can the quoted sizes of ResFace be explained? Every plausible shortened trunk, counted without a weight in memory.

Quoted (document 001, section 5.2): 10.4 million parameters with ResNet-18, 12.4 with ResNet-50, there about 2,000 MFLOPs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pandas as pd
import torch

from ..settings.experiment import ModelConfig
from .cost import parameters, size
from .resface import CompactBranch

QUOTED = {"resface18": 10.4e6, "resface50": 12.4e6}
QUOTED_OPERATIONS = 2000
"""Million multiply-adds of the larger one, about."""

BRANCHES = ("none", "64-64-64-64", "64-128-256-512", "128-256-512-512")


def trunks() -> list[tuple[str, str]]:
    """Trunks of ResFace-18 and -50 under one rule for both.

    The rules: the usual depths, their first three stages, the usual depths with one block fewer in one stage, and the same
    one or two blocks a stage in both, with and without a fourth stage.
    """
    small, large = (2, 2, 2, 2), (3, 4, 6, 3)
    pairs = [(small, large), (small[:3], large[:3])]
    pairs += [tuple(tuple(d - (i == j) for i, d in enumerate(depths)) for depths in (small, large)) for j in range(4)]
    pairs += [(depths, depths) for stages in (4, 3) for depths in product((1, 2), repeat=stages)]
    return [("-".join(map(str, one)), "-".join(map(str, two))) for one, two in pairs]


def local_modules() -> Iterator[dict[str, int | str]]:
    """Options of the transposed convolution: none, or one behind stage 2 or the last, of 2x2 to 4x4 and 128 to 512 maps."""
    yield {"local": "none"}
    for place, kernel, channels in product(("stage2", "last"), (2, 3, 4), (128, 256, 512)):
        yield {"local": place, "local_kernel": kernel, "local_channels": channels}


def _config(name: str, trunk: str, local: dict[str, int | str], input_size: int) -> ModelConfig:
    return ModelConfig(name=name, options={"trunk": trunk, **local}, input_size=input_size)


def _count(name: str, trunk: str, local: dict[str, int | str], input_size: int) -> int:
    return parameters(_config(name, trunk, local, input_size), in_channels=3)


def operations(reading: pd.Series, input_size: int = 224) -> float:
    """Million multiply-adds of ResFace-50 in one reading, a row of ``search``, without the branch, which takes no part."""
    local = {"local": reading["local"]}
    if reading["local"] != "none":
        local |= {key: int(reading[key]) for key in ("local_kernel", "local_channels")}
    return size(_config("resface50", reading["trunk50"], local, input_size), in_channels=3)["mflops"] / 2


def search(input_size: int = 224) -> pd.DataFrame:
    """Parameters of every candidate for three channels and seven classes, the nearest to both quoted counts first.

    Counts add up: what the transposed convolution changes depends on the number of stages, not on their blocks, and what the
    branch adds on neither.

    Returns:
        Columns ``trunk18, trunk50, local, local_kernel, local_channels, branch``, the counts ``resface18, resface50``, and
        ``error18, error50, error``: relative errors against the quoted counts, signed, and the larger of the two, unsigned.
    """
    bare, rows, changes = {"local": "none"}, [], {}
    with torch.device("meta"):
        branches = {b: sum(p.numel() for p in CompactBranch(7, input_size, b).parameters()) for b in BRANCHES[1:]}
    for name, shortest in product(QUOTED, ("1-1-1", "1-1-1-1")):
        least = _count(name, shortest, bare, input_size)
        changes[name, len(shortest)] = [_count(name, shortest, local, input_size) - least for local in local_modules()]
    for pair in trunks():
        counts = {name: _count(name, trunk, bare, input_size) for name, trunk in zip(QUOTED, pair, strict=True)}
        for (number, local), branch in product(enumerate(local_modules()), BRANCHES):
            found = {n: c + changes[n, len(pair[0])][number] + branches.get(branch, 0) for n, c in counts.items()}
            rows.append({"trunk18": pair[0], "trunk50": pair[1], **local, "branch": branch, **found})
    table = pd.DataFrame(rows)
    table["error18"] = table["resface18"] / QUOTED["resface18"] - 1
    table["error50"] = table["resface50"] / QUOTED["resface50"] - 1
    table["error"] = table[["error18", "error50"]].abs().max(axis=1)
    return table.sort_values("error", kind="stable", ignore_index=True)
