"""The canonical form: a dataset written once, so that every later load takes less than a second.

``images.npy`` (N, C, S, S) uint8, mapped into memory and never loaded whole; ``faces.parquet``, one row a face; and
``faceset.json``, written last, with the fingerprint, the SHA-256 of the other two, and where it all came from. They are
compared on every load, so that no run is made on pixels or labels that were changed since.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np
import pandas as pd
import pyarrow as pa

from ..settings.errors import InputError
from .faceset import FaceSet, fingerprint_of
from .fingerprints import mark_of
from .readers.collect import collect
from .rows import Left, Options, Row, printable

FORMAT = 2
SUFFIX = ".faces"
"""A canonical folder is called after its dataset: ``fer2013.faces``."""

_FILES = ("images.npy", "faces.parquet", "faceset.json")

_CHECKED = ".checked.json"
"""Which state of the large files was hashed already; may be missing, and is written where that is possible."""

SMALL = 200 * 2**20
"""Bytes of a file up to which it is hashed on every load (0.2 s); a larger one only when it is not as it was when it was
hashed: its size, place on the disk, and times of writing."""


def is_canonical(path: Path) -> bool:
    """Whether a folder holds a finished import."""
    return (path / _FILES[2]).is_file()


def head(path: Path) -> dict[str, Any]:
    """What an import says of itself; ``annotation`` is the protocol by which FER+ votes became its labels, None for other
    datasets.

    Raises:
        ValueError: the file is no JSON object.
    """
    content = json.loads((path / _FILES[2]).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{_FILES[2]} holds no JSON object")
    return content


def write(name: str, layout: str, rows: list[Row], options: Options, target: Path,
          accept: Callable[[FaceSet], None]) -> FaceSet:  # fmt: skip
    """Writes the canonical form of some rows, image by image; memory does not grow with the pixels.

    Everything goes into a folder beside the target, which takes its name only when all is there: an import that breaks off
    leaves nothing that looks finished.

    Args:
        accept: sees the set before it takes its name; what it raises ends the import.

    Raises:
        InputError: the target cannot be written, or a row is wrong.
    """
    with _workplace(target) as temporary, _ends_by_exception():
        parts = _write_images(temporary / _FILES[0], name, rows, options)
        images = np.load(temporary / _FILES[0], mmap_mode="r")
        faces = FaceSet(images=images, **parts, fingerprint="later")
        accept(faces)
        faces = replace(faces, fingerprint=fingerprint_of(faces, _pixels(images)))
        _write_table(faces, temporary)
        head = {
            "format": FORMAT, "name": name, "classes": list(faces.classes), "shape": list(faces.images.shape),
            "fingerprint": faces.fingerprint, "layout": layout,
            "annotation": options.annotation if name == "ferplus" else None,
            "targets": faces.targets is not None, "votes": faces.votes is not None,
            "dropped": faces.dropped, "left_out": faces.left_out, "rows": _rows_mark(faces),
            "sha256": {name: _sha256(temporary / name) for name in _FILES[:2]},
        }  # fmt: skip
        head["mark"] = _mark_of(head)
        (temporary / _FILES[2]).write_text(json.dumps(head, indent=1) + "\n", encoding="utf-8")
        temporary.rename(target)
    return read(target)


@contextlib.contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """An empty folder beside the target, of this process alone; it is gone afterwards, and so is what a killed import left.

    Raises:
        InputError: another process imports to this target, or nothing can be written there.
    """
    temporary, lock = (target.with_name(f".{target.name}.{end}") for end in ("part", "lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(lock, timeout=0)
        held.acquire()
    except filelock.Timeout:
        raise InputError(f"{printable(target)}: another process is importing to it; wait for it or stop it") from None
    except OSError as error:
        raise InputError(f"{printable(target)}: cannot be written: {error.strerror}") from None
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        yield temporary
    except OSError as error:  # a file that cannot be read is a bad row: what fails here is the writing, as on a full disk
        raise InputError(f"{printable(target)}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):  # Windows keeps a file that is open
            lock.unlink()
        held.release()


@contextlib.contextmanager
def _ends_by_exception() -> Iterator[None]:
    """SIGTERM raises ``SystemExit`` here, so that what was begun is cleared away."""
    if threading.current_thread() is not threading.main_thread():  # no other may ask for signals
        yield
        return

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _rows_mark(faces: FaceSet) -> str:
    """A hash of all that a row says beside its pixels."""
    parts = (faces.labels, faces.split, faces.ids, faces.votes, faces.targets)
    return mark_of(*(part for part in parts if part is not None))


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _mark_of(head: dict[str, Any]) -> str:
    """A hash of all that ``faceset.json`` says beside this hash."""
    text = json.dumps({key: value for key, value in head.items() if key != "mark"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_files(path: Path, head: dict[str, Any], check: bool) -> None:
    """Refuses an import of which a file is not what was written.

    Args:
        check: hash large files that were hashed before, too.

    Raises:
        InputError: names the file.
    """
    again = "is not what was imported (its SHA-256 is another); import the dataset again"
    if head["mark"] != _mark_of(head):
        raise InputError(f"{printable(path / _FILES[2])}: {again}")
    try:
        before = json.loads((path / _CHECKED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    states = {}
    for name in _FILES[:2]:
        about = (path / name).stat()  # before it is read: what is written meanwhile is another state
        state = [head["sha256"][name], about.st_size, about.st_ino, about.st_mtime_ns, about.st_ctime_ns]
        known = isinstance(before, dict) and before.get(name) == state
        if (check or not known) and _sha256(path / name) != state[0]:
            raise InputError(f"{printable(path / name)}: {again}")
        if about.st_size > SMALL:
            states[name] = state
    if states and states != before:
        with contextlib.suppress(OSError):  # a folder that cannot be written is hashed each time
            (path / _CHECKED).write_text(json.dumps(states), encoding="utf-8")


def _write_images(file: Path, name: str, rows: list[Row], options: Options) -> dict[str, Any]:
    """The pixels of all rows behind a header that is written again, at the same length, when their number is known."""
    shape = (3 if options.colour else 1, options.size, options.size)
    with file.open("wb") as out:
        _header(out, (0, *shape))
        parts = collect(name, rows, options, lambda image: out.write(np.ascontiguousarray(image).data), Left())
        start = out.tell()
        out.seek(0)
        _header(out, (len(parts["labels"]), *shape))
        assert out.tell() <= start
    return parts


def _header(out: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _pixels(images: np.memmap, size: int = 2**24) -> Iterator[bytes]:
    """The bytes of a mapped array, read from its file: pages of the map would count as memory of this process."""
    with open(images.filename, "rb") as file:
        file.seek(images.offset)
        while part := file.read(size):
            yield part


def _write_table(faces: FaceSet, folder: Path) -> None:
    columns: dict[str, Any] = {"label": faces.labels, "split": faces.split, "id": faces.ids}
    for name in ("votes", "targets"):
        if (values := getattr(faces, name)) is not None:
            columns |= {f"{name}_{i}": values[:, i] for i in range(values.shape[1])}
    columns |= {f"attribute_{name}": faces.attributes[name] for name in faces.attributes.columns}
    pd.DataFrame(columns).to_parquet(folder / _FILES[1], index=False)


def read(path: Path, check: bool = False) -> FaceSet:
    """A set in canonical form; its images are mapped, not loaded.

    Args:
        check: hash every byte again, whatever was hashed before.

    Raises:
        InputError: a file is missing, damaged, changed or of another import.
    """
    where = printable(path)
    try:
        about = head(path)
        if about["format"] != FORMAT:
            raise InputError(f"{where}: canonical form {about['format']}, this version reads {FORMAT}; import it again")
        if hashed := bool({"sha256", "mark"} & {*about}):
            _check_files(path, about, check)
        images = np.load(path / _FILES[0], mmap_mode="r", allow_pickle=False)
        table = pd.read_parquet(path / _FILES[1])
        if list(images.shape) != about["shape"] or len(table) != len(images) or images.dtype != np.uint8:
            found = f"{list(images.shape)} pixels and {len(table)} rows"
            raise InputError(f"{where}: {found}, expected {about['shape']}; import it again")
        faces = _face_set(about, images, table)
        if _rows_mark(faces) != about["rows"]:
            raise InputError(f"{where}: labels, split or votes are not those that were imported; import it again")
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError, pa.ArrowException) as error:
        text = printable(" ".join(str(error).split()))[:160]
        raise InputError(f"{where}: the canonical form is damaged ({text}); import it again") from None
    as_imported = hashed or (images.flags.c_contiguous and fingerprint_of(faces, _pixels(images)) == faces.fingerprint)
    if not as_imported:  # an import from before there were digests
        raise InputError(f"{printable(path / _FILES[0])}: its pixels are not those that were imported; import it again")
    return faces


def _face_set(head: dict[str, Any], images: np.ndarray, table: pd.DataFrame) -> FaceSet:
    def block(name: str, kind: type) -> np.ndarray | None:
        columns = [c for c in table.columns if c.startswith(f"{name}_")] if head[name] else []
        return table[columns].to_numpy(kind) if columns else None

    attributes = {c.removeprefix("attribute_"): table[c] for c in table.columns if c.startswith("attribute_")}
    frame = pd.DataFrame(attributes, dtype=object)
    return FaceSet(
        name=head["name"], images=images, labels=table["label"].to_numpy(np.int64), split=table["split"].to_numpy(str),
        ids=table["id"].to_numpy(str), votes=block("votes", np.uint8), targets=block("targets", np.float32),
        attributes=frame.where(frame.notna(), None), classes=tuple(head["classes"]), dropped=head["dropped"],
        left_out=head["left_out"], fingerprint=head["fingerprint"],
    )  # fmt: skip
