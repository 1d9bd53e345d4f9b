"""An engine's memory as a `Trace`: weights when it is loaded; for each execution context its plan; then the caller's inputs and outputs.

Each of these is one `cudaMalloc`: the weights at deserialisation, the plan when the context is made (works, "The Runtime Phase"). Their parts are
blocks of the trace, so that an answer can tell which layers they belong to: of the plan, each block carries the name of the tensor that made it so
large.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vramcast.backends.tensorrt.layers import Block, Engine
from vramcast.trace import Caveat, Component, Event, Phase, Subject, Trace

_PHASES = (Phase("load", -1), Phase("forward", 0))
_LOAD, _FORWARD = range(2)


@dataclass(frozen=True, slots=True)
class _Part:
    size: int
    component: Component
    module: str


def record(engine: Engine, subject: Subject, contexts: int, caveats: Iterable[Caveat]) -> Trace:
    """Return the trace of one inference in each of so many contexts."""
    ledger = _Ledger()
    ledger.request("tensorrt::deserialize", _LOAD, [_Part(weight.size, Component.WEIGHTS, weight.module) for weight in engine.weights])
    for _ in range(contexts):
        ledger.request("tensorrt::create_execution_context", _LOAD, [_planned(block) for block in engine.blocks])
    for _ in range(contexts):
        for binding in engine.bindings:
            component = Component.INPUTS if binding.is_input else Component.OUTPUTS
            ledger.request("tensorrt::set_tensor_address", _FORWARD, [_Part(binding.size, component, "")])
    return ledger.trace(subject, tuple(caveats))


def _planned(block: Block) -> _Part:
    component = Component.WORKSPACE if block.largest.is_scratch else Component.ACTIVATIONS
    return _Part(block.size, component, block.largest.module)


@dataclass(slots=True)
class _Ledger:
    """Collects requests; each is an operation."""

    parts: list[_Part] = field(default_factory=list)
    operations: list[int] = field(default_factory=list)
    """Per part."""
    operators: list[str] = field(default_factory=list)
    """Per operation."""
    phases: list[int] = field(default_factory=list)

    def request(self, operator: str, phase: int, parts: Sequence[_Part]) -> None:
        """Write down what is asked for at once; nothing where all of it is empty."""
        held = [part for part in parts if part.size > 0]
        if held:
            self.parts += held
            self.operations += [len(self.operators)] * len(held)
            self.operators.append(operator)
            self.phases.append(phase)

    def trace(self, subject: Subject, caveats: tuple[Caveat, ...]) -> Trace:
        """Return the trace; nothing goes back before the process ends."""
        operators, modules = tuple(dict.fromkeys(self.operators)), tuple(dict.fromkeys(("", *(part.module for part in self.parts))))
        module_of = {name: index for index, name in enumerate(modules)}
        count = len(self.parts)
        return Trace(
            subject=subject,
            kinds=np.full(count, Event.ALLOCATE, np.int64),
            blocks=np.arange(count, dtype=np.int64),
            operations=np.array(self.operations, np.int64),
            sizes=np.array([part.size for part in self.parts], np.int64),
            components=np.array([part.component for part in self.parts], np.int64),
            streams=np.zeros(count, np.int64),
            block_modules=np.array([module_of[part.module] for part in self.parts], np.int64),
            operation_operators=np.array([operators.index(name) for name in self.operators], np.int64),
            operation_modules=np.zeros(len(self.operators), np.int64),
            operation_phases=np.array(self.phases, np.int64),
            operators=operators,
            modules=modules,
            phases=_PHASES,
            caveats=caveats,
        )
