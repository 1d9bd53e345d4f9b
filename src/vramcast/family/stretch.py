"""A trace with more repetitions of a phase that repeats: the steps of text generation.

Once under way, each step of a `decode` phase has the same events in the same order as the one before it, blocks are freed as many
steps after their birth, and every byte count is affine in the number of the step. So a few steps tell all: three in a row are compared,
two to fit and one to check. What comes before and after them stays as it is, but for the sizes of the last step.
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
_EARLY = 5
"""The step, from 0, from which on those at the beginning of a run are alike."""


def stretched(trace: Trace, phase: str, more: int) -> Trace:
    """Return the trace with `more` further steps before the last one of each run of phases of this name.

    Raises:
        NotAffineError: the steps do not repeat, or there are fewer than `TRACED_STEPS`.
    """
    for first, last in reversed(list(_runs(trace, phase)) if more else []):
        _check_length(first, last)
        spans = [_span(trace, index) for index in range(last - 3, last + 1)]
        step = _Step.fitted(trace, spans[0], spans[1], spans[2])
        trace = step.repeated(step.with_grown_end(trace, spans[3], more), more)
    return trace


def resumed(short: Trace, long: Trace, phase: str, more: int) -> Trace:
    """Return the trace that begins as `short` and goes on as `long`, which begins as `short` would `more` steps later.

    Raises:
        NotAffineError: they do not begin with the same events, or the one does not grow to what the other is.
    """
    runs = list(zip(_runs(short, phase), _runs(long, phase), strict=True))
    for (mine, last), (theirs, their_last) in reversed(runs):
        _check_length(mine, last)
        _check_length(theirs, their_last)
        spans = [_span(short, mine + index) for index in range(_EARLY - 2, _EARLY + 1)]
        step = _Step.fitted(short, spans[0], spans[1], spans[2])
        target = _span(long, theirs + _EARLY)
        if not _equal(_text(short, step.span), _text(long, target)):
            raise NotAffineError("the steps differ")
        if (step.grown(short, more) != long.sizes[slice(*target.blocks)]).any():
            raise NotAffineError("sizes are not affine in the step")
        begun = _with_beginning(long, short, [(theirs + index, mine + index) for index in range(-1, _EARLY + 1)])
        long = replace(step, span=target).repeated(begun, more)
    return long


def merged(trace: Trace, phase: str) -> Trace:
    """Return the trace with phases of this name and of one step that follow each other made one."""
    is_next = [before != after or after.name != phase for before, after in zip(trace.phases, trace.phases[1:])]
    numbers = np.cumsum([0, *is_next]).astype(np.int64)
    phases = tuple(kept for kept, begins in zip(trace.phases, [True, *is_next]) if begins)
    return replace(trace, phases=phases, operation_phases=numbers[trace.operation_phases])


@dataclass(frozen=True, slots=True)
class _Span:
    """Where one phase is: half-open ranges of events, blocks born in it, and operations."""

    events: tuple[int, int]
    blocks: tuple[int, int]
    operations: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Step:
    """A step that repeats, and how it grows from one repetition to the next."""

    span: _Span
    growth: Column
    """Per block born in it: bytes."""
    calls: dict[int, AffineCall]
    """Operation, counted from the step's first -> its call; the step itself is the third of those that were fitted."""

    @classmethod
    def fitted(cls, trace: Trace, early: _Span, before: _Span, step: _Span) -> _Step:
        """Fit three steps in a row."""
        texts = [_text(trace, span) for span in (early, before, step)]
        if not (_equal(texts[0], texts[1]) and _equal(texts[1], texts[2])):
            raise NotAffineError("the steps differ")
        _check_deaths(trace, early, step)
        sizes = [trace.sizes[slice(*span.blocks)] for span in (early, before, step)]
        if (sizes[1] - sizes[0] != sizes[2] - sizes[1]).any():
            raise NotAffineError("sizes are not affine in the step")
        return cls(step, sizes[2] - sizes[1], _grown_calls(trace, (early, before, step)))

    def grown(self, trace: Trace, more: int) -> Column:
        """Return the bytes of the step's blocks, so many repetitions later."""
        return trace.sizes[slice(*self.span.blocks)] + more * self.growth

    def with_grown_end(self, trace: Trace, end: _Span, more: int) -> Trace:
        """Return the trace with the last step, which follows this one, as large as it is after `more` repetitions."""
        count = end.blocks[1] - end.blocks[0]
        if count > len(self.growth) or not _same_births(trace, self.span, end, count):
            raise NotAffineError("the last step takes other memory than those before it")
        if (trace.sizes[slice(*end.blocks)] != self.grown(trace, 1)[:count]).any():
            raise NotAffineError("the last step's sizes are not those of a further step")
        sizes, calls = trace.sizes.copy(), dict(trace.calls)
        sizes[slice(*end.blocks)] = self.grown(trace, 1 + more)[:count]
        for operation in range(*end.operations):
            affine, call = self.calls.get(operation - end.operations[0]), trace.calls.get(operation)
            if call is None:
                continue
            if affine is None or affine.at(3) != call:
                raise NotAffineError("the last step makes other calls than a further step would")
            calls[operation] = affine.at(3 + more)
        return replace(trace, sizes=sizes, calls=calls)

    def repeated(self, trace: Trace, more: int) -> Trace:
        """Return the trace with the step repeated `more` times, growing; what follows refers to the last repetitions."""
        rounds = np.arange(1, more + 1)[:, None]
        events, blocks, operations = (slice(*part) for part in (self.span.events, self.span.blocks, self.span.operations))
        born, made = blocks.stop - blocks.start, operations.stop - operations.start
        freed, later = trace.blocks[events], trace.blocks[events.stop :]
        return replace(
            trace,
            kinds=_inserted(trace.kinds, events, more),
            blocks=np.concatenate([
                trace.blocks[: events.stop],
                np.where(freed < 0, freed, freed + rounds * born).ravel(),
                np.where(later >= blocks.start - born, later + more * born, later),
            ]),
            operations=np.concatenate([
                trace.operations[: events.stop],
                (trace.operations[events] + rounds * made).ravel(),
                trace.operations[events.stop :] + more * made,
            ]),
            sizes=np.concatenate([
                trace.sizes[: blocks.stop], (trace.sizes[blocks] + rounds * self.growth).ravel(), trace.sizes[blocks.stop :]
            ]),
            components=_inserted(trace.components, blocks, more), streams=_inserted(trace.streams, blocks, more),
            block_modules=_inserted(trace.block_modules, blocks, more),
            operation_operators=_inserted(trace.operation_operators, operations, more),
            operation_modules=_inserted(trace.operation_modules, operations, more),
            operation_phases=_inserted(trace.operation_phases, operations, more),
            calls=self._repeated_calls(trace, more),
        )  # fmt: skip

    def _repeated_calls(self, trace: Trace, more: int) -> dict[int, OperatorCall]:
        begin, end = self.span.operations
        calls = {operation: call for operation, call in trace.calls.items() if operation < end}
        distinct = {id(call): call for call in self.calls.values()}
        for number in range(1, more + 1):
            made = {key: call.at(2 + number) for key, call in distinct.items()}
            calls.update((begin + number * (end - begin) + offset, made[id(call)]) for offset, call in self.calls.items())
        calls.update((operation + more * (end - begin), call) for operation, call in trace.calls.items() if operation >= end)
        return calls


