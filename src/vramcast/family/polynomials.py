"""Polynomials with integer values, found exactly from values at a few points and checked at the others.

What a program asks for is a product of lengths, each a constant, the batch, or affine in the size of the image or sequence. So few
monomials are enough, and a small basis that meets more values than it has monomials is the one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vramcast.family.errors import NotAffineError
from vramcast.trace import Column

Exponents = tuple[int, ...]
"""Of one monomial: the power of each variable, the batch first."""
_LARGEST = float(2**62)
"""Beyond this, sums are not left to 64-bit integers."""
_SPATIAL: dict[int, tuple[tuple[Exponents, ...], ...]] = {
    0: (((),),),
    1: (
        ((0,),), ((1,),), ((2,),), ((4,),), ((0,), (1,)), ((0,), (2,)), ((1,), (2,)), ((2,), (4,)), ((0,), (1,), (2,)), ((0,), (2,), (4,)),
        ((0,), (1,), (2,), (4,)),
    ),
    2: (
        ((0, 0),), ((1, 1),), ((2, 2),), ((0, 0), (1, 1)), ((1, 1), (2, 2)), ((0, 0), (1, 1), (2, 2)), ((0, 0), (1, 0), (0, 1), (1, 1)),
        ((0, 0), (1, 0), (0, 1), (1, 1), (2, 2)),
    ),
}  # fmt: skip
"""How a byte count may follow the size, by the number of its variables: a sequence's length or a square's side, or an image's height and width.

Feature maps go with the area; what is padded or cropped with height and width besides; attention with the square of area or length."""


@dataclass(frozen=True, eq=False, slots=True)
class Polynomials:
    """Many polynomials at once: row r is `numerators[r] . monomials / denominators[r]`, a whole number wherever it holds."""

    exponents: Column
    """Monomials x variables."""
    numerators: Column
    """Rows x monomials."""
    denominators: Column
    """Per row, at least 1."""

    @classmethod
    def through(cls, points: Column, values: Column, what: str) -> Polynomials:
        """Find the simplest polynomials with these values, rows x points, at points x variables.

        Raises:
            NotAffineError: a row follows none of the bases that the points can tell apart.
        """
        variables = points.shape[1]
        terms: list[dict[Exponents, int]] = [{}] * len(values)
        denominators = np.ones(len(values), np.int64)
        missing = np.arange(len(values))
        for basis in bases(variables):
            solved = _solve(_monomials(points, np.array(basis, np.int64)), values[missing])
            if solved is None:
                continue
            fits, numerators, divisor = solved
            for row, coefficients in zip(missing[fits].tolist(), numerators[fits].tolist()):
                common = math.gcd(divisor, *coefficients)
                denominators[row] = divisor // common
                terms[row] = {powers: value // common for powers, value in zip(basis, coefficients) if value}
            missing = missing[~fits]
            if not len(missing):
                return cls(*_table(terms, variables), denominators)
        raise NotAffineError(f"{what} are no polynomials of the size")

    def at(self, points: Column) -> Column:
        """Return rows x points.

        Raises:
            NotAffineError: a row is no whole number at a point.
        """
        monomials = _monomials(points, self.exponents)
        largest = (np.abs(self.numerators.astype(float)) @ monomials.astype(float).T).max(initial=0)
        numerators = self.numerators if largest < _LARGEST else self.numerators.astype(object)
        whole, rest = np.divmod(numerators @ monomials.T, self.denominators[:, None])
        if rest.any():
            raise NotAffineError("a byte count is no whole number")
        exact: Column = whole.astype(np.int64)
        return exact


def bases(variables: int) -> Iterator[tuple[Exponents, ...]]:
    """List the bases that are tried, those with fewest monomials first: products of a batch's and a size's."""
    found: dict[tuple[Exponents, ...], None] = {}
    for spatial in _SPATIAL[variables - 1]:
        constant, linear = (tuple((power, *rest) for rest in spatial) for power in (0, 1))
        one: Exponents = (0,) * variables
        for basis in (constant, linear, tuple(dict.fromkeys((one, *linear))), (*constant, *linear)):
            found[tuple(sorted(basis))] = None
    return iter(sorted(found, key=len))


def _table(terms: Sequence[dict[Exponents, int]], variables: int) -> tuple[Column, Column]:
    """Return the monomials that occur, and their coefficients row by row."""
    columns = {powers: column for column, powers in enumerate(dict.fromkeys(itertools.chain.from_iterable(terms)))}
    numerators = np.zeros((len(terms), len(columns)), np.int64)
    for row, coefficients in enumerate(terms):
        for powers, value in coefficients.items():
            numerators[row, columns[powers]] = value
    return np.array(list(columns), np.int64).reshape(-1, variables), numerators


def _monomials(points: Column, exponents: Column) -> Column:
    """Return points x monomials."""
    monomials: Column = np.prod(points[:, None, :] ** exponents[None, :, :], axis=2, dtype=np.int64)
    return monomials


def _solve(monomials: Column, values: Column) -> tuple[NDArray[np.bool_], NDArray[np.object_], int] | None:
    """Return which rows are combinations of the monomials, by which whole numbers over which divisor.

    None where the points do not tell the monomials apart, or leave no value to check them with.
    """
    rows = _independent(monomials)
    if rows is None or len(rows) >= len(monomials):
        return None
    inverse = _inverse([[Fraction(int(value)) for value in monomials[row]] for row in rows])
    divisor = math.lcm(*(value.denominator for value in itertools.chain.from_iterable(inverse)))
    scaled = np.array([[int(value * divisor) for value in row] for row in inverse], object)
    exact = values.astype(object)
    numerators = exact[:, rows] @ scaled.T
    fits = (numerators @ monomials.astype(object).T == exact * divisor).all(axis=1).astype(bool)
    return fits, numerators, divisor


def _independent(monomials: Column) -> list[int] | None:
    """Return as many rows as there are monomials that are linearly independent; None where there are not so many."""
    chosen: list[int] = []
    reduced: list[tuple[int, list[Fraction]]] = []
    for index, row in enumerate(monomials.tolist()):
        rest = [Fraction(value) for value in row]
        for pivot, known in reduced:
            factor = rest[pivot] / known[pivot]
            rest = [value - factor * other for value, other in zip(rest, known)] if factor else rest
        pivot = next((place for place, value in enumerate(rest) if value), -1)
        if pivot >= 0:
            chosen.append(index)
            reduced.append((pivot, rest))
    return chosen if len(chosen) == monomials.shape[1] else None


def _inverse(matrix: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
    """Invert a regular matrix by Gauss and Jordan."""
    size = len(matrix)
    rows = [[*row, *(Fraction(int(column == index)) for column in range(size))] for index, row in enumerate(matrix)]
    for index in range(size):
        pivot = next(place for place in range(index, size) if rows[place][index])
        rows[index], rows[pivot] = rows[pivot], rows[index]
        rows[index] = [value / rows[index][index] for value in rows[index]]
        for other in range(size):
            factor = rows[other][index]
            if other != index and factor:
                rows[other] = [value - factor * known for value, known in zip(rows[other], rows[index])]
    return [row[size:] for row in rows]
