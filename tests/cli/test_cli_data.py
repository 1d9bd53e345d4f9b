"""--data on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import vramcast.reports
from vramcast.cli.main import main

SCHEMA = json.loads(Path(vramcast.reports.__file__).with_name("estimate-1.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def labels(tmp_path: Path) -> str:
    """A data set of labels alone: two images, one malformed line."""
    folder = tmp_path / "crowd" / "labels"
    folder.mkdir(parents=True)
    (folder / "few.txt").write_text("0 0.5 0.5 0.1 0.1\n0 0.5 0.5 wide 0.1\n")
    (folder / "many.txt").write_text("".join(f"0 0.5 0.5 0.1 0.{index:04}1\n" for index in range(200)))
    return str(folder.parent)


def test_estimate_reports_what_the_data_set_says(labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ultralytics")
    asked = ["estimate", "yolov8n", "--train", "--batch", "2", "--image", "64", "--steps", "1", "--data", labels]
    assert main([*asked, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SCHEMA)
    assert document["workload"]["targets"] == 200
    assert document["data"]["sets"] == {"targets": 200}
    assert document["data"]["malformed"] == 1
    assert main([*asked, "--mosaic", "1", "--format", "json"]) == 0
    mixed = json.loads(capsys.readouterr().out)
    assert mixed["data"]["mosaic"] == 1
    assert mixed["workload"]["targets"] > 200
    assert main(asked) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "worst batch: 200 objects per image, met in every epoch; most: labels/many.txt (200), labels/few.txt (1)" in told
    assert "2 images, objects per image 200 / 200 / 200 (median / 99 % / most), 1 malformed (labels/few.txt, line 2: not a line of numbers)" in told


def test_fit_takes_every_batch_for_the_worst(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "perceptron.py").write_text("from torch import nn\n\ndef build():\n    return nn.Linear(1024, 65536)\n")
    (tmp_path / "lengths.txt").write_text("3\n9\n")
    asked = ["fit", f"{tmp_path / 'perceptron.py'}:build", "--input", "input=4x1024", "--train", "--steps", "1", "--gpu", "4GiB"]
    assert main([*asked, "--data", str(tmp_path / "lengths.txt"), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["lengths"]["largest"] == 9
    assert main([*asked, "--data", str(tmp_path / "lengths.txt")]) == 0
    assert "= data " in capsys.readouterr().out


def test_every_command_forecasts_the_same_worst_batch(labels: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ultralytics")
    workload = ["yolov8n", "--train", "--batch", "2", "--image", "64", "--steps", "1", "--data", labels]

    def answer(*words: str) -> Any:
        assert main([*words, "--format", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    asked = answer("estimate", *workload, "--gpu", "t4")
    peak, told = asked["peak"]["device_bytes"], asked["data"]
    cards = answer("gpus", "t4", "--for", *workload)
    assert cards["data"] == told
    assert cards["workload"]["targets"] == 200
    assert [card["figures"]["device_bytes"] for card in cards["cards"] if card["gpu"] == asked["gpu"]["name"]] == [peak]
    advice = answer("advise", *workload, "--gpu", "t4")
    assert (advice["data"], advice["peak"]["device_bytes"]) == (told, peak)
    assert [point["device_bytes"] for point in answer("sweep", *workload, "--gpu", "t4", "--processes", "1")] == [peak]
    assert main(["timeline", *workload, "--gpu", "t4", "-o", str(tmp_path / "t.svg")]) == 0
    assert "worst batch: 200 objects per image" in capsys.readouterr().out


def test_a_sweep_leaves_its_axes_as_they_are(labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ultralytics")
    asked = ["sweep", "yolov8n", "--train", "--batch", "2", "--image", "64", "--steps", "1", "--processes", "1"]
    found = []
    for more in (["--targets", "10,200"], ["--targets", "10,200", "--data", labels]):
        assert main([*asked, *more]) == 0
        found.append([line for line in capsys.readouterr().out.splitlines() if not line.startswith("=")])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("options", "found"),
    [(["--mosaic", "1"], "--data DATASET"), (["--data", "nowhere"], "there is no data set 'nowhere'"), (["--data", ".", "--mixup", "2"], "mixup")],
)
def test_wrong_options_are_refused(options: list[str], found: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["estimate"], ["fit", "--gpu", "t4"], ["gpus", "--for"], ["advise"], ["sweep"], ["timeline", "-o", "t.svg"]):
        assert main([*command, "yolov8n", "--train", *options]) == 2
        assert found in capsys.readouterr().err
