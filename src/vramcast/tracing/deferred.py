"""Values computed only when somebody looks.

Most of what follows from known values is never looked at: a loss computes on masks and anchors and only the size of a
selection matters. So a known value is a recipe, an operator call on other known values, that runs on the CPU when its
result is asked for and is then forgotten in favour of the result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from vramcast.tracing.plans import tensors_in

_BOUND_TO_LAYOUT = frozenset({"aten::view", "aten::_unsafe_view", "aten::_reshape_alias", "aten::as_strided", "aten::unfold"})
"""Views that exist for some layouts only."""
_SLICES = frozenset({"aten::select", "aten::slice", "aten::split", "aten::split_with_sizes", "aten::unbind"})
"""Views of a part, along a dimension."""


Number = int | tuple[int, ...]
"""Of a call, or of each of its results."""


@dataclass(frozen=True, slots=True)
class Blank:
    """Stands for a tensor of which only shape, layout and type matter, such as the argument of `zeros_like`."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def like(cls, tensor: torch.Tensor) -> Blank:
        """Describe a tensor."""
        return cls(tuple(tensor.shape), tensor.stride(), tensor.dtype)

    def tensor(self) -> torch.Tensor:
        """Make one of these on the CPU."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype)


class Call:
    """An operator call whose tensor arguments are `Known` or `Blank`, to be run at most once.

    An argument that the operator writes is copied first, and the copy is the result, so that whoever holds the value
    from before still does.
    """

    __slots__ = ("__weakref__", "_arguments", "_func", "number", "results")

    def __init__(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._func = func
        self._arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = (args, kwargs)
        self.number: tuple[int, Number] | None = None
        """What it computes, as `tracing/remembered.py` tells it."""
        self.results: list[torch.Tensor] | None = None

    @classmethod
    def at_hand(cls, value: torch.Tensor) -> Call:
        """Wrap a value that needs no computing."""
        call = cls.__new__(cls)
        call.number = None
        call.answer([value])
        return call

    def answer(self, results: list[torch.Tensor]) -> None:
        """Take results that need no computing; what they would be computed from is forgotten."""
        self._arguments, self.results = None, results

    def reads(self) -> Iterator[Call]:
        """List the calls whose results this one reads; none once it has run."""
        if self._arguments is not None:
            args, kwargs = self._arguments
            yield from (known.call for known in _known_in((*args, *kwargs.values())))

    def needs(self) -> Iterator[Call]:
        """List the calls that have to run before this one."""
        yield from (call for call in self.reads() if call.results is None)

    def is_view_at_hand(self) -> bool:
        """Tell whether this call only has to make views of what is there."""
        return self._arguments is not None and is_view(self._func) and not any(True for _ in self.needs())

    def is_slice(self) -> bool:
        """Tell whether this call makes views along the first dimension: of one image of a batch, say."""
        return self._arguments is not None and self._func._schema.name in _SLICES and _dimension(self._func, *self._arguments) == 0

    def description(self, number_of: Callable[[Call], Number]) -> Hashable:
        """Say what is called on what, by the numbers of what it reads: the same for calls whose results are the same."""
        assert self._arguments is not None
        args, kwargs = self._arguments
        return (self._func, _described(args, number_of), tuple((name, _described(value, number_of)) for name, value in kwargs.items()))

    def run(self) -> None:
        """Compute the results; every call this one needs has run."""
        assert self._arguments is not None
        args, kwargs = self._arguments
        written = written_arguments(self._func)
        read = _reader(self._func)
        named = {name: _tensors(value, _copy if name in written else read) for name, value in kwargs.items()}
        placed = tuple(_tensors(value, _copy if place in written else read) for place, value in enumerate(args))
        with _reproducibly(self._func):
            outputs = self._func(*placed, **named)
        if written:
            outputs = [value for place, value in (*enumerate(placed), *named.items()) if place in written]
        self.answer(list(tensors_in(outputs)))


class Known:
    """What a device tensor holds: one result of a call, and the layout it has on the device."""

    __slots__ = ("_index", "_stride", "call")

    def __init__(self, call: Call, index: int, stride: tuple[int, ...]) -> None:
        self.call = call
        self._index = index
        self._stride = stride

    def description(self, number_of: Callable[[Call], Number]) -> Hashable:
        """Say what it is: which content, or which result of which call, and in which layout."""
        number = number_of(self.call)
        return (number[self._index], self._stride) if isinstance(number, tuple) else (number, self._index, self._stride)

    def value(self) -> torch.Tensor:
        """Return the values, computing what is not at hand. Raises whatever the operators raise."""
        run(self.call)
        assert self.call.results is not None
        return self.call.results[self._index]

    def viewed(self) -> torch.Tensor:
        """Return the values to make a view of: laid out, unless they are one image's repeated for a batch, which is to stay so."""
        value = self.value()
        return value if _is_expanded(value) else self.laid_out()

    def written(self) -> torch.Tensor:
        """Return the values to write through a view of them. Raises `RuntimeError` where several images share them."""
        value = self.value()
        if _is_expanded(value):
            raise RuntimeError("values that images share cannot be written in place")
        return self.laid_out()

    def laid_out(self) -> torch.Tensor:
        """Return the values in the layout of the device tensor, so that views of them and writes through views work alike."""
        value = self.value()
        if any(have != want for size, have, want in zip(value.shape, value.stride(), self._stride) if size > 1):
            value = torch.empty_strided(value.shape, self._stride, dtype=value.dtype).copy_(value)
            assert self.call.results is not None
            self.call.results[self._index] = value
        return value


