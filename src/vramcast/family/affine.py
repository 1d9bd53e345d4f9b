"""Affine functions of one integer, found from values at 0, 1 and 2: two to fit, one to check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vramcast.family.calls import numbers_of, with_numbers
from vramcast.family.errors import NotAffineError
from vramcast.trace import Column, OperatorCall

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
        numbers = [numbers_of(call) for call in (first, second, third)]
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
        return with_numbers(self.first, [number + slope * step for number, slope in zip(numbers_of(self.first), self.slopes)])
