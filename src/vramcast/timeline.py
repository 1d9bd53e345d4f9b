"""The `Timeline`: what the allocator made of a trace, event by event."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from vramcast.trace import Column


class Segment(msgspec.Struct, frozen=True):
    """A stretch of device memory the allocator got from the driver, and when."""

    address: int
    """Simulated device address, in bytes."""
    size: int
    stream: int
    is_small: bool
    """Belongs to the small pool (requests up to 1 MiB)."""
    born: int
    """Event before whose block it was taken from the driver."""
    died: int | None
    """Event at which it went back; None when it never did."""
    is_expandable: bool = False


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The request that could not be served within the limit."""

    event: int
    requested: int
    """Bytes asked for."""
    reserved: int
    """Bytes held by the allocator at that moment, after it had given back what it could."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """Allocated and reserved bytes after each event, where each block lay, and how it ended.

    When the card's limit was hit, the columns end at the failing event (`out_of_memory.event` rows).
    """

    allocated: Column
    """After each event: bytes of the live blocks, as `torch.cuda.memory_allocated` counts them (rounded, with unsplit slack)."""
    active: Column
    """After each event: allocated bytes plus blocks that wait for another stream."""
    reserved: Column
    """After each event: bytes of the segments held."""
    block_sizes: Column
    """Per block of the trace: the bytes of the allocator's block that served it (0: never reached)."""
    block_addresses: Column
    """Per block of the trace: where it lay (-1: never reached)."""
    segments: tuple[Segment, ...]
    num_alloc_retries: int = 0
    """How often cached segments had to be given back before a request could be served."""
    refused: int = 0
    """How many workspaces could not be had and were gone without."""
    out_of_memory: OutOfMemory | None = None

    @property
    def peak_allocated(self) -> int:
        """`torch.cuda.max_memory_allocated`, in bytes."""
        return int(self.allocated.max(initial=0))

    @property
    def peak_reserved(self) -> int:
        """`torch.cuda.max_memory_reserved`, in bytes."""
        return int(self.reserved.max(initial=0))

    def peak_event(self) -> int:
        """Return the peak instant: among the events with most reserved bytes, the first with most allocated ones."""
        if not len(self.reserved):
            return 0
        highest = np.flatnonzero(self.reserved == self.peak_reserved)
        return int(highest[np.argmax(self.allocated[highest])])
