"""Datasets: ``load`` reads a path in any known layout, ``find`` finds a dataset below the data root."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from ..settings.checkout import ROOT
from ..settings.errors import InputError
from . import canonical, official
from .faceset import SPLITS, FaceSet, copy_groups, fingerprint_of
from .readers import LAYOUTS, ferplus, recognise
from .readers.collect import face_set
from .readers.files import is_archive
from .readers.instead import instead
from .readers.layout import Layout, visible
from .rows import Left, Options, many, printable

__all__ = [
    "LAYOUTS", "SPLITS", "FaceSet", "NotFound", "Options", "copy_groups", "find", "fingerprint_of", "has_votes", "import_to",
    "load", "locate", "many", "recognise", "to_confirm", "unconfirmed",
]  # fmt: skip

log = logging.getLogger(__name__)

UNCONFIRMED = ", to be confirmed"
"""Ends the name of a layout in an import whose labels nobody confirmed (see ``to_confirm``)."""


class NotFound(InputError):
    """A dataset is not at the data root."""


def load(path: str | Path, dataset: str | None = None, verify: bool = True, options: Options | None = None,
         left: Left | None = None) -> FaceSet:  # fmt: skip
    """Reads a dataset from a file or folder in any known layout, or in canonical form.

    Args:
        path: file or folder.
        dataset: name of the dataset that is expected; None takes whatever is found.
        verify: refuse a set without train or test images, or whose counts by split and class are not the official ones.
        options: how it is read; the defaults are 48 px, gray, seven classes.
        left: counts and describes what is left out.

    Raises:
        InputError: the path is missing, its layout unknown, its content wrong, or its counts not the official ones.
    """
    path = Path(path)
    _check_name(dataset)
    with _readable(path):
        if canonical.is_canonical(path):
            faces = _as_asked(canonical.read(path), dataset, options, path)
        else:
            layout = _layout(path, dataset)
            options = options or Options()
            faces = face_set(layout.dataset, layout.rows(path, options), options, left or Left())
            log.info("%s: %s (%s), %d images, fingerprint %s", printable(path), layout.dataset, layout.name, len(faces),
                     faces.fingerprint)  # fmt: skip
    report(faces, path)
    if verify:
        check(faces, path)
    return faces


def import_to(
    path: str | Path, target: str | Path | None = None, dataset: str | None = None, options: Options | None = None
) -> tuple[FaceSet, Path]:
    """Writes the canonical form of a dataset once (see ``canonical``).

    Args:
        target: the folder to write; None: ``<dataset>.faces`` in the data root, where ``find`` looks first.

    Raises:
        InputError: as ``load``; the target exists. Nothing is left behind.
    """
    path = Path(path)
    _check_name(dataset)
    if canonical.is_canonical(path):
        raise InputError(f"{printable(path)}: is in canonical form already")
    with _readable(path):
        layout, options = _layout(path, dataset), options or Options()
        target = Path(target) if target else root_of() / f"{layout.dataset}{canonical.SUFFIX}"
        if target.exists():
            raise InputError(f"{printable(target)}: is there already; remove it to import again, or name another with --to")
        rows = layout.rows(path, options)
        name = f"{layout.name}{UNCONFIRMED}" if to_confirm(layout, dataset) else layout.name
        faces = canonical.write(layout.dataset, name, rows, options, target, lambda faces: report(faces, path))
    if wrong := unfit(faces):
        log.warning("%s: imported all the same: %s", printable(path), wrong)
    return faces, target


def to_confirm(layout: Layout, dataset: str | None) -> tuple[str, str] | None:
    """(problem, remedy) of a layout that does not say by itself whose its labels are, unless the dataset was named."""
    return unconfirmed(layout.dataset) if layout.unsure and not dataset else None


def unconfirmed(dataset: str) -> tuple[str, str]:
    """(problem, remedy) of labels that were read as those of a dataset by nothing but numbers."""
    about = official.DATASETS[dataset]
    problem = f"the classes are bare numbers, read as those of {about.title} ({about.labels}): to be confirmed"
    return problem, f"if they are, say --dataset {dataset} when they are read; if not, call the folders after their classes"


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What the operating system refuses is wrong input.

    Raises:
        InputError: a file cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"{printable(error.filename or path)}: cannot be read or written: {error.strerror}") from None


def find(dataset: str, root: str | Path | None = None, verify: bool = True, options: Options | None = None) -> FaceSet:
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
    """Where ``find`` finds a dataset, by names and headers only.

    Raises:
        NotFound: it is not there.
        InputError: the dataset is unknown, or a header cannot be read.
    """
    _check_name(dataset)
    root = root_of(root)
    home = "fer2013" if dataset == "ferplus" else dataset
    places = (root / f"{dataset}{canonical.SUFFIX}", root, root / dataset, root / home)
    for path in places:
        if path.exists() and (canonical.is_canonical(path) or recognise(path, dataset)):
            return path
    raise NotFound(
        f"{dataset} not found in {printable(root)} nor in {printable(root / dataset)}; say where it is with --data or "
        f"$FER_STUDY_DATA (layouts: {'; '.join(x.looks_like for x in LAYOUTS if x.dataset == dataset)})"
    )


def has_votes(dataset: str, path: str | Path) -> bool:
    """Whether the set at a path, as ``locate`` found it, comes with votes or targets, by names and headers only."""
    path = Path(path)
    if canonical.is_canonical(path):
        head = canonical.head(path)
        return bool(head.get("votes") or head.get("targets"))
    return dataset == "ferplus" or (dataset == "fer2013" and ferplus.has_votes(path))


def root_of(root: str | Path | None = None) -> Path:
    """The data root: as given, else ``$FER_STUDY_DATA``, else ``data/`` of the checkout."""
    return Path(root or os.environ.get("FER_STUDY_DATA") or ROOT / "data")


def check(faces: FaceSet, path: Path) -> None:
    """Refuses a set that no run should be made on.

    Raises:
        InputError: there are no train or no test images, or the counts are not the official ones.
    """
    if wrong := unfit(faces):
        raise InputError(f"{printable(path)}: {wrong}; `fer-study data doctor {printable(path)}` says how to mend it (only "
                         "from Python it can be read all the same, with verify=False)")  # fmt: skip


def unfit(faces: FaceSet) -> str | None:
    """Why no run should be made on a set; None where nothing is against it."""
    if missing := [s for s in ("train", "test") if not (faces.split == s).any()]:
        return f"no {missing[0]} images, both train and test are needed"
    wrong = official.difference(faces, sum(faces.left_out.values()))
    return wrong and f"not the official {faces.name}: {wrong}"


def report(faces: FaceSet, path: Path) -> None:
    """Logs what a set does without.

    Raises:
        InputError: nothing is left.
    """
    for name, count in faces.dropped.items():
        log.info("%s: %s of %s dropped, the %d classes have no such", printable(path), many(count, "image"), name,
                 faces.num_classes)  # fmt: skip
    for reason, count in faces.left_out.items():
        log.warning("%s: %s left out: %s", printable(path), many(count, "row"), reason)
    if not len(faces):
        raise InputError(f"{printable(path)}: no images in it")


def _layout(path: Path, dataset: str | None) -> Layout:
    if not path.exists():
        raise InputError(f"{printable(path)}: no such file or folder")
    if is_archive(path):
        raise InputError(f"{printable(path)}: is an archive; unpack it and give the folder")
    layout = recognise(path, dataset)
    if layout is None:
        what = f"layout not recognised: no table, parquet file or folders of {dataset or 'a known dataset'}"
        what = _instead(path, dataset) or f"{what}; `fer-study data doctor --help` lists the layouts"
        raise InputError(f"{printable(path)}: {what}")
    if doubt := to_confirm(layout, dataset):
        log.warning("%s: %s; %s", printable(path), *doubt)
    return layout


def _instead(path: Path, dataset: str | None) -> str | None:
    """What a path holds instead of a dataset of a known layout, where that can be said."""
    if dataset and (other := recognise(path)):
        needed = " or ".join(x.looks_like for x in LAYOUTS if x.dataset == dataset)
        return f"holds {other.dataset} ({other.name}), not {dataset}, which needs {needed}"
    entries, is_set = visible(path), lambda x: canonical.is_canonical(x) or (x.is_dir() and recognise(x, dataset))
    deeper = [y for x in entries[:100] if x.is_dir() for y in visible(x)[:20]]
    if found := [x for x in entries if is_set(x)] or [x for x in deeper if is_set(x)]:
        return f"no dataset at this level, but deeper: try {' or '.join(printable(x) for x in found)}"
    return instead(path)


def _as_asked(faces: FaceSet, dataset: str | None, options: Options | None, path: Path) -> FaceSet:
    """An imported set, whose options were chosen when it was imported.

    Raises:
        InputError: it is another dataset, or has other classes, or labels by another FER+ protocol, than are asked for.
    """
    if dataset not in (None, faces.name):
        raise InputError(f"{printable(path)}: holds {faces.name} (canonical), not {dataset}")
    annotation = canonical.head(path)["annotation"]
    if options and annotation not in (None, options.annotation):
        raise InputError(f"{printable(path)}: imported with the annotation {annotation}, {options.annotation} is asked for; "
                         f"import it again with --annotation {options.annotation}")  # fmt: skip
    if options and options.names != faces.classes:
        raise InputError(f"{printable(path)}: imported with {faces.num_classes} classes, {options.classes} are asked for; "
                         f"import it again with --classes {options.classes}")  # fmt: skip
    return faces


def _check_name(dataset: str | None) -> None:
    known = sorted({x.dataset for x in LAYOUTS})
    if dataset is not None and dataset not in known:
        raise InputError(f"unknown dataset {dataset!r}; known: {', '.join(known)}")
