"""The recorder: facts about device storages, in the order they happen. It judges nothing.

A storage is born when an operator returns it and dies when the last reference to it goes: `weakref` callbacks on
`torch.UntypedStorage` fire exactly then, because torch keeps a storage's Python object alive as long as the storage.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch

from vramcast.trace import Caveat, Component, Event, OperatorCall, Phase


@dataclass(frozen=True, slots=True)
class Recording:
    """The facts of one run, before anything is attributed. Lists are parallel, as in `Trace`."""

    kinds: list[int]
    blocks: list[int]
    operations: list[int]
    sizes: list[int]
    streams: list[int]
    claims: dict[int, Component]
    """Block -> what the program said it is for."""
    owners: dict[int, int]
    """Block -> module, where it is not the one that was running at birth."""
    operation_operators: list[int]
    operation_modules: list[int]
    operation_phases: list[int]
    operators: tuple[str, ...]
    modules: tuple[str, ...]
    phases: tuple[Phase, ...]
    calls: dict[int, OperatorCall]
    caveats: tuple[Caveat, ...]


class _Watch(weakref.ref):  # type: ignore[type-arg]  # torch.UntypedStorage; a subclass of ref may carry slots
    """A weak reference to a storage that knows its block and its address."""

    __slots__ = ("address", "block")

    block: int
    address: int


@dataclass(slots=True)
class Recorder:
    """Collects events; `freeze()` gives the `Recording`."""

    kinds: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    operations: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    streams: list[int] = field(default_factory=list)
    claims: dict[int, Component] = field(default_factory=dict)
    owners: dict[int, int] = field(default_factory=dict)
    operation_operators: list[int] = field(default_factory=list)
    operation_modules: list[int] = field(default_factory=list)
    operation_phases: list[int] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=lambda: [Phase("load", -1)])
    calls: dict[int, OperatorCall] = field(default_factory=dict)
    caveats: dict[Caveat, None] = field(default_factory=dict)
    _operators: dict[str, int] = field(default_factory=dict)
    _modules: dict[str, int] = field(default_factory=lambda: {"": 0})
    _birth_operations: list[int] = field(default_factory=list)
    _live: dict[int, _Watch] = field(default_factory=dict)
    stream: int = 0
    """The current CUDA stream: what is allocated belongs to it. 0 is the default one."""
    on_death: Callable[[int], None] | None = None
    """Told each block that dies."""
    _is_open: bool = True

    def module(self, name: str) -> int:
        """Return the index of a module's fully qualified name."""
        return self._modules.setdefault(name, len(self._modules))

    def phase(self, name: str, step: int) -> None:
        """Begin a phase."""
        self.phases.append(Phase(name, step))
        self.operation("aten::none", 0)

    def operation(self, operator: str, module: int) -> None:
        """Begin an operator call; the events that follow are its own."""
        self.operation_operators.append(self._operators.setdefault(operator, len(self._operators)))
        self.operation_modules.append(module)
        self.operation_phases.append(len(self.phases) - 1)

    def describe(self, call: OperatorCall) -> None:
        """Keep the shapes of the current operator call."""
        self.calls[len(self.operation_operators) - 1] = call

    def block_of(self, tensor: torch.Tensor) -> int | None:
        """Return the block of a tensor's storage; None when it is not a known device storage."""
        watch = self._live.get(tensor.untyped_storage()._cdata)
        return None if watch is None else watch.block

    def age(self, tensor: torch.Tensor) -> int | None:
        """Return how many operator calls ago a tensor's storage was born; None for an unknown storage."""
        block = self.block_of(tensor)
        return None if block is None else len(self.operation_operators) - 1 - self._birth_operations[block]

    def allocate(self, tensor: torch.Tensor) -> bool:
        """Record the birth of a tensor's storage; False when it was known already or has no bytes."""
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address in self._live:
            return False
        size = storage.nbytes()
        if size == 0:
            return False
        block = len(self.sizes)
        self.sizes.append(size)
        self.streams.append(self.stream)
        self._event(Event.ALLOCATE, block)
        self._birth_operations.append(self.operations[-1])
        watch = _Watch(storage, self._died)
        watch.block, watch.address = block, address
        self._live[address] = watch
        return True

    def empty_cache(self) -> None:
        """Record `torch.cuda.empty_cache()`."""
        self._event(Event.EMPTY_CACHE, -1)

    def empty_cache_if_crowded(self) -> None:
        """Record that the cache is emptied where more than half of the card is reserved."""
        self._event(Event.EMPTY_CACHE_IF_CROWDED, -1)

    def claim(self, component: Component, tensors: Iterable[torch.Tensor]) -> None:
        """Say what storages are for; the first claim wins."""
        for tensor in tensors:
            block = self.block_of(tensor)
            if block is not None:
                self.claims.setdefault(block, component)

    def own(self, tensor: torch.Tensor, module: int) -> None:
        """Say which module a storage belongs to."""
        block = self.block_of(tensor)
        if block is not None:
            self.owners[block] = module

    def caveat(self, message: str, bound_bytes: int | None = None) -> None:
        """Keep a caveat once."""
        self.caveats[Caveat(message, bound_bytes)] = None

    def freeze(self) -> Recording:
        """Stop listening and return what was recorded. Storages that die later no longer count."""
        self._is_open = False
        self._live.clear()
        return Recording(
            kinds=self.kinds, blocks=self.blocks, operations=self.operations, sizes=self.sizes, streams=self.streams, claims=self.claims,
            owners=self.owners, operation_operators=self.operation_operators, operation_modules=self.operation_modules,
            operation_phases=self.operation_phases,
            operators=tuple(self._operators), modules=tuple(self._modules), phases=tuple(self.phases), calls=self.calls,
            caveats=tuple(self.caveats),
        )  # fmt: skip

    def _event(self, kind: Event, block: int) -> None:
        if not self.operation_operators:
            self.operation("aten::none", 0)
        self.kinds.append(kind)
        self.blocks.append(block)
        self.operations.append(len(self.operation_operators) - 1)

    def _died(self, watch: _Watch) -> None:
        if self._is_open:
            self._live.pop(watch.address, None)
            self._event(Event.FREE, watch.block)
            if self.on_death is not None:
                self.on_death(watch.block)
