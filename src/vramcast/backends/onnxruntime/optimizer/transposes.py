"""Transposes moved and merged, and gathers of all parts as one split.

- Basic: of the transpose optimizer (onnxruntime/core/optimizer/transpose_optimization) what attention needs: two transposes in a row are one, and a
  transpose moves behind a reshape that splits dimensions, where products can take it in.
- Extended: gathers of each single index of a dimension become one `Split`, with squeezes that take no memory (`GatherSliceToSplitFusion`,
  onnxruntime/core/optimizer/gather_fusion.cc).

What comes of it was compared with the graphs that onnxruntime 1.32.0 writes of ViT-B/16 and YOLO11n.
"""

from __future__ import annotations

import math

from vramcast.backends.onnxruntime.optimizer.patterns import add_constant, maker, nodes_of
from vramcast.backends.onnxruntime.session_graph import GraphEditor
from vramcast.operator_graph import GraphNode, GraphTensor


def move_transposes(editor: GraphEditor) -> None:
    """Merge transposes in a row, and move them behind reshapes that split dimensions."""
    for index, node in nodes_of(editor, "Transpose", "Reshape"):
        before = maker(editor, node.inputs[0], "Transpose")
        if before is None or editor.only_consumer(node.inputs[0]) is None or node.outputs[0] in editor.outputs:
            continue
        if node.operator == "Transpose":
            _merge(editor, before, index)
        else:
            _move_behind(editor, before, index)


def split_gathers(editor: GraphEditor) -> None:
    """Make one split of gathers that take a dimension apart."""
    for _, node in nodes_of(editor, "Gather"):
        source, axis = node.inputs[0], _axis(editor, node)
        readers = editor.consumers(source)
        parts = {_index(editor, editor.nodes[reader], source, axis): reader for reader in readers}
        count = editor.shape(source)[axis]
        if count < 2 or len(readers) != count or set(parts) != set(range(count)) or source in editor.outputs:
            continue
        gathers = [editor.nodes[parts[place]] for place in range(count)]
        shape = (*editor.shape(source)[:axis], 1, *editor.shape(source)[axis + 1 :])
        names = [f"{gather.outputs[0]}/split" for gather in gathers]
        editor.tensors.update({name: GraphTensor(name, shape, editor.tensors[source].dtype) for name in names})
        sizes = add_constant(editor, f"{source}/splits", (count,), "int64")
        axes = add_constant(editor, f"{source}/split_axes", (1,), "int64")
        editor.remove(*readers)
        editor.add(GraphNode(f"{node.name}_split", "Split", (source, sizes), tuple(names), "", {"axis": axis}, node.module))
        for name, gather in zip(names, gathers):
            editor.add(GraphNode(gather.name, "Squeeze", (name, axes), gather.outputs, "", {}, gather.module))


def order_of(node: GraphNode) -> tuple[int, ...] | None:
    """Return the order of a transpose; None where it is left to the default."""
    order = node.attributes.get("perm")
    return tuple(order) if isinstance(order, (tuple, list)) else None


def _merge(editor: GraphEditor, first: int, second: int) -> None:
    one, two = editor.nodes[first], editor.nodes[second]
    orders = order_of(one), order_of(two)
    if orders[0] is not None and orders[1] is not None:
        order = tuple(orders[0][place] for place in orders[1])
        editor.fuse((first, second), GraphNode(two.name, "Transpose", one.inputs, two.outputs, "", {"perm": order}, two.module))


def _move_behind(editor: GraphEditor, transpose: int, reshape: int) -> None:
    one, two = editor.nodes[transpose], editor.nodes[reshape]
    order, source = order_of(one), one.inputs[0]
    groups = _groups(editor.shape(two.inputs[0]), editor.shape(two.outputs[0]))
    if order is None or groups is None or all(len(group) == 1 for group in groups):
        return
    split = dict(zip(order, groups))
    starts: dict[int, int] = {}
    sides: list[int] = []
    for place in range(len(order)):
        starts[place] = len(sides)
        sides += split[place]
    name = f"{two.outputs[0]}/reshaped"
    editor.tensors[name] = GraphTensor(name, tuple(sides), editor.tensors[source].dtype)
    sizes = add_constant(editor, f"{name}/shape", (len(sides),), "int64")
    moved = tuple(starts[place] + offset for place in order for offset in range(len(split[place])))
    editor.remove(transpose, reshape)
    editor.add(GraphNode(f"{two.name}_before", "Reshape", (source, sizes), (name,), "", {}, two.module))
    editor.add(GraphNode(two.name, "Transpose", (name,), two.outputs, "", {"perm": moved}, two.module))


def _groups(before: tuple[int, ...], after: tuple[int, ...]) -> list[tuple[int, ...]] | None:
    """Return which sides each side is split into; None where sides are joined."""
    groups, place = [], 0
    for side in before:
        end = place + 1
        while end < len(after) and math.prod(after[place:end]) < side:
            end += 1
        if math.prod(after[place:end]) != side or place >= len(after):
            return None
        groups.append(after[place:end])
        place = end
    return groups if place == len(after) else None


def _axis(editor: GraphEditor, node: GraphNode) -> int:
    axis = node.attributes.get("axis", 0)
    return (axis if isinstance(axis, int) else 0) % max(len(editor.shape(node.inputs[0])), 1)


def _index(editor: GraphEditor, node: GraphNode, source: str, axis: int) -> int | None:
    """Return which single index a gather takes along a dimension; None where it does something else."""
    if node.operator != "Gather" or node.inputs[0] != source or _axis(editor, node) != axis or editor.shape(node.inputs[1]):
        return None
    values = editor.values.get(node.inputs[1])
    return values[0] % editor.shape(source)[axis] if values else None
