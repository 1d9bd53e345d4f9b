"""Shapes of cuDNN's RNN operators, and an estimate of the reserve space that forward keeps for backward.

Source of shapes and layouts: aten/src/ATen/native/cudnn/RNN.cpp (`_cudnn_rnn`, `_cudnn_rnn_backward`), read at torch 2.10 to
2.13. Hidden scratch (workspace, copies of the input) is in `vramcast.workspace.rnn`.

Source of the reserve's formula: two sizes published in pytorch issue 2895 (2017, P100): 736,000,000 bytes for an LSTM and
864,000,000 for a GRU, 4 layers of 320 units, 25,000 time steps x sequences, fp32. Both are met exactly by

    bytes = steps * directions * hidden * (layers * values + layers - 1) * element size,    values: LSTM 5, GRU 6

the gates and the cell state of every step, and the outputs handed from layer to layer. 1 value for a plain RNN is the
same reasoning without a figure to confirm it. Newer versions of cuDNN may differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vramcast.tracing.cuda.kernel import Arguments, Keywords
from vramcast.tracing.plans import Tree

if TYPE_CHECKING:
    from vramcast.tracing.dispatch import MetaDispatch

VALUES_PER_STEP = {0: 1, 1: 1, 2: 5, 3: 6}
"""Values kept per unit and time step, by `cudnnRNNMode_t`: relu, tanh, LSTM, GRU."""


@dataclass(frozen=True, slots=True)
class RnnShape:
    """The sizes of one call."""

    kind: int
    hidden_size: int
    projection: int
    layers: int
    directions: int
    steps: int
    """Time steps summed over the sequences of the batch."""
    batch: int

    @property
    def output_size(self) -> int:
        """Units per step and direction in the output."""
        return self.projection or self.hidden_size

    def reserve_elements(self) -> int:
        """Return how many values the reserve space holds."""
        kept = self.layers * self.hidden_size * VALUES_PER_STEP[self.kind] + (self.layers - 1) * self.output_size
        return self.steps * self.directions * kept


def forward(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`_cudnn_rnn`: output, hidden state, cell state, reserve, weight buffer."""
    input, _, _, weight_buf, hx, cx, kind, hidden_size, projection, layers, batch_first, _, train, bidirectional, batch_sizes, _ = args
    is_packed = len(batch_sizes) > 0
    batch = batch_sizes[0] if is_packed else input.size(0 if batch_first else 1)
    steps = input.size(0) if is_packed else input.size(0) * input.size(1)
    shape = RnnShape(kind, hidden_size, projection, layers, 2 if bidirectional else 1, steps, batch)
    width = shape.output_size * shape.directions
    output = input.new_empty((steps, width) if is_packed else (steps // batch, batch, width))
    reserve_bytes = shape.reserve_elements() * input.element_size() if train else 0
    return (
        output.transpose(0, 1) if batch_first and not is_packed else output,
        hx.new_empty((layers * shape.directions, batch, shape.output_size)),
        hx.new_empty((layers * shape.directions, batch, hidden_size) if cx is not None else 0),
        input.new_empty(reserve_bytes, dtype=torch.uint8),
        torch.empty_like(weight_buf),
    )


def backward(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`_cudnn_rnn_backward`: gradients of input, hidden state, cell state and, as views of one flat buffer, of the weights."""
    input, weights, _, _, hx, cx, *_ = args
    batch_first, batch_sizes, output_mask = args[14], args[18], args[21]
    if batch_first and not len(batch_sizes):
        grad_input = torch.empty_like(input.transpose(0, 1), memory_format=torch.contiguous_format).transpose(0, 1)
    else:
        grad_input = torch.empty_like(input, memory_format=torch.contiguous_format)
    grad_weights = _views_of_one(weights) if output_mask[3] else []
    return grad_input, torch.empty_like(hx), None if cx is None else torch.empty_like(cx), grad_weights


def _views_of_one(weights: list[torch.Tensor]) -> list[torch.Tensor]:
    flat = weights[0].new_empty(sum(weight.numel() for weight in weights))
    return [part.view(weight.shape) for part, weight in zip(torch.split(flat, [weight.numel() for weight in weights]), weights)]
