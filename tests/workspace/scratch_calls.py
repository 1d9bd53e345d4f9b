"""Calls and sites made by hand."""

from __future__ import annotations

from vramcast.trace import OperatorCall, TensorSpec
from vramcast.workspace.scratch import Rule, Scratch, Site
from vramcast.workspace.stack import Stack

A100 = Stack()
FORWARD = Site(A100, is_backward=False, free_bytes=A100.device_memory)
BACKWARD = Site(A100, is_backward=True, free_bytes=A100.device_memory)


def tensor(*shape: int, dtype: str = "float32", order: tuple[int, ...] | None = None) -> TensorSpec:
    """Return a dense tensor; `order` lists its dimensions from outermost to innermost."""
    strides = [0] * len(shape)
    step = 1
    for dim in reversed(order or range(len(shape))):
        strides[dim] = step
        step *= shape[dim]
    return TensorSpec(shape, tuple(strides), dtype)


def call(operator: str, *inputs: TensorSpec | None, **attributes: object) -> OperatorCall:
    """Return a call."""
    return OperatorCall(operator, inputs, attributes)


def sizes(rule: Rule, described: OperatorCall, site: Site = FORWARD) -> list[int]:
    """Return the bytes of a call's scratch, nothing left out but empty blocks."""
    return [scratch.size for scratch in rule(described, site) if scratch.size]


def peak(scratch: tuple[Scratch, ...]) -> int:
    """Return the most bytes of a call's scratch that live at once; its last allocation is the last that scratch speaks of."""
    last = max([0, *(max(one.after, one.until or 0) for one in scratch)])
    moments = [(place, launch) for place in range(last + 1) for launch in range(5)]
    return max(sum(one.size for one in scratch if _lives(one, moment, last)) for moment in moments)


def _lives(scratch: Scratch, moment: tuple[int, int], last: int) -> bool:
    end = last if scratch.until is None else scratch.until
    through = scratch.launch if scratch.through is None else scratch.through
    return (scratch.after, scratch.launch) <= moment <= (end, through)
