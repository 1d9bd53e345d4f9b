"""Shapes of every tensor, by onnx-shape-inference (0.4), which works on onnx-ir models without writing them out.

What it leaves open is tried in turn: what a file says of a tensor, computing what small constants lead to (onnxscript's folding, 0.7), and for
operators whose outputs depend on values the most they can give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx_ir as ir
from onnx_shape_inference import ShapeInferenceError, infer_symbolic_shapes

from vramcast.errors import InvalidFileError
from vramcast.onnx_graph.contrib_shapes import register_contrib_shapes
from vramcast.onnx_graph.folding import fold_small_constants
from vramcast.onnx_graph.known_operators import can_be_inferred
from vramcast.onnx_graph.stored_tensor import LARGEST_ELEMENTS
from vramcast.onnx_graph.upper_bounds import bound_outputs
from vramcast.trace import Caveat

_MOST_ROUNDS = 8
"""Operators in a row whose outputs depend on values; each takes a round."""


def infer_shapes(model: ir.Model) -> tuple[Caveat, ...]:
    """Fill in what shapes follow from those of inputs and constants, in place; return what had to be assumed.

    Raises:
        InvalidFileError: operators and shapes do not go together, or a tensor is beyond what can be counted.
    """
    register_contrib_shapes()
    declared = _set_aside(model)
    _infer(model)
    caveats: dict[Caveat, None] = {}
    steps: list[Callable[[], tuple[Caveat, ...] | None]] = [
        lambda: _take_declared(model, declared), lambda: fold_small_constants(model), *[lambda: bound_outputs(model)] * _MOST_ROUNDS,
    ]  # fmt: skip
    for step in steps:
        if all(map(is_known, _made(model.graph))):
            break
        found = step()
        if found is None:
            continue
        caveats |= dict.fromkeys(found)
        _infer(model)
    _check_sizes(model)
    return tuple(caveats)


def is_known(value: ir.Value) -> bool:
    """Tell whether a tensor's type and every dimension are known."""
    return value.shape is not None and value.dtype is not None and all(isinstance(side, int) for side in value.shape)


def _infer(model: ir.Model) -> None:
    try:
        infer_symbolic_shapes(model, warn_on_missing=False, adopt_declared_symbols=False)
    except ShapeInferenceError as error:
        raise InvalidFileError(_first_line(error)) from error
    except (ValueError, TypeError, IndexError, OverflowError, MemoryError, RecursionError, ZeroDivisionError, AttributeError, KeyError) as error:
        raise InvalidFileError(f"shapes that cannot be inferred ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _set_aside(model: ir.Model) -> dict[ir.Value, ir.Shape]:
    """Forget what the file says of shapes that can be inferred, as it may say it of other sizes; return what it says in numbers."""
    declared: dict[ir.Value, ir.Shape] = {}
    for graph in model.graphs():
        for node in graph:
            inferred = can_be_inferred(model, node)
            for value in node.outputs:
                if is_known(value) and value.shape is not None:
                    declared[value] = value.shape
                if inferred or not is_known(value):
                    value.shape = None
    return declared


def _take_declared(model: ir.Model, declared: dict[ir.Value, ir.Shape]) -> tuple[Caveat, ...] | None:
    taken = [value for value in _made(model.graph) if not is_known(value) and value in declared]
    for value in taken:
        value.shape = declared[value]
    return () if taken else None


def _made(graph: ir.Graph) -> Iterator[ir.Value]:
    for node in graph:
        yield from node.outputs


def _check_sizes(model: ir.Model) -> None:
    for value in _made(model.graph):
        elements = 1
        for side in value.shape or ():
            elements *= side if isinstance(side, int) else 1
        if not 0 <= elements <= LARGEST_ELEMENTS:
            raise InvalidFileError(f"a tensor that cannot be counted: {value.name!r} of shape {value.shape}")
