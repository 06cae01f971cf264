"""What the readers share: the description of a layout on disk, and labels by folder or number."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...settings.errors import InputError
from ..labels import KNOWN, NATIVE, canonical
from ..rows import BadRow, Face, Options, Rows, printable
from .files import images_of, split_folders, visible
from .pictures import open_image

NUMBERED = "rename the folder, or say whose number it is: " + ", ".join(
    f"--dataset {name} ({', '.join(f'{number} {label}' for number, label in classes)})"
    for name in ("affectnet", "rafdb")
    if (classes := list(NATIVE[name].items())[:8])
)
"""What to do about class folders that are called after numbers."""


@dataclass(frozen=True)
class Layout:
    """Describes one way in which a dataset lies on disk.

    Attributes:
        dataset: name of the dataset, e.g. ``fer2013``.
        name: name of the layout, unique within the dataset.
        looks_like: one line that shows the files, for messages.
        recognises: cheap look (names and headers only) whether a path has this layout.
        rows: its rows, in the order of the set, each a ``Face`` or a ``BadRow``; every other wrong
            input is one ``InputError``.
        named: read only where the dataset is named (``--dataset``), since others may look the same.
        unsure: nothing but numbers says what the labels mean, so that whoever does not name the
            dataset is to confirm it.
    """

    dataset: str
    name: str
    looks_like: str
    recognises: Callable[[Path], bool]
    rows: Callable[[Path, Options], Collection[Face | BadRow]]
    named: bool = False
    unsure: bool = False


def label_of(text: str, classes: dict[str, str], where: str) -> str:
    """Finds the class of a label as it is written in the data.

    Raises:
        BadRow: it is not one of ``classes``.
    """
    try:
        return classes[text]
    except KeyError:
        allowed = ", ".join(f"{key} {name}" for key, name in classes.items())
        what = f"label is {text[:40]!r}, allowed: {allowed}"
        raise BadRow(where, "label not allowed", what) from None


def class_of(folder: Path, where: str, own: str = "") -> str:
    """Finds the class that a folder is called after.

    Args:
        own: what to do where the classes are one's own.

    Raises:
        BadRow: its name is no known spelling of one.
    """
    try:
        return canonical(folder.name)
    except InputError:
        name = printable(folder.name)
        what, advice = f"class folder: unknown class name {name[:60]!r}", KNOWN
        if name.isdigit():
            what, advice = f"{what}: a number does not say which class it is", NUMBERED
        advice = f"{advice}; {own}" if own else advice
        raise BadRow(where, f"class unknown: {name[:40]}", what, advice) from None


def relative_name(file: Path, root: Path) -> str:
    """Writes the place of a file in its dataset, which is the id of its image."""
    return printable(file.relative_to(root).as_posix())


def numbered_rows(root: Path, classes: dict[str, str]) -> Rows:
    """Lists the rows of ``split/NUMBER/image``; a split or class without images is refused.

    Args:
        classes: name of a class folder -> class.
    """

    def read(record: tuple[str, Path]) -> Face:
        split, file = record
        folder = file if file.is_dir() else file.parent
        label = label_of(folder.name, classes, printable(file))
        return Face(partial(open_image, file), label, split, relative_name(file, root))

    return Rows(
        [
            (split, file)
            for split, folder in _numbered_splits(root)
            for parent in visible(folder)
            for file in images_of(parent)
        ],
        read,
    )


def _numbered_splits(root: Path) -> list[tuple[str, Path]]:
    """Finds the split folders of a dataset without a validation split.

    Where there is no test folder, its images lie in the one called after validation.
    """
    folders = split_folders(root)
    if any(split == "test" for split, _ in folders):
        return folders
    return [("test" if split == "validation" else split, folder) for split, folder in folders]
