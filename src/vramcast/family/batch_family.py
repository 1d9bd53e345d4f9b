"""The value: base lines, what repeats, and how every number grows."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vramcast.family.affine import AffineCall, AffineColumn
from vramcast.family.loops import Loop, unrolled
from vramcast.family.script import OPERATION
from vramcast.trace import Caveat, Column, Event, OperatorCall, Phase, Subject, Trace


@dataclass(frozen=True, eq=False, slots=True)
class BatchFamily:
    """The traces of one program at every batch from `smallest` on. A step is one image more.

    Columns have a row per line of the shortest script (see `script.py`).
    """

    smallest: int
    subject: Subject
    operators: tuple[str, ...]
    modules: tuple[str, ...]
    phases: tuple[Phase, ...]
    caveats: tuple[Caveat, ...]
    texts: Column
    """Per line: kind; operator, module and phase of its operation; component, stream and module of its block."""
    loops: tuple[Loop, ...]
    sizes: AffineColumn
    """Bytes of lines that allocate."""
    partners: AffineColumn
    """Of lines that free: the line that allocated, counted in the script of that step."""
    round_partners: AffineColumn
    """The same for lines in a further round: counted for further round 0."""
    partner_strides: Column
    """By how much that grows from round to round."""
    calls: dict[int, AffineCall]
    """Line that begins an operation -> its call."""

    def lines(self, batch: int) -> int:
        """Return how long the script of a batch is: about what `at` costs."""
        return len(self.texts) + (batch - self.smallest) * sum(loop.length for loop in self.loops)

    def largest_block(self, batch: int) -> int:
        """Return the bytes of the largest block at a batch, however large it is."""
        return self.sizes.largest(batch - self.smallest)

    def at(self, batch: int) -> Trace:
        """Return the trace of a batch of at least `smallest`. The caller sees to it that bytes stay below 2**63."""
        step = batch - self.smallest
        return self.spelled(step, self.sizes.at(step), {line: call.at(step) for line, call in self.calls.items()})

    def spelled(self, step: int, sizes: Column, calls: Mapping[int, OperatorCall]) -> Trace:
        """Return the trace of a step with other numbers: bytes per line, and the calls of lines that have one."""
        form = _form(self, step if self.loops or self.partners.slope.any() else 0)
        calls = {operation: calls[line] for operation, line in enumerate(form.operations) if line in calls}
        return replace(form.trace, sizes=sizes[form.births], calls=calls)

    def own_lines(self, batch: int) -> Column:
        """Return where, in the script of a batch, the lines of the shortest one are."""
        return np.flatnonzero(unrolled(self.loops, len(self.texts), batch - self.smallest)[1] < 0)


@dataclass(frozen=True, eq=False, slots=True)
class _Form:
    """Everything in the trace of a step but its numbers."""

    trace: Trace
    births: Column
    """Per block: its line."""
    operations: list[int]
    """Per operation: its line."""


@functools.lru_cache(maxsize=4)
def _form(family: BatchFamily, step: int) -> _Form:
    """Return the form of a step; where nothing repeats it is that of all steps, of which thousands may be asked for."""
    lines, rounds = unrolled(family.loops, len(family.texts), step)
    kinds, operators, modules, phases, components, streams, block_modules = family.texts[lines].T
    is_operation, births = kinds == OPERATION, np.flatnonzero(kinds == Event.ALLOCATE)
    operations = np.cumsum(is_operation) - 1
    trace = Trace(
        subject=family.subject, kinds=kinds[~is_operation], blocks=_blocks(family, step, lines, rounds, kinds)[~is_operation],
        operations=operations[~is_operation], sizes=np.zeros(len(births), np.int64), components=components[births],
        streams=streams[births], block_modules=block_modules[births], operation_operators=operators[is_operation],
        operation_modules=modules[is_operation], operation_phases=phases[is_operation], operators=family.operators,
        modules=family.modules, phases=family.phases, caveats=family.caveats, calls={},
    )  # fmt: skip
    return _Form(trace, lines[births], lines[is_operation].tolist())


def _blocks(family: BatchFamily, step: int, lines: Column, rounds: Column, kinds: Column) -> Column:
    """Return, per line, the block its event is about: blocks are numbered by birth."""
    births = kinds == Event.ALLOCATE
    further = family.round_partners.at(step)[lines] + rounds * family.partner_strides[lines]
    born = np.where(births, np.arange(len(lines)), np.where(rounds < 0, family.partners.at(step)[lines], further))
    numbers = np.cumsum(births) - 1
    return np.where(births | (kinds == Event.FREE), numbers[born], -1)