def _runs(trace: Trace, phase: str) -> Iterator[tuple[int, int]]:
    """List the first and last phase of each run: phases of one name and step that follow each other."""
    for (name, _step), run in groupby(range(len(trace.phases)), key=lambda index: (trace.phases[index].name, trace.phases[index].step)):
        if name == phase:
            indices = list(run)
            yield indices[0], indices[-1]


def _check_length(first: int, last: int) -> None:
    if last - first + 1 < TRACED_STEPS:
        raise NotAffineError("too few steps")


def _inserted(column: Column, rows: slice, times: int) -> Column:
    return np.concatenate([column[: rows.stop], np.tile(column[rows], times), column[rows.stop :]])


def _span(trace: Trace, phase: int) -> _Span:
    """Return where a phase is; blocks are numbered in the order of their birth."""
    operations = np.searchsorted(trace.operation_phases, [phase, phase + 1]).tolist()
    events = np.searchsorted(trace.operations, operations).tolist()
    born = trace.blocks[: events[1]][trace.kinds[: events[1]] == Event.ALLOCATE]
    if (np.diff(born) != 1).any():
        raise NotAffineError("blocks are not numbered in the order of their birth")
    before = int((trace.kinds[: events[0]] == Event.ALLOCATE).sum())
    return _Span((events[0], events[1]), (before, len(born)), (operations[0], operations[1]))


