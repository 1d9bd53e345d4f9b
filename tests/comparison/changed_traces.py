"""A small training step, and what a real run could do otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vramcast.trace import Component, Event, Phase, Subject, Trace
from vramcast.units import MIB

PHASES = (Phase("load", -1), Phase("forward", 0), Phase("backward", 0))
OPERATORS = ("aten::_to_copy", "aten::convolution", "aten::relu", "aten::convolution_backward")
MODULES = ("", "conv", "relu")
# phase, operator, module, size, component, freed before which request (None: never)
REQUESTS = (
    (0, 0, 1, 4 * MIB, Component.WEIGHTS, None),
    (1, 1, 1, 24 * MIB, Component.ACTIVATIONS, 6),
    (1, 1, 1, 30 * MIB, Component.WORKSPACE, 3),
    (1, 2, 2, 24 * MIB, Component.ACTIVATIONS, 6),
    (2, 0, 0, 512, Component.TEMPORARIES, 6),
    (2, 3, 1, 4 * MIB, Component.GRADIENTS, None),
    (2, 3, 1, 1 * MIB, Component.TEMPORARIES, 7),
)


def step(requests: Sequence[tuple[int, int, int, int, Component, int | None]] = REQUESTS) -> Trace:
    """Return the trace of requests, each freed before the request named."""
    kinds, blocks, operations = [], [], []
    for index in range(len(requests) + 1):
        for block, request in enumerate(requests[:index]):
            if request[5] == index:
                kinds.append(Event.FREE)
                blocks.append(block)
                operations.append(min(index, len(requests) - 1))
        if index < len(requests):
            kinds.append(Event.ALLOCATE)
            blocks.append(index)
            operations.append(index)
    columns = [np.array(column, np.int64) for column in zip(*(request[:5] for request in requests))]
    return Trace(
        Subject("toy", "test", 10, 10),
        kinds=np.array(kinds, np.int64), blocks=np.array(blocks, np.int64), operations=np.array(operations, np.int64),
        sizes=columns[3], components=columns[4], streams=np.zeros(len(requests), np.int64), block_modules=columns[2],
        operation_operators=columns[1], operation_modules=columns[2], operation_phases=columns[0],
        operators=OPERATORS, modules=MODULES, phases=PHASES,
    )  # fmt: skip


def as_measured(trace: Trace) -> Trace:
    """Return what a card tells of it: no components, and no modules in backward."""
    in_backward = np.array([phase.name == "backward" for phase in trace.phases])[trace.operation_phases]
    return replace(
        trace,
        components=np.zeros(len(trace.sizes), np.int64),
        block_modules=np.zeros(len(trace.sizes), np.int64),
        operation_modules=np.where(in_backward, 0, trace.operation_modules),
    )


def changed(**fields: tuple[int, object]) -> list[tuple[int, int, int, int, Component, int | None]]:
    """Return the requests with one field changed: `changed(size=(2, 5))` gives request 2 the size 5."""
    names = ("phase", "operator", "module", "size", "component", "freed")
    requests = [list(request) for request in REQUESTS]
    for name, (index, value) in fields.items():
        requests[index][names.index(name)] = value
    return [tuple(request) for request in requests]  # type: ignore[misc]
