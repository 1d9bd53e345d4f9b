"""Worked examples of `expandable_segments:True`."""

from __future__ import annotations

from allocator_traces import TraceBuilder

from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.replay import replay
from vramcast.timeline import OutOfMemory
from vramcast.units import MIB

EXPANDABLE = AllocatorConfig(expandable_segments=True)


def test_pages_are_2_mib_in_the_small_pool_and_20_in_the_large_one(builder: TraceBuilder) -> None:
    builder.allocate(512)
    builder.allocate(MIB + 1)
    builder.allocate(21 * MIB)
    timeline = replay(builder.build(), EXPANDABLE)
    # 1 MiB and 512 bytes and 21 MiB lie in two pages of 20 MiB, side by side.
    assert timeline.reserved.tolist() == [2 * MIB, 22 * MIB, 42 * MIB]
    assert timeline.block_sizes.tolist() == [512, MIB + 512, 21 * MIB]
    assert timeline.block_addresses[2] == timeline.block_addresses[1] + MIB + 512
    assert [(segment.size, segment.is_small, segment.is_expandable) for segment in timeline.segments] == [
        (2 * MIB, True, True),
        (20 * MIB, False, True),
        (20 * MIB, False, True),
    ]


def test_no_slack_stays_with_a_large_block(builder: TraceBuilder) -> None:
    builder.allocate(15 * MIB)
    timeline = replay(builder.build(), EXPANDABLE)
    assert timeline.allocated.tolist() == [15 * MIB]
    assert timeline.reserved.tolist() == [20 * MIB]


def test_a_growing_tensor_extends_the_free_end(builder: TraceBuilder) -> None:
    for size in (30, 50, 70):
        builder.free(builder.allocate(size * MIB))
    trace = builder.build()
    # By whole segments the same takes 30 + 50 + 70 MiB.
    assert replay(trace, EXPANDABLE).peak_reserved == 80 * MIB
    assert replay(trace).peak_reserved == 150 * MIB


def test_pages_mapped_together_are_one_segment(builder: TraceBuilder) -> None:
    builder.allocate(70 * MIB)
    timeline = replay(builder.build(), EXPANDABLE)
    assert [(segment.size, segment.born, segment.died) for segment in timeline.segments] == [(80 * MIB, 0, None)]


def test_empty_cache_unmaps_the_whole_pages_inside_free_blocks(builder: TraceBuilder) -> None:
    first, second, third = (builder.allocate(30 * MIB) for _ in range(3))
    builder.free(first, third)
    builder.empty_cache()
    builder.allocate(5 * MIB)
    timeline = replay(builder.build(), EXPANDABLE)
    # Of 100 MiB, block two holds 30 to 60: pages 20-40 and 40-60 stay, 0-20 and 60-100 go. 5 MiB then fit into 20-30.
    assert timeline.reserved.tolist() == [40 * MIB, 60 * MIB, 100 * MIB, 100 * MIB, 100 * MIB, 40 * MIB, 40 * MIB]
    assert timeline.block_addresses[3] == timeline.block_addresses[second] - 10 * MIB


def test_unmapped_gaps_are_filled_from_the_lowest_address(builder: TraceBuilder) -> None:
    first, _ = builder.allocate(40 * MIB), builder.allocate(20 * MIB)
    builder.free(first)
    builder.empty_cache()
    again = builder.allocate(40 * MIB)
    timeline = replay(builder.build(), EXPANDABLE)
    assert timeline.block_addresses[again] == timeline.block_addresses[first]
    assert timeline.reserved.tolist() == [40 * MIB, 60 * MIB, 60 * MIB, 20 * MIB, 60 * MIB]


def test_cached_pages_of_the_other_pool_are_given_back_first(builder: TraceBuilder) -> None:
    builder.free(builder.allocate(MIB))
    builder.allocate(40 * MIB)
    timeline = replay(builder.build(), EXPANDABLE, limit=40 * MIB)
    assert timeline.num_alloc_retries == 1
    assert timeline.reserved.tolist() == [2 * MIB, 2 * MIB, 40 * MIB]


def test_out_of_memory_is_decided_by_whole_pages(builder: TraceBuilder) -> None:
    builder.allocate(21 * MIB)
    assert replay(builder.build(), EXPANDABLE, limit=39 * MIB).out_of_memory == OutOfMemory(0, 21 * MIB, 0)
    assert replay(builder.build(), EXPANDABLE, limit=40 * MIB).out_of_memory is None


def test_a_block_that_can_grow_less_is_preferred(builder: TraceBuilder) -> None:
    gap, wall, end = builder.allocate(12 * MIB), builder.allocate(20 * MIB), builder.allocate(2 * MIB)
    builder.free(gap, end)
    builder.allocate(6 * MIB)
    timeline = replay(builder.build(), EXPANDABLE)
    # The end has 8 MiB free, less than the gap's 12, but it can grow.
    assert timeline.block_addresses[wall] < timeline.block_addresses[end]
    assert timeline.block_addresses[3] == timeline.block_addresses[gap]


def test_a_second_range_is_reserved_when_the_addresses_are_used_up(builder: TraceBuilder) -> None:
    blocks = [builder.allocate(20 * MIB) for _ in range(5)]
    builder.free(blocks[0], blocks[2])
    builder.empty_cache()
    builder.allocate(40 * MIB)
    # 100 MiB of memory have addresses for 120 MiB; without a gap of 40 among them, new ones are needed.
    timeline = replay(builder.build(), EXPANDABLE, limit=100 * MIB)
    assert timeline.out_of_memory is None
    assert timeline.reserved[-1] == 100 * MIB
    assert timeline.block_addresses[5] >= timeline.block_addresses[0] + 120 * MIB


def test_a_memory_fraction_counts_the_segment_not_the_pages(builder: TraceBuilder) -> None:
    builder.allocate(21 * MIB)
    config = AllocatorConfig(expandable_segments=True, per_process_memory_fraction=0.5)
    # The check is made with 22 MiB, as for cudaMalloc, although 40 MiB are mapped.
    assert replay(builder.build(), config, device_memory=44 * MIB).peak_reserved == 40 * MIB
    assert replay(builder.build(), config, device_memory=43 * MIB).out_of_memory is not None
