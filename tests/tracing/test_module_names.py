"""Whose memory it is: names of modules, also of one activation that stands behind every layer."""

from __future__ import annotations

import torch
from torch import nn

from vramcast.sources.dynamo import dynamo_postponed
from vramcast.trace import Event, Subject, Trace
from vramcast.tracing.attribution import attribute
from vramcast.tracing.tracer import Tracer


class Layer(nn.Module):
    """A matrix and an activation that all layers share, as in ultralytics' `Conv.default_act`."""

    activation = nn.SiLU()

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Linear(8, 8, bias=False)
        self.act = self.activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.matrix(x))


def trace_of(module: nn.Module) -> Trace:
    with dynamo_postponed(), Tracer() as tracer:
        tracer.adopt(module)
        tracer.phase("forward", 0)
        module(torch.empty(4, 8, device="meta"))
        recording = tracer.recording()
    return attribute(recording, Subject("layers", "test", 0, 0))


def test_a_shared_activation_is_named_by_the_layer_that_calls_it() -> None:
    trace = trace_of(nn.Sequential(Layer(), Layer(), nn.Sequential(Layer())).to("meta"))
    births = trace.operations[trace.kinds == Event.ALLOCATE]
    activations = [operation for operation in births.tolist() if trace.operators[trace.operation_operators[operation]] == "aten::silu"]
    assert [trace.modules[trace.operation_modules[operation]] for operation in activations] == ["0.act", "1.act", "2.0.act"]
    assert {"0.matrix", "1.matrix", "2.0.matrix"} <= set(trace.modules)
