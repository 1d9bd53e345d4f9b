"""ONNX Runtime's arena: hand-worked sequences, laws, published logs, and the real arena of the installed ONNX Runtime."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vramcast.allocator.bfc_arena import ArenaConfig, BfcArena, Chunk, bin_number
from vramcast.allocator.driver import Driver
from vramcast.units import GIB, KIB, MIB, round_up


class Addresses:
    """A device that hands out given addresses."""

    def __init__(self, addresses: Iterator[int]) -> None:
        self._addresses = addresses

    def malloc(self, size: int) -> int | None:
        return next(self._addresses)

    def free(self, address: int) -> None:
        pass


def regions(config: ArenaConfig, *requests: int, limit: int | None = None) -> list[int]:
    """Return the regions that requests lead to, none of which is given back."""
    arena = BfcArena(Driver(limit), config)
    for event, request in enumerate(requests):
        arena.allocate(request, 0, event)
    return arena.extensions


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([1], [MIB]),
        ([MIB, 1], [MIB, 2 * MIB]),  # No doubling was needed for the first region: the second is twice as large.
        ([1, 3 * MIB], [MIB, 4 * MIB]),  # 2 MiB stood next; doubled once.
        ([5 * MIB, 5 * MIB], [8 * MIB, 8 * MIB]),  # Doubled for the first (1, 2, 4, 8), which leaves 8 for the next.
        ([5 * MIB, 5 * MIB, 5 * MIB], [8 * MIB, 8 * MIB, 16 * MIB]),
        ([3 * GIB // 2, 100 * MIB, 2 * GIB, 1], [2 * GIB, 2 * GIB]),  # 512 MiB of the first are split off, for more than 128 MiB would be wasted.
    ],
)
def test_regions_double(requests: list[int], expected: list[int]) -> None:
    assert regions(ArenaConfig(), *requests) == expected


def test_regions_stop_doubling_by_themselves_at_the_largest_size() -> None:
    config = ArenaConfig(max_power_of_two_extend_bytes=4 * MIB)

    assert regions(config, MIB, 2 * MIB, 4 * MIB, 4 * MIB, 20 * MIB, 20 * MIB) == [MIB, 2 * MIB, 4 * MIB, 4 * MIB, 32 * MIB, 32 * MIB]


def test_same_as_requested_takes_what_is_asked_rounded_to_256() -> None:
    assert regions(ArenaConfig(arena_extend_strategy="kSameAsRequested"), 1, 600_000_000, 1000) == [256, 600_000_000 - 600_000_000 % -256, 1024]


def test_a_published_log_of_triton() -> None:
    # triton-inference-server/server issue 3776, onnxruntime with CUDA: "Extended allocation by 1048576 bytes" for 160000, by 33554432 for 19888128.
    assert regions(ArenaConfig(), 160_000, 19_888_128) == [1_048_576, 33_554_432]


def test_published_logs_of_other_sessions() -> None:
    # triton-inference-server/onnxruntime_backend issue 87: 4 bytes, then 2359296 bytes; total allocated bytes 1048576, then 5242880.
    assert regions(ArenaConfig(), 4, 2_359_296) == [1_048_576, 4_194_304]
    # microsoft/onnxruntime issue 14474, arena_extend_strategy 1: 600000000 bytes, then 12000000.
    assert regions(ArenaConfig(arena_extend_strategy="kSameAsRequested"), 600_000_000, 12_000_000) == [600_000_000, 12_000_000]
    # bin_num 9 for 160000, 13 for 2359296, 15 for 12000000, 16 for 19888128, 20 for 600000000: the same logs.
    assert [bin_number(size) for size in (160_000, 2_359_296, 12_000_000, 19_888_128, 600_000_000)] == [9, 13, 15, 16, 20]


def test_a_chunk_is_split_from_twice_the_request_on() -> None:
    arena = BfcArena(Driver(None), ArenaConfig())

    whole = arena.allocate(MIB // 2 + 256, 0, 0)
    assert whole is not None
    assert whole.size == MIB  # 2 * (512 KiB + 256) is more than the region.
    arena.free(whole)
    half = arena.allocate(MIB // 2, 0, 1)
    assert half is not None
    assert half.size == MIB // 2


def test_memory_of_one_stream_is_not_joined_with_unused_memory_before_the_run_ends() -> None:
    arena = BfcArena(Driver(None), ArenaConfig())
    first = arena.allocate(MIB // 4, 1, 0)
    assert first is not None
    arena.free(first)

    second = arena.allocate(MIB * 7 // 8, 1, 1)
    assert second is not None
    assert arena.extensions == [MIB, 2 * MIB]  # 256 KiB and 768 KiB lie side by side, but belong to different streams.
    arena.free(second)
    arena.end_run()
    third = arena.allocate(MIB * 7 // 8, 1, 2)
    assert third is not None
    assert third.address == first.address


def test_the_limit_counts_reserved_memory_and_heeds_only_regions() -> None:
    arena = BfcArena(Driver(None), ArenaConfig(max_mem=8 * MIB))

    assert arena.reserve(6 * MIB, 0, 0) is not None
    assert arena.allocate(3 * MIB, 0, 1) is None
    assert arena.allocate(2 * MIB, 0, 2) is not None
    assert arena.reserve(6 * MIB, 0, 3) is not None  # Reserve asks nobody; what is left is then a huge unsigned number.
    assert arena.allocate(64 * MIB, 0, 4) is not None


def test_a_refused_region_is_tried_a_tenth_smaller_down_to_the_request() -> None:
    assert regions(ArenaConfig(), 33 * MIB, limit=50 * MIB) == [
        round_up(int(round_up(int(round_up(int(64 * MIB * 0.9), 256) * 0.9), 256) * 0.9), 256)
    ]
    assert regions(ArenaConfig(), 60 * MIB, limit=50 * MIB) == []


def test_shrinking_keeps_the_first_region_of_a_growing_arena() -> None:
    growing, exact = BfcArena(Driver(None), ArenaConfig()), BfcArena(Driver(None), ArenaConfig(arena_extend_strategy="kSameAsRequested"))
    for arena in (growing, exact):
        for block in [arena.allocate(size, 0, 0) for size in (MIB, 2 * MIB)]:
            assert block is not None
            arena.free(block)
        arena.shrink(1)

    assert (growing.reserved, exact.reserved) == (MIB, 0)
    growing.allocate(3 * MIB // 2, 0, 2)
    assert growing.extensions[-1] == 2 * MIB  # initial_growth_chunk_size_bytes


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 8 * MIB), st.integers(0, 10**6)), max_size=80), st.booleans())
def test_laws(steps: list[tuple[bool, int, int]], is_exact: bool) -> None:
    arena = BfcArena(Driver(None), ArenaConfig(arena_extend_strategy="kSameAsRequested" if is_exact else "kNextPowerOfTwo"))
    live: list[Chunk] = []
    for event, (allocates, size, pick) in enumerate(steps):
        if allocates or not live:
            chunk = arena.allocate(size, 0, event)
            assert chunk is not None
            assert size <= chunk.size
            assert chunk.size < 2 * round_up(size, 256)
            live.append(chunk)
        else:
            arena.free(live.pop(pick % len(live)))
        spans = sorted((chunk.address, chunk.address + chunk.size) for chunk in live)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert sum(chunk.size for chunk in live) <= arena.reserved == sum(arena.extensions)
    for chunk in live:
        arena.free(chunk)
    largest = max(arena.extensions, default=0)
    assert not largest or (arena.allocate(largest, 0, len(steps)) is not None and arena.reserved == sum(arena.extensions))


CONFIGURATIONS: list[dict[str, int]] = [
    {},
    {"initial_chunk_size_bytes": 4 * KIB, "max_dead_bytes_per_chunk": KIB},
    {"arena_extend_strategy": 1},
    {
        "initial_chunk_size_bytes": 1000,
        "initial_growth_chunk_size_bytes": 8 * KIB,
        "max_dead_bytes_per_chunk": 2 * KIB,
        "max_power_of_two_extend_bytes": 64 * KIB,
    },
]


@pytest.mark.parametrize("shrinks", [False, True])
@pytest.mark.parametrize("number", range(len(CONFIGURATIONS)))
def test_the_real_arena_takes_the_same_regions_and_gives_the_same_addresses(number: int, shrinks: bool) -> None:
    real_arena = pytest.importorskip("real_arena")
    given, draw = CONFIGURATIONS[number], random.Random(number)
    held: list[Any] = []
    steps: list[tuple[str, int, int]] = []
    real = real_arena.RealArena(given)
    with real_arena.logged() as found:
        for _ in range(250):
            chance = draw.random()
            if shrinks and chance < 0.05:
                real.shrink()
                steps.append(("shrink", 0, 0))
            elif held and chance < 0.45:
                place = draw.randrange(len(held))
                del held[place]
                steps.append(("free", place, 0))
            else:
                size = int(2 ** draw.uniform(0, 21 if not given else 16))
                held.append(real.allocate(size))
                steps.append(("allocate", size, held[-1].data_ptr()))
    held.clear()

    named: dict[str, Any] = {**given, **({"arena_extend_strategy": "kSameAsRequested"} if "arena_extend_strategy" in given else {})}
    arena = BfcArena(Addresses(iter(found.log.addresses)), ArenaConfig(**named))
    live: list[Chunk] = []
    for event, (what, number_or_size, address) in enumerate(steps):
        if what == "allocate":
            chunk = arena.allocate(number_or_size, 0, event)
            assert chunk is not None
            assert chunk.address == address
            live.append(chunk)
        elif what == "free":
            arena.free(live.pop(number_or_size))
        else:
            block = arena.allocate(1, 0, event)
            assert block is not None
            arena.free(block)
            arena.shrink(event)
    assert tuple(arena.extensions) == found.log.extensions
    assert tuple(bin_number(round_up(size, 256)) for size in found.log.requests) == found.log.bins
