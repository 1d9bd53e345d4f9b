"""A trace served by a card's allocator, replayed only as far as somebody asks.

An answer needs three kinds of replays: one without a limit, which tells what the program wants; one within the card, where that is too much;
and a few on smaller cards, for the confidence. Who only wants to know whether a card is enough, at many points, is spared most of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from vramcast.allocator.room import Room
from vramcast.answer import Estimate, answer
from vramcast.backends.registry import backend_of, with_backend
from vramcast.calibration.interval import device_range
from vramcast.calibration.table import Comparable
from vramcast.confidence import among_measured, nearest
from vramcast.gpu.context import ContextRange
from vramcast.gpu.spec import GpuSpec
from vramcast.timeline import Timeline
from vramcast.trace import Column, Event, Trace
from vramcast.workload import Workload

_SEEN = "most reserved in a replay that was ended early"


@dataclass(frozen=True, eq=False)
class Served:
    """What comes of a trace on a card. All sizes are bytes (`int`)."""

    trace: Trace
    """The scratch of kernels included."""
    workload: Workload
    card: GpuSpec | None

    @classmethod
    def on(cls, trace: Trace, card: GpuSpec | None, workload: Workload) -> Served:
        """Add the scratch that kernels take on the card, unless the trace has it already."""
        named = with_backend(workload, trace.subject.name)
        return cls(backend_of(named).on_card(trace, named, card), named, card)

    @cached_property
    def context(self) -> ContextRange:
        """What the process holds outside of the allocator."""
        return backend_of(self.workload).context(self.workload, self.card)

    @cached_property
    def wanted(self) -> Timeline:
        """What the allocator takes where there is no limit."""
        return self._replayed(Room(crowded=self._crowded))

    def takes_more_than(self, reserved: int) -> bool:
        """Tell whether more is reserved at any instant where there is no limit; a replay ends where that is known."""
        if "wanted" in self.__dict__:
            return self.wanted.peak_reserved > reserved
        if reserved < self.__dict__.get(_SEEN, 0):
            return True
        seen = self._replayed(Room(crowded=self._crowded, enough=reserved))
        if seen.peak_reserved > reserved:
            self.__dict__[_SEEN] = seen.peak_reserved
            return True
        self.__dict__["wanted"] = seen  # it went on to its end
        return False

    @cached_property
    def limited(self) -> Timeline:
        """What it takes of the card's memory: less than it wants where that is too much, and perhaps not enough."""
        if self.card is None or not self.takes_more_than(self.card.usable_bytes - self.context.typical):
            return self.wanted
        return self._replayed(Room(max(self.card.usable_bytes - self.context.typical, 0), self.card.usable_bytes, self._crowded))

    @cached_property
    def fits(self) -> bool | None:
        """Whether the card is enough; None where none was named. What is certainly too much is not replayed."""
        if self.card is None:
            return None
        return self.least_bytes + self.context.typical <= self.card.usable_bytes and self.limited.out_of_memory is None

    @cached_property
    def requested_bytes(self) -> int:
        """The most that is asked for at any instant: `wanted` reserves no less."""
        return highest(self.trace, self.trace.sizes)

    @cached_property
    def least_bytes(self) -> int:
        """The most that is asked for at any instant, but for what may be refused: no allocator does with less."""
        return highest(self.trace, np.where(self.trace.may_be_refused, 0, self.trace.sizes))

    @cached_property
    def nearest(self) -> Comparable:
        """The measured cases that come closest."""
        return nearest(self.trace, self.workload)

    @cached_property
    def range(self) -> tuple[int, int]:
        """The range of the process's memory, as in `Peak`."""
        timeline = self.limited if self.fits else self.wanted
        return device_range(timeline.peak_reserved, self.context, self.nearest.distribution)

    def answer(self) -> Estimate:
        """Read the whole answer, its confidence included."""
        standing = among_measured(self.trace, self.wanted, self.workload, self.card, self._replayed, self.context)
        shortage = None if self.fits is not False else self.limited.out_of_memory
        timeline = self.wanted if shortage is not None else self.limited
        return answer(self.trace, timeline, self.workload, self.card, self.context, standing, shortage)

    @property
    def _replayed(self) -> partial[Timeline]:
        return partial(backend_of(self.workload).replay, self.trace, self.workload)

    @property
    def _crowded(self) -> int | None:
        return self.card.usable_bytes // 2 if self.card else None


def highest(trace: Trace, sizes: Column) -> int:
    """Return the most that live blocks take at any instant, given the bytes of each block."""
    signs = np.select([trace.kinds == Event.ALLOCATE, trace.kinds == Event.FREE], [1, -1], 0)
    return int(np.cumsum(signs * sizes[trace.blocks]).max(initial=0)) if len(sizes) else 0
