"""Marks in a recorded run: phases and modules of events, and the most segments held."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_traces import assert_equal, traces

from vramcast.allocator.replay import replay
from vramcast.errors import InvalidFileError
from vramcast.snapshot import read_peak_reserved, read_snapshot, to_snapshot
from vramcast.snapshot.marks import Mark, read_mark, write_mark
from vramcast.trace import Event, Phase, Subject, Trace
from vramcast.trace_file import decode_trace, encode_trace
from vramcast.units import MIB

SUBJECT = Subject("a run", "test", 0, 0)


def recorded(*events: tuple[str, int, str]) -> dict[str, Any]:
    """Return a snapshot of events: action, address, mark."""
    entries = [{"action": action, "addr": address, "size": 512, "stream": 0, "frames": [], "user_metadata": mark} for action, address, mark in events]
    return {"segments": [], "device_traces": [entries]}


def where(trace: Trace) -> list[tuple[str, int, str]]:
    return [
        (trace.phases[phase].name, trace.phases[phase].step, trace.modules[module])
        for phase, module in zip(trace.event_phases(), trace.operation_modules[trace.operations])
    ]


def test_events_belong_where_they_were_marked() -> None:
    trace = read_snapshot(recorded(("alloc", 1, "0|load|-1|"), ("alloc", 2, "1|forward|3|layer.0"), ("free_completed", 2, "1|forward|3|")), SUBJECT)
    assert where(trace) == [("load", -1, ""), ("forward", 3, "layer.0"), ("forward", 3, "")]


def test_events_of_another_thread_belong_to_the_phase_that_is_on() -> None:
    trace = read_snapshot(
        recorded(("alloc", 1, "4|backward|0|"), ("alloc", 2, ""), ("free_completed", 1, ""), ("alloc", 1, "5|optimizer|0|")), SUBJECT
    )
    assert where(trace) == [("backward", 0, ""), ("backward", 0, ""), ("backward", 0, ""), ("optimizer", 0, "")]


def test_a_text_that_a_thread_kept_from_an_earlier_phase_says_nothing() -> None:
    """Autograd's thread recomputed a block in step 0 and sets no text in step 1."""
    events = [
        ("alloc", 1, "4|backward|0|block"),
        ("alloc", 2, "9|backward|1|"),
        ("alloc", 3, "4|backward|0|block"),
        ("alloc", 4, "4|backward|0|block"),
    ]
    assert where(read_snapshot(recorded(*events), SUBJECT)) == [("backward", 0, "block"), *[("backward", 1, "")] * 3]


def test_a_run_without_marks_is_read_as_before() -> None:
    trace = read_snapshot(recorded(("alloc", 1, ""), ("alloc", 2, "somebody's own text")), SUBJECT)
    assert where(trace) == [("recorded", -1, "")] * 2


@given(name=st.text(st.characters(exclude_characters="|"), min_size=1), number=st.integers(0, 999), step=st.integers(-1, 99), module=st.text())
def test_a_mark_is_read_as_it_was_written(name: str, number: int, step: int, module: str) -> None:
    mark = Mark(number, Phase(name, step), module)
    assert read_mark(write_mark(mark)) == mark


@pytest.mark.parametrize("text", [None, {"step": 1}, "", "forward", "1|forward|1", "1|forward|one|", "1||1|", "a|forward|1|", "1|a|1.5|"])
def test_other_texts_are_no_marks(text: object) -> None:
    assert read_mark(text) is None


@given(trace=traces())
def test_the_most_segments_are_those_of_the_replay(trace: Trace) -> None:
    """What a forecast's own snapshot records is what its replay says."""
    timeline = replay(trace)
    if len(trace.sizes):
        assert read_peak_reserved(to_snapshot(trace, timeline)) == timeline.peak_reserved


@pytest.mark.parametrize("may_have_retried", [False, True])
def test_segments_given_back_before_new_ones_are_an_emptied_cache_where_nothing_was_tried_again(may_have_retried: bool) -> None:
    """cuDNN's search gives back what it tried with, and then asks for what it settled on."""
    entries = [
        {"action": action, "addr": address, "size": size, "frames": []}
        for action, address, size in (
            ("segment_alloc", 0, 40 * MIB), ("alloc", 0, 40 * MIB), ("free_completed", 0, 40 * MIB), ("segment_free", 0, 40 * MIB),
            ("segment_alloc", 0, 22 * MIB), ("alloc", 0, 22 * MIB),
        )
    ]  # fmt: skip
    snapshot = {"segments": [{"address": 0, "blocks": [{"size": 22 * MIB, "state": "active_allocated"}]}], "device_traces": [entries]}
    trace = read_snapshot(snapshot, SUBJECT, may_have_retried=may_have_retried)
    assert (trace.kinds == Event.EMPTY_CACHE).any() != may_have_retried
    assert replay(trace).reserved[-1] == (40 if may_have_retried else 22) * MIB


def test_segments_from_before_recording_count() -> None:
    entries = [{"action": "segment_alloc", "addr": 9, "size": 300}, {"action": "segment_free", "addr": 9, "size": 300}]
    segments = [{"address": 0, "blocks": [{"size": 1000, "state": "inactive"}]}]
    assert read_peak_reserved({"segments": segments, "device_traces": [entries]}) == 1300


@given(trace=traces())
def test_a_trace_inside_another_file_comes_back_whole(trace: Trace) -> None:
    assert_equal(trace, decode_trace(encode_trace(trace)))


@pytest.mark.parametrize("data", [b"", b"not a trace", b"\xfd7zXZ\x00"])
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidFileError, match="the trace inside cannot be read"):
        decode_trace(data)
