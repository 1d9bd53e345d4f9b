"""Outcomes with figures that can be checked in one's head."""

from __future__ import annotations

from vramcast.validation.case import Case, CaseSet, Environment, Metric, Unexpressed
from vramcast.validation.figures import Figures
from vramcast.validation.outcome import Outcome
from vramcast.workload import Workload


def outcome(index: int, forecast: int, measured: int, *, metric: Metric = "device", notes: str = "", context: int = 0) -> Outcome:
    """A forecast of `timm:model<index>`; its allocated bytes are half of those reserved."""
    model = f"timm:model{index}"
    workload = Workload.train(batch=8)
    case = Case(
        id=f"{index:03}", model=model, workload=workload, gpu="A100 40GB", metric=metric, measured_bytes=measured, group=model,
        environment=Environment(notes=notes),
    )  # fmt: skip
    figures = Figures(allocated_bytes=forecast // 2, reserved_bytes=forecast, context_bytes=context)
    return Outcome(case_set="hand-made", family="resnet", case=case, figures=figures)


def failed(index: int, error: str = "it cannot be built") -> Outcome:
    """A case without a forecast."""
    made = outcome(index, 1, 1)
    return Outcome(case_set=made.case_set, family=made.family, case=made.case, error=error)


class HandMade(CaseSet):
    """A set of such cases."""

    name = "hand-made"
    citation = "tests"

    def __init__(self, *, environment: str = "", is_open: bool = True) -> None:
        self.environment = environment
        self.is_open = is_open

    def read(self, folder: str | None) -> tuple[list[Case], list[Unexpressed]]:
        """Nothing is read."""
        return [], []
