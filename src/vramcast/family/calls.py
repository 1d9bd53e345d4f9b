"""Operator calls without their whole numbers, which are kept apart as rows of polynomials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vramcast.family.errors import NotAffineError
from vramcast.trace import OperatorCall, TensorSpec


@dataclass(frozen=True, slots=True)
class CallForm:
    """A call at one point, and which of the family's numbers stands at each of its places."""

    first: OperatorCall
    rows: tuple[int, ...]

    def at(self, numbers: Sequence[int]) -> OperatorCall:
        """Return the call with these numbers, by row."""
        return with_numbers(self.first, [numbers[row] for row in self.rows])


def numbers_of(call: OperatorCall) -> list[int]:
    """Return the whole numbers of a call: shapes, strides and attributes, in the order in which `with_numbers` puts them back."""
    return list(_numbers(_parts(call)))


def with_numbers(call: OperatorCall, numbers: Iterable[int]) -> OperatorCall:
    """Return the call with other whole numbers in their places."""
    given = iter(numbers)
    inputs = tuple(spec and TensorSpec(_with(spec.shape, given), _with(spec.stride, given), spec.dtype) for spec in call.inputs)
    return OperatorCall(call.operator, inputs, {name: _with(value, given) for name, value in call.attributes.items()})


def check_form(first: OperatorCall | None, other: OperatorCall | None) -> None:
    """Check that two calls of one operation differ in whole numbers only.

    Raises:
        NotAffineError: they differ otherwise.
    """
    if first is None or other is None:
        if first is not other:
            raise NotAffineError("an operator call is described in one trace and not in another")
        return
    numbers = numbers_of(other)
    if len(numbers) != len(numbers_of(first)) or with_numbers(first, numbers) != other:
        raise NotAffineError(f"calls of {first.operator} differ in form")


def _parts(call: OperatorCall) -> Iterator[object]:
    for spec in call.inputs:
        if spec is not None:
            yield spec.shape
            yield spec.stride
    yield from call.attributes.values()


def _numbers(parts: Iterable[object]) -> Iterator[int]:
    for part in parts:
        if isinstance(part, tuple):
            yield from _numbers(part)
        elif isinstance(part, int) and not isinstance(part, bool):
            yield part


def _with(part: Any, numbers: Iterator[int]) -> Any:
    if isinstance(part, tuple):  # mostly of whole numbers: shapes and strides, thousands of them
        return tuple([next(numbers) if type(item) is int else _with(item, numbers) for item in part])
    return next(numbers) if isinstance(part, int) and not isinstance(part, bool) else part
