"""Open dimensions of a model's inputs, bound to the sizes of a workload."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.onnx_graph.symbols import BATCH, HEIGHT, SEQUENCE, WIDTH, role_of
from vramcast.operator_graph import GraphSizes
from vramcast.trace import Caveat

_OPTIONS = {BATCH: "--batch N", HEIGHT: "--image N", WIDTH: "--image N", SEQUENCE: "--seq N"}


@dataclass
class _Bound:
    """What has been bound so far."""

    symbols: dict[str, int] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    """What sizes of the workload were of use for."""


def bind_inputs(model: ir.Model, sizes: GraphSizes) -> tuple[Caveat, ...]:
    """Give every input of the main graph a shape of numbers, in place.

    Raises:
        UnknownNameError: sizes are given for an input that the model does not have.
        WorkloadError: a dimension that nothing says the size of, or a size that the file fixes otherwise.
    """
    inputs = {str(value.name): value for value in model.graph.inputs if not value.is_initializer()}
    for name in sizes.inputs:
        if name not in inputs:
            raise UnknownNameError("input", name, inputs, hint=f"The model's inputs: {', '.join(map(_described, inputs.values()))}.")
    bound = _Bound()
    for name, shape in sizes.inputs.items():
        _bind_given(inputs[name], shape, bound)
    for value in inputs.values():
        if str(value.name) not in sizes.inputs and value.shape is not None:
            value.shape = ir.Shape([_side(value, index, sizes, bound) for index in range(len(value.shape))])
    return _fixed(inputs, sizes, bound)


def _bind_given(value: ir.Value, shape: tuple[int, ...], bound: _Bound) -> None:
    """Give an input the shape that was asked for; symbols in it have these sizes elsewhere too."""
    declared = list(value.shape) if value.shape is not None else list(shape)
    fits = len(declared) == len(shape) and all(not isinstance(side, int) or side == asked for side, asked in zip(declared, shape))
    if not fits:
        raise WorkloadError(f"input {value.name!r} is given as {'x'.join(map(str, shape))}, but the file has {_described(value)}.")
    for side, asked in zip(declared, shape):
        if isinstance(side, ir.SymbolicDim) and side.value:
            bound.symbols.setdefault(side.value, asked)
    value.shape = ir.Shape(shape)


def _side(value: ir.Value, index: int, sizes: GraphSizes, bound: _Bound) -> int:
    shape = list(value.shape or ())
    side = shape[index]
    if isinstance(side, int):
        return side
    symbol = side.value
    if symbol is not None and symbol in bound.symbols:
        return bound.symbols[symbol]
    role = role_of(symbol, index, [part if isinstance(part, int) else None for part in shape])
    asked = {
        BATCH: sizes.batch, HEIGHT: sizes.image[0] if sizes.image else None, WIDTH: sizes.image[1] if sizes.image else None, SEQUENCE: sizes.seq,
    }.get(role or "")  # fmt: skip
    if asked is None:
        way = f"{_OPTIONS[role]}, or " if role else ""
        example = "x".join(str(part) if isinstance(part, int) else "N" for part in shape)
        raise WorkloadError(
            f"dimension {index} of input {_described(value)} is open{f' ({symbol})' if symbol else ''}, and nothing says how large it is. "
            f"Say so with {way}--input {value.name}={example} and numbers for N."
        )
    if symbol is not None:
        bound.symbols[symbol] = asked
    bound.roles.add(role or "")
    return asked


def _fixed(inputs: dict[str, ir.Value], sizes: GraphSizes, bound: _Bound) -> tuple[Caveat, ...]:
    """Refuse sizes that the file fixes otherwise; a batch of 1 may be one that nobody asked for, and what the file has is said instead."""
    if sizes.inputs:
        return ()
    shapes = [tuple(int(side) for side in value.shape if isinstance(side, int)) for value in inputs.values() if value.shape is not None]
    described = ", ".join(map(_described, inputs.values())) or "none"
    if sizes.image is not None and HEIGHT not in bound.roles and not any(_has_image(shape, sizes.image) for shape in shapes):
        raise WorkloadError(f"image {sizes.image[0]}x{sizes.image[1]} does not go with the file, whose sizes are fixed: {described}.")
    if sizes.seq is not None and SEQUENCE not in bound.roles and not any(sizes.seq in shape[1:] for shape in shapes):
        raise WorkloadError(f"seq {sizes.seq} does not go with the file, whose sizes are fixed: {described}.")
    first = {shape[0] for shape in shapes if shape}
    if BATCH in bound.roles or sizes.batch in first or not first:
        return ()
    if sizes.batch != 1:
        raise WorkloadError(f"batch {sizes.batch} does not go with the file, whose sizes are fixed: {described}. Export it with a dynamic batch.")
    return (Caveat(f"The file fixes its sizes: {described}. They were taken, whatever batch says."),)


def _has_image(shape: tuple[int, ...], image: tuple[int, int]) -> bool:
    return len(shape) >= 3 and image in (shape[-2:], shape[-3:-1])


def _described(value: ir.Value) -> str:
    shape = "x".join(str(side) if isinstance(side, int) else str(side.value or "?") for side in value.shape) if value.shape is not None else "?"
    return f"{value.name}={shape}"
