"""RNNs: on CUDA, `torch.lstm` and its like are one cuDNN call with a reserve space kept for backward.

Sources: aten/src/ATen/native/cudnn/RNN.cpp (`_cudnn_impl`) and aten/src/ATen/cudnn/AutocastRNN.cpp, read at torch 2.10 to
2.13. Weights: `RNNBase.flatten_parameters` moves them into one buffer of the same bytes, so that no second copy exists;
they are left as separate blocks here. Under autocast cuDNN's RNNs run in fp16 whatever type was asked for, and every
call makes its own fp16 copy of the weights, past the weight cache.

With cuDNN switched off, the composite operator runs step by step as on the CPU, without CUDA's fused cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from vramcast.tracing.cuda.function import Arguments, Keywords

if TYPE_CHECKING:
    from vramcast.tracing.functions import CudaFunctions

RELU, TANH, LSTM, GRU = range(4)
"""`cudnnRNNMode_t`."""


@dataclass(frozen=True, slots=True)
class _Call:
    """The arguments of `torch.lstm` and its like; `batch_sizes` is given for packed sequences only."""

    input: torch.Tensor
    hidden: tuple[torch.Tensor, ...]
    weights: list[torch.Tensor]
    has_biases: bool
    num_layers: int
    dropout: float
    train: bool
    bidirectional: bool
    batch_first: bool = False
    batch_sizes: tuple[int, ...] = ()


def lstm(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
    """`torch.lstm`: output, hidden state, cell state."""
    return _run(mode, func, args, kwargs, LSTM)


def gru(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
    """`torch.gru`: output, hidden state."""
    return _run(mode, func, args, kwargs, GRU)


def rnn_tanh(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
    """`torch.rnn_tanh`: output, hidden state."""
    return _run(mode, func, args, kwargs, TANH)


def rnn_relu(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
    """`torch.rnn_relu`: output, hidden state."""
    return _run(mode, func, args, kwargs, RELU)


def _run(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords, kind: int) -> Any:
    call = _call(*args, **kwargs)
    if not (call.input.is_meta and call.input.numel() and torch.backends.cudnn.enabled):
        return func(*args, **kwargs)
    if call.train:
        mode.recorder.caveat(
            "the reserve space of cuDNN's RNNs is no documented size: gates, states and the outputs between layers are counted, as in the few "
            "published figures; dropout between layers may add to it"
        )
    output, hidden, cell = _cudnn_rnn(_autocast(mode, call), kind)
    return (output, hidden, cell) if kind == LSTM else (output, hidden)


def _call(input: torch.Tensor, second: Any, third: Any, *rest: Any) -> _Call:
    if isinstance(rest[0], (list, tuple)):  # packed: data, batch sizes, state, weights
        weights, *flags = rest
        return replace(_Call(input, _states(third), list(weights), *flags), batch_sizes=tuple(second.tolist()))
    return _Call(input, _states(second), list(third), *rest)


def _states(hidden: Any) -> tuple[torch.Tensor, ...]:
    return (hidden,) if isinstance(hidden, torch.Tensor) else tuple(hidden)


def _autocast(mode: CudaFunctions, call: _Call) -> _Call:
    if not mode.autocast.is_enabled():
        return call
    input, *hidden = (mode.autocast.cast(tensor, torch.float16) for tensor in (call.input, *call.hidden))
    weights = [weight.to(torch.float16) if mode.autocast.is_eligible(weight) else weight for weight in call.weights]
    return replace(call, input=input, hidden=tuple(hidden), weights=weights)


def _cudnn_rnn(call: _Call, kind: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    hx = call.hidden[0]
    cx = call.hidden[1] if len(call.hidden) == 2 else None
    hidden_size, projection = hx.size(2), 0
    if cx is not None and cx.size(2) != hx.size(2):
        hidden_size, projection = cx.size(2), hx.size(2)
    per_layer = (4 if call.has_biases else 2) + (projection > 0)
    flat = torch.empty(0, dtype=call.weights[0].dtype, device="meta")
    output, hidden, cell, _, _ = torch.ops.aten._cudnn_rnn(
        call.input, call.weights, per_layer, flat, hx, cx, kind, hidden_size, projection, call.num_layers, call.batch_first, call.dropout,
        call.train, call.bidirectional, call.batch_sizes, None,
    )  # fmt: skip
    return output, hidden, cell
