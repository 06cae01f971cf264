"""FER2013 (Goodfellow et al., 2013) as folders of images, in the two forms that circulate.

Which row of the original an image was is not known, so that FER+ votes cannot be joined.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from ..labels import FER2013, canonical
from .faceset import SPLITS
from .fer2013 import USAGE, checked_size
from .layout import Layout, only, visible
from .official import OFFICIAL_COUNTS
from .pictures import open_image
from .rows import BadRow, Face, Options, Row, printable, refuse

_BY_USAGE = re.compile(rf"({'|'.join(USAGE)})_(\d{{1,18}})\.(?:jpe?g|png)", re.IGNORECASE)
_BY_NUMBER = re.compile(r"im(\d{1,18})\.(?:jpe?g|png)", re.IGNORECASE)


def _files(path: Path) -> Iterator[Path]:
    for folder in only(path, "train", "test"):
        for parent in visible(folder):
            yield from visible(parent)


def _is_tree(path: Path, pattern: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(file.name) for file in islice(_files(path), 100))


def _tree(path: Path, pattern: re.Pattern[str], allowed: str, split_of: Callable[[Path, int], str]) -> list[Row]:
    """Rows ordered by split, class and number; without votes, for the row of an image is not known."""
    good, bad = [], []
    for file in _files(path):
        where, found = printable(file), pattern.fullmatch(file.name)
        try:
            label = FER2013.index(canonical(file.parent.name))
        except ValueError:
            what = f"class folder {printable(file.parent.name)!r}, allowed: {', '.join(FER2013)}"
            bad.append(refuse(BadRow(where, "class unknown", what)))
            continue
        if found:
            good.append((label, int(found[found.re.groups]), file))
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
    """The usage is in the file name; the number beside it goes up to 10^8 and is no row number."""
    split = {usage.lower(): name for usage, name in USAGE.items()}
    allowed = f"{{{','.join(USAGE)}}}_NUMBER.jpg"
    return _tree(path, _BY_USAGE, allowed, lambda file, label: split[file.name.split("_")[0].lower()])


def _by_number(path: Path, _: Options) -> list[Row]:
    """PublicTest images were numbered before PrivateTest images, so the first of each class in ``test/`` are validation."""
    left = list(OFFICIAL_COUNTS["fer2013"]["validation"])

    def split_of(file: Path, label: int) -> str:
        if file.parent.parent.name.lower() == "train":
            return "train"
        left[label] -= 1
        return "validation" if left[label] >= 0 else "test"

    return _tree(path, _BY_NUMBER, "imNUMBER.png", split_of)


LAYOUTS = (
    Layout(
        "fer2013", "folders with usage", "train|test/CLASS/{Training,PublicTest,PrivateTest}_N.jpg",
        lambda path: _is_tree(path, _BY_USAGE), _by_usage,
    ),
    Layout(
        "fer2013", "folders with numbers", "train|test/CLASS/imN.png",
        lambda path: _is_tree(path, _BY_NUMBER), _by_number,
    ),
)  # fmt: skip
