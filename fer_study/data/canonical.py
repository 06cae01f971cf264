"""The canonical form: a dataset written once, so that every later load takes less than a second.

``images.npy`` (N, C, S, S) uint8, mapped into memory and never loaded whole; ``faces.parquet``, one
row a face; and ``faceset.json``, written last, with the fingerprint, the SHA-256 of the other two,
and where it all came from. They are compared on every load, so that no run is made on pixels or
labels that were changed since.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
import pyarrow as pa

from ..settings.checkout import sha256
from ..settings.errors import InputError
from .faceset import FaceSet
from .fingerprints import fingerprint_of, mark_of
from .readers.collect import collect
from .rows import BadRow, Face, Omitted, Options, printable, wrong_input

FORMAT = 2
SUFFIX = ".faces"
"""A canonical folder is called after its dataset: ``fer2013.faces``."""

_IMAGES, _TABLE, _HEAD = "images.npy", "faces.parquet", "faceset.json"

_CHECKED = ".checked.json"
"""Which state of the large files was hashed already; may be missing, and is written where that is
possible."""

SMALL = 200 * 2**20
"""Bytes of a file up to which it is hashed on every load (0.2 s); a larger one only when it is not
as it was when it was hashed: its size, place on the disk, and times of writing."""


def is_canonical(path: Path) -> bool:
    """Tells whether a folder holds a finished import."""
    return (path / _HEAD).is_file()


def head(path: Path) -> dict[str, Any]:
    """Reads what an import says of itself; ``annotation`` is its FER+ protocol, or None.

    Raises:
        ValueError: the file is no JSON object.
    """
    content = json.loads((path / _HEAD).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{_HEAD} holds no JSON object")
    return content


def write(
    name: str,
    layout: str,
    rows: Collection[Face | BadRow],
    options: Options,
    target: Path,
    accept: Callable[[FaceSet], None],
) -> FaceSet:
    """Writes the canonical form of some rows, image by image; memory does not grow with the pixels.

    Everything goes into a folder beside the target, which takes its name only when all is there: an
    import that breaks off, or is killed, leaves nothing that looks finished.

    Args:
        accept: sees the set before it takes its name; what it raises ends the import.

    Raises:
        InputError: the target cannot be written, or a row is wrong.
    """
    with _open_workplace(target) as folder:
        with (folder / "pixels").open("wb") as pixels:
            parts = collect(name, rows, options, pixels.write, Omitted())
        shape = (len(parts["labels"]), *options.shape)
        images = _put_header(folder / "pixels", folder / _IMAGES, shape)
        faces = FaceSet(images=images, **parts, fingerprint="later")
        accept(faces)
        faces = replace(faces, fingerprint=fingerprint_of(faces, _read_pixels(images)))
        _write_table(faces, folder / _TABLE)
        content = {
            "format": FORMAT,
            "name": name,
            "classes": list(faces.classes),
            "shape": list(shape),
            "fingerprint": faces.fingerprint,
            "layout": layout,
            "annotation": options.annotation if name == "ferplus" else None,
            "targets": faces.targets is not None,
            "votes": faces.votes is not None,
            "dropped": faces.dropped,
            "left_out": faces.left_out,
            "rows": _rows_mark(faces),
            "sha256": {file: sha256(folder / file) for file in (_IMAGES, _TABLE)},
        }
        content["mark"] = _mark_of(content)
        text = json.dumps(content, indent=1) + "\n"
        (folder / _HEAD).write_text(text, encoding="utf-8")
        del images, faces  # Windows renames no folder in which a file is mapped
        folder.rename(target)
    return read(target)


@contextlib.contextmanager
def _open_workplace(target: Path) -> Iterator[Path]:
    """Makes an empty folder beside the target, cleared before and after."""
    folder, lock = (target.with_name(f".{target.name}.{end}") for end in ("part", "lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(lock, timeout=0)
        held.acquire()
    except filelock.Timeout:
        what = "another process is importing to it; wait for it or stop it"
        raise wrong_input(target, what) from None
    except OSError as error:
        raise wrong_input(target, f"cannot be written: {error.strerror}") from None
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
    except OSError as error:
        # a file that cannot be read is a bad row: what fails here is the writing, as on a full disk
        raise wrong_input(target, f"cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # Windows keeps a file that is open
            lock.unlink()
        held.release()


def _put_header(pixels: Path, file: Path, shape: tuple[int, ...]) -> np.memmap:
    """Makes a .npy file of pixels, whose number is known only when the last one is there.

    Copied as a file: written through the map, all pixels would count as memory of this process.
    """
    images = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
    with pixels.open("rb") as source, file.open("r+b") as out:
        out.seek(images.offset)
        shutil.copyfileobj(source, out, 2**24)
    pixels.unlink()
    return images


def _read_pixels(images: np.memmap, size: int = 2**24) -> Iterator[bytes]:
    """Reads the bytes of a mapped array from its file, whose pages would count as memory too."""
    with open(images.filename, "rb") as file:
        file.seek(images.offset)
        while part := file.read(size):
            yield part


def _write_table(faces: FaceSet, file: Path) -> None:
    columns: dict[str, Any] = {"label": faces.labels, "split": faces.split, "id": faces.ids}
    for name in ("votes", "targets"):
        if (values := getattr(faces, name)) is not None:
            columns |= {f"{name}_{i}": values[:, i] for i in range(values.shape[1])}
    columns |= {f"attribute_{name}": column for name, column in faces.attributes.items()}
    pd.DataFrame(columns).to_parquet(file, index=False)


def _rows_mark(faces: FaceSet) -> str:
    """Hashes all that a row says beside its pixels."""
    parts = (faces.labels, faces.split, faces.ids, faces.votes, faces.targets)
    return mark_of(*(part for part in parts if part is not None))


def _mark_of(content: dict[str, Any]) -> str:
    """Hashes all that ``faceset.json`` says beside this hash."""
    rest = {key: value for key, value in content.items() if key != "mark"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read(path: Path, check: bool = False) -> FaceSet:
    """Reads a set in canonical form; its images are mapped, not loaded.

    Args:
        check: hash every byte again, whatever was hashed before.

    Raises:
        InputError: a file is missing, damaged, changed or of another import.
    """
    where = printable(path)
    try:
        about = head(path)
        if about["format"] != FORMAT:
            what = f"canonical form {about['format']}, this version reads {FORMAT}"
            raise wrong_input(where, f"{what}; import it again")
        # only an import from before there were digests has neither
        has_digests = "sha256" in about or "mark" in about
        if has_digests:
            _check_files(path, about, check)
        images = np.load(path / _IMAGES, mmap_mode="r", allow_pickle=False)
        table = pd.read_parquet(path / _TABLE)
        rows = len(table)
        if list(images.shape) != about["shape"] or rows != len(images) or images.dtype != np.uint8:
            found = f"{list(images.shape)} pixels and {rows} rows"
            raise wrong_input(where, f"{found}, expected {about['shape']}; import it again")
        faces = _face_set(about, images, table)
        if _rows_mark(faces) != about["rows"]:
            what = "labels, split or votes are not those that were imported"
            raise wrong_input(where, f"{what}; import it again")
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, pa.ArrowException) as error:
        text = printable(" ".join(str(error).split()))[:160]
        what = f"the canonical form is damaged ({text})"
        raise wrong_input(where, f"{what}; import it again") from None
    same = lambda: fingerprint_of(faces, _read_pixels(images)) == faces.fingerprint  # noqa: E731
    if not has_digests and not (images.flags.c_contiguous and same()):
        what = "its pixels are not those that were imported"
        raise wrong_input(path / _IMAGES, f"{what}; import it again")
    return faces


def _check_files(path: Path, about: dict[str, Any], check: bool) -> None:
    """Refuses an import of which a file is not what was written.

    Args:
        check: hash large files that were hashed before, too.
    """
    again = "is not what was imported (its SHA-256 is another); import the dataset again"
    if about["mark"] != _mark_of(about):
        raise wrong_input(path / _HEAD, again)
    try:
        before = json.loads((path / _CHECKED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    states = {}
    for name in (_IMAGES, _TABLE):
        # asked before it is read: what is written meanwhile is another state
        stat = (path / name).stat()
        digest = about["sha256"][name]
        state = [digest, stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
        known = isinstance(before, dict) and before.get(name) == state
        if (check or not known) and sha256(path / name) != digest:
            raise wrong_input(path / name, again)
        if stat.st_size > SMALL:
            states[name] = state
    if states and states != before:
        with contextlib.suppress(OSError):  # a folder that cannot be written is hashed each time
            (path / _CHECKED).write_text(json.dumps(states), encoding="utf-8")


def _face_set(about: dict[str, Any], images: np.ndarray, table: pd.DataFrame) -> FaceSet:
    def block(name: str, kind: type) -> np.ndarray | None:
        columns = [c for c in table.columns if c.startswith(f"{name}_")] if about[name] else []
        return table[columns].to_numpy(kind) if columns else None

    names = [c for c in table.columns if c.startswith("attribute_")]
    attributes = {c.removeprefix("attribute_"): table[c] for c in names}
    frame = pd.DataFrame(attributes, dtype=object)
    return FaceSet(
        name=about["name"],
        images=images,
        labels=table["label"].to_numpy(np.int64),
        split=table["split"].to_numpy(str),
        ids=table["id"].to_numpy(str),
        votes=block("votes", np.uint8),
        targets=block("targets", np.float32),
        attributes=frame.where(frame.notna(), None),
        classes=tuple(about["classes"]),
        dropped=about["dropped"],
        left_out=about["left_out"],
        fingerprint=about["fingerprint"],
    )
