"""Convolutions with what follows them.

- Basic: batch norm, and multiplication with or addition of a constant per channel, go into weights and bias (`ConvBNFusion`, `ConvMulFusion`,
  `ConvAddFusion`, onnxruntime/core/optimizer/conv_{bn,mul,add}_fusion.cc).
- Extended, on the CUDA provider: `Conv` and `Relu`, and `Conv`, `Add` and `Relu`, become `FusedConv`, in fp32 alone
  (`ConvActivationFusion`, conv_activation_fusion.cc, assumed; that `FusedConv` has a kernel for float and ReLU alone, with an added tensor, was read
  in contrib_ops/cuda/fused_conv.cc, commit 01e7ec0).
"""

from __future__ import annotations

from dataclasses import replace

from vramcast.backends.onnxruntime.optimizer.patterns import add_constant, follower, nodes_of, other_input
from vramcast.backends.onnxruntime.session_graph import GraphEditor
from vramcast.operator_graph import GraphNode

_MS_DOMAIN = "com.microsoft"


def fold_scales(editor: GraphEditor) -> None:
    """Take batch norms and constants per channel into the convolution before them."""
    for index, node in nodes_of(editor, "Conv"):
        while editor.is_constant(node.inputs[1]):
            after = follower(editor, index, "BatchNormalization", "Add", "Mul")
            if after is None or not _is_per_channel(editor, node, editor.nodes[after]):
                break
            bias = add_constant(editor, f"{node.outputs[0]}/bias", (editor.shape(node.inputs[1])[0],), editor.tensors[node.inputs[1]].dtype)
            changed = replace(node, inputs=(*node.inputs[:2], bias), outputs=editor.nodes[after].outputs[:1])
            editor.remove(after)
            editor.change(index, changed)
            node = changed


def fuse_activations(editor: GraphEditor) -> None:
    """Make fused convolutions as the CUDA provider has them."""
    for index, node in nodes_of(editor, "Conv"):
        if editor.tensors[node.inputs[0]].dtype != "float32":
            continue
        relu = follower(editor, index, "Relu")
        if relu is not None:
            _fuse(editor, (index, relu), node, ())
            continue
        addition = follower(editor, index, "Add")
        if addition is None:
            continue
        relu, other = follower(editor, addition, "Relu"), other_input(editor.nodes[addition], node.outputs[0])
        if relu is not None and other and editor.shape(other) == editor.shape(node.outputs[0]):
            _fuse(editor, (index, addition, relu), node, (other,))


def _fuse(editor: GraphEditor, indices: tuple[int, ...], node: GraphNode, added: tuple[str, ...]) -> None:
    inputs = (*node.inputs[:2], node.inputs[2] if len(node.inputs) > 2 else "", *added) if added else node.inputs
    attributes = {**node.attributes, "activation": "Relu"}
    last = editor.nodes[indices[-1]]
    editor.fuse(indices, GraphNode(f"{node.name}_fused", "FusedConv", inputs, last.outputs, _MS_DOMAIN, attributes, node.module))


def _is_per_channel(editor: GraphEditor, node: GraphNode, after: GraphNode) -> bool:
    if after.operator == "BatchNormalization":
        return all(map(editor.is_constant, after.inputs[1:])) and not any(after.outputs[1:]) and after.inputs[0] == node.outputs[0]
    other = other_input(after, node.outputs[0])
    if other is None or not editor.is_constant(other):
        return False
    channels, dims = editor.shape(node.inputs[1])[0], len(editor.shape(node.outputs[0])) - 2
    shape = editor.shape(other)
    return shape[-dims - 1 :] == (channels, *(1,) * dims) and all(side == 1 for side in shape[: -dims - 1]) and len(shape) > dims
