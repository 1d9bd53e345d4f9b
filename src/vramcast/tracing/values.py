"""Values beside shapes: what code that looks at values needs to go on.

A meta tensor has no values. Some have known ones all the same: constants (`arange`, `zeros`, anchors), inputs a program
assumes (drawn targets, drawn predictions), and whatever is computed from known values alone. Those are held here beside
their storage and follow every operator, as recipes (`tracing/deferred.py`). Where an operator's result depends on values
that are not known (`.item()`, `nonzero`, a boolean mask, NMS), they are drawn (`tracing/drawing.py`), and one caveat says where.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import torch

from vramcast.tracing.deferred import Blank, Call, Known, is_view, run, write, written_arguments
from vramcast.tracing.drawing import STATEMENT, draw
from vramcast.tracing.plans import Tree, tensors_in
from vramcast.tracing.recorder import Recorder
from vramcast.tracing.remembered import Remembered

LARGEST_FOLLOWED = 2**27
"""Bytes beyond which a result is not computed along: it would cost the laptop what the GPU is spared."""

_FACTORIES = frozenset(
    f"aten::{name}"
    for name in (
        "arange", "zeros", "ones", "full", "eye", "linspace", "logspace", "scalar_tensor", "zeros_like", "ones_like", "full_like", "new_zeros",
        "new_ones", "new_full", "tril_indices", "triu_indices", "randint", "randint_like", "randperm", "rand", "rand_like", "randn_like",
        "hann_window",
    )
)  # fmt: skip
"""Operators whose values depend on no tensor's values."""
_FILLERS = frozenset({"aten::fill_", "aten::zero_"})
"""Operators that write into a tensor whatever was in it."""
_CHECK = "aten::all"
_REGARDLESS = _FACTORIES | _FILLERS | {_CHECK}
"""Operators to be followed even where nothing is known of their arguments."""
_SPOKEN = {"aten::_local_scalar_dense": "item"}
"""What people call an operator, where that is not its name."""

_UNCOMPUTABLE = (RuntimeError, IndexError)
"""What a CPU kernel raises where it lacks a type or drawn indices lie beyond the end; the values are then unknown."""

View = tuple[int, tuple[int, ...], tuple[int, ...], torch.dtype]


