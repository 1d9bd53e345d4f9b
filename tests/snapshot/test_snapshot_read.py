"""Snapshots as traces: a forecast comes back as it was, a real one as PyTorch documents it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_traces import story, traces
from torch.cuda import _memory_viz

from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.replay import replay
from vramcast.errors import InvalidFileError, UnknownNameError
from vramcast.snapshot import load_snapshot, save_snapshot
from vramcast.timeline import Timeline
from vramcast.trace import Component, Event, Trace

MIB = 2**20
SAME_FOLDER = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SAME_FOLDER
@given(trace=traces(), expandable=st.booleans())
def test_a_forecast_comes_back(trace: Trace, expandable: bool, tmp_path: Path) -> None:
    timeline = replay(trace, AllocatorConfig(expandable_segments=expandable))
    save_snapshot(trace, timeline, tmp_path / "forecast.pickle")
    events = written_events(trace, timeline)
    if not events:
        with pytest.raises(InvalidFileError, match="nothing was recorded"):
            load_snapshot(tmp_path / "forecast.pickle")
        return
    loaded = load_snapshot(tmp_path / "forecast.pickle")
    loaded.validate()
    assert story(loaded) == [story(trace)[event] for event in events]
    assert (loaded.subject, loaded.caveats) == (trace.subject, trace.caveats)
    assert replay(loaded).peak_allocated == replay(trace).peak_allocated


def written_events(trace: Trace, timeline: Timeline) -> list[int]:
    """All but the empty_cache() calls that gave nothing back, of which a snapshot says nothing."""
    effective = {segment.died for segment in timeline.segments}
    return [event for event in range(len(trace)) if trace.kinds[event] != Event.EMPTY_CACHE or event in effective]


def test_a_forecast_that_ran_out_of_memory(two_steps: Trace, tmp_path: Path) -> None:
    save_snapshot(two_steps, replay(two_steps, limit=30 * MIB), tmp_path / "oom.pickle")
    loaded = load_snapshot(tmp_path / "oom.pickle")
    assert story(loaded) == story(two_steps)[:4]
    assert [caveat.message for caveat in loaded.caveats] == [
        "The recorded run ran out of memory 1 times, first when 40.00 MiB were requested with 0 B free."
    ]


PYTHON = {"filename": "/home/me/net.py", "line": 12, "name": "forward"}
TORCH = {"filename": "/usr/lib/python3.11/site-packages/torch/nn/modules/conv.py", "line": 548, "name": "_conv_forward"}
CONVOLUTION = [
    {"filename": "??", "line": 0, "name": "at::_ops::empty_memory_format::call(c10::ArrayRef<c10::SymInt>)"},
    {"filename": "??", "line": 0, "name": "at::_ops::cudnn_convolution::call(at::Tensor const&)"},
    {"filename": "??", "line": 0, "name": "at::_ops::conv2d::call(at::Tensor const&)"},
    TORCH,
    PYTHON,
]
EMPTY_CACHE = [{"filename": "/usr/lib/python3.11/site-packages/torch/cuda/memory.py", "line": 280, "name": "empty_cache"}, PYTHON]


def entry(action: str, addr: int, size: int, **more: Any) -> dict[str, Any]:
    return {"action": action, "addr": addr, "size": size, "stream": 0, "time_us": 1, "compile_context": "N/A", "user_metadata": "", **more}


def freed(addr: int, size: int, **more: Any) -> list[dict[str, Any]]:
    return [entry("free_requested", addr, size, **more), entry("free_completed", addr, size, **more)]


def block(size: int, requested: int, state: str = "active_allocated", **more: Any) -> dict[str, Any]:
    return {"size": size, "requested_size": requested, "state": state, "frames": [], **more}


def segment(address: int, *blocks: dict[str, Any], device: int = 0, **more: Any) -> dict[str, Any]:
    total = sum(part["size"] for part in blocks)
    return {"device": device, "address": address, "total_size": total, "stream": 0, "segment_type": "small", "blocks": list(blocks), **more}


def load(folder: Path, *device_traces: list[Any], segments: list[Any] | None = None, device: int | None = None) -> Trace:
    path = folder / "real.pickle"
    path.write_bytes(pickle.dumps({"device_traces": list(device_traces), "segments": segments or [], "allocator_settings": {}}))
    trace = load_snapshot(path, device)
    trace.validate()
    return trace


def happenings(trace: Trace) -> list[tuple[Event, int]]:
    """Per event: what, and how many bytes."""
    return [(Event(kind), 0 if index < 0 else int(trace.sizes[index])) for kind, index in zip(trace.kinds, trace.blocks)]


def test_operators_and_modules_come_from_the_stack(tmp_path: Path) -> None:
    python_only, bare = [TORCH, PYTHON], {"frames": []}
    trace = load(
        tmp_path,
        [entry("alloc", 1024, 10, frames=CONVOLUTION, stream=94), entry("alloc", 2048, 20, frames=python_only), entry("alloc", 4096, 30, **bare)],
    )
    names = [(trace.operators[op], trace.modules[module]) for op, module in zip(trace.operation_operators, trace.operation_modules)]
    assert names == [("cudnn_convolution", "net:forward"), ("_conv_forward", "net:forward"), ("unknown", "")]
    assert trace.streams.tolist() == [94, 0, 0]
    assert [phase.name for phase in trace.phases] == ["recorded"]
    assert (trace.subject.name, trace.subject.source) == ("real", "snapshot")
    assert set(trace.components.tolist()) == {Component.OTHER}


def test_blocks_from_before_recording_come_first(tmp_path: Path) -> None:
    events = [*freed(0x9000, 700), entry("alloc", 0x5000, 50), entry("alloc", 0x9000, 90), *freed(0x9000, 90)]
    held = segment(0x4000, block(0x1000, 4000), block(512, 50), block(512, 0, "inactive"), block(512, 333, "active_pending_free"))
    trace = load(tmp_path, events, segments=[held])
    allocate, free = Event.ALLOCATE, Event.FREE
    assert happenings(trace) == [(allocate, 4000), (allocate, 333), (allocate, 700), (free, 700), (allocate, 50), (allocate, 90), (free, 90)]
    assert [phase.name for phase in trace.phases] == ["before recording", "recorded"]
    assert trace.caveats[0].message.startswith("3 blocks were there before recording began")


def test_a_block_is_freed_when_its_free_completes(tmp_path: Path) -> None:
    trace = load(
        tmp_path, [entry("alloc", 1, 10), entry("free_requested", 1, 10), entry("alloc", 2, 20), entry("free_completed", 1, 10), *freed(2, 20)]
    )
    assert happenings(trace) == [(Event.ALLOCATE, 10), (Event.ALLOCATE, 20), (Event.FREE, 10), (Event.FREE, 20)]


def test_a_recording_without_completions(tmp_path: Path) -> None:
    trace = load(tmp_path, [entry("alloc", 1, 10), entry("free_requested", 1, 10), entry("alloc", 1, 20)])
    assert happenings(trace) == [(Event.ALLOCATE, 10), (Event.FREE, 10), (Event.ALLOCATE, 20)]
    assert trace.caveats == ()


def test_frees_that_do_not_match_are_reported(tmp_path: Path) -> None:
    trace = load(tmp_path, [entry("alloc", 1, 10), entry("alloc", 1, 20), *freed(1, 20), *freed(1, 20)])
    assert happenings(trace) == [(Event.ALLOCATE, 10), (Event.FREE, 10), (Event.ALLOCATE, 20), (Event.FREE, 20)]
    assert [caveat.message for caveat in trace.caveats] == ["2 frees do not match the allocations recorded."]


@pytest.mark.parametrize(
    ("release", "after", "expected"),
    [
        ([entry("segment_free", 0, 2 * MIB)], [entry("alloc", 8, 1)], 1),
        ([entry("segment_free", 0, 2 * MIB)], [entry("segment_alloc", 8, 2 * MIB), entry("alloc", 8, 1)], 0),
        ([entry("segment_free", 0, 2 * MIB, frames=EMPTY_CACHE)], [entry("segment_alloc", 8, 2 * MIB), entry("alloc", 8, 1)], 1),
        ([entry("segment_free", 0, 2 * MIB), entry("segment_free", 4 * MIB, 2 * MIB)], [], 1),
        ([entry("segment_unmap", 0, 2 * MIB)], [{"action": "oom", "size": 5, "stream": 0, "device_free": 7}], 0),
    ],
    ids=["empty_cache", "retry", "empty_cache then new memory", "two segments, one call", "out of memory"],
)
def test_empty_cache_is_told_from_a_retry(release: list[Any], after: list[Any], expected: int, tmp_path: Path) -> None:
    trace = load(tmp_path, [entry("alloc", 1, 10), *freed(1, 10), *release, *after])
    assert (trace.kinds == Event.EMPTY_CACHE).sum() == expected


def test_the_busiest_device_is_read_unless_one_is_named(tmp_path: Path) -> None:
    devices = [entry("alloc", 1, 10)], [], [entry("alloc", 1, 20), entry("alloc", 2, 30)]
    segments = [segment(0x100, block(512, 40), device=1)]
    trace = load(tmp_path, *devices, segments=segments)
    assert trace.sizes.tolist() == [20, 30]
    assert trace.caveats[0].message == "The snapshot has events of devices 0, 2; device 2 was read."
    assert load(tmp_path, *devices, segments=segments, device=0).sizes.tolist() == [10]
    assert load(tmp_path, *devices, segments=segments, device=1).sizes.tolist() == [40]
    with pytest.raises(UnknownNameError, match="no device of the snapshot is called '3'"):
        load(tmp_path, *devices, device=3)


def test_profiler_categories_become_components(tmp_path: Path) -> None:
    trace = load(
        tmp_path, [entry("alloc", 1, 1, category="parameter"), entry("alloc", 2, 1, category="optimizer_states"), entry("alloc", 3, 1, category="?")]
    )
    assert trace.components.tolist() == [Component.WEIGHTS, Component.OPTIMIZER_STATES, Component.OTHER]


def test_a_snapshot_made_by_torch_itself(tmp_path: Path) -> None:
    """The one kind torch makes without a GPU: a profile of the CPU's memory, in the snapshot format."""
    module = torch.nn.Linear(64, 8)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, record_shapes=True, with_stack=True
    ) as profile:
        module(torch.randn(32, 64)).sum().backward()
    made = _memory_viz._profile_to_snapshot(profile)
    trace = load(tmp_path, *made["device_traces"], segments=made["segments"])
    allocations = [entry for entry in made["device_traces"][0] if entry["action"] == "alloc"]
    earlier = len(trace.sizes) - len(allocations)
    assert trace.caveats[0].message.startswith(f"{earlier} blocks were there before recording began")
    assert trace.sizes[earlier:].tolist() == [entry["size"] for entry in allocations]
    assert {64 * 8 * 4, 8 * 4} <= set(trace.sizes.tolist())
    assert Component.GRADIENTS in trace.components


