"""Every document that a command writes as JSON, but for estimate and validation, whose schemas lie beside their values."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vramcast.schemas.describe import described

FOLDER = Path(__file__).parent
_VALUES = {
    "advice-1": ("vramcast.advice.answer", "Advice"),
    "backends-1": ("vramcast.study.backends", "BackendComparison"),
    "compare-1": ("vramcast.study.compare", "ModelComparison"),
    "diff-1": ("vramcast.comparison.compare", "Comparison"),
    "fit-1": ("vramcast.solvers.limits", "Fit"),
    "gpus-1": ("vramcast.solvers.cards", "CardVerdicts"),
    "sensitivity-1": ("vramcast.study.response", "Sensitivity"),
    "study-1": ("vramcast.study.models.findings", "Study"),
}


def names() -> tuple[str, ...]:
    """Return the names of all documents: `fit-1` is that of `vramcast fit`, version 1."""
    return (*sorted([*_VALUES, "sweep-1"]),)


def path_of(name: str) -> Path:
    """Return the file of a schema."""
    return FOLDER / f"{name}.schema.json"


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a document, made from the value it is written from."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:vramcast:{name}",
        "title": f"vramcast {name.rpartition('-')[0].replace('advice', 'advise')}, version {name.rpartition('-')[2]}",
        **_BODIES.get(name, _plain)(name),
    }  # fmt: skip


def _plain(name: str) -> dict[str, Any]:
    module, kind = _VALUES[name]
    return described(getattr(importlib.import_module(module), kind))


def _one_or_several(name: str) -> dict[str, Any]:
    """`sensitivity` writes a list where options name several working points."""
    body = _plain(name)
    definitions = body.pop("$defs")
    return {"anyOf": [body, {"type": "array", "items": body, "minItems": 1}], "$defs": definitions}


def _points(_name: str) -> dict[str, Any]:
    """`sweep` writes a list of points, each with its axes beside the figures."""
    from vramcast.solvers.sweep.record import Record
    from vramcast.solvers.sweep.tables import FIGURES

    body = described(Record)
    point = body["$defs"]["Record"]
    written = [*FIGURES, "components"]
    point["properties"] = {name: point["properties"][name] for name in written}
    point["required"] = written
    point["additionalProperties"] = {"description": "The value of an axis, under the name of the option: batch, image, gpu, precision …"}
    return {"type": "array", "items": {"$ref": "#/$defs/Record"}, "$defs": body["$defs"]}


_BODIES: dict[str, Callable[[str], dict[str, Any]]] = {"sensitivity-1": _one_or_several, "sweep-1": _points}
