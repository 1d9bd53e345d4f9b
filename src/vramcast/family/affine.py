"""Affine functions of one integer, found from values at 0, 1 and 2: two to fit, one to check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vramcast.family.errors import NotAffineError
from vramcast.trace import Column, OperatorCall, TensorSpec

Three = tuple[Column, Column, Column]


@dataclass(frozen=True, eq=False, slots=True)
class AffineColumn:
    """Many affine functions at once: `base + slope * step`, row by row."""

    base: Column
    slope: Column

    @classmethod
    def through(cls, values: Three, what: str) -> AffineColumn:
        """Fit values at steps 0 and 1, and check them at step 2.

        Raises:
            NotAffineError: a row is not affine.
        """
        first, second, third = values
        if ((third - second) != (second - first)).any():
            raise NotAffineError(f"{what} are not affine in the batch")
        return cls(first, second - first)

    def at(self, step: int) -> Column:
        """Return the values at a step. The caller sees to it that they stay below 2**63."""
        return self.base + self.slope * step

    def largest(self, step: int) -> int:
        """Return the largest value at a step, however large it is."""
        return max((base + slope * step for base, slope in zip(self.base.tolist(), self.slope.tolist())), default=0)


@dataclass(frozen=True, slots=True)
class AffineCall:
    """An operator call whose shapes are affine in the step."""

    first: OperatorCall
    slopes: tuple[int, ...] | None
    """By how much each whole number of the call grows per step; None: the call never changes."""

    @classmethod
    def through(cls, calls: Sequence[OperatorCall | None]) -> AffineCall | None:
        """Fit a call at steps 0, 1 and 2; None where the operation is not described.

        Raises:
            NotAffineError: the calls differ in more than whole numbers, or those are not affine.
        """
        first, second, third = calls
        if first is None or second is None or third is None:
            if not first is second is third is None:
                raise NotAffineError("an operator call is described in one trace and not in another")
            return None
        if first == second == third:
            return cls(first, None)
        numbers = [list(_numbers(_parts(call))) for call in (first, second, third)]
        if len({len(row) for row in numbers}) > 1:
            raise NotAffineError(f"calls of {first.operator} differ in form")
        slopes = tuple(after - before for before, after in zip(numbers[0], numbers[1]))
        fitted = cls(first, slopes)
        if fitted.at(1) != second or fitted.at(2) != third:
            raise NotAffineError(f"shapes of {first.operator} are not affine in the batch")
        return fitted

    def at(self, step: int) -> OperatorCall:
        """Return the call at a step."""
        if self.slopes is None:
            return self.first
        grown = iter([number + slope * step for number, slope in zip(_numbers(_parts(self.first)), self.slopes)])
        inputs = tuple(spec and TensorSpec(_with(spec.shape, grown), _with(spec.stride, grown), spec.dtype) for spec in self.first.inputs)
        return OperatorCall(self.first.operator, inputs, {name: _with(value, grown) for name, value in self.first.attributes.items()})


def _parts(call: OperatorCall) -> Iterator[object]:
    """List what may hold numbers, in the order in which `AffineCall.at` puts them back."""
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
    if isinstance(part, tuple):
        return tuple(_with(item, numbers) for item in part)
    return next(numbers) if isinstance(part, int) and not isinstance(part, bool) else part
