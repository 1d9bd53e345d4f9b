"""What comes out of a call is remembered for every trace of a process, and only where nothing but the call decides it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from vramcast.sources import registry
from vramcast.sources.building import build_on_meta
from vramcast.sources.dynamo import dynamo_postponed
from vramcast.tracing import plans
from vramcast.tracing.plans import PlannedShapes, Plans
from vramcast.tracing.shape_checks import plain_checks


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plans]:
    fresh = Plans()
    monkeypatch.setattr(plans, "PLANS", fresh)
    with dynamo_postponed(), plain_checks():
        yield fresh


def test_what_comes_out_on_the_cpu_stays_there(shared: Plans) -> None:
    with PlannedShapes():
        devices = [torch.empty_like(meta(2, 3), device="cpu").device.type for _ in range(2)]
    assert devices == ["cpu", "cpu"]


def test_numbers_that_are_given_no_type_get_the_default_one(shared: Plans) -> None:
    counts = torch.empty(4, dtype=torch.int64, device="meta")
    found = []
    try:
        for default in (torch.float32, torch.float64):
            torch.set_default_dtype(default)
            with PlannedShapes():
                found.append((counts / 2).dtype)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found == [torch.float32, torch.float64]


def test_plans_do_not_grow_without_end(shared: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "CAPACITY", 10)
    with PlannedShapes():
        shapes = [tuple(torch.mm(meta(size, 3), meta(3, 4)).shape) for size in range(1, 40)]
    assert shapes == [(size, 4) for size in range(1, 40)]
    assert len(shared._plans) + len(shared._checked) <= 10


def test_a_detector_is_built_on_plans_as_without(shared: Plans) -> None:
    model = registry.find("ultralytics:yolo11n")
    with PlannedShapes():
        build_on_meta(model)
        planned = build_on_meta(model)  # its forward on zeros asks for nothing that is new
    plain = build_on_meta(model)
    assert planned.model[-1].stride.tolist() == plain.model[-1].stride.tolist() == [8, 16, 32]
    described = [[(name, value.shape, value.dtype, value.device) for name, value in module.state_dict().items()] for module in (planned, plain)]
    assert described[0] == described[1]
