"""muxspace/facial_expressions: 13,690 faces with eight emotions, for transfer from and to FER2013.

It has no split of its own. Ours is by the file name without its number, 80/10/10, so that no name
is in two splits. In 12,726 file names that is the name of a person (``First_Last_0001.jpg``); who
is in the other 964 images is not known. Names are replaced by salted hashes and appear nowhere:
messages give the row only, and ids are row numbers.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from PIL import Image

from ...settings.errors import InputError
from ..labels import EIGHT, canonical
from ..rows import TWO_LABELS, BadRow, Face, Options, Rows, good, printable
from .files import file_inside
from .layout import Layout
from .people import hashed
from .pictures import decode, image_bytes
from .tables import has_images, parquet_files, parquet_schema, read_csv, read_parquet

SALT = "fer-study/muxspace/7"
"""Constant that goes before every hashed name, so that hashes stay the same and match those of no
other project. The split follows from it: of the numbers 1 to 40, 7 leaves the rarest classes
(disgust and fear) the most images in each split."""

_GROUP = re.compile(r"(.+)_\d+\.(?:jpe?g|png)", re.IGNORECASE)
_PERSON = re.compile(r"[^_]+(?:_[^_]+)+_\d{4}\.(?:jpe?g|png)", re.IGNORECASE)


def split_of(code: str) -> str:
    """Draws the split of a hashed name, 80/10/10, the same on every machine."""
    tenth = int(code, 16) % 10
    return "train" if tenth < 8 else "validation" if tenth == 8 else "test"


def _face(
    source: Path, i: int, name: str, emotion: str, labeller: str, image: bytes | Path | None
) -> Face:
    where = f"{printable(source)}, row {i}"
    try:
        label = canonical(emotion)
    except InputError:
        what = f"emotion is {emotion!r}, allowed: {', '.join(EIGHT)}"
        raise BadRow(where, "label not allowed", what) from None
    match = _GROUP.fullmatch(name)
    group = hashed(match[1] if match else name, SALT)
    person = group if _PERSON.fullmatch(name) else None
    attributes = {"person": person, "labeller": hashed(labeller, SALT)}
    picture = partial(_open, image, where)
    return Face(picture, label, split_of(group), f"{i:05d}", attributes=attributes)


def _open(image: bytes | Path | None, where: str) -> Image.Image:
    if not isinstance(image, Path):
        return decode(image, where)
    try:
        data = image_bytes(image, where)
    except BadRow:
        raise
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        what = f"its image is not in {printable(image.parent)}"
        raise BadRow(where, "image file missing", what) from None
    return decode(data, where)


def _is_parquet(path: Path) -> bool:
    files = parquet_files(path)
    if not files:
        return False
    schema = parquet_schema(files[0])
    return has_images(schema) and {"emotion", "user_id"} <= {*schema.names}


def _parquet_rows(path: Path, _: Options) -> Rows:
    files = parquet_files(path)
    records = [x for file in files for x in read_parquet(file, ["image", "emotion", "user_id"])]

    def read(i: int) -> Face:
        row = records[i]
        good(row["error"])
        emotion, labeller = str(row["emotion"]), str(row["user_id"])
        return _face(path, i, row["path"], emotion, labeller, row["bytes"])

    return Rows(range(len(records)), read)


def _legend(path: Path) -> Path | None:
    places = (path / "data" / "legend.csv", path / "legend.csv")
    return next((file for file in places if file.is_file()), None)


def _legend_rows(path: Path, _: Options) -> Rows:
    legend = _legend(path)
    records = read_csv(legend, ["image", "emotion", "user.id"])
    first: dict[str, int] = {}

    def read(i: int) -> Face:
        line, (name, emotion, labeller) = good(records[i])
        where = f"{printable(legend)}, row {i}"
        if (before := first.setdefault(name, i)) != i:
            labels = [records[row].cells[1].strip().lower() for row in (before, i)]
            reason = "twice" if labels[0] == labels[1] else TWO_LABELS
            what = f"{' there and '.join(labels):.80} here"
            raise BadRow(where, reason, f"its image is also that of row {before}: {what}")
        image = file_inside(path / "images", name, f"{where} (line {line})")
        return _face(legend, i, name, emotion, labeller, image)

    return Rows(range(len(records)), read)


LAYOUTS = (
    Layout("muxspace", "parquet", "*.parquet with columns image {bytes, path}, emotion, user_id",
           _is_parquet, _parquet_rows),
    Layout("muxspace", "legend",
           "legend.csv or data/legend.csv (user.id, image, emotion) and images/",
           lambda path: _legend(path) is not None, _legend_rows),
)  # fmt: skip
