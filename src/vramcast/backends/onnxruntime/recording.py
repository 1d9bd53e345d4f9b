"""Collects what a session asks for and gives back, as a `Trace`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vramcast.trace import Caveat, Column, Component, Event, Phase, Subject, Trace

NO_STREAM, COMPUTE_STREAM = 0, 1
"""As the arena counts them: memory patterns and initializers belong to no stream, all else to the session's."""

INITIALIZERS = "onnxruntime::initializers"
SEARCH = "onnxruntime::cudnnFindConvolutionForwardAlgorithmEx"
CUBLAS = "onnxruntime::cublasCreate"
BOUND = "onnxruntime::io_binding"
ARENA_INITIALIZERS = "onnxruntime::initializers_in_arena"
RESERVED = frozenset({INITIALIZERS, SEARCH})
"""What is asked of the arena's `Reserve`: the parts that one operation asks for in a row are one request."""
OUTSIDE = frozenset({CUBLAS, BOUND})
"""What the arena does not know of."""


@dataclass(slots=True)
class Recorder:
    """Events in order; `trace` makes them a value."""

    operators: list[str] = field(default_factory=list)
    modules: dict[str, int] = field(default_factory=lambda: {"": 0})
    phases: list[Phase] = field(default_factory=list)
    _operator_of: list[int] = field(default_factory=list)
    _operator_numbers: dict[str, int] = field(default_factory=dict)
    _module_of: list[int] = field(default_factory=list)
    _phase_of: list[int] = field(default_factory=list)
    _kinds: list[int] = field(default_factory=list)
    _blocks: list[int] = field(default_factory=list)
    _operations: list[int] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _components: list[int] = field(default_factory=list)
    _streams: list[int] = field(default_factory=list)
    _block_modules: list[int] = field(default_factory=list)

    def phase(self, name: str, step: int) -> None:
        """Begin a phase."""
        self.phases.append(Phase(name, step))

    def operation(self, operator: str, module: str = "") -> None:
        """Begin an operation, which the following events belong to."""
        if operator not in self._operator_numbers:
            self._operator_numbers[operator] = len(self.operators)
            self.operators.append(operator)
        self._operator_of.append(self._operator_numbers[operator])
        self._module_of.append(self._module(module))
        self._phase_of.append(len(self.phases) - 1)

    def allocate(self, size: int, component: Component, stream: int = COMPUTE_STREAM, module: str | None = None) -> int | None:
        """Ask for bytes, and return the number of the block; None where there are none."""
        if size <= 0:
            return None
        block = len(self._sizes)
        self._sizes.append(size)
        self._components.append(component)
        self._streams.append(stream)
        self._block_modules.append(self._module_of[-1] if module is None else self._module(module))
        self._event(Event.ALLOCATE, block)
        return block

    def free(self, block: int | None) -> None:
        """Give a block back."""
        if block is not None:
            self._event(Event.FREE, block)

    def shrink(self) -> None:
        """Shrink the arena."""
        self._event(Event.EMPTY_CACHE, -1)

    def trace(self, subject: Subject, caveats: tuple[Caveat, ...]) -> Trace:
        """Return what was written down."""
        return Trace(
            subject=subject,
            kinds=_column(self._kinds),
            blocks=_column(self._blocks),
            operations=_column(self._operations),
            sizes=_column(self._sizes),
            components=_column(self._components),
            streams=_column(self._streams),
            block_modules=_column(self._block_modules),
            operation_operators=_column(self._operator_of),
            operation_modules=_column(self._module_of),
            operation_phases=_column(self._phase_of),
            operators=tuple(self.operators),
            modules=tuple(self.modules),
            phases=tuple(self.phases),
            caveats=tuple(dict.fromkeys(caveats)),
        )

    def _event(self, kind: Event, block: int) -> None:
        self._kinds.append(kind)
        self._blocks.append(block)
        self._operations.append(len(self._operator_of) - 1)

    def _module(self, name: str) -> int:
        return self.modules.setdefault(name, len(self.modules))


def _column(numbers: list[int]) -> Column:
    return np.array(numbers, np.int64)
