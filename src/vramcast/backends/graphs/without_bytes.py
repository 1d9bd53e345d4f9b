"""Weights that have a shape and a type and no bytes, while torch and onnxscript work on them.

For torch they are fake tensors that say they lie on the CPU. Afterwards onnxscript's optimizer folds small constants and batch normalisation into
weights, which it can only do to arrays; each weight becomes an array of one number, repeated by strides of zero, and so does what is computed from
weights element by element. A repeated number is not the weight's value, and nothing here looks at it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

_SERIAL = itertools.count(1)
_STANDS_FOR = 1.5
"""A number that no rule of an optimizer takes for neutral, as it would 0 or 1; exact in every floating type."""


class Repeated(np.ndarray[Any, Any]):
    """One number at every index. No two of them hold the same bytes, so that no optimizer takes two weights for one."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Compute on the first elements alone where the function goes element by element; on everything otherwise."""
        plain = [value.view(np.ndarray) if isinstance(value, Repeated) else value for value in inputs]
        if method != "__call__" or ufunc.signature is not None or "out" in options:
            return getattr(ufunc, method)(*plain, **options)
        first = ufunc(*(_first(value, self.dtype) for value in plain), **options)
        return repeated(np.ravel(first)[0], np.broadcast_shapes(*map(np.shape, plain)))

    def tobytes(self, order: Any = "C") -> bytes:
        """Return what tells it from every other weight."""
        return f"weight {next(_SERIAL)}".encode()


def _first(value: Any, beside: np.dtype[Any]) -> Any:
    """Return an array of the first element; a number of Python's own takes the type of the array beside it.

    NumPy does that by itself but for bfloat16, where onnxscript 0.7 writes fp32 weights of bf16 convolutions, which no runtime takes.
    """
    if isinstance(value, np.ndarray):
        return value.reshape(-1)[:1]
    return np.asarray(value).astype(beside) if isinstance(value, float) and beside.name == "bfloat16" else value


def repeated(number: Any, shape: tuple[int, ...]) -> Repeated:
    """Return an array of the shape, with the number's type, that takes the memory of one element."""
    return np.broadcast_to(np.asarray(number), shape).view(Repeated)


def make_fake(module: nn.Module, mode: FakeTensorMode) -> None:
    """Put fake tensors in the place of parameters, buffers and other tensors on the meta device; one that several modules share stays one."""
    made: dict[int, Any] = {}
    replaced: list[torch.Tensor] = []  # kept until the end, so that no other tensor gets the identity of one of them

    def stand_in(tensor: torch.Tensor) -> Any:
        if id(tensor) not in made:
            replaced.append(tensor)
            bare = fake(tensor, mode)
            made[id(tensor)] = nn.Parameter(bare, requires_grad=False) if isinstance(tensor, nn.Parameter) else bare
        return made[id(tensor)]

    for part in module.modules():
        for table in (part._parameters, part._buffers, vars(part)):
            table.update({name: stand_in(value) for name, value in table.items() if isinstance(value, torch.Tensor) and value.is_meta})


def fake(tensor: torch.Tensor, mode: FakeTensorMode) -> torch.Tensor:
    """Return a fake tensor that says it lies on the CPU."""
    return FakeTensor(mode, tensor.detach(), torch.device("cpu"))


def give_numbers(values: Iterable[ir.Value]) -> None:
    """Give each initializer that is a fake tensor an array; constants that the program itself holds keep theirs."""
    for value in values:
        tensor = value.const_value
        raw = getattr(tensor, "raw", None)
        if tensor is None or not isinstance(raw, FakeTensor):
            continue
        number = np.asarray(_STANDS_FOR if tensor.dtype.is_floating_point() else 0).astype(tensor.dtype.numpy())
        array = repeated(number, tuple(int(side) for side in raw.shape))
        value.const_value = ir.Tensor(array, dtype=tensor.dtype, name=tensor.name)
