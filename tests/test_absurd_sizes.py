"""Sizes that nobody can run get an answer, quickly: it does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import vramcast.reports
from vramcast.cli.main import main

SCHEMA = Path(vramcast.reports.__file__).with_name("estimate-1.schema.json")


@pytest.fixture
def pooled(tmp_path: Path) -> str:
    """A small network for images of any size."""
    path = tmp_path / "pooled.py"
    layers = "nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)"
    path.write_text(f"from torch import nn\n\ndef build():\n    return nn.Sequential({layers})\n")
    return f"{path}:build"


def answered(arguments: list[str], path: Path) -> tuple[int, dict[str, object]]:
    code = main(["estimate", *arguments, "-o", str(path)])
    document = json.loads(path.read_bytes())
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(document)
    assert sum(document["components"].values()) == document["peak"]["device_bytes"] > 0
    return code, document


SIZES = [
    ["--batch", "1000000"], ["--batch", "1000000000"], ["--batch", "1000000000000"], ["--image", "100000"], ["--image", "1000000000"],
    ["--batch", "1000000000000", "--image", "1000000000000"],
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["--train", "--infer"])
def test_it_does_not_fit(pooled: str, mode: str, size: list[str], tmp_path: Path) -> None:
    code, document = answered([pooled, mode, *size, "--gpu", "rtx 4090"], tmp_path / "answer.json")
    assert code == 1
    assert document["fits"] is False


@pytest.mark.parametrize("size", SIZES)
def test_without_a_card_it_is_a_number(pooled: str, size: list[str], tmp_path: Path) -> None:
    code, document = answered([pooled, "--train", *size], tmp_path / "answer.json")
    assert code == 0
    assert document["fits"] is None


def test_a_lower_bound_says_so(pooled: str, tmp_path: Path) -> None:
    _, document = answered([pooled, "--train", "--image", "1000000000", "--gpu", "rtx 4090"], tmp_path / "answer.json")
    caveats = document["caveats"]
    assert isinstance(caveats, list)
    assert any("lower bound" in caveat["message"] for caveat in caveats)


def test_an_answer_that_can_be_traced_is_no_lower_bound(pooled: str, tmp_path: Path) -> None:
    _, document = answered([pooled, "--train", "--batch", "1000000", "--gpu", "rtx 4090"], tmp_path / "answer.json")
    assert "lower bound" not in json.dumps(document["caveats"])


@pytest.mark.parametrize("size", [["--train", "--image", "320000"], ["--infer", "--batch", "1000000000", "--image", "64"]])
def test_detectors_too(size: list[str], tmp_path: Path) -> None:
    code, _ = answered(["ultralytics:yolo11n", "--steps", "1", *size, "--gpu", "rtx 4090"], tmp_path / "answer.json")
    assert code == 1


def test_a_lower_bound_that_fits_is_no_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "ultralytics:yolo11n", "--train", "--image", "32000", "--gpu", "h200"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "too many to be drawn" in err
