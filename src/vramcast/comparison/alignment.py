"""Which request of a forecast is which request of a measured run.

Requests are compared phase by phase, in order, by what is longest in common (longest common subsequence, exact, by rapidfuzz), so a request that
one side has and the other has not shifts nothing. Many requests have the same bytes, and which of them is meant is told by more: the module, the
phase of the end, about how long the block lives. So requests that agree in all of this are paired first, and what is left in the gaps between
them by less and less, at last by bytes alone. A forecast's scratch of kernels comes last of all, for it is known least.
Where the measured trace has no phases of the program, the whole run is one sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import LCSseq

from vramcast.trace import Column, Component, Event, Trace

LARGEST_TABLE = 2**33
"""Requests of one side times those of the other, beyond which a sequence is cut in pieces: the table of the search takes a bit for each, 1 GiB."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Pairs of blocks, and the blocks that have no partner; all in the order of their requests."""

    forecast: Column
    """Blocks of the forecast that have a partner …"""
    measured: Column
    """… and the partner of each in the measured run."""
    only_forecast: Column
    only_measured: Column
    by_phase: bool
    """Whether phases could be compared."""


def align(forecast: Trace, measured: Trace) -> Alignment:
    """Pair the blocks of a forecast with those of a measured run."""
    by_phase = _has_phases_of(measured, forecast)
    groups = _groups(forecast, by_phase), _groups(measured, by_phase)
    requests = _Requests(forecast), _Requests(measured)
    pairs = [pair for key in groups[0] if key in groups[1] for pair in _pairs(*requests, groups[0][key], groups[1][key])]
    ours, theirs = (np.array(side, np.int64) for side in (tuple(zip(*pairs)) or ((), ())))
    order = np.argsort(measured.allocated_at[theirs], kind="stable")
    return Alignment(
        forecast=ours[order],
        measured=theirs[order],
        only_forecast=_without(forecast, ours),
        only_measured=_without(measured, theirs),
        by_phase=by_phase,
    )


def _has_phases_of(measured: Trace, forecast: Trace) -> bool:
    """Whether the measured run tells the phases that the forecast has."""
    return {phase.name for phase in forecast.phases} & {"forward", "backward"} <= {phase.name for phase in measured.phases}


def _groups(trace: Trace, by_phase: bool) -> dict[Hashable, list[int]]:
    """Return the blocks of each phase of each step, in the order of their requests."""
    births = np.flatnonzero(trace.kinds == Event.ALLOCATE)
    phases = trace.event_phases()[births].tolist()
    found: dict[Hashable, list[int]] = {}
    for phase, block in zip(phases, trace.blocks[births].tolist()):
        key = (trace.phases[phase].name, trace.phases[phase].step) if by_phase else None
        found.setdefault(key, []).append(block)
    return found


class _Requests:
    """What can be told of each block of one side when it is compared; plain lists, as they are read one by one."""

    def __init__(self, trace: Trace) -> None:
        phases = trace.event_phases()
        modules = trace.operation_modules[trace.operations[trace.allocated_at]].tolist()
        ends = trace.freed_at.tolist()
        lives = (trace.freed_at - trace.allocated_at).tolist()
        self._sizes: list[int] = trace.sizes.tolist()
        self._modules = [trace.modules[module] for module in modules]
        self._ends = [trace.phases[phases[end]].name if end < len(trace) else None for end in ends]
        self._lives = [life.bit_length() // 2 for life in lives]  # twice as many events between, or half as many, is about as long
        self.is_scratch: list[bool] = (trace.components == Component.WORKSPACE).tolist()

    def by_all(self, block: int) -> Hashable:
        """Bytes, module, phase of the end, about how long it lives."""
        return self._sizes[block], self._modules[block], self._ends[block], self._lives[block]

    def by_life(self, block: int) -> Hashable:
        """All but the module, which backward does not tell."""
        return self._sizes[block], self._ends[block], self._lives[block]

    def by_end(self, block: int) -> Hashable:
        """Bytes and phase of the end."""
        return self._sizes[block], self._ends[block]

    def by_size(self, block: int) -> Hashable:
        """Bytes alone."""
        return self._sizes[block]


_Key = Callable[[_Requests, int], Hashable]
_PASSES: tuple[tuple[_Key, bool], ...] = (
    (_Requests.by_all, False),
    (_Requests.by_life, False),
    (_Requests.by_end, False),
    (_Requests.by_size, False),
    (_Requests.by_size, True),
)
"""How requests are compared, and whether the forecast's scratch is among them."""


def _pairs(
    forecast: _Requests, measured: _Requests, ours: Sequence[int], theirs: Sequence[int], passes: Sequence[tuple[_Key, bool]] = _PASSES
) -> Iterator[tuple[int, int]]:
    """Pair blocks by the first way of comparing them; then what lies between the pairs, by the next."""
    if not passes or not ours or not theirs:
        return
    (key, with_scratch), *further = passes
    places = [place for place, block in enumerate(ours) if with_scratch or not forecast.is_scratch[block]]
    common = _common([key(forecast, ours[place]) for place in places], [key(measured, block) for block in theirs], 0, 0)
    i = j = 0
    for left, right in [*((places[left], right) for left, right in common), (len(ours), len(theirs))]:
        yield from _pairs(forecast, measured, ours[i:left], theirs[j:right], further)
        if left < len(ours):
            yield ours[left], theirs[right]
        i, j = left + 1, right + 1


def _common(left: Sequence[Hashable], right: Sequence[Hashable], i: int, j: int) -> Iterator[tuple[int, int]]:
    """Yield the indices, offset by `i` and `j`, of what is longest in common."""
    if not left or not right:
        return
    if len(left) * len(right) > LARGEST_TABLE:
        middles = len(left) // 2, len(right) // 2
        yield from _common(left[: middles[0]], right[: middles[1]], i, j)
        yield from _common(left[middles[0] :], right[middles[1] :], i + middles[0], j + middles[1])
        return
    for part in LCSseq.opcodes(left, right):
        if part.tag == "equal":
            for step in range(part.src_end - part.src_start):
                yield i + part.src_start + step, j + part.dest_start + step


def _without(trace: Trace, taken: Column) -> Column:
    """Return the blocks that are not among `taken`, in the order of their requests."""
    left = np.setdiff1d(np.arange(len(trace.sizes)), taken)
    return left[np.argsort(trace.allocated_at[left], kind="stable")]
