"""Which nodes run on the host, and which values lie in host memory: those that the CUDA provider has no kernel for, and some that it has one for.

The latter were read in `GetCpuPreferredNodes` (`onnxruntime/core/framework/fallback_cpu_capability.cc`, commit 039e489): what only computes shapes is
left to the host. The walk begins at the readers of what kernels write on the host (`Shape`), and goes on from a node that is placed there to its
readers.
"""

from __future__ import annotations

import heapq

from vramcast.backends.onnxruntime.kernels import KernelTable
from vramcast.backends.onnxruntime.session_graph import SessionGraph
from vramcast.operator_graph import GraphNode

_SMALL_INITIALIZER = 100
"""`kSmallInitializerThreshold`: elements."""
_NEVER = frozenset({"float16", "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"})


def host_nodes(graph: SessionGraph, order: tuple[int, ...], kernels: KernelTable) -> frozenset[int]:
    """Return the nodes that run on the host."""
    on_host: set[str] = set()
    candidates: list[tuple[int, int]] = []
    places = {index: place for place, index in enumerate(order)}

    def push_readers(node: GraphNode) -> None:
        for name in node.outputs:
            for reader in graph.consumers.get(name, ()):
                heapq.heappush(candidates, (places[reader], reader))

    absent = frozenset(index for index, node in enumerate(graph.nodes) if not kernels.has(node, graph.tensors))
    for node in graph.nodes:
        if kernels.writes_on_host(node):
            on_host.update(node.outputs)
            push_readers(node)
    placed: set[int] = set()
    visited: set[int] = set()
    while candidates:
        _, index = heapq.heappop(candidates)
        if index not in visited and index not in absent:
            visited.add(index)
            node = graph.nodes[index]
            if _belongs_on_host(graph, node, on_host, kernels):
                placed.add(index)
                on_host.update(node.outputs)
                push_readers(node)
    return frozenset(placed) | absent


def host_values(graph: SessionGraph, nodes: frozenset[int], kernels: KernelTable) -> frozenset[str]:
    """Return the values in host memory: made there, or read there alone."""
    made = {
        name for index, node in enumerate(graph.nodes) if index in nodes or kernels.writes_on_host(node) for name in node.outputs if name
    }  # fmt: skip
    read_on_device = {
        name
        for index, node in enumerate(graph.nodes)
        if index not in nodes
        for place, name in enumerate(node.inputs)
        if name and not kernels.reads_on_host(node, place)
    }
    given = (*graph.inputs, *graph.initializers)
    return frozenset(made | {name for name in given if name in graph.consumers and name not in read_on_device})


def _belongs_on_host(graph: SessionGraph, node: GraphNode, on_host: set[str], kernels: KernelTable) -> bool:
    for place, name in enumerate(node.inputs):
        if not name:
            continue
        if graph.tensors[name].dtype in _NEVER:
            return False
        is_small = name in graph.initializers and graph.tensors[name].elements <= _SMALL_INITIALIZER
        if is_small or name in graph.inputs:
            continue
        if name not in on_host or kernels.reads_on_host(node, place):
            return False
    return True
