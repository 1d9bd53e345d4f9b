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
    numbers: list[int] = []
    for spec in call.inputs:
        if spec is not None:
            numbers += spec.shape
            numbers += spec.stride
    for value in call.attributes.values():
        numbers += _numbers(value)
    return numbers


def with_numbers(call: OperatorCall, numbers: Iterable[int]) -> OperatorCall:
    """Return the call with other whole numbers in their places."""
    given = list(numbers)
    place = 0
    inputs: list[TensorSpec | None] = []
    for spec in call.inputs:
        if spec is None:
            inputs.append(None)
            continue
        middle = place + len(spec.shape)
        end = middle + len(spec.stride)
        inputs.append(TensorSpec(tuple(given[place:middle]), tuple(given[middle:end]), spec.dtype))
        place = end
    rest = iter(given[place:])
    return OperatorCall(call.operator, tuple(inputs), {name: _with(value, rest) for name, value in call.attributes.items()})


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


def _numbers(value: object) -> Sequence[int]:
    if isinstance(value, tuple):
        return [number for item in value for number in _numbers(item)]
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else ()


def _with(value: Any, numbers: Iterator[int]) -> Any:
    if isinstance(value, tuple):
        return tuple([next(numbers) if type(item) is int else _with(item, numbers) for item in value])
    return next(numbers) if isinstance(value, int) and not isinstance(value, bool) else value
