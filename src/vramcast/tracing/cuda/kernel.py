"""What a CUDA rule below autograd is: a function of the dispatcher and the call, returning the operator's outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from vramcast.tracing.plans import Tree

if TYPE_CHECKING:
    from vramcast.tracing.dispatch import MetaDispatch

Arguments = tuple[Any, ...]
Keywords = dict[str, Any]
Kernel = Callable[["MetaDispatch", torch._ops.OpOverload, Arguments, Keywords], Tree]


def by_shape(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """Run the operator's shape function: what happens where no rule applies."""
    return dispatch.plans.run(func, args, kwargs)
