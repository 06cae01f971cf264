"""Two small sets of posed expressions. Neither has an official split; ours are by person, 80/10/10.

CK+48 is the peak frames of CK+ (Lucey et al., 2010) as 48 px crops: 981 images of 118 people, seven classes with contempt
and without neutral. JAFFE (Lyons et al., 1998): 213 pictures of ten women; a file name begins with the person's initials.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import islice
from pathlib import Path

from ..labels import NATIVE
from ..rows import BadRow, Face, Row, printable, refuse
from .layout import Layout, class_of, visible
from .people import hashed, split_by_group
from .pictures import open_image

CKPLUS_SALT, JAFFE_SALT = "fer-study/ckplus/1", "fer-study/jaffe/1"
CKPLUS_NAME = re.compile(r"(S\d{3})_.*\.(?:png|jpe?g)", re.IGNORECASE)
_JAFFE = re.compile(rf"([A-Z]{{2}})\.({'|'.join(NATIVE['jaffe'])})\d\.\d+\.(?:tiff?|png|jpe?g)", re.IGNORECASE)


def _by_person(path: Path, files: list[Path], pattern: re.Pattern[str], salt: str, allowed: str) -> list[Row]:
    found = [(file, pattern.fullmatch(file.name)) for file in files]
    split = split_by_group((match[1].upper() for _, match in found if match), salt)
    return [
        partial(_row, path, file, match, split[match[1].upper()], salt) if match
        else refuse(BadRow(printable(file), "file name not of this layout",
                           f"file name is {printable(file.name)!r}, allowed {allowed}"))
        for file, match in found
    ]  # fmt: skip


def _row(path: Path, file: Path, match: re.Match[str], split: str, salt: str) -> Face:
    person = hashed(match[1].upper(), salt)
    if salt == JAFFE_SALT:  # the file name begins with the person's initials
        name = person + file.name[len(match[1]) :]
        return Face(partial(open_image, file), NATIVE["jaffe"][match[2].upper()], split, name, attributes={"person": person})
    label, name = class_of(file.parent, printable(file)), printable(file.relative_to(path).as_posix())
    return Face(partial(open_image, file), label, split, name, attributes={"person": person})


def _ckplus_files(path: Path) -> list[Path]:
    return [file for folder in visible(path) if folder.is_dir() for file in visible(folder)]


def _is_ckplus(path: Path) -> bool:
    folders = [x for x in visible(path) if x.is_dir()]
    return bool(folders) and any(CKPLUS_NAME.fullmatch(f.name) for x in folders for f in islice(visible(x), 5))


LAYOUTS = (
    Layout("ckplus", "folders", "CLASS/Sxxx_*.png", _is_ckplus,
           lambda path, _: _by_person(path, _ckplus_files(path), CKPLUS_NAME, CKPLUS_SALT, "Sxxx_NAME.png")),
    Layout("jaffe", "files", "KA.AN1.39.tiff: person, class and number, picture number",
           lambda path: any(_JAFFE.fullmatch(x.name) for x in visible(path)),
           lambda path, _: _by_person(path, [x for x in visible(path) if x.is_file()], _JAFFE, JAFFE_SALT, "XX.YYn.n.tiff")),
)  # fmt: skip
