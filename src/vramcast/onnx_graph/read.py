"""From an ONNX file to onnx-ir's model: checked, functions inlined, without the values of weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes
from google.protobuf.message import DecodeError

from vramcast.errors import InvalidFileError
from vramcast.onnx_graph.external_data import settle_external
from vramcast.onnx_graph.skeleton import read_skeleton
from vramcast.onnx_graph.stored_tensor import KEPT_DATA

MOST_NODES = 100_000
"""Operators of a model, functions inlined; the largest language models have 20,000."""


OF_ODD_INPUT = (AttributeError, ArithmeticError, AssertionError, LookupError, MemoryError, RecursionError, TypeError, ValueError)
"""What the libraries raise on graphs that are none."""


def read_model(path: Path) -> ir.Model:
    """Read the model. Values are known of small constants alone; every other initializer has a shape and a type.

    Raises:
        InvalidFileError: the file is no valid model, refers to files outside its folder, or is too large to be one.
    """
    skeleton = read_skeleton(path)
    try:
        proto = onnx.ModelProto.FromString(skeleton)
        _check_names(proto.graph)
        model = ir.serde.deserialize_model(proto)
        _check_functions(model)
        passes.InlinePass()(model)
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        for graph in model.graphs():
            graph.sort()
        settle_external(model, path)
    except InvalidFileError as error:
        raise InvalidFileError(f"{path} is no valid ONNX model: it {error}.") from None
    except (DecodeError, ir.serde.SerdeError, ir.passes.PassError, *OF_ODD_INPUT) as error:
        raise InvalidFileError(f"{path} is no valid ONNX model: {reason_of(error)}.") from error
    _forget_weights(model)
    return model


def _check_names(graph: onnx.GraphProto, around: frozenset[str] = frozenset()) -> None:
    """Refuse names that stand for two tensors, and tensors that nobody makes; `around`: what a subgraph sees of the graphs it lies in."""
    if not around and not (graph.node and graph.output):
        raise InvalidFileError("has no operators, or no outputs")
    stored = [*(tensor.name for tensor in graph.initializer), *(tensor.values.name for tensor in graph.sparse_initializer)]
    made = [name for node in graph.node for name in node.output if name]
    inputs = [value.name for value in graph.input]
    for kind, names in (("makes the tensor", made), ("stores the tensor", stored), ("declares the input", inputs)):
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice is not None:
            raise InvalidFileError(f"{kind} {twice!r} twice")
    known = around.union(inputs, stored, made)
    for node in graph.node:
        unknown = next((name for name in node.input if name and name not in known), None)
        if unknown is not None:
            raise InvalidFileError(f"reads the tensor {unknown!r}, which nothing makes")
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                _check_names(inner, known)


def _check_functions(model: ir.Model) -> None:
    """Refuse functions that call themselves, and those that come to more operators than a model has, before they are inlined."""
    sizes: dict[Any, int] = {}
    running: set[Any] = set()

    def size_of(body: ir.Graph | ir.Function) -> int:
        return sum(_called(key) if (key := node.op_identifier()) in model.functions else 1 for node in ir.traversal.RecursiveGraphIterator(body))

    def _called(key: Any) -> int:
        if key in running:
            raise InvalidFileError(f"has a function that calls itself: {key[1]}")
        if key not in sizes:
            running.add(key)
            sizes[key] = size_of(model.functions[key])
            running.discard(key)
        return sizes[key]

    count = size_of(model.graph)
    if count > MOST_NODES:
        raise InvalidFileError(f"has {count:,} operators, more than {MOST_NODES:,}")


def _forget_weights(model: ir.Model) -> None:
    """Leave initializers above `KEPT_DATA` bytes with shape and type alone: their data were left out of what was read."""
    for value in _initializers(model):
        tensor = value.const_value
        if tensor is not None and tensor.nbytes > KEPT_DATA:
            value.shape, value.type, value.const_value = ir.Shape(tensor.shape), ir.TensorType(tensor.dtype), None


def _initializers(model: ir.Model) -> Iterator[ir.Value]:
    for graph in model.graphs():
        yield from graph.initializers.values()


def reason_of(error: BaseException) -> str:
    """Return in one line what a library made of it."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())[:200].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
