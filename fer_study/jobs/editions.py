"""Editions: one dataset and scale on which all stages run (``params/<edition>/edition.yaml``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from ..data import FOLDERS, NotFound, official
from ..data.twin import synthetic
from ..settings.checkout import CHECKOUT, ROOT
from ..settings.errors import InputError
from ..settings.experiment import PARAMS, DataConfig
from ..settings.frozen import Frozen, parse
from ..settings.yaml_files import read_yaml
from ..training.sources import faces_of

OWN = None if CHECKOUT else ROOT / "params"
"""Where an installed command finds editions of its user: in the folder of the call. A checkout
has its own in ``PARAMS``."""


Width = Annotated[float, Field(gt=0, le=1)]


class Live(Frozen):
    """How a notebook trains by itself: a short recipe, on narrower networks (None: as wide as all
    of the edition), on part of the training split.

    ``published``: whether ``fer-study publish`` copies these records too; pages that need their
    weights cannot do with a published one.
    """

    recipe: str
    width: Width | None = None
    max_train: Annotated[int, Field(ge=1)] | None = None
    published: bool = True


class Edition(Frozen):
    """One dataset and scale on which all stages run (``params/<edition>/edition.yaml``); headings
    end in ``title``, ``note`` stands below that of a stage, and networks are narrower by the factor
    ``width``.

    ``when_named``: stages that the book leaves out, and that are worked off only when a call names
    them.
    """

    title: str = ""
    note: str = ""
    data: DataConfig
    width: Width = 1.0
    live: Live | None = None
    when_named: tuple[str, ...] = ()

    def is_live(self, recipe: str) -> bool:
        """Whether a page of the edition makes the runs of a recipe by itself."""
        return self.live is not None and self.live.recipe == recipe

    def publishes(self, recipe: str) -> bool:
        """Whether records of a recipe are published."""
        return self.live is None or self.live.published or not self.is_live(recipe)

    def width_of(self, recipe: str) -> float:
        """Say how wide the networks of a recipe are, as a factor of their full width."""
        own = self.live.width if self.live and self.is_live(recipe) else None
        return own or self.width

    def training_data(self, recipe: str, data: DataConfig | None = None) -> DataConfig:
        """Say what a run under a recipe is trained on: the edition's own data or other, of which
        its pages take a part where they train by themselves."""
        data = data or self.data
        cut = self.live is not None and self.is_live(recipe) and self.live.max_train
        return data.replace(max_train=cut) if cut else data


def editions(folder: Path = PARAMS) -> list[str]:
    """Names of the editions."""
    return sorted({p.parent.name for place in places(folder) for p in place.glob("*/edition.yaml")})


def places(folder: Path = PARAMS) -> list[Path]:
    """Where editions are looked for: one's own hide those of the package."""
    return [OWN, folder] if OWN else [folder]


def folder_of(name: str, folder: Path = PARAMS) -> Path:
    """Where the parameters of an edition are.

    Raises:
        InputError: unknown name (the known ones are listed), a folder without ``edition.yaml``, or
            the path of a folder elsewhere.
    """
    for place in places(folder):
        if name in {p.parent.name for p in place.glob("*/edition.yaml")}:
            return place / name
    for place in places(folder):
        if name in {p.name for p in place.glob("*/")}:
            raise InputError(
                f"{place / name / 'edition.yaml'}: no such file; every edition has one"
            )
    looked = ", ".join(map(str, places(folder)))
    known = f"known: {', '.join(editions(folder))}; looked in {looked}"
    raise InputError(f"unknown edition {name!r}; {known}")


def parameters(edition: str, stage: str, folder: Path = PARAMS) -> dict:
    """The parameters of a stage: the edition, which its folder says, and what
    ``params/<edition>/<stage>.yaml`` says.

    Raises:
        InputError: an unknown edition, no such file, or one that says which edition it is.
    """
    path = folder_of(edition, folder) / f"{stage}.yaml"
    given = read_yaml(path)
    if "edition" in given:
        raise InputError(
            f"{path}: edition is {given['edition']!r}, but its folder says which one it is, "
            f"{edition}; remove that line"
        )
    return {"edition": edition, **given}


def load_edition(name: str, folder: Path = PARAMS) -> Edition:
    """The edition of a name.

    Raises:
        InputError: unknown name (the known ones are listed) or wrong content.
    """
    path = folder_of(name, folder) / "edition.yaml"
    edition = parse(Edition, read_yaml(path), str(path))
    try:
        check_dataset(edition.data)
    except InputError as error:
        raise InputError(f"{path}: data: {error}") from None
    return edition.replace(data=with_fingerprint(edition.data))


def check_dataset(data: DataConfig) -> None:
    """Refuse a dataset that nobody reads, and classes that it cannot have.

    Raises:
        InputError: the value and what is allowed.
    """
    if data.dataset == "synthetic":
        if data.classes != 7:
            raise InputError(f"classes is {data.classes}, allowed for synthetic faces: 7")
    elif data.dataset not in official.DATASETS:
        raise InputError(
            f"unknown dataset {data.dataset!r}; known: {', '.join(official.DATASETS)}, synthetic"
        )
    elif not isinstance(data.classes, int) and data.dataset != FOLDERS:
        raise InputError(f"classes are named, which is for {FOLDERS}: {data.dataset} has its own")


def with_fingerprint(data: DataConfig) -> DataConfig:
    """The config with the fingerprint that its data must have: known without the data for synthetic
    faces and published sets; any other set has to be there, best in canonical form, which says it
    at once.

    Raises:
        InputError: see ``check_dataset``; or the data is not there, or not right.
    """
    check_dataset(data)
    if data.dataset == "synthetic":
        faces, style = data.faces or 12000, data.style or "wild"
        mark = synthetic.fingerprint(faces, data.world_seed, style)
        return data.model_copy(update={"faces": faces, "style": style, "fingerprint": mark})
    known = {7: official.FINGERPRINTS, 8: official.FINGERPRINTS_OF_EIGHT}.get(data.classes, {})
    mark = known.get(data.dataset)
    return data.model_copy(update={"fingerprint": mark or faces_of(data).fingerprint})


def dataset_config(name: str, edition: Edition) -> DataConfig:
    """The data of a name such as ``fer2013``, ``synthetic-wild``: the edition's own set as it says,
    any other with as many classes; synthetic sets, which have seven, with the edition's number of
    faces.

    A set whose fingerprint only the data itself says has none as long as it is not there, and no
    run can be made on it.

    Raises:
        InputError: unknown name.
    """
    dataset, _, style = name.partition("-")
    if dataset == "synthetic":
        if style not in ("wild", "lab"):
            raise InputError(f"unknown dataset {name!r}; allowed: synthetic-wild, synthetic-lab")
        size = edition.data.faces or 12000
        return with_fingerprint(
            DataConfig(
                dataset="synthetic", faces=size, style=style, world_seed=edition.data.world_seed
            )
        )
    if name == edition.data.dataset:
        return edition.data
    config = DataConfig(dataset=name, classes=edition.data.classes)
    try:
        return with_fingerprint(config)
    except NotFound:
        return config
