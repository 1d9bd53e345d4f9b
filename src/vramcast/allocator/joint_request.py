"""Requests in parts: what one operation of a trace asks for in a row is asked for at once, and its parts lie side by side.

So an answer can tell what the parts are for, while the device sees one request: the weights of an engine, the tensors of a plan, a block of
initializers. What goes back of it is not handed out anew; the whole goes back with its last part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vramcast.trace import Event, Trace


@dataclass(slots=True)
class Whole:
    """Memory that was taken at once."""

    address: int
    size: int
    used: int = 0
    """Bytes up to here were handed out."""
    live: int = 0
    """Parts that are in use."""

    def part(self, size: int, died: int) -> Part:
        """Hand out the next `size` bytes, which go back at event `died`."""
        part = Part(self.address + self.used, size, self, died)
        self.used += size
        self.live += 1
        return part


@dataclass(frozen=True, slots=True)
class Part:
    """See `ServedBlock`."""

    address: int
    size: int
    whole: Whole
    died: int
    """Event that gives it back."""

    def give_back(self) -> bool:
        """Take the part back; tell whether it was the last."""
        self.whole.live -= 1
        return not self.whole.live


def joint_requests(trace: Trace) -> Mapping[int, int]:
    """Return event -> bytes of the request that begins there: all that its operation allocates up to the next other event."""
    allocates = trace.kinds == Event.ALLOCATE
    continues = np.zeros(len(trace), bool)
    continues[1:] = allocates[1:] & allocates[:-1] & (trace.operations[1:] == trace.operations[:-1])
    numbers = np.cumsum(~continues) - 1
    sizes = np.where(allocates, trace.sizes[trace.blocks], 0)
    totals = np.bincount(numbers, weights=sizes, minlength=numbers[-1] + 1 if len(numbers) else 0).astype(np.int64)
    starts = np.flatnonzero(~continues & allocates)
    return dict(zip(starts.tolist(), totals[numbers[starts]].tolist()))
