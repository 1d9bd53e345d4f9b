"""Output plans: the shapes an operator returns, worked out once per distinct call.

A training step calls the same operator on the same shapes many times, and each step repeats the last; so does the next trace of
the same model. torch's Python shape functions cost 50 to 500 µs a call; remembering what came out costs a few. Only two kinds of calls
are remembered:

- functional: every output is a new tensor. The plan holds size, stride and type of each.
- in place: the operator writes into arguments and returns them. The plan holds which.

Views, what comes out on the CPU, and everything else run every time.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vramcast.tracing.shortcuts import is_plain_write, shortcut

CAPACITY = 2**15
"""Calls remembered, of 1 KiB or so each; then all are forgotten. A detector's trace has some 3,000 distinct ones."""

_META = torch.device("meta")

OutputPlan = tuple[tuple[int, ...], tuple[int, ...], torch.dtype] | None
Tree = Any
"""A tensor, None, or lists and tuples of them."""


class Kind(enum.Enum):
    """How an operator treats memory, read off its schema."""

    FUNCTIONAL = enum.auto()
    IN_PLACE = enum.auto()
    OTHER = enum.auto()


def kind_of(func: torch._ops.OpOverload) -> Kind:
    """Tell from the schema whether an operator makes new tensors, writes into its arguments, or neither.

    Source: alias annotations of ATen schemas, `torch/_C/_FunctionSchema`; tags of native_functions.yaml, torch 2.13.
    """
    schema = func._schema
    if torch.Tag.inplace_view in func.tags:
        return Kind.OTHER
    if schema.is_mutable:
        returned = [value.alias_info for value in schema.returns]
        if all(alias is not None and alias.is_write for alias in returned):
            return Kind.IN_PLACE
        return Kind.OTHER
    if any(value.alias_info is not None for value in schema.returns):
        return Kind.OTHER
    if torch.Tag.data_dependent_output in func.tags or torch.Tag.dynamic_output_shape in func.tags:
        return Kind.OTHER
    return Kind.FUNCTIONAL


def call_key(func: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    """Return what decides the outputs of a call: the operator, shape, stride, type and device of each tensor, and the type of what is given none."""
    return (func, torch.get_default_dtype(), *map(_key, args), *((name, _key(value)) for name, value in kwargs.items()))


def _key(value: Any) -> Hashable:
    if isinstance(value, torch.Tensor):
        return (value.shape, value.stride(), value.dtype, value.is_meta)
    if isinstance(value, (list, tuple)):
        return tuple(map(_key, value))
    # 1, 1.0 and True are equal as keys but lead to different result types.
    return (type(value), value)


def plan_of(outputs: Tree) -> Tree:
    """Return the plan of a functional call's outputs, in the same tree."""
    if isinstance(outputs, torch.Tensor):
        return (tuple(outputs.shape), outputs.stride(), outputs.dtype)
    if outputs is None:
        return None
    return [plan_of(output) for output in outputs]


def make(plan: Tree) -> Tree:
    """Make the outputs a plan describes: new tensors on the meta device."""
    if plan is None:
        return None
    if isinstance(plan, list):
        return tuple(make(part) for part in plan)
    size, stride, dtype = plan
    return torch.empty_strided(size, stride, dtype=dtype, device="meta")


@dataclass(slots=True)
class Plans:
    """The calls met so far."""

    _kinds: dict[torch._ops.OpOverload, Kind] = field(default_factory=dict)
    _plans: dict[Hashable, Tree] = field(default_factory=dict)
    _checked: set[Hashable] = field(default_factory=set)

    def run(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tree:
        """Return what `func(*args, **kwargs)` returns on meta tensors, running it only when the call is new."""
        kind = self._kinds.get(func)
        if kind is None:
            kind = self._kinds[func] = kind_of(func)
        if kind is Kind.OTHER:
            return func(*args, **kwargs)
        if kind is Kind.IN_PLACE and is_plain_write(func, args):
            return _returned(func, args, kwargs)
        try:
            key = call_key(func, args, kwargs)
            hash(key)
        except TypeError:
            return func(*args, **kwargs)
        if kind is Kind.IN_PLACE:
            return self._in_place(key, func, args, kwargs)
        return self._functional(key, func, args, kwargs)

    def _functional(self, key: Hashable, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tree:
        if key not in self._plans:
            plan = shortcut(func, args, kwargs)
            if plan is None:
                outputs = func(*args, **kwargs)
                if _share_storage(outputs, (args, tuple(kwargs.values()))):
                    self._kinds[func] = Kind.OTHER  # `_unsafe_view` and its like return views without saying so
                elif all(output.is_meta for output in tensors_in(outputs)):
                    self._keep(key, plan_of(outputs))
                return outputs
            self._keep(key, plan)
        made = make(self._plans[key])
        return list(made) if isinstance(made, tuple) and func._schema.returns[0].type.kind() == "ListType" else made

    def _keep(self, key: Hashable, plan: Tree) -> None:
        if len(self._plans) + len(self._checked) >= CAPACITY:
            self._plans.clear()
            self._checked.clear()
        self._plans[key] = plan

    def _in_place(self, key: Hashable, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tree:
        if key not in self._checked:
            outputs = func(*args, **kwargs)
            self._checked.add(key)
            return outputs
        return _returned(func, args, kwargs)


PLANS = Plans()
"""Of every trace of this process: outputs depend on nothing but the call."""


class PlannedShapes(TorchDispatchMode):
    """Lets meta code that nobody records, such as a constructor's forward on zeros, run on plans too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """As in `tracing/dispatch.py`."""
        return False

    def __torch_dispatch__(
        self, func: torch._ops.OpOverload, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Tree:
        """Run one operator."""
        kwargs = kwargs or {}
        return PLANS.run(func, args, kwargs) if is_on_device(args, kwargs) else func(*args, **kwargs)


def is_on_device(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Tell whether a call reads or makes device tensors."""
    return _any_on_device(args) or bool(kwargs and (kwargs.get("device") == _META or _any_on_device(tuple(kwargs.values()))))


def _any_on_device(arguments: tuple[Any, ...] | list[Any]) -> bool:
    for argument in arguments:
        if isinstance(argument, torch.Tensor):
            if argument.is_meta:
                return True
        elif isinstance(argument, (list, tuple)) and _any_on_device(argument):
            return True
    return False


def _returned(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tree:
    """Return what an in-place operator returns: the arguments it writes."""
    returned = tuple(_written(func, index, args, kwargs) for index in range(len(func._schema.returns)))
    return returned[0] if len(returned) == 1 else (returned or None)


def _written(func: torch._ops.OpOverload, index: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the argument that the index-th output is: the one with the same alias set."""
    returned = func._schema.returns[index].alias_info
    for position, argument in enumerate(func._schema.arguments):
        if returned is not None and argument.alias_info is not None and argument.alias_info.before_set == returned.before_set:
            return args[position] if position < len(args) else kwargs[argument.name]
    raise AssertionError(f"{func} returns an alias of no argument")


def tensors_in(tree: Tree) -> Iterator[torch.Tensor]:
    """List the tensors of nested lists and tuples."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, (list, tuple)):
        for part in tree:
            yield from tensors_in(part)


def _share_storage(outputs: Tree, arguments: Tree) -> bool:
    storages = {tensor.untyped_storage()._cdata for tensor in tensors_in(arguments)}
    return any(tensor.untyped_storage()._cdata in storages for tensor in tensors_in(outputs))
