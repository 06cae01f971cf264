"""Datasets of faces: reads every layout in which they circulate into one ``FaceSet``.

Example:
    >>> from fer_study.data import Options, load
    >>> faces = load("downloads/fer2013", options=Options(size=48))  # a table, or folders of images
    >>> faces.images.shape, faces.classes[faces.labels[0]], faces.fingerprint
    ((35887, 1, 48, 48), 'angry', 'd6f4311b00ec234e')

``find`` looks for a dataset by its name below the data root, and ``import_to`` writes it once in
the canonical form, which loads in less than a second. What lies at a path, and how to mend it, says
``doctor.doctor``; the synthetic faces are in ``twin``.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..settings.checkout import ROOT
from ..settings.errors import InputError
from . import canonical, official
from .faceset import FaceSet
from .labels import EIGHT, FER2013
from .readers import LAYOUTS, ferplus, recognise
from .readers.collect import face_set
from .readers.files import is_archive, visible
from .readers.layout import Layout
from .readers.unknown import explain_unknown
from .rows import Omitted, Options, pluralise, printable, wrong_input

__all__ = ["FaceSet", "Options", "find", "import_to", "load"]

log = logging.getLogger(__name__)

FOLDERS = "folders"
"""Name of a set of class folders, the one that may have classes of its own."""

UNCONFIRMED = ", to be confirmed"
"""Ends the name of a layout in an import whose labels nobody confirmed (see ``to_confirm``)."""


class NotFound(InputError):
    """Says that a dataset is not at the data root."""


def load(
    path: str | Path,
    dataset: str | None = None,
    verify: bool = True,
    options: Options | None = None,
    omitted: Omitted | None = None,
) -> FaceSet:
    """Reads a dataset from a file or folder in any known layout, or in canonical form.

    Args:
        path: file or folder.
        dataset: name of the dataset that is expected; None takes whatever is found.
        verify: refuse a set without train or test images, or whose counts by split and class are
            not the official ones.
        options: how it is read; the defaults are 48 px, gray, seven classes.
        omitted: counts and describes what is left out.

    Raises:
        InputError: the path is missing, its layout unknown, its content wrong, or its counts not
            the official ones.
    """
    path = Path(path)
    _check_name(dataset)
    with _readable(path):
        if canonical.is_canonical(path):
            faces = _with_contempt(canonical.read(path), options)
            _check_import(faces, dataset, options, path)
        else:
            layout, options = _layout(path, dataset, options), options or Options()
            rows = layout.rows(path, options)
            faces = face_set(layout.dataset, rows, options, omitted or Omitted())
            kind = f"{layout.dataset} ({layout.name})"
            mark = f"{len(faces)} images, fingerprint {faces.fingerprint}"
            log.info("%s: %s, %s", printable(path), kind, mark)
    _log_omissions(faces, path)
    if verify and (wrong := _unfit(faces)):
        remedy = f"`fer-study data doctor {printable(path)}` says how to mend it"
        python = "only from Python it can be read all the same, with verify=False"
        raise wrong_input(path, f"{wrong}; {remedy} ({python})")
    return faces


def import_to(
    path: str | Path,
    target: str | Path | None = None,
    dataset: str | None = None,
    options: Options | None = None,
) -> tuple[FaceSet, Path]:
    """Writes the canonical form of a dataset once (see ``canonical``).

    Args:
        target: the folder to write; None: ``<dataset>.faces`` in the data root, where ``find``
            looks first.

    Raises:
        InputError: as ``load``; the target exists. Nothing is left behind.
    """
    path = Path(path)
    _check_name(dataset)
    if canonical.is_canonical(path):
        raise wrong_input(path, "is in canonical form already")
    with _readable(path):
        layout, options = _layout(path, dataset, options), options or Options()
        target = Path(target or root_of() / f"{layout.dataset}{canonical.SUFFIX}")
        if target.exists():
            remedy = "remove it to import again, or name another with --to"
            raise wrong_input(target, f"is there already; {remedy}")
        rows = layout.rows(path, options)
        name = layout.name + (UNCONFIRMED if to_confirm(layout, dataset) else "")
        accept = lambda faces: _log_omissions(faces, path)  # noqa: E731
        faces = canonical.write(layout.dataset, name, rows, options, target, accept)
    if wrong := _unfit(faces):
        log.warning("%s: imported all the same: %s", printable(path), wrong)
    return faces, target


def find(
    dataset: str,
    root: str | Path | None = None,
    verify: bool = True,
    options: Options | None = None,
) -> FaceSet:
    """Finds a dataset at a data root or in a folder of its name below it, and loads it.

    Args:
        dataset: name of the dataset, e.g. ``fer2013``.
        root: the data root; None takes ``$FER_STUDY_DATA``, else ``data/`` of the checkout.
        verify, options: as in ``load``.

    Raises:
        InputError: the dataset is unknown, not there, or not right.
    """
    return load(locate(dataset, root), dataset, verify, options)


def locate(dataset: str, root: str | Path | None = None) -> Path:
    """Says where ``find`` finds a dataset, by names and headers only.

    Raises:
        NotFound: it is not there.
        InputError: the dataset is unknown, or a header cannot be read.
    """
    _check_name(dataset)
    root = root_of(root)
    home = "fer2013" if dataset == "ferplus" else dataset
    for path in (root / f"{dataset}{canonical.SUFFIX}", root, root / dataset, root / home):
        if path.exists() and (canonical.is_canonical(path) or recognise(path, dataset)):
            return path
    layouts = "; ".join(x.looks_like for x in LAYOUTS if x.dataset == dataset)
    raise NotFound(
        f"{dataset} not found in {printable(root)} nor in {printable(root / dataset)}; "
        f"layouts: {layouts}; say where it is with --data or $FER_STUDY_DATA"
    )


def has_votes(dataset: str, path: str | Path) -> bool:
    """Tells by names and headers whether the set at a path comes with votes or targets."""
    path = Path(path)
    if canonical.is_canonical(path):
        head = canonical.head(path)
        return bool(head.get("votes") or head.get("targets"))
    return dataset == "ferplus" or (dataset == "fer2013" and ferplus.has_votes(path))


def root_of(root: str | Path | None = None) -> Path:
    """Finds the data root: as given, else ``$FER_STUDY_DATA``, else ``data/`` of the checkout."""
    return Path(root or os.environ.get("FER_STUDY_DATA") or ROOT / "data")


def to_confirm(layout: Layout, dataset: str | None) -> tuple[str, str] | None:
    """Says (problem, remedy) of a layout of bare numbers, unless the dataset was named."""
    return official.unconfirmed(layout.dataset) if layout.unsure and not dataset else None


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Makes wrong input of what the operating system refuses."""
    try:
        yield
    except OSError as error:
        what = f"cannot be read or written: {error.strerror}"
        raise wrong_input(error.filename or path, what) from None


