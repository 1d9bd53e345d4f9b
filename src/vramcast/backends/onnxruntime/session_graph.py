"""The graph as a session of ONNX Runtime holds it, and how its nodes are rewritten.

A node has an index, by which ONNX Runtime breaks ties when it orders nodes and numbers values. Indices are given in the order in which nodes are
added: first those of the model, then those that a fusion puts in their place. So nodes are kept by index here, not in an order of execution.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vramcast.operator_graph import GraphNode, GraphTensor, OperatorGraph


@dataclass(frozen=True, eq=False)
class SessionGraph:
    """Nodes by index, and tensors of fixed shapes."""

    nodes: tuple[GraphNode, ...]
    tensors: Mapping[str, GraphTensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    initializers: frozenset[str]
    values: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Values of small integer constants."""
    opset: int = 0

    @functools.cached_property
    def producers(self) -> Mapping[str, int]:
        """Tensor -> index of the node that makes it."""
        return {name: index for index, node in enumerate(self.nodes) for name in node.outputs if name}

    @functools.cached_property
    def consumers(self) -> Mapping[str, tuple[int, ...]]:
        """Tensor -> indices of the nodes that read it, as often as they do."""
        found: dict[str, list[int]] = {}
        for index, node in enumerate(self.nodes):
            for name in reads(node):
                found.setdefault(name, []).append(index)
        return {name: tuple(indices) for name, indices in found.items()}

    @functools.cached_property
    def value_numbers(self) -> Mapping[str, int]:
        """Value -> its number: inputs first, then what nodes read and make, by node (`CreateGraphInfo`,
        `core/framework/session_state.cc`); assumed, and borne out by the sizes of memory patterns."""
        names = list(self.inputs)
        for node in self.nodes:
            names += [name for name in (*node.inputs, *implicit_reads(node), *node.outputs) if name]
        return {name: number for number, name in enumerate(dict.fromkeys((*names, *self.outputs)))}


def session_graph(graph: OperatorGraph) -> SessionGraph:
    """Return the graph as it is before anything is rewritten."""
    return SessionGraph(graph.nodes, graph.tensors, graph.inputs, graph.outputs, frozenset(graph.initializers), graph.values, graph.opset)


def reads(node: GraphNode) -> tuple[str, ...]:
    """Return the tensors a node reads, those of its subgraphs included."""
    return (*(name for name in node.inputs if name), *implicit_reads(node))


def implicit_reads(node: GraphNode) -> tuple[str, ...]:
    """Return the tensors that only the subgraphs of a node read from around it."""
    found: list[str] = []
    for attribute in node.attributes.values():
        if isinstance(attribute, OperatorGraph):
            inner = session_graph(attribute)
            own = set(inner.inputs) | inner.initializers | set(inner.producers)
            found += [name for name in (*inner.consumers, *inner.outputs) if name not in own]
    return tuple(dict.fromkeys(found))


class GraphEditor:
    """A graph while it is rewritten."""

    def __init__(self, graph: SessionGraph) -> None:
        self.nodes = dict(enumerate(graph.nodes))
        self.tensors = dict(graph.tensors)
        self.inputs = graph.inputs
        self.outputs = graph.outputs
        self.initializers = set(graph.initializers)
        self.values = dict(graph.values)
        self.opset = graph.opset
        self._next = len(graph.nodes)
        self._producers = dict(graph.producers)
        self._consumers: dict[str, list[int]] = {name: list(indices) for name, indices in graph.consumers.items()}

    def producer(self, name: str) -> int | None:
        """Return the index of the node that makes a tensor; None: an input or an initializer."""
        return self._producers.get(name)

    def consumers(self, name: str) -> list[int]:
        """Return the indices of the nodes that read a tensor, as often as they do."""
        return self._consumers.get(name, [])

    def only_consumer(self, name: str) -> int | None:
        """Return the one node that reads a tensor once and alone; None where others do, or the caller of the session."""
        readers = self.consumers(name)
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is known before the first run."""
        return name in self.initializers

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self.tensors[name].shape

    def add(self, node: GraphNode) -> int:
        """Add a node at the end, and return its index."""
        index, self._next = self._next, self._next + 1
        self._put(index, node)
        return index

    def remove(self, *indices: int) -> None:
        """Remove nodes."""
        for index in indices:
            node = self.nodes.pop(index)
            for name in reads(node):
                self._consumers[name].remove(index)
            for name in node.outputs:
                if self._producers.get(name) == index:
                    del self._producers[name]

    def fuse(self, indices: Iterable[int], node: GraphNode) -> int:
        """Put one node in the place of several."""
        self.remove(*dict.fromkeys(indices))
        return self.add(node)

    def change(self, index: int, node: GraphNode) -> None:
        """Change a node in its place."""
        self.remove(index)
        self._put(index, node)

    def bypass(self, index: int, source: str) -> bool:
        """Remove a node whose output is another tensor; False where the session's caller wants the output by its name."""
        target = self.nodes[index].outputs[0]
        if target in self.outputs:
            return False
        self.remove(index)
        for reader in dict.fromkeys(self.consumers(target)):
            node = self.nodes[reader]
            self.change(reader, _with_inputs(node, [source if name == target else name for name in node.inputs]))
        return True

    def finished(self) -> SessionGraph:
        """Return the graph with what is still used, nodes by index."""
        nodes = tuple(self.nodes[index] for index in sorted(self.nodes))
        used = {name for node in nodes for name in reads(node)} | set(self.outputs)
        constants = frozenset(name for name in self.initializers if name in used)
        return SessionGraph(nodes, self.tensors, self.inputs, self.outputs, constants, self.values, self.opset)

    def _put(self, index: int, node: GraphNode) -> None:
        self.nodes[index] = node
        for name in reads(node):
            self._consumers.setdefault(name, []).append(index)
        for name in node.outputs:
            if name:
                self._producers[name] = index


def _with_inputs(node: GraphNode, inputs: list[str]) -> GraphNode:
    return GraphNode(node.name, node.operator, tuple(inputs), node.outputs, node.domain, node.attributes, node.module)
