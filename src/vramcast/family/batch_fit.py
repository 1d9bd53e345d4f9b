"""From three traces to their family."""

from __future__ import annotations

import numpy as np

from vramcast.family.affine import AffineCall, AffineColumn
from vramcast.family.batch_family import BatchFamily
from vramcast.family.errors import NotAffineError
from vramcast.family.loops import Loop, find_loops, rotated, unrolled
from vramcast.family.script import OPERATION, Script, scripts
from vramcast.trace import Caveat, Column, Trace

Three = tuple[Trace, Trace, Trace]


def fit(traces: Three, smallest: int) -> BatchFamily | None:
    """Return the family of the traces of one program at batches `smallest`, `smallest` + 1 and `smallest` + 2.

    Two traces are fitted, the third one and the further rounds of loops are checked. None where they are no family.
    """
    return next((family for context in _CONTEXTS if (family := _checked(traces, smallest, context)) is not None), None)


_CONTEXTS = (0, 1, 2, 3)
"""How much is said of a block that is freed. With more of it, several places of a loop are told apart; with less, its first round
is like the others, which have another round before them."""


def _checked(traces: Three, smallest: int, context: int) -> BatchFamily | None:
    try:
        family = _fitted(traces, smallest, context)
    except NotAffineError:
        return None
    matches = all(alike(family.at(smallest + step), trace) for step, trace in enumerate(traces))
    return family if matches and _is_consistent(family) else None


def _fitted(traces: Three, smallest: int, context: int) -> BatchFamily:
    written, table = scripts(traces, context)
    loops = find_loops(written[0].texts, written[1].texts)
    lines = len(written[0].texts)
    if len(written[2].texts) != lines + 2 * sum(loop.length for loop in loops):
        raise NotAffineError("the third trace has other events than the first two")
    early, middle, late = _rows(written, _own_lines(loops, lines), "partners")
    loops = rotated(loops, written[0].texts, np.flatnonzero(late - middle != middle - early))
    own = _own_lines(loops, lines)
    rounds, strides = _round_partners(written, loops)
    subject = traces[0]
    return BatchFamily(
        smallest=smallest, subject=subject.subject, operators=subject.operators, modules=subject.modules, phases=subject.phases,
        caveats=_caveats(traces), texts=table[written[0].texts], loops=loops,
        sizes=AffineColumn.through(_rows(written, own, "sizes"), "sizes"),
        partners=AffineColumn.through(_rows(written, own, "partners"), "frees"),
        round_partners=rounds, partner_strides=strides, calls=_calls(traces, written, own),
    )  # fmt: skip


def _own_lines(loops: tuple[Loop, ...], lines: int) -> list[Column]:
    """Return, for each of the three scripts, where the lines of the shortest one are."""
    return [np.flatnonzero(unrolled(loops, lines, step)[1] < 0) for step in range(3)]


def _rows(written: tuple[Script, ...], own: list[Column], name: str) -> tuple[Column, Column, Column]:
    first, second, third = (getattr(script, name)[lines] for script, lines in zip(written, own))
    return first, second, third


def _round_partners(written: tuple[Script, ...], loops: tuple[Loop, ...]) -> tuple[AffineColumn, Column]:
    """Return what the lines of further rounds free: further round 0 as a function of the step, and the stride from round to round."""
    lines = len(written[0].texts)
    base, slope, stride = (np.full(lines, -1, np.int64), np.zeros(lines, np.int64), np.zeros(lines, np.int64))
    added = 0
    for loop in loops:
        body = slice(loop.end - loop.length, loop.end)
        begin = loop.end + added
        early = written[1].partners[begin : begin + loop.length]
        begin += added
        late, later = written[2].partners[begin : begin + 2 * loop.length].reshape(2, loop.length)
        base[body], slope[body], stride[body] = 2 * early - late, late - early, later - late
        added += loop.length
    return AffineColumn(base, slope), stride


def _calls(traces: Three, written: tuple[Script, ...], own: list[Column]) -> dict[int, AffineCall]:
    """Fit the calls of the shortest script's operations."""
    found: dict[int, AffineCall] = {}
    columns = [script.indices[lines].tolist() for script, lines in zip(written, own)]
    for line in np.flatnonzero(written[0].kinds == OPERATION).tolist():
        call = AffineCall.through([trace.calls.get(column[line]) for trace, column in zip(traces, columns)])
        if call is not None:
            found[line] = call
    return found


def _caveats(traces: Three) -> tuple[Caveat, ...]:
    if not traces[0].caveats == traces[1].caveats == traces[2].caveats:
        raise NotAffineError("the traces differ in their caveats")
    return traces[0].caveats


_FURTHER = 5
"""Rounds beyond the traces given after which the blocks of loops are checked once more."""


def _is_consistent(family: BatchFamily) -> bool:
    """Tell whether loops that repeat more often than in any of the traces still free each of their blocks once, after its birth."""
    try:
        family.at(family.smallest + 2 + _FURTHER).validate()
    except (ValueError, IndexError):
        return False
    return True


def alike(made: Trace, given: Trace) -> bool:
    """Tell whether two traces are the same to the byte."""
    return all(getattr(made, name) == getattr(given, name) for name in _NAMES) and all(
        np.array_equal(getattr(made, name), getattr(given, name)) for name in _COLUMNS
    )


_NAMES = ("subject", "operators", "modules", "phases", "caveats", "calls")
_COLUMNS = ("kinds", "blocks", "operations", "sizes", "components", "streams", "block_modules",
            "operation_operators", "operation_modules", "operation_phases")  # fmt: skip
