"""Write the parameters of an edition on other data, from those of one that is there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import yaml

from .. import data
from ..data import canonical
from ..data.labels import EIGHT, FER2013
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
OF_NAMES = ("heavy", "sampling.rare", "data.generated")
"""What arms say that name a class of FER2013's seven."""
OF_SEVEN = (stages.Hybrid, stages.InitialWeights)
"""Stages of networks with a branch for each of the seven expressions."""


def new_edition(name: str, like: str, dataset: str) -> tuple[Path, dict[str, str]]:
    """Write ``params/<name>/``: the stages of another edition that a dataset can serve.

    The dataset has to be in place; where it was imported, its classes are those of the import.
    Pages of drawn faces and of the sources' claims are left out, and so is what is about a second
    dataset, or about votes or classes that this one does not have.

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
        classes = classes_of(dataset)
        content = json.dumps({"dataset": dataset} | classes, ensure_ascii=False)
        (target / "edition.yaml").write_text(f"title: {name}\ndata: {content}\n", encoding="utf-8")
        load_edition(name)
        found = sorted(path for path in source.glob("*.yaml") if path.stem != "edition")
        left_out = {path.stem: why_not(dataset, path.stem, not classes) for path in found}
        votes = has_votes(dataset)
        for path in (path for path in found if not left_out[path.stem]):
            unserved = OF_NAMES * bool(classes) + ("votes",) * (not votes)
            text = served(path.read_text(encoding="utf-8"), unserved)
            (target / path.name).write_text(text, encoding="utf-8")
    except BaseException:
        shutil.rmtree(target)
        raise
    return target, {stage: reason for stage, reason in left_out.items() if reason}


def served(text: str, unserved: tuple[str, ...]) -> str:
    """Leave out of the parameters of a stage what other data cannot serve: further datasets, and
    arms that say one of some words. A generator of faces is judged by a run of the edition.

    Comments stay, but those right above such an arm, and where arms are not written a line each.
    """
    text = re.sub(r"(?m)^others: .*$", "others: []", text)
    text = re.sub(r"(?m)^(drawn: .*)judge: shipped", r"\1judge: self", text)
    wanted = yaml.safe_load(text)
    of_arms = [value for key, value in wanted.items() if key.endswith("arms")]
    for arms in (value for value in of_arms if isinstance(value, dict)):
        for arm in [a for a, changes in arms.items() if any(x in str(changes) for x in unserved)]:
            del arms[arm]
            text = re.sub(rf"(?m)(?:^ +#.*\n)*^ +{re.escape(arm)}: \{{.*\}}.*\n", "", text)
    if yaml.safe_load(text) != wanted:
        text = yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True)
    return text


def classes_of(dataset: str) -> dict[str, int | list[str]]:
    """What the data of an edition says of its classes: nothing where they are FER2013's seven, and
    where the set was not imported."""
    if dataset == "synthetic" or not canonical.is_canonical(path := data.locate(dataset)):
        return {}
    names = canonical.head(path)["classes"]
    if tuple(names) in (FER2013, EIGHT):
        return {} if tuple(names) == FER2013 else {"classes": len(EIGHT)}
    return {"classes": names}


def why_not(dataset: str, stage: str, seven: bool) -> str:
    """Say why a dataset cannot serve a stage; empty: it can.

    Args:
        seven: its classes are those of FER2013.
    """
    kind = stages.STAGES.get(stage)
    if kind is stages.CrossDataset:
        return "it needs a second dataset: copy its file, and name both in sources and targets"
    if kind is None or not issubclass(kind, FOR_ANY_DATA) or issubclass(kind, NOT_FOR_ANY_DATA):
        return "it is about the sources or about drawn faces, not about other data"
    if issubclass(kind, OF_SEVEN) and not seven:
        return "its networks have a branch for each of FER2013's seven classes"
    if issubclass(kind, OF_VOTES) and not has_votes(dataset):
        return f"it is about the votes of several people, and {dataset} has none"
    return ""


def has_votes(dataset: str) -> bool:
    """Say whether the images of a dataset, which is in place, have votes, as far as is known."""
    return dataset == "synthetic" or not without_votes(dataset, str(data.locate(dataset)))
