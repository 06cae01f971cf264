"""muxspace/facial_expressions: 13,690 faces with eight emotions, for transfer from and to FER2013.

It has no split of its own. Ours is by the file name without its number, 80/10/10, so that no name is in two splits. In
12,726 file names that is the name of a person (``First_Last_0001.jpg``); who is in the other 964 images is not known. Names
are replaced by salted hashes and appear nowhere.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from PIL import Image

from ...settings.errors import InputError
from ..labels import EIGHT, canonical
from ..rows import TWO_LABELS, BadRow, Face, Options, Row, printable, refuse
from .layout import Layout, inside, is_image, parquet_columns, parquet_files, parquet_schema
from .people import hashed
from .pictures import decode, image_bytes
from .tables import csv_columns, csv_rows

SALT = "fer-study/muxspace/7"
"""Constant that goes before every hashed name, so that hashes stay the same and match those of no other project. The split
follows from it: of the numbers 1 to 40, 7 leaves the rarest classes (disgust and fear) the most images in each split."""

_GROUP = re.compile(r"(.+)_\d+\.(?:jpe?g|png)", re.IGNORECASE)
_PERSON = re.compile(r"[^_]+(?:_[^_]+)+_\d{4}\.(?:jpe?g|png)", re.IGNORECASE)


def split_of(code: str) -> str:
    """Split of a hashed name: 80 % train, 10 % validation, 10 % test, the same on every machine."""
    tenth = int(code, 16) % 10
    return "train" if tenth < 8 else "validation" if tenth == 8 else "test"


def _row(source: Path, i: int, name: str, emotion: str, labeller: str, content: bytes | Path | None) -> Face:
    """One image; file names hold names of people, so messages give the row only, and ids are row numbers."""
    where = f"{printable(source)}, row {i}"
    try:
        label = canonical(emotion)
    except InputError:
        what = f"emotion is {emotion!r}, allowed: {', '.join(EIGHT)}"
        raise BadRow(where, "label not allowed", what) from None
    group = hashed(found[1] if (found := _GROUP.fullmatch(name)) else name, SALT)
    attributes = {"person": group if _PERSON.fullmatch(name) else None, "labeller": hashed(labeller, SALT)}
    split = split_of(group)

    def picture() -> Image.Image:
        if not isinstance(content, Path):
            return decode(content, where)
        try:
            data = image_bytes(content, where)
        except BadRow:
            raise
        except (OSError, ValueError):  # ValueError: a zero byte in the name
            raise BadRow(where, "image file missing", f"its image is not in {printable(content.parent)}") from None
        return decode(data, where)

    return Face(picture, label, split, f"{i:05d}", attributes=attributes)


def _is_parquet(path: Path) -> bool:
    files = parquet_files(path)
    return bool(files) and is_image(schema := parquet_schema(files[0])) and {"emotion", "user_id"} <= {*schema.names}


def _parquet_rows(path: Path, _: Options) -> list[Row]:
    rows, wrong = [], []
    for file in parquet_files(path):
        data = parquet_columns(file, ["image", "emotion", "user_id"])
        rows += zip(data["path"], map(str, data["emotion"]), map(str, data["user_id"]), data["bytes"], strict=True)
        wrong += data["error"]
    return [refuse(wrong[i]) if wrong[i] else partial(_row, path, i, *row) for i, row in enumerate(rows)]


def _legend(path: Path) -> Path | None:
    return next((x for x in (path / "data" / "legend.csv", path / "legend.csv") if x.is_file()), None)


def _legend_rows(path: Path, _: Options) -> list[Row]:
    legend = _legend(path)
    data = csv_columns(legend, ["user.id", "image", "emotion"])
    first: dict[str, int] = {}

    def read(i: int) -> Face:
        name = data["image"][i]
        if (before := first.setdefault(name, i)) != i:
            labels = [data["emotion"][row].strip().lower() for row in (before, i)]
            reason, what = "twice" if labels[0] == labels[1] else TWO_LABELS, " there and ".join(labels)
            raise BadRow(f"{printable(legend)}, row {i}", reason, f"its image is also that of row {before}: {what:.80} here")
        image = inside(path / "images", name, f"{printable(legend)}, row {i} (line {data['line'][i]})")
        return _row(legend, i, name, data["emotion"][i], data["user.id"][i], image)

    return csv_rows(data, read)


LAYOUTS = (
    Layout("muxspace", "parquet", "*.parquet with columns image {bytes, path}, emotion, user_id", _is_parquet,
           _parquet_rows),
    Layout("muxspace", "legend", "legend.csv or data/legend.csv (user.id, image, emotion) and images/",
           lambda path: _legend(path) is not None, _legend_rows),
)  # fmt: skip
