"""The largest whole number for which something holds that holds for small ones and not for large ones, but for exceptions near the border."""

from __future__ import annotations

from collections.abc import Callable


def largest(holds: Callable[[int], bool], guess: int, most: int, neighbours: int) -> int:
    """Return the largest number from 1 to `most` that holds; 0 where none is found.

    From the guess, steps of growing length find one that holds and a larger one that does not, and halving finds the border. As
    what is asked may hold once more beyond it, so many neighbours above the border are tried, until none of that many holds.
    """
    guess = min(max(guess, 1), most)
    low, high = _bracket(holds, guess, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    while True:
        above = [number for number in range(low + 1, min(low + neighbours, most) + 1) if holds(number)]
        if not above:
            return low
        low = above[-1]


def _bracket(holds: Callable[[int], bool], guess: int, most: int) -> tuple[int, int]:
    """Return a number that holds (or 0) and a larger one that does not (or `most` + 1)."""
    step = max(1, guess // 64)
    low = high = guess
    if holds(guess):
        while high <= most:
            low, high, step = high, high + step, 2 * step
            if high > most or not holds(high):
                break
        return (low, high) if high <= most else _to_the_end(holds, low, most)
    while low > 0:
        high, low, step = low, max(low - step, 0), 2 * step
        if low and holds(low):
            break
    return low, high


def _to_the_end(holds: Callable[[int], bool], low: int, most: int) -> tuple[int, int]:
    return (most, most + 1) if low == most or holds(most) else (low, most)
