"""The peak of live bytes at thousands of points of a family at once, without replaying any of them.

Live bytes are what blocks are rounded to (`AllocatorConfig.round_size`: 512 bytes), scratch included. It is the part of
`torch.cuda.max_memory_allocated` that follows from the trace alone. What the allocator counts besides is the rest of a cached block
that is too small to be split off, up to 1 MiB for each large block; that depends on what was freed before, and only a replay tells it.

Between a call's own allocations, scratch comes on top of what the program holds, and goes again; so the peak is the larger of the
program's own and, over all calls, what is held when scratch is taken plus that scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vramcast.allocator.config import AllocatorConfig
from vramcast.family.errors import NotAffineError
from vramcast.family.piece import Piece, Point
from vramcast.family.polynomials import Polynomials
from vramcast.trace import Column, Event, Trace
from vramcast.workspace.insert import insert_scratch
from vramcast.workspace.rules import RULES
from vramcast.workspace.scratch import Scratch, Site
from vramcast.workspace.stack import Stack

_CHUNK = 64
"""Points worked on at once: events x points of some MiB."""
_SAMPLE = 24
"""Points at which the scratch of a call is worked out by its rule, to find its polynomials; as many more, and the outermost, check them."""
_FEW = 3 * _SAMPLE
"""Points up to which every one is worked out by the rule."""


def live_peaks(piece: Piece, points: Sequence[Point], stack: Stack, config: AllocatorConfig) -> Column:
    """Return, per point of the piece, the most bytes that live blocks take.

    Raises:
        NotAffineError: a point is none of the piece's.
    """
    if not points:
        return np.zeros(0, np.int64)
    if piece.structure.loops or stack.cudnn_benchmark:
        return np.array([live_peak(insert_scratch(piece.at(point), stack), config) for point in points], np.int64)
    places = np.array(points, np.int64).reshape(len(points), -1)
    plan = _Plan.of(piece, places, stack)
    chunks = [slice(start, start + _CHUNK) for start in range(0, len(points), _CHUNK)]
    rounded = _rounded(piece.numbers_at(places), config)
    return np.concatenate([plan.peaks(rounded[:, chunk], chunk, config) for chunk in chunks])


def live_peak(trace: Trace, config: AllocatorConfig) -> int:
    """Return the most bytes that live blocks of a trace, its scratch included, take."""
    sizes = _rounded(trace.sizes, config)
    signs = np.select([trace.kinds == Event.ALLOCATE, trace.kinds == Event.FREE], [1, -1], 0)
    return int(np.cumsum(signs * sizes[trace.blocks]).max(initial=0)) if len(sizes) else 0


def _rounded(sizes: Column, config: AllocatorConfig) -> Column:
    """Return what requests are rounded to; 0 stays 0."""
    if not any(division > 1 for division in config.roundup_power2_divisions):
        plain: Column = -(-sizes // 512) * 512
        return plain
    distinct, which = np.unique(sizes, return_inverse=True)
    rounded = np.array([config.round_size(size) if size else 0 for size in distinct.tolist()], np.int64)
    return rounded[which].reshape(sizes.shape)


@dataclass(frozen=True, slots=True)
class _Use:
    """Scratch of one call among the events: the event before which it comes at each of the call's moments, and the scratch itself."""

    moments: list[int]
    scratch: tuple[Scratch, ...]
    """Sizes left out: see `sizes`."""
    sizes: Column
    """Scratch x points."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """The events of a piece, which of its numbers each adds, and the scratch of its calls."""

    rows: Column
    """Per event: which number; -1 for none."""
    signs: Column
    uses: tuple[_Use, ...]

    @classmethod
    def of(cls, piece: Piece, places: Column, stack: Stack) -> _Plan:
        trace = piece.at(tuple(places[0].tolist()))
        births = np.flatnonzero(piece.structure.texts[:, 0] == Event.ALLOCATE)
        rows = np.where(trace.blocks < 0, -1, piece.sizes[births][trace.blocks])
        signs = np.select([trace.kinds == Event.ALLOCATE, trace.kinds == Event.FREE], [1, -1], 0)
        return cls(rows, signs, tuple(_uses(piece, trace, places, stack)))

    def peaks(self, rounded: Column, chunk: slice, config: AllocatorConfig) -> Column:
        """Return the peak of some points, whose numbers are given rounded."""
        changes = self.signs[:, None] * rounded[self.rows]
        held = np.zeros((len(changes) + 1, rounded.shape[1]), np.int64)  # row e: before event e
        np.cumsum(changes, axis=0, out=held[1:])
        kept = np.zeros(rounded.shape[1], np.int64)
        highest_before, done = kept, 0
        for use in self.uses:
            # What a library keeps is on top of everything that comes after.
            highest_before = np.maximum(highest_before, held[done : use.moments[-1] + 1].max(axis=0) + kept)
            done = use.moments[0]
            on_top, stays = _on_top(use, _rounded(use.sizes[:, chunk], config))
            for moment, more in on_top.items():
                highest_before = np.maximum(highest_before, held[use.moments[moment]] + kept + more)
            kept = kept + stays
        highest: Column = np.maximum(highest_before, held[done:].max(axis=0) + kept)
        return highest


def _on_top(use: _Use, sizes: Column) -> tuple[dict[int, Column], Column]:
    """Return the most scratch at each moment of a call, and what stays behind it."""
    last = len(use.moments) - 1
    steps: list[tuple[int, int, int, int]] = []
    stays = np.zeros(sizes.shape[1], np.int64)
    for index, scratch in enumerate(use.scratch):
        steps.append((min(scratch.after, last), 3 * scratch.launch, 1, index))
        if scratch.stays:
            stays = stays + sizes[index]
        else:
            end = last if scratch.until is None else min(scratch.until, last)
            steps.append((end, 3 * (scratch.launch if scratch.through is None else scratch.through) + 1, -1, index))
    held = np.zeros(sizes.shape[1], np.int64)
    most: dict[int, Column] = {}
    for moment, _, sign, index in sorted(steps):
        for between in range(max(most, default=moment), moment + 1):
            most[between] = np.maximum(most.get(between, held), held)
        held = held + sign * sizes[index]
        most[moment] = np.maximum(most[moment], held)
    return most, stays


def _uses(piece: Piece, trace: Trace, places: Column, stack: Stack) -> list[_Use]:
    """Return the scratch of every call that takes some, in the order of the trace."""
    lines = np.flatnonzero(piece.structure.texts[:, 0] == len(Event)).tolist()
    backward = [phase.name == "backward" for phase in trace.phases]
    begins = np.searchsorted(trace.operations, np.arange(len(lines) + 1)).tolist()
    births = (trace.kinds == Event.ALLOCATE).tolist()
    known: dict[tuple[int, bool], tuple[tuple[Scratch, ...], Column]] = {}
    met: set[str] = set()
    found: list[_Use] = []
    for operation in sorted(trace.calls):
        form = piece.calls[lines[operation]]
        if piece.forms[form].first.operator not in RULES:
            continue
        key = form, backward[trace.operation_phases[operation]]
        if key not in known:
            known[key] = _scratch_of(piece, form, Site(stack, key[1], 0), places)
        wanted, sizes = known[key]
        due = [index for index, scratch in enumerate(wanted) if scratch.once is None or scratch.once not in met]
        met.update(scratch.once for scratch in wanted if scratch.once is not None)
        if due:
            moments = [begins[operation], *(event + 1 for event in range(begins[operation], begins[operation + 1]) if births[event])]
            found.append(_Use(moments, tuple(wanted[index] for index in due), sizes[due]))
    return found


def _scratch_of(piece: Piece, form: int, site: Site, places: Column) -> tuple[tuple[Scratch, ...], Column]:
    """Return the scratch of a call, and its sizes at every point: by polynomials where they hold, else by the rule at each."""
    rule = RULES[piece.forms[form].first.operator]

    def wanted_at(chosen: Column) -> list[tuple[Scratch, ...]]:
        numbers = piece.numbers_at(chosen).T.tolist()
        return [rule(piece.forms[form].at(row), site) for row in numbers]

    if len(places) > _FEW:
        try:
            return _told_by_few(wanted_at, places, np.array(piece.box.unit, np.int64))
        except NotAffineError:
            pass
    return _merged(wanted_at(places))


def _told_by_few(wanted_at: Callable[[Column], list[tuple[Scratch, ...]]], places: Column, unit: Column) -> tuple[tuple[Scratch, ...], Column]:
    """Raises `NotAffineError` where scratch is no polynomial, or comes and goes."""
    shuffled = np.random.default_rng(0).permutation(len(places))
    fitted, checked = shuffled[:_SAMPLE], np.concatenate([shuffled[_SAMPLE : 2 * _SAMPLE], _outermost(places)])
    kinds, values = _merged(wanted_at(places[fitted]))
    distinct, columns = np.unique(places[fitted] // unit, axis=0, return_index=True)
    numbers = Polynomials.through(distinct, values[:, columns], "scratch")
    other_kinds, expected = _merged(wanted_at(places[checked]))
    if kinds != other_kinds or not np.array_equal(numbers.at(places[checked] // unit), expected):
        raise NotAffineError("scratch is no polynomial")
    return kinds, numbers.at(places // unit)


def _outermost(places: Column) -> Column:
    """Return the places of the smallest and largest value of each variable, and of their product."""
    weight = np.prod(places.astype(float), axis=1)
    columns = [*places.T, weight, places[:, 0] / weight]
    return np.unique([find(column) for column in columns for find in (np.argmin, np.argmax)])


def _merged(wanted: Sequence[tuple[Scratch, ...]]) -> tuple[tuple[Scratch, ...], Column]:
    """Return every kind of scratch that occurs at some point, with its size at each: 0 where it does not occur."""
    rows: dict[tuple[Scratch, int], dict[int, int]] = {}
    for place, scratches in enumerate(wanted):
        seen: dict[Scratch, int] = {}
        for scratch in scratches:
            kind = _without_size(scratch)
            seen[kind] = seen.get(kind, 0) + 1
            rows.setdefault((kind, seen[kind]), {})[place] = max(scratch.size, 0)
    sizes = np.zeros((len(rows), len(wanted)), np.int64)
    for row, found in enumerate(rows.values()):
        for place, size in found.items():
            sizes[row, place] = size
    return tuple(kind for kind, _ in rows), sizes


def _without_size(scratch: Scratch) -> Scratch:
    return replace(scratch, size=0)
