"""A forecast's `segments`: what the allocator holds at the end, and how each segment is cut into blocks."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from vramcast.snapshot.events import DEFAULT_POOL
from vramcast.snapshot.stacks import TraceStacks
from vramcast.timeline import Segment, Timeline
from vramcast.trace import Trace


@dataclass(frozen=True, slots=True)
class _LiveBlock:
    """A block in use at the end."""

    index: int
    address: int
    size: int
    requested: int

    @property
    def end(self) -> int:
        return self.address + self.size


def write_segments(trace: Trace, timeline: Timeline, stacks: TraceStacks) -> Iterator[dict[str, Any]]:
    """Yield the segments by address."""
    live = _live_blocks(trace, timeline)
    for pages in _joined(segment for segment in timeline.segments if segment.died is None):
        first, end = pages[0], pages[-1].address + pages[-1].size
        low, high = (bisect.bisect_left(live, address, key=_address) for address in (first.address, end))
        blocks = live[low:high]
        in_use = sum(block.size for block in blocks)
        yield {
            "device": 0,
            "address": first.address,
            "total_size": end - first.address,
            "allocated_size": in_use,
            "active_size": in_use,
            "requested_size": sum(block.requested for block in blocks),
            "stream": first.stream,
            "segment_type": "small" if first.is_small else "large",
            "segment_pool_id": DEFAULT_POOL,
            "is_expandable": first.is_expandable,
            "frames": stacks.of_event(first.born),
            "blocks": list(_cut(first.address, end, blocks, stacks)),
        }


def _address(block: _LiveBlock) -> int:
    return block.address


def _live_blocks(trace: Trace, timeline: Timeline) -> list[_LiveBlock]:
    """List the blocks in use at the end, by address."""
    live = trace.live_blocks(len(timeline.allocated) - 1)
    columns = (live, timeline.block_addresses[live], timeline.block_sizes[live], trace.sizes[live])
    return sorted((_LiveBlock(*row) for row in zip(*(column.tolist() for column in columns))), key=_address)


def _cut(address: int, end: int, blocks: Iterable[_LiveBlock], stacks: TraceStacks) -> Iterator[dict[str, Any]]:
    """Yield the blocks between `address` and `end`, with what is free between them."""
    for block in blocks:
        if block.address > address:
            yield _inactive(address, block.address)
        frames = stacks.of_block(block.index)
        yield {"address": block.address, "size": block.size, "requested_size": block.requested, "state": "active_allocated", "frames": frames}
        address = block.end
    if address < end:
        yield _inactive(address, end)


def _inactive(address: int, end: int) -> dict[str, Any]:
    return {"address": address, "size": end - address, "requested_size": 0, "state": "inactive", "frames": []}


def _joined(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    """Group segments by address: neighbouring pages of an expandable segment are one (`snapshot()` in CUDACachingAllocator.cpp)."""
    pages: list[Segment] = []
    for segment in sorted(segments, key=lambda segment: segment.address):
        if pages and not _continues(pages[-1], segment):
            yield pages
            pages = []
        pages.append(segment)
    if pages:
        yield pages


def _continues(before: Segment, after: Segment) -> bool:
    touches = before.address + before.size == after.address
    same_pool = (before.stream, before.is_small) == (after.stream, after.is_small)
    return before.is_expandable and after.is_expandable and touches and same_pool
