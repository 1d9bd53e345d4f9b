"""An allocator that keeps nothing: each request is one `cudaMalloc`, and goes back by `cudaFree`. What static runtimes without an arena do.

What one operation of a trace asks for in a row is one request, whose parts lie side by side: the weights of an engine, or the tensors of a plan.

The driver gives memory out in pages of 2 MiB (`driver.py`), and addresses are multiples of 256 bytes (CUDA C++ Programming Guide, "Device Memory
Accesses"). That a request of less than half a page shares its page with others is assumed here: it is not documented, and it decides about less
than a page for each request.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vramcast.allocator.driver import PAGE_SIZE, Driver
from vramcast.allocator.history import SegmentHistory
from vramcast.allocator.replay import replay_on
from vramcast.allocator.room import Room
from vramcast.timeline import Segment, Timeline
from vramcast.trace import Event, Trace
from vramcast.units import round_up

ALIGNMENT = 256
_LARGEST_SHARING = PAGE_SIZE // 2


@dataclass(slots=True)
class _Stretch:
    """Memory taken from the driver at once."""

    address: int
    size: int
    used: int = 0
    """Bytes up to here were handed out; what goes back is not handed out anew."""
    live: int = 0
    """Blocks in it."""


@dataclass(frozen=True, slots=True)
class Served:
    """See `ServedBlock`."""

    address: int
    size: int
    stretch: _Stretch
    died: int
    """Event that gives it back."""


class PlainMalloc:
    """See `Allocator`. Made for one trace, whose operations tell which blocks are asked for together."""

    def __init__(self, driver: Driver, trace: Trace) -> None:
        self.reserved = 0
        self.num_alloc_retries = 0
        self._driver = driver
        self._history = SegmentHistory()
        self._requests = _requests(trace)
        self._died = trace.freed_at[trace.blocks].tolist()
        self._parts: _Stretch | None = None
        """The request whose parts are being handed out."""
        self._shared: _Stretch | None = None
        """The page that small requests are served from."""

    def allocate(self, requested: int, stream: int, event: int) -> Served | None:
        """Serve `requested` bytes; None: out of memory, for nothing is kept that could be given back."""
        whole = self._requests.get(event)
        if whole is not None:
            size = round_up(whole, ALIGNMENT)
            self._parts = self._shared_page(size, stream, event) if size < _LARGEST_SHARING else self._take(size, stream, event)
        return None if self._parts is None else self._part(self._parts, requested, event)

    def free(self, block: Served) -> None:
        """Take a block back; its memory goes back to the driver with the last block in it."""
        block.stretch.live -= 1
        if block.stretch.live or block.stretch is self._shared:
            return
        self._driver.free(block.stretch.address)
        self._history.close(block.stretch.address, block.died)
        self.reserved -= block.stretch.size

    def empty_cache(self, event: int) -> None:
        """Nothing is held that is not in use."""

    def segments(self) -> tuple[Segment, ...]:
        """Return every stretch taken from the driver so far, in that order."""
        return self._history.segments()

    def _part(self, stretch: _Stretch, size: int, event: int) -> Served:
        served = Served(stretch.address + stretch.used, size, stretch, self._died[event])
        stretch.used += size
        stretch.live += 1
        return served

    def _shared_page(self, size: int, stream: int, event: int) -> _Stretch | None:
        if self._shared is not None:
            self._shared.used = round_up(self._shared.used, ALIGNMENT)
        if self._shared is None or self._shared.used + size > self._shared.size:
            self._shared = self._take(PAGE_SIZE, stream, event)
        return self._shared

    def _take(self, size: int, stream: int, event: int) -> _Stretch | None:
        address = self._driver.malloc(size)
        if address is None:
            return None
        size = round_up(size, PAGE_SIZE)
        self.reserved += size
        self._history.open(Segment(address, size, stream, is_small=size == PAGE_SIZE, born=event, died=None))
        return _Stretch(address, size)


def replay_plainly(trace: Trace, room: Room) -> Timeline:
    """Play a trace to `cudaMalloc` itself; the first request that cannot be had ends the timeline."""
    return replay_on(trace, PlainMalloc(Driver(room.limit), trace), room.crowded)


def _requests(trace: Trace) -> dict[int, int]:
    """Return event -> bytes of the request that begins there: all that its operation allocates up to the next other event."""
    allocates = trace.kinds == Event.ALLOCATE
    continues = np.zeros(len(trace), bool)
    continues[1:] = allocates[1:] & allocates[:-1] & (trace.operations[1:] == trace.operations[:-1])
    numbers = np.cumsum(~continues) - 1
    sizes = np.where(allocates, trace.sizes[trace.blocks], 0)
    totals = np.bincount(numbers, weights=sizes, minlength=numbers[-1] + 1 if len(numbers) else 0).astype(np.int64)
    starts = np.flatnonzero(~continues & allocates)
    return dict(zip(starts.tolist(), totals[numbers[starts]].tolist()))
