"""A number of parameters in place of a model: `params:100M`, by the rules of `rules.py`, without a graph and without torch.

A trace is made of the rules' terms, each one block that lives as long as what it stands for does in the loop `program/training.py` writes:
weights and EMA from the start, gradients from backward until they are cleared, optimizer states from the first step on, and autocast's
copies of the weights during forward.

Known limits: all that depends on the graph is left out, activations before all, and every estimate says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vramcast.errors import WorkloadError
from vramcast.rules import Term, training_terms
from vramcast.trace import Caveat, Component, Event, Phase, Subject, Trace
from vramcast.units import parse_count
from vramcast.workload import Workload

SOURCE = "params"
"""What stands before the colon."""
LARGEST = 10**15
"""Parameters; with 18 bytes for each, every sum stays below 2**63."""
_COMPONENTS = {component.label: component for component in Component}
_STEPS = 2
"""The first step makes the optimizer states, the second runs with them; all others repeat it."""


def is_count(model: object) -> bool:
    """Whether a model is given as a number of parameters."""
    return isinstance(model, str) and model.startswith(f"{SOURCE}:")


def trace_parameters(model: str, workload: Workload) -> Trace:
    """Return what so many parameters (`params:100M`) take under a workload, activations not included.

    Raises:
        WorkloadError: no such number; or `freeze` names parameters, which a number does not have.
    """
    text = model.partition(":")[2]
    parameters = parse_count(text)
    if not 1 <= parameters <= LARGEST:
        raise WorkloadError(f"{model} names {parameters:,} parameters; it must be at least 1 and at most {LARGEST:,}.")
    if workload.freeze:
        raise WorkloadError(
            f"freeze {', '.join(map(repr, workload.freeze))} and model {model} exclude each other: a number has no parameters by name."
        )
    if workload.new_tokens is not None:
        raise WorkloadError(f"new_tokens {workload.new_tokens} and model {model} exclude each other: a number has no keys and values to cache.")
    terms = training_terms(workload.optimizer, workload.precision, ema=workload.ema == "gpu")
    ledger = _Ledger(parameters)
    ledger.phase("load", -1)
    ledger.hold(_of(terms, Component.WEIGHTS))
    if workload.is_training:
        ledger.hold(_of(terms, Component.EMA))
        for step in range(min(workload.steps, _STEPS)):
            _train(ledger, terms, workload, step)
    else:
        ledger.phase("forward", 0)
    notes = [Caveat(f"{term.name}: {term.note}.") for term in terms if term.note and workload.is_training]
    return ledger.trace(Subject(text, SOURCE, parameters, parameters), (_LEFT_OUT, *notes))


_LEFT_OUT = Caveat(
    "A number of parameters is no model: weights, gradients, optimizer states, EMA and autocast's copies follow from the number alone. "
    "Activations, buffers, inputs, kernels' scratch and the optimizer's temporaries are not in it; name a model to have them forecast."
)


def _train(ledger: _Ledger, terms: Sequence[Term], workload: Workload, step: int) -> None:
    gradients, copies = _of(terms, Component.GRADIENTS), [term for term in terms if term.forward_only]
    cleared = gradients if workload.set_to_none else []
    if workload.zero_grad == "start":
        ledger.release(cleared)
    for micro_step in range(min(workload.accumulate, _STEPS)):
        ledger.phase("forward", step)
        ledger.hold(copies)
        if workload.zero_grad == "before-backward" and micro_step == 0:
            ledger.release(cleared)
        ledger.phase("backward", step)
        ledger.release(copies)
        ledger.hold(gradients)
    ledger.phase("optimizer", step)
    ledger.hold(_of(terms, Component.OPTIMIZER_STATES))
    if workload.zero_grad == "after-step":
        ledger.release(cleared)


def _of(terms: Iterable[Term], component: Component) -> list[Term]:
    return [term for term in terms if term.component == component.label]


@dataclass(slots=True)
class _Ledger:
    """Writes down, event by event, which terms are held."""

    parameters: int
    phases: list[Phase] = field(default_factory=list)
    kinds: list[Event] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    """Per block."""
    event_phases: list[int] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    """Name of a term -> its block."""

    def phase(self, name: str, step: int) -> None:
        self.phases.append(Phase(name, step))

    def hold(self, terms: Iterable[Term]) -> None:
        for term in terms:
            if term.bytes_per_parameter and term.name not in self.held:
                self.held[term.name] = len(self.terms)
                self.terms.append(term)
                self._event(Event.ALLOCATE, self.held[term.name])

    def release(self, terms: Iterable[Term]) -> None:
        for term in terms:
            if term.name in self.held:
                self._event(Event.FREE, self.held.pop(term.name))

    def trace(self, subject: Subject, caveats: tuple[Caveat, ...]) -> Trace:
        """Return the trace; each event is an operation of its own, whose operator is the term's name."""
        operators = tuple(dict.fromkeys(term.name for term in self.terms))
        names = [operators.index(self.terms[block].name) for block in self.blocks]
        sizes = [math.ceil(term.bytes_per_parameter * self.parameters) for term in self.terms]
        nothing = np.zeros(len(sizes), np.int64)
        return Trace(
            subject=subject, kinds=np.array(self.kinds, np.int64), blocks=np.array(self.blocks, np.int64),
            operations=np.arange(len(self.kinds)), sizes=np.array(sizes, np.int64),
            components=np.array([_COMPONENTS[term.component] for term in self.terms], np.int64), streams=nothing, block_modules=nothing,
            operation_operators=np.array(names, np.int64), operation_modules=np.zeros(len(names), np.int64),
            operation_phases=np.array(self.event_phases, np.int64), operators=operators, modules=("",), phases=tuple(self.phases), caveats=caveats,
        )  # fmt: skip

    def _event(self, kind: Event, block: int) -> None:
        self.kinds.append(kind)
        self.blocks.append(block)
        self.event_phases.append(len(self.phases) - 1)
