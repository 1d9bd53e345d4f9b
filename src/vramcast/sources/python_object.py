"""A model handed over in Python: an `nn.Module`, or a callable that returns one.

A module is never changed: what is built from it is a copy on the meta device, so that no byte of its tensors is copied.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from vramcast.errors import ModelError, UsageError
from vramcast.sources.interface import Model
from vramcast.sources.python_callable import described, failure
from vramcast.sources.python_model import built_by

if TYPE_CHECKING:
    from torch import Tensor, nn

SOURCE = "python"
"""The source's name in an answer; nothing can be looked up in it by name."""


def model_of(given: nn.Module | Callable[[], nn.Module]) -> Model:
    """Return a module, or what a callable builds, as a `Model` of the task `generic`.

    Raises:
        UsageError: it is neither.
    """
    from torch import nn

    if isinstance(given, nn.Module):
        return Model(name=type(given).__name__, source=SOURCE, task="generic", build=lambda classes: _copy(given, classes))
    if callable(given):
        name = getattr(given, "__qualname__", type(given).__qualname__)
        return built_by(given, name, SOURCE)
    raise UsageError(f"a model is a name, an nn.Module or a callable that returns one, not {described(given)}.")


def _copy(module: nn.Module, classes: int | None) -> nn.Module:
    """Return a copy of a module whose parameters and buffers are on the meta device; tensors held twice are one in the copy, too."""
    if classes is not None:
        raise ModelError(f"{type(module).__name__} is built already, so its number of classes cannot be chosen; hand over a callable that takes it.")
    try:
        return copy.deepcopy(module, {id(tensor): on_meta for tensor, on_meta in _on_meta(module)})
    except Exception as error:
        raise ModelError(f"{type(module).__name__} cannot be copied ({failure(error)}); hand over a callable that builds it.") from error


def _on_meta(module: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the parameters and buffers of a module, each with its like on meta, in the same memory format."""
    import torch

    with torch.no_grad():
        for tensor in chain(module.parameters(), module.buffers()):
            like: Any = torch.empty_like(tensor, device="meta")
            if isinstance(tensor, torch.nn.Parameter):
                like = torch.nn.Parameter(like, requires_grad=tensor.requires_grad)
            vars(like).update(vars(tensor))
            yield tensor, like
