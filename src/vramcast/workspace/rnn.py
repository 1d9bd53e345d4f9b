"""cuDNN's RNNs: a dense copy of the input, and a workspace.

Source of the copies: aten/src/ATen/native/cudnn/RNN.cpp, read at torch 2.10 to 2.13. Source of the workspace's formula: two sizes
published in pytorch issue 2895 (2017, P100): 17,730,560 bytes for an LSTM and 13,169,920 for a GRU, 4 layers of 320
units on 123 inputs, batch 100, fp32. Both are met exactly by

    bytes = (weights without biases + layers * directions * batch * hidden * values) * element size,    values: LSTM 11, GRU 8

the weights in another order, and the states of one time step. 4 values for a plain RNN continue the series 3 * gates - 1
without a figure to confirm it. Newer versions of cuDNN may differ.
"""

from __future__ import annotations

from vramcast.trace import OperatorCall, TensorSpec
from vramcast.workspace.scratch import Scratch, Site
from vramcast.workspace.tensors import dense_bytes, elements, item_bytes

VALUES_PER_STATE = {0: 4, 1: 4, 2: 11, 3: 8}
"""By `cudnnRNNMode_t`: relu, tanh, LSTM, GRU."""


def forward(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """`_cudnn_rnn`."""
    return *_input_copy(call), Scratch(_workspace_bytes(call), after=3)


def backward(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """`_cudnn_rnn_backward`: one workspace for the data's gradients, another for the weights'."""
    workspace = _workspace_bytes(call)
    return *_input_copy(call), Scratch(workspace, after=2, until=2), Scratch(workspace, after=3, launch=1)


def _input_copy(call: OperatorCall) -> tuple[Scratch, ...]:
    """cuDNN reads (time, batch, units): what is batch-first is turned round."""
    source = call.inputs[0]
    return (Scratch(dense_bytes(source)),) if source is not None and call.attributes.get("batch_first", False) else ()


def _workspace_bytes(call: OperatorCall) -> int:
    present = [spec for spec in call.inputs if spec is not None]
    source = present[0]
    matrices = sum(elements(spec) for spec in present[1:] if len(spec.shape) == 2)
    layers_and_directions, batch = _state(present).shape[:2]
    hidden, kind = call.attributes["hidden_size"], call.attributes["mode"]
    assert isinstance(hidden, int)
    assert isinstance(kind, int)
    states = layers_and_directions * batch * hidden * VALUES_PER_STATE[kind]
    return (matrices + states) * item_bytes(source)


def _state(present: list[TensorSpec]) -> TensorSpec:
    """Return the hidden state: the first three-dimensional tensor after the input, the weights lying between."""
    return next(spec for spec in present[1:] if len(spec.shape) == 3)
