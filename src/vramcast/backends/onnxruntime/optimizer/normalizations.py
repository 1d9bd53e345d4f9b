"""Layer normalizations: several nodes as one, and with the addition before it.

After `LayerNormFusion` and `SkipLayerNormFusion` (onnxruntime/core/optimizer/{layer_norm,skip_layer_norm}_fusion.cc). The addition is taken in where
nobody else reads its sum, both its inputs are of the same shape, and that has three dimensions.
"""

from __future__ import annotations

from vramcast.backends.onnxruntime.optimizer.patterns import follower, maker, nodes_of, other_input
from vramcast.backends.onnxruntime.session_graph import GraphEditor
from vramcast.operator_graph import GraphNode

_MS_DOMAIN = "com.microsoft"
_DIMENSIONS = 3


def fuse_layer_normalizations(editor: GraphEditor) -> None:
    """(x - mean) / sqrt(mean((x - mean)**2) + epsilon) * scale + bias."""
    for index, node in nodes_of(editor, "Sqrt"):
        division = follower(editor, index, "Div")
        before = _variance(editor, node)
        if division is None or before is None:
            continue
        source, centred, makers = before
        scaled = follower(editor, division, "Mul")
        shifted = None if scaled is None else follower(editor, scaled, "Add")
        if editor.nodes[division].inputs[0] != centred or scaled is None or shifted is None:
            continue
        scale = other_input(editor.nodes[scaled], editor.nodes[division].outputs[0])
        bias = other_input(editor.nodes[shifted], editor.nodes[scaled].outputs[0])
        if scale and bias and editor.is_constant(scale) and editor.is_constant(bias):
            fused = GraphNode(node.name, "LayerNormalization", (source, scale, bias), editor.nodes[shifted].outputs, "", {}, node.module)
            editor.fuse((*makers, index, division, scaled, shifted), fused)


def fuse_skips(editor: GraphEditor) -> None:
    """An addition of two tensors before a layer normalization."""
    for index, node in nodes_of(editor, "LayerNormalization"):
        addition = maker(editor, node.inputs[0], "Add")
        if addition is None or editor.only_consumer(node.inputs[0]) is None or any(node.outputs[1:]):
            continue
        one, other = editor.nodes[addition].inputs
        if editor.shape(one) == editor.shape(other) and len(editor.shape(one)) == _DIMENSIONS:
            inputs = (one, other, *node.inputs[1:])
            editor.fuse((addition, index), GraphNode(node.name, "SkipLayerNormalization", inputs, node.outputs[:1], _MS_DOMAIN, {}, node.module))


def _variance(editor: GraphEditor, root: GraphNode) -> tuple[str, str, tuple[int, ...]] | None:
    """Return source, centred source, and the nodes from the one to the variance's root."""
    addition = maker(editor, root.inputs[0], "Add")
    if addition is None:
        return None
    mean = next((found for name in editor.nodes[addition].inputs if (found := maker(editor, name, "ReduceMean")) is not None), None)
    square = None if mean is None else maker(editor, editor.nodes[mean].inputs[0], "Pow", "Mul")
    difference = None if square is None else maker(editor, editor.nodes[square].inputs[0], "Sub")
    if mean is None or square is None or difference is None:
        return None
    source, average = editor.nodes[difference].inputs
    first = maker(editor, average, "ReduceMean")
    if first is None or editor.nodes[first].inputs[0] != source or len(editor.consumers(average)) != 1:
        return None
    return source, editor.nodes[difference].outputs[0], (first, difference, square, mean, addition)
