"""Rows of a dataset, each a face or what is wrong with it; and the options of reading them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from ..settings.errors import InputError
from ..settings.experiment import check_class_names
from .labels import class_names

ANNOTATIONS = ("majority", "probability", "crossentropy", "multi_target")

TWO_LABELS = "twice, with two labels"
"""Reason of a second row of an image that says something else than the first: never skipped, for
either may be right."""


class BadRow(InputError):
    """Says what is wrong with one row or file.

    Attributes:
        reason: a few words that group such errors when they are skipped and counted.
        line: the message without its advice.
        advice: what to do, where that is the same for many rows.
    """

    def __init__(self, where: str, reason: str, what: str, advice: str = "") -> None:
        self.reason, self.line, self.advice = reason, f"{where}: {what}", advice
        super().__init__(f"{self.line}; {advice}" if advice else self.line)


@dataclass(frozen=True)
class Options:
    """Says how a dataset is read.

    Attributes:
        size: side of the images; other sizes are padded to a square and resized.
        classes: 7 (``labels.FER2013``) or 8 (with contempt), others are dropped and counted; or
            names of one's own, of class folders that are called so.
        colour: three channels instead of gray.
        annotation: how FER+ votes become a label (``ferplus.distribution``).
        skip_bad: leave out rows that are wrong, and count them, instead of stopping at the first.
    """

    size: int = 48
    classes: int | tuple[str, ...] = 7
    colour: bool = False
    annotation: str = "majority"
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 1024:
            raise InputError(f"size is {self.size}, allowed: 16..1024")
        if not isinstance(self.classes, int):
            try:
                check_class_names(self.classes)
            except ValueError as error:
                raise InputError(str(error)) from None
        elif self.classes not in (7, 8):
            raise InputError(
                f"classes is {self.classes}, allowed: 7, 8 (with contempt), names of your own"
            )
        if self.annotation not in ANNOTATIONS:
            allowed = ", ".join(ANNOTATIONS)
            raise InputError(f"annotation is {self.annotation!r}, allowed: {allowed}")

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        return class_names(self.classes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Gives (C, S, S) of an image."""
        return (3 if self.colour else 1, self.size, self.size)


class Face(NamedTuple):
    """Holds what a row says.

    Attributes:
        picture: opens the picture; raises ``BadRow`` where it cannot.
        label: canonical class name; one that the set does not have is dropped.
        split: ``train``, ``validation`` or ``test``.
        id: unique in the set.
        votes: (10,) over ``labels.VOTE_NAMES``, or None.
        target: (K,) distribution over the classes that the dataset defines, or None.
        attributes: ``person`` and the like.
    """

    picture: Callable[[], Image.Image] | None
    label: str
    split: str
    id: str
    votes: Sequence[int] | None = None
    target: Sequence[float] | None = None
    attributes: dict[str, Any] = {}  # noqa: RUF012


class Rows:
    """Reads the records of a dataset one after the other, as a ``Face`` or a ``BadRow`` each.

    Args:
        records: what is known of each row; a ``BadRow`` where it was found wrong already.
        read: makes a face of a record; raises ``BadRow`` where it is wrong.
    """

    def __init__(self, records: Collection[Any], read: Callable[[Any], Face]) -> None:
        self.records, self.read = records, read

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Face | BadRow]:
        for record in self.records:
            try:
                row = self.read(good(record))
            except BadRow as error:
                row = error
            yield row


def good(row: Any) -> Any:
    """Gives a row back, or raises the ``BadRow`` that it is."""
    if isinstance(row, BadRow):
        raise row
    return row


@dataclass
class Omitted:
    """Counts what a set does without, with the first lines of each kind.

    Rows by reason, and images of classes that it does not have. An advice stands only in the first
    line that has it.
    """

    rows: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    lines: list[tuple[str, str]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    advised: set[str] = field(default_factory=set)

    def add(self, error: BadRow, most: int = 5) -> None:
        """Counts a wrong row; keeps its line where it is one of the first of its kind."""
        kind = error.reason.split(":")[0]
        self.rows[error.reason] += 1
        self.kinds[kind] += 1
        if self.kinds[kind] <= most:
            line = error.line if error.advice in self.advised else str(error)
            self.lines.append((error.reason, line))
            self.advised.add(error.advice)


def pluralise(number: int, noun: str) -> str:
    """Puts a number before a noun: ``1 row``, ``2 rows``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def printable(path: str | Path) -> str:
    """Writes a path as one line of text, whatever bytes are in it."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def wrong_input(path: str | Path, what: str) -> InputError:
    """Makes the error that names a file, or a place in it, and what is wrong there."""
    return InputError(f"{printable(path)}: {what}")
