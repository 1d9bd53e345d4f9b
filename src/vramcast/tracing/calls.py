"""Keeps the shapes of the operator calls whose kernels take scratch memory that no schema shows."""

from __future__ import annotations

from typing import Any

import torch

from vramcast.trace import OperatorCall, TensorSpec
from vramcast.tracing.recorder import Recorder

DESCRIBED = frozenset(
    f"aten::{name}"
    for name in (
        "convolution", "convolution_backward", "mm", "addmm", "bmm", "baddbmm", "addmv", "mv", "_addmm_activation",
        "_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_backward",
        "_scaled_dot_product_efficient_attention", "_scaled_dot_product_efficient_attention_backward",
        "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_cudnn_attention_backward",
        "sort", "topk", "argsort", "cumsum", "unique_dim", "_unique2", "nonzero", "embedding_dense_backward", "index_put", "index_put_",
        "_index_put_impl_", "_cudnn_rnn", "_cudnn_rnn_backward",
    )
) | {"torchvision::nms", "torchvision::roi_align"}  # fmt: skip


class CallDescriber:
    """Describes calls to the recorder while they run."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._arguments: dict[torch._ops.OpOverload, tuple[str, ...] | None] = {}

    def before(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep the call's shapes if its operator is one of `DESCRIBED`."""
        try:
            names = self._arguments[func]
        except KeyError:
            schema = func._schema
            names = self._arguments[func] = tuple(argument.name for argument in schema.arguments) if schema.name in DESCRIBED else None
        if names is None:
            return
        inputs: list[TensorSpec | None] = []
        attributes: dict[str, object] = {}
        for name, value in (*zip(names, args), *kwargs.items()):
            if value is None or isinstance(value, torch.Tensor):
                inputs.append(None if value is None else _spec(value))
            elif isinstance(value, (list, tuple)) and any(isinstance(part, torch.Tensor) for part in value):
                inputs.extend(_spec(part) if isinstance(part, torch.Tensor) else None for part in value)
            elif isinstance(value, (bool, int, float, str)):
                attributes[name] = value
            elif isinstance(value, (list, tuple)):
                attributes[name] = tuple(value)
        self._recorder.describe(OperatorCall(func._schema.name.partition("::")[2], tuple(inputs), attributes))


def _spec(tensor: torch.Tensor) -> TensorSpec:
    return TensorSpec(tuple(tensor.shape), tensor.stride(), str(tensor.dtype).removeprefix("torch."))
