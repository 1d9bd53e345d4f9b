"""A linear layer whose weight is held as packed tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from vramcast.weight_formats import PackedTensor

_PREFIX = "packed_"


class PackedLayer(nn.Module):
    """Holds packed tensors as parameters that are not trained, and the bias as it was.

    A format's own layer says in `forward` which tensors its kernels make. The values are nobody's: such a layer is for forecasts.
    """

    bias: nn.Parameter | None
    compute_dtype: torch.dtype = torch.float32
    """What products are computed in, where kernels take several types."""

    def __init__(self, outputs: int, inputs: int, bias: nn.Parameter | None, packed: Iterable[PackedTensor], like: torch.Tensor) -> None:
        super().__init__()
        self.out_features, self.in_features = outputs, inputs
        for tensor in packed:
            empty = torch.empty(tensor.shape, dtype=getattr(torch, tensor.dtype), device=like.device)
            self.register_parameter(f"{_PREFIX}{tensor.name}", nn.Parameter(empty, requires_grad=False))
        self.register_parameter("bias", bias)

    def rows(self, x: torch.Tensor) -> int:
        """Return how many vectors are multiplied."""
        return x.numel() // self.in_features

    def unpacked(self, dtype: torch.dtype) -> torch.Tensor:
        """Return the whole weight in a type, as an unpacking kernel makes it: `outputs` x `inputs`."""
        return self._anything((self.out_features, self.in_features), dtype)

    def output(self, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return what a kernel that multiplies packed weights makes."""
        return self._anything((*x.shape[:-1], self.out_features), dtype)

    def _apply(self, fn: Any, recurse: bool = True) -> PackedLayer:
        """Convert the bias alone: packed tensors keep their types when a module is converted to half precision."""
        packed = {name: self._parameters.pop(name) for name in list(self._parameters) if name.startswith(_PREFIX)}
        apply: Any = super()._apply
        apply(fn, recurse)
        self._parameters.update(packed)
        return self

    def _anything(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        packed = next(parameter for name, parameter in self.named_parameters() if name.startswith(_PREFIX))
        return torch.empty(shape, dtype=dtype, device=packed.device)
