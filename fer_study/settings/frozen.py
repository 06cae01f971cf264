"""The base of all configs: frozen, strict, and named by their hash."""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import InputError

SCHEMA_VERSION = 1


class Frozen(BaseModel):
    """Base of all configs: immutable, unknown keys refused, no silent type conversion."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, protected_namespaces=(), allow_inf_nan=False
    )

    added: ClassVar[frozenset[str]] = frozenset()
    """Fields added after schema version 1: out of the key while they hold their default, so old
    records keep their names."""

    unkeyed: ClassVar[frozenset[str]] = frozenset()
    """Fields that are never part of the key."""

    def replace(self, **changes: object) -> Self:
        """A copy with other values, validated as every config is (``model_copy`` checks nothing).

        Raises:
            InputError: an unknown field, or a value that is not allowed.
        """
        return build(type(self), {**dict(self), **changes})

    @property
    def key(self) -> str:
        """What names a config: see ``run_key``."""
        return run_key(self)

    def resolved(self) -> dict:
        """What the key is the hash of: every field, nested, by name."""
        fields = type(self).model_fields
        return {
            name: _resolved(value)
            for name, value in self
            if name not in self.unkeyed
            and not (name in self.added and value == fields[name].default)
        }


def _resolved(value: object) -> object:
    if isinstance(value, Frozen):
        return value.resolved()
    if isinstance(value, tuple):
        return [_resolved(v) for v in value]
    return value


Kind = TypeVar("Kind", bound=Frozen)


def run_key(config: Frozen) -> str:
    """Name a resolved config: the first 16 hexadecimal digits of a SHA-256.

    Of the config, its kind and the schema version.
    """
    content = {"schema": SCHEMA_VERSION, "kind": type(config).__name__, **config.resolved()}
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()[:16]


def parse(kind: type[Kind], content: dict, where: str) -> Kind:
    """Validate ``content`` as ``kind``.

    Raises:
        InputError: one line with ``where``, the key, the value found and what is allowed.
    """
    try:
        return kind.model_validate_json(json.dumps(content))
    except ValidationError as failure:
        raise _refusal(failure, kind, where) from None


def build(kind: type[Kind], parts: dict) -> Kind:
    """``kind(**parts)``, where parts may be configs already.

    Raises:
        InputError: as ``parse``.
    """
    try:
        return kind.model_validate(parts)
    except ValidationError as failure:
        raise _refusal(failure, kind, kind.__name__) from None


def _refusal(failure: ValidationError, kind: type[Frozen], where: str) -> InputError:
    """The first thing that is wrong, in one line."""
    error = failure.errors()[0]
    key = ".".join(str(part) for part in error["loc"]) or "config"
    if error["type"] == "extra_forbidden":
        return InputError(
            f"{where}: unknown key {key!r}; allowed: {', '.join(_place(kind, error['loc']))}"
        )
    if error["type"] == "missing":
        return InputError(f"{where}: {key} is missing")
    return InputError(f"{where}: {key} is {error['input']!r}: {error['msg']}")


def _place(kind: object, loc: tuple[str | int, ...]) -> list[str]:
    """The keys beside the last of ``loc``, down from a type; none where it leads to no config."""
    if isinstance(kind, type) and issubclass(kind, Frozen):
        fields = kind.model_fields
        return list(fields) if len(loc) == 1 else _place(fields[loc[0]].annotation, loc[1:])
    rest = loc[isinstance(loc[0], int) :]
    return [key for part in get_args(kind) for key in _place(part, rest)]
