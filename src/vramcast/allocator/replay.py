"""Trace in, timeline out: every event is played to an allocator, and what it did is written into columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vramcast.allocator.blocks import Block
from vramcast.allocator.caching import CachingAllocator
from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.cudamalloc import MallocMemory
from vramcast.allocator.driver import Driver
from vramcast.allocator.expandable import ExpandableMemory
from vramcast.allocator.interface import Allocator, BlockT
from vramcast.collecting import not_collecting
from vramcast.timeline import OutOfMemory, Segment, Timeline
from vramcast.trace import Column, Event, Trace

DEFAULT_CONFIG = AllocatorConfig()


def replay(
    trace: Trace,
    config: AllocatorConfig = DEFAULT_CONFIG,
    limit: int | None = None,
    device_memory: int | None = None,
    crowded: int | None = None,
    enough: int | None = None,
) -> Timeline:
    """Play a trace to torch's native caching allocator.

    Args:
        trace: What is asked for and given back.
        config: The allocator's options.
        limit: Bytes the driver has for the allocator; None: any number, which tells what the program wants.
        device_memory: The card's whole memory (`totalGlobalMem`), of which `per_process_memory_fraction` is a share; None: `limit`.
        crowded: Reserved bytes above which `EMPTY_CACHE_IF_CROWDED` empties the cache; None: it never does.
        enough: Reserved bytes at whose excess the timeline ends; None: it goes on.

    A workspace that cannot be had is left out (`Trace.may_be_refused`). At the first other request that cannot be served the timeline
    ends, with `out_of_memory` set.
    """
    memory = limit if device_memory is None else device_memory
    return replay_on(trace, native_allocator(config, limit, memory), crowded, enough)


def native_allocator(config: AllocatorConfig, limit: int | None, device_memory: int | None) -> Allocator[Block]:
    """Make torch's allocator with `limit` bytes to be had on a card of `device_memory` bytes."""
    driver, allowed = Driver(limit), config.allowed_bytes(device_memory)
    if config.expandable_segments:
        return CachingAllocator(ExpandableMemory(driver, config, allowed, device_memory), config)
    return CachingAllocator(MallocMemory(driver, config, allowed), config)


def replay_on(trace: Trace, allocator: Allocator[BlockT], crowded: int | None = None, enough: int | None = None) -> Timeline:
    """Play a trace to any allocator that holds nothing yet; `crowded` and `enough` as for `replay`."""
    with not_collecting():
        sizes, addresses, end, out_of_memory = _serve(trace, allocator, crowded, enough)
    segments = allocator.segments()
    allocated = _allocated(trace, sizes, end)
    return Timeline(
        allocated=allocated,
        active=allocated,  # No block waits for another stream: a trace does not record such uses.
        reserved=_reserved(segments, end),
        block_sizes=sizes,
        block_addresses=addresses,
        segments=segments,
        num_alloc_retries=allocator.num_alloc_retries,
        refused=int((addresses[trace.blocks[:end][trace.kinds[:end] == Event.ALLOCATE]] < 0).sum()),
        out_of_memory=out_of_memory,
    )


def _serve(trace: Trace, allocator: Allocator[BlockT], crowded: int | None, enough: int | None) -> tuple[Column, Column, int, OutOfMemory | None]:
    """Return, per block of the trace, the size and address of what served it; how many events there were, and what could not be served."""
    # The hot loop: plain lists and local names, since reading numpy elements one by one is ten times slower.
    allocate_kind, free_kind, empty_kind = int(Event.ALLOCATE), int(Event.FREE), int(Event.EMPTY_CACHE)
    requested, streams = trace.sizes.tolist(), trace.streams.tolist()
    allocate, free = allocator.allocate, allocator.free
    sizes, addresses = [0] * len(requested), [-1] * len(requested)
    served: list[Any] = [None] * len(requested)  # BlockT, from its allocation on
    end, out_of_memory = len(trace), None
    for event, (kind, index) in enumerate(zip(trace.kinds.tolist(), trace.blocks.tolist())):
        if kind == allocate_kind:
            block = allocate(requested[index], streams[index], event)
            if block is None:
                if trace.may_be_refused[index]:
                    continue
                end, out_of_memory = event, OutOfMemory(event, requested[index], allocator.reserved)
                break
            # Noted now: the block's size changes when it is joined with others later.
            served[index] = block
            sizes[index] = block.size
            addresses[index] = block.address
            if enough is not None and allocator.reserved > enough:
                end = event + 1
                break
        elif kind == free_kind:
            if served[index] is not None:  # not refused
                free(served[index])
        elif kind == empty_kind or (crowded is not None and allocator.reserved > crowded):
            allocator.empty_cache(event)
    return np.array(sizes, np.int64), np.array(addresses, np.int64), end, out_of_memory


def _allocated(trace: Trace, block_sizes: Column, end: int) -> Column:
    events = np.flatnonzero(~trace.empties_cache[:end])
    sizes = block_sizes[trace.blocks[events]]
    changes = np.zeros(end, np.int64)
    changes[events] = np.where(trace.kinds[events] == Event.ALLOCATE, sizes, -sizes)
    return np.cumsum(changes)


def _reserved(segments: Sequence[Segment], end: int) -> Column:
    changes = np.zeros(end, np.int64)
    for segment in segments:
        if segment.born < end:
            changes[segment.born] += segment.size
        if segment.died is not None and segment.died < end:
            changes[segment.died] -= segment.size
    return np.cumsum(changes)
