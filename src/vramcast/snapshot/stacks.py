"""The stacks of a forecast's events and blocks, as they are written. Equal ones are one object, which keeps the pickle small."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from vramcast.snapshot.frames import EMPTY_CACHE, Frame, Site, write_stack
from vramcast.trace import Trace

Stack = list[dict[str, Any]]


class TraceStacks:
    """Looks up who acted in the columns of one trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        # Plain lists: reading numpy elements one by one is ten times slower.
        self._operations, self._empties_cache = trace.operations.tolist(), trace.empties_cache.tolist()
        self._born, self._owners = trace.allocated_at.tolist(), trace.block_modules.tolist()
        self._of_operation = functools.cache(self._write_operation)
        self._of_site = functools.cache(self._write_site)
        self._frame = functools.cache(_plain)

    def of_event(self, event: int) -> Stack:
        """Return who caused the event."""
        stack = self._of_operation(self._operations[event], None)
        return [self._frame(EMPTY_CACHE), *stack] if self._empties_cache[event] else stack

    def of_block(self, block: int) -> Stack:
        """Return who allocated the block, and for which module."""
        return self._of_operation(self._operations[self._born[block]], self._owners[block])

    def _write_operation(self, operation: int, owner: int | None) -> Stack:
        trace = self._trace
        module = trace.modules[trace.operation_modules[operation]]
        operator, phase = trace.operators[trace.operation_operators[operation]], trace.phases[trace.operation_phases[operation]]
        return self._of_site(Site(operator, module, phase, module if owner is None else trace.modules[owner]))

    def _write_site(self, site: Site) -> Stack:
        return [self._frame(frame) for frame in write_stack(site)]


def _plain(frame: Frame) -> dict[str, Any]:
    return dict(msgspec.to_builtins(frame))
