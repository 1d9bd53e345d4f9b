"""Laws of families over batch and size: a few traces tell those of every point, and where they do not, the family says so."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from family_programs import areal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vramcast.errors import InvalidFileError, ModelError
from vramcast.family import TraceFamily, build, load_family, save_family
from vramcast.family.batch_fit import alike
from vramcast.family.errors import NotAffineError
from vramcast.family.polynomials import Polynomials
from vramcast.trace import Trace

AXES = ("batch", "height", "width")
SIZES = [(side, side) for side in range(64, 257, 32)]
LAYERS = [(3, 4, 2), (0, 64, 1)]
layers = st.lists(st.tuples(st.integers(0, 99), st.integers(1, 999), st.integers(1, 16)), min_size=1, max_size=4)
sides = st.integers(2, 8).map(lambda steps: 32 * steps)


def same(made: Trace | None, given: Trace) -> bool:
    return made is not None and alike(made, given)


@settings(deadline=None, max_examples=25)
@given(sizes=layers, batch=st.integers(1, 60), height=sides, width=sides)
def test_a_few_traces_tell_every_point(sizes: list[tuple[int, int, int]], batch: int, height: int, width: int) -> None:
    asked: list[tuple[int, ...]] = []
    family = build(lambda point: asked.append(point) or areal(point, sizes), AXES, (1, 60), SIZES)
    assert len(family.pieces) == 1
    assert family.notes == ()
    assert len(set(asked)) <= 15
    assert same(family.at((batch, height, width)), areal((batch, height, width), sizes))


@pytest.mark.parametrize("point", [(61, 64, 64), (0, 64, 64), (5, 32, 64), (5, 64, 288), (5, 70, 64), (5, 64), ()])
def test_beyond_what_was_traced_it_knows_nothing(point: tuple[int, ...]) -> None:
    assert build(lambda at: areal(at, LAYERS), AXES, (1, 60), SIZES).at(point) is None


def test_it_is_split_where_the_events_change() -> None:
    family = build(lambda point: areal(point, LAYERS, border=23), AXES, (1, 60), SIZES)
    assert len(family.pieces) == 2 * len(SIZES)
    assert "the events change beyond batch 23" in family.notes
    for batch, size in itertools.product((1, 22, 23, 24, 25, 60), SIZES):
        assert same(family.at((batch, *size)), areal((batch, *size), LAYERS, border=23))


def test_padding_to_windows_gives_each_size_its_own_piece() -> None:
    family = build(lambda point: areal(point, LAYERS, window=56), AXES, (2, 9), SIZES)
    assert len(family.pieces) == len(SIZES)
    assert any("every size has its own piece" in note for note in family.notes)
    assert all(same(family.at((7, *size)), areal((7, *size), LAYERS, window=56)) for size in SIZES)


def test_what_cannot_be_traced_is_left_out() -> None:
    def trace(point: tuple[int, ...]) -> Trace:
        if point[0] == 1 or point[1] > 128:
            raise ModelError("Expected more than 1 value per channel")
        return areal(point, LAYERS)

    family = build(trace, AXES, (1, 9), SIZES)
    assert same(family.at((3, 96, 96)), areal((3, 96, 96), LAYERS))
    assert family.at((1, 96, 96)) is None
    assert family.at((3, 160, 160)) is None


def test_one_batch_alone_is_followed_over_sizes() -> None:
    family = build(lambda point: areal(point, LAYERS), AXES, (8, 8), SIZES)
    assert same(family.at((8, 96, 224)), areal((8, 96, 224), LAYERS))


def family_of_two() -> TraceFamily:
    return build(lambda point: areal(point, LAYERS, border=5), AXES, (1, 20), SIZES[:2])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    family = family_of_two()
    save_family(family, tmp_path / "family.npz")
    loaded = load_family(tmp_path / "family.npz")
    assert (loaded.axes, loaded.notes, len(loaded.pieces)) == (family.axes, family.notes, len(family.pieces))
    for point in itertools.product((1, 5, 6, 20), (64,), (64,)):
        assert same(loaded.at(point), areal(point, LAYERS, border=5))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_or_harmless(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "damaged.npz"
    save_family(family_of_two(), path)
    damaged = bytearray(path.read_bytes())
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    try:
        family = load_family(path)
    except InvalidFileError:
        return
    assert all(piece.at(piece.box.low).validate() is None for piece in family.pieces)


def test_polynomials_are_exact_beyond_floats() -> None:
    points = np.array([(1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (2, 3, 4), (3, 5, 7), (4, 1, 2), (5, 9, 8)], np.int64)
    batch, height, width = points.T
    values = np.stack([batch * height * width * (2**41 + 1) + 7, batch * (height + 1) * (width + 1) // 1, (height * width) ** 2 * batch])
    found = Polynomials.through(points, values, "byte counts")
    assert np.array_equal(found.at(points), values)
    assert found.at(np.array([(11, 13, 17)]))[:, 0].tolist() == [11 * 13 * 17 * (2**41 + 1) + 7, 11 * 14 * 18, (13 * 17) ** 2 * 11]


@pytest.mark.parametrize("power", [lambda height: height**3, lambda height: -(-height // 3), lambda height: 2**height])
def test_other_functions_are_refused(power: object) -> None:
    assert callable(power)
    points = np.array([(batch, height) for batch in (1, 2) for height in (1, 2, 3, 5, 8)], np.int64)
    with pytest.raises(NotAffineError):
        Polynomials.through(points, np.array([[power(height) for _, height in points.tolist()]]), "byte counts")
