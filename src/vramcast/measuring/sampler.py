"""The most that the driver shows while a program runs: asked again and again, from a thread beside it.

The allocator's own peak is exact; what the process holds beside it, and what cuDNN's search takes for a moment, is seen only by asking.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from vramcast.measurement import DeviceReading

INTERVAL = 0.01
"""Seconds between two questions; an answer takes some tens of microseconds."""


def largest(readings: list[DeviceReading]) -> DeviceReading:
    """Return the largest of each figure; None where it was never told."""
    return DeviceReading(**{name: max(filter(None, (getattr(reading, name) for reading in readings)), default=None) for name in _FIGURES})


class Sampler:
    """Asks `read` while the context is open; `peak` is the largest of each figure."""

    def __init__(self, read: Callable[[], DeviceReading], interval: float = INTERVAL) -> None:
        self.peak = DeviceReading()
        self._read, self._interval = read, interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vramcast-sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.peak = largest([self.peak, self._read()])
            except RuntimeError:  # a card that an error has stopped; the program learns of it by itself
                return
            self._ended.wait(self._interval)


_FIGURES = DeviceReading.__struct_fields__
