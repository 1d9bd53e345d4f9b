"""Traces drawn by hypothesis, and how to compare them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from vramcast.trace import Caveat, Component, Event, OperatorCall, Phase, Subject, TensorSpec, Trace

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=12)
MODULES = st.sampled_from(["", "stem", "layer1", "layer1.0", "layer1.0.conv1", "layer2.0.conv1"])
COUNTS = st.integers(0, 2**40)


def tables(names: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(names, min_size=1, max_size=4, unique=True).map(tuple)


@st.composite
def traces(draw: st.DrawFn, largest: int = 64 * 2**20) -> Trace:
    """Any trace whose blocks are numbered in order of birth."""
    steps = draw(st.lists(st.sampled_from(["allocate", "allocate", "free", "empty"]), max_size=40))
    kinds: list[Event] = []
    blocks: list[int] = []
    live: list[int] = []
    born = 0
    for step in steps:
        if step == "allocate":
            kinds.append(Event.ALLOCATE)
            blocks.append(born)
            live.append(born)
            born += 1
        elif step == "free" and live:
            kinds.append(Event.FREE)
            blocks.append(live.pop(draw(st.integers(0, len(live) - 1))))
        elif step == "empty":
            kinds.append(Event.EMPTY_CACHE)
            blocks.append(-1)
    modules, operators = draw(tables(MODULES)), draw(tables(NAMES))
    phases = tuple(draw(st.lists(st.builds(Phase, NAMES, st.integers(-1, 9)), min_size=1, max_size=4, unique=True)))
    count = draw(st.integers(1, 8))
    subject = draw(st.builds(Subject, NAMES, NAMES, COUNTS, COUNTS))
    return Trace(
        subject,
        kinds=np.array(kinds, np.int64),
        blocks=np.array(blocks, np.int64),
        operations=numbers(draw, len(kinds), 0, count - 1, in_order=True),
        sizes=numbers(draw, born, 1, largest),
        components=numbers(draw, born, 0, max(Component)),
        streams=numbers(draw, born, 0, 2),
        block_modules=numbers(draw, born, 0, len(modules) - 1),
        operation_operators=numbers(draw, count, 0, len(operators) - 1),
        operation_modules=numbers(draw, count, 0, len(modules) - 1),
        operation_phases=numbers(draw, count, 0, len(phases) - 1, in_order=True),
        operators=operators,
        modules=modules,
        phases=phases,
        calls=draw(st.dictionaries(st.integers(0, count - 1), CALLS, max_size=2)),
        caveats=tuple(draw(st.lists(st.builds(Caveat, NAMES, st.none() | COUNTS), max_size=2, unique=True))),
    )


def numbers(draw: st.DrawFn, length: int, low: int, high: int, in_order: bool = False) -> np.ndarray:
    values = draw(st.lists(st.integers(low, high), min_size=length, max_size=length))
    return np.array(sorted(values) if in_order else values, np.int64)


SHAPES = st.lists(st.integers(0, 2**40), max_size=4).map(tuple)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | NAMES
ATTRIBUTES = st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=3).map(tuple), max_size=3)
SPECS = st.builds(TensorSpec, SHAPES, SHAPES, NAMES)
CALLS = st.builds(OperatorCall, NAMES, st.lists(st.none() | SPECS, max_size=3).map(tuple), ATTRIBUTES)


COLUMNS = (
    "kinds", "blocks", "operations", "sizes", "components", "streams", "block_modules",
    "operation_operators", "operation_modules", "operation_phases",
)  # fmt: skip
TABLES = ("subject", "operators", "modules", "phases", "calls", "caveats")


def assert_equal(left: Trace, right: Trace) -> None:
    """The same trace, to the last number."""
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
        assert getattr(right, name).dtype == np.int64
    for name in TABLES:
        assert getattr(left, name) == getattr(right, name), name


def story(trace: Trace) -> list[tuple[object, ...]]:
    """What happens, with every index replaced by what it stands for."""
    return [_happening(trace, event) for event in range(len(trace))]


def _happening(trace: Trace, event: int) -> tuple[object, ...]:
    operation, block = trace.operations[event], trace.blocks[event]
    site = (
        trace.operators[trace.operation_operators[operation]],
        trace.modules[trace.operation_modules[operation]],
        trace.phases[trace.operation_phases[operation]],
    )
    if trace.kinds[event] == Event.EMPTY_CACHE:
        return (Event.EMPTY_CACHE, *site)
    owner = trace.modules[trace.block_modules[block]]
    return (Event(trace.kinds[event]), int(block), int(trace.sizes[block]), int(trace.components[block]), int(trace.streams[block]), owner, *site)
