"""Private pools of CUDA graphs: what is captured is reserved beside the rest, and kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import vramcast
from vramcast.backends.cuda_graphs import POOL, WARM_UP_STREAM
from vramcast.backends.registry import backend_of
from vramcast.errors import WorkloadError
from vramcast.trace import Component, Event
from vramcast.workload import Workload

MIB = 2**20


class Doubled(nn.Module):
    """Holds one intermediate of 8 MiB a sample while it makes another."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2 * MIB))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.scale).sigmoid().sum()


def workload(**fields: object) -> Workload:
    return Workload.infer(inputs=["x=1x2097152:float32"], **fields)  # type: ignore[arg-type]


def test_capture_reserves_a_pool_of_its_own() -> None:
    plain, captured = (vramcast.estimate(Doubled(), workload(cuda_graphs=is_captured)) for is_captured in (False, True))
    assert captured.peak.allocated_bytes == plain.peak.allocated_bytes
    streams = captured.trace.streams
    made = captured.trace.sizes == 8 * MIB
    assert sorted(streams[made & (captured.trace.components == Component.TEMPORARIES)].tolist()) == 2 * [WARM_UP_STREAM] + 2 * [POOL]
    assert not streams[captured.trace.components == Component.WEIGHTS].any()


def test_the_cache_is_emptied_before_the_capture() -> None:
    """So that of two pools that hold two intermediates of 8 MiB each, in a segment of 20 MiB, only one is there at a time."""
    plain, captured = (vramcast.estimate(Doubled(), workload(cuda_graphs=is_captured)) for is_captured in (False, True))
    assert (captured.trace.kinds == Event.EMPTY_CACHE).sum() == 1
    in_default_pool = 2 * 20 * MIB + 2 * MIB  # weights and two batches, of 8 MiB each; small blocks
    assert captured.peak.reserved_bytes == in_default_pool + 20 * MIB + 2 * MIB
    assert plain.peak.reserved_bytes == in_default_pool


def test_a_training_step_under_a_scaler_leaves_the_optimizer_out() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 1000))
    made = {}
    for precision in ("fp32", "amp-fp16"):
        asked = Workload.train(inputs=["input=2x3x8x8:float32"], precision=precision, cuda_graphs=True)
        trace = vramcast.estimate(net, asked).trace
        phases = {trace.phases[index].name for index in trace.operation_phases[trace.operations[trace.allocated_at[trace.streams == POOL]]]}
        made[precision] = phases
    assert "backward" in made["fp32"] & made["amp-fp16"]
    assert "optimizer" not in made["amp-fp16"]


def test_a_trace_is_parted_once() -> None:
    captured = vramcast.estimate(Doubled(), workload(cuda_graphs=True))
    again = backend_of(workload()).on_card(captured.trace, workload(cuda_graphs=True), None)
    assert len(again) == len(captured.trace)


def test_a_family_parts_pools_as_a_trace_does() -> None:
    """`fit` tells batches from a family of traces; what it says of a batch is what `estimate` says of it."""

    def asked(batch: int) -> Workload:
        return Workload.train(inputs=[f"input={batch}x3x32x32:float32"], batch=batch, cuda_graphs=True)

    net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 30 * 30, 10))
    answer = vramcast.fit(net, asked(1), gpu="1GiB")
    assert answer.told_by == "family"
    for told in (answer.expected, answer.beyond):
        assert told is not None
        assert vramcast.estimate(net, asked(told.value), gpu="1GiB").peak.reserved_bytes == told.reserved_bytes


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"cuda_graphs": True, "steps": 1}, "steps 1"),
        ({"compile_mode": "max-autotune", "backend": "eager"}, "backend 'eager'"),
        ({"cuda_graphs": True, "backend": "compile", "compile_mode": "reduce-overhead"}, "cuda_graphs"),
        ({"cuda_graphs": True, "new_tokens": 4}, "new_tokens 4"),
    ],
)
def test_what_excludes_each_other_is_refused(fields: dict[str, object], named: str) -> None:
    with pytest.raises(WorkloadError, match=named):
        Workload.infer(**fields)  # type: ignore[arg-type]
