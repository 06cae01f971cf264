"""Marks the answers of a lab: points for what is right, hints for what is not, and never the right
answer itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

Expected = np.ndarray | frozenset


class Question(NamedTuple):
    """What an answer is compared with.

    Attributes:
        expected: gives the right answer, from the data that the check hands over: a bool array
            (every entry must be equal), a float array (a number: 0 dimensions) or a set of words.
        tolerance: largest absolute difference of a number that still counts as right.
        hints: said one after the other, a wrong answer each.
        because: why the right answer matters, said beside its points.
    """

    points: int
    expected: Callable[..., Expected]
    tolerance: float = 0.0
    hints: tuple[str, ...] = ()
    because: str = ""


class Mark(int):
    """Points as the value of a cell, which a notebook shows as a sentence and nbgrader reads as a
    number."""

    def __new__(cls, points: int, text: str) -> Mark:
        mark = super().__new__(cls, points)
        mark.text = text
        return mark

    def _repr_markdown_(self) -> str:
        return self.text


class Sheet:
    """The marks of one student: every question counts once, with its latest answer."""

    def __init__(self, questions: Mapping[str, Question]) -> None:
        self._questions, self.marks = dict(questions), dict.fromkeys(questions, 0)
        self._earned = dict.fromkeys(questions, 0)

    @classmethod
    def of(cls, lab: str) -> Sheet:
        """Open the sheet of a lab, such as ``02_comparison``; its notebook then needs no name that
        leads to the answers."""
        module = lab.partition("_")[2]
        return cls(importlib.import_module(f".{module}", __package__).QUESTIONS)

    @property
    def points(self) -> int:
        return sum(self.marks.values())

    @property
    def worth(self) -> dict[str, int]:
        return {name: question.points for name, question in self._questions.items()}

    @property
    def full(self) -> int:
        return sum(self.worth.values())

    def check(self, name: str, answer: object, *data: object) -> Mark:
        """Mark an answer; a blank or a nonsensical one gets no point and never fails.

        Args:
            name: of the question.
            data: what the question is about; the right answer is computed from it.
        """
        question = self._questions[name]
        expected = question.expected(*data)
        problem = fault(answer, expected, question.tolerance)
        self.marks[name] = 0 if problem else question.points
        comment = f": {problem}" if problem else f". {question.because}" if question.because else ""
        if problem and answer is not None:
            comment += self._next_hint(name)
        points = self.marks[name]
        return Mark(points, f"**Question {name}: {points} of {question.points} points**{comment}")

    def _next_hint(self, name: str) -> str:
        """Earn one hint more; all that were earned, for a cell that is run again forgets what it
        said."""
        hints = self._questions[name].hints
        self._earned[name] = min(self._earned[name] + 1, len(hints))
        earned = hints[: self._earned[name]]
        return "".join(f"\n- *Hint {i}:* {hint}" for i, hint in enumerate(earned, 1))

    def summary(self) -> Mark:
        """Give all points."""
        return Mark(self.points, f"**{self.points} of {self.full} points**")


def fault(answer: object, expected: Expected, tolerance: float) -> str | None:
    """What is wrong with an answer, without giving the right one away; None for a right one."""
    if answer is None:
        return "nothing filled in yet"
    try:
        return (
            _fault_of_words(answer, expected)
            if isinstance(expected, frozenset)
            else _fault(answer, expected, tolerance)
        )
    except Exception as error:  # an answer can be any object, and fail in any way when it is read
        return f"this answer cannot be read ({type(error).__name__})"


def _fault_of_words(answer: object, expected: frozenset) -> str | None:
    if not isinstance(answer, set | frozenset):
        return f"a set is expected, not {type(answer).__name__}"
    return None if frozenset(answer) == expected else "not right yet"


def _fault(answer: object, expected: np.ndarray, tolerance: float) -> str | None:
    given = np.asarray(answer)
    if given.shape != expected.shape:
        return f"the shape is {given.shape}, expected {expected.shape}"
    kinds, wanted = ("b", "True or False (bool)") if expected.dtype == bool else ("iuf", "numbers")
    if given.dtype.kind not in kinds:
        return f"the values are {given.dtype}, expected {wanted}"
    if expected.dtype == bool:
        return None if np.array_equal(given, expected) else "not right yet"
    if not np.isfinite(given).all():
        return "a value is not finite"
    right = np.abs(given - expected) <= tolerance + 1e-9
    return None if right.all() else f"not right yet (tolerance {tolerance:g})"
