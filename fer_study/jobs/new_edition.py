"""Write the parameters of an edition on other data, from those of one that is there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from .. import data
from ..settings.errors import InputError
from ..settings.experiment import PARAMS
from . import stages
from .editions import OWN, editions, folder_of, load_edition
from .obstacles import without_votes

FOR_ANY_DATA = (stages.DatasetAudit, stages.Trained, stages.Design)
"""Stages that ask something of the data; others are about the sources, or about drawn faces."""
NOT_FOR_ANY_DATA = (stages.CrossDataset, stages.TwinNetworks, stages.MethodBlocks)
"""Stages of those that need a second dataset, or the truth of drawn faces."""
OF_VOTES = (stages.LabelDistribution, stages.ResFace)


def new_edition(name: str, like: str, dataset: str) -> tuple[Path, dict[str, str]]:
    """Write ``params/<name>/``: the stages of another edition that a dataset can serve.

    The dataset has to be in place. Pages of drawn faces and of the sources' claims are left out,
    and so is what is about a second dataset, or about votes that this one does not have.

    Returns:
        The folder, and each stage that was left out with the reason.

    Raises:
        InputError: a name that is taken or that no folder should have; an edition or a dataset that
            is not known; no such data in place. Nothing is written then.
    """
    if not re.fullmatch(r"\w[\w-]*", name):
        raise InputError(f"edition {name!r}: allowed are letters, digits, - and _")
    target = (OWN or PARAMS) / name
    if name in editions() or target.exists():
        raise InputError(f"edition {name!r}: {target} is there already")
    source = folder_of(like)
    target.mkdir(parents=True)
    try:
        content = f"title: {name}\ndata: {{dataset: {dataset}}}\n"
        (target / "edition.yaml").write_text(content, encoding="utf-8")
        load_edition(name)
        found = sorted(path for path in source.glob("*.yaml") if path.stem != "edition")
        left_out = {path.stem: why_not(dataset, path.stem) for path in found}
        for path in (path for path in found if not left_out[path.stem]):
            text = re.sub(r"(?m)^others: .*$", "others: []", path.read_text(encoding="utf-8"))
            (target / path.name).write_text(text, encoding="utf-8")
    except BaseException:
        shutil.rmtree(target)
        raise
    return target, {stage: reason for stage, reason in left_out.items() if reason}


def why_not(dataset: str, stage: str) -> str:
    """Say why a dataset cannot serve a stage; empty: it can."""
    kind = stages.STAGES.get(stage)
    if kind is stages.CrossDataset:
        return "it needs a second dataset: copy its file, and name both in sources and targets"
    if kind is None or not issubclass(kind, FOR_ANY_DATA) or issubclass(kind, NOT_FOR_ANY_DATA):
        return "it is about the sources or about drawn faces, not about other data"
    if not issubclass(kind, OF_VOTES) or dataset == "synthetic":
        return ""
    if without_votes(dataset, str(data.locate(dataset))):
        return f"it is about the votes of several people, and {dataset} has none"
    return ""
