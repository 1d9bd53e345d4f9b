"""`cudaMalloc` without an arena."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from allocator_traces import TraceBuilder
from hypothesis import given
from hypothesis import strategies as st

from vramcast.allocator.plain_malloc import replay_plainly
from vramcast.allocator.room import UNLIMITED_ROOM, Room
from vramcast.trace import Trace
from vramcast.units import MIB


def _apart(trace: Trace) -> Trace:
    """Every event an operation of its own."""
    rows = np.arange(len(trace))
    zeros = np.zeros(len(trace), np.int64)
    return replace(trace, operations=rows, operation_operators=zeros, operation_modules=zeros, operation_phases=zeros)


def test_a_request_takes_whole_pages_and_gives_them_back() -> None:
    builder = TraceBuilder()
    block = builder.allocate(3 * MIB)
    builder.free(block)
    builder.allocate(5 * MIB)
    timeline = replay_plainly(_apart(builder.build()), UNLIMITED_ROOM)
    assert timeline.reserved.tolist() == [4 * MIB, 0, 6 * MIB]
    assert timeline.allocated.tolist() == [3 * MIB, 0, 5 * MIB]


def test_small_requests_share_a_page() -> None:
    builder = TraceBuilder()
    for _ in range(8):
        builder.allocate(1000)
    timeline = replay_plainly(_apart(builder.build()), UNLIMITED_ROOM)
    assert timeline.peak_reserved == 2 * MIB
    assert np.diff(timeline.block_addresses).tolist() == [1024] * 7


def test_what_one_operation_asks_for_is_one_request() -> None:
    builder = TraceBuilder()
    for _ in range(4):
        builder.allocate(MIB * 3 // 2)
    whole = builder.build()  # one operation
    assert replay_plainly(whole, UNLIMITED_ROOM).peak_reserved == 6 * MIB
    assert replay_plainly(_apart(whole), UNLIMITED_ROOM).peak_reserved == 8 * MIB


def test_a_request_that_does_not_fit_ends_the_run() -> None:
    builder = TraceBuilder()
    builder.allocate(3 * MIB)
    builder.allocate(3 * MIB)
    timeline = replay_plainly(_apart(builder.build()), Room(limit=6 * MIB))
    assert timeline.out_of_memory is not None
    assert timeline.out_of_memory.event == 1


@given(st.lists(st.integers(1, 4 * MIB), min_size=1, max_size=40), st.data())
def test_live_blocks_lie_apart_within_what_is_held(sizes: list[int], data: st.DataObject) -> None:
    builder, live = TraceBuilder(), []
    for size in sizes:
        live.append(builder.allocate(size))
        if data.draw(st.booleans()):
            builder.free(live.pop(data.draw(st.integers(0, len(live) - 1))))
    trace = _apart(builder.build())
    timeline = replay_plainly(trace, UNLIMITED_ROOM)
    for event in range(len(trace)):
        spans = sorted((int(timeline.block_addresses[block]), int(timeline.block_sizes[block])) for block in trace.live_blocks(event))
        assert all(start + size <= later for (start, size), (later, _) in itertools.pairwise(spans))
        assert timeline.allocated[event] <= timeline.reserved[event]
    held = [segment for segment in timeline.segments if segment.died is None]
    assert sum(segment.size for segment in held) == timeline.reserved[-1]
