"""`If`, `Loop` and `Scan` taken apart: what a runtime holds at once, as operators of the main graph.

Of an `If` one branch runs, and the larger is taken; a body runs one iteration after the other, and one of them is taken. What a loop collects over
its iterations stays as large as it is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from vramcast.errors import InvalidFileError
from vramcast.trace import Caveat

_OPERATORS = ("If", "Loop", "Scan")


def has_control_flow(model: ir.Model) -> bool:
    """Tell whether the main graph has branches or loops."""
    return any(_is_control_flow(node) for node in model.graph)


def flatten_control_flow(model: ir.Model) -> tuple[Caveat, ...]:
    """Put one branch or iteration in the place of each such operator, in place; shapes of what is added have to be inferred anew.

    Raises:
        InvalidFileError: a branch or body does not have the inputs and outputs of its operator.
    """
    found: Counter[str] = Counter()
    while nodes := [node for node in model.graph if _is_control_flow(node)]:
        for node in nodes:
            found[node.op_type] += 1
            _flatten(model.graph, node)
    passes.NameFixPass()(model)
    return tuple(_caveats(found))


def _is_control_flow(node: ir.Node) -> bool:
    return node.op_type in _OPERATORS and not node.domain


def _caveats(found: Counter[str]) -> Iterator[Caveat]:
    if found["If"]:
        yield Caveat(f"The larger branch was taken of {_counted(found['If'], 'If')}.")
    for name in ("Loop", "Scan"):
        if found[name]:
            yield Caveat(f"One iteration was taken of {_counted(found[name], name)}; what differs from one to the next is not known.")


def _counted(count: int, name: str) -> str:
    return f"{count} {name} operator{'s' if count > 1 else ''}"


def _flatten(graph: ir.Graph, node: ir.Node) -> None:
    try:
        if node.op_type == "If":
            _inline(graph, node, _larger_branch(node), (), {})
        elif node.op_type == "Loop":
            _flatten_loop(graph, node, node.attributes["body"].as_graph())
        else:
            _flatten_scan(graph, node, node.attributes["body"].as_graph())
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InvalidFileError(f"has a {node.op_type} whose branches or body do not go with it: {error}") from error


def _larger_branch(node: ir.Node) -> ir.Graph:
    branches = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
    known = node.inputs[0].const_value if node.inputs[0] is not None else None
    if known is not None:
        return branches[0] if bool(known.numpy().ravel()[0]) else branches[1]
    return max(branches, key=_bytes)


def _bytes(graph: ir.Graph) -> int:
    """Return the bytes of all that a graph holds or makes, subgraphs included."""
    made = [value for node in ir.traversal.RecursiveGraphIterator(graph) for value in node.outputs]
    return sum(map(_size, [*made, *graph.initializers.values()]))


def _size(value: ir.Value) -> int:
    sides = [side for side in value.shape or () if isinstance(side, int)]
    if value.shape is None or value.dtype is None or value.dtype == ir.DataType.STRING:
        return 0
    return -(-math.prod(sides) * int(value.dtype.bitwidth) // 8)


def _flatten_loop(graph: ir.Graph, node: ir.Node, body: ir.Graph) -> None:
    carried = len(node.inputs) - 2
    iteration = _constant(graph, node, "iteration", np.array(0, np.int64))
    condition = node.inputs[1] or _constant(graph, node, "condition", np.array(True))
    stacked = dict.fromkeys(range(carried, len(node.outputs)), 0)
    _inline(graph, node, body, (iteration, condition, *node.inputs[2:]), stacked, skipped=1)


def _flatten_scan(graph: ir.Graph, node: ir.Node, body: ir.Graph) -> None:
    scanned = node.attributes["num_scan_inputs"].as_int()
    states = len(node.inputs) - scanned
    axes = _axes(node, "scan_input_axes", scanned)
    slices = [_slice(graph, node, value, axis) for value, axis in zip(node.inputs[states:], axes)]
    out_axes = _axes(node, "scan_output_axes", len(node.outputs) - states)
    _inline(graph, node, body, (*node.inputs[:states], *slices), {states + index: axis for index, axis in enumerate(out_axes)})


def _axes(node: ir.Node, name: str, count: int) -> list[int]:
    attribute = node.attributes.get(name)
    axes = list(attribute.as_ints()) if attribute is not None else []
    return (axes + [0] * count)[:count]


def _inline(
    graph: ir.Graph, node: ir.Node, body: ir.Graph, arguments: tuple[ir.Value | None, ...], stacked: dict[int, int], skipped: int = 0
) -> None:
    """Move a body's operators in front of the node and let its readers read theirs; outputs in `stacked` are collected along an axis."""
    if len(body.inputs) != len(arguments) or len(body.outputs) - skipped != len(node.outputs):
        raise ValueError(f"{len(body.inputs)} inputs and {len(body.outputs)} outputs for {len(arguments)} and {len(node.outputs)}")
    outputs = list(body.outputs)[skipped:]
    for formal, actual in zip(list(body.inputs), arguments):
        outputs = [actual if value is formal and actual is not None else value for value in outputs]
        if actual is not None:
            formal.replace_all_uses_with(actual, replace_graph_outputs=True)
    for name, value in list(body.initializers.items()):
        del body.initializers[name]
        value.name = f"{node.name or node.op_type}.{name}.{len(graph.initializers)}"
        graph.initializers.add(value)
    moved = list(body)
    body.outputs.clear()
    body.remove(moved)
    graph.insert_before(node, moved)
    for index, (old, new) in enumerate(zip(node.outputs, outputs)):
        made = _stack(graph, node, old, new, stacked[index]) if index in stacked else new
        made.shape = made.shape if made.shape is not None else old.shape
        old.replace_all_uses_with(made, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _constant(graph: ir.Graph, node: ir.Node, name: str, array: np.ndarray) -> ir.Value:
    tensor = ir.Tensor(array)
    value = ir.Value(name=f"{node.name or node.op_type}.{name}.{len(graph.initializers)}", shape=ir.Shape(array.shape),
                     type=ir.TensorType(tensor.dtype), const_value=tensor)  # fmt: skip
    graph.initializers.add(value)
    return value


def _slice(graph: ir.Graph, node: ir.Node, value: ir.Value | None, axis: int) -> ir.Value:
    """Return what one iteration sees of a scanned input."""
    index = _constant(graph, node, "index", np.array(0, np.int64))
    return _added(graph, node, ir.Node("", "Gather", [value, index], [ir.AttrInt64("axis", axis)]), value.dtype if value is not None else None)


def _stack(graph: ir.Graph, node: ir.Node, whole: ir.Value, part: ir.Value, axis: int) -> ir.Value:
    """Return what a loop collects of a value over its iterations: as many as are known, else one."""
    shape = whole.shape
    count = shape[axis] if shape is not None and isinstance(shape[axis], int) else 1
    rank = len(shape) if shape is not None else (len(part.shape) + 1 if part.shape is not None else 1)
    repeats = [int(count) if index == axis % rank else 1 for index in range(rank)]
    apart = ir.Node("", "Unsqueeze", [part, _constant(graph, node, "axis", np.array([axis], np.int64))])
    single = _added(graph, node, apart, part.dtype)
    return _added(graph, node, ir.Node("", "Tile", [single, _constant(graph, node, "repeats", np.array(repeats, np.int64))]), part.dtype)


def _added(graph: ir.Graph, before: ir.Node, node: ir.Node, dtype: ir.DataType | None) -> ir.Value:
    made = node.outputs[0]
    made.name = node.name = f"{before.name or before.op_type}.{node.op_type}.{len(graph)}"
    if dtype is not None:
        made.type = ir.TensorType(dtype)
    graph.insert_before(before, node)
    return made
