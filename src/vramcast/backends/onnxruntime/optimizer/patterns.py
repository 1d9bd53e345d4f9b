"""What patterns of several rewritings look for."""

from __future__ import annotations

from collections.abc import Iterator

from vramcast.backends.onnxruntime.session_graph import GraphEditor
from vramcast.operator_graph import GraphNode, GraphTensor


def nodes_of(editor: GraphEditor, *operators: str) -> Iterator[tuple[int, GraphNode]]:
    """Yield the nodes of some operator types that are still there when their turn comes, by index."""
    for index in [index for index, node in sorted(editor.nodes.items()) if node.operator in operators]:
        node = editor.nodes.get(index)
        if node is not None and node.operator in operators:
            yield index, node


def follower(editor: GraphEditor, index: int, *operators: str) -> int | None:
    """Return the one node that reads a node's first output, alone, if it is of some operator type."""
    reader = editor.only_consumer(editor.nodes[index].outputs[0])
    return reader if reader is not None and editor.nodes[reader].operator in operators else None


def maker(editor: GraphEditor, name: str, *operators: str) -> int | None:
    """Return the node that makes a tensor, if it is of some operator type."""
    index = editor.producer(name)
    return index if index is not None and editor.nodes[index].operator in operators else None


def other_input(node: GraphNode, name: str) -> str | None:
    """Return what a node of two inputs reads beside one of them; None where it reads that twice, or something else."""
    if len(node.inputs) != 2 or name not in node.inputs or node.inputs[0] == node.inputs[1]:
        return None
    return node.inputs[1] if node.inputs[0] == name else node.inputs[0]


def is_scalar(editor: GraphEditor, name: str) -> bool:
    """Whether a tensor is a constant of one element."""
    return editor.is_constant(name) and editor.tensors[name].elements == 1


def add_constant(editor: GraphEditor, name: str, shape: tuple[int, ...], dtype: str) -> str:
    """Make a constant that the rewriting computes, and return its name."""
    editor.tensors[name] = GraphTensor(name, shape, dtype)
    editor.initializers.add(name)
    return name
