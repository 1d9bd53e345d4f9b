"""What the project set itself: one line a target, judged on the cases no constant was fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from vramcast.validation.accuracy import Judged, Verdict, accuracy
from vramcast.validation.case import Metric
from vramcast.validation.refusals import is_refused

Measure = Callable[[Sequence[Judged]], float]


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on the errors of a set; shares of cases are bounded from below, errors from above."""

    case_set: str
    statement: str
    metric: Metric
    measure: Measure
    bound: float
    is_share: bool = False
    precision: str = ""
    """Only cases of this precision; empty: all."""


class TargetResult(msgspec.Struct, frozen=True, kw_only=True):
    """A target and what was found."""

    case_set: str
    statement: str
    bound: float
    found: float | None
    """None: none of its cases was forecast."""
    cases: int
    is_met: bool | None
    is_share: bool


def _median(judged: Sequence[Judged]) -> float:
    return accuracy(judged).median


def _p90(judged: Sequence[Judged]) -> float:
    return accuracy(judged).p90


def _largest(judged: Sequence[Judged]) -> float:
    return accuracy(judged).largest


def _share_within_15_percent(judged: Sequence[Judged]) -> float:
    return sum(abs(item.error) <= 0.15 for item in judged) / len(judged)


def _share_refused(judged: Sequence[Judged]) -> float:
    return sum(is_refused(item.outcome) for item in judged) / len(judged)


TARGETS = (
    Target("real-models-a100", "every held-back row of the convolutional networks, device", "device", _largest, 0.04),
    Target("timm-a100", "held-back rows, device, median", "device", _median, 0.02),
    Target("timm-a100", "held-back rows, device, 90th percentile", "device", _p90, 0.07),
    Target("ultralytics-logs", "all rows, noisy ones too, reserved, median", "reserved", _median, 0.06),
    Target("ultralytics-logs", "share of rows within 15 %, reserved", "reserved", _share_within_15_percent, 0.80, is_share=True),
    Target("timm-a100", "held-back rows that ran, and are said surely not to fit", "device", _share_refused, 0.02),
    Target("ultralytics-logs", "rows that ran, and are said surely not to fit", "reserved", _share_refused, 0.02),
    Target("yolo-autobatch", "all rows, reserved, median", "reserved", _median, 0.06),
    Target("llm-inference-a100", "fp16 rows, allocated, median", "allocated", _median, 0.01, precision="fp16"),
    Target("llm-inference-a100", "fp16 rows, reserved, median", "reserved", _median, 0.03, precision="fp16"),
    Target("tensorrt-logs", "every row, weights", "weights", _largest, 0.02),
    Target("tensorrt-logs", "all rows, activation, median", "activation", _median, 0.10),
    Target("measured", "own cases, allocated, median", "allocated", _median, 0.005),
    Target("measured", "own cases, reserved, median", "reserved", _median, 0.015),
    Target("measured", "own cases, device, median", "device", _median, 0.02),
)


def hold(verdicts: Mapping[str, Verdict]) -> tuple[TargetResult, ...]:
    """Hold the verdicts, by name of their set, against the targets."""
    return tuple(_result(target, verdicts.get(target.case_set)) for target in TARGETS)


def _result(target: Target, verdict: Verdict | None) -> TargetResult:
    judged = [item for item in verdict.judged if _counts(target, item)] if verdict else []
    found = target.measure(judged) if judged else None
    is_met = None if found is None else found >= target.bound if target.is_share else found <= target.bound
    return TargetResult(
        case_set=target.case_set, statement=target.statement, bound=target.bound, found=found, cases=len(judged), is_met=is_met,
        is_share=target.is_share,
    )  # fmt: skip


def _counts(target: Target, item: Judged) -> bool:
    case = item.outcome.case
    return case.metric == target.metric and target.precision in ("", case.workload.precision)
