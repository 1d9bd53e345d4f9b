"""Plays a session's trace to its arena and to the device beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vramcast.allocator.bfc_arena import UNLIMITED, ArenaConfig, BfcArena, Chunk
from vramcast.allocator.driver import Driver
from vramcast.allocator.history import SegmentHistory
from vramcast.allocator.interface import Allocator
from vramcast.allocator.replay import replay_on
from vramcast.allocator.room import Room
from vramcast.backends.onnxruntime.recording import OUTSIDE, RESERVED
from vramcast.onnxruntime_options import OnnxRuntimeOptions
from vramcast.timeline import Segment, Timeline
from vramcast.trace import Event, Trace


@dataclass(slots=True)
class _Whole:
    """Memory that was asked for at once, beside the arena's regions."""

    address: int
    size: int
    reserved: Chunk | None
    """None: the arena does not know of it."""
    used: int = 0
    live: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """See `ServedBlock`."""

    address: int
    size: int
    whole: _Whole
    died: int


class SessionMemory:
    """See `Allocator`. Made for one trace, which tells what goes by the arena's `Reserve`, what beside it, and where a run ends."""

    def __init__(self, driver: Driver, config: ArenaConfig, trace: Trace) -> None:
        self.num_alloc_retries = 0
        self._arena = BfcArena(driver, config)
        self._driver = driver
        self._beside = 0
        self._history = SegmentHistory()
        self._requests = _requests(trace)
        self._died = trace.freed_at[trace.blocks].tolist()
        phases = trace.event_phases()
        self._run_ends = set((np.flatnonzero(np.diff(phases)) + 1).tolist())
        self._whole: _Whole | None = None

    @property
    def reserved(self) -> int:
        """Bytes of regions, of reserved memory, and of what lies beside the arena."""
        return self._arena.reserved + self._beside

    def allocate(self, requested: int, stream: int, event: int) -> Chunk | _Part | None:
        """Serve `requested` bytes where the trace says; None: out of memory."""
        if event in self._run_ends:
            self._arena.end_run()
        request = self._requests.get(event)
        if request is None:
            return self._arena.allocate(requested, stream, event)
        size, is_outside, begins = request
        if begins:
            self._whole = self._beside_arena(size, event) if is_outside else self._reserve(size, stream, event)
        return None if self._whole is None else self._part(self._whole, requested, event)

    def free(self, block: Chunk | _Part) -> None:
        """Take a block back; what lies beside regions goes back to the device with its last part."""
        if isinstance(block, Chunk):
            self._arena.free(block)
            return
        whole = block.whole
        whole.live -= 1
        if whole.live:
            return
        if whole.reserved is not None:
            self._arena.release(whole.reserved, block.died)
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

    def _reserve(self, size: int, stream: int, event: int) -> _Whole | None:
        chunk = self._arena.reserve(size, stream, event)
        return None if chunk is None else _Whole(chunk.address, size, chunk)

    def _beside_arena(self, size: int, event: int) -> _Whole | None:
        address = self._driver.malloc(size)
        if address is None:
            return None
        self._beside += size
        self._history.open(Segment(address, size, 0, is_small=False, born=event, died=None))
        return _Whole(address, size, None)

    def _part(self, whole: _Whole, size: int, event: int) -> _Part:
        part = _Part(whole.address + whole.used, size, whole, self._died[event])
        whole.used += size
        whole.live += 1
        return part


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
    memory: Allocator[Chunk | _Part] = SessionMemory(Driver(room.limit), arena_config(options), trace)
    return replay_on(trace, memory, room.crowded)


def _requests(trace: Trace) -> dict[int, tuple[int, bool, bool]]:
    """Return, per event that allocates beside regions: bytes of the whole request, whether the arena knows of it, whether it begins there."""
    kinds = {index: name in OUTSIDE for index, name in enumerate(trace.operators) if name in RESERVED | OUTSIDE}
    if not kinds:
        return {}
    operators = trace.operation_operators[trace.operations]
    events = np.flatnonzero(np.isin(operators, list(kinds)) & (trace.kinds == Event.ALLOCATE))
    totals: dict[int, int] = {}
    for event in events.tolist():
        operation = int(trace.operations[event])
        totals[operation] = totals.get(operation, 0) + int(trace.sizes[trace.blocks[event]])
    found, met = {}, set()
    for event in events.tolist():
        operation = int(trace.operations[event])
        found[event] = totals[operation], kinds[int(operators[event])], operation not in met
        met.add(operation)
    return found
