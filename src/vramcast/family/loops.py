"""Where one script has stretches that another, of one image less, has once less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vramcast.family.errors import NotAffineError
from vramcast.trace import Column


@dataclass(frozen=True, slots=True)
class Loop:
    """A stretch of lines that repeats once more per step, after its last round in the shortest script."""

    end: int
    """Line of the shortest script before which further rounds go; the `length` lines before it are its last round."""
    length: int


def find_loops(shorter: Column, longer: Column) -> tuple[Loop, ...]:
    """Return the loops whose further rounds turn one sequence of texts into the other.

    Raises:
        NotAffineError: the sequences differ otherwise.
    """
    loops: list[Loop] = []
    done = added = 0
    while True:
        done += _common(shorter[done:], longer[done + added :])
        missing = len(longer) - len(shorter) - added
        if missing == 0 and done == len(shorter):
            return tuple(loops)
        if missing <= 0:
            raise NotAffineError("the events differ")
        length = _round(shorter, longer, done, done + added, missing)
        loops.append(Loop(done, length))
        added += length


def unrolled(loops: tuple[Loop, ...], lines: int, rounds: int) -> tuple[Column, Column]:
    """Return, per line of a script with further rounds, which line of the shortest script it repeats and in which further round it is.

    Lines of the shortest script itself are in round -1.
    """
    sources, numbers = [], []
    done = 0
    for loop in loops:
        sources += [np.arange(done, loop.end), np.tile(np.arange(loop.end - loop.length, loop.end), rounds)]
        numbers += [np.full(loop.end - done, -1), np.repeat(np.arange(rounds), loop.length)]
        done = loop.end
    sources.append(np.arange(done, lines))
    numbers.append(np.full(lines - done, -1))
    return np.concatenate(sources).astype(np.int64), np.concatenate(numbers).astype(np.int64)


def rotated(loops: tuple[Loop, ...], texts: Column, suspects: Column) -> tuple[Loop, ...]:
    """Return the loops with their further rounds put before the first suspect line of the shortest script, where the texts are the same then.

    Texts alone cannot tell where among equal lines the further ones go: of a list freed from its end, whose last item somebody
    else still holds, the last line stays the last.
    """
    moved = []
    done = 0
    for loop in loops:
        inside = suspects[(suspects >= done + loop.length) & (suspects < loop.end)]
        end = int(inside[0]) if len(inside) else loop.end
        stays = np.array_equal(texts[end : loop.end], texts[end - loop.length : loop.end - loop.length])
        moved.append(Loop(end, loop.length) if stays else loop)
        done = loop.end
    return tuple(moved)


def _common(one: Column, other: Column) -> int:
    """Return how many lines both begin with."""
    length = min(len(one), len(other))
    differing = np.flatnonzero(one[:length] != other[:length])
    return int(differing[0]) if len(differing) else length


def _round(shorter: Column, longer: Column, here: int, there: int, longest: int) -> int:
    """Return the length of the round that begins at `longer[there]` and repeats what went before.

    Among the lengths that are possible, the one after which both go on alike for longest.
    """
    best, best_length = -1, 0
    for length in range(1, min(longest, here) + 1):
        if longer[there - length] != longer[there] or (longer[there - length : there] != longer[there : there + length]).any():
            continue
        alike = _common(shorter[here:], longer[there + length :])
        if alike > best:
            best, best_length = alike, length
    if not best_length:
        raise NotAffineError("the events differ in more than repeated stretches")
    return best_length
