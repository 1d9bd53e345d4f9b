"""A forecast beside measured runs that differ from it in one known way each: the way is found, and the bytes go where they belong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from changed_traces import REQUESTS, as_measured, changed, step
from hypothesis import given, settings
from hypothesis import strategies as st

from vramcast.allocator.replay import replay
from vramcast.comparison.alignment import align
from vramcast.comparison.compare import Comparison, compare
from vramcast.comparison.side import Side
from vramcast.comparison.wording import describe, describe_events
from vramcast.trace import Component, Event, Phase, Trace
from vramcast.units import MIB

CONTEXT = 400 * MIB


def side(trace: Trace, *, reserved: int | None = None, context: int = CONTEXT) -> Side:
    reserved = replay(trace).peak_reserved if reserved is None else reserved
    return Side(name="a side", reserved_bytes=reserved, context_bytes=context, process_bytes=reserved + context, trace=trace)


def compared(measured: Trace, **figures: int) -> Comparison:
    return compare(side(step()), side(as_measured(measured), **figures))


def test_nothing_differs_from_itself() -> None:
    comparison = compared(step())
    assert comparison.events is not None
    assert comparison.events.are_equal
    assert comparison.shares is not None
    assert (comparison.shares.total, comparison.shares.is_exact) == (0, True)
    assert {row.name: row.measured for row in comparison.components} == {row.name: row.forecast for row in comparison.components}


def test_another_scratch_is_an_error_of_the_workspace_alone() -> None:
    comparison = compared(step(changed(size=(2, 70 * MIB))))
    assert comparison.shares is not None
    assert comparison.shares.workspace == -40 * MIB
    assert (comparison.shares.allocator, comparison.shares.tracer, comparison.shares.context) == (0, 0, 0)
    assert comparison.events is not None
    assert comparison.events.first is not None
    assert comparison.events.first.matched == 2
    assert comparison.events.first.forecast is not None
    assert comparison.events.first.measured is not None
    assert (comparison.events.first.forecast.operator, comparison.events.first.forecast.module) == ("aten::convolution", "conv")
    assert (comparison.events.first.forecast.size, comparison.events.first.measured.size) == (30 * MIB, 70 * MIB)
    assert comparison.events.first_tensor is None


def test_scratch_that_a_forecast_does_not_know_is_found_beside_its_operator() -> None:
    without = tuple(request for index, request in enumerate(REQUESTS) if index != 2)
    shifted = [(*request[:5], None if request[5] is None else request[5] - 1) for request in without]
    measured = step()
    comparison = compare(side(step(shifted)), side(as_measured(measured)))
    assert comparison.shares is not None
    assert comparison.shares.tracer == 0
    assert comparison.shares.workspace == replay(step(shifted)).peak_reserved - replay(measured).peak_reserved < 0


def test_a_tensor_that_was_not_forecast_is_an_error_of_the_tracer_alone() -> None:
    extra = (1, 2, 2, 60 * MIB, Component.OTHER, 7)
    shifted = [(*request[:5], request[5] + 1 if request[5] is not None and request[5] > 3 else request[5]) for request in REQUESTS]
    measured = step([*shifted[:4], extra, *shifted[4:]])
    comparison = compared(measured)
    assert comparison.shares is not None
    assert comparison.shares.workspace == 0
    assert comparison.shares.tracer == replay(step()).peak_reserved - replay(measured).peak_reserved < 0
    assert comparison.events is not None
    assert comparison.events.first_tensor is not None
    assert comparison.events.first_tensor.measured is not None
    assert comparison.events.first_tensor.measured.size == 60 * MIB
    assert [(part.operator, part.phase, part.count, part.size) for part in comparison.events.only_measured] == [
        ("aten::relu", "forward", 1, 60 * MIB)
    ]


def test_an_activation_that_lives_longer_is_named() -> None:
    comparison = compared(step(changed(freed=(1, None))))
    assert comparison.events is not None
    assert comparison.events.first is None
    assert comparison.events.lifetimes_count == 1
    lifetime = comparison.events.lifetimes[0]
    assert (lifetime.request.operator, lifetime.request.size) == ("aten::convolution", 24 * MIB)
    assert (lifetime.freed_after, lifetime.measured_freed_after) == (6, None)


def test_a_cache_that_is_emptied_is_the_workspaces_doing() -> None:
    """cuDNN's search asks for much, and gives it back to the driver: on either side, it is no error of the tracer."""
    plain, searched = step(), _emptied(step(changed(size=(2, 300 * MIB))))
    for forecast, measured in ((plain, searched), (searched, plain)):
        comparison = compare(side(forecast), side(as_measured(measured)))
        assert comparison.shares is not None
        assert (comparison.shares.allocator, comparison.shares.tracer) == (0, 0)
        assert comparison.shares.workspace == replay(forecast).peak_reserved - replay(measured).peak_reserved != 0


