"""A program that looks at values, at another size: the family over its batch there, from one trace.

How many objects an assigner takes, or how many boxes are left, follows no rule of the size. But every image of a batch takes the same, so a
byte count that was proportional to the batch at one size is so at another, and one that did not care does not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vramcast.family.affine import AffineCall, AffineColumn
from vramcast.family.batch_family import BatchFamily
from vramcast.family.batch_fit import alike
from vramcast.family.calls import check_form, numbers_of
from vramcast.family.errors import NotAffineError
from vramcast.family.script import scripts
from vramcast.trace import Column, OperatorCall, Trace


def resized(family: BatchFamily, trace: Trace) -> BatchFamily | None:
    """Return the family at the size of a trace, which is of the family's smallest batch. None where that does not follow."""
    try:
        made = _resized(family, trace)
    except NotAffineError:
        return None
    return made if alike(made.at(family.smallest), trace) else None


def _resized(family: BatchFamily, trace: Trace) -> BatchFamily:
    (script,), table = scripts((trace,), context=0)
    if trace.operators != family.operators or not np.array_equal(table[script.texts], family.texts):
        raise NotAffineError("the events differ")
    calls = {
        line: trace.calls[index]
        for line, index in zip(family.calls, script.indices[list(family.calls)].tolist())
        if index in trace.calls
    }  # fmt: skip
    if len(calls) != len(family.calls) or len(calls) != len(trace.calls):
        raise NotAffineError("an operator call is described in one trace and not in another")
    slopes = _slopes(family.sizes.base, family.sizes.slope, script.sizes, family.smallest)
    return replace(
        family, caveats=trace.caveats, sizes=AffineColumn(script.sizes, slopes),
        calls={line: _call(family.calls[line], call, family.smallest) for line, call in calls.items()},
    )  # fmt: skip


def _call(known: AffineCall, call: OperatorCall, smallest: int) -> AffineCall:
    if call == known.first or known.slopes is None:
        return AffineCall(call, known.slopes)
    check_form(known.first, call)
    columns = (np.array(values, np.int64) for values in (numbers_of(known.first), known.slopes, numbers_of(call)))
    before, slopes, now = columns
    return AffineCall(call, tuple(_slopes(before, slopes, now, smallest).tolist()))


def _slopes(before: Column, slopes: Column, now: Column, smallest: int) -> Column:
    """Return by how much values grow per image, given those of another size.

    Raises:
        NotAffineError: one is neither proportional to the batch, nor the same at any batch, nor what it was.
    """
    is_same, is_proportional = (now == before) | (slopes == 0), (before == slopes * smallest) & (now % smallest == 0)
    if not (is_same | is_proportional).all():
        raise NotAffineError("a byte count is not proportional to the batch")
    grown: Column = np.where(is_same, slopes, now // smallest)
    return grown