class Values:
    """The known values of device tensors."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.is_following = True
        """Whether results are computed along; nothing looks at values in backward or in an optimizer step."""
        self._known: dict[int | None, dict[View, Known]] = {}
        """Block of the storage -> (offset, shape, stride, type) -> its values."""
        self._readers: dict[int | None, list[weakref.ref[Call]]] = {}
        """Block -> the calls, perhaps still to be run, that read it as it is now."""
        self._holding: set[int | None] = set()
        """Blocks of `all(…)` over values that are not known: should one have to be drawn, the check holds."""
        self._remembered = Remembered()
        self._drawn: dict[str, dict[str, None]] = {}
        """Operator -> the modules in which it looked at values that had to be drawn."""

    def assume(self, tensor: torch.Tensor, value: torch.Tensor) -> None:
        """Let a device tensor be known to hold `value` (same shape, on the CPU)."""
        self._keep(tensor, Known(Call.at_hand(value), 0, tensor.stride()))

    def of(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return a tensor's values; None where they are not known. A CPU tensor is its own value."""
        if not tensor.is_meta:
            return tensor
        known = self._find(tensor)
        try:
            if known is None:
                return None
            self._remembered.run(known.call)
            return known.value()
        except _UNCOMPUTABLE:
            return None

    def need(self, tensor: torch.Tensor, operator: str, module: str) -> torch.Tensor:
        """Return a tensor's values, drawn where they are not known."""
        value = self.of(tensor)
        if value is not None:
            return value
        value = draw(tensor) if self._recorder.block_of(tensor) not in self._holding else torch.ones(tensor.shape, dtype=tensor.dtype)
        self.assume(tensor, value)
        if tensor.numel() > 1 or tensor.dtype is torch.bool:  # a single boolean chooses a branch; other single values are mostly printed
            self._drawn.setdefault(_SPOKEN.get(operator, operator.partition("::")[2]), {})[module or "the model itself"] = None
        return value

    def report(self) -> None:
        """Say, in one caveat, where values had to be drawn."""
        if self._drawn:
            places = "; ".join(f"{operator} in {_some(list(modules))}" for operator, modules in self._drawn.items())
            self._recorder.caveat(f"{STATEMENT} {places}.")

    def follows(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Tell whether an operator's results may follow from known values."""
        if not self.is_following:
            return False
        if func._schema.name in _REGARDLESS:
            return True
        return bool(self._known) and any(
            tensor.is_meta and self._recorder.block_of(tensor) in self._known for tensor in tensors_in((args, tuple(kwargs.values())))
        )

    def follow(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Tree) -> None:
        """Note that an operator's results follow from known values, or forget what it overwrites with unknown ones."""
        read = list(tensors_in((args, tuple(kwargs.values()))))
        written = _written(func, args, kwargs)
        made = written or list(tensors_in(outputs))
        if not written and all(not tensor.is_meta or self._find(tensor) is not None for tensor in made):
            return  # answered from values already
        sources = self._sources(func._schema.name, read)
        if None in sources or (not is_view(func) and sum(tensor.nbytes for tensor in made) > LARGEST_FOLLOWED):
            self._forget(written)
            if func._schema.name == _CHECK:
                self._holding.update(map(self._recorder.block_of, made))
            return
        parts = iter(sources)
        placed = _replace(args, parts)
        named = _on_cpu({name: _replace(value, parts) for name, value in kwargs.items()})
        if any(self._has_other_views(tensor) for tensor in written):
            self._write_now(func, placed, named, written)
        else:
            self._defer(Call(func, placed, named), made, written, [] if is_view(func) else read)

    def forget(self) -> None:
        """Let go of all values: what was held by a cycle of Python objects would stay until they are collected."""
        self._known.clear()
        self._readers.clear()
        self._remembered = Remembered()

    def died(self, block: int) -> None:
        """Drop what was known of a storage that is gone."""
        self._known.pop(block, None)
        self._readers.pop(block, None)
        self._holding.discard(block)

    def _defer(self, call: Call, made: list[torch.Tensor], written: list[torch.Tensor], read: list[torch.Tensor]) -> None:
        """Keep a call as the recipe of the tensors it made, and remember what it reads."""
        for tensor in read:
            self._readers.setdefault(self._recorder.block_of(tensor), []).append(weakref.ref(call))
        for tensor in written:
            self._readers.pop(self._recorder.block_of(tensor), None)  # the result is a copy, so readers of what was before lose nothing
        for index, tensor in enumerate(made):
            self._keep(tensor, Known(call, index, tensor.stride()))

    def _write_now(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], written: list[torch.Tensor]) -> None:
        """Write values that several views share, after every call that reads them as they are has run."""
        try:
            for tensor in written:
                for reader in self._readers.pop(self._recorder.block_of(tensor), ()):
                    run(reader())
            self._remembered.written()
            write(func, args, kwargs)
        except _UNCOMPUTABLE:
            self._forget(written)

    def _forget(self, overwritten: list[torch.Tensor]) -> None:
        for tensor in overwritten:
            self._known.pop(self._recorder.block_of(tensor), None)

    def _keep(self, tensor: torch.Tensor, known: Known) -> None:
        block = self._recorder.block_of(tensor)
        if block is not None:
            self._known.setdefault(block, {})[_view(tensor)] = known

    def _find(self, tensor: torch.Tensor) -> Known | None:
        if not tensor.numel():  # there is nothing to know, and no storage to know it by
            return Known(Call.at_hand(Blank.like(tensor).tensor()), 0, tensor.stride())
        views = self._known.get(self._recorder.block_of(tensor))
        return None if views is None else views.get(_view(tensor))

    def _sources(self, operator: str, read: list[torch.Tensor]) -> list[Known | Blank | None]:
        """Return what a call's tensor arguments hold: `Blank` where the operator does not care, None where nobody knows."""
        if operator in _FACTORIES:
            return [Blank.like(tensor) for tensor in read]
        sources: list[Known | Blank | None] = [self._source(tensor) for tensor in read]
        if operator in _FILLERS and sources[0] is None:
            self._forget(read[:1])
            sources[0] = Blank.like(read[0])
        return sources

    def _source(self, tensor: torch.Tensor) -> Known | None:
        return self._find(tensor) if tensor.is_meta else Known(Call.at_hand(tensor), 0, tensor.stride())

    def _has_other_views(self, tensor: torch.Tensor) -> bool:
        return len(self._known.get(self._recorder.block_of(tensor), ())) > 1


def _written(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """Return the tensors an operator writes, in the order of its arguments."""
    places = written_arguments(func)
    return [tensor for place, value in (*enumerate(args), *kwargs.items()) if place in places for tensor in tensors_in(value)] if places else []


def _some(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _view(tensor: torch.Tensor) -> View:
    return (int(tensor.storage_offset()), tuple(tensor.shape), tensor.stride(), tensor.dtype)


def _replace(tree: Any, parts: Iterator[Known | Blank | None]) -> Any:
    """Return the tree with its tensors, in order, replaced."""
    if isinstance(tree, torch.Tensor):
        return next(parts)
    if isinstance(tree, (list, tuple)):
        return type(tree)(_replace(part, parts) for part in tree)
    return tree


def _on_cpu(kwargs: dict[str, Any]) -> dict[str, Any]:
    return kwargs | {"device": torch.device("cpu")} if kwargs.get("device") is not None else kwargs
