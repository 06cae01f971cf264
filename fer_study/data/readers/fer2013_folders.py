"""FER2013 (Goodfellow et al., 2013) as folders of images, in the three forms that circulate.

Which row of the original an image was is not known, so that FER+ votes cannot be joined.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from ..faceset import SPLITS
from ..labels import FER2013, canonical
from ..official import OFFICIAL_COUNTS
from ..rows import BadRow, Face, Options, Row, printable, refuse
from .fer2013 import USAGE, checked_size
from .layout import Layout, only, visible
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
    """Folders that are called after the splits of the original; none where that is ``Training`` alone, a common name."""
    found = [x for x in visible(path) if x.is_dir() and x.name.lower() in map(str.lower, USAGE)]
    return found if [x.name.lower() for x in found] != ["training"] else []


def _is_tree(path: Path, pattern: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(file.name) for file in islice(_files(only(path, *_SPLITS)), 100))


def _nearly_whole(path: Path) -> bool:
    """Whether each class of ``train/`` and ``test/`` has the official number of images, up to a tenth: anybody's images may
    be called ``imN.png``, and only in the whole set do the numbers say which are PublicTest."""
    counts, folders = OFFICIAL_COUNTS["fer2013"], only(path, *_SPLITS)
    merged = [sum(pair) for pair in zip(counts["validation"], counts["test"], strict=True)]
    sizes = [{_label(x.name): len(visible(x)) for x in visible(folder)} for folder in folders]
    return len(folders) == 2 and all(
        abs(found.get(label, 0) - n) <= n / 10
        for found, official in zip(sizes, (counts["train"], merged), strict=True)
        for label, n in enumerate(official)
    )


def _label(name: str) -> int | None:
    try:
        return FER2013.index(canonical(name))
    except ValueError:
        return None


def _tree(path: Path, folders: list[Path], pattern: re.Pattern[str], allowed: str,
          split_of: Callable[[Path, int], str]) -> list[Row]:  # fmt: skip
    """Rows ordered by split, class and number; without votes, for the row of an image is not known."""
    good, bad = [], []
    for file in _files(folders):
        where, found = printable(file), pattern.fullmatch(file.name)
        if (label := _label(file.parent.name)) is None:
            what = f"class folder {printable(file.parent.name)!r}, allowed: {', '.join(FER2013)}"
            bad.append(refuse(BadRow(where, f"class unknown: {printable(file.parent.name)[:40]}", what)))
            continue
        if found:
            good.append((label, int(found[found.re.groups] or 0), file))
        else:
            what = f"file name is {printable(file.name)!r}, allowed {allowed}"
            bad.append(refuse(BadRow(where, "file name not of this layout", what)))
    good.sort()
    named = sorted((SPLITS.index(split_of(file, label)), label, number, file) for label, number, file in good)
    return [partial(_tree_row, path, *row) for row in named] + bad


def _tree_row(path: Path, split: int, label: int, _: int, file: Path) -> Face:
    picture = lambda: checked_size(open_image(file), printable(file))  # noqa: E731
    return Face(picture, FER2013[label], SPLITS[split], printable(file.relative_to(path).as_posix()))


def _by_usage(path: Path, _: Options) -> list[Row]:
    """The usage is in the file name, where the number beside it goes up to 10^8 and is no row number; or in the folder's."""
    split = {usage.lower(): name for usage, name in USAGE.items()}
    if folders := _usage_folders(path):
        return _tree(path, folders, _BY_FOLDER, "an image", lambda file, label: split[file.parents[1].name.lower()])
    allowed = f"{{{','.join(USAGE)}}}_NUMBER.jpg"
    return _tree(path, only(path, *_SPLITS), _BY_USAGE, allowed, lambda file, label: split[file.name.split("_")[0].lower()])


def _by_number(path: Path, _: Options) -> list[Row]:
    """PublicTest images were numbered before PrivateTest images, so the first of each class in ``test/`` are validation."""
    left = list(OFFICIAL_COUNTS["fer2013"]["validation"])

    def split_of(file: Path, label: int) -> str:
        if file.parent.parent.name.lower() == "train":
            return "train"
        left[label] -= 1
        return "validation" if left[label] >= 0 else "test"

    return _tree(path, only(path, *_SPLITS), _BY_NUMBER, "imNUMBER.png", split_of)


LAYOUTS = (
    Layout(
        "fer2013", "folders with usage",
        "train|test/CLASS/{Training,PublicTest,PrivateTest}_N.jpg or Training|PublicTest|PrivateTest/CLASS/image",
        lambda path: bool(_usage_folders(path)) or _is_tree(path, _BY_USAGE), _by_usage,
    ),
    Layout(
        "fer2013", "folders with numbers", "train|test/CLASS/imN.png, about as many as there are",
        lambda path: _is_tree(path, _BY_NUMBER) and _nearly_whole(path), _by_number,
    ),
    Layout(
        "fer2013", "some folders with numbers", "train|test/CLASS/imN.png, only as --dataset fer2013",
        lambda path: _is_tree(path, _BY_NUMBER), _by_number, named=True,
    ),
)  # fmt: skip
