"""A forecast as a snapshot: torch's own tools read it, and its sums are the timeline's."""

from __future__ import annotations

import pickle
import pickletools
import re
import types
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from synthetic_traces import traces
from torch.cuda import _memory_viz

from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.replay import replay
from vramcast.errors import OutputError
from vramcast.snapshot import save_snapshot, to_snapshot
from vramcast.trace import Event, Trace

MIB = 2**20
BRIEFLY = settings(max_examples=25, deadline=None)
CONFIGS = pytest.mark.parametrize("config", [AllocatorConfig(), AllocatorConfig(expandable_segments=True)], ids=["malloc", "expandable"])

READ_BY_THE_VIEWER = {
    "APPEND", "APPENDS", "BINFLOAT", "BINGET", "BININT", "BININT1", "BININT2", "BINPUT", "BINUNICODE", "DICT", "EMPTY_DICT", "EMPTY_LIST",
    "EMPTY_TUPLE", "FRAME", "LIST", "LONG1", "LONG_BINGET", "LONG_BINPUT", "MARK", "MEMOIZE", "NEWFALSE", "NEWTRUE", "NONE", "PROTO",
    "SETITEM", "SETITEMS", "SHORT_BINUNICODE", "STOP", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
}  # fmt: skip
"""Opcodes of `unpickle` in torch/utils/viz/MemoryViz.js."""


def flame(lines: str) -> str:
    """Stands in for flamegraph.pl, which torch downloads."""
    return lines


@CONFIGS
@BRIEFLY
@given(trace=traces())
def test_sums_are_the_timeline_s(config: AllocatorConfig, trace: Trace) -> None:
    timeline = replay(trace, config)
    segments = to_snapshot(trace, timeline)["segments"]
    live = trace.live_blocks(len(trace) - 1)
    assert sum(segment["total_size"] for segment in segments) == (timeline.reserved[-1] if len(trace) else 0)
    assert sum(segment["allocated_size"] for segment in segments) == (timeline.allocated[-1] if len(trace) else 0)
    assert sum(segment["requested_size"] for segment in segments) == trace.sizes[live].sum()
    for segment in segments:
        assert sum(block["size"] for block in segment["blocks"]) == segment["total_size"]
        addresses = [block["address"] for block in segment["blocks"]]
        assert addresses[0] == segment["address"]
        assert all(after - block["address"] == block["size"] for block, after in zip(segment["blocks"], addresses[1:]))


@CONFIGS
@BRIEFLY
@given(trace=traces())
def test_every_action_is_there_once(config: AllocatorConfig, trace: Trace) -> None:
    timeline = replay(trace, config)
    entries = to_snapshot(trace, timeline)["device_traces"][0]
    actions = Counter(entry["action"] for entry in entries)
    kinds = Counter(trace.kinds.tolist())
    assert actions["alloc"] == kinds[Event.ALLOCATE]
    assert actions["free_requested"] == actions["free_completed"] == kinds[Event.FREE]
    assert actions["segment_alloc"] + actions["segment_map"] == len(timeline.segments)
    assert actions["segment_free"] + actions["segment_unmap"] == sum(segment.died is not None for segment in timeline.segments)
    held = 0
    for entry in entries:
        held += entry["size"] * {"segment_alloc": 1, "segment_map": 1, "segment_free": -1, "segment_unmap": -1}.get(entry["action"], 0)
        assert 0 <= held <= timeline.peak_reserved
    assert held == (timeline.reserved[-1] if len(trace) else 0)


@CONFIGS
@BRIEFLY
@given(trace=traces())
def test_torch_s_tools_read_it(config: AllocatorConfig, trace: Trace) -> None:
    snapshot = to_snapshot(trace, replay(trace, config))
    live_bytes = trace.sizes[trace.live_blocks(len(trace) - 1)].sum()
    for view in (_memory_viz.segments, _memory_viz.memory):
        drawn = re.findall(r";active_allocated;(?!<gaps>).* (\d+)$", view(snapshot, format_flamegraph=flame), re.MULTILINE)
        assert sum(map(int, drawn)) == live_bytes
    assert f"segments: {len(snapshot['segments'])}\n" in _memory_viz.segsum(snapshot)
    assert _memory_viz.compare(snapshot["segments"], snapshot["segments"], format_flamegraph=flame) == ""
    for plot in (_memory_viz.trace_plot, _memory_viz.segment_plot):
        assert "snapshot.pickle" in plot(snapshot)
    if snapshot["device_traces"][0]:
        assert f"{len(snapshot['device_traces'][0])} entries" in _memory_viz.trace(snapshot)


def test_a_flame_graph_nests_phases_modules_and_operators(two_steps: Trace) -> None:
    lines = _memory_viz.memory(to_snapshot(two_steps, replay(two_steps)), format_flamegraph=flame)
    assert "stream_0;active_allocated;phase:1:forward;module:0:layer1;module:0:layer1.0;operator:0:convolution 3145728\n" in lines
    assert "stream_0;active_allocated;phase:0:load;module:0:;operator:0:empty;owner:0:layer1.0 1000\n" in lines


def test_out_of_memory_ends_the_trace(two_steps: Trace) -> None:
    timeline = replay(two_steps, limit=30 * MIB)
    assert timeline.out_of_memory is not None
    snapshot = to_snapshot(two_steps, timeline)
    last = snapshot["device_traces"][0][-1]
    assert (last["action"], last["size"], last["device_free"]) == ("oom", 40 * MIB, 0)
    assert "raise OutOfMemoryError # 40.0MiB requested" in _memory_viz.trace(snapshot)
    assert sum(segment["total_size"] for segment in snapshot["segments"]) == timeline.out_of_memory.reserved


def test_the_viewer_finds_an_unknown_category(two_steps: Trace) -> None:
    entries = to_snapshot(two_steps, replay(two_steps))["device_traces"][0]
    categories = {entry["category"] for entry in entries if "category" in entry}
    assert categories == {"unknown", "weights", "activations"}


def test_the_file_is_plain_and_readable_by_the_viewer(two_steps: Trace, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.pickle"
    timeline = replay(two_steps)
    save_snapshot(two_steps, timeline, path)
    written = path.read_bytes()
    assert written[:2] == b"\x80\x04"
    assert pickle.loads(written) == to_snapshot(two_steps, timeline)
    assert {opcode.name for opcode, _, _ in pickletools.genops(written)} <= READ_BY_THE_VIEWER
    assert set(_types(pickle.loads(written))) <= {dict, list, tuple, str, int, bool, types.NoneType}
    assert [item.name for item in tmp_path.iterdir()] == ["snapshot.pickle"]


def _types(value: Any) -> list[type]:
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else []
    return [type(value), *(kind for item in inside for kind in _types(item))]


@pytest.mark.parametrize("spoil", [lambda folder: folder / "missing" / "x.pickle", lambda folder: folder], ids=["no folder", "a folder"])
def test_an_unwritable_path_is_refused(two_steps: Trace, tmp_path: Path, spoil: Callable[[Path], Path]) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        save_snapshot(two_steps, replay(two_steps), spoil(tmp_path))
    assert list(tmp_path.iterdir()) == []
