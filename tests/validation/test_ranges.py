"""What calibration is fitted on, what it leaves out, and what its ranges cover of models held back."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hand_made_outcomes import HandMade, failed, outcome

from vramcast.calibration.groups import Cell
from vramcast.calibration.table import Table
from vramcast.cli.main import main
from vramcast.errors import UsageError
from vramcast.validation import page, ranges
from vramcast.validation.case import Case
from vramcast.validation.completeness import OUT_OF_ORDER, incomplete
from vramcast.validation.gpumemnet import SAME_FIGURE
from vramcast.validation.outcome import Outcome
from vramcast.validation.residuals import TOO_SMALL, residuals
from vramcast.validation.summary import Examined, summarize

OTHER = Cell("other", "train", "fp32")


def _examined(outcomes: list[Outcome], *, environment: str = "", left_out: dict[str, str] | None = None) -> Examined:
    return Examined(
        case_set=HandMade(environment=environment), expressed=len(outcomes), outcomes=tuple(outcomes), unexpressed=(), incomplete=left_out or {}
    )  # fmt: skip


def _renamed(made: Outcome, model: str, measured: int) -> Outcome:
    return msgspec.structs.replace(made, case=msgspec.structs.replace(made.case, model=model, measured_bytes=measured))


def _series(*measured: int, model: str = "timm:a", notes: str = "") -> list[Case]:
    made = outcome(1, 1, 1, notes=notes).case
    cases = [
        msgspec.structs.replace(made, id=f"{model}-{place}", model=model, workload=made.workload.with_fields(batch=2**place), measured_bytes=size)
        for place, size in enumerate(measured)
    ]
    return cases[::-1]


@pytest.mark.parametrize(
    ("measured", "found"),
    [
        ((10, 20, 40), {}),
        ((10, 20, 15, 19, 40), {1: OUT_OF_ORDER, 2: OUT_OF_ORDER, 3: OUT_OF_ORDER}),
        ((1010, 1000, 2000), {}),
        ((10, 10, 20), {}),
        ((10, 10, 10, 20), {0: SAME_FIGURE, 1: SAME_FIGURE, 2: SAME_FIGURE}),
    ],
)
def test_incomplete_runs_are_told_by_the_table_alone(measured: tuple[int, ...], found: dict[int, str]) -> None:
    assert incomplete([*_series(*measured), *_series(99, model="timm:b")]) == {f"timm:a-{place}": reason for place, reason in found.items()}


def test_cases_that_differ_in_more_than_the_batch_are_not_compared() -> None:
    small, large = _series(10, 5)[::-1]
    assert incomplete([small, large]) == {"timm:a-0": OUT_OF_ORDER, "timm:a-1": OUT_OF_ORDER}
    for changed in (
        msgspec.structs.replace(large, gpu="T4"), msgspec.structs.replace(large, workload=large.workload.with_fields(precision="amp-fp16")),
        msgspec.structs.replace(large, environment=msgspec.structs.replace(large.environment, torch="1.13")),
    ):  # fmt: skip
        assert incomplete([small, changed]) == {}


@pytest.mark.parametrize(
    ("metric", "environment", "ratio"),
    [("allocated", "", 1100 / 500), ("reserved", "", 1.1), ("device", "", 0.8), ("device", "one constant", 1.0)],
)
def test_a_ratio_is_of_torchs_allocator_alone(metric: str, environment: str, ratio: float) -> None:
    made = [outcome(index, 1000, 1100, metric=metric, context=300) for index in range(3)]  # type: ignore[arg-type]
    assert [item.ratio for item in residuals([_examined(made, environment=environment)]).kept] == pytest.approx([ratio] * 3)


def test_rows_are_left_out_for_stated_reasons_only() -> None:
    made = [outcome(1, 1000, 1000), outcome(2, 1000, 90_000), outcome(3, 0, 10), failed(4), outcome(5, 1000, 1)]
    found = residuals([_examined(made, left_out={"005": SAME_FIGURE})])
    assert [item.ratio for item in found.kept] == pytest.approx([1, 90])
    assert found.left_out == {"nothing of torch's allocator is in it": 1, "there is no forecast": 1, SAME_FIGURE: 1}


def test_a_case_that_is_mostly_environment_tells_nothing_of_torchs_part() -> None:
    made = [*(outcome(index, 1000, 6000) for index in range(5)), outcome(6, 400, 5200)]
    found = residuals([_examined(made, environment="one constant")])
    assert [item.ratio for item in found.kept] == [1.0] * 5
    assert found.left_out == {TOO_SMALL: 1}


def test_ranges_cover_models_held_back() -> None:
    random = np.random.default_rng(4)
    made = [outcome(index, 10**9, round(10**9 * math.exp(random.standard_t(3) * 0.05)), metric="reserved") for index in range(800)]
    own, everything = ranges.coverage([_examined(made)])
    assert (own.cell, own.held_back.cases, own.as_if_unmeasured) == (OTHER, 800, None)
    assert 0.93 < own.held_back.share < 0.97, "800 cases: 0.95, give or take 2.5 standard deviations"
    # Student's t with 3 degrees of freedom: 95 % lie within 3.182.
    assert own.held_back.width == pytest.approx(2 * math.sinh(3.182 * 0.05), rel=0.15)
    assert everything.held_back == own.held_back


def test_a_kind_that_is_left_out_gets_the_widened_range_of_the_others() -> None:
    first = [outcome(index, 1000, 1050, metric="reserved") for index in range(60)]
    second = [_renamed(item, f"{item.case.model}_resnet", 1090) for item in first]
    found = {item.cell.kind: item.as_if_unmeasured for item in ranges.coverage([_examined(first), _examined(second)])}
    resnets, others = found["convolutional"], found["other"]
    assert resnets is not None
    assert others is not None
    assert (resnets.inside, others.inside) == (60, 60), "1.09 lies within 1.05²"
    assert resnets.width == pytest.approx(1.05**2 - 1.05**-2, abs=1e-3)


def test_table_and_page_are_written(tmp_path: Path) -> None:
    examined = [_examined([*(outcome(index, 1000, 1010 + index, metric="reserved") for index in range(50)), failed(51)])]
    ranges.write(tmp_path / "residuals.json", examined)
    written = msgspec.json.decode((tmp_path / "residuals.json").read_bytes(), type=Table)
    assert [(group.cell, group.cases) for group in written.groups] == [(OTHER, 50), (Cell("other", "train", None), 50), (Cell(None, None, None), 50)]
    page.write(tmp_path / "page.md", summarize(examined), examined, None, "vramcast validate")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| other networks, fp32 training | 50 | ÷ × 1.058 | 9" in text
    assert "- 1: there is no forecast" in text


def test_nothing_to_calibrate_on_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="no case to calibrate on"):
        ranges.table([_examined([failed(1)])])
    path = tmp_path / "residuals.json"
    assert main(["validate", "cuda-context", "--results", str(tmp_path / "results.jsonl"), "--processes", "1", "--calibrate", str(path)]) == 2
    assert "no case to calibrate on" in capsys.readouterr().err
    assert not path.exists()