def _text(trace: Trace, span: _Span) -> tuple[Column, ...]:
    """Return what a step says but for the numbers: whose blocks are freed is counted from its own first."""
    events, blocks, operations = (slice(*part) for part in (span.events, span.blocks, span.operations))
    meant = trace.blocks[events]
    return (
        trace.kinds[events], trace.operations[events] - operations.start, np.where(meant < 0, meant, meant - blocks.start),
        trace.components[blocks], trace.streams[blocks], trace.block_modules[blocks],
        trace.operation_operators[operations], trace.operation_modules[operations], (meant < 0).astype(np.int64),
    )  # fmt: skip


def _grown_calls(trace: Trace, spans: tuple[_Span, _Span, _Span]) -> dict[int, AffineCall]:
    """Fit the calls of three steps; those that are the same, as they are in most layers, are one object."""
    calls: dict[int, AffineCall] = {}
    distinct: list[AffineCall] = []
    for offset in range(spans[0].operations[1] - spans[0].operations[0]):
        call = AffineCall.through([trace.calls.get(span.operations[0] + offset) for span in spans])
        if call is not None:
            calls[offset] = next((known for known in distinct if known == call), call)
            if calls[offset] is call:
                distinct.append(call)
    return calls


def _equal(one: tuple[Column, ...], other: tuple[Column, ...]) -> bool:
    return all(np.array_equal(left, right) for left, right in zip(one, other))


def _check_deaths(trace: Trace, early: _Span, step: _Span) -> None:
    """Check that steps free what was born in the two before them at most, and leave nothing behind that goes later."""
    born = step.blocks[1] - step.blocks[0]
    freed = trace.blocks[slice(*step.events)]
    if (freed[freed >= 0] < step.blocks[0] - 2 * born).any():
        raise NotAffineError("a step frees what was born long before it")
    deaths = trace.freed_at[slice(*early.blocks)]
    if ((deaths >= step.events[1]) & (deaths < len(trace))).any():
        raise NotAffineError("what each step leaves behind goes at the end")


def _same_births(trace: Trace, one: _Span, other: _Span, count: int) -> bool:
    """Tell whether the first `count` blocks of two steps are born by the same operations; what they are for may differ at the end."""
    born = [trace.operations[trace.allocated_at[span.blocks[0] : span.blocks[0] + count]] - span.operations[0] for span in (one, other)]
    makers = [trace.operation_operators[operations + span.operations[0]] for operations, span in zip(born, (one, other))]
    return np.array_equal(born[0], born[1]) and np.array_equal(makers[0], makers[1])


def _with_beginning(long: Trace, short: Trace, phases: list[tuple[int, int]]) -> Trace:
    """Return `long` with the sizes and calls of `short` in some phases, which are given in pairs and have the same events."""
    sizes, calls = long.sizes.copy(), dict(long.calls)
    for theirs, mine in phases:
        there, here = _span(long, theirs), _span(short, mine)
        kinds = [trace.kinds[slice(*span.events)] for trace, span in ((long, there), (short, here))]
        operators = [trace.operation_operators[slice(*span.operations)] for trace, span in ((long, there), (short, here))]
        if not (np.array_equal(kinds[0], kinds[1]) and np.array_equal(operators[0], operators[1])):
            raise NotAffineError("the traces begin otherwise")
        sizes[slice(*there.blocks)] = short.sizes[slice(*here.blocks)]
        for offset in range(here.operations[1] - here.operations[0]):
            if short.calls.get(here.operations[0] + offset) is not None:
                calls[there.operations[0] + offset] = short.calls[here.operations[0] + offset]
    return replace(long, sizes=sizes, calls=calls)
