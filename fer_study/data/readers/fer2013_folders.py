"""FER2013 (Goodfellow et al., 2013) as folders of images, in the three forms that circulate.

Which row of the original an image was is not known, so that FER+ votes cannot be joined.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from ..faceset import SPLITS
from ..labels import FER2013, canonical
from ..official import OFFICIAL_COUNTS
from ..rows import BadRow, Face, Options, Rows, printable
from .fer2013 import USAGE, check_size
from .files import split_folders_named, subfolders, visible
from .layout import Layout, relative_name
from .pictures import open_image

_SPLITS = ("train", "test")
_BY_USAGE = re.compile(rf"({'|'.join(USAGE)})_(\d{{1,18}})\.(?:jpe?g|png)", re.IGNORECASE)
_BY_FOLDER = re.compile(r".*?(\d{0,18})\.(?:jpe?g|png|bmp|tiff?)", re.IGNORECASE | re.DOTALL)
_BY_NUMBER = re.compile(r"im(\d{1,18})\.(?:jpe?g|png)", re.IGNORECASE)


def _files(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        for parent in visible(folder):
            yield from visible(parent)


def _usage_folders(path: Path) -> list[Path]:
    """Finds folders called after the original splits; not ``Training`` alone, a common name."""
    folders = [x for x in subfolders(path) if x.name.lower() in map(str.lower, USAGE)]
    return folders if [x.name.lower() for x in folders] != ["training"] else []


def _is_tree(path: Path, pattern: re.Pattern[str]) -> bool:
    files = _files(split_folders_named(path, *_SPLITS))
    return any(pattern.fullmatch(file.name) for file in islice(files, 100))


def _nearly_whole(path: Path) -> bool:
    """Tells whether each class of ``train/`` and ``test/`` is whole, up to a tenth.

    Anybody's images may be called ``imN.png``; only in the whole set do the numbers say which are
    PublicTest.
    """
    folders = split_folders_named(path, *_SPLITS)
    if len(folders) != 2:
        return False
    train, validation, test = (OFFICIAL_COUNTS["fer2013"][split] for split in SPLITS)
    merged = [sum(pair) for pair in zip(validation, test, strict=True)]
    for folder, counts in zip(folders, (train, merged), strict=True):
        sizes = {_label(x.name): len(visible(x)) for x in visible(folder)}
        if any(abs(sizes.get(label, 0) - n) > n / 10 for label, n in enumerate(counts)):
            return False
    return True


def _label(name: str) -> int | None:
    try:
        return FER2013.index(canonical(name))
    except ValueError:
        return None


def _tree(
    path: Path,
    folders: list[Path],
    pattern: re.Pattern[str],
    allowed: str,
    split_of: Callable[[Path, int], str],
) -> Rows:
    """Lists rows by split, class and number; without votes, for the row of an image is not known.

    Args:
        pattern: of file names; its last group is the number.
        split_of: split of a file and its label; called in the order of label and number.
    """
    images: list[tuple[int, int, Path]] = []
    wrong: list[BadRow] = []
    for file in _files(folders):
        where, match = printable(file), pattern.fullmatch(file.name)
        folder = printable(file.parent.name)
        if (label := _label(file.parent.name)) is None:
            what = f"class folder {folder!r}, allowed: {', '.join(FER2013)}"
            wrong.append(BadRow(where, f"class unknown: {folder[:40]}", what))
        elif match is None:
            what = f"file name is {printable(file.name)!r}, allowed {allowed}"
            wrong.append(BadRow(where, "file name not of this layout", what))
        else:
            images.append((label, int(match[match.re.groups] or 0), file))
    images.sort()
    records = sorted(
        (SPLITS.index(split_of(file, label)), label, number, file) for label, number, file in images
    )

    def read(record: tuple[int, int, int, Path]) -> Face:
        split, label, _, file = record
        return Face(
            lambda: check_size(open_image(file), printable(file)),
            FER2013[label],
            SPLITS[split],
            relative_name(file, path),
        )

    return Rows([*records, *wrong], read)


def _by_usage(path: Path, _: Options) -> Rows:
    """Lists images whose usage is in the file name, or in the folder's."""
    split = {usage.lower(): name for usage, name in USAGE.items()}
    if folders := _usage_folders(path):
        by_folder = lambda file, _: split[file.parents[1].name.lower()]  # noqa: E731
        return _tree(path, folders, _BY_FOLDER, "an image", by_folder)
    folders, allowed = split_folders_named(path, *_SPLITS), f"{{{','.join(USAGE)}}}_NUMBER.jpg"
    # the number beside the usage goes up to 10^8 and is no row number
    by_name = lambda file, _: split[file.name.split("_")[0].lower()]  # noqa: E731
    return _tree(path, folders, _BY_USAGE, allowed, by_name)


def _by_number(path: Path, _: Options) -> Rows:
    """Lists numbered images; the first of each class in ``test/`` are validation.

    PublicTest images were numbered before PrivateTest images.
    """
    left = list(OFFICIAL_COUNTS["fer2013"]["validation"])

    def split_of(file: Path, label: int) -> str:
        if file.parent.parent.name.lower() == "train":
            return "train"
        left[label] -= 1
        return "validation" if left[label] >= 0 else "test"

    folders = split_folders_named(path, *_SPLITS)
    return _tree(path, folders, _BY_NUMBER, "imNUMBER.png", split_of)


LAYOUTS = (
    Layout("fer2013", "folders with usage",
           "train|test/CLASS/{Training,PublicTest,PrivateTest}_N.jpg or "
           "Training|PublicTest|PrivateTest/CLASS/image",
           lambda path: bool(_usage_folders(path)) or _is_tree(path, _BY_USAGE), _by_usage),
    Layout("fer2013", "folders with numbers",
           "train|test/CLASS/imN.png, about as many as there are",
           lambda path: _is_tree(path, _BY_NUMBER) and _nearly_whole(path), _by_number),
    Layout("fer2013", "some folders with numbers",
           "train|test/CLASS/imN.png, only as --dataset fer2013",
           lambda path: _is_tree(path, _BY_NUMBER), _by_number, named=True),
)  # fmt: skip
