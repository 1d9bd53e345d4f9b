"""Which stretches of device memory were held from which event to which."""

from __future__ import annotations

from operator import attrgetter

from msgspec.structs import replace

from vramcast.timeline import Segment


class SegmentHistory:
    """Collects `Segment`s while a trace is replayed."""

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._held: dict[int, int] = {}
        """Address of a segment that is still held -> its place in the list."""

    def open(self, segment: Segment) -> None:
        """Record memory taken from the driver."""
        self._held[segment.address] = len(self._segments)
        self._segments.append(segment)

    def close(self, address: int, event: int) -> None:
        """Record that the whole segment at `address` went back at `event`."""
        index = self._held.pop(address)
        self._segments[index] = replace(self._segments[index], died=event)

    def close_part(self, address: int, size: int, event: int) -> None:
        """Record that `size` bytes from `address` on went back at `event`; what is left of their segments lives on as its own."""
        for start, index in list(self._held.items()):
            segment = self._segments[index]
            end = start + segment.size
            first, last = max(start, address), min(end, address + size)
            if first >= last:
                continue
            del self._held[start]
            self._segments[index] = replace(segment, address=first, size=last - first, died=event)
            for left, right in ((start, first), (last, end)):
                if left < right:
                    self.open(replace(segment, address=left, size=right - left))

    def segments(self) -> tuple[Segment, ...]:
        """Return all segments in the order in which they were taken."""
        return tuple(sorted(self._segments, key=attrgetter("born")))
