"""The files of a record: written as a whole, and read only as they were written.

``done`` comes last. It lists the SHA-256 of every part, and a part that differs from it is damaged,
whatever damaged it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from pathlib import Path

from ..settings.checkout import sha256
from ..settings.errors import InputError

DONE = "done"
NEXT = ".next"
"""Ending of a part that waits for ``done`` to name it; then it takes the place of the old one."""


class Damaged(InputError):
    """A record is not as it was written."""


def damaged(path: Path, what: str) -> Damaged:
    """What is wrong with a file of a record, and how to go on."""
    remedy = "remove its folder, or bring it back, or make it again (`fer-study train`)"
    return Damaged(f"{path}: {what}; this record is not used: {remedy}")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of one.

    Also after a power cut.

    Raises:
        OSError: the disk is full, or does not let itself be written.
    """
    # two writers never share one
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder last through a power cut; Windows has and needs no such call."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_temporary(folder: Path) -> None:
    """Remove what a killed writer left in a folder that this process holds alone."""
    for path in folder.glob(".*.tmp"):
        path.unlink()


def write_parts(
    folder: Path, parts: dict[str, str | bytes], others: dict[str, str] | None = None
) -> None:
    """Write a record, or replace it: killed at any moment, it is the old record or the new one.

    New parts lie beside the old ones until ``done`` names them, and readers take the one that
    ``done`` names.

    Args:
        parts: name -> content.
        others: name -> SHA-256 of files that are there already (weights) and belong to the record,
            too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    finish_replacing(folder)
    digests = dict(others or {})
    for name, content in parts.items():
        content = content.encode() if isinstance(content, str) else content
        write_atomically(folder / f"{name}{NEXT}", content)
        digests[name] = hashlib.sha256(content).hexdigest()
    write_atomically(folder / DONE, json.dumps(digests, indent=1, sort_keys=True) + "\n")
    finish_replacing(folder)


def finish_replacing(folder: Path) -> None:
    """Give new parts that ``done`` names their place.

    Remove those that it does not name, which nobody finished.
    """
    try:
        digests = listed(folder)
    except InputError:
        digests = {}
    for path in folder.glob(f"*{NEXT}"):
        name = path.name.removesuffix(NEXT)
        if sha256(path) == digests.get(name):
            os.replace(path, folder / name)
        else:
            path.unlink()
    sync_folder(folder)


def listed(folder: Path) -> dict[str, str]:
    """Part -> SHA-256, as ``done`` lists them.

    Raises:
        Damaged: it is empty or not as it was written.
    """
    try:
        content = json.loads((folder / DONE).read_bytes())
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict) or not content or not all(map(_is_digest, content.items())):
        raise damaged(folder / DONE, "does not list the SHA-256 of each part of the record")
    return content


def _is_digest(item: tuple[str, object]) -> bool:
    name, digest = item
    return (
        Path(name).name == name
        and isinstance(digest, str)
        and bool(re.fullmatch("[0-9a-f]{64}", digest))
    )


def read_part(folder: Path, name: str) -> bytes:
    """The content of a part, which is what was written.

    Raises:
        Damaged: it is missing or altered, or cannot be read.
    """
    before = None
    while before != (expected := listed(folder).get(name)):  # again where it was replaced meanwhile
        before = expected
        for path in (folder / name, folder / f"{name}{NEXT}"):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise damaged(path, f"cannot be read: {error.strerror}") from None
            if hashlib.sha256(content).hexdigest() == expected:
                return content
    raise damaged(
        folder / name, "altered since it was written" if (folder / name).is_file() else "missing"
    )


def check_part(folder: Path, name: str) -> None:
    """Check a large part, such as weights, without keeping it.

    Raises:
        Damaged: it is missing or altered.
    """
    path = folder / name
    if not path.is_file() or sha256(path) != listed(folder).get(name):
        raise damaged(path, "altered since it was written" if path.is_file() else "missing")
