"""The command line with real forecasts of small models, in every format."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import jsonschema
import pytest

import vramcast.reports
from vramcast.cli.main import main

SCHEMA = Path(vramcast.reports.__file__).with_name("estimate-1.schema.json")
TWO_LAYERS = "nn.Sequential(nn.Linear(1024, 4096), nn.ReLU(), nn.Linear(4096, 10))"


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """How to name a small perceptron and its input."""
    path = tmp_path / "perceptron.py"
    path.write_text(f"from torch import nn\n\ndef build():\n    return {TWO_LAYERS}\n")
    return [f"{path}:build", "--input", "input=64x1024"]


def test_it_fits(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", *model, "--train", "--gpu", "24GiB"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("fits: ")
    assert err == ""


def test_it_does_not_fit(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", *model, "--train", "--gpu", "64MiB"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("does not fit: needs ")
    assert err == ""


@pytest.mark.parametrize(
    "options", [["--train", "--gpu", "rtx 4090"], ["--infer", "--gpu", "64MiB"], ["--train", "--optimizer", "sgd", "--accumulate", "2"]]
)
def test_json_follows_the_schema_and_adds_up(model: list[str], options: list[str], tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    code = main(["estimate", *model, *options, "-o", str(path)])
    document = json.loads(path.read_bytes())
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(document)
    assert sum(document["components"].values()) == document["peak"]["device_bytes"]
    assert code == (1 if document["fits"] is False else 0)


def test_the_snapshot_can_be_read(model: list[str], tmp_path: Path) -> None:
    path = tmp_path / "memory.pickle"
    assert main(["estimate", *model, "--train", "-o", str(path)]) == 0
    snapshot = pickle.loads(path.read_bytes())
    assert {"segments", "device_traces"} <= set(snapshot)


def test_a_model_that_raises_gives_no_forecast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def build():\n    raise ValueError('no weights here')\n")
    assert main(["estimate", f"{path}:build", "--input", "input=4x1024"]) == 3
    out, err = capsys.readouterr()
    assert err.startswith("vramcast: error: ")
    assert "no weights here" in err
    assert out == ""
