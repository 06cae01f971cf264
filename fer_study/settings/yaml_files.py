"""Read YAML as people mean it, by the plain words of YAML 1.2.

``1e-3`` is a number, ``off`` is text, and an error names the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import yaml

from .errors import InputError

PLAIN = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+)",
}
"""Type -> the words that are read as one; all others are text."""

SEVERAL_MEANINGS = "|".join(
    (
        r"[-+]?0[0-9_]+",
        r"[-+]?[0-9_]*[0-9]_[0-9_]*",
        r"[-+]?0[bo][0-9_]+",
        r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?",
    )
)
"""What versions of YAML read as different numbers, or as text: ``010`` (8 or 10), ``1_0``,
``0o10``, ``1:30`` (90)."""

DEEPEST = 20
"""So many lists and mappings may lie in each other; ours need five."""


class _Loader(yaml.SafeLoader):
    """Refuses what hides a value from a reader: aliases, tags, keys that are there twice."""

    yaml_implicit_resolvers: ClassVar[dict] = {}
    depth = 0

    def refuse(self, what: str, mark: yaml.Mark) -> None:
        raise yaml.MarkedYAMLError(problem=what, problem_mark=mark)

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            self.refuse(
                f"*{event.anchor} stands for something else; write it out", event.start_mark
            )
        if getattr(event, "tag", None):
            self.refuse(f"the tag {event.tag} is not allowed; remove it", event.start_mark)
        self.depth += 1
        if self.depth > DEEPEST:
            self.refuse(f"more than {DEEPEST} lists and mappings in each other", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        for place, (key, _) in enumerate(node.value):
            if key.value in keys[:place]:
                self.refuse(f"{key.value} is there twice; keep one of them", key.start_mark)
        return super().construct_mapping(node, deep)

    def construct_unclear(self, node: yaml.ScalarNode) -> None:
        what = f"{node.value} means one number here and another, or text, there"
        self.refuse(f"{what}; write a plain number, or text in quotes", node.start_mark)


for _kind, _words in PLAIN.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"({_words})\Z"), None)
_Loader.add_implicit_resolver("!unclear", re.compile(rf"({SEVERAL_MEANINGS})\Z"), None)
_Loader.add_constructor("!unclear", _Loader.construct_unclear)


def value_of(text: str, where: str) -> object:
    """The value that a text stands for.

    Raises:
        InputError: the text is no YAML, or means several things.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:  # a number can have too many digits for Python
        said = " ".join(str(error).split()).replace('in "<unicode string>", ', "in ")
        raise InputError(f"{where}: not readable as YAML: {said}") from None


def read_yaml(path: Path) -> dict:
    """A YAML mapping; an empty file is one without keys.

    Raises:
        InputError: the file is missing or cannot be read, no YAML, or no mapping.
    """
    try:
        content = value_of(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is no UTF-8; save the file as UTF-8"
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content
