"""Which blocks of a measured run are scratch of kernels, and a forecast's tensors with the measured scratch among them.

A snapshot does not say what a block is for. A block is taken as scratch when its partner in the forecast is scratch; or when it has no
partner, dies before the next shared request, and an operator with a scratch rule (`workspace/rules.py`) runs there in the forecast; or when
it has no partner and is as large as a cuBLAS workspace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vramcast.comparison.alignment import Alignment
from vramcast.trace import Column, Component, Event, Trace
from vramcast.workspace.cublas import LARGE_WORKSPACE, SMALL_WORKSPACE
from vramcast.workspace.rules import RULES


def measured_scratch(forecast: Trace, measured: Trace, aligned: Alignment) -> Column:
    """Return the blocks of the measured run that are scratch."""
    paired = aligned.measured[forecast.components[aligned.forecast] == Component.WORKSPACE]
    alone = aligned.only_measured
    births = measured.allocated_at[aligned.measured]
    places, ends = (np.searchsorted(births, column[alone]) for column in (measured.allocated_at, measured.freed_at))
    is_brief = (places == ends) & (measured.freed_at[alone] < len(measured))
    ruled = np.concatenate([[False], _are_ruled(forecast, aligned.forecast), [False]])
    is_near = ruled[places] | ruled[np.minimum(places + 1, len(ruled) - 1)]
    is_handle = np.isin(measured.sizes[alone], (SMALL_WORKSPACE, LARGE_WORKSPACE))
    return np.sort(np.concatenate([paired, alone[(is_brief & is_near) | is_handle]]))


def with_measured_scratch(forecast: Trace, measured: Trace, aligned: Alignment, scratch: Column) -> Trace:
    """Return the forecast's trace with the scratch of the measured run in place of its own.

    The cache is emptied where it was in the measured run: it is cuDNN's search that does so.
    """
    own = forecast.components == Component.WORKSPACE
    own[aligned.forecast] = False  # those that have a partner are as large as measured, and stay
    bare, kept = _bare(forecast, own)
    added = np.setdiff1d(scratch, aligned.measured)
    ends = measured.freed_at[added]
    new, is_freed = len(bare.sizes) + np.arange(len(added)), ends < len(measured)
    emptied = np.flatnonzero(measured.empties_cache)
    insertion = _Insertion(
        moments=np.concatenate([measured.allocated_at[added], ends[is_freed], emptied]),
        kinds=np.repeat([int(Event.ALLOCATE), int(Event.FREE), int(Event.EMPTY_CACHE)], [len(added), int(is_freed.sum()), len(emptied)]),
        blocks=np.concatenate([new, new[is_freed], np.full(len(emptied), -1)]),
        sizes=measured.sizes[added],
    )
    return insertion.into(bare, _Places(measured, aligned, bare, kept)) if len(bare) else bare


def _bare(trace: Trace, gone: Column) -> tuple[Trace, Column]:
    """Return the trace without the blocks marked in `gone` and without emptying the cache, and the new index of each block (-1: gone)."""
    kept = np.where(gone, -1, np.cumsum(~gone) - 1)
    stays = trace.blocks >= 0
    stays[stays] = ~gone[trace.blocks[stays]]
    changed = replace(
        trace,
        kinds=trace.kinds[stays],
        blocks=kept[trace.blocks[stays]],
        operations=trace.operations[stays],
        sizes=trace.sizes[~gone],
        components=trace.components[~gone],
        streams=trace.streams[~gone],
        block_modules=trace.block_modules[~gone],
    )
    return changed, kept


def _are_ruled(forecast: Trace, blocks: Column) -> Column:
    """Tell which blocks come from an operator that has a scratch rule."""
    operators = np.array([name.rpartition("::")[2] in RULES for name in forecast.operators], bool)
    return operators[forecast.operation_operators[forecast.operations[forecast.allocated_at[blocks]]]]


class _Places:
    """Where in the bare forecast an event of the measured run belongs: after the last shared event before it."""

    def __init__(self, measured: Trace, aligned: Alignment, bare: Trace, kept: Column) -> None:
        ours = kept[aligned.forecast]
        theirs, ours = aligned.measured[ours >= 0], ours[ours >= 0]
        births = (measured.allocated_at[theirs], bare.allocated_at[ours])
        is_freed = (measured.freed_at[theirs] < len(measured)) & (bare.freed_at[ours] < len(bare))
        ends = (measured.freed_at[theirs[is_freed]], bare.freed_at[ours[is_freed]])
        shared = np.concatenate([births[0], ends[0]]), np.concatenate([births[1], ends[1]])
        order = np.argsort(shared[0])
        self._theirs = shared[0][order]
        # Lifetimes differ, so the last shared event may lie later in the forecast than it should: never beyond the next shared request.
        following = np.minimum.accumulate(np.append(births[1][np.argsort(births[0])], len(bare))[::-1])[::-1]
        limit = following[np.searchsorted(np.sort(births[0]), self._theirs, side="right")]
        self._ours = np.maximum.accumulate(np.minimum(shared[1][order] + 1, limit)) if len(limit) else shared[1]

    def of(self, events: Column) -> Column:
        """Return the places before which the events are to be inserted; they do not decrease where the events do not."""
        return np.concatenate([[0], self._ours])[np.searchsorted(self._theirs, events)]


@dataclass(frozen=True, slots=True)
class _Insertion:
    """Events of the measured run, by the moment of each there, and the sizes of the blocks among them."""

    moments: Column
    kinds: Column
    blocks: Column
    sizes: Column

    def into(self, bare: Trace, where: _Places) -> Trace:
        """Return the trace with the events in it, each part of the operation before it."""
        order = np.argsort(self.moments, kind="stable")
        places, count = where.of(self.moments[order]), len(self.sizes)
        return replace(
            bare,
            kinds=np.insert(bare.kinds, places, self.kinds[order]),
            blocks=np.insert(bare.blocks, places, self.blocks[order]),
            operations=np.insert(bare.operations, places, bare.operations[np.maximum(places - 1, 0)]),
            sizes=np.concatenate([bare.sizes, self.sizes]),
            components=np.concatenate([bare.components, np.full(count, Component.WORKSPACE)]),
            streams=np.concatenate([bare.streams, np.zeros(count, np.int64)]),
            block_modules=np.concatenate([bare.block_modules, np.zeros(count, np.int64)]),
        )
