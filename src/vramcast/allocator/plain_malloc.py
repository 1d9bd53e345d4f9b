"""An allocator that keeps nothing: each request is one `cudaMalloc`, and goes back by `cudaFree`. What static runtimes without an arena do.

The driver gives memory out in pages of 2 MiB (`driver.py`), and addresses are multiples of 256 bytes (CUDA C++ Programming Guide, "Device Memory
Accesses"). That a request of less than half a page shares its page with others is assumed here: it is not documented, and it decides about less
than a page for each request.
"""

from __future__ import annotations

from vramcast.allocator.driver import PAGE_SIZE, Driver
from vramcast.allocator.history import SegmentHistory
from vramcast.allocator.joint_request import Part, Whole, joint_requests
from vramcast.allocator.replay import replay_on
from vramcast.allocator.room import Room
from vramcast.timeline import Segment, Timeline
from vramcast.trace import Trace
from vramcast.units import round_up

ALIGNMENT = 256
_LARGEST_SHARING = PAGE_SIZE // 2


class PlainMalloc:
    """See `Allocator`. Made for one trace, whose operations tell which blocks are asked for together."""

    def __init__(self, driver: Driver, trace: Trace) -> None:
        self.reserved = 0
        self.num_alloc_retries = 0
        self._driver = driver
        self._history = SegmentHistory()
        self._requests = joint_requests(trace)
        self._died = trace.freed_at[trace.blocks].tolist()
        self._whole: Whole | None = None
        """What parts are being handed out of."""
        self._shared: Whole | None = None
        """The page that small requests are served from."""

    def allocate(self, requested: int, stream: int, event: int) -> Part | None:
        """Serve `requested` bytes; None: out of memory, for nothing is kept that could be given back."""
        whole = self._requests.get(event)
        if whole is not None:
            size = round_up(whole, ALIGNMENT)
            self._whole = self._shared_page(size, stream, event) if size < _LARGEST_SHARING else self._take(size, stream, event)
        return None if self._whole is None else self._whole.part(requested, self._died[event])

    def free(self, block: Part) -> None:
        """Take a block back; its memory goes back to the driver with the last block in it."""
        if not block.give_back() or block.whole is self._shared:
            return
        self._driver.free(block.whole.address)
        self._history.close(block.whole.address, block.died)
        self.reserved -= block.whole.size

    def empty_cache(self, event: int) -> None:
        """Nothing is held that is not in use."""

    def segments(self) -> tuple[Segment, ...]:
        """Return everything taken from the driver so far, in that order."""
        return self._history.segments()

    def _shared_page(self, size: int, stream: int, event: int) -> Whole | None:
        if self._shared is not None:
            self._shared.used = round_up(self._shared.used, ALIGNMENT)
        if self._shared is None or self._shared.used + size > self._shared.size:
            self._shared = self._take(PAGE_SIZE, stream, event)
        return self._shared

    def _take(self, size: int, stream: int, event: int) -> Whole | None:
        address = self._driver.malloc(size)
        if address is None:
            return None
        size = round_up(size, PAGE_SIZE)
        self.reserved += size
        self._history.open(Segment(address, size, stream, is_small=size == PAGE_SIZE, born=event, died=None))
        return Whole(address, size)


def replay_plainly(trace: Trace, room: Room) -> Timeline:
    """Play a trace to `cudaMalloc` itself; the first request that cannot be had ends the timeline."""
    return replay_on(trace, PlainMalloc(Driver(room.limit), trace), room.crowded)
