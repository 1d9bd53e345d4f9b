"""Laws of trace families: three small traces tell every larger one to the byte, and what is no family is said to be none."""

from __future__ import annotations

import numpy as np
import pytest
from family_programs import ORDERS, Script, looped, plain
from hypothesis import given, settings
from hypothesis import strategies as st

from vramcast.family import BatchFamily, fit
from vramcast.trace import OperatorCall, TensorSpec, Trace

COLUMNS = ("kinds", "blocks", "operations", "sizes", "components", "streams", "block_modules",
           "operation_operators", "operation_modules", "operation_phases")  # fmt: skip


def assert_same(one: Trace, other: Trace) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.calls == other.calls
    assert (one.subject, one.operators, one.modules, one.phases, one.caveats) == (
        other.subject, other.operators, other.modules, other.phases, other.caveats
    )  # fmt: skip


def family_of(traces: tuple[Trace, Trace, Trace], smallest: int) -> BatchFamily:
    family = fit(traces, smallest)
    assert family is not None
    return family


@given(
    sizes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**6)), min_size=1, max_size=12),
    smallest=st.integers(1, 4),
    more=st.integers(0, 10**9),
)
def test_sizes_and_shapes_follow_the_batch(sizes: list[tuple[int, int]], smallest: int, more: int) -> None:
    first, second, third = (plain(smallest + step, sizes) for step in range(3))
    family = family_of((first, second, third), smallest)
    assert_same(family.at(smallest + more), plain(smallest + more, sizes))
    assert family.largest_block(smallest + more) == max(constant + per_image * (smallest + more) for constant, per_image in sizes)


@settings(deadline=None)
@given(
    body=st.lists(st.integers(1, 1000), min_size=1, max_size=5),
    order=st.sampled_from(sorted(ORDERS)),
    rounds=st.integers(1, 3),
    batch=st.integers(3, 40),
)
def test_loops_over_images_go_round_once_more(body: list[int], order: str, rounds: int, batch: int) -> None:
    first, second, third = (looped(size, body, ORDERS[order], rounds) for size in (3, 4, 5))
    family = family_of((first, second, third), 3)
    whole = looped(batch, body, ORDERS[order], rounds)
    assert_same(family.at(batch), whole)
    assert family.lines(batch) == len(whole) + len(whole.operation_operators)


def with_size(batch: int, size: int) -> Trace:
    script = Script()
    script.run("mm", batch)
    script.allocate(size)
    return script.trace()


@pytest.mark.parametrize("size", [lambda batch: batch**2, lambda batch: 512 * -(-batch // 2), lambda batch: 2**batch])
def test_other_functions_of_the_batch_are_no_family(size: object) -> None:
    assert callable(size)
    assert fit((with_size(3, size(3)), with_size(4, size(4)), with_size(5, size(5))), 3) is None


def test_other_events_are_no_family() -> None:
    short, long = plain(3, [(1, 1)]), plain(4, [(1, 1), (2, 2)])
    assert fit((short, long, long), 3) is None
    assert fit((short, short, long), 3) is None


def test_a_loop_that_stops_going_round_is_no_family() -> None:
    first, second = (looped(size, [10], ORDERS["forwards"]) for size in (3, 4))
    assert fit((first, second, second), 3) is None


def test_a_call_of_another_form_is_no_family() -> None:
    traces = [plain(batch, [(8, 8)]) for batch in (3, 4, 5)]
    traces[2].calls[0] = OperatorCall("mm", (TensorSpec((5, 8, 1), (5, 8, 1), "float32"), None), {"sizes": (5, 8), "flag": True})  # type: ignore[index]
    assert fit((traces[0], traces[1], traces[2]), 3) is None
