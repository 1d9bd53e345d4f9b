"""From a struct or dataclass to its JSON Schema, with every object closed and every field described by the text that stands below it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from typing import Any, get_args, get_type_hints

import msgspec


def described(kind: type) -> dict[str, Any]:
    """Return the schema of what msgspec writes of a value: all fields, and no others.

    msgspec's own schema (`msgspec.json.schema`) is that of what may be read: it leaves objects open, and fields with defaults out.
    """
    schema: dict[str, Any] = msgspec.json.schema(kind, schema_hook=_anything)
    kinds = {found.__name__: found for found in _structs(kind, {})}
    for name, definition in schema["$defs"].items():
        texts = _field_texts(kinds[name])
        definition["required"] = list(definition["properties"])
        definition["additionalProperties"] = False
        for field, found in definition["properties"].items():
            found.pop("default", None)
            if field in texts:
                found["description"] = texts[field]
        if "schema" in definition["properties"]:
            definition["properties"]["schema"] = {"const": _default(kinds[name], "schema"), "description": "Format and version of this document."}
    return schema


def _anything(kind: type) -> dict[str, Any]:
    """Return the schema of a value of any type, as fields of a workload are."""
    if kind is not object:
        raise TypeError(f"{kind} is no type that JSON has")
    return {"description": "Of any type."}


def _structs(kind: Any, seen: dict[Any, None]) -> dict[Any, None]:
    """Return a struct or dataclass and all that its fields hold."""
    if isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind)) and kind not in seen:
        seen[kind] = None
        for hint in get_type_hints(kind).values():
            _structs(hint, seen)
    for part in get_args(kind):
        _structs(part, seen)
    return seen


def _default(kind: Any, name: str) -> Any:
    fields = msgspec.structs.fields(kind) if issubclass(kind, msgspec.Struct) else dataclasses.fields(kind)
    return next(field.default for field in fields if field.name == name)


def _field_texts(kind: type) -> dict[str, str]:
    """Return what stands below each field in the source, on one line; a text below several fields in a row is of the last."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    texts: dict[str, str] = {}
    for field, below in zip(definition.body, definition.body[1:]):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
    return texts
