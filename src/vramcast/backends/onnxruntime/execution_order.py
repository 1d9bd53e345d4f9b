"""In which order a session runs its nodes.

After `GraphViewer::GraphViewer` and `PriorityNodeCompare` (`core/graph/graph_viewer.cc`), `Graph::ReverseDFSFrom` and
`Graph::KahnsTopologicalSort` (`core/graph/graph.cc`). Written without their text at hand, and held against what onnxruntime 1.32.0 runs, node by
node (`tests/backends/onnxruntime/test_against_real_runs.py`).
"""

from __future__ import annotations

import heapq
from typing import Literal

from vramcast.backends.onnxruntime.session_graph import SessionGraph, reads

ExecutionOrder = Literal["DEFAULT", "PRIORITY_BASED"]
_FIRST = frozenset({"Shape", "Size"})


def execution_order(graph: SessionGraph, order: ExecutionOrder) -> tuple[int, ...]:
    """Return the indices of the nodes in the order in which they run."""
    return _depth_first(graph) if order == "DEFAULT" else _by_priority(graph)


def _depth_first(graph: SessionGraph) -> tuple[int, ...]:
    """Walk from the nodes that nothing follows, the last first, through their inputs, the highest index first; write a node down when it is left."""
    order: list[int] = []
    visited: set[int] = set()
    stack = [(index, False) for index, node in enumerate(graph.nodes) if not any(name in graph.consumers for name in node.outputs)]
    while stack:
        index, is_left = stack.pop()
        if is_left:
            order.append(index)
            continue
        if index in visited:
            continue
        visited.add(index)
        stack.append((index, True))
        stack += [(source, False) for source in _sources(graph, index) if source not in visited]
    return tuple(order)


def _by_priority(graph: SessionGraph) -> tuple[int, ...]:
    """Run what is ready, `Shape` and `Size` before others, then the lowest index."""

    def key(index: int) -> tuple[bool, int]:
        return graph.nodes[index].operator not in _FIRST, index

    missing = [len(_sources(graph, index)) for index in range(len(graph.nodes))]
    ready = [key(index) for index, count in enumerate(missing) if not count]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        _, index = heapq.heappop(ready)
        order.append(index)
        followers = {follower for name in graph.nodes[index].outputs for follower in graph.consumers.get(name, ())}
        for follower in followers:
            missing[follower] -= 1
            if not missing[follower]:
                heapq.heappush(ready, key(follower))
    return tuple(order)


def _sources(graph: SessionGraph, index: int) -> list[int]:
    """Return the nodes whose outputs a node reads, each once, lowest first."""
    return sorted({graph.producers[name] for name in reads(graph.nodes[index]) if name in graph.producers})
