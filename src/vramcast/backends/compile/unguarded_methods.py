"""Methods of tensors whose Python bindings ask for a device guard, which a build without CUDA does not have for its fake CUDA tensors.

The operators below the bindings ask for none (torch/csrc/autograd/python_variable_indexing.cpp, tools/autograd/templates/
python_variable_methods.cpp, 2.13), so they are called instead. Decompositions that run on fake tensors use these methods.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch

aten = torch.ops.aten


@contextlib.contextmanager
def unguarded_methods() -> Iterator[None]:
    """Let these methods work on fake CUDA tensors while the context is open."""
    with contextlib.ExitStack() as stack:
        for name, method in _METHODS.items():
            stack.enter_context(mock.patch.object(torch.Tensor, name, _for_cuda(method, getattr(torch.Tensor, name))))
        yield


def _for_cuda(method: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    def call(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        return (method if tensor.is_cuda else original)(tensor, *args, **kwargs)

    return call


def _indexed(tensor: torch.Tensor, index: Any) -> torch.Tensor:
    """Index as Python does: numbers, slices, None and the ellipsis make views, tensors gather."""
    parts = index if isinstance(index, tuple) else (index,)
    gathering: list[torch.Tensor | None] = []
    dimension = 0
    for place, part in enumerate(parts):
        if part is Ellipsis:
            dimension = tensor.dim() - sum(map(_consumed, parts[place + 1 :]))
        elif part is None:
            tensor, dimension = aten.unsqueeze(tensor, dimension), dimension + 1
        elif isinstance(part, slice):
            tensor, dimension = aten.slice(tensor, dimension, part.start, part.stop, part.step or 1), dimension + 1
        elif isinstance(part, torch.Tensor):
            gathering += [None] * (dimension - len(gathering)) + [part]
            dimension += _consumed(part)
        else:
            tensor = aten.select(tensor, dimension, part)
    return aten.index(tensor, gathering) if gathering else tensor


def _consumed(part: Any) -> int:
    """Say how many dimensions one part of an index stands for."""
    if isinstance(part, torch.Tensor) and part.dtype is torch.bool:
        return part.dim()
    return int(part is not None)


def _copied(into: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    """Fake tensors hold nothing to copy."""
    return into


def _contiguous(tensor: torch.Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> Any:
    return aten.contiguous(tensor, memory_format=memory_format)


_METHODS: dict[str, Callable[..., Any]] = {
    "__getitem__": _indexed,
    "__invert__": lambda tensor: aten.bitwise_not(tensor),
    "copy_": _copied,
    "contiguous": _contiguous,
    "nonzero": lambda tensor: aten.nonzero(tensor),
}
