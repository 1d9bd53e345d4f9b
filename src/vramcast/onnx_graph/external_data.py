"""Tensors that an ONNX file keeps in files beside it: never outside its folder, and read for small integer constants alone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx_ir as ir

from vramcast.errors import InvalidFileError
from vramcast.onnx_graph.stored_tensor import KEPT_DATA

_INTEGERS = (ir.DataType.INT64, ir.DataType.INT32)


def settle_external(model: ir.Model, path: Path) -> None:
    """Check where external tensors lie, and leave those of the graphs' initializers with shape and type, or with the values that shapes follow from.

    Raises:
        InvalidFileError: a place outside the model's folder, an offset outside the file, or an attribute that is kept elsewhere.
    """
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor):
                value.const_value = _settled(tensor, path.parent)
                value.shape, value.type = ir.Shape(tensor.shape), ir.TensorType(tensor.dtype)
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for attribute in node.attributes.values():
            held = attribute.value if isinstance(attribute.value, (list, tuple)) else [attribute.value]
            if any(isinstance(item, ir.ExternalTensor) for item in held):
                raise InvalidFileError(f"keeps the attribute {attribute.name!r} of {node.op_type} in another file")


def _settled(tensor: ir.ExternalTensor, folder: Path) -> ir.TensorProtocol | None:
    """Return a small constant's values; None for a weight, and for what is not there: shape and type are enough."""
    place = _place(str(tensor.location), folder)
    if not place.is_file():
        return None
    offset, length = int(tensor.offset or 0), int(tensor.length if tensor.length is not None else tensor.nbytes)
    size = place.stat().st_size
    if offset < 0 or length != tensor.nbytes or offset + length > size:
        raise InvalidFileError(f"takes {length:,} bytes at {offset:,} of {place.name}, which has {size:,}, for a tensor of {tensor.nbytes:,}")
    if tensor.dtype not in _INTEGERS or tensor.nbytes > KEPT_DATA:
        return None
    with place.open("rb") as file:
        file.seek(offset)
        numbers = np.frombuffer(file.read(length), dtype=tensor.dtype.numpy().newbyteorder("<"))
    return ir.Tensor(numbers.reshape(tuple(int(side) for side in tensor.shape)), dtype=tensor.dtype, name=tensor.name)


def _place(location: str, folder: Path) -> Path:
    """Return the file a location names. Raises `InvalidFileError` where that is outside the folder, by its text or by a link."""
    parts = location.replace("\\", "/").split("/")
    inside = folder.resolve()
    place = Path(os.path.realpath(inside / location)) if "\0" not in location else inside
    if not location or os.path.isabs(location) or ".." in parts or ":" in parts[0] or not place.is_relative_to(inside) or place == inside:
        raise InvalidFileError(f"keeps data in {location!r}, outside the model's own folder")
    return place
