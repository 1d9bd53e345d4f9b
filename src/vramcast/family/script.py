"""A trace as one sequence of lines that can be compared with another trace's: operations and, below each, its events.

Two lines have the same text when they say the same but for the numbers: the operator, its module and phase; what a block is
for; whose block is freed. Sizes, shapes and the identity of blocks are kept beside the text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vramcast.family.errors import NotAffineError
from vramcast.trace import Column, Event, Trace

OPERATION = len(Event)
"""The kind of a line that begins an operation; other lines are of the kind of their event."""

COLUMNS = 7
"""Of a text: kind; operator, module and phase of the operation meant; component, stream and module of the block meant."""


@dataclass(frozen=True, eq=False, slots=True)
class Script:
    """Columns with a row per line."""

    texts: Column
    """Rows with the same text say the same but for the numbers: one row of the table each."""
    kinds: Column
    """An `Event`, or `OPERATION`."""
    indices: Column
    """Which event of the trace, or which operation."""
    partners: Column
    """Of a line that frees: the line that allocated the block. -1 elsewhere."""
    sizes: Column
    """Of a line that allocates: bytes. 0 elsewhere."""


def scripts(traces: tuple[Trace, ...], context: int) -> tuple[tuple[Script, ...], Column]:
    """Return the script of each trace, and the table of texts they share: a row of `COLUMNS` each.

    `context` is how many operators before the birth of a block tell its end apart from that of others.

    Raises:
        NotAffineError: the traces are of different operators, modules or phases, or number their blocks otherwise than by birth.
    """
    first = traces[0]
    for trace in traces:
        if (trace.subject, trace.operators, trace.modules, trace.phases) != (first.subject, first.operators, first.modules, first.phases):
            raise NotAffineError("the traces differ in model, operators, modules or phases")
        born = trace.blocks[trace.kinds == Event.ALLOCATE]
        if len(born) != len(trace.sizes) or (np.diff(born) != 1).any():
            raise NotAffineError("blocks are not numbered in the order of their birth")
    laid_out = [lines_of(trace) for trace in traces]
    columns = [_columns(trace, *lines, context) for trace, lines in zip(traces, laid_out)]
    table, texts = _numbered(np.concatenate(columns))
    parts = np.split(texts, np.cumsum([len(part) for part in columns])[:-1])
    made = tuple(Script(text, *lines, *_numbers(trace, *lines)) for trace, lines, text in zip(traces, laid_out, parts))
    return made, table[:, :COLUMNS]


def _numbered(rows: Column) -> tuple[Column, Column]:
    """Return the distinct rows, and which of them each row is: `np.unique` over rows, which is slow where it sorts whole rows."""
    which = np.zeros(len(rows), np.int64)
    for column in rows.T:
        shifted = column - column.min(initial=0)
        _, firsts, which = np.unique(which * (shifted.max(initial=0) + 1) + shifted, return_index=True, return_inverse=True)
    return rows[firsts], which


def lines_of(trace: Trace) -> tuple[Column, Column]:
    """Return, per line, its kind and the index of its event or operation; an operation goes before its events."""
    operations = np.arange(len(trace.operation_operators), dtype=np.int64)
    at = np.concatenate([operations, trace.operations])
    order = np.argsort(at, kind="stable")
    kinds = np.concatenate([np.full(len(operations), OPERATION, np.int64), trace.kinds])
    indices = np.concatenate([operations, np.arange(len(trace), dtype=np.int64)])
    return kinds[order], indices[order]


def _columns(trace: Trace, kinds: Column, indices: Column, context: int) -> Column:
    """Return a row per line: kind; operator, module, phase of the operation meant; component, stream, module of the block meant; context.

    Of a line that frees, the operation meant is the one at which the block was born. Its context tells apart what a loop makes
    in several places: the operators before that one, and which of the blocks of its operation the block is.
    """
    rows = np.full((len(kinds), COLUMNS + context + 1), -1, np.int64)
    rows[:, 0] = kinds
    is_block, is_free = (kinds == Event.ALLOCATE) | (kinds == Event.FREE), kinds == Event.FREE
    blocks = trace.blocks[indices[is_block]]
    births = trace.operations[trace.allocated_at]
    meant = indices.copy()
    meant[kinds != OPERATION] = trace.operations[indices[kinds != OPERATION]]
    meant[is_block] = births[blocks]
    for column, values in enumerate((trace.operation_operators, trace.operation_modules, trace.operation_phases), 1):
        rows[:, column] = values[meant]
    for column, values in enumerate((trace.components, trace.streams, trace.block_modules), 4):
        rows[is_block, column] = values[blocks]
    freed = trace.blocks[indices[is_free]]
    for column in range(context):
        rows[is_free, COLUMNS + column] = trace.operation_operators[np.maximum(births[freed] - column - 1, 0)]
    rows[is_free, -1] = freed - np.searchsorted(births, births[freed])
    return rows


def _numbers(trace: Trace, kinds: Column, indices: Column) -> tuple[Column, Column]:
    line_of_birth = np.flatnonzero(kinds == Event.ALLOCATE)
    partners, sizes = np.full(len(kinds), -1, np.int64), np.zeros(len(kinds), np.int64)
    frees = kinds == Event.FREE
    partners[frees] = line_of_birth[trace.blocks[indices[frees]]]
    sizes[line_of_birth] = trace.sizes
    return partners, sizes
