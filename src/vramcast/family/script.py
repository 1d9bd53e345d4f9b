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


@dataclass(frozen=True, eq=False, slots=True)
class Script:
    """Columns with a row per line."""

    texts: Column
    """Rows with the same text say the same but for the numbers: one row of `columns_of_text` each."""
    kinds: Column
    """An `Event`, or `OPERATION`."""
    indices: Column
    """Which event of the trace, or which operation."""
    partners: Column
    """Of a line that frees: the line that allocated the block. -1 elsewhere."""
    sizes: Column
    """Of a line that allocates: bytes. 0 elsewhere."""


def scripts(traces: tuple[Trace, ...]) -> tuple[tuple[Script, ...], Column]:
    """Return the script of each trace, and the table of texts they share (text x 7: see `_columns`).

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
    laid_out = [_lines(trace) for trace in traces]
    columns = [_columns(trace, *lines) for trace, lines in zip(traces, laid_out)]
    table, texts = np.unique(np.concatenate(columns), axis=0, return_inverse=True)
    parts = np.split(texts.reshape(-1), np.cumsum([len(part) for part in columns])[:-1])
    made = tuple(Script(text, *lines, *_numbers(trace, *lines)) for trace, lines, text in zip(traces, laid_out, parts))
    return made, table


def _lines(trace: Trace) -> tuple[Column, Column]:
    """Return, per line, its kind and the index of its event or operation; an operation goes before its events."""
    operations = np.arange(len(trace.operation_operators), dtype=np.int64)
    at = np.concatenate([operations, trace.operations])
    order = np.argsort(at, kind="stable")
    kinds = np.concatenate([np.full(len(operations), OPERATION, np.int64), trace.kinds])
    indices = np.concatenate([operations, np.arange(len(trace), dtype=np.int64)])
    return kinds[order], indices[order]


def _columns(trace: Trace, kinds: Column, indices: Column) -> Column:
    """Return a row per line: kind, then operator, module, phase of the operation meant, then component, stream, module of the block meant.

    Of a line that frees, the operation meant is the one at which the block was born.
    """
    rows = np.full((len(kinds), 7), -1, np.int64)
    rows[:, 0] = kinds
    is_block = (kinds == Event.ALLOCATE) | (kinds == Event.FREE)
    blocks = trace.blocks[indices[is_block]]
    meant = indices.copy()
    meant[kinds != OPERATION] = trace.operations[indices[kinds != OPERATION]]
    meant[is_block] = trace.operations[trace.allocated_at[blocks]]
    for column, values in enumerate((trace.operation_operators, trace.operation_modules, trace.operation_phases), 1):
        rows[:, column] = values[meant]
    for column, values in enumerate((trace.components, trace.streams, trace.block_modules), 4):
        rows[is_block, column] = values[blocks]
    return rows


def _numbers(trace: Trace, kinds: Column, indices: Column) -> tuple[Column, Column]:
    line_of_birth = np.flatnonzero(kinds == Event.ALLOCATE)
    partners, sizes = np.full(len(kinds), -1, np.int64), np.zeros(len(kinds), np.int64)
    frees = kinds == Event.FREE
    partners[frees] = line_of_birth[trace.blocks[indices[frees]]]
    sizes[line_of_birth] = trace.sizes
    return partners, sizes
