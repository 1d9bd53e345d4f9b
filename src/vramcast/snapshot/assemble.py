"""A trace put together from actions at addresses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vramcast.snapshot.frames import Site
from vramcast.trace import Caveat, Column, Component, Event, Phase, Subject, Trace


class TraceAssembler:
    """Takes actions in order; `finish` makes the trace. Names are numbered in order of appearance."""

    def __init__(self) -> None:
        self.unmatched = 0
        """Frees that could not be recorded: of addresses where nothing is, or missing before an address was used again."""
        self._live: dict[int, int] = {}
        self._events: list[tuple[int, int, int]] = []
        self._blocks: list[tuple[int, int, int, int]] = []
        self._operations: list[tuple[int, int, int]] = []
        self._operators: dict[str, int] = {}
        self._modules: dict[str, int] = {}
        self._phases: list[Phase] = []

    def allocate(self, address: int, size: int, component: Component, stream: int, site: Site) -> None:
        """A block of `size` requested bytes now lies at `address`."""
        if address in self._live:
            self.unmatched += 1
            self._record(Event.FREE, self._live.pop(address), site)
        self._live[address] = len(self._blocks)
        self._record(Event.ALLOCATE, len(self._blocks), site)
        self._blocks.append((size, component, stream, _number(self._modules, site.owner)))

    def free(self, address: int, site: Site) -> None:
        """The block at `address` is free for reuse."""
        if address in self._live:
            self._record(Event.FREE, self._live.pop(address), site)
        else:
            self.unmatched += 1

    def empty_cache(self, site: Site) -> None:
        """Cached segments go back to the driver."""
        self._record(Event.EMPTY_CACHE, -1, site)

    def finish(self, subject: Subject, caveats: tuple[Caveat, ...]) -> Trace:
        """Return the trace of all actions so far."""
        kinds, blocks, operations = _columns(self._events, 3)
        sizes, components, streams, block_modules = _columns(self._blocks, 4)
        operation_operators, operation_modules, operation_phases = _columns(self._operations, 3)
        return Trace(
            subject, kinds, blocks, operations, sizes, components, streams, block_modules,
            operation_operators, operation_modules, operation_phases,
            operators=tuple(self._operators), modules=tuple(self._modules), phases=tuple(self._phases), caveats=caveats,
        )  # fmt: skip

    def _record(self, kind: Event, block: int, site: Site) -> None:
        self._events.append((kind, block, self._operation(site)))

    def _operation(self, site: Site) -> int:
        """Return the current operation's number, a new one when anything about it changed."""
        if not self._phases or self._phases[-1] != site.phase:
            self._phases.append(site.phase)
        operation = (_number(self._operators, site.operator), _number(self._modules, site.module), len(self._phases) - 1)
        if not self._operations or self._operations[-1] != operation:
            self._operations.append(operation)
        return len(self._operations) - 1


def _number(names: dict[str, int], name: str) -> int:
    return names.setdefault(name, len(names))


def _columns(rows: Sequence[tuple[int, ...]], width: int) -> list[Column]:
    return list(np.array(rows, np.int64).reshape(-1, width).T.copy())
