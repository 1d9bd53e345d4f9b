"""GELU and SiLU, written as several nodes, as one.

After `GeluFusion` (basic from opset 20 on; extended before: the outcome is the same), `FastGeluFusion`, `BiasGeluFusion` and `QuickGeluFusion`
(onnxruntime/core/optimizer/{gelu,fast_gelu,bias_gelu,quick_gelu}_fusion.cc). `QuickGelu` computes x * sigmoid(alpha x), of which SiLU is the case
alpha = 1.
"""

from __future__ import annotations

from vramcast.backends.onnxruntime.optimizer.patterns import follower, is_scalar, maker, nodes_of, other_input
from vramcast.backends.onnxruntime.session_graph import GraphEditor
from vramcast.operator_graph import GraphNode

_MS_DOMAIN = "com.microsoft"


def fuse_gelu(editor: GraphEditor) -> None:
    """0.5 x (1 + erf(x / sqrt 2)), in the orders in which exporters write it."""
    for index, node in nodes_of(editor, "Erf"):
        scaled = maker(editor, node.inputs[0], "Div", "Mul")
        if scaled is None or editor.only_consumer(node.inputs[0]) is None:
            continue
        source = _scaled_source(editor, editor.nodes[scaled])
        addition = follower(editor, index, "Add")
        product = None if addition is None else follower(editor, addition, "Mul")
        if source is None or addition is None or product is None:
            continue
        found = _halves(editor, product, editor.nodes[addition].outputs[0], source)
        if found is not None:
            last = editor.nodes[found[0]]
            editor.fuse(
                (scaled, index, addition, product, *found), GraphNode(node.name, "Gelu", (source,), last.outputs, _MS_DOMAIN, {}, node.module)
            )


def fuse_fast_gelu(editor: GraphEditor) -> None:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x**3))), as GPT-2 writes it."""
    for index, node in nodes_of(editor, "Tanh"):
        before = _cubic(editor, node.inputs[0])
        addition = follower(editor, index, "Add")
        product = None if addition is None else follower(editor, addition, "Mul")
        if before is None or addition is None or product is None:
            continue
        source, makers = before
        found = _halves(editor, product, editor.nodes[addition].outputs[0], source)
        if found is not None:
            fused = GraphNode(node.name, "FastGelu", (source,), editor.nodes[found[0]].outputs, _MS_DOMAIN, {}, node.module)
            editor.fuse((*makers, index, addition, product, *found), fused)


def fuse_bias_gelu(editor: GraphEditor) -> None:
    """An addition of a constant vector before a GELU."""
    for index, node in nodes_of(editor, "Gelu"):
        addition = maker(editor, node.inputs[0], "Add")
        if addition is None or editor.only_consumer(node.inputs[0]) is None:
            continue
        inputs = editor.nodes[addition].inputs
        bias = next((name for name in inputs if len(editor.shape(name)) == 1), None)
        source = None if bias is None else other_input(editor.nodes[addition], bias)
        if bias is not None and source is not None and editor.shape(source)[-1:] == editor.shape(bias):
            editor.fuse((addition, index), GraphNode(node.name, "BiasGelu", (source, bias), node.outputs, _MS_DOMAIN, {}, node.module))


def fuse_quick_gelu(editor: GraphEditor) -> None:
    """x * sigmoid(alpha x)."""
    for index, node in nodes_of(editor, "Sigmoid"):
        product = follower(editor, index, "Mul")
        if product is None:
            continue
        source, scaled = node.inputs[0], maker(editor, node.inputs[0], "Mul")
        other = other_input(editor.nodes[product], node.outputs[0])
        if other == source:
            editor.fuse((index, product), _quick_gelu(node, source, editor.nodes[product]))
        elif scaled is not None and other is not None and editor.only_consumer(source) is not None:
            factor = other_input(editor.nodes[scaled], other)
            if factor is not None and is_scalar(editor, factor):
                editor.fuse((scaled, index, product), _quick_gelu(node, other, editor.nodes[product]))


def _quick_gelu(node: GraphNode, source: str, last: GraphNode) -> GraphNode:
    return GraphNode(f"{node.name}_quick_gelu", "QuickGelu", (source,), last.outputs, _MS_DOMAIN, {}, last.module)


def _cubic(editor: GraphEditor, name: str) -> tuple[str, tuple[int, ...]] | None:
    """Return the source of a scaled sum of it and its scaled cube, and the nodes that make that."""
    scaled = maker(editor, name, "Mul")
    total = None if scaled is None else _scaled_source(editor, editor.nodes[scaled])
    addition = None if total is None else maker(editor, total, "Add")
    if scaled is None or addition is None:
        return None
    for source in editor.nodes[addition].inputs:
        other = other_input(editor.nodes[addition], source)
        weighted = None if other is None else maker(editor, other, "Mul")
        cube = None if weighted is None else _scaled_source(editor, editor.nodes[weighted])
        power = None if cube is None else maker(editor, cube, "Pow")
        if weighted is not None and power is not None and editor.nodes[power].inputs[0] == source:
            makers = power, weighted, addition, scaled
            return (source, makers) if all(editor.only_consumer(editor.nodes[one].outputs[0]) is not None for one in makers) else None
    return None


def _scaled_source(editor: GraphEditor, node: GraphNode) -> str | None:
    constants = [name for name in node.inputs if is_scalar(editor, name)]
    return other_input(node, constants[0]) if len(constants) == 1 else None


def _halves(editor: GraphEditor, product: int, summed: str, source: str) -> tuple[int, ...] | None:
    """Return the last node of the pattern, and a further one before it: the half may come first, or last."""
    other = other_input(editor.nodes[product], summed)
    if other == source:
        half = follower(editor, product, "Mul")
        is_half = half is not None and any(is_scalar(editor, name) for name in editor.nodes[half].inputs)
        return (half,) if half is not None and is_half else None
    half = None if other is None else maker(editor, other, "Mul")
    if half is None or other is None or editor.only_consumer(other) is None or _scaled_source(editor, editor.nodes[half]) != source:
        return None
    return product, half
