"""The JSON report: exact sums, a round trip, and the schema it promises to follow."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hand_made_estimates import ESTIMATES, HandMadeForecast, fitting

import vramcast.reports
from vramcast import footprint
from vramcast.footprint import Estimate
from vramcast.reports.json import JsonReport, encode
from vramcast.reports.palette import SWATCHES
from vramcast.workload import OPTIMIZERS, PRECISIONS, Habits, InputSpec, Validation, Workload

SCHEMA: dict[str, Any] = json.loads(Path(vramcast.reports.__file__).with_name("estimate-1.schema.json").read_text(encoding="utf-8"))
STRUCTS = [kind for kind in vars(footprint).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]


@pytest.mark.parametrize("name", ESTIMATES)
def test_output_follows_the_schema(name: str) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(encode(ESTIMATES[name]())))


def test_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", ["", "model", "gpu", "peak", "components", "workload", "phases/0", "ladder/0", "modules/0", "operators/0"])
def test_schema_refuses_unknown_fields(path: str) -> None:
    document = json.loads(encode(fitting()))
    place = document
    for step in filter(None, path.split("/")):
        place = place[int(step) if step.isdigit() else step]
    place["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        jsonschema.Draft202012Validator(SCHEMA).validate(document)


@pytest.mark.parametrize("field", Estimate.__struct_fields__)
def test_schema_misses_absent_fields(field: str) -> None:
    document = json.loads(encode(fitting()))
    del document[field]
    with pytest.raises(jsonschema.ValidationError, match=field):
        jsonschema.Draft202012Validator(SCHEMA).validate(document)


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every object schema, at any depth."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict) and node.get("type") == "object":
            yield node
        for child in node.values():
            yield from objects(child)
    elif isinstance(node, list):
        for child in node:
            yield from objects(child)


def test_every_object_is_closed_and_every_field_described() -> None:
    found = list(objects(SCHEMA))
    assert len(found) > len(STRUCTS)
    for schema in found:
        assert schema["additionalProperties"] is False
        for name, field in schema["properties"].items():
            assert field.get("description"), name


@pytest.mark.parametrize("struct", [*STRUCTS, Workload, Validation, InputSpec, Habits])
def test_schema_has_exactly_the_fields_of(struct: type[msgspec.Struct]) -> None:
    assert any(list(schema["properties"]) == list(struct.__struct_fields__) for schema in objects(SCHEMA))


def test_schema_names_every_component_precision_and_optimizer() -> None:
    assert set(SCHEMA["$defs"]["components"]["properties"]) == set(SWATCHES)
    fields = SCHEMA["$defs"]["workload_fields"]["properties"]
    assert tuple(fields["precision"]["enum"]) == PRECISIONS
    assert tuple(fields["optimizer"]["enum"]) == OPTIMIZERS
    assert SCHEMA["$defs"]["workload"]["required"] == list(Workload.__struct_fields__)


@pytest.mark.parametrize("name", ESTIMATES)
def test_components_add_up_exactly(name: str) -> None:
    document = json.loads(encode(ESTIMATES[name]()))
    assert sum(document["components"].values()) == document["peak"]["device_bytes"]


@pytest.mark.parametrize("name", ESTIMATES)
def test_it_reads_back_as_the_same_estimate(name: str) -> None:
    estimate = ESTIMATES[name]()
    again = msgspec.json.decode(encode(estimate), type=Estimate)
    assert encode(again) == encode(estimate)
    # JSON has no tuples; the workload itself tells them from lists.
    assert msgspec.convert(again.workload, Workload) == msgspec.convert(estimate.workload, Workload)
    assert again == msgspec.structs.replace(estimate, workload=again.workload)


def test_shown_and_saved_are_the_same(tmp_path: Path) -> None:
    stream, path = io.StringIO(), tmp_path / "estimate.json"
    JsonReport().show(HandMadeForecast(fitting()), stream)
    JsonReport().save(HandMadeForecast(fitting()), path)
    assert path.read_bytes().decode() == stream.getvalue() == encode(fitting()).decode()
    assert stream.getvalue().endswith("}\n")
