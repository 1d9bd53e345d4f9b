"""Matrix products with what stands around them.

- Basic: `MatMul` with a constant matrix and the addition of a bias become `Gemm`; of more than two dimensions, between two reshapes, which take no
  memory (`MatMulAddFusion`, onnxruntime/core/optimizer/matmul_add_fusion.cc; the reshapes as onnxruntime 1.32.0 writes them).
- Extended: `FusedMatMul` takes in transposes of the last two dimensions, and multiplication by or division through a constant number
  (`MatmulTransposeFusion`, `MatMulScaleFusion`, matmul_transpose_fusion.cc, matmul_scale_fusion.cc).
"""

from __future__ import annotations

from dataclasses import replace

from vramcast.backends.onnxruntime.optimizer.patterns import add_constant, follower, is_scalar, maker, nodes_of, other_input
from vramcast.backends.onnxruntime.optimizer.transposes import order_of
from vramcast.backends.onnxruntime.session_graph import GraphEditor
from vramcast.operator_graph import GraphNode, GraphTensor

_MS_DOMAIN = "com.microsoft"
_PRODUCTS = ("MatMul", "FusedMatMul")


def fuse_biases(editor: GraphEditor) -> None:
    """Make `Gemm` of a product and the addition after it."""
    for index, node in nodes_of(editor, "MatMul"):
        addition = follower(editor, index, "Add")
        if addition is None:
            continue
        source, matrix = node.inputs
        bias = other_input(editor.nodes[addition], node.outputs[0])
        if bias is None or len(editor.shape(matrix)) != 2 or editor.shape(bias) != editor.shape(matrix)[1:]:
            continue
        target = editor.nodes[addition].outputs[0]
        if len(editor.shape(source)) == 2:
            editor.fuse((index, addition), GraphNode(node.name, "Gemm", (source, matrix, bias), (target,), "", {}, node.module))
        elif editor.is_constant(matrix) and len(editor.shape(source)) > 2:
            _between_reshapes(editor, (index, addition), node, bias, target)


def fuse_transposes(editor: GraphEditor) -> None:
    """Read a matrix transposed rather than to transpose it."""
    for index, _ in nodes_of(editor, *_PRODUCTS):
        for place in range(2):
            current = editor.nodes[index]
            transpose = maker(editor, current.inputs[place], "Transpose")
            flags = None if transpose is None else _flags(order_of(editor.nodes[transpose]))
            if transpose is None or flags is None:
                continue
            inputs = list(current.inputs)
            inputs[place] = editor.nodes[transpose].inputs[0]
            attributes = {**current.attributes, **{f"{flag}{'AB'[place]}": value for flag, value in flags.items()}}
            changed = replace(current, operator="FusedMatMul", domain=_MS_DOMAIN, inputs=tuple(inputs), attributes=attributes)
            name = editor.nodes[transpose].outputs[0]
            index = editor.fuse((index,), changed)
            if not editor.consumers(name) and name not in editor.outputs:
                editor.remove(transpose)


def fuse_scales(editor: GraphEditor) -> None:
    """Scale within the product."""
    for index, _ in nodes_of(editor, *_PRODUCTS):
        for place in range(2):
            index = _scale_before(editor, index, place)
        after = follower(editor, index, "Mul", "Div")
        if after is None:
            continue
        factor = other_input(editor.nodes[after], editor.nodes[index].outputs[0])
        if factor is not None and is_scalar(editor, factor) and _divides_by(editor.nodes[after], factor):
            node = editor.nodes[index]
            editor.fuse((index, after), replace(node, operator="FusedMatMul", domain=_MS_DOMAIN, outputs=editor.nodes[after].outputs))


def _scale_before(editor: GraphEditor, index: int, place: int) -> int:
    node = editor.nodes[index]
    scaled = maker(editor, node.inputs[place], "Mul", "Div")
    if scaled is None or editor.only_consumer(node.inputs[place]) is None:
        return index
    factor = next((name for name in editor.nodes[scaled].inputs if is_scalar(editor, name)), None)
    source = None if factor is None else other_input(editor.nodes[scaled], factor)
    if factor is None or source is None or not _divides_by(editor.nodes[scaled], factor) or editor.shape(source) != editor.shape(node.inputs[place]):
        return index
    inputs = list(node.inputs)
    inputs[place] = source
    return editor.fuse((scaled, index), replace(node, operator="FusedMatMul", domain=_MS_DOMAIN, inputs=tuple(inputs)))


def _divides_by(node: GraphNode, factor: str) -> bool:
    return node.operator == "Mul" or node.inputs[1] == factor


def _between_reshapes(editor: GraphEditor, indices: tuple[int, int], node: GraphNode, bias: str, target: str) -> None:
    source, matrix = node.inputs
    dtype, rows = editor.tensors[source].dtype, editor.tensors[source].elements // max(editor.shape(source)[-1], 1)
    columns, shape = editor.shape(matrix)[1], editor.shape(target)
    flat, product = f"{target}/gemm_input", f"{target}/gemm_output"
    editor.tensors[flat] = GraphTensor(flat, (rows, editor.shape(source)[-1]), dtype)
    editor.tensors[product] = GraphTensor(product, (rows, columns), dtype)
    sizes = [add_constant(editor, f"{name}/shape", (length,), "int64") for name, length in ((flat, 2), (product, len(shape)))]
    editor.remove(*indices)
    editor.add(GraphNode(f"{node.name}_in", "Reshape", (source, sizes[0]), (flat,), "", {}, node.module))
    editor.add(GraphNode(node.name, "Gemm", (flat, matrix, bias), (product,), "", {}, node.module))
    editor.add(GraphNode(f"{node.name}_out", "Reshape", (product, sizes[1]), (target,), "", {}, node.module))


def _flags(order: tuple[int, ...] | None) -> dict[str, int] | None:
    """Return how a product reads a matrix so transposed: its last two dimensions swapped, its batch moved from behind the first, or both."""
    count = 0 if order is None else len(order)
    if order is None or count < 2:
        return None
    batch, rows, columns = range(count - 2), count - 2, count - 1
    known = {
        (*batch, columns, rows): {"trans": 1},
        (*range(1, columns), 0, columns): {"transBatch": 1},
        (*range(1, columns), columns, 0): {"transBatch": 1, "trans": 1},
    }
    return known.get(order)
