"""Laws of the replay, on traces and options drawn by hypothesis."""

from __future__ import annotations

import itertools

import numpy as np
from allocator_traces import busy_trace, configs, traces
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_allocator import Piece, ReferenceAllocator

from vramcast.allocator.blocks import Block
from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.replay import native_allocator, replay
from vramcast.timeline import Timeline
from vramcast.trace import Event, Trace
from vramcast.units import MIB

LIMITS = st.one_of(st.none(), st.integers(1, 25).map(lambda count: count * 20 * MIB), st.integers(MIB, 500 * MIB))
CARD = 1000 * MIB
AMPLE = 2**40


def columns(timeline: Timeline) -> list[list[int]]:
    """Everything but addresses, which depend on how much address space the driver has."""
    return [column.tolist() for column in (timeline.allocated, timeline.active, timeline.reserved, timeline.block_sizes)]


def reference_columns(
    trace: Trace, config: AllocatorConfig, limit: int | None, card: int | None
) -> tuple[list[list[int]], int, tuple[int, int] | None]:
    allocator = ReferenceAllocator(config, limit, card)
    sizes, addresses, served = [0] * len(trace.sizes), [-1] * len(trace.sizes), dict[int, Piece]()
    allocated, reserved, failed = [], [], None
    for event, (kind, block) in enumerate(zip(trace.kinds.tolist(), trace.blocks.tolist())):
        if kind == Event.ALLOCATE:
            piece = allocator.allocate(int(trace.sizes[block]), int(trace.streams[block]))
            if piece is None:
                failed = (event, allocator.reserved)
                break
            served[block], sizes[block], addresses[block] = piece, piece.size, piece.start
        elif kind == Event.FREE:
            allocator.free(served[block])
        else:
            allocator.release_all()
        allocated.append(allocator.allocated)
        reserved.append(allocator.reserved)
    return [allocated, allocated, reserved, sizes], addresses, allocator.num_alloc_retries, failed


def assert_agreement(trace: Trace, config: AllocatorConfig, limit: int | None, card: int) -> None:
    timeline = replay(trace, config, limit, device_memory=card)
    expected, addresses, retries, failed = reference_columns(trace, config, limit, card)
    assert columns(timeline) == expected
    assert config.expandable_segments or timeline.block_addresses.tolist() == addresses
    assert timeline.num_alloc_retries == retries
    oom = timeline.out_of_memory
    assert (None if oom is None else (oom.event, oom.reserved)) == failed


@settings(max_examples=500, deadline=None)
@given(seed=st.integers(0, 2**32), config=configs(), limit=LIMITS)
def test_busy_traces_agree_with_the_reference(seed: int, config: AllocatorConfig, limit: int | None) -> None:
    # With expandable segments a card of 1 TiB keeps the end of the address space out of the comparison.
    assert_agreement(busy_trace(seed), config, limit, AMPLE if config.expandable_segments else CARD)


@settings(max_examples=60, deadline=None)
@given(trace=traces(), config=configs(), limit=LIMITS)
def test_short_traces_agree_with_the_reference(trace: Trace, config: AllocatorConfig, limit: int | None) -> None:
    assert_agreement(trace, config, limit, AMPLE if config.expandable_segments else CARD)


@settings(max_examples=60, deadline=None)
@given(trace=traces(), config=configs(), limit=LIMITS)
def test_live_blocks_lie_apart_inside_segments(trace: Trace, config: AllocatorConfig, limit: int | None) -> None:
    timeline = replay(trace, config, limit)
    end = len(timeline.allocated)
    for event in range(0, end, 7):
        live = trace.live_blocks(event)
        spans = sorted(zip(timeline.block_addresses[live].tolist(), timeline.block_sizes[live].tolist()))
        assert all(start + size <= following for (start, size), (following, _) in itertools.pairwise(spans))
        held = [segment for segment in timeline.segments if segment.born <= event and (segment.died is None or segment.died > event)]
        covered = sum(overlap(start, size, segment.address, segment.size) for start, size in spans for segment in held)
        assert covered == timeline.allocated[event]
        assert sum(segment.size for segment in held) == timeline.reserved[event]


def overlap(start: int, size: int, other: int, other_size: int) -> int:
    return max(0, min(start + size, other + other_size) - max(start, other))


