"""Python's collector is held back where it would walk what lives on, and left as it was found."""

from __future__ import annotations

import gc
import weakref

import pytest

from vramcast.collecting import not_collecting


class Knot:
    """Holds itself, so that only the collector ends it."""

    def __init__(self) -> None:
        self.itself = self


def test_nothing_is_collected_within() -> None:
    with not_collecting():
        ended = weakref.ref(Knot())
        kept = [[] for _ in range(10 * gc.get_threshold()[0])]
        assert ended() is not None
    gc.collect()
    assert ended() is None
    assert kept


def test_what_was_made_is_old_at_once() -> None:
    with not_collecting():
        made = [{"number": number} for number in range(1000)]
    assert all(found is not made for found in gc.get_objects(generation=0))
    assert any(found is made for found in gc.get_objects(generation=2))


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_collector_is_left_as_it_was(is_enabled: bool) -> None:
    try:
        (gc.enable if is_enabled else gc.disable)()
        with pytest.raises(ValueError, match="amiss"), not_collecting():
            raise ValueError("amiss")
        assert gc.isenabled() is is_enabled
    finally:
        gc.enable()
