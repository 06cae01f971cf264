"""Answers on their way from the kernel of a submission to the process that marks them: as text that
holds numbers or words and can be read without running anything."""

from __future__ import annotations

import base64
import io
import json

import numpy as np

from .marking import Question, Sheet

LARGEST = 10_000_000
"""Characters of an answer that are read."""


class Unreadable:
    """An answer that cannot be sent as numbers or words; no question takes it."""


def encode(answer: object) -> str:
    """Write an answer as JSON: nothing, words, or an array in NumPy's own format.

    Raises:
        ValueError: it is none of them.
    """
    if answer is None:
        return "null"
    if isinstance(answer, set | frozenset):
        if not all(isinstance(word, str) for word in answer):
            raise ValueError("a set of words is expected")
        return json.dumps({"words": sorted(answer)})
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(answer), allow_pickle=False)
    return json.dumps({"array": base64.b64encode(buffer.getvalue()).decode()})


def decode(text: str) -> object:
    """Read what ``encode`` wrote; ``Unreadable`` where something else did."""
    try:
        if len(text) > LARGEST:
            return Unreadable()
        sent = json.loads(text)
        if sent is None:
            return None
        if "words" in sent:
            return frozenset(map(str, sent["words"]))
        return np.load(io.BytesIO(base64.b64decode(sent["array"])), allow_pickle=False)
    except Exception:  # the text may be anything, since a submission sent it
        return Unreadable()


def encode_key(sheet: Sheet, name: str, *data: object) -> str:
    """Write what the answer to a question is compared with, and what it is worth, as JSON."""
    question = sheet._questions[name]
    expected = encode(question.expected(*data))
    return json.dumps(
        {"expected": expected, "points": question.points, "tolerance": question.tolerance}
    )


def decode_key(text: str) -> Question:
    """Read what ``encode_key`` wrote."""
    sent = json.loads(text)
    expected = decode(sent["expected"])
    return Question(sent["points"], lambda: expected, sent["tolerance"])
