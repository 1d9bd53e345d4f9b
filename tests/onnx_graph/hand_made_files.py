"""Small ONNX files, made operator by operator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence["int | str | None"]
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, list(inputs), list(outputs), domain=domain, **attributes)


def info(name: str, shape: Shape | None, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name: str, *numbers: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(numbers, np.int64), name)


def weight(name: str, *shape: int, dtype: str = "float32") -> onnx.TensorProto:
    return numpy_helper.from_array(np.zeros(shape, dtype), name)


def declared(name: str, *shape: int, kind: int = FLOAT) -> onnx.TensorProto:
    """A tensor that says its shape and stores nothing."""
    return TensorProto(name=name, data_type=kind, dims=shape)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto] = (),
    name: str = "g",
) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), name, list(inputs), list(outputs), list(initializers))


def model_of(whole: onnx.GraphProto, functions: Sequence[onnx.FunctionProto] = (), domains: Sequence[str] = ()) -> onnx.ModelProto:
    opsets = [helper.make_opsetid("", 21), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(whole, opset_imports=opsets, functions=list(functions), ir_version=10)


def saved(folder: Path, whole: onnx.GraphProto | onnx.ModelProto, name: str = "model.onnx") -> Path:
    """Write the file as it is, without any check."""
    path = folder / name
    path.write_bytes((whole if isinstance(whole, onnx.ModelProto) else model_of(whole)).SerializeToString())
    return path


def one_operator(
    operator: str, inputs: Sequence[onnx.ValueInfoProto], initializers: Sequence[onnx.TensorProto] = (), **attributes: object
) -> onnx.GraphProto:
    names = [*(value.name for value in inputs), *(tensor.name for tensor in initializers)]
    return graph([node(operator, names, ["y"], **attributes)], inputs, [info("y", None)], initializers)
