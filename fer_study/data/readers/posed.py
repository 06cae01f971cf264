"""Two small sets of posed expressions. Neither has an official split; ours are by person, 80/10/10.

CK+48 is the peak frames of CK+ (Lucey et al., 2010) as 48 px crops: 981 images of 118 people, seven
classes with contempt and without neutral. JAFFE (Lyons et al., 1998): 213 pictures of ten women; a
file name begins with the person's initials.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

from ..labels import NATIVE
from ..rows import BadRow, Face, Options, Rows, printable
from .files import subfolders, visible
from .layout import Layout, class_of, relative_name
from .people import hashed, split_by_group
from .pictures import open_image

CKPLUS_SALT, JAFFE_SALT = "fer-study/ckplus/1", "fer-study/jaffe/1"
CKPLUS_NAME = re.compile(r"(S\d{3})_.*\.(?:png|jpe?g)", re.IGNORECASE)
_JAFFE = re.compile(
    rf"([A-Z]{{2}})\.({'|'.join(NATIVE['jaffe'])})\d\.\d+\.(?:tiff?|png|jpe?g)", re.IGNORECASE
)


def _by_person(
    files: list[Path],
    pattern: re.Pattern[str],
    salt: str,
    allowed: str,
    describe: Callable[[Path, re.Match[str], str], tuple[str, str]],
) -> Rows:
    """Lists images whose file names begin with the person.

    Args:
        describe: label and id of a file, from its match and the hashed person.
    """
    matches = [match for file in files if (match := pattern.fullmatch(file.name))]
    split = split_by_group((match[1].upper() for match in matches), salt)

    def read(file: Path) -> Face:
        match = pattern.fullmatch(file.name)
        if match is None:
            what = f"file name is {printable(file.name)!r}, allowed {allowed}"
            raise BadRow(printable(file), "file name not of this layout", what)
        person = hashed(match[1].upper(), salt)
        label, name = describe(file, match, person)
        picture = partial(open_image, file)
        return Face(picture, label, split[match[1].upper()], name, attributes={"person": person})

    return Rows(files, read)


def _is_ckplus(path: Path) -> bool:
    files = (file for folder in subfolders(path) for file in islice(visible(folder), 5))
    return any(CKPLUS_NAME.fullmatch(file.name) for file in files)


def _ckplus_rows(path: Path, _: Options) -> Rows:
    def describe(file: Path, _: re.Match[str], __: str) -> tuple[str, str]:
        return class_of(file.parent, printable(file)), relative_name(file, path)

    files = [file for folder in subfolders(path) for file in visible(folder)]
    return _by_person(files, CKPLUS_NAME, CKPLUS_SALT, "Sxxx_NAME.png", describe)


def _jaffe_rows(path: Path, _: Options) -> Rows:
    def describe(file: Path, match: re.Match[str], person: str) -> tuple[str, str]:
        # the file name begins with the person's initials
        return NATIVE["jaffe"][match[2].upper()], person + file.name[len(match[1]) :]

    files = [file for file in visible(path) if file.is_file()]
    return _by_person(files, _JAFFE, JAFFE_SALT, "XX.YYn.n.tiff", describe)


LAYOUTS = (
    Layout("ckplus", "folders", "CLASS/Sxxx_*.png", _is_ckplus, _ckplus_rows),
    Layout(
        "jaffe",
        "files",
        "KA.AN1.39.tiff: person, class and number, picture number",
        lambda path: any(_JAFFE.fullmatch(x.name) for x in visible(path)),
        _jaffe_rows,
    ),
)
