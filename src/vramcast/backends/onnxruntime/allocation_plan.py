"""Which values of a graph share memory: the allocation plan of a session that runs its nodes one after the other.

Read in `PlannerImpl` (`onnxruntime/core/framework/allocation_planner.cc`, commit 005c192) and held against the plans of onnxruntime 1.32.0
(`tests/backends/onnxruntime/test_against_real_runs.py`). For each output of each node, in the order in which they run:

1. An output of the graph is allocated by itself (`kAllocateOutput`).
2. An output that aliases an input is that input's memory, whatever it is (`Alias`).
3. Else it takes the memory of an input that the kernel can overwrite, that nobody reads later, and that has the same shape and element size.
4. Else it takes the memory of a value that is no longer needed, of the same place, shape and element size; the one freed last is tried first. Scalars
   do not.
5. Else it is allocated.

Memory is given back after the last node that reads any value in it (`GenerateDeallocationPlan`), in the order of the values' numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vramcast.backends.onnxruntime.kernels import KernelTable
from vramcast.backends.onnxruntime.session_graph import SessionGraph, reads
from vramcast.operator_graph import GraphNode


@dataclass(frozen=True, slots=True)
class AllocationPlan:
    """What is allocated, shared and given back, node by node."""

    order: tuple[int, ...]
    """Indices of the nodes as they run."""
    allocated: Mapping[int, tuple[str, ...]]
    """Node -> values whose memory is allocated when it runs, outputs of the graph among them."""
    released: Mapping[int, tuple[str, ...]]
    """Node -> values whose memory is given back after it."""
    buffers: Mapping[str, str]
    """Value -> the value whose memory it lives in; itself where that is its own."""
    is_output: frozenset[str]
    """Values that are allocated as outputs of the graph, outside of any pattern."""


def plan(graph: SessionGraph, order: tuple[int, ...], kernels: KernelTable, on_host: frozenset[str], *, reuses: bool = True) -> AllocationPlan:
    """Plan a graph; `on_host`: values in host memory; `reuses`: `SessionOptions.enable_mem_reuse`."""
    planner = _Planner(graph, kernels, on_host, reuses)
    for index in order:
        planner.place_outputs(index, graph.nodes[index])
        planner.count_down(graph.nodes[index])
    return AllocationPlan(order, planner.allocated, planner.releases(order), planner.buffers, frozenset(planner.outputs))


class _Planner:
    def __init__(self, graph: SessionGraph, kernels: KernelTable, on_host: frozenset[str], reuses: bool) -> None:
        self.buffers: dict[str, str] = {}
        self.allocated: dict[int, tuple[str, ...]] = {}
        self.outputs: set[str] = set()
        self._graph = graph
        self._kernels = kernels
        self._on_host = on_host
        self._reuses = reuses
        self._free: list[str] = []
        """Values whose memory may be taken, the one freed last at the end."""
        self._uses = self._count()

    def place_outputs(self, index: int, node: GraphNode) -> None:
        """Give each output of a node a buffer of its own, or one that is free for it."""
        new: list[str] = []
        for place, name in enumerate(node.outputs):
            if not name:
                continue
            shared = None if name in self._graph.outputs else self._shared(node, place)
            if shared is None:
                self.buffers[name] = name
                new.append(name)
                if name in self._graph.outputs:
                    self.outputs.add(name)
            else:
                self.buffers[name] = original = self._buffer(shared)
                self._uses[original] += self._uses[name]
        if new:
            self.allocated[index] = tuple(new)

    def count_down(self, node: GraphNode) -> None:
        """Count a node's uses as done; a buffer whose last one it was is free."""
        for name in (*reads(node), *(output for output in node.outputs if output)):
            original = self._buffer(name)
            self._uses[original] -= 1
            if not self._uses[original]:
                self._free.append(original)

    def releases(self, order: tuple[int, ...]) -> dict[int, tuple[str, ...]]:
        """Return, per node in execution order, what is given back after it."""
        last: dict[str, int] = {}
        for index in order:
            for name in reads(self._graph.nodes[index]):
                original = self._buffer(name)
                if original in self._graph.producers and original not in self.outputs:
                    last[original] = index
        found: dict[int, list[str]] = {}
        for name in sorted(last, key=self._graph.value_numbers.__getitem__):
            found.setdefault(last[name], []).append(name)
        return {index: tuple(names) for index, names in found.items()}

    def _count(self) -> dict[str, int]:
        """Count who needs a value: its maker, its readers, and the session for what is not its own to give away (`ComputeReuseCount`)."""
        uses = dict.fromkeys((*self._graph.inputs, *self._graph.initializers), 1)
        for node in self._graph.nodes:
            for name in (*reads(node), *(output for output in node.outputs if output)):
                uses[name] = uses.get(name, 0) + 1
        for name in self._graph.outputs:
            uses[name] = uses.get(name, 0) + 1
        return uses

    def _shared(self, node: GraphNode, place: int) -> str | None:
        alias = self._kernels.alias(node, place)
        if alias is not None:
            return alias
        name = node.outputs[place]
        for source in self._kernels.may_take(node, place):
            if self._uses[self._buffer(source)] == 1 and self._is_same_size(source, name):
                return source
        return self._freed(name)

    def _freed(self, name: str) -> str | None:
        if not self._reuses or not self._graph.tensors[name].shape:
            return None
        for place in reversed(range(len(self._free))):
            held = self._free[place]
            if (held in self._on_host) == (name in self._on_host) and self._is_same_size(held, name):
                return self._free.pop(place)
        return None

    def _is_same_size(self, name: str, other: str) -> bool:
        one, two = self._graph.tensors[name], self._graph.tensors[other]
        return one.shape == two.shape and one.size == two.size

    def _buffer(self, name: str) -> str:
        return self.buffers.get(name, name)
