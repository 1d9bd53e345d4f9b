"""A trace with more repetitions of a phase that repeats: the steps of text generation.

Once under way, each step of a `decode` phase has the same events in the same order as the one before it, blocks are freed as many
steps after their birth, and every byte count is affine in the number of the step. So a few steps tell all. Three steps in a row are
compared, two to fit and one to check; the steps before them, and the last one with what follows it, stay as they are but for their sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from vramcast.family.affine import AffineCall
from vramcast.family.errors import NotAffineError
from vramcast.trace import Column, Event, OperatorCall, Trace

TRACED_STEPS = 8
"""Steps that have to be there: two or three of their own kind at the beginning, three that are alike, whose blocks are born up to two
steps earlier, and the last."""


def stretched(trace: Trace, phase: str, more: int) -> Trace:
    """Return the trace with `more` further steps in each run of phases of this name; each run becomes one phase.

    Raises:
        NotAffineError: the steps do not repeat, or there are fewer than `TRACED_STEPS`.
    """
    for first, last in reversed(list(_runs(trace, phase))):
        trace = _Run(trace, first, last).with_more(more) if more else trace
    return _merged(trace, phase)


def _runs(trace: Trace, phase: str) -> Iterator[tuple[int, int]]:
    """List the first and last phase of each run: phases of one name and step that follow each other."""
    for (name, _step), run in groupby(range(len(trace.phases)), key=lambda index: (trace.phases[index].name, trace.phases[index].step)):
        if name == phase:
            indices = list(run)
            yield indices[0], indices[-1]


def _merged(trace: Trace, phase: str) -> Trace:
    """Return the trace with phases of one name and step that follow each other made one."""
    is_next = [before != after or after.name != phase for before, after in zip(trace.phases, trace.phases[1:])]
    numbers = np.cumsum([0, *is_next]).astype(np.int64)
    phases = tuple(kept for kept, begins in zip(trace.phases, [True, *is_next]) if begins)
    return replace(trace, phases=phases, operation_phases=numbers[trace.operation_phases])


@dataclass(frozen=True, slots=True)
class _Span:
    """Where one step is: half-open ranges of events, blocks born in it, and operations."""

    events: tuple[int, int]
    blocks: tuple[int, int]
    operations: tuple[int, int]


class _Run:
    """One run of steps, and how its last but one step grows out of those before it."""

    def __init__(self, trace: Trace, first: int, last: int) -> None:
        if last - first + 1 < TRACED_STEPS:
            raise NotAffineError("too few steps")
        born = trace.blocks[trace.kinds == Event.ALLOCATE]
        if (np.diff(born) != 1).any():
            raise NotAffineError("blocks are not numbered in the order of their birth")
        self.trace = trace
        early, before, self.step, self.end = (_span(trace, phase) for phase in range(last - 3, last + 1))
        self.blocks = self.step.blocks[1] - self.step.blocks[0]
        self.operations = self.step.operations[1] - self.step.operations[0]
        _check_alike(trace, (early, before, self.step))
        _check_deaths(trace, early, self.step)
        sizes = [trace.sizes[slice(*span.blocks)] for span in (early, before, self.step)]
        self.growth: Column = sizes[2] - sizes[1]
        if (sizes[1] - sizes[0] != self.growth).any():
            raise NotAffineError("sizes are not affine in the step")
        self.calls = dict(self._calls((early, before, self.step)))
        self.shared = self._shared()

    def _calls(self, spans: tuple[_Span, _Span, _Span]) -> Iterator[tuple[int, AffineCall]]:
        for offset in range(self.operations):
            call = AffineCall.through([self.trace.calls.get(span.operations[0] + offset) for span in spans])
            if call is not None:
                yield offset, call

    def _shared(self) -> int:
        """Return how many blocks the last step has in common with the one before it: all of its own."""
        trace, mine, theirs = self.trace, self.step, self.end
        count = theirs.blocks[1] - theirs.blocks[0]
        if count > self.blocks or not _same_births(trace, mine, theirs, count):
            raise NotAffineError("the last step takes other memory than those before it")
        if (trace.sizes[slice(*theirs.blocks)] - trace.sizes[mine.blocks[0] : mine.blocks[0] + count] != self.growth[:count]).any():
            raise NotAffineError("the last step's sizes are not those of a further step")
        return count

    def with_more(self, more: int) -> Trace:
        """Return the trace with the step before the last one repeated `more` times."""
        trace, rounds = self.trace, np.arange(1, more + 1)[:, None]
        events, blocks, operations = (slice(*part) for part in (self.step.events, self.step.blocks, self.step.operations))
        moved_blocks, moved_operations = more * self.blocks, more * self.operations
        freed = trace.blocks[events]
        is_old = (freed < self.step.blocks[0] - 2 * self.blocks) | (freed < 0)
        further_blocks = np.where(is_old, freed, freed + rounds * self.blocks).ravel()
        after = trace.blocks[events.stop :]
        later_blocks = np.where(after >= self.step.blocks[0] - self.blocks, after + moved_blocks, after)
        sizes = (trace.sizes[blocks] + rounds * self.growth).ravel()
        later_sizes = trace.sizes[blocks.stop :].copy()
        later_sizes[: self.shared] += more * self.growth[: self.shared]
        return replace(
            trace,
            kinds=_inserted(trace.kinds, events, more),
            blocks=np.concatenate([trace.blocks[: events.stop], further_blocks, later_blocks]),
            operations=np.concatenate(
                [trace.operations[: events.stop], (trace.operations[events] + rounds * self.operations).ravel(),
                 trace.operations[events.stop :] + moved_operations]
            ),
            sizes=np.concatenate([trace.sizes[: blocks.stop], sizes, later_sizes]),
            components=_inserted(trace.components, blocks, more), streams=_inserted(trace.streams, blocks, more),
            block_modules=_inserted(trace.block_modules, blocks, more),
            operation_operators=_inserted(trace.operation_operators, operations, more),
            operation_modules=_inserted(trace.operation_modules, operations, more),
            operation_phases=_inserted(trace.operation_phases, operations, more),
            calls=self._grown_calls(more, moved_operations),
        )  # fmt: skip

    def _grown_calls(self, more: int, moved: int) -> dict[int, OperatorCall]:
        calls = {operation: call for operation, call in self.trace.calls.items() if operation < self.step.operations[1]}
        for number in range(1, more + 1):
            begin = self.step.operations[0] + number * self.operations
            calls.update((begin + offset, call.at(2 + number)) for offset, call in self.calls.items())
        for operation, call in self.trace.calls.items():
            if operation >= self.step.operations[1]:
                affine = self.calls.get(operation - self.end.operations[0]) if operation < self.end.operations[1] else None
                if affine is not None and affine.at(3) != call:
                    raise NotAffineError("the last step makes other calls than a further step would")
                calls[operation + moved] = call if affine is None else affine.at(3 + more)
        return calls


def _inserted(column: Column, rows: slice, times: int) -> Column:
    return np.concatenate([column[: rows.stop], np.tile(column[rows], times), column[rows.stop :]])


def _span(trace: Trace, phase: int) -> _Span:
    operations = tuple(np.searchsorted(trace.operation_phases, [phase, phase + 1]).tolist())
    events = tuple(np.searchsorted(trace.operations, operations).tolist())
    births = np.cumsum(trace.kinds == Event.ALLOCATE)
    blocks = tuple(int(births[event - 1]) if event else 0 for event in events)
    return _Span((events[0], events[1]), (blocks[0], blocks[1]), (operations[0], operations[1]))


def _check_alike(trace: Trace, spans: tuple[_Span, _Span, _Span]) -> None:
    """Check that steps say the same but for the numbers, and free blocks of the same step, counted back from their own."""
    first, second, third = (_text(trace, span) for span in spans)
    if not (_equal(first, second) and _equal(second, third)):
        raise NotAffineError("the steps differ")


def _text(trace: Trace, span: _Span) -> tuple[Column, ...]:
    events, blocks, operations = (slice(*part) for part in (span.events, span.blocks, span.operations))
    length = span.blocks[1] - span.blocks[0]
    meant = trace.blocks[events]
    is_old = (meant < span.blocks[0] - 2 * length) | (meant < 0)
    return (
        trace.kinds[events], trace.operations[events] - span.operations[0], np.where(is_old, -1 - meant, meant - span.blocks[0]),
        trace.components[blocks], trace.streams[blocks], trace.block_modules[blocks],
        trace.operation_operators[operations], trace.operation_modules[operations],
    )  # fmt: skip


def _equal(one: tuple[Column, ...], other: tuple[Column, ...]) -> bool:
    return all(np.array_equal(left, right) for left, right in zip(one, other))


def _check_deaths(trace: Trace, early: _Span, step: _Span) -> None:
    """Check that nothing a step leaves behind is kept for longer than two steps, unless it is kept for good."""
    deaths = trace.freed_at[slice(*early.blocks)]
    if ((deaths >= step.events[1]) & (deaths < len(trace))).any():
        raise NotAffineError("what each step leaves behind goes at the end")


def _same_births(trace: Trace, one: _Span, other: _Span, count: int) -> bool:
    """Tell whether the first `count` blocks of two steps are born by the same operations; what they are for may differ at the end."""
    born = [trace.operations[trace.allocated_at[span.blocks[0] : span.blocks[0] + count]] - span.operations[0] for span in (one, other)]
    makers = [trace.operation_operators[operations + span.operations[0]] for operations, span in zip(born, (one, other))]
    return np.array_equal(born[0], born[1]) and np.array_equal(makers[0], makers[1])
