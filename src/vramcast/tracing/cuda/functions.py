"""The table of torch functions that are answered as CUDA would answer.

A function rule is one function in a file of this folder and one line here. Functions that autocast merely casts for
are not listed: `autocast.py` has their lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from vramcast.tracing.cuda import attention, devices, dropout, indexing, losses, rnn, softmax
from vramcast.tracing.cuda.function import Function

_VF = torch._C._VariableFunctions
_nn = torch._C._nn

FUNCTIONS: dict[Callable[..., Any], Function] = {
    torch.Tensor.device.__get__: devices.device,
    torch.Tensor.is_cuda.__get__: devices.is_cuda_tensor,  # type: ignore[attr-defined]
    torch.Tensor.is_cpu.__get__: devices.is_cpu_tensor,  # type: ignore[attr-defined]
    torch.Tensor.is_meta.__get__: devices.is_meta_tensor,  # type: ignore[attr-defined]
    torch.Tensor.get_device: devices.get_device,
    torch.Tensor.type: devices.tensor_type,
    torch.Tensor.to: devices.to,
    torch.Tensor.cuda: devices.to_cuda,
    torch.Tensor.cpu: devices.to_cpu,
    torch.Tensor.numpy: devices.numpy,
    torch.Tensor.tolist: devices.tolist,
    torch.Tensor.pin_memory: devices.pinned,
    torch.Tensor.record_stream: devices.nothing,
    torch.tensor: devices.from_data,
    torch.as_tensor: devices.from_data,
    torch.Tensor.__getitem__: indexing.getitem,
    torch.Tensor.__setitem__: indexing.setitem,
    _VF.dropout: dropout.dropout,
    _VF.dropout_: dropout.dropout_in_place,
    _nn.scaled_dot_product_attention: attention.scaled_dot_product_attention,
    _VF.lstm: rnn.lstm,
    _VF.gru: rnn.gru,
    _VF.rnn_tanh: rnn.rnn_tanh,
    _VF.rnn_relu: rnn.rnn_relu,
    torch.softmax: softmax.softmax,
    torch.Tensor.softmax: softmax.softmax,
    torch.log_softmax: softmax.log_softmax,
    torch.Tensor.log_softmax: softmax.log_softmax,
    _nn.cross_entropy_loss: losses.cross_entropy,
}
