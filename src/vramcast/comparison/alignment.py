"""Which request of a forecast is which request of a measured run.

Requests are compared phase by phase, in order: first by bytes and module, then, in the gaps that leaves, by bytes alone. What is longest in
common is found by the longest common subsequence (rapidfuzz, exact), so a request that one side has and the other has not shifts nothing.
Where the measured trace has no phases of the program, the whole run is one sequence.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import LCSseq

from vramcast.trace import Column, Event, Trace

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
    pairs = [pair for key in groups[0] if key in groups[1] for pair in _pairs(forecast, measured, groups[0][key], groups[1][key])]
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


def _pairs(forecast: Trace, measured: Trace, ours: Sequence[int], theirs: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pair the blocks of one phase: by bytes and module where the measured run knows modules, then by bytes in the gaps."""
    named = _keys(forecast, ours, with_module=True), _keys(measured, theirs, with_module=True)
    plain = _keys(forecast, ours, with_module=False), _keys(measured, theirs, with_module=False)
    i = j = 0
    for first, second in (*_common(*named, 0, 0), (len(ours), len(theirs))):
        for left, right in _common(plain[0][i:first], plain[1][j:second], i, j):
            yield ours[left], theirs[right]
        if first < len(ours):
            yield ours[first], theirs[second]
        i, j = first + 1, second + 1


def _keys(trace: Trace, blocks: Sequence[int], *, with_module: bool) -> list[Hashable]:
    sizes: list[Hashable] = trace.sizes[blocks].tolist()
    if not with_module:
        return sizes
    modules = trace.operation_modules[trace.operations[trace.allocated_at[blocks]]].tolist()
    return [(size, trace.modules[module]) for size, module in zip(sizes, modules)]


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
