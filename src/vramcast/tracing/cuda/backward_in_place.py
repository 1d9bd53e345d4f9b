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


def _is_backward() -> bool:
    return torch._C._current_autograd_node() is not None


def _is_fresh(dispatch: MetaDispatch, tensor: torch.Tensor, calls: int = 1) -> bool:
    """Tell whether one of the last `calls` operator calls made the tensor."""
    age = dispatch.recorder.age(tensor)
    return age is not None and age <= calls
