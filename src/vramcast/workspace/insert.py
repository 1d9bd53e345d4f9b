"""Inserts hidden scratch into a finished trace: a pure pass, without torch.

Every described operator call is given to the rule of its operator. The blocks it names are put among the call's own
events: allocated where the rule says, freed before anything that dies later for the program's own reasons.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from vramcast.trace import Caveat, Column, Event, OperatorCall, Trace
from vramcast.workspace.determinism import caveats
from vramcast.workspace.rules import RULES
from vramcast.workspace.scratch import Rule, Scratch, Site
from vramcast.workspace.stack import Stack

_Step = tuple[int, int, int, int]
"""Where within the call (event index), in which order at that place, what happens (`Event`), to which block."""


def insert_scratch(trace: Trace, stack: Stack, rules: Mapping[str, Rule] = RULES) -> Trace:
    """Return the trace with the scratch its described calls take on this stack.

    New blocks come after those of the trace, with `Component.WORKSPACE` and the module of their operation. Their frees
    carry the operation's own index, so that phases stay in order.
    """
    calls = [(operation, trace.calls[operation]) for operation in sorted(trace.calls) if trace.calls[operation].operator in rules]
    if not calls:
        return trace
    operations = np.fromiter((operation for operation, _ in calls), np.int64, len(calls))
    moments, sites = _Moments(trace, operations), _sites(trace, stack, operations)
    insertion = _Insertion(first_block=len(trace.sizes))
    known = _Known(rules)
    for row, (operation, call) in enumerate(calls):
        wanted = known.scratch(call, sites[row])
        if wanted:
            insertion.add(operation, moments.of(row), wanted)
    return insertion.into(trace).with_caveats(*caveats(trace, stack))


def _sites(trace: Trace, stack: Stack, operations: Column) -> list[Site]:
    """Return where each call runs: its thread, and the memory that is free when it begins."""
    signs = np.select([trace.kinds == Event.ALLOCATE, trace.kinds == Event.FREE], [1, -1], 0)
    allocated = np.concatenate([[0], np.cumsum(signs * trace.sizes[trace.blocks])]) if len(trace.sizes) else np.zeros(len(trace) + 1, np.int64)
    free = stack.device_memory - allocated[np.searchsorted(trace.operations, operations, "left")]
    is_backward = [phase.name == "backward" for phase in trace.phases]
    phases = trace.operation_phases[operations]
    return [Site(stack, is_backward[phase], bytes_left) for phase, bytes_left in zip(phases.tolist(), free.tolist())]


class _Known:
    """What the rules said so far: the calls of one layer, and of every step after the first, are alike."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self._wanted: dict[Hashable, tuple[Scratch, ...]] = {}
        self._same: dict[tuple[int, bool], tuple[Scratch, ...]] = {}
        """By the identity of the call, for as long as its trace is at hand: families hand out one object for all calls alike."""

    def scratch(self, call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
        if site.stack.cudnn_benchmark:  # how much memory is free matters then, and differs from call to call
            return self._rules[call.operator](call, site)
        wanted = self._same.get((id(call), site.is_backward))
        if wanted is None:
            wanted = self._same[id(call), site.is_backward] = self._of_equal(call, site)
        return wanted

    def _of_equal(self, call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
        key = (call.operator, call.inputs, *call.attributes.items(), site.is_backward)
        wanted = self._wanted.get(key)
        if wanted is None:
            wanted = self._wanted[key] = self._rules[call.operator](call, site)
        return wanted


class _Moments:
    """The places within each call: before its events, and after each of its allocations."""

    def __init__(self, trace: Trace, operations: Column) -> None:
        births = np.flatnonzero(trace.kinds == Event.ALLOCATE)
        birth_operations = trace.operations[births]
        self._begins = np.searchsorted(trace.operations, operations, "left").tolist()
        self._firsts = np.searchsorted(birth_operations, operations, "left").tolist()
        self._lasts = np.searchsorted(birth_operations, operations, "right").tolist()
        self._births = (births + 1).tolist()

    def of(self, row: int) -> list[int]:
        return [self._begins[row], *self._births[self._firsts[row] : self._lasts[row]]]


@dataclass(slots=True)
class _Insertion:
    """What is to be inserted, in the order of the trace."""

    first_block: int
    places: list[int] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    operations: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    components: list[int] = field(default_factory=list)
    block_operations: list[int] = field(default_factory=list)
    largest_search: int = 0
    """Bytes of the largest block after which the cache is emptied."""
    _met: set[str] = field(default_factory=set)

    def add(self, operation: int, moments: list[int], wanted: tuple[Scratch, ...]) -> None:
        """Add the scratch of one call."""
        steps = [step for scratch in wanted if scratch.size > 0 and self._is_due(scratch) for step in self._steps(operation, moments, scratch)]
        for place, _, kind, block in sorted(steps):
            self.places.append(place)
            self.kinds.append(kind)
            self.blocks.append(block)
            self.operations.append(operation)

    def _is_due(self, scratch: Scratch) -> bool:
        if scratch.once is None:
            return True
        if scratch.once in self._met:
            return False
        self._met.add(scratch.once)
        return True

    def _steps(self, operation: int, moments: list[int], scratch: Scratch) -> Iterator[_Step]:
        last = len(moments) - 1
        block = self.first_block + len(self.sizes)
        self.sizes.append(scratch.size)
        self.components.append(scratch.component)
        self.block_operations.append(operation)
        yield moments[min(scratch.after, last)], 3 * scratch.launch, Event.ALLOCATE, block
        if scratch.stays:
            return
        end = moments[last if scratch.until is None else min(scratch.until, last)]
        order = 3 * (scratch.launch if scratch.through is None else scratch.through)
        yield end, order + 1, Event.FREE, block
        if scratch.empties_cache:
            self.largest_search = max(self.largest_search, scratch.size)
            yield end, order + 2, Event.EMPTY_CACHE, -1

    def into(self, trace: Trace) -> Trace:
        """Return the trace with everything inserted."""
        new = np.asarray(self.block_operations, np.int64)
        count = len(new)
        changed = replace(
            trace,
            kinds=np.insert(trace.kinds, self.places, self.kinds),
            blocks=np.insert(trace.blocks, self.places, self.blocks),
            operations=np.insert(trace.operations, self.places, self.operations),
            sizes=np.concatenate([trace.sizes, np.asarray(self.sizes, np.int64)]),
            components=np.concatenate([trace.components, np.asarray(self.components, np.int64)]),
            streams=np.concatenate([trace.streams, np.zeros(count, np.int64)]),
            block_modules=np.concatenate([trace.block_modules, trace.operation_modules[new]]),
        )
        if not self.largest_search:
            return changed
        return changed.with_caveats(
            Caveat(
                "cudnn.benchmark tries plans in the first step, in free memory that it gives back; the largest workspace tried is an estimate",
                self.largest_search,
            )
        )
