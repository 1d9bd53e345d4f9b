"""Values beside shapes: what code that looks at values needs to go on.

A meta tensor has no values. Some have known ones all the same: constants (`arange`, `zeros`, anchors), inputs a program
assumes (drawn targets, drawn predictions), and whatever is computed from known values alone. Those are held here beside
their storage and follow every operator. Where an operator's result depends on values that are not known (`.item()`,
`nonzero`, a boolean mask, NMS), they are drawn from a stated, seeded distribution, once, and a caveat says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from vramcast.tracing.plans import Tree, tensors_in
from vramcast.tracing.recorder import Recorder

LARGEST_FOLLOWED = 2**25
"""Elements beyond which results are not computed along: they would cost the laptop what the GPU is spared."""
LARGEST_CONSTANT = 2**22
"""The same for constants, which most often are never looked at."""

_FACTORIES = frozenset(
    f"aten::{name}"
    for name in (
        "arange", "zeros", "ones", "full", "eye", "linspace", "logspace", "scalar_tensor", "zeros_like", "ones_like", "full_like", "new_zeros",
        "new_ones", "new_full", "tril_indices", "triu_indices", "randint", "randperm", "rand", "hann_window",
    )
)  # fmt: skip
"""Operators whose values depend on no tensor's values."""

View = tuple[int, tuple[int, ...], tuple[int, ...], torch.dtype]


class Values:
    """The known values of device tensors."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.is_following = True
        """Whether results are computed along; nothing looks at values in backward or in an optimizer step."""
        self._known: dict[int, dict[View, torch.Tensor]] = {}
        """Block of the storage -> (offset, shape, stride, type) -> the values on the CPU."""

    def assume(self, tensor: torch.Tensor, value: torch.Tensor) -> None:
        """Let a device tensor be known to hold `value` (same shape, on the CPU)."""
        block = self._recorder.block_of(tensor)
        if block is not None:
            self._known.setdefault(block, {})[_view(tensor)] = value

    def of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return a tensor's values; None where they are not known. A CPU tensor is its own value."""
        if not tensor.is_meta:
            return tensor
        block = self._recorder.block_of(tensor)
        views = self._known.get(block) if block is not None else None
        return None if views is None else views.get(_view(tensor))

    def need(self, tensor: torch.Tensor, operator: str, module: str) -> torch.Tensor:
        """Return a tensor's values, drawn where they are not known.

        Distribution: floats are standard normal, booleans true with probability one half, integers zero; a single
        element is zero (what `GradScaler` needs to see: no infinity).
        """
        value = self.of(tensor)
        if value is not None:
            return value
        value = _draw(tensor)
        self.assume(tensor, value)
        if tensor.numel() > 1:
            where = f" in module {module!r}" if module else ""
            self._recorder.caveat(f"{operator}{where} depends on values that no forecast can know; they were drawn at random (seeded).")
        return value

    def follows(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Tell whether an operator's results follow from known values."""
        if not self.is_following:
            return False
        if func._schema.name in _FACTORIES:
            return True
        return bool(self._known) and any(
            tensor.is_meta and self._recorder.block_of(tensor) in self._known for tensor in tensors_in((args, tuple(kwargs.values())))
        )

    def follow(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Tree) -> None:
        """Compute an operator's results from known values, or forget what it overwrites with unknown ones."""
        made = list(tensors_in(outputs))
        if func._schema.name in _FACTORIES:
            if sum(tensor.numel() for tensor in made) > LARGEST_CONSTANT:
                return
            self._keep(made, func(*_shapes_only(args), **_on_cpu(kwargs)))
            return
        known = [self.of(tensor) for tensor in tensors_in((args, tuple(kwargs.values())))]
        if any(value is None for value in known) or sum(tensor.numel() for tensor in made) > LARGEST_FOLLOWED:
            if func._schema.is_mutable:
                self._forget(made)
            return
        values = iter(known)
        results = func(*_replace(args, values), **_on_cpu(dict(zip(kwargs, _replace(tuple(kwargs.values()), values)))))
        self._keep(made, results)

    def _keep(self, made: list[torch.Tensor], results: Tree) -> None:
        for tensor, value in zip(made, tensors_in(results)):
            self.assume(tensor, value)

    def _forget(self, overwritten: list[torch.Tensor]) -> None:
        for tensor in overwritten:
            self._known.pop(self._recorder.block_of(tensor) or -1, None)

    def died(self, block: int) -> None:
        """Drop what was known of a storage that is gone."""
        self._known.pop(block, None)


def _view(tensor: torch.Tensor) -> View:
    return (tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype)


def _draw(tensor: torch.Tensor) -> torch.Tensor:
    shape = tuple(tensor.shape)
    if tensor.numel() == 1 or tensor.numel() > LARGEST_FOLLOWED:
        return torch.zeros((), dtype=tensor.dtype).expand(shape)
    if tensor.dtype == torch.bool:
        return torch.rand(shape) < 0.5
    if tensor.is_floating_point():
        return torch.randn(shape).to(tensor.dtype)
    return torch.zeros(shape, dtype=tensor.dtype)


def _replace(tree: Any, values: Iterator[torch.Tensor | None]) -> Any:
    """Return the tree with its tensors, in order, replaced."""
    if isinstance(tree, torch.Tensor):
        return next(values)
    if isinstance(tree, (list, tuple)):
        return type(tree)(_replace(part, values) for part in tree)
    return tree


def _shapes_only(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments with device tensors replaced by empty CPU tensors: `zeros_like` reads no values."""
    return tuple(torch.empty_strided(arg.shape, arg.stride(), dtype=arg.dtype) if isinstance(arg, torch.Tensor) else arg for arg in args)


def _on_cpu(kwargs: dict[str, Any]) -> dict[str, Any]:
    return kwargs | {"device": torch.device("cpu")} if kwargs.get("device") is not None else kwargs
