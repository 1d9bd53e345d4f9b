"""The ladders a fit climbs: which traces tell the forecasts along batches, sides of images and lengths of sequences, and where to search.

A few small traces tell what is asked for at any rung, by a piece that nothing has verified yet; so they tell where each answer lies at
most. The family is then verified by traces beyond that, and at a rung between.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from vramcast.family import TraceFamily, fit_sizes, reaching
from vramcast.family.piece import Piece
from vramcast.footprint import Peak
from vramcast.per_target import requested_bytes
from vramcast.served import Served
from vramcast.solvers.accumulation import SMALL, FamiliesByAccumulation
from vramcast.solvers.few_images import FewImages
from vramcast.solvers.ladder import NEIGHBOURS, Guesses, Ladder
from vramcast.solvers.limits import EXPECTED, MAY, SURELY, Level, Varied
from vramcast.solvers.points import Points
from vramcast.solvers.search import largest
from vramcast.sources.interface import TASKS_WITH_OBJECTS

DEFAULT_STEP = 32
"""Pixels from one image size to the next where the model names no stride: what most networks for images divide by."""
LARGEST_BATCH = 2**20
LARGEST_SIDE = 2**15
LARGEST_SEQUENCE = 2**20
"""Where searches end."""
_LARGEST_SCRIPT = 2_000_000
"""Events and operations of a batch up to which it is looked at in search of a guess."""
_USUAL = 64
"""A batch that accumulates as often as most that are asked about."""
_PROBES = (64, 1024, 2**14, LARGEST_BATCH)
"""Batches at which growth is looked for where small ones tell no family; the weights' own steps may set the peak of small ones."""
_SHARES = (0.0, 0.27, 0.52, 0.76, 1.0)
"""Where sizes are traced that a family is fitted at, from half the usual size to twice that: no regular steps, which could hide padding."""
_GUESSES = 2
"""How often a guess is made from two rungs, where no family tells them."""


def batches(points: Points, _step: int | None, at_most: int | None) -> Ladder:
    """Return the ladder of batches, over families up to some batches beyond what may fit."""
    most = min(at_most or LARGEST_BATCH, LARGEST_BATCH)
    if most <= SMALL:
        return Ladder(points, 1, most, Guesses.all_at(most))
    families = FamiliesByAccumulation(points.trace_with, lambda batch: points.workload_at((batch,)).accumulate, most)
    usual = families.small(families.accumulated(min(_USUAL, most)))
    ladder = Ladder(points, 1, most, Guesses.all_at(SMALL))
    if usual.pieces:
        ladder.guesses = _furthest(ladder, usual.pieces[-1])
    else:
        ladder.guesses = Guesses.all_at(_guessed_batch(points, most))
    families.most = min(most, ladder.guesses.may + 2 * NEIGHBOURS)
    if families.most > SMALL:
        points.family = families
    return ladder


