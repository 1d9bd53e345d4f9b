"""How sure it is that a card is enough: measured against what the allocator can do without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from allocator_traces import TraceBuilder

from vramcast.allocator.replay import replay
from vramcast.calibration.distribution import Distribution
from vramcast.confidence import Standing, among_measured
from vramcast.gpu.context import ContextRange
from vramcast.gpu.spec import GpuSpec
from vramcast.trace import Component, Trace
from vramcast.units import MIB
from vramcast.workload import Workload

CONTEXT = ContextRange(90 * MIB, 100 * MIB, 120 * MIB, "hand-made", is_measured=False)


def standing(trace: Trace, room: int | None) -> Standing:
    """What is said on a card with so much room beside the context."""
    card = None if room is None else GpuSpec(name="a card", vendor="nvidia", memory_bytes=room + 100 * MIB, usable_bytes=room + 100 * MIB)
    return among_measured(trace, replay(trace), Workload.train(), card, lambda room: replay(trace, limit=room.limit), CONTEXT)


def ratios(found: Standing) -> Distribution:
    return found.comparable.distribution


@pytest.fixture
def plain() -> Trace:
    """100 MiB, all held at once."""
    builder = TraceBuilder()
    for _ in range(5):
        builder.allocate(20 * MIB)
    return builder.build()


@pytest.mark.parametrize("room", [0, 20, 60, 90, 97, 100, 104, 120, 200, 1000])
def test_it_is_the_share_of_cases_there_is_room_for(plain: Trace, room: int) -> None:
    found = standing(plain, room * MIB)
    assert found.confidence == pytest.approx(ratios(found).share_within(room / 100), abs=1e-4)


def test_without_a_card_nothing_is_said(plain: Trace) -> None:
    assert standing(plain, None).confidence is None


def test_it_never_falls_with_a_larger_card(plain: Trace) -> None:
    found = [standing(plain, room * MIB).confidence or 0.0 for room in range(0, 9000, 70)]
    assert found == sorted(found)
    assert found[0] == 0
    assert found[-1] > 0.99


def test_a_cache_that_can_be_given_back_does_not_count() -> None:
    builder = TraceBuilder()
    builder.free(builder.allocate(60 * MIB), builder.allocate(50 * MIB))
    builder.allocate(100 * MIB)
    trace = builder.build()
    assert replay(trace).peak_reserved == 210 * MIB
    for room in (105, 120, 140):  # 110 are needed, for the first two
        found = standing(trace, room * MIB)
        assert found.confidence == pytest.approx(ratios(found).share_within(room / 110), abs=0.02)


def test_workspaces_that_can_be_gone_without_do_not_count() -> None:
    builder = TraceBuilder()
    kept, scratch = builder.allocate(60 * MIB), builder.allocate(60 * MIB)
    trace = replace(builder.build(), operators=("aten::convolution",))
    components = np.zeros(2, np.int64)
    components[scratch] = Component.WORKSPACE
    found = standing(replace(trace, components=components), 63 * MIB)
    assert kept == 0
    assert found.confidence == pytest.approx(ratios(found).share_within(63 / 60), abs=0.02)
