"""Plays a session's trace to its arena and to the device beside it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from vramcast.allocator.bfc_arena import UNLIMITED, ArenaConfig, BfcArena, Chunk
from vramcast.allocator.driver import Driver
from vramcast.allocator.history import SegmentHistory
from vramcast.allocator.interface import Allocator
from vramcast.allocator.joint_request import Part, Whole, joint_requests
from vramcast.allocator.replay import replay_on
from vramcast.allocator.room import Room
from vramcast.backends.onnxruntime.recording import OUTSIDE, RESERVED
from vramcast.onnxruntime_options import OnnxRuntimeOptions
from vramcast.timeline import Segment, Timeline
from vramcast.trace import Trace


class SessionMemory:
    """See `Allocator`. Made for one trace, which tells what goes by the arena's `Reserve`, what beside it, and where a run ends."""

    def __init__(self, driver: Driver, config: ArenaConfig, trace: Trace) -> None:
        self.num_alloc_retries = 0
        self._arena = BfcArena(driver, config)
        self._driver = driver
        self._beside = 0
        self._history = SegmentHistory()
        self._requests = joint_requests(trace)
        self._outside = _events_of(trace, OUTSIDE)
        self._beside_regions = self._outside | _events_of(trace, RESERVED)
        self._died = trace.freed_at[trace.blocks].tolist()
        phases = trace.event_phases()
        self._run_ends = set((np.flatnonzero(np.diff(phases)) + 1).tolist())
        self._whole: Whole | None = None
        """What parts are being handed out of."""
        self._reserved: dict[int, Chunk] = {}
        """Address of what the arena's `Reserve` gave -> its chunk."""

    @property
    def reserved(self) -> int:
        """Bytes of regions, of reserved memory, and of what lies beside the arena."""
        return self._arena.reserved + self._beside

    def allocate(self, requested: int, stream: int, event: int) -> Chunk | Part | None:
        """Serve `requested` bytes where the trace says; None: out of memory."""
        if event in self._run_ends:
            self._arena.end_run()
        if event not in self._beside_regions:
            return self._arena.allocate(requested, stream, event)
        size = self._requests.get(event)
        if size is not None:
            self._whole = self._beside_arena(size, event) if event in self._outside else self._reserve(size, stream, event)
        return None if self._whole is None else self._whole.part(requested, self._died[event])

    def free(self, block: Chunk | Part) -> None:
        """Take a block back; what lies beside regions goes back to the device with its last part."""
        if isinstance(block, Chunk):
            self._arena.free(block)
            return
        if not block.give_back():
            return
        whole = block.whole
        chunk = self._reserved.pop(whole.address, None)
        if chunk is not None:
            self._arena.release(chunk, block.died)
            return
        self._driver.free(whole.address)
        self._history.close(whole.address, block.died)
        self._beside -= whole.size

    def empty_cache(self, event: int) -> None:
        """Shrink the arena."""
        self._arena.shrink(event)

    def segments(self) -> tuple[Segment, ...]:
        """Return all memory taken from the device, in that order."""
        return tuple(sorted((*self._arena.segments(), *self._history.segments()), key=lambda segment: segment.born))

    def _reserve(self, size: int, stream: int, event: int) -> Whole | None:
        chunk = self._arena.reserve(size, stream, event)
        if chunk is None:
            return None
        self._reserved[chunk.address] = chunk
        return Whole(chunk.address, size)

    def _beside_arena(self, size: int, event: int) -> Whole | None:
        address = self._driver.malloc(size)
        if address is None:
            return None
        self._beside += size
        self._history.open(Segment(address, size, 0, is_small=False, born=event, died=None))
        return Whole(address, size)


def arena_config(options: OnnxRuntimeOptions) -> ArenaConfig:
    """Return the arena that a session's options make."""
    return ArenaConfig(
        max_mem=UNLIMITED if options.gpu_mem_limit is None else options.gpu_mem_limit,
        arena_extend_strategy=options.arena_extend_strategy,
        initial_chunk_size_bytes=options.initial_chunk_size_bytes,
        max_dead_bytes_per_chunk=options.max_dead_bytes_per_chunk,
        initial_growth_chunk_size_bytes=options.initial_growth_chunk_size_bytes,
        max_power_of_two_extend_bytes=options.max_power_of_two_extend_bytes,
    )


def replay_session(trace: Trace, options: OnnxRuntimeOptions, room: Room) -> Timeline:
    """Play a trace to the arena that the options make, with so much room on the card."""
    memory: Allocator[Chunk | Part] = SessionMemory(Driver(room.limit), arena_config(options), trace)
    return replay_on(trace, memory, room.crowded)


def _events_of(trace: Trace, operators: Collection[str]) -> set[int]:
    """Return the events of operations by these names."""
    numbers = [index for index, name in enumerate(trace.operators) if name in operators]
    return set(np.flatnonzero(np.isin(trace.operation_operators[trace.operations], numbers)).tolist())
