"""The timeline plot: sums of its bands, thinning that keeps the peak, and files that are small, whole and reproducible."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import vramcast
from vramcast.breakdown import components
from vramcast.reports.held_over_time import held, shown_events, spans
from vramcast.reports.palette import SWATCHES
from vramcast.timeline import Timeline
from vramcast.trace import Event, Phase, Subject, Trace


def many_blocks(count: int, seed: int = 0) -> tuple[Trace, Timeline]:
    """`count` allocations and as many frees at random, over four phases; one spike of a single event is the peak."""
    random = np.random.default_rng(seed)
    order = np.repeat(np.arange(count), 2)
    random.shuffle(order)
    seen: set[int] = set()
    kinds = np.array([Event.FREE if block in seen or seen.add(block) else Event.ALLOCATE for block in order.tolist()], np.int64)
    sizes = random.integers(1, 2**20, count)
    spike = int(order[np.flatnonzero(kinds == Event.ALLOCATE)[count // 3]])
    sizes[spike] = 2**34
    column = np.zeros(count, np.int64)
    events = 2 * count
    trace = Trace(
        subject=Subject("made", "test", 1, 1), kinds=kinds, blocks=order.astype(np.int64), operations=np.arange(events), sizes=sizes,
        components=random.integers(0, 15, count), streams=column, block_modules=column, operation_operators=np.zeros(events, np.int64),
        operation_modules=np.zeros(events, np.int64), operation_phases=np.arange(events) * 4 // events, operators=("aten::made",), modules=("",),
        phases=(Phase("load", -1), Phase("forward", 0), Phase("backward", 0), Phase("forward", 1)),
    )  # fmt: skip
    trace.validate()
    allocated = np.cumsum(np.where(kinds == Event.ALLOCATE, 1, -1) * sizes[order])
    reserved = np.maximum.accumulate(allocated)
    return trace, Timeline(allocated=allocated, active=allocated, reserved=reserved, block_sizes=sizes, block_addresses=np.arange(count), segments=())


def test_bands_add_up_to_what_is_reserved_and_agree_with_the_breakdown() -> None:
    trace, timeline = many_blocks(400)
    bands = held(trace, timeline)
    assert list(bands) == [name for name in SWATCHES if name in bands]
    np.testing.assert_array_equal(sum(bands.values()), timeline.reserved)
    for event in (0, 123, timeline.peak_event(), 799):
        apart = components(trace, timeline, event, 0)
        assert {name: int(column[event]) for name, column in bands.items()} == {name: apart[name] for name in bands}


def test_a_run_cut_short_is_drawn_to_its_end() -> None:
    trace, timeline = many_blocks(400)
    cut = {name: getattr(timeline, name)[:500] for name in ("allocated", "active", "reserved")}
    shorter = dataclasses.replace(timeline, **cut)
    np.testing.assert_array_equal(sum(held(trace, shorter).values()), timeline.reserved[:500])
    assert spans(trace, shorter)[-1].end == 500


def test_thinning_keeps_the_peak_and_every_extreme_that_can_be_seen() -> None:
    _, timeline = many_blocks(50_000)
    events = shown_events(timeline)
    assert len(events) <= 1503
    assert timeline.peak_event() in events
    assert timeline.allocated[events].max() == timeline.peak_allocated
    assert timeline.reserved[events].max() == timeline.peak_reserved
    pixels = np.array_split(np.arange(len(timeline.allocated)), 250)
    for pixel in pixels[1:-1]:  # which hold two stretches each
        shown = np.intersect1d(events, pixel)
        assert timeline.allocated[shown].max() == timeline.allocated[pixel].max()
        assert timeline.allocated[shown].min() == timeline.allocated[pixel].min()


def test_phases_follow_each_other_without_gaps() -> None:
    trace, timeline = many_blocks(100)
    found = spans(trace, timeline)
    assert [(span.name, span.step) for span in found] == [("load", -1), ("forward", 0), ("backward", 0), ("forward", 1)]
    assert [span.start for span in found] == [0, 50, 100, 150]
    assert [span.end for span in found] == [50, 100, 150, 200]


def test_hundred_thousand_events_make_small_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    answer = vramcast.forecast(many_blocks(50_000)[0], "8GiB")
    for ending in ("svg", "png", "pdf"):
        answer.save_timeline(tmp_path / f"drawn.{ending}")
        assert 10**4 < (tmp_path / f"drawn.{ending}").stat().st_size < 10**6
    assert len(list(tmp_path.iterdir())) == 3


def test_the_same_run_makes_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    answer = vramcast.forecast(many_blocks(100)[0], "8GiB")
    for ending in ("svg", "pdf"):
        for name in ("first", "second"):
            answer.save_timeline(tmp_path / f"{name}.{ending}")
        assert (tmp_path / f"first.{ending}").read_bytes() == (tmp_path / f"second.{ending}").read_bytes()


def test_a_thousand_steps_are_not_drawn_one_by_one(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    trace, _ = many_blocks(2000)
    steps = dataclasses.replace(trace, phases=tuple(Phase("decode", step) for step in range(1000)), operation_phases=np.arange(4000) // 4)
    vramcast.forecast(steps).save_timeline(tmp_path / "steps.svg")
    assert (tmp_path / "steps.svg").stat().st_size < 10**6


def test_the_drawing_names_the_peak_the_limit_and_what_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")
    trace, _ = many_blocks(1000)
    answer = vramcast.forecast(trace, "20GiB")
    answer.save_timeline(tmp_path / "drawn.svg")
    text = (tmp_path / "drawn.svg").read_text(encoding="utf-8")
    wanted = [SWATCHES[name].colour.lower() for name, size in answer.components.items() if size]
    assert all(f"fill: {colour}" in text for colour in wanted)
    assert f"peak {answer.peak.device_bytes / 2**30:.2f} GiB" in text
    assert "aten::made" in text
    assert "usable on 20GiB: 20.00 GiB" in text
    assert {"load", "forward", "backward"} <= set(text.replace(">", "<").split("<"))


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    trace, _ = many_blocks(10)
    with pytest.raises(vramcast.UsageError, match=r"\.png, \.svg, \.pdf"):
        vramcast.forecast(trace).save_timeline(tmp_path / "t.jpg")
    assert not list(tmp_path.iterdir())