def _unfit(faces: FaceSet) -> str | None:
    """Says why no run should be made on a set; None where nothing is against it."""
    for split in ("train", "test"):
        if not (faces.split == split).any():
            return f"no {split} images, both train and test are needed"
    wrong = official.difference(faces, sum(faces.left_out.values()))
    return wrong and f"not the official {faces.name}: {wrong}"


def _log_omissions(faces: FaceSet, path: Path) -> None:
    """Logs what a set does without."""
    where = printable(path)
    for name, n in faces.dropped.items():
        what = f"{pluralise(n, 'image')} of {name} dropped"
        log.info("%s: %s, the %d classes have no such", where, what, faces.num_classes)
    for reason, n in faces.left_out.items():
        log.warning("%s: %s left out: %s", where, pluralise(n, "row"), reason)
    if not len(faces):
        raise wrong_input(where, "no images in it")


def _layout(path: Path, dataset: str | None, options: Options | None) -> Layout:
    """Finds the layout of a path, which allows the classes that are asked for."""
    if not path.exists():
        raise wrong_input(path, "no such file or folder")
    if is_archive(path):
        raise wrong_input(path, "is an archive; unpack it and give the folder")
    layout = recognise(path, dataset)
    if layout is None:
        raise wrong_input(path, _explain(path, dataset))
    if options and not isinstance(options.classes, int) and layout.dataset != FOLDERS:
        what = f"is {layout.dataset} ({layout.name}), and classes are named for class folders only"
        raise wrong_input(path, f"{what}; --dataset {FOLDERS} reads any set as such")
    if doubt := to_confirm(layout, dataset):
        log.warning("%s: %s; %s", printable(path), *doubt)
    return layout


def _explain(path: Path, dataset: str | None) -> str:
    """Says what a path holds instead of a dataset of a known layout."""
    if dataset and (other := recognise(path)):
        needed = " or ".join(x.looks_like for x in LAYOUTS if x.dataset == dataset)
        return f"holds {other.dataset} ({other.name}), not {dataset}, which needs {needed}"
    entries = visible(path)
    deeper = [y for x in entries[:100] if x.is_dir() for y in visible(x)[:20]]
    for folders in (entries, deeper):
        sets = [x for x in folders if x.is_dir() and _is_set(x, dataset)]
        if sets:
            places = " or ".join(printable(x) for x in sets)
            return f"no dataset at this level, but deeper: try {places}"
    what = f"no table, parquet file or folders of {dataset or 'a known dataset'}"
    unknown = f"layout not recognised: {what}; `fer-study data doctor --help` lists the layouts"
    return explain_unknown(path) or unknown


def _is_set(folder: Path, dataset: str | None) -> bool:
    return canonical.is_canonical(folder) or recognise(folder, dataset) is not None


def _with_contempt(faces: FaceSet, options: Options | None) -> FaceSet:
    """Gives an import of seven classes an eighth that none of its images has, if that is asked for.

    FER2013 has no contempt, but its crowd names it: one import serves runs of either kind.
    """
    complete = faces.targets is None and "contempt" not in faces.dropped
    if options and options.names == EIGHT and faces.classes == FER2013 and complete:
        return replace(faces, classes=EIGHT, fingerprint="")
    return faces


def _check_import(faces: FaceSet, dataset: str | None, options: Options | None, path: Path) -> None:
    """Refuses an import that is another than is asked for: its options are settled."""
    where = printable(path)
    if dataset not in (None, faces.name):
        raise wrong_input(where, f"holds {faces.name} (canonical), not {dataset}")
    annotation = canonical.head(path).get("annotation")
    if options and annotation not in (None, options.annotation):
        asked = f"{options.annotation} is asked for; import it again with --annotation"
        what = f"imported with the annotation {annotation}, {asked} {options.annotation}"
        raise wrong_input(where, what)
    if options and options.names != faces.classes:
        has, asked = f"the classes {','.join(faces.classes)}", ",".join(options.names)
        if isinstance(options.classes, int):
            asked = str(options.classes)
        if faces.classes in (FER2013, EIGHT):
            has = f"{faces.num_classes} classes"
        what = f"imported with {has}, {asked} are asked for; import it again with"
        raise wrong_input(where, f"{what} --classes {asked}")


def _check_name(dataset: str | None) -> None:
    known = sorted({x.dataset for x in LAYOUTS})
    if dataset is not None and dataset not in known:
        raise InputError(f"unknown dataset {dataset!r}; known: {', '.join(known)}")
