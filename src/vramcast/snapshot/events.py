"""A forecast's `device_traces`: what each event does to the segments, then to its block."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from vramcast.snapshot.stacks import Stack, TraceStacks
from vramcast.timeline import Segment, Timeline
from vramcast.trace import Component, Event, Trace

DEFAULT_POOL = (0, 0)
"""`MempoolId_t` of the pool that is no CUDA graph's: `c10/core/CachingDeviceAllocator.h`, torch 2.13."""
UNCATEGORIZED = "unknown"
"""Category of what has none: `_profile_to_snapshot` in `torch/cuda/_memory_viz.py`, torch 2.13."""

_CATEGORIES = {int(component): component.label for component in Component} | {int(Component.OTHER): UNCATEGORIZED}
_ALLOCATE, _FREE = int(Event.ALLOCATE), int(Event.FREE)

Entry = dict[str, Any]


def write_events(trace: Trace, timeline: Timeline, stacks: TraceStacks) -> Iterator[Entry]:
    """Yield the entries in the order in which torch would record them; the last is `oom` if memory ran out."""
    taken, given_back = _by_event(timeline.segments)
    out_of_memory, end = timeline.out_of_memory, len(timeline.allocated)
    blocks = _block_entries(trace, timeline, stacks)
    for event in range(end if out_of_memory is None else end + 1):
        yield from _segment_entries(event, given_back.get(event, ()), ("segment_free", "segment_unmap"), stacks)
        yield from _segment_entries(event, taken.get(event, ()), ("segment_alloc", "segment_map"), stacks)
        yield from next(blocks, ())
    if out_of_memory is not None:
        stream = int(trace.streams[trace.blocks[end]])
        yield _entry(end, "oom", stream, out_of_memory.requested, stacks.of_event(end)) | {"device_free": 0}


def _by_event(segments: Iterable[Segment]) -> tuple[dict[int, list[Segment]], dict[int, list[Segment]]]:
    """Return, per event, the segments taken from the driver and those given back to it."""
    taken: dict[int, list[Segment]] = defaultdict(list)
    given_back: dict[int, list[Segment]] = defaultdict(list)
    for segment in segments:
        if segment.born == segment.died:
            continue  # Mapped for a request that failed after all, and unmapped before anything else happened.
        taken[segment.born].append(segment)
        if segment.died is not None:
            given_back[segment.died].append(segment)
    return taken, given_back


def _segment_entries(event: int, segments: Iterable[Segment], actions: tuple[str, str], stacks: TraceStacks) -> Iterator[Entry]:
    for segment in segments:
        entry = _entry(event, actions[segment.is_expandable], segment.stream, segment.size, stacks.of_event(event))
        # The viewer breaks on a snapshot with categories of which none is "unknown" (annotate_snapshot in MemoryViz.js).
        yield entry | {"addr": segment.address, "category": UNCATEGORIZED}


def _block_entries(trace: Trace, timeline: Timeline, stacks: TraceStacks) -> Iterator[list[Entry]]:
    """Yield, per event of the timeline, what it does to its block."""
    sizes, streams, components = trace.sizes.tolist(), trace.streams.tolist(), trace.components.tolist()
    addresses = timeline.block_addresses.tolist()
    events = range(len(timeline.allocated))
    for event, kind, block in zip(events, trace.kinds.tolist(), trace.blocks.tolist()):
        if kind == _ALLOCATE:
            entry = _entry(event, "alloc", streams[block], sizes[block], stacks.of_block(block))
            yield [entry | {"addr": addresses[block], "category": _CATEGORIES[components[block]]}]
        elif kind == _FREE:
            entry = _entry(event, "free_requested", streams[block], sizes[block], stacks.of_event(event)) | {"addr": addresses[block]}
            yield [entry, entry | {"action": "free_completed"}]
        else:
            yield []


def _entry(event: int, action: str, stream: int, size: int, frames: Stack) -> Entry:
    return {"action": action, "size": size, "stream": stream, "time_us": event, "frames": frames, "pool_id": DEFAULT_POOL}
