"""The `Trace`: which bytes are asked for and given back, in which order, by which operator of which module.

Columns, not objects: a language model's 100,000 events stay small and replay fast. Five tables:

    events      kind, block, operation           what happens, in order
    blocks      size, component, stream, module  what is asked for (requested bytes, not rounded)
    operations  operator, module, phase          who asks: one row per operator call that touched memory
    phases      name, step                       when: load, forward, backward, optimizer, validation …
    calls       operation -> OperatorCall        shapes of the calls whose hidden scratch depends on them

`Trace` knows neither the tracer that made it nor the allocator that replays it.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.int64]


class Event(enum.IntEnum):
    """What happens to the allocator."""

    ALLOCATE = 0
    FREE = 1
    EMPTY_CACHE = 2
    """`torch.cuda.empty_cache()`: unsplit cached segments go back to the driver. `block` is -1."""
    EMPTY_CACHE_IF_CROWDED = 3
    """The same, where the program finds more than half of the card reserved. `block` is -1."""


class Component(enum.IntEnum):
    """What a block is for. Where `torch.profiler` has a memory category, it is the same one."""

    OTHER = 0
    WEIGHTS = 1
    BUFFERS = 2
    GRADIENTS = 3
    OPTIMIZER_STATES = 4
    EMA = 5
    CAST_COPIES = 6
    INPUTS = 7
    STAGING = 8
    ACTIVATIONS = 9
    OUTPUTS = 10
    TEMPORARIES = 11
    WORKSPACE = 12
    KV_CACHE = 13
    COMMUNICATION = 14

    @property
    def label(self) -> str:
        """The name in JSON and in tables: `optimizer_states`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run."""

    name: str
    """`load`, `forward`, `backward`, `optimizer`, `ema`, `validation`, `checkpoint` …"""
    step: int
    """Training or inference step, from 0; -1 outside any step."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape, layout and type of a tensor that an operator call read."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    """torch's name without the prefix: `float16`, `bfloat16`, `int64`."""


@dataclass(frozen=True, slots=True)
class OperatorCall:
    """One operator call, in enough detail for a rule to tell what scratch its kernel takes."""

    operator: str
    """The ATen name without namespace: `convolution`, `convolution_backward`, `mm` …"""
    inputs: tuple[TensorSpec | None, ...]
    """Tensor arguments in the order of the schema; None where an optional one is absent."""
    attributes: Mapping[str, object] = field(default_factory=dict)
    """The other arguments by their name in the schema: ints, bools, floats, tuples of them."""


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something that was not modelled, or only assumed."""

    message: str
    bound_bytes: int | None = None
    """How much it may add, where that is known."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What was traced."""

    name: str
    source: str
    parameters: int
    trainable_parameters: int


@dataclass(frozen=True, eq=False)
class Trace:
    """See the module's docstring. Arrays are read-only by convention; every change makes a new `Trace`."""

    subject: Subject
    kinds: Column
    """Per event: an `Event`."""
    blocks: Column
    """Per event: index of the block, -1 where the cache is emptied."""
    operations: Column
    """Per event: index of the operation that caused it."""
    sizes: Column
    """Per block: requested bytes, > 0."""
    components: Column
    """Per block: a `Component`."""
    streams: Column
    """Per block: CUDA stream, 0 is the default one. Blocks of one stream are never reused on another."""
    block_modules: Column
    """Per block: index into `modules` of the module it belongs to."""
    operation_operators: Column
    """Per operation: index into `operators`."""
    operation_modules: Column
    """Per operation: index into `modules` of the module that was running (in backward: whose gradient was computed)."""
    operation_phases: Column
    """Per operation: index into `phases`; does not decrease."""
    operators: tuple[str, ...]
    modules: tuple[str, ...]
    """Fully qualified names; `""` is the model itself."""
    phases: tuple[Phase, ...]
    calls: Mapping[int, OperatorCall] = field(default_factory=dict)
    """Operation -> its call, for the operators that scratch rules ask about."""
    caveats: tuple[Caveat, ...] = ()

    def __len__(self) -> int:
        return len(self.kinds)

    @functools.cached_property
    def allocated_at(self) -> Column:
        """Per block: the event that allocates it."""
        return self._events_of(Event.ALLOCATE, missing=-1)

    @functools.cached_property
    def freed_at(self) -> Column:
        """Per block: the event that frees it; `len(trace)` when it lives to the end."""
        return self._events_of(Event.FREE, missing=len(self))

    def _events_of(self, kind: Event, missing: int) -> Column:
        found = np.full(len(self.sizes), missing, np.int64)
        events = np.flatnonzero(self.kinds == kind)
        found[self.blocks[events]] = events
        return found

    def live_blocks(self, event: int) -> Column:
        """Return the blocks alive just after `event`, as indices in birth order."""
        return np.flatnonzero((self.allocated_at <= event) & (self.freed_at > event))

    @functools.cached_property
    def empties_cache(self) -> NDArray[np.bool_]:
        """Per event: the cache is emptied, or may be."""
        return np.asarray(self.kinds >= Event.EMPTY_CACHE)

    @functools.cached_property
    def may_be_refused(self) -> NDArray[np.bool_]:
        """Per block: where memory is short, the program goes on without it.

        The workspace of a convolution: refused one, torch tries the engine that comes next in cuDNN's order
        (`try_configs`, aten/src/ATen/native/cudnn/Conv_v8.cpp, torch 2.10 to 2.13).
        """
        convolutions = [index for index, name in enumerate(self.operators) if name.startswith("aten::convolution")]
        operators = self.operation_operators[self.operations[self.allocated_at]]
        return np.asarray((self.components == Component.WORKSPACE) & np.isin(operators, convolutions))

    def event_phases(self) -> Column:
        """Return, per event, the index of its phase."""
        return self.operation_phases[self.operations]

    def with_caveats(self, *caveats: Caveat) -> Trace:
        """Return the same trace with further caveats, doubles dropped."""
        return replace(self, caveats=tuple(dict.fromkeys((*self.caveats, *caveats))))

    def validate(self) -> None:
        """Check that the tables agree: each block is born once and freed at most once, later.

        Raises:
            ValueError: they do not; the message names the first offender.
        """
        allocations = self.blocks[self.kinds == Event.ALLOCATE]
        frees = self.blocks[self.kinds == Event.FREE]
        _require(len(allocations) == len(self.sizes), "the blocks allocated are not the blocks listed")
        _require(len(np.unique(allocations)) == len(allocations), "a block is allocated twice")
        _require(len(np.unique(frees)) == len(frees), "a block is freed twice")
        _require(bool(np.all(self.allocated_at < self.freed_at)), "a block is freed before it is allocated")
        _require(bool(np.all(self.sizes > 0)), "a block has no bytes")
        _require(bool(np.all(np.diff(self.operation_phases) >= 0)), "phases are out of order")
        for column, table in (
            (self.operations, self.operation_operators),
            (self.operation_operators, self.operators),
            (self.operation_modules, self.modules),
            (self.operation_phases, self.phases),
            (self.block_modules, self.modules),
        ):
            _require(not len(column) or (int(column.min()) >= 0 and int(column.max()) < len(table)), "an index points nowhere")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(f"inconsistent trace: {problem}")
