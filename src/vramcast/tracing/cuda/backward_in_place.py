"""Undoes what watching does to backward formulas.

While any dispatch mode is active, `areAnyTensorSubclassLike` is true and torch's backward formulas take their
out-of-place variants (torch/csrc/autograd/FunctionsManual.cpp, 2.13): `index_put` for `_index_put_impl_`, `scatter_add`
for `scatter_add_`, `sub`/`mul` for `sub_`/`mul_`. A real run works in place on the fresh zeros; so do these rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vramcast.tracing.cuda import data_dependent
from vramcast.tracing.cuda.kernel import Arguments, Keywords, by_shape
from vramcast.tracing.plans import Tree

if TYPE_CHECKING:
    from vramcast.tracing.dispatch import MetaDispatch

aten = torch.ops.aten

_LAST_REFERENCE = (4, 2)
"""Uses of a tensor and of its storage, as seen from here, when nobody but the engine holds it: the engine's own, and those that the way
through the dispatcher into Python adds. A test compares with a real run, so that another count in another torch is noticed."""

ACCUMULATIONS = (aten.scatter_add.default, aten.scatter.src, aten.scatter.value, aten.index_add.default)
ELEMENTWISE = (aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.div.Scalar, aten.mul.Scalar)

_IN_PLACE_NODES = frozenset({"BinaryCrossEntropyWithLogitsBackward0", "StdBackward0", "StdMeanBackward0"})
"""Nodes whose formula chains in-place elementwise steps in a real run."""
_LONGEST_CHAIN = 5
"""Steps of the longest of these formulas: sigmoid, sub, mul, mul (weight), div."""


def accumulate(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """Write into the first argument where backward has just made it for that."""
    if _is_backward() and _is_fresh(dispatch, args[0]):
        return args[0]
    return by_shape(dispatch, func, args, kwargs)


def index_put(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`index_put`: as `accumulate`, with masks expanded as its in-place form does."""
    if _is_backward() and _is_fresh(dispatch, args[0]):
        return data_dependent.index_put(dispatch, func, args, kwargs)
    return by_shape(dispatch, func, args, kwargs)


def elementwise(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """Write into the first argument within a node that would, where it made that tensor itself."""
    node = torch._C._current_autograd_node()
    if node is not None and node.name() in _IN_PLACE_NODES and _is_fresh(dispatch, args[0], calls=_LONGEST_CHAIN):
        return args[0]
    return by_shape(dispatch, func, args, kwargs)


def accumulate_gradients(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`add` of two gradients of one tensor: the engine adds into the first where it holds the last reference to it.

    torch/csrc/autograd/input_buffer.cpp `accumulate`, `can_accumulate_inplace` (2.13), which a dispatch mode prevents. Without
    it, every join of a residual network would seem to need one more tensor.
    """
    if not kwargs and _is_backward() and not torch.is_grad_enabled() and all(isinstance(argument, torch.Tensor) for argument in args):
        first, second = args
        if first.shape == second.shape and first.dtype == second.dtype and _is_last_reference(first):
            return first
    return elementwise(dispatch, func, args, kwargs)


def _is_last_reference(tensor: torch.Tensor) -> bool:
    count = getattr(tensor, "_use_count", None)
    uses = _LAST_REFERENCE[0] if count is None else count()
    return (uses, torch._C._storage_Use_Count(tensor.untyped_storage()._cdata)) == _LAST_REFERENCE


def _is_backward() -> bool:
    return torch._C._current_autograd_node() is not None


def _is_fresh(dispatch: MetaDispatch, tensor: torch.Tensor, calls: int = 1) -> bool:
    """Tell whether one of the last `calls` operator calls made the tensor."""
    age = dispatch.recorder.age(tensor)
    return age is not None and age <= calls
