"""Which module is running, and whose gradient is being computed.

In forward, calls of `nn.Module` are followed. In backward, the autograd node that runs carries the sequence number it
was given in forward, and the module that was running then is looked up by it.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from vramcast.tracing.recorder import Recorder

_LISTED = 4
"""Members of a list whose shapes are told."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The innermost module call that raised."""

    where: str
    """The module in words: `module 'layer1.0' (BasicBlock)`."""
    shapes: tuple[str, ...]
    """What it was called with."""
    error: int
    """`id` of what was raised: holding on to the exception itself would keep its frames' tensors alive."""


@dataclass(slots=True)
class ModuleStack:
    """The modules whose `forward` is running, innermost last."""

    recorder: Recorder
    failure: Failure | None = None
    _index_of: dict[int, int] = field(default_factory=dict)
    _places: dict[int, dict[int, int]] = field(default_factory=dict)
    """Of a module that stands in several places (one activation for all layers): its name's index by that of the module around it."""
    _name_of: dict[int, str] = field(default_factory=dict)
    _index_by_name: dict[str, int] = field(default_factory=dict)
    _type_of: dict[int, str] = field(default_factory=dict)
    _stack: list[int] = field(default_factory=lambda: [0])
    _sequences: list[int] = field(default_factory=list)
    _sequence_modules: list[int] = field(default_factory=list)

    def know(self, module: nn.Module, prefix: str = "") -> None:
        """Learn the names of a module and all beneath it."""
        for name, child in module.named_modules(prefix=prefix, remove_duplicate=False):
            index = self.recorder.module(name)
            self._name_of[index] = name
            self._index_by_name[name] = index
            self._type_of[index] = type(child).__name__
            if self._index_of.setdefault(id(child), index) != index:
                self._places.setdefault(id(child), {})[self.recorder.module(name.rpartition(".")[0])] = index

    def running(self) -> int:
        """Return the index of the innermost running module."""
        return self._stack[-1]

    def running_name(self) -> str:
        """Return the fully qualified name of the innermost running module."""
        return self._name_of.get(self._stack[-1], "")

    def described(self, index: int) -> str:
        """Name a module in words: `module 'layer1.0' (BasicBlock)`, `the model itself (ResNet)`."""
        name, type_name = self._name_of.get(index, ""), self._type_of.get(index, "")
        return (f"module {name!r}" if name else "the model itself") + (f" ({type_name})" if type_name else "")

    def remember(self, sequence: int) -> None:
        """Note that the autograd node with this sequence number was made by the running module."""
        if not self._sequences or sequence > self._sequences[-1]:
            self._sequences.append(sequence)
            self._sequence_modules.append(self._stack[-1])

    def of_sequence(self, sequence: int) -> int:
        """Return the module that made an autograd node; the running one where that is unknown or work is recomputed."""
        if len(self._stack) > 1 or not self._sequences or sequence > self._sequences[-1]:
            return self._stack[-1]
        position = bisect.bisect_left(self._sequences, sequence)
        return self._sequence_modules[position]

    @contextlib.contextmanager
    def beneath(self, paths: Sequence[str]) -> Iterator[Callable[[int], None]]:
        """Let what runs in the context belong to modules beneath the running one, or, in backward, beneath the one that was running in forward.

        The function given back says which of the paths comes next.
        """
        node = torch._C._current_autograd_node()
        if node is None:
            self.remember(torch._C._autograd._get_sequence_nr() - 1)
        around = self._stack[-1] if node is None else self.of_sequence(node._sequence_nr())
        indices = [self._beneath(around, path) for path in paths]

        def enter(place: int) -> None:
            self._stack[-1] = indices[place]

        self._stack.append(around)
        try:
            yield enter
        finally:
            self._stack.pop()

    def _beneath(self, around: int, path: str) -> int:
        """Return the innermost known module on a path; the one around where there is none."""
        base = self._name_of.get(around, "")
        while path:
            index = self._index_by_name.get(f"{base}.{path}" if base else path)
            if index is not None:
                return index
            path = path.rpartition(".")[0]
        return around

    @contextlib.contextmanager
    def follow(self) -> Iterator[None]:
        """Follow every module call while the context is open."""
        original = nn.Module.__call__
        stack, index_of, places = self._stack, self._index_of, self._places

        def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            around = stack[-1]
            index = index_of.get(id(module), around)
            stack.append(places[id(module)].get(around, index) if id(module) in places else index)
            try:
                return original(module, *args, **kwargs)
            except (Exception, SystemExit) as error:
                if self.failure is None or self.failure.error != id(error):
                    self.failure = Failure(self.described(stack[-1]), shapes_of([*args, *kwargs.values()]), id(error))
                raise
            finally:
                stack.pop()

        nn.Module.__call__ = call  # type: ignore[method-assign]
        try:
            yield
        finally:
            nn.Module.__call__ = original  # type: ignore[method-assign]


def shapes_of(values: Iterable[Any]) -> tuple[str, ...]:
    """Return the shapes of tensors, also of those in lists: `("2x3", "[4x5, 4x6]")`; of other values the type, of None nothing."""
    return tuple(_shape(value) for value in values if value is not None)


def _shape(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return "x".join(map(str, value.shape)) or "scalar"
    if isinstance(value, (list, tuple)):
        shown = shapes_of(value[:_LISTED])
        return f"[{', '.join((*shown, '...') if len(value) > _LISTED else shown)}]"
    return type(value).__name__