def test_private_pools_are_reported(tmp_path: Path) -> None:
    trace = load(tmp_path, [], segments=[segment(0, block(512, 5), segment_pool_id=(0, 1))])
    assert "private pools" in trace.caveats[-1].message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([], "Expected `object`, got `array`"),
        ({"segments": []}, "missing required field `device_traces`"),
        ({"segments": [], "device_traces": []}, "nothing was recorded"),
        ({"segments": [], "device_traces": [[]]}, "nothing was recorded"),
        ({"segments": [], "device_traces": [7]}, "expected a list, got int"),
        ({"segments": [], "device_traces": [[{"addr": 1}]]}, "event 0 is not as PyTorch writes it"),
        ({"segments": [], "device_traces": [[entry("alloc", 1, -5)]]}, "size"),
        ({"segments": [], "device_traces": [[entry("alloc", 1, 0)]]}, "allocates no bytes"),
        ({"segments": [], "device_traces": [[entry("alloc", 1, 2**60)]]}, "size"),
        ({"segments": [], "device_traces": [[entry("alloc", 1, 5, stream=2**63)]]}, "event 0"),
        ({"segments": [], "device_traces": [[entry("alloc", 1, 5, frames=[{"name": 1}])]]}, "a stack"),
        ({"segments": [{"address": 1, "blocks": {}}], "device_traces": [[]]}, "blocks of a segment"),
    ],
)
def test_other_content_is_refused(content: object, found: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.pickle"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InvalidFileError, match=found):
        load_snapshot(path)
