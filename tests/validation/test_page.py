"""The page, the JSON and the baseline."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hand_made_outcomes import HandMade, failed, outcome

from vramcast.cli.main import main
from vramcast.errors import InvalidFileError
from vramcast.validation import baseline, page, registry, summary
from vramcast.validation.case import Unexpressed
from vramcast.validation.known_reasons import _reasons
from vramcast.validation.summary import Examined, Validation, summarize

SCHEMA = Path(summary.__file__).parent / "validation-1.schema.json"


def _examined(*, is_open: bool, off: int = 0, count: int = 12) -> Examined:
    outcomes = tuple(outcome(index, 123400 + off, 123457 + index, metric="reserved") for index in range(count))
    unexpressed = (Unexpressed("U-1", "the checkpoint's name 'a.pt' hides"), Unexpressed("U-2", "the checkpoint's name 'b.pt' hides"))
    return Examined(case_set=HandMade(is_open=is_open), expressed=20, outcomes=(*outcomes, failed(99)), unexpressed=unexpressed)


def test_page_has_plots_targets_reasons_and_rivals(tmp_path: Path) -> None:
    examined = [_examined(is_open=True)]
    page.write(tmp_path / "accuracy.md", summarize(examined), examined, None, "vramcast validate")
    text = (tmp_path / "accuracy.md").read_text(encoding="utf-8")
    for wanted in ("## Targets", "xMem", "SchedTune", "it cannot be built (1)", "U-1, U-2", "22 rows, 20 of them cases, 13 forecast"):
        assert wanted in text
    for plot in ("errors", "predicted"):
        assert f"(accuracy/hand-made-{plot}.svg)" in text
        assert (tmp_path / "accuracy" / f"hand-made-{plot}.svg").read_bytes().startswith(b"<?xml")


def test_the_same_figures_draw_the_same_files(tmp_path: Path) -> None:
    examined = [_examined(is_open=True)]
    for name in ("a", "b"):
        page.write(tmp_path / f"{name}.md", summarize(examined), examined, None, "vramcast validate")
    for plot in ("errors", "predicted"):
        first, second = (tmp_path / name / f"hand-made-{plot}.svg" for name in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()


def test_page_of_a_closed_set_repeats_no_measured_figure(tmp_path: Path) -> None:
    examined = [_examined(is_open=False)]
    page.write(tmp_path / "accuracy.md", summarize(examined), examined, None, "vramcast validate")
    written = (tmp_path / "accuracy.md").read_text(encoding="utf-8") + (tmp_path / "accuracy" / "hand-made-predicted.svg").read_text(encoding="utf-8")
    assert "12345" not in written
    assert "in 4 bands from small to large" in written  # an aggregate, not a point a row


def test_json_is_of_its_schema() -> None:
    schema = json.loads(SCHEMA.read_bytes())
    assert schema == msgspec.json.schema(Validation), "the schema of vramcast/validation-1 has changed: a new version, and a new file"
    jsonschema.validate(json.loads(msgspec.json.encode(summarize([_examined(is_open=True)]))), schema)


def test_baseline_allows_what_it_states_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    baseline.write(path, summarize([_examined(is_open=True)]), 24)
    committed = baseline.read(path)
    assert baseline.worsened(committed, summarize([_examined(is_open=True)])) == []
    within, beyond = (int(123457 * (committed.median_tolerance + share)) for share in (-0.002, 0.002))
    assert baseline.worsened(committed, summarize([_examined(is_open=True, off=within)])) == []
    complaint = baseline.worsened(committed, summarize([_examined(is_open=True, off=beyond)]))[0]
    assert complaint.startswith("hand-made, reserved: the median is 0.6")
    assert complaint.endswith("it may worsen by 0.5 %.")
    assert "11 cases have a forecast, in the baseline 12" in baseline.worsened(committed, summarize([_examined(is_open=True, count=11)]))[0]


def test_baseline_keeps_sets_that_were_not_run(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text('{"sample": 24, "sets": {"other": {"device": {"cases": 3, "median": 0.1, "p95": 0.2}}}}')
    baseline.write(path, summarize([_examined(is_open=True)]), 24)
    assert sorted(baseline.read(path).sets) == ["hand-made", "other"]
    path.write_text("{")
    with pytest.raises(InvalidFileError, match="is no baseline"):
        baseline.read(path)
    with pytest.raises(InvalidFileError, match="--write-baseline"):
        baseline.read(tmp_path / "absent.json")


def test_known_reasons_are_of_cases_that_exist() -> None:
    for item in _reasons():
        case_set = registry.find(item.case_set)
        assert item.because
        if case_set.is_open:
            named = [case for case in case_set.read(None)[0] if re.search(item.id, case.id) and re.search(item.model, case.model)]
            assert named, f"no case of {item.case_set} answers to {item.model!r}, {item.id!r}"


def test_command_prints_json_and_fails_below_the_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, results = tmp_path / "baseline.json", str(tmp_path / "results.jsonl")
    asked = ["validate", "cuda-context", "--results", results, "--processes", "1"]
    assert main([*asked, "--format", "json", "--write-baseline", str(path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    jsonschema.validate(printed, json.loads(SCHEMA.read_bytes()))
    assert main([*asked, "--baseline", str(path)]) == 0
    assert "cuda-context: 19 rows" in capsys.readouterr().out
    better = path.read_text().replace(str(baseline.read(path).sets["cuda-context"]["device"].median), "0.001", 1)
    path.write_text(better)
    assert main([*asked, "--baseline", str(path)]) == 1
    assert "worse than the baseline: cuda-context, device: the median" in capsys.readouterr().err


def test_closed_sets_are_passed_over_aloud(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: registry.SETS[name] for name in ("timm-a100", "llm-diffusion")}
    monkeypatch.setattr(registry, "SETS", kept)
    assert main(["validate", "--results", str(tmp_path / "results.jsonl")]) == 0
    captured = capsys.readouterr()
    assert "passed over, as their figures are read from --measured: timm-a100" in captured.err
    assert "llm-diffusion: 66 rows, 0 of them cases" in captured.out
    assert main(["validate", "timm-a100"]) == 2
