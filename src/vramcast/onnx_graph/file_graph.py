"""An ONNX file as an `OperatorGraph` at the sizes of a workload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from vramcast.errors import InvalidFileError, VramcastError
from vramcast.onnx_graph.bind import bind_inputs
from vramcast.onnx_graph.control_flow import flatten_control_flow, has_control_flow
from vramcast.onnx_graph.convert import operator_graph
from vramcast.onnx_graph.known_operators import can_be_inferred
from vramcast.onnx_graph.read import OF_ODD_INPUT, read_model, reason_of
from vramcast.onnx_graph.shapes import infer_shapes
from vramcast.operator_graph import GraphSizes, OperatorGraph
from vramcast.trace import Caveat

_ONNX = ("", "ai.onnx", "ai.onnx.ml")


def read_graph(path: Path, sizes: GraphSizes) -> OperatorGraph:
    """Read the file, bind its open dimensions, infer every shape.

    Raises:
        InvalidFileError: the file is no valid ONNX model, or refers to what lies outside its folder.
        WorkloadError: a dimension that nothing says the size of, or a size that the file fixes otherwise.
        UnknownNameError: sizes are given for an input that the model does not have.
    """
    try:
        return _graph_of(path, sizes)
    except VramcastError:
        raise
    except OF_ODD_INPUT as error:
        raise InvalidFileError(f"{path} is no valid ONNX model: {reason_of(error)}.") from error


def _graph_of(path: Path, sizes: GraphSizes) -> OperatorGraph:
    model = read_model(path)
    caveats = [*_unknown_operators(model), *bind_inputs(model, sizes)]
    try:
        caveats += infer_shapes(model)
        if has_control_flow(model):
            caveats += flatten_control_flow(model)
            caveats += infer_shapes(model)
    except InvalidFileError as error:
        raise InvalidFileError(f"{path} is no valid ONNX model at these sizes: {error}.") from error
    graph = operator_graph(model, dict.fromkeys(caveats))
    return replace(graph, name=graph.name or path.stem)


def _unknown_operators(model: ir.Model) -> Iterator[Caveat]:
    """Name operators that neither the ONNX specification nor shape inference knows."""
    found: dict[str, set[str]] = {}
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if not can_be_inferred(model, node):
            found.setdefault(node.domain or "", set()).add(node.op_type)
    for domain, names in sorted(found.items()):
        listed = ", ".join(sorted(names)[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        where = "ONNX" if domain in _ONNX else f"the domain {domain!r}"
        yield Caveat(f"Operators of {where} that nothing is known of: {listed}. What their kernels take was left out.")
