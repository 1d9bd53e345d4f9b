"""Allocated bytes while a trace is being recorded."""

from __future__ import annotations

from dataclasses import dataclass

from vramcast.trace import Event
from vramcast.tracing.recorder import Recorder
from vramcast.units import round_up

MIN_BLOCK_SIZE = 512
"""`kMinBlockSize`: sizes are rounded up to a multiple of it (c10/core/AllocatorConfig.h, torch 2.13)."""


@dataclass(slots=True)
class Meter:
    """Counts along with a recorder, each event once."""

    recorder: Recorder
    allocated: int = 0
    """Bytes of the live blocks, rounded as the allocator does."""
    peak: int = 0
    """The most since the beginning, or since `reset_peak`."""
    _events: int = 0

    def read(self) -> Meter:
        """Count what has happened since the last reading."""
        kinds, blocks, sizes = self.recorder.kinds, self.recorder.blocks, self.recorder.sizes
        for event in range(self._events, len(kinds)):
            if kinds[event] < Event.EMPTY_CACHE:
                size = round_up(sizes[blocks[event]], MIN_BLOCK_SIZE)
                self.allocated += size if kinds[event] == Event.ALLOCATE else -size
                self.peak = max(self.peak, self.allocated)
        self._events = len(kinds)
        return self

    def reset_peak(self) -> None:
        """Forget the peak so far."""
        self.peak = self.read().allocated
