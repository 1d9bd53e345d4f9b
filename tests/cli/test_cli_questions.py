"""fit, sweep and gpus --for on the command line, with real forecasts of a small perceptron."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from vramcast.cli.main import main


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """How to name a small perceptron and its input, whose first dimension is the batch."""
    path = tmp_path / "perceptron.py"
    path.write_text("from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Linear(1024, 65536), nn.ReLU(), nn.Linear(65536, 10))\n")
    return [f"{path}:build", "--input", "input=64x1024", "--train", "--steps", "1"]


def test_fit_answers_in_json(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *model, "--gpu", "4GiB", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["batch"] <= found["expected"]["value"] <= found["batch_may"]
    assert found["surely"]["high_bytes"] <= 4 * 2**30 < found["beyond"]["low_bytes"]
    assert found["workload"]["inputs"][0]["shape"] == [found["batch"], 1024]
    assert main(["fit", *model, "--gpu", "4GiB"]) == 0
    assert capsys.readouterr().out.startswith(f"batch {found['batch']} of ")


def test_fit_says_where_nothing_fits(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *model, "--gpu", "64MiB"]) == 1
    assert "fits; the smallest, 1, needs" in capsys.readouterr().out


def test_gpus_for_a_model(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpus", "rtx 40", "--for", *model, "--format", "json"]) == 0
    verdicts = json.loads(capsys.readouterr().out)["cards"]
    assert all("RTX 40" in verdict["gpu"] and verdict["verdict"] == "fits" for verdict in verdicts)
    assert main(["gpus", "t4", "--batch", "4"]) == 2
    assert "--for MODEL" in capsys.readouterr().err


def test_sweep_writes_a_file_and_leaves_nothing_else(model: list[str], tmp_path: Path) -> None:
    output = tmp_path / "out" / "sweep.csv"
    output.parent.mkdir()
    options = ["--batch", "1:8", "--optimizer", "sgd,adamw", "--gpu", "t4", "--processes", "1", "-o", str(output)]
    assert main(["sweep", *model, *options]) == 0
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["batch"], row["optimizer"]) for row in rows] == [(str(batch), name) for name in ("sgd", "adamw") for batch in range(1, 9)]
    assert all(row["fits"] == "True" for row in rows)
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize(
    ("options", "code", "found"),
    [
        (["--batch", "8:1"], 2, "'8:1' runs backwards"),
        (["--batch", "1:2", "--format", "parquet"], 2, "-o sweep.parquet"),
        (["--batch", "1:2", "-o", "sweep.txt"], 2, "does not tell its format"),
        (["--batch", "1:2", "--plot", "sweep.gif"], 2, "cannot be drawn"),
        (["--batch", "1:2", "--optimizer", "sgd,adamm"], 2, "'adamm' is not one of"),
        (["--batch", "1:2", "--engine", "ray://x"], 2, "dask://host:8786"),
    ],
)
def test_wrong_sweeps_are_refused(options: list[str], code: int, found: str, model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *model, *options]) == code
    assert found in capsys.readouterr().err


def test_advise_says_what_makes_it_fit(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["advise", *model, "--keep-grads", "--gpu"]
    assert main([*arguments, "1792MiB"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("too close to call: ")
    assert "bitsandbytes.optim.AdamW8bit(...)" in out
    assert main([*arguments, "64MiB"]) == 1
    assert "nothing tried makes it fit" in capsys.readouterr().out
    assert main([*arguments, "1792MiB", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "vramcast/advice-1"
    assert any(one["fits"] for one in found["advised"])
    assert all(one["freed_bytes"] == found["peak"]["device_bytes"] - one["peak"]["device_bytes"] for one in found["advised"])
    assert main(["advise", "--train", *model[:1], "--gpu", "no such card"]) == 2


def test_sensitivity_answers_for_one_point_and_for_several(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sensitivity", "torchvision:resnet18", "--infer", "--image", "32"]
    assert main([*arguments, "--batch", "2"]) == 0
    out = capsys.readouterr().out
    assert "resnet18 → resnet34" in out
    assert "32 → 64" in out
    assert main([*arguments, "--batch", "2,4", "--format", "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["workload"]["batch"], second["workload"]["batch"]) == (2, 4)
    assert first["responses"][1]["peak"] == second["peak"]
    assert main(["sensitivity", "params:7B"]) == 2


def test_compare_names_what_makes_the_difference(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", "torchvision:resnet18", "torchvision:resnet34", "--infer", "--image", "32"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "torchvision:resnet34 against torchvision:resnet18: +" in out
    assert "layer3" in out
    assert main([*arguments, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [side["asked"] for side in found["sides"]] == arguments[1:3]
    assert main(["compare", "torchvision:resnet18"]) == 2
    assert "two or more are compared" in capsys.readouterr().err


def test_timeline_is_drawn_and_the_answer_told(model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert main(["timeline", *model, "--gpu", "64MiB", "-o", str(tmp_path / "t.svg")]) == 1
    assert capsys.readouterr().out.startswith("does not fit: needs ")
    assert (tmp_path / "t.svg").read_bytes().startswith(b"<?xml")
    assert main(["timeline", *model, "-o", str(tmp_path / "t.gif")]) == 2
    assert ".png, .svg, .pdf" in capsys.readouterr().err
