"""Forecasts along one line of values: what a fit climbs."""

from __future__ import annotations

from dataclasses import dataclass, field

from vramcast.answer import Estimate
from vramcast.errors import ForecastError
from vramcast.family.piece import Point
from vramcast.solvers.limits import Level, holds
from vramcast.solvers.points import BATCH, Points
from vramcast.solvers.search import largest

NEIGHBOURS = 4
"""Values above a border that are tried: segments are rounded and blocks split, so more may need less."""
_SCANNED = 16
"""Batches between one that surely fits and the largest expected to that are tried one by one."""
_TRIED = 4
"""Rungs from the bottom that are tried."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """Rungs from which to search."""

    surely: int
    expected: int
    may: int

    @classmethod
    def all_at(cls, rung: int) -> Guesses:
        """Return one guess for all."""
        return cls(rung, rung, rung)


@dataclass(slots=True)
class Ladder:
    """Forecasts by rung: rung n is the n-th value of what is varied."""

    points: Points
    unit: int
    most: int
    """Rungs."""
    guesses: Guesses
    start: int = 1
    """The lowest rung at which the program runs."""
    failures: dict[int, str] = field(default_factory=dict)
    """Rungs above it at which it does not, and why."""
    notes: list[str] = field(default_factory=list)
    """Which forecasts no family tells."""

    def value(self, rung: int) -> int:
        """Return the batch, side or length of a rung."""
        return rung * self.unit

    def estimate(self, rung: int) -> Estimate:
        """Return the forecast of a rung.

        Raises:
            ForecastError: the program does not run there.
        """
        return self.points.estimate(self.point(rung))

    def point(self, rung: int) -> Point:
        """Return the point of a rung."""
        value, axes = self.value(rung), self.points.axes
        return (value,) if axes == BATCH else (self.points.workload.batch, *(value for _ in axes[1:]))

    def estimate_or_none(self, rung: int) -> Estimate | None:
        """Return the forecast; None below the first rung, and where the program does not run: its sizes may be too many to be traced."""
        if rung < self.start:
            return None
        try:
            return self.estimate(rung)
        except ForecastError as error:
            self.failures[self.value(rung)] = str(error)
            return None

    def find_start(self) -> None:
        """Climb to the lowest rung that runs: batch norm needs more than one value, an image some pixels.

        Raises:
            ForecastError: none of the first ones does.
        """
        while True:
            try:
                self.estimate(self.start)
                return
            except ForecastError:
                if self.start >= min(_TRIED, self.most):
                    raise
                self.start += 1

    def largest(self, level: Level, guess: int) -> int:
        """Return the largest rung that holds, 0 for none; its neighbours above were tried."""
        return largest(lambda rung: self.holds(rung, level), max(guess, self.start), self.most, NEIGHBOURS)

    def largest_below(self, ceiling: int, level: Level, guess: int) -> int:
        """Return the largest rung up to a ceiling that holds; where forecasts cost little, the rungs beneath it are tried one by one."""
        found = largest(lambda rung: self.holds(rung, level), max(min(guess, ceiling), self.start), ceiling, NEIGHBOURS)
        if self.points.family is None or self.points.axes != BATCH:
            return found
        return next((rung for rung in range(min(ceiling, found + _SCANNED), found, -1) if self.holds(rung, level)), found)

    def holds(self, rung: int, level: Level) -> bool:
        """Tell whether a rung fits; no rung below the first one does, nor any at which the program does not run."""
        if rung < self.start:
            return False
        try:
            return holds(self.points, self.point(rung), level)
        except ForecastError as error:
            self.failures[self.value(rung)] = str(error)
            return False

    def exceptions(self, level: Level, found: int) -> list[int]:
        """Return the values near below a rung found at which it does not hold, of those looked at."""
        known = self.points.known()
        below = (rung for rung in range(max(found - _SCANNED, self.start), found) if self.value(rung) in known)
        return [self.value(rung) for rung in below if not self.holds(rung, level)]
