"""`SegmentHistory`: whole segments, and expandable ones of which parts go back."""

from __future__ import annotations

from vramcast.allocator.history import SegmentHistory
from vramcast.timeline import Segment


def segment(address: int, size: int, born: int, died: int | None = None) -> Segment:
    return Segment(address, size, stream=0, is_small=False, born=born, died=died)


def test_an_address_can_be_held_twice_in_a_row() -> None:
    history = SegmentHistory()
    history.open(segment(0, 10, born=1))
    history.close(0, 4)
    history.open(segment(0, 20, born=5))
    assert history.segments() == (segment(0, 10, 1, died=4), segment(0, 20, 5))


def test_parts_of_several_segments_go_back_at_once() -> None:
    history = SegmentHistory()
    history.open(segment(0, 30, born=0))
    history.open(segment(30, 30, born=1))
    history.close_part(20, 20, event=2)
    assert set(history.segments()) == {segment(0, 20, 0), segment(20, 10, 0, died=2), segment(30, 10, 1, died=2), segment(40, 20, 1)}
    assert [item.born for item in history.segments()] == [0, 0, 1, 1]


def test_what_is_left_can_go_back_later() -> None:
    history = SegmentHistory()
    history.open(segment(0, 30, born=0))
    history.close_part(10, 10, event=1)
    history.close_part(0, 30, event=2)
    assert sorted((item.address, item.died) for item in history.segments()) == [(0, 2), (10, 1), (20, 2)]
