"""What commands write with --format json follows the schema files, and those are made from the values that are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from vramcast.cli.main import main
from vramcast.schemas.documents import names, path_of, schema_of

SMALL = ["--train", "--steps", "1", "--batch", "2", "--image", "64"]
ASKED = {
    "advice-1": ["advise", "torchvision:resnet18", *SMALL, "--gpu", "600MiB"],
    "backends-1": ["backends", "torchvision:resnet18", "--infer", "--batch", "1", "--image", "64", "--gpu", "t4"],
    "compare-1": ["compare", "torchvision:resnet18", "torchvision:resnet34", "torchvision:vit_b_16", *SMALL, "--gpu", "t4"],
    "fit-1": ["fit", "torchvision:resnet18", "--train", "--steps", "1", "--image", "64", "--gpu", "1GiB"],
    "gpus-1": ["gpus", "*80*", "--for", "torchvision:resnet18", *SMALL, "--precision", "amp-bf16"],
    "sensitivity-1": ["sensitivity", "torchvision:resnet18", *SMALL, "--gpu", "t4"],
    "sweep-1": ["sweep", "torchvision:resnet18", "--train", "--steps", "1", "--image", "64,96", "--batch", "2", "--gpu", "t4", "--gpu", "1GiB"],
}


def schema(name: str) -> dict[str, Any]:
    """The schema file of a document."""
    found: dict[str, Any] = json.loads(path_of(name).read_bytes())
    return found


def written(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command writes."""
    assert main([*words, "--format", "json"]) in (0, 1)
    return json.loads(capsys.readouterr().out)


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every object within a document."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from objects(child)
    if isinstance(node, dict):
        yield node


@pytest.mark.parametrize("name", names())
def test_the_file_is_made_from_the_value(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert schema(name) == schema_of(name), "`python -m vramcast.schemas` writes them anew; what was released needs a new version, and a new file"


@pytest.mark.parametrize("name", ASKED)
def test_output_follows_the_schema_and_nothing_else_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    document, validator = written(capsys, *ASKED[name]), jsonschema.Draft202012Validator(schema(name))
    validator.validate(document)
    if name == "sweep-1":
        return
    assert document["schema"] == f"vramcast/{name}"
    for field in list(document):
        kept = document.pop(field)
        assert not validator.is_valid(document), field
        document[field] = kept
    assert not validator.is_valid({**document, "surprise": 1})


def test_several_working_points_are_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    document = written(capsys, "sensitivity", "torchvision:resnet18", "--infer", "--image", "64", "--batch", "1,2")
    assert len(document) == 2
    jsonschema.Draft202012Validator(schema("sensitivity-1")).validate(document)


def test_points_without_a_forecast_and_quick_ones_follow_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    quick = written(capsys, "sweep", "torchvision:resnet18", "--infer", "--image", "64", "--batch", "1,2", "--gpu", "t4", "--quick")
    partly = written(capsys, "sweep", "torchvision:resnet18", "--train", "--steps", "1", "--image", "32", "--batch", "1,2", "--processes", "1")
    assert any(point["error"] for point in partly)
    for document in (quick, partly):
        jsonschema.Draft202012Validator(schema("sweep-1")).validate(document)


def test_a_comparison_with_a_measurement_follows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(tmp_path / name) for name in ("forecast.json", "other.pickle", "one.pickle")]
    words = ["estimate", "torchvision:resnet18", *SMALL]
    assert main([*words, "--format", "snapshot", "-o", paths[1]]) == 0
    assert main([*words, "--optimizer", "sgd", "--format", "snapshot", "-o", paths[2]]) == 0
    capsys.readouterr()
    document = written(capsys, "diff", "--events", paths[1], paths[2])
    jsonschema.Draft202012Validator(schema("diff-1")).validate(document)
    assert document["events"] is not None
    assert all(isinstance(found, dict) for found in objects(document))
