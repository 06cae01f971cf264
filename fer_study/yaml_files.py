"""YAML as people mean it: ``1e-3`` is a number, and an error names the file."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from .errors import InputError


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads ``1e-3`` as a number (YAML 1.2)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)


def value_of(text: str, where: str) -> object:
    """The value that a text stands for.

    Raises:
        InputError: the text is no YAML.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not readable as YAML: {' '.join(str(error).split())}") from None


def read_yaml(path: Path) -> dict:
    """A YAML mapping.

    Raises:
        InputError: the file is missing, no YAML, or no mapping.
    """
    try:
        content = value_of(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content
