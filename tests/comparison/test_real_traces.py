"""Whole networks, their kernels' scratch as on another card: all of the error is the workspace's, none the tracer's."""

from __future__ import annotations

import numpy as np
import pytest
from changed_traces import as_measured

from vramcast.allocator.replay import replay
from vramcast.comparison.compare import compare
from vramcast.comparison.side import Side, of_estimate, of_trace
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import estimate
from vramcast.trace import Component, Trace
from vramcast.workload import Workload
from vramcast.workspace.insert import insert_scratch
from vramcast.workspace.stack import Stack


def traced(model: str, workload: Workload) -> Trace:
    """Return a trace without scratch."""
    from vramcast.backends.eager.batching import trace_workload
    from vramcast.sources.registry import find

    return trace_workload(find(model), workload, (8, 0), lambda _: None)


def side(trace: Trace) -> Side:
    return Side(name="a side", reserved_bytes=replay(trace).peak_reserved, trace=trace)


@pytest.mark.parametrize(
    ("model", "workload"),
    [
        ("torchvision:resnet18", Workload.train(batch=4, image=128)),
        ("torchvision:vgg11", Workload.train(batch=2, image=64, optimizer="sgd")),
        ("timm:vit_tiny_patch16_224", Workload.train(batch=2, precision="amp-fp16")),
        ("timm:test_convnext", Workload.infer(batch=2)),
    ],
)
@pytest.mark.parametrize("other", [Stack(allow_tf32=False), Stack(compute_capability=(9, 0), sm_count=132)], ids=["without TF32", "Hopper"])
def test_other_scratch_is_no_error_of_the_tracer(model: str, workload: Workload, other: Stack) -> None:
    bare = traced(model, workload)
    forecast, measured = insert_scratch(bare, Stack()), as_measured(insert_scratch(bare, other))
    comparison = compare(side(forecast), side(measured))
    assert comparison.shares is not None
    assert (comparison.shares.allocator, comparison.shares.tracer) == (0, 0)
    assert comparison.shares.workspace == replay(forecast).peak_reserved - replay(measured).peak_reserved
    assert comparison.events is not None
    assert comparison.events.first_tensor is None
    tensors = int((forecast.components != Component.WORKSPACE).sum())
    assert comparison.events.pairs >= tensors


def test_a_forecast_for_a_card_that_is_nearly_full_is_replayed_within_it() -> None:
    workload = Workload.train(batch=16, image=64)
    whole = estimate("torchvision:resnet18", workload)
    room = whole.peak.device_bytes - 1024 * 1024
    answer = estimate("torchvision:resnet18", workload, GpuSpec(name="small", vendor="", memory_bytes=room, usable_bytes=room))
    ours = of_estimate(answer, answer.trace, "forecast")
    comparison = compare(ours, of_trace(as_measured(answer.trace), answer.peak.reserved_bytes, "measured", ours.allocator))
    assert comparison.shares is not None
    assert comparison.shares.total == comparison.shares.allocator + comparison.shares.tracer + comparison.shares.workspace
    assert np.isclose(comparison.shares.replayed_bytes, whole.peak.reserved_bytes)