def _emptied(trace: Trace) -> Trace:
    """Empty the cache once the scratch is freed."""
    after = int(trace.freed_at[2]) + 1
    return replace(
        trace,
        kinds=np.insert(trace.kinds, after, Event.EMPTY_CACHE),
        blocks=np.insert(trace.blocks, after, -1),
        operations=np.insert(trace.operations, after, trace.operations[after - 1]),
    )


def test_a_replay_that_does_not_give_what_was_recorded_is_an_error_of_the_allocator() -> None:
    comparison = compared(step(), reserved=replay(step()).peak_reserved + 2 * MIB)
    assert comparison.shares is not None
    assert not comparison.shares.is_exact
    assert comparison.shares.allocator == -2 * MIB
    assert "were recorded" in "\n".join(describe(comparison))


def test_another_context_is_an_error_of_the_context_alone() -> None:
    comparison = compared(step(), context=CONTEXT + 5 * MIB)
    assert comparison.shares is not None
    assert (comparison.shares.context, comparison.shares.total) == (-5 * MIB, -5 * MIB)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_shares_add_up_to_the_error_of_the_process(data: st.DataObject) -> None:
    """Whatever requests are changed, dropped or doubled on the measured side."""
    requests = list(REQUESTS)
    for _ in range(data.draw(st.integers(0, 4))):
        index = data.draw(st.integers(0, len(requests) - 1))
        phase, operator, module, size, component, freed = requests[index]
        requests[index] = (phase, operator, module, size * data.draw(st.integers(1, 3)), component, data.draw(st.sampled_from([freed, None])))
    measured = as_measured(step(requests))
    recorded = replay(measured).peak_reserved + data.draw(st.integers(0, 3)) * 2 * MIB
    forecast, real = side(step()), side(measured, reserved=recorded, context=CONTEXT + 7)
    comparison = compare(forecast, real)
    assert comparison.shares is not None
    assert forecast.process_bytes is not None
    assert real.process_bytes is not None
    assert comparison.shares.total == forecast.process_bytes - real.process_bytes
    assert comparison.events is not None
    pairs, alone = comparison.events.pairs, sum(part.count for part in comparison.events.only_measured)
    assert pairs + alone == len(measured.sizes)


def test_a_run_without_phases_is_compared_as_one_sequence() -> None:
    measured = as_measured(step())
    plain = replace(measured, phases=(Phase("recorded", -1),), operation_phases=np.zeros_like(measured.operation_phases))
    aligned = align(step(), plain)
    assert not aligned.by_phase
    assert len(aligned.forecast) == len(REQUESTS)


def test_a_long_sequence_is_cut_rather_than_compared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vramcast.comparison.alignment.LARGEST_TABLE", 4)
    aligned = align(step(), as_measured(step()))
    assert (len(aligned.only_forecast), len(aligned.only_measured)) == (0, 0)


def test_the_page_says_what_the_values_say() -> None:
    comparison = compared(step(changed(size=(2, 70 * MIB), freed=(1, None))), context=CONTEXT + 5 * MIB)
    page = "\n".join(describe(comparison))
    assert "exactly what was recorded" in page
    assert [line.split() for line in page.splitlines() if line.startswith("workspace")][-1] == ["workspace", "-40.00", "MiB"]
    assert comparison.events is not None
    events = "\n".join(describe_events(comparison.events))
    assert "First difference, after 2 requests in common:" in events
    assert "forecast  aten::convolution in conv (forward, step 0): 31,457,280 B" in events
    assert "measured  aten::convolution in conv (forward, step 0): 73,400,320 B" in events
    assert "Freed at another place: 1 blocks" in events
