"""How errors are counted, and what is fitted on which half."""

from __future__ import annotations

from pathlib import Path

import pytest

from vramcast.errors import InvalidFileError, UnknownNameError
from vramcast.units import MIB
from vramcast.validation import document, registry
from vramcast.validation.accuracy import environment_constant, errors, in_first_half, judge
from vramcast.validation.case import Case
from vramcast.validation.outcome import Outcome, sample
from vramcast.workload import Workload

HEADER = "id,task,framework,model,batch_per_gpu,image_or_seq,precision,optimizer,extra,metric,value,unit,gpu,torch_version,source,confidence,notes\n"


def _outcome(index: int, forecast: int, measured: int) -> Outcome:
    model = f"timm:model{index}"
    case = Case(
        id=f"{index:03}", model=model, workload=Workload.train(batch=8), gpu="A100 40GB", metric="device", measured_bytes=measured, group=model
    )
    return Outcome(case=case, forecast_bytes=forecast)


def test_constant_is_the_difference_that_all_cases_share() -> None:
    outcomes = [_outcome(index, index * 1000, index * 1000 + 700) for index in range(1, 9)]
    assert environment_constant(outcomes) == 700
    assert errors(outcomes, 700) == [0.0] * 8


def test_errors_are_reported_of_the_half_nothing_was_fitted_on() -> None:
    fitted = [_outcome(index, 1000, 1500) for index in range(40) if in_first_half(f"timm:model{index}")]
    judged = [_outcome(index, 1000, 3000) for index in range(40) if not in_first_half(f"timm:model{index}")]
    accuracy = judge([*fitted, *judged], is_fitted=True)
    assert (accuracy.constant_bytes, accuracy.cases) == (500, len(judged))
    assert accuracy.median == pytest.approx(0.5)
    assert accuracy.bias == pytest.approx(-0.5)


def test_quantiles_and_failures() -> None:
    outcomes = [_outcome(index, 100 + index, 100) for index in range(10)]
    failed = Outcome(case=outcomes[0].case, error="it cannot be built")
    accuracy = judge([*outcomes, failed], is_fitted=False)
    assert (accuracy.cases, accuracy.failures) == (10, 1)
    assert (accuracy.median, accuracy.p90, accuracy.p95) == pytest.approx((0.04, 0.08, 0.09))


def test_halves_are_about_equal_and_always_the_same() -> None:
    share = sum(in_first_half(f"timm:model{index}") for index in range(1000)) / 1000
    assert 0.45 < share < 0.55
    assert in_first_half("timm:resnet50") == in_first_half("timm:resnet50")


def test_sample_is_spread_evenly() -> None:
    cases = [_outcome(index, 1, 1).case for index in range(100)]
    assert [case.id for case in sample(cases, 4)] == ["000", "025", "050", "075"]
    assert len(sample(cases, 1000)) == 100


def test_rows_become_cases_or_are_named(tmp_path: Path) -> None:
    (tmp_path / "timm_train_a100.csv").write_text(
        HEADER
        + "A-1,train,timm,convnext_tiny,32,,,,,device,6000,MiB,A100,,here,med,\nA-2,train,timm,vit_base,128,,,,,device,900,MiB,A100,,here,low,\n"
    )
    cases, unexpressed = registry.find("timm-a100").read(str(tmp_path))
    assert [(case.model, case.workload.batch, case.measured_bytes) for case in cases] == [("timm:convnext_tiny", 32, 6000 * MIB)]
    assert [row.id for row in unexpressed] == ["A-2"]


def test_logs_state_gigabytes_or_gibibytes(tmp_path: Path) -> None:
    row = "{id},train,ultralytics 8.3,{model},16,640,amp-fp16,optimizer: AdamW(lr=0.1),,reserved,2.0,{unit},Tesla T4 15102MiB,,here,high,\n"
    rows = [("Y-1", "yolov8n.pt", "GB (reserved/1e9)"), ("Y-2", "yolo11s.pt", "GiB (reserved/2**30)"), ("Y-3", "best.pt", "GB")]
    (tmp_path / "yolo_train.csv").write_text(HEADER + "".join(row.format(id=id_, model=model, unit=unit) for id_, model, unit in rows))
    cases, unexpressed = registry.find("ultralytics-logs").read(str(tmp_path))
    assert [(case.model, case.measured_bytes) for case in cases] == [("ultralytics:yolov8n", 2 * 10**9), ("ultralytics:yolo11s", 2 * 2**30)]
    assert cases[0].workload.optimizer == "adamw"
    assert "hides its architecture" in unexpressed[0].reason


def test_missing_figures_say_where_to_name_them(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="Name their folder with --measured"):
        registry.find("timm-a100").read(str(tmp_path))
    with pytest.raises(UnknownNameError, match="timm-a100"):
        registry.find("timm-a10")


def test_page_repeats_no_measured_figure() -> None:
    outcomes = [_outcome(index, 1000, 123457) for index in range(12)]
    page = document.section(registry.find("timm-a100"), outcomes, [], 12)
    assert "123457" not in page
    assert "| cases | no forecast | median |" in page
