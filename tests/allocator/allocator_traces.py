"""Traces for the allocator's tests: built by hand, or drawn by hypothesis."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import strategies as st

from vramcast.allocator.config import AllocatorConfig
from vramcast.trace import Event, Phase, Subject, Trace
from vramcast.units import KIB, MIB


class TraceBuilder:
    """Collects requests in order; `build` makes the trace."""

    def __init__(self) -> None:
        self._events: list[tuple[int, int]] = []
        self._sizes: list[int] = []
        self._streams: list[int] = []

    def allocate(self, size: int, stream: int = 0) -> int:
        """Ask for `size` bytes; return the index of the block."""
        self._sizes.append(size)
        self._streams.append(stream)
        self._events.append((Event.ALLOCATE, len(self._sizes) - 1))
        return len(self._sizes) - 1

    def free(self, *blocks: int) -> None:
        """Give blocks back, one event each."""
        self._events.extend((Event.FREE, block) for block in blocks)

    def empty_cache(self) -> None:
        """Call `torch.cuda.empty_cache()`."""
        self._events.append((Event.EMPTY_CACHE, -1))

    def build(self) -> Trace:
        """Return the trace; everything belongs to one operator of one module."""
        events = np.array(self._events, np.int64).reshape(-1, 2)
        per_event, per_block, one = np.zeros(len(events), np.int64), np.zeros(len(self._sizes), np.int64), np.zeros(1, np.int64)
        trace = Trace(
            subject=Subject("synthetic", "test", 0, 0),
            kinds=events[:, 0].copy(),
            blocks=events[:, 1].copy(),
            operations=per_event,
            sizes=np.array(self._sizes, np.int64),
            components=per_block,
            streams=np.array(self._streams, np.int64),
            block_modules=per_block,
            operation_operators=one,
            operation_modules=one,
            operation_phases=one,
            operators=("empty",),
            modules=("",),
            phases=(Phase("forward", 0),),
        )
        trace.validate()
        return trace


THRESHOLDS = [512, MIB - 512, MIB, MIB + 1, 2 * MIB, 8519680, 10 * MIB - 512, 10 * MIB, 15 * MIB, 19 * MIB, 20 * MIB, 21 * MIB, 24 * MIB]
_SIZES = st.one_of(st.integers(1, 8 * KIB), st.integers(1, 2 * MIB), st.sampled_from(THRESHOLDS), st.integers(1, 64 * MIB))
_STEPS = st.one_of(
    st.tuples(st.just("allocate"), _SIZES, st.sampled_from([0, 0, 0, 7])),
    st.tuples(st.just("free"), st.integers(0, 2**16), st.just(0)),
    st.tuples(st.sampled_from(["empty_cache", "free_all"]), st.just(0), st.just(0)),
)


def traces() -> st.SearchStrategy[Trace]:
    """Draw traces with sizes around every threshold of the allocator, on two streams."""
    return st.lists(_STEPS, max_size=50).map(_trace)


def _trace(steps: list[tuple[str, int, int]]) -> Trace:
    builder = TraceBuilder()
    live: list[int] = []
    for step, number, stream in steps:
        if step == "allocate":
            live.append(builder.allocate(number, stream))
        elif step == "free" and live:
            builder.free(live.pop(number % len(live)))
        elif step == "free_all":
            builder.free(*live)
            live.clear()
        elif step == "empty_cache":
            builder.empty_cache()
    return builder.build()


def busy_trace(seed: int) -> Trace:
    """Make a long trace from a seed: phases that allocate or free more, and sizes that come back as in a training loop."""
    draw = random.Random(seed)
    favourites = [*draw.choices(THRESHOLDS, k=3), *(draw.randrange(1, 40) * MIB for _ in range(4)), draw.randrange(1, 4 * MIB)]
    steps: list[tuple[str, int, int]] = []
    for _ in range(draw.randrange(2, 8)):
        growing = draw.choice([0.3, 0.5, 0.7])
        for _ in range(draw.randrange(5, 40)):
            size = draw.choice(favourites) if draw.random() < 0.7 else draw.randrange(1, 60 * MIB)
            steps.append(("allocate", size, draw.choice([0, 0, 0, 7])) if draw.random() < growing else ("free", draw.randrange(2**16), 0))
        if draw.random() < 0.4:
            steps.append((draw.choice(["empty_cache", "free_all"]), 0, 0))
    return _trace(steps)


def configs() -> st.SearchStrategy[AllocatorConfig]:
    """Draw options, alone and together."""
    return st.builds(
        AllocatorConfig,
        expandable_segments=st.booleans(),
        max_split_size=st.sampled_from([AllocatorConfig().max_split_size, 20 * MIB, 24 * MIB]),
        max_non_split_rounding_size=st.sampled_from([20 * MIB, 24 * MIB]),
        large_segment_size=st.sampled_from([20 * MIB, 12 * MIB]),
        roundup_power2_divisions=st.sampled_from([(0,) * 16, (4,) * 16, (1, 2, 4, 8) + (2,) * 12]),
        garbage_collection_threshold=st.sampled_from([0.0, 0.2, 0.6]),
        per_process_memory_fraction=st.sampled_from([1.0, 0.5]),
    )
