"""The commands, run in this process: answers, messages, exit codes and files. The forecast itself is set, where one is needed."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from vramcast.cli.main import commands, main
from vramcast.errors import ModelError
from vramcast.footprint import Estimate
from vramcast.gpu.catalogue import load
from vramcast.rules import training_table, weights_table
from vramcast.version import __version__
from vramcast.workload import Workload

GOLDEN = Path(__file__).parents[1] / "reports" / "golden"


@dataclass
class Pipeline:
    """Stands for `vramcast.pipeline`: remembers what it was asked, and answers with an estimate from a file."""

    answer: str = "fits"
    failure: BaseException | None = None
    asked: tuple[Any, ...] | None = None

    def estimate(self, model: str, workload: Workload, gpu: Any = None, *, data: Any = None, progress: Any = None) -> SimpleNamespace:
        self.asked = (model, workload, gpu)
        if self.failure:
            raise self.failure
        value = msgspec.json.decode((GOLDEN / f"{self.answer}.json").read_bytes(), type=Estimate)
        return SimpleNamespace(estimate=value, trace="a trace", timeline="a timeline")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    stand_in = Pipeline()
    monkeypatch.setitem(sys.modules, "vramcast.pipeline", stand_in)
    monkeypatch.setenv("COLUMNS", "100")
    return stand_in


@pytest.mark.parametrize(("answer", "code"), [("fits", 0), ("no_card", 0), ("does_not_fit", 1)])
def test_the_exit_code_is_the_answer(pipeline: Pipeline, capsys: pytest.CaptureFixture[str], answer: str, code: int) -> None:
    pipeline.answer = answer
    assert main(["estimate", "resnet50"]) == code
    out, err = capsys.readouterr()
    assert out == (GOLDEN / f"{answer}_100_unicode.txt").read_text(encoding="utf-8")
    assert err == ""


def test_model_workload_and_card_reach_the_forecast(pipeline: Pipeline) -> None:
    assert main(["estimate", "resnet50", "--train", "--batch", "8", "--gpu", "rtx4090"]) == 0
    model, workload, card = pipeline.asked
    assert (model, workload, card.name) == ("resnet50", Workload(mode="train", batch=8), "NVIDIA GeForce RTX 4090")


@pytest.mark.parametrize("arguments", [["--format", "json"], ["--format", "json", "-o", "-"]])
def test_json_is_printed(pipeline: Pipeline, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(["estimate", "resnet50", *arguments]) == 0
    assert capsys.readouterr().out == (GOLDEN / "fits.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [["-o", "{}.json"], ["--format", "json", "-o", "{}"]])
def test_json_is_written(pipeline: Pipeline, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str]) -> None:
    arguments = [argument.format(tmp_path / "answer") for argument in arguments]
    pipeline.answer = "does_not_fit"
    assert main(["estimate", "resnet50", *arguments]) == 1
    assert Path(arguments[-1]).read_bytes() == (GOLDEN / "does_not_fit.json").read_bytes()
    assert capsys.readouterr().out == ""


def test_a_snapshot_needs_a_file(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "resnet50", "--format", "snapshot"]) == 2
    assert "-o memory.pickle" in capsys.readouterr().err
    assert pipeline.asked is None


def test_a_snapshot_is_written(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    saved: list[tuple[Any, ...]] = []
    monkeypatch.setattr("vramcast.reports.snapshot.save_snapshot", lambda *arguments: saved.append(arguments))
    assert main(["estimate", "resnet50", "-o", str(tmp_path / "memory.pickle")]) == 0
    assert saved == [("a trace", "a timeline", tmp_path / "memory.pickle")]


def test_a_path_that_cannot_be_written_is_refused_before_the_forecast(pipeline: Pipeline, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["estimate", "resnet50", "-o", str(tmp_path / "missing" / "a.json")]) == 2
    assert "vramcast: error: cannot write" in capsys.readouterr().err
    assert pipeline.asked is None
    assert list(tmp_path.iterdir()) == []


def test_a_failed_forecast_leaves_the_old_file(pipeline: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    pipeline.failure = ModelError("layer3 failed")
    assert main(["estimate", "resnet50", "-o", str(path)]) == 3
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("failure", "code", "told"),
    [
        (ModelError("layer3 failed"), 3, "vramcast: error: layer3 failed\n"),
        (ZeroDivisionError("oh"), 3, "ZeroDivisionError: oh"),
        (KeyboardInterrupt(), 130, "vramcast: interrupted\n"),
    ],
)
def test_failures_have_their_codes(pipeline: Pipeline, capsys: pytest.CaptureFixture[str], failure: BaseException, code: int, told: str) -> None:
    pipeline.failure = failure
    assert main(["estimate", "resnet50"]) == code
    out, err = capsys.readouterr()
    assert told in err
    assert out == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["estimate"], "Missing argument 'MODEL'"),
        (["estimate", "resnet50", "--bacth", "3"], "--batch"),
        (["estimate", "resnet50", "--gpu", "rtx 4091"], "RTX 4090"),
        (["estimate", "resnet50", "--batch", "0"], "batch is 0"),
        (["estimate", "resnet50", "--workload", "missing.toml"], "missing.toml"),
        (["resnet50"], "vramcast estimate resnet50"),
        (["gpsu"], "gpus"),
        (["gpus", "no such card"], "vramcast gpus"),
        (["rules", "--params", "many"], "100M"),
        (["completion", "tcsh"], "bash"),
    ],
)
def test_wrong_usage_is_told_and_exits_with_2(pipeline: Pipeline, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert "Traceback" not in err
    assert out == ""
    assert pipeline.asked is None


def test_a_reader_who_leaves_does_not_change_the_answer(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Left(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def fileno(self) -> int:
            return spare.fileno()

    pipeline.answer = "does_not_fit"
    with open(tmp_path / "spare", "w") as spare:
        monkeypatch.setattr(sys, "stdout", Left())
        assert main(["estimate", "resnet50"]) == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vramcast {__version__}\n"


@pytest.mark.parametrize("name", sorted(commands.commands))
def test_every_command_explains_itself_with_examples(name: str) -> None:
    result = CliRunner().invoke(commands, [name, "--help"])
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert f"  vramcast {name}" in result.output or f"$(vramcast {name}" in result.output


def test_the_help_of_estimate_names_every_option_once() -> None:
    output = CliRunner().invoke(commands, ["estimate", "--help"]).output
    names = [option for parameter in commands.commands["estimate"].params for option in parameter.opts if option.startswith("--")]
    assert len(names) > 40
    for option in names:
        assert (
            len([line for line in output.split("Examples:")[0].splitlines() if line.strip().split(" ")[0] == option or f", {option} " in line]) == 1
        )


def test_gpus_lists_all_cards_or_those_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpus"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(load()) + 1
    assert main(["gpus", "RTX 4090 *"]) == 0
    header, *cards = capsys.readouterr().out.splitlines()
    assert header.split() == ["card", "memory", "usable", "compute", "capability", "SMs"]
    assert [card.split("  ")[0] for card in cards] == ["NVIDIA GeForce RTX 4090 D", "NVIDIA GeForce RTX 4090 Laptop GPU"]


def test_gpus_as_json_carry_their_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpus", "rtx4090", "--format", "json"]) == 0
    cards = {card["name"]: card for card in json.loads(capsys.readouterr().out)}
    assert cards["NVIDIA GeForce RTX 4090"]["memory_bytes"] == 24 * 2**30
    assert all(card["source"] for card in cards.values())


def test_rules_show_both_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--params", "100M"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["fp32", "4", "400.00", "MB", "381.47", "MiB"] in rows
    assert ["int4", "0.5", "50.00", "MB", "47.68", "MiB"] in rows
    assert next(row for row in rows if row[:3] == ["fp32", "torch", "16"])[3:7] == ["1.60", "GB", "1.49", "GiB"]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adamw8bit", "adafactor"])
def test_rules_as_json_are_those_of_the_rules(capsys: pytest.CaptureFixture[str], optimizer: str) -> None:
    assert main(["rules", "--params", "1.3B", "--optimizer", optimizer, "--ema", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["parameters"] == 1_300_000_000
    assert [row["bytes"] for row in document["weights"]] == [row.bytes for row in weights_table(1_300_000_000)]
    assert [row["held_bytes"] for row in document["training"]] == [row.held_bytes for row in training_table(1_300_000_000, optimizer, ema=True)]
    for row in document["training"]:
        assert sum(term["bytes_per_parameter"] for term in row["terms"]) == row["bytes_per_parameter"]


@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit"])
def test_printed_parts_of_the_rules_add_up(capsys: pytest.CaptureFixture[str], optimizer: str) -> None:
    assert main(["rules", "--params", "1B", "--optimizer", optimizer, "--ema"]) == 0
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines() if " + " in line]
    assert len(rows) == len(training_table(1, optimizer))
    for row in rows:
        cells = [cell.strip() for cell in row if cell.strip()]
        assert sum(float(part.split()[-1]) for part in cells[-1].split(" + ")) == float(cells[2])


def test_models_are_found_by_a_part_of_their_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "torchvision:resnet5*"]) == 0
    assert capsys.readouterr().out == "torchvision:resnet50\n"
    assert main(["models", "torchvision:resnte50"]) == 2
    assert "torchvision:resnet50" in capsys.readouterr().err


def test_rules_of_one_precision(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--precision", "amp-bf16", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["precision"] for row in document["weights"]] == ["bf16"]
    assert [row["precision"] for row in document["training"]] == ["amp-bf16"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_a_script(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert main(["completion", shell]) == 0
    assert f"_VRAMCAST_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_completion_knows_options_and_cards(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("_VRAMCAST_COMPLETE", "zsh_complete")
    for words, index, expected in (("vramcast estimate --pre", "2", "--precision"), ("vramcast estimate x --gpu rtx409", "4", "RTX 4090")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", index)
        assert main([]) == 0
        assert expected in capsys.readouterr().out.splitlines()