def images(points: Points, step: int | None, at_most: int | None) -> Ladder:
    """Return the ladder of square images, in steps of the model's stride where none is given."""
    stride = points.model.stride
    unit = step or (stride if stride > 1 else DEFAULT_STEP)
    own = max(points.workload.image or points.model.image or (unit, unit))
    most = max(1, min(at_most or LARGEST_SIDE, LARGEST_SIDE) // unit)
    ladder = Ladder(points, unit, most, Guesses.all_at(min(most, max(1, own // unit))))
    if points.model.task in TASKS_WITH_OBJECTS and points.workload.is_training:
        points.shortcut = FewImages(points).trace
        return _size_by_size(ladder, power=2)
    return _over_sizes(ladder, power=2)


def sequences(points: Points, step: int | None, at_most: int | None) -> Ladder:
    """Return the ladder of sequences, up to what the model has positions for."""
    unit, longest = step or 1, points.model.max_sequence or LARGEST_SEQUENCE
    own = points.workload.seq or points.model.sequence or 512
    most = max(1, min(at_most or longest, longest) // unit)
    return _over_sizes(Ladder(points, unit, most, Guesses.all_at(min(most, max(1, own // unit)))), power=1)


LADDERS: dict[Varied, Callable[[Points, int | None, int | None], Ladder]] = {"batch": batches, "image": images, "seq": sequences}


def _over_sizes(ladder: Ladder, power: int) -> Ladder:
    """Return the ladder over a family of sizes; where they are none, each size is traced.

    The largest size is none of the family's: where it is all that a model has positions for, other events take them.
    """
    points, usual = ladder.points, ladder.guesses.expected
    if ladder.most <= 2 * usual and ladder.holds(ladder.most, SURELY):
        ladder.guesses = Guesses.all_at(ladder.most)
        return ladder
    low, high = max(1, usual // 2), min(ladder.most - 1, 2 * usual)
    rungs = sorted({low + round((high - low) * share) for share in _SHARES if high > low})
    unit = (1, *(ladder.unit for _ in points.axes[1:]))
    piece = fit_sizes(points.trace, [ladder.point(rung) for rung in rungs], unit) if len(rungs) == len(_SHARES) else None
    if piece is None:
        ladder.notes.append("byte counts or events do not follow the size by one rule: each size is traced")
        return _size_by_size(ladder, power)
    ladder.guesses = _furthest(ladder, piece)
    points.family = TraceFamily(points.axes, (_verified(ladder, piece),))
    return ladder


def _verified(ladder: Ladder, piece: Piece) -> Piece:
    """Return the piece with its box as far as answers may lie, where traces there are the piece's own."""
    guesses = ladder.guesses
    between, end = (guesses.surely + guesses.expected) // 2, min(ladder.most - 1, guesses.may + 2 * NEIGHBOURS)
    for rung in (between, end, max(1, guesses.surely // 2)):
        reached = piece if ladder.point(rung) in piece.box else reaching(piece, ladder.points.trace, ladder.point(rung))
        if reached is None:
            name, high = ladder.points.axes[-1], piece.box.high[-1]
            ladder.notes.append(f"{name} {ladder.value(rung)} does not follow from those up to {high}: others are traced one by one")
            break
        piece = reached
    return piece


def _furthest(ladder: Ladder, piece: Piece) -> Guesses:
    """Return the rungs beyond which what is asked for alone is too much, by a piece that is followed beyond its box."""
    points = ladder.points

    def highest(level: Level, guess: int) -> int:
        def could(rung: int) -> bool:
            point = ladder.point(rung)
            if point[-1] < piece.box.low[-1]:
                return True
            if piece.structure.lines(point[0]) > _LARGEST_SCRIPT:
                return False
            return level.could(Served(piece.without_calls(point), points.workload_at(point), points.card))

        return max(1, largest(could, guess, ladder.most, neighbours=0))

    expected = highest(EXPECTED, ladder.guesses.expected)
    return Guesses(highest(SURELY, expected), expected, highest(MAY, expected))


def _guessed_batch(points: Points, most: int) -> int:
    """Return about how many samples fit, by the growth of what is asked for between two batches."""
    usable = points.card.usable_bytes if points.card else 0
    before = _peak(points, 2)
    batch = next((probe for probe in _PROBES if probe <= most and _peak(points, probe) > before), 0)
    if not batch:
        return most
    growth = Fraction(_peak(points, batch) - before, batch - 2)
    return min(max(1, int(batch + (usable - _peak(points, batch)) / growth)), most)


def _peak(points: Points, batch: int) -> int:
    return int(requested_bytes(points.trace((batch,))).max(initial=0))


def _size_by_size(ladder: Ladder, power: int) -> Ladder:
    """Return the ladder where each size is traced: bytes are taken to follow a power of the size, from the last two rungs looked at."""
    before = ladder.guesses.expected
    rung = max(1, min(2 * before, ladder.most))
    for _ in range(_GUESSES):
        low, high = ladder.estimate_or_none(before), ladder.estimate_or_none(rung)
        if low is None or high is None or before == rung:
            break
        ladder.guesses = _guesses(ladder, power, (before, low.peak), (rung, high.peak))
        before, rung = rung, ladder.guesses.expected
    return ladder


def _guesses(ladder: Ladder, power: int, one: tuple[int, Peak], other: tuple[int, Peak]) -> Guesses:
    """Return where the ends and the middle of the range would meet what the card has."""
    usable = ladder.points.card.usable_bytes if ladder.points.card else 0

    def meeting(here: int, there: int) -> int:
        growth = Fraction(there - here, other[0] ** power - one[0] ** power)
        room = max(0, int(other[0] ** power + (usable - there) / growth)) if growth > 0 else ladder.most**power
        return max(1, min(ladder.most, math.isqrt(room) if power == 2 else room))

    early, late = one[1], other[1]
    return Guesses(
        meeting(early.high_bytes, late.high_bytes), meeting(early.device_bytes, late.device_bytes), meeting(early.low_bytes, late.low_bytes)
    )
