"""Searches find the border, and what holds once more shortly beyond it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vramcast.solvers.search import largest


@given(border=st.integers(0, 3000), guess=st.integers(-5, 5000), most=st.integers(1, 4000))
def test_it_finds_the_border_from_any_guess(border: int, guess: int, most: int) -> None:
    asked: list[int] = []
    found = largest(lambda number: asked.append(number) or number <= border, guess, most, neighbours=4)
    assert found == min(border, most)
    assert all(1 <= number <= most for number in asked)
    assert len(set(asked)) <= 60


@given(border=st.integers(1, 500), gap=st.integers(1, 3), guess=st.integers(1, 600))
def test_what_holds_once_more_is_found(border: int, gap: int, guess: int) -> None:
    again = border + gap + 1
    assert largest(lambda number: number <= border or number == again, guess, 1000, neighbours=4) == again
