"""What a replay costs, counted rather than timed: Python calls, which take most of it."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import FrameType

import pytest
from allocator_traces import TraceBuilder

from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.replay import replay
from vramcast.trace import Event, Trace
from vramcast.units import KIB, MIB

PER_REQUEST = 4
"""`allocate`, the search, the cut, and the new block."""
PER_FREE = 2
"""`free` and the joining with both neighbours."""
PER_SEGMENT = 30
"""Whatever a new segment takes; there are few."""
ONCE = 100


def training_like(seed: int, rounds: int = 20) -> Trace:
    """Rounds that ask for the same 100 blocks and give them back in an order of their own: segments are taken in the first ones."""
    draw, builder = random.Random(seed), TraceBuilder()
    sizes = [draw.randrange(1, draw.choice([4 * KIB, MIB, 30 * MIB])) for _ in range(100)]
    for _ in range(rounds):
        blocks = [builder.allocate(size) for size in sizes]
        draw.shuffle(blocks)
        builder.free(*blocks)
    return builder.build()


def python_calls(action: Callable[[], object]) -> int:
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("options", ["", "max_split_size_mb:64", "roundup_power2_divisions:8"])
@pytest.mark.parametrize("seed", range(3))
def test_an_event_takes_a_few_python_calls(seed: int, options: str) -> None:
    trace, config = training_like(seed), AllocatorConfig.parse(options)
    timeline = replay(trace, config)
    requests, frees = (int((trace.kinds == kind).sum()) for kind in (Event.ALLOCATE, Event.FREE))
    few = PER_REQUEST * requests + PER_FREE * frees + PER_SEGMENT * len(timeline.segments) + ONCE
    assert python_calls(lambda: replay(trace, config)) <= few