def run(call: Call | None) -> None:
    """Run a call after all it needs, if it has not run; without recursion, as chains can be long."""
    waiting = [] if call is None else [call]
    while waiting:
        if waiting[-1].results is not None:
            waiting.pop()
            continue
        needed = list(waiting[-1].needs())
        if needed:
            waiting.extend(needed)
        else:
            waiting.pop().run()


def write(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Run an operator that writes into known values, in place."""
    written = written_arguments(func)
    placed = [_tensors(value, Known.written if place in written else Known.value) for place, value in enumerate(args)]
    named = {name: _tensors(value, Known.written if name in written else Known.value) for name, value in kwargs.items()}
    with _reproducibly(func):
        func(*placed, **named)


def written_arguments(func: torch._ops.OpOverload) -> frozenset[int | str]:
    """Return position and name of each argument that an operator writes, by the alias annotations of its schema."""
    if not func._schema.is_mutable:
        return frozenset()
    found = [(place, item.name) for place, item in enumerate(func._schema.arguments) if item.alias_info is not None and item.alias_info.is_write]
    return frozenset(key for pair in found for key in pair)


def is_view(func: torch._ops.OpOverload) -> bool:
    """Tell whether an operator returns views of its arguments, by its schema."""
    return not func._schema.is_mutable and any(item.alias_info is not None for item in func._schema.returns)


def _dimension(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int | None:
    """Return the argument `dim` of a call, by its schema; None where the operator has none."""
    for place, item in enumerate(func._schema.arguments):
        if item.name == "dim":
            found = args[place] if place < len(args) else kwargs.get("dim", item.default_value)
            return found if isinstance(found, int) else None
    return None


def _reproducibly(func: torch._ops.OpOverload) -> AbstractContextManager[None]:
    """Let an operator that draws draw the same whenever it is called alike: in every image of a batch and in every step."""
    return _seeded() if torch.Tag.nondeterministic_seeded in func.tags else contextlib.nullcontext()


def _reader(func: torch._ops.OpOverload) -> Callable[[Known], torch.Tensor]:
    if func._schema.name in _BOUND_TO_LAYOUT:
        return Known.laid_out
    return Known.viewed if is_view(func) else Known.value


def _is_expanded(value: torch.Tensor) -> bool:
    return any(stride == 0 and size > 1 for size, stride in zip(value.shape, value.stride()))


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch.initial_seed())
        yield


def _copy(known: Known) -> torch.Tensor:
    value = known.value()
    return value.clone(memory_format=torch.preserve_format)


def _described(tree: Any, number_of: Callable[[Call], Number]) -> Hashable:
    """Describe an argument; 1, 1.0 and True, which are equal, are told apart."""
    if isinstance(tree, Known):
        return tree.description(number_of)
    if isinstance(tree, (list, tuple)):
        return tuple(_described(part, number_of) for part in tree)
    return (type(tree), tree)


def _known_in(tree: Any) -> Iterator[Known]:
    if isinstance(tree, Known):
        yield tree
    elif isinstance(tree, (list, tuple)):
        for part in tree:
            yield from _known_in(part)


def _tensors(tree: Any, read: Callable[[Known], torch.Tensor]) -> Any:
    """Return an argument with tensors in place of what stands for them."""
    if isinstance(tree, Known):
        return read(tree)
    if isinstance(tree, Blank):
        return tree.tensor()
    if isinstance(tree, (list, tuple)):
        return type(tree)(_tensors(part, read) for part in tree)
    return tree