@settings(max_examples=60, deadline=None)
@given(trace=traces(), config=configs())
def test_blocks_tile_their_segment(trace: Trace, config: AllocatorConfig) -> None:
    allocator = native_allocator(config, None, None)
    live: dict[int, Block] = {}
    for event, (kind, index) in enumerate(zip(trace.kinds.tolist(), trace.blocks.tolist())):
        if kind == Event.ALLOCATE:
            block = allocator.allocate(int(trace.sizes[index]), int(trace.streams[index]), event)
            assert block is not None
            live[index] = block
        elif kind == Event.FREE:
            allocator.free(live.pop(index))
        else:
            allocator.empty_cache(event)
    whole = {(segment.address, segment.size) for segment in allocator.segments() if segment.died is None}
    for block in live.values():
        start, size = chain(block)
        assert config.expandable_segments or (start, size) in whole


def chain(block: Block) -> tuple[int, int]:
    """Walk to the first block of the segment and back to the last, checking every link; return address and size of it all."""
    while block.previous is not None:
        assert block.previous.following is block
        block = block.previous
    start, size = block.address, block.size
    while block.following is not None:
        following = block.following
        assert following.previous is block
        assert following.address == block.address + block.size
        assert not (block.is_free and following.is_free), "free neighbours were not joined"
        assert block.is_mapped or following.is_mapped, "unmapped neighbours were not joined"
        size, block = size + following.size, following
    return start, size


@settings(max_examples=60, deadline=None)
@given(trace=traces(), config=configs(), limit=LIMITS)
def test_allocated_is_at_most_reserved_and_reserved_within_the_limit(trace: Trace, config: AllocatorConfig, limit: int | None) -> None:
    timeline = replay(trace, config, limit)
    assert np.all(timeline.allocated >= 0)
    assert np.all(timeline.allocated <= timeline.active)
    assert np.all(timeline.active <= timeline.reserved)
    if limit is not None:
        assert timeline.peak_reserved <= limit
    if timeline.out_of_memory is None:
        assert len(timeline.reserved) == len(trace)
        assert np.all(timeline.block_sizes >= trace.sizes)
    else:
        assert len(timeline.reserved) == timeline.out_of_memory.event
        assert trace.kinds[timeline.out_of_memory.event] == Event.ALLOCATE


@settings(max_examples=50, deadline=None)
@given(trace=traces(), config=configs())
def test_freeing_everything_leaves_nothing(trace: Trace, config: AllocatorConfig) -> None:
    allocator = native_allocator(config, None, None)
    blocks = [allocator.allocate(int(size), int(stream), 0) for size, stream in zip(trace.sizes, trace.streams)]
    for block in blocks[::2] + blocks[1::2]:
        assert block is not None
        allocator.free(block)
    allocator.empty_cache(1)
    assert allocator.reserved == 0
    assert all(segment.died == 1 for segment in allocator.segments())


@settings(max_examples=50, deadline=None)
@given(trace=traces(), config=configs(), limit=LIMITS)
def test_the_same_trace_gives_the_same_timeline(trace: Trace, config: AllocatorConfig, limit: int | None) -> None:
    first, second = replay(trace, config, limit), replay(trace, config, limit)
    assert columns(first) == columns(second)
    assert first.block_addresses.tolist() == second.block_addresses.tolist()
    assert (first.segments, first.num_alloc_retries, first.out_of_memory) == (second.segments, second.num_alloc_retries, second.out_of_memory)


@settings(max_examples=50, deadline=None)
@given(trace=traces(), config=configs())
def test_an_ample_limit_changes_nothing(trace: Trace, config: AllocatorConfig) -> None:
    limited, unlimited = replay(trace, config, AMPLE), replay(trace, config)
    assert columns(limited) == columns(unlimited)
    assert limited.num_alloc_retries == 0
    assert limited.out_of_memory is None


@settings(max_examples=50, deadline=None)
@given(trace=traces(), config=configs())
def test_the_peak_of_the_unlimited_replay_is_enough(trace: Trace, config: AllocatorConfig) -> None:
    unlimited = replay(trace, config)
    # The fraction would be taken of the limit: a card of 1 TiB leaves the limit alone.
    limited = replay(trace, config, unlimited.peak_reserved, device_memory=AMPLE)
    assert columns(limited) == columns(unlimited)
