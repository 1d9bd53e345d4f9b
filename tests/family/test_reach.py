"""Laws of families over sizes at one batch: fitted at a few sizes, they reach as far as further traces verify, and no further."""

from __future__ import annotations

import pytest
from family_programs import Script, areal, looped
from hypothesis import given, settings
from hypothesis import strategies as st

from vramcast.errors import ModelError
from vramcast.family import fit, fit_sizes, reaching, resized
from vramcast.family.batch_fit import alike
from vramcast.trace import Trace

layers = st.lists(st.tuples(st.integers(0, 99), st.integers(1, 999), st.integers(1, 16)), min_size=1, max_size=4)
SIDES = (96, 192, 256, 352, 448)
LAYERS = [(3, 4, 2), (0, 64, 1)]


def square(point: tuple[int, ...], sizes: list[tuple[int, int, int]], window: int = 1) -> Trace:
    return areal((point[0], point[1], point[1]), sizes, window=window)


@settings(deadline=None, max_examples=25)
@given(sizes=layers, batch=st.integers(1, 40), rung=st.integers(1, 300))
def test_five_sizes_tell_every_other(sizes: list[tuple[int, int, int]], batch: int, rung: int) -> None:
    piece = fit_sizes(lambda point: square(point, sizes), [(batch, side) for side in SIDES], (1, 32))
    assert piece is not None
    point = (batch, 32 * rung)
    reached = reaching(piece, lambda at: square(at, sizes), point)
    assert reached is not None
    assert point in reached.box
    assert alike(reached.at(point), square(point, sizes))


def test_windows_are_no_rule() -> None:
    assert fit_sizes(lambda point: square(point, LAYERS, window=56), [(2, side) for side in SIDES], (1, 32)) is None


def test_it_does_not_reach_where_events_change_or_nothing_can_be_traced() -> None:
    def changes(point: tuple[int, ...]) -> Trace:
        return square(point, LAYERS if point[1] < 1000 else [*LAYERS, (1, 1, 1)])

    def fails(point: tuple[int, ...]) -> Trace:
        raise ModelError(f"{point} is too large")

    piece = fit_sizes(changes, [(2, side) for side in SIDES], (1, 32))
    assert piece is not None
    assert reaching(piece, changes, (2, 1024)) is None
    assert reaching(piece, fails, (2, 512)) is None
    assert (2, 480) not in piece.box
    assert fit_sizes(fails, [(2, side) for side in SIDES], (1, 32)) is None


def assigned(batch: int, taken: int, rest: int = 0) -> Trace:
    """Losses over what each image's assigner takes, a buffer of one more than there are images, and one that does not care."""
    script = Script()
    script.run("nonzero", batch * taken + rest)
    script.allocate(8 * (batch * taken + rest))
    script.run("cumsum", batch + 1)
    script.allocate(8 * (batch + 1))
    script.run("arange", taken)
    script.allocate(4 * taken)
    return script.trace()


@given(here=st.integers(1, 9999), there=st.integers(1, 9999), batch=st.integers(4, 500))
def test_what_each_image_takes_at_another_size_is_told_by_one_trace(here: int, there: int, batch: int) -> None:
    family = fit((assigned(4, here), assigned(5, here), assigned(6, here)), 4)
    assert family is not None
    made = resized(family, assigned(4, there))
    assert made is not None
    assert alike(made.at(batch), assigned(batch, there))


@pytest.mark.parametrize(
    "other",
    [
        assigned(4, 30, rest=1),  # not proportional to the batch
        looped(4, [10], lambda blocks: blocks),
    ],
)
def test_what_does_not_follow_is_not_told(other: Trace) -> None:
    family = fit((assigned(4, 20), assigned(5, 20), assigned(6, 20)), 4)
    assert family is not None
    assert resized(family, other) is None
