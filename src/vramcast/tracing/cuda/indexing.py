"""Indexing with Python lists: the list becomes a tensor on the CPU that is copied to the device, so its values are known.

torch/csrc/autograd/python_variable_indexing.cpp (torch 2.13), `sequenceToVariable`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from vramcast.tracing.cuda.function import Arguments, Keywords

if TYPE_CHECKING:
    from vramcast.tracing.functions import CudaFunctions


def getitem(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> Any:
    """`x[index]`."""
    return func(args[0], _without_lists(args[1]), **kwargs)


def setitem(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> None:
    """`x[index] = value`."""
    func(args[0], _without_lists(args[1]), *args[2:], **kwargs)


def _without_lists(index: Any) -> Any:
    if isinstance(index, list):
        return _as_tensor(index)
    if isinstance(index, tuple) and any(isinstance(part, list) for part in index):
        return tuple(_as_tensor(part) if isinstance(part, list) else part for part in index)
    return index


def _as_tensor(index: list[Any]) -> Any:
    if index and all(isinstance(part, (int, bool)) for part in index):
        return torch.tensor(index).to("meta")
    return index
