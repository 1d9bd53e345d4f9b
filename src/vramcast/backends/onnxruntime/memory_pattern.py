"""The memory pattern: one block that holds all intermediate values of a run.

Read in `MemPatternPlanner` (`onnxruntime/core/framework/mem_pattern_planner.h`, commit 00ca168). The first run of a shape allocates value by value
and writes down what it does; each value gets the place in an imagined buffer that fits best: the gap with the least waste, the lowest of several,
else the end of the last block. Later runs allocate the whole buffer at once. Outputs of the graph are not in it (`ExecutionFrame::TraceAllocate`,
`execution_frame.cc`, commit 0077338).
"""

from __future__ import annotations

from vramcast.allocator.bfc_arena import MIN_ALLOCATION_SIZE
from vramcast.units import round_up

ALIGNMENT = MIN_ALLOCATION_SIZE
"""`kAllocAlignment`."""


class MemoryPattern:
    """Places of values, and the size of the buffer they need."""

    def __init__(self) -> None:
        self.peak = 0
        """Bytes."""
        self._blocks: list[tuple[int, int, str]] = []
        """Offset, end and name of what is in the buffer now, by offset."""

    def allocate(self, name: str, size: int) -> int:
        """Place a value of `size` bytes, and return its offset."""
        size = round_up(size, ALIGNMENT)
        if not size:
            return 0
        offset, place = self._best_gap(size)
        self._blocks.insert(place, (offset, offset + size, name))
        self.peak = max(self.peak, offset + size)
        return offset

    def free(self, name: str) -> None:
        """Take a value out."""
        self._blocks = [block for block in self._blocks if block[2] != name]

    def _best_gap(self, size: int) -> tuple[int, int]:
        best, waste, current = (self._blocks[-1][1] if self._blocks else 0, len(self._blocks)), None, 0
        for place, (offset, end, _) in enumerate(self._blocks):
            gap = offset - current
            if gap >= size and (waste is None or gap - size < waste):
                best, waste = (current, place), gap - size
            current = end
        return best
