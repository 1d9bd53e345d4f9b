"""Worked examples of the native allocator, with segments of `cudaMalloc`."""

from __future__ import annotations

import pytest
from allocator_traces import TraceBuilder

from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.replay import replay
from vramcast.timeline import OutOfMemory
from vramcast.units import KIB, MIB

CUBLAS_WORKSPACE = 8519680
"""Default workspace before compute capability 9.0: 4096 KiB * 2 + 16 KiB * 8 (aten/src/ATen/cuda/CublasHandlePool.cpp, torch 2.13)."""


def test_15_mib_report_16_mib_allocated(builder: TraceBuilder) -> None:
    builder.allocate(15 * MIB)
    timeline = replay(builder.build())
    assert timeline.allocated.tolist() == [16 * MIB]
    assert timeline.reserved.tolist() == [16 * MIB]


def test_two_tensors_of_9_and_a_half_mib_share_a_segment_of_20(builder: TraceBuilder) -> None:
    builder.allocate(19 * MIB // 2)
    builder.allocate(19 * MIB // 2)
    timeline = replay(builder.build())
    # The rest of 1 MiB is not more than 1 MiB, so it stays with the second block.
    assert timeline.block_sizes.tolist() == [19 * MIB // 2, 21 * MIB // 2]
    assert timeline.reserved.tolist() == [20 * MIB, 20 * MIB]
    first, second = timeline.block_addresses.tolist()
    assert second == first + 19 * MIB // 2


@pytest.mark.parametrize(("second", "size"), [(9 * MIB, 9 * MIB), (9 * MIB + 512, 10 * MIB + 512)])
def test_a_large_block_is_split_only_if_more_than_1_mib_remains(builder: TraceBuilder, second: int, size: int) -> None:
    builder.allocate(10 * MIB - 512)
    builder.allocate(second)
    timeline = replay(builder.build())
    assert timeline.block_sizes[1] == size
    assert timeline.reserved[-1] == 20 * MIB


def test_the_cublas_workspace_takes_the_front_of_a_20_mib_segment(builder: TraceBuilder) -> None:
    builder.allocate(CUBLAS_WORKSPACE)
    builder.allocate(9 * MIB)
    timeline = replay(builder.build())
    assert timeline.block_sizes.tolist() == [CUBLAS_WORKSPACE, 9 * MIB]
    assert timeline.reserved.tolist() == [20 * MIB, 20 * MIB]


def test_up_to_1_mib_is_packed_into_small_segments_of_2(builder: TraceBuilder) -> None:
    builder.allocate(MIB)
    builder.allocate(512 * KIB)
    builder.allocate(1)
    builder.allocate(MIB + 1)
    timeline = replay(builder.build())
    assert timeline.reserved.tolist() == [2 * MIB, 2 * MIB, 2 * MIB, 22 * MIB]
    assert timeline.block_sizes.tolist() == [MIB, 512 * KIB, 512, MIB + 512]
    assert [(segment.size, segment.is_small, segment.born) for segment in timeline.segments] == [(2 * MIB, True, 0), (20 * MIB, False, 3)]


def test_freed_blocks_are_used_again_and_stay_reserved(builder: TraceBuilder) -> None:
    builder.free(builder.allocate(30 * MIB))
    builder.allocate(30 * MIB)
    timeline = replay(builder.build())
    assert timeline.allocated.tolist() == [30 * MIB, 0, 30 * MIB]
    assert timeline.reserved.tolist() == [30 * MIB] * 3
    assert timeline.block_addresses[0] == timeline.block_addresses[1]


def test_the_smallest_sufficient_block_is_taken(builder: TraceBuilder) -> None:
    blocks = [builder.allocate(size * MIB) for size in (60, 40, 50)]
    builder.free(*blocks)
    builder.allocate(39 * MIB)
    timeline = replay(builder.build())
    assert timeline.block_addresses[3] == timeline.block_addresses[1]
    assert timeline.block_sizes[3] == 40 * MIB


def test_freed_neighbours_are_joined(builder: TraceBuilder) -> None:
    blocks = [builder.allocate(5 * MIB) for _ in range(4)]
    builder.free(blocks[0], blocks[2], blocks[1])
    builder.allocate(15 * MIB)
    timeline = replay(builder.build())
    assert timeline.peak_reserved == 20 * MIB
    assert timeline.block_addresses[4] == timeline.block_addresses[0]


def test_streams_do_not_share_blocks(builder: TraceBuilder) -> None:
    builder.free(builder.allocate(30 * MIB, stream=0))
    builder.allocate(30 * MIB, stream=1)
    timeline = replay(builder.build())
    assert timeline.reserved[-1] == 60 * MIB
    assert [segment.stream for segment in timeline.segments] == [0, 1]


def test_empty_cache_gives_unsplit_segments_back(builder: TraceBuilder) -> None:
    unsplit, split = builder.allocate(30 * MIB), builder.allocate(5 * MIB)
    builder.allocate(5 * MIB)
    builder.free(unsplit, split)
    builder.empty_cache()
    timeline = replay(builder.build())
    assert timeline.reserved[-2:].tolist() == [50 * MIB, 20 * MIB]
    assert [(segment.size, segment.died) for segment in timeline.segments] == [(30 * MIB, 5), (20 * MIB, None)]


def test_cached_segments_are_given_back_before_memory_runs_out(builder: TraceBuilder) -> None:
    builder.free(builder.allocate(60 * MIB))
    builder.allocate(80 * MIB)
    timeline = replay(builder.build(), limit=100 * MIB)
    assert timeline.out_of_memory is None
    assert timeline.num_alloc_retries == 1
    assert timeline.reserved.tolist() == [60 * MIB, 60 * MIB, 80 * MIB]
    assert timeline.segments[0].died == timeline.segments[1].born == 2


def test_out_of_memory_ends_the_timeline(builder: TraceBuilder) -> None:
    builder.allocate(60 * MIB)
    builder.free(builder.allocate(30 * MIB))
    failing = builder.allocate(50 * MIB)
    builder.free(failing)
    timeline = replay(builder.build(), limit=100 * MIB)
    assert timeline.out_of_memory == OutOfMemory(event=3, requested=50 * MIB, reserved=60 * MIB)
    assert timeline.reserved.tolist() == [60 * MIB, 90 * MIB, 90 * MIB]
    assert (timeline.block_sizes[failing], timeline.block_addresses[failing]) == (0, -1)


def test_fragmentation_can_fail_what_would_fit_in_bytes(builder: TraceBuilder) -> None:
    blocks = [builder.allocate(5 * MIB) for _ in range(8)]
    builder.free(*blocks[::2])
    builder.allocate(12 * MIB)
    trace = builder.build()
    assert replay(trace, limit=40 * MIB).out_of_memory is not None
    assert replay(trace, AllocatorConfig(expandable_segments=True), limit=60 * MIB).out_of_memory is None


def test_a_memory_fraction_limits_what_is_reserved(builder: TraceBuilder) -> None:
    builder.allocate(40 * MIB)
    builder.allocate(40 * MIB)
    config = AllocatorConfig(per_process_memory_fraction=0.5)
    assert replay(builder.build(), config, device_memory=159 * MIB).out_of_memory == OutOfMemory(1, 40 * MIB, 40 * MIB)
    assert replay(builder.build(), config, device_memory=160 * MIB).out_of_memory is None


def test_oversize_blocks_serve_only_oversize_requests_of_about_their_size(builder: TraceBuilder) -> None:
    builder.free(builder.allocate(100 * MIB))
    builder.allocate(30 * MIB)
    builder.allocate(70 * MIB)
    builder.allocate(90 * MIB)
    timeline = replay(builder.build(), AllocatorConfig.parse("max_split_size_mb:64"))
    # 30 MiB must not split the oversize block, 70 MiB would waste more than 20 MiB of it, 90 MiB get all of it.
    assert timeline.block_sizes.tolist() == [100 * MIB, 30 * MIB, 70 * MIB, 100 * MIB]
    assert timeline.peak_reserved == 200 * MIB


def test_an_oversize_block_is_given_back_before_everything_is(builder: TraceBuilder) -> None:
    builder.free(builder.allocate(100 * MIB), builder.allocate(30 * MIB))
    builder.allocate(60 * MIB)
    timeline = replay(builder.build(), AllocatorConfig.parse("max_split_size_mb:64"), limit=140 * MIB)
    assert timeline.num_alloc_retries == 0
    assert timeline.reserved[-1] == 90 * MIB


def test_garbage_collection_gives_back_the_oldest_segments(builder: TraceBuilder) -> None:
    old, young = builder.allocate(30 * MIB), builder.allocate(40 * MIB)
    builder.free(old)
    builder.allocate(50 * MIB)
    builder.free(young)
    builder.allocate(60 * MIB)
    config = AllocatorConfig.parse("garbage_collection_threshold:0.5,per_process_memory_fraction:0.5")
    timeline = replay(builder.build(), config, device_memory=400 * MIB)
    # 120 MiB are above half of the 200 allowed; the older segment is enough, so the younger one stays.
    assert timeline.reserved.tolist() == [30 * MIB, 70 * MIB, 70 * MIB, 120 * MIB, 120 * MIB, 150 * MIB]
    assert [segment.died for segment in timeline.segments] == [5, None, None, None]
    assert replay(builder.build(), config).peak_reserved == 180 * MIB


def test_an_empty_trace_gives_an_empty_timeline(builder: TraceBuilder) -> None:
    timeline = replay(builder.build())
    assert (len(timeline.allocated), timeline.peak_reserved, timeline.segments) == (0, 0, ())


def test_more_than_any_machine_has_is_out_of_memory_even_without_a_limit(builder: TraceBuilder) -> None:
    builder.allocate(2**62)
    for config in (AllocatorConfig(), AllocatorConfig(expandable_segments=True)):
        assert replay(builder.build(), config).out_of_memory == OutOfMemory(0, 2**62, 0)
