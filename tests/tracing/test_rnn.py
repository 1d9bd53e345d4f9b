"""RNNs as cuDNN runs them: shapes, the reserve space, gradients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from vramcast.sources.dynamo import dynamo_postponed
from vramcast.trace import Event, Subject, Trace
from vramcast.tracing.attribution import attribute
from vramcast.tracing.cuda.rnn import GRU, LSTM, TANH
from vramcast.tracing.cuda.rnn_kernels import RnnShape
from vramcast.tracing.tracer import Tracer

pytestmark = pytest.mark.filterwarnings("ignore:PyTorch was compiled without cuDNN")


@pytest.fixture(autouse=True)
def without_dynamo() -> Iterator[None]:
    with dynamo_postponed():
        yield


def trace_of(tracer: Tracer) -> Trace:
    trace = attribute(tracer.recording(), Subject("rnn", "test", 0, 0))
    trace.validate()
    return trace


def sizes_of(trace: Trace, operator: str) -> list[int]:
    births = [event for event in range(len(trace)) if trace.kinds[event] == Event.ALLOCATE]
    return [
        int(trace.sizes[trace.blocks[e]]) for e in births if trace.operators[trace.operation_operators[trace.operations[e]]] == f"aten::{operator}"
    ]


@pytest.mark.parametrize(("kind", "published"), [(LSTM, 736_000_000), (GRU, 864_000_000)])
def test_reserve_meets_the_published_figures(kind: int, published: int) -> None:
    shape = RnnShape(kind, hidden_size=320, projection=0, layers=4, directions=1, steps=25_000, batch=100)
    assert shape.reserve_elements() * 4 == published


@pytest.mark.parametrize(("make", "states"), [(nn.LSTM, 2), (nn.GRU, 1), (nn.RNN, 1)])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_shapes_are_those_of_torch(make: type[nn.RNNBase], states: int, batch_first: bool, bidirectional: bool) -> None:
    options = {"num_layers": 2, "batch_first": batch_first, "bidirectional": bidirectional}
    expected, expected_states = make(5, 8, **options)(torch.zeros(3, 4, 5))
    with Tracer() as tracer:
        module = make(5, 8, **options, device="cuda")
        source = torch.empty(3, 4, 5, device="cuda", requires_grad=True)
        output, found = module(source)
        (output.sum() + (found[0] if states == 2 else found).sum()).backward()
        assert output.shape == expected.shape
        assert output.stride() == expected.stride()
        assert (found[1] if states == 2 else found).shape == (expected_states[1] if states == 2 else expected_states).shape
        assert source.grad is not None
        assert source.grad.shape == source.shape
        assert all(weight.grad is not None and weight.grad.shape == weight.shape for weight in module.parameters())
    trace = trace_of(tracer)
    assert len(sizes_of(trace, "_cudnn_rnn")) == 3 + states - 1
    weight_bytes = sum(weight.numel() * 4 for weight in module.parameters())
    assert weight_bytes in sizes_of(trace, "_cudnn_rnn_backward"), "gradients are views of one flat buffer"


def test_inference_keeps_no_reserve() -> None:
    with Tracer() as tracer, torch.no_grad():
        nn.GRU(32, 64, device="cuda").eval()(torch.empty(10, 5, 32, device="cuda"))
    trace = trace_of(tracer)
    assert sizes_of(trace, "_cudnn_rnn") == [10 * 5 * 64 * 4, 5 * 64 * 4]
    assert trace.caveats == ()


def test_training_says_that_the_reserve_is_an_estimate() -> None:
    with Tracer() as tracer:
        nn.RNN(32, 64, device="cuda")(torch.empty(10, 5, 32, device="cuda"))
    trace = trace_of(tracer)
    steps = 10 * 5
    assert sizes_of(trace, "_cudnn_rnn")[-1] == RnnShape(TANH, 64, 0, 1, 1, steps, 5).reserve_elements() * 4
    assert "reserve space" in trace.caveats[0].message


def test_packed_sequences_count_their_steps() -> None:
    lengths = torch.tensor([10, 8, 6, 3, 2])
    with Tracer() as tracer:
        module = nn.LSTM(32, 64, device="cuda")
        packed = nn.utils.rnn.pack_padded_sequence(torch.empty(10, 5, 32, device="cuda"), lengths)
        output, (hidden, _) = module(packed)
        output.data.sum().backward()
        assert output.data.shape == (29, 64)
        assert hidden.shape == (1, 5, 64)
    assert sizes_of(trace_of(tracer), "_cudnn_rnn")[-1] == 29 * 64 * 5 * 4


def test_projections() -> None:
    with Tracer():
        output, (hidden, cell) = nn.LSTM(32, 64, proj_size=16, device="cuda")(torch.empty(10, 5, 32, device="cuda"))
        assert (output.shape, hidden.shape, cell.shape) == ((10, 5, 16), (1, 5, 16), (1, 5, 64))


def test_autocast_runs_in_fp16_with_fresh_copies_of_the_weights() -> None:
    with Tracer() as tracer:
        module = nn.LSTM(32, 64, device="cuda")
        with torch.autocast("cuda", dtype=torch.bfloat16):
            output, _ = module(torch.empty(10, 5, 32, device="cuda"))
            module(torch.empty(10, 5, 32, device="cuda"))
        assert output.dtype is torch.float16
        output.sum().backward()
        assert module.weight_ih_l0.grad is not None
        assert module.weight_ih_l0.grad.dtype is torch.float32
    casts = sizes_of(trace_of(tracer), "_to_copy")
    assert casts.count(4 * 64 * 32 * 2) == 2
