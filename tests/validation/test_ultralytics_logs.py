"""Rows of training logs are forecast with the trainer their log names."""

from __future__ import annotations

import pytest

from vramcast.validation.case import Case
from vramcast.validation.ultralytics_logs import UltralyticsLogs


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {case.id: case for case in UltralyticsLogs().read(None)[0]}


def test_no_log_is_of_a_trainer_like_todays(cases: dict[str, Case]) -> None:
    """The newest is of 8.4.31; the assigner changed between 8.4.95 and 8.4.100."""
    assert {case.workload.preset for case in cases.values()} == {"ultralytics-8.3"}
    assert not any(case.workload.channels_last for case in cases.values())


def test_the_yolov9_repository_assigns_in_its_own_way_and_keeps_its_cache(cases: dict[str, Case]) -> None:
    for case in cases.values():
        is_own = case.environment.trainer.startswith("yolov9")
        assert (case.workload.habits.assigner, case.workload.habits.empties_cache) == (
            ("one-hot", "never") if is_own else ("all-pairs", "if-crowded")
        )


def test_what_a_log_says_of_its_run_is_kept(cases: dict[str, Case]) -> None:
    assert cases["YOLO-0015"].workload.optimizer == "musgd"
    assert cases["YOLO-0110"].workload.environment.cublas_workspace is None  # torch 1.12: `init_seeds` sets nothing
    assert cases["YOLO-0110"].workload.optimizer_loop == "for-loop"
    assert cases["YOLO-0172"].workload.validation is not None
    assert cases["YOLO-0172"].workload.validation.batch == cases["YOLO-0172"].workload.batch
    assert cases["YOLO-0172"].workload.validation.precision == "fp16"
