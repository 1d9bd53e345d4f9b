"""Graphs of further batches, told from two that were exported: where a question asks for many, an export takes seconds and this none.

From batch 2 on, exporters write the same operators whatever the batch, and every dimension is constant or so many for each sample. Where that does
not hold of the two graphs, nothing is told from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from vramcast.operator_graph import GraphNode, GraphTensor, OperatorGraph

Batches = tuple[int, int]
_SMALLEST = 2
"""A batch of one is broadcast, and may be exported in another way."""


class KnownBatches:
    """The graphs of the question asked last, by batch; `export` is asked where they do not tell."""

    def __init__(self) -> None:
        self._question: object = None
        self._graphs: dict[int, OperatorGraph] = {}

    def graph(self, question: object, batch: int, export: Callable[[], OperatorGraph]) -> OperatorGraph:
        """Return the graph of a batch; questions that are equal differ in nothing else."""
        if question != self._question:
            self._question, self._graphs = question, {}
        if batch not in self._graphs:
            self._graphs[batch] = self._told(batch) or export()
        return self._graphs[batch]

    def _told(self, batch: int) -> OperatorGraph | None:
        known = sorted(size for size in self._graphs if size >= _SMALLEST)[:2]
        if batch < _SMALLEST or len(known) < 2:
            return None
        return at_batch(self._graphs[known[0]], self._graphs[known[1]], (known[0], known[1]), batch)


def at_batch(one: OperatorGraph, other: OperatorGraph, batches: Batches, batch: int) -> OperatorGraph | None:
    """Return the graph at `batch`, told from the graphs at two `batches`; None where they differ in more than that."""
    is_alike = len(one.nodes) == len(other.nodes) and all(map(_is_same_call, one.nodes, other.nodes)) and one.tensors.keys() == other.tensors.keys()
    if not is_alike or (one.inputs, one.outputs, one.initializers) != (other.inputs, other.outputs, other.initializers):
        return None
    tensors = {name: _tensor(tensor, other.tensors[name], batches, batch) for name, tensor in one.tensors.items()}
    values = _values(one.values, other.values, batches, batch)
    found = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    return None if values is None or len(found) < len(tensors) else replace(one, tensors=found, values=values)


def _is_same_call(one: GraphNode, other: GraphNode) -> bool:
    return (one.operator, one.domain, one.inputs, one.outputs) == (other.operator, other.domain, other.inputs, other.outputs) and (
        one.attributes == other.attributes
    )


def _tensor(one: GraphTensor, other: GraphTensor, batches: Batches, batch: int) -> GraphTensor | None:
    if one.dtype != other.dtype or len(one.shape) != len(other.shape):
        return None
    shape = tuple(size for pair in zip(one.shape, other.shape) if (size := _scaled(*pair, batches, batch)) is not None)
    return replace(one, shape=shape) if len(shape) == len(one.shape) else None


def _values(
    one: Mapping[str, tuple[int, ...]], other: Mapping[str, tuple[int, ...]], batches: Batches, batch: int
) -> dict[str, tuple[int, ...]] | None:
    found = {}
    for name, values in one.items():
        pairs = list(zip(values, other.get(name, ())))
        scaled = tuple(value for pair in pairs if (value := _scaled(*pair, batches, batch)) is not None)
        if len(scaled) < len(values):
            return None
        found[name] = scaled
    return found


def _scaled(one: int, other: int, batches: Batches, batch: int) -> int | None:
    """Return a number that is constant, or so many for each sample; None: it is neither."""
    if one == other:
        return one
    each, rest = divmod(one, batches[0])
    return each * batch if not rest and other == each * batches[1] else None
