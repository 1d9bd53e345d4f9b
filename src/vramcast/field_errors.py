"""What is wrong with plain data that should become a struct, in words: the field, what was given, and what is legal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from vramcast.errors import UnknownNameError, UsageError, WorkloadError

_PLACE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
"""The messages of msgspec (0.18 to 0.21, `src/msgspec/_core.c`)."""
_STEP = re.compile(r"[^.\[\]]+")
_WORDS: dict[type, str] = {
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.StrType: "a text",
    inspect.NoneType: "",
}


def refusal(error: msgspec.ValidationError, given: Any, struct: type[msgspec.Struct]) -> UsageError:
    """Return the error to raise where `given` could not be converted to `struct`: an `UnknownNameError` or a `WorkloadError`."""
    message = str(error)
    place = _PLACE.search(message)
    path = place["path"] if place else ""
    value, kind = _reach(path, given, inspect.type_info(struct))
    if unknown := _UNKNOWN.match(message):
        return UnknownNameError(f"field of {path}", unknown["name"], _fields(kind))
    if missing := _MISSING.match(message):
        return WorkloadError(f"{path} has no {missing['name']}, which must be given.")
    return WorkloadError(f"{path} is {value!r}; it must be {legal(kind)}.")


def legal(kind: inspect.Type) -> str:
    """Return what a field of this type may hold: `a whole number`, `one of start, after-step`."""
    if isinstance(kind, inspect.UnionType):
        return " or ".join(filter(None, map(legal, kind.types)))
    if isinstance(kind, inspect.LiteralType):
        return f"one of {', '.join(map(str, kind.values))}"
    if isinstance(kind, inspect.VarTupleType):
        return f"a list, each item {legal(kind.item_type)}"
    if isinstance(kind, inspect.TupleType):
        return f"a list [{', '.join(map(legal, kind.item_types))}]"
    if isinstance(kind, inspect.StructType):
        return f"a table with the fields {', '.join(_fields(kind))}"
    return _WORDS[type(kind)]


def _reach(path: str, value: Any, kind: inspect.Type) -> tuple[Any, inspect.Type]:
    """Follow a path such as `inputs[0].shape` through the data and its types."""
    for step in _STEP.findall(path):
        kind = next((part for part in kind.types if not isinstance(part, inspect.NoneType)), kind) if isinstance(kind, inspect.UnionType) else kind
        if isinstance(kind, inspect.StructType):
            kind = next(field.type for field in kind.fields if field.name == step)
        elif isinstance(kind, inspect.VarTupleType):
            kind = kind.item_type
        elif isinstance(kind, inspect.TupleType):
            kind = kind.item_types[int(step)]
        value = value[step] if isinstance(value, Mapping) else value[int(step)]
    return value, kind


def _fields(kind: inspect.Type) -> list[str]:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return [field.name for part in kinds if isinstance(part, inspect.StructType) for field in part.fields]
