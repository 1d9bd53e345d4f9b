"""The pass that puts scratch into a trace: places, order, and what must not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scratch_calls import call, tensor

from vramcast.trace import Component, Event, OperatorCall, Phase, Subject, Trace
from vramcast.workspace.insert import insert_scratch
from vramcast.workspace.scratch import Rule, Scratch, Site
from vramcast.workspace.stack import Stack

A, F, E = Event.ALLOCATE, Event.FREE, Event.EMPTY_CACHE


def make_trace(events: list[tuple[int, int, int]], operators: list[int], calls: dict[int, OperatorCall]) -> Trace:
    """Make a trace of (kind, block, operation) events; `operators` gives the phase of each operation."""
    count = 1 + max((block for _, block, _ in events), default=-1)
    kinds, blocks, operations = (np.array(column, np.int64) for column in (zip(*events) if events else ((), (), ())))
    return Trace(
        subject=Subject("t", "test", 0, 0), kinds=kinds, blocks=blocks, operations=operations, sizes=np.arange(1, count + 1) * 1000,
        components=np.full(count, Component.ACTIVATIONS), streams=np.zeros(count, np.int64), block_modules=np.zeros(count, np.int64),
        operation_operators=np.zeros(len(operators), np.int64), operation_modules=np.ones(len(operators), np.int64),
        operation_phases=np.array(operators, np.int64), operators=("aten::f",), modules=("", "layer"),
        phases=(Phase("forward", 0), Phase("backward", 0)), calls=calls,
    )  # fmt: skip


def fixed(*scratch: Scratch) -> dict[str, Rule]:
    return {"f": lambda described, site: scratch}


def story(trace: Trace) -> list[tuple[str, int]]:
    names = {A: "+", F: "-", E: "e"}
    return [(names[Event(kind)], int(block)) for kind, block in zip(trace.kinds, trace.blocks)]


ONE = [(A, 0, 0), (A, 1, 1), (A, 2, 1), (F, 0, 1), (A, 3, 2)]
CALL = {1: call("f", tensor(4))}


@pytest.mark.parametrize(
    ("scratch", "expected"),
    [
        ((Scratch(7),), "+0 +4 +1 +2 -4 -0 +3"),
        ((Scratch(7, after=1),), "+0 +1 +4 +2 -4 -0 +3"),
        ((Scratch(7, after=9),), "+0 +1 +2 +4 -4 -0 +3"),
        ((Scratch(7, until=0),), "+0 +4 -4 +1 +2 -0 +3"),
        ((Scratch(7), Scratch(8)), "+0 +4 +5 +1 +2 -4 -5 -0 +3"),
        ((Scratch(7, after=1, until=1), Scratch(8, after=1, until=1, launch=1)), "+0 +1 +4 -4 +5 -5 +2 -0 +3"),
        ((Scratch(7, through=1), Scratch(8, until=0), Scratch(9, after=2, launch=1)), "+0 +4 +5 -5 +1 +2 +6 -4 -6 -0 +3"),
        ((Scratch(7, after=1, stays=True),), "+0 +1 +4 +2 -0 +3"),
        ((Scratch(7, after=1, until=1, empties_cache=True),), "+0 +1 +4 -4 e-1 +2 -0 +3"),
        ((Scratch(0),), "+0 +1 +2 -0 +3"),
    ],
)
def test_places(scratch: tuple[Scratch, ...], expected: str) -> None:
    result = insert_scratch(make_trace(ONE, [0, 0, 0], CALL), Stack(), fixed(*scratch))
    assert " ".join(f"{kind}{block}" for kind, block in story(result)) == expected
    result.validate()


def test_new_blocks_say_what_they_are() -> None:
    result = insert_scratch(make_trace(ONE, [0, 0, 0], CALL), Stack(), fixed(Scratch(7), Scratch(8)))
    assert result.sizes.tolist() == [1000, 2000, 3000, 4000, 7, 8]
    assert result.components[4:].tolist() == [Component.WORKSPACE] * 2
    assert result.block_modules[4:].tolist() == [1, 1]
    assert result.operations[(result.blocks >= 4)].tolist() == [1] * 4


def test_a_call_without_events_still_takes_scratch() -> None:
    result = insert_scratch(make_trace([(A, 0, 0), (F, 0, 2)], [0, 0, 0], CALL), Stack(), fixed(Scratch(7)))
    assert story(result) == [("+", 0), ("+", 1), ("-", 1), ("-", 0)]


def test_a_trace_without_calls_is_returned_as_it_is() -> None:
    trace = make_trace(ONE, [0, 0, 0], {})
    assert insert_scratch(trace, Stack()) is trace


def test_what_is_taken_once_is_taken_by_the_first_call() -> None:
    calls = {operation: call("f", tensor(4)) for operation in (0, 1, 2)}
    result = insert_scratch(make_trace(ONE, [0, 0, 0], calls), Stack(), fixed(Scratch(7, once="key", stays=True)))
    assert result.sizes[4:].tolist() == [7]
    assert story(result)[0] == ("+", 4)


def test_rules_learn_the_thread_and_the_free_memory() -> None:
    seen: list[Site] = []

    def rule(described: OperatorCall, site: Site) -> tuple[Scratch, ...]:
        seen.append(site)
        return ()

    calls = {operation: call("f", tensor(4)) for operation in (0, 2)}
    insert_scratch(make_trace(ONE, [0, 0, 1], calls), Stack(device_memory=10_000), {"f": rule})
    assert [site.is_backward for site in seen] == [False, True]
    assert [site.free_bytes for site in seen] == [10_000, 10_000 - 2000 - 3000]


def test_an_emptied_cache_is_a_caveat_with_its_bound() -> None:
    result = insert_scratch(make_trace(ONE, [0, 0, 0], CALL), Stack(), fixed(Scratch(700, empties_cache=True)))
    assert [caveat.bound_bytes for caveat in result.caveats] == [700]


scratches = st.builds(
    lambda size, after, length, launch: Scratch(size, after, None if length is None else after + length, launch),
    st.integers(0, 5000), st.integers(0, 4), st.none() | st.integers(0, 3), st.integers(0, 3),
)  # fmt: skip


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Draw a trace whose blocks die now or later, and some of whose operations are described."""
    events: list[tuple[int, int, int]] = []
    live: list[int] = []
    operations = draw(st.integers(1, 8))
    for operation in range(operations):
        for _ in range(draw(st.integers(0, 4))):
            if live and draw(st.booleans()):
                events.append((F, live.pop(draw(st.integers(0, len(live) - 1))), operation))
            else:
                block = sum(kind == A for kind, _, _ in events)
                events.append((A, block, operation))
                live.append(block)
    described = {operation: call("f", tensor(operation + 1)) for operation in range(operations) if draw(st.booleans())}
    return make_trace(events, [0] * operations, described)


@given(traces(), st.lists(scratches, max_size=4))
def test_inserting_changes_nothing_else(trace: Trace, wanted: list[Scratch]) -> None:
    result = insert_scratch(trace, Stack(), fixed(*wanted))
    result.validate()
    old = result.blocks < len(trace.sizes)
    for name in ("kinds", "blocks", "operations"):
        assert getattr(result, name)[old].tolist() == getattr(trace, name).tolist()
    assert result.sizes[: len(trace.sizes)].tolist() == trace.sizes.tolist()
    assert len(result.sizes) - len(trace.sizes) == len(trace.calls) * sum(scratch.size > 0 for scratch in wanted)
    assert np.all(np.diff(result.operations) >= 0)
    born, died = result.operations[result.allocated_at[len(trace.sizes) :]], result.freed_at[len(trace.sizes) :]
    assert np.all(died < len(result))
    assert result.operations[died].tolist() == born.tolist(), "scratch lives within its call"
