"""Operators whose result, or its shape, depends on values: answered from known or drawn values.

The memory of their results is recorded as on a GPU. Boolean masks are turned into index tensors by `nonzero` first
(aten/src/ATen/native/IndexingUtils.h `expandTensors`, torch 2.13), which is a block of its own while the operator runs.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch

from vramcast.tracing.cuda.kernel import Arguments, Keywords, by_shape
from vramcast.tracing.plans import Tree, tensors_in

if TYPE_CHECKING:
    from vramcast.tracing.dispatch import MetaDispatch

aten = torch.ops.aten

OPERATORS = (
    aten.nonzero.default,
    aten.masked_select.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.unique_consecutive.default,
    aten.repeat_interleave.Tensor,
    aten.bincount.default,
    aten.equal.default,
)


def run(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """Compute the operator on values and return device tensors of the shapes that came out."""
    values = [_values(dispatch, func, argument) for argument in args]
    return _on_device(dispatch, func(*values, **kwargs))


def nms(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`torchvision::nms`: slow on the CPU, and asked the same for every image of a drawn batch, so answers are remembered."""
    boxes, scores = (_values(dispatch, func, argument).float().contiguous() for argument in args[:2])
    kept = _kept(func, boxes.numpy().tobytes(), scores.numpy().tobytes(), args[2])
    return _on_device(dispatch, kept)


@functools.lru_cache(maxsize=256)
def _kept(func: torch._ops.OpOverload, boxes: bytes, scores: bytes, iou_threshold: float) -> torch.Tensor:
    if not scores:
        return torch.empty(0, dtype=torch.int64)
    as_floats = functools.partial(torch.frombuffer, dtype=torch.float32)
    kept: torch.Tensor = func(as_floats(bytearray(boxes)).view(-1, 4), as_floats(bytearray(scores)), iou_threshold)
    return kept


def item(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Any:
    """`.item()`, `bool(tensor)`, `float(tensor)`."""
    return _values(dispatch, func, args[0]).item()


def copy(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`_to_copy`: to the CPU it hands over values, to the device it takes them along."""
    device, (source, *_) = kwargs.get("device"), args
    if source.is_meta and device is not None and device.type == "cpu":
        value: torch.Tensor = _values(dispatch, func, source)
        return value.to(kwargs.get("dtype") or value.dtype, copy=True)
    if source.is_meta:
        output: torch.Tensor = by_shape(dispatch, func, args, kwargs)
        return output
    value = source.to(kwargs.get("dtype") or source.dtype, copy=True)
    arrived = _on_device(dispatch, value)
    assert isinstance(arrived, torch.Tensor)
    return arrived


def index(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`x[indices]` with boolean masks among the indices."""
    source, indices = args
    output: torch.Tensor = by_shape(dispatch, func, (source, _without_masks(dispatch, func, indices)), kwargs)
    return output


def index_put(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`x[indices] = values` in place."""
    destination, indices, value, *_ = args
    if not _is_masked_fill(indices, value):
        _without_masks(dispatch, func, indices)
    filled: torch.Tensor = destination
    return filled


def _is_masked_fill(indices: list[torch.Tensor | None], value: torch.Tensor) -> bool:
    """Tell whether one mask is filled with one number, which `index_put_` hands to `masked_fill_`.

    ATen/native/TensorAdvancedIndexingUtils.h, `canDispatchToMaskedFill` (torch 2.13). A number assigned from Python is a scalar on the
    CPU (torch/csrc/autograd/python_variable_indexing.cpp, `THPVariable_setitem`).
    """
    given = [position for position in indices if position is not None]
    return value.dim() == 0 and len(given) == 1 and given[0].dtype in (torch.bool, torch.uint8)


def _without_masks(dispatch: MetaDispatch, func: torch._ops.OpOverload, indices: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
    expanded: list[torch.Tensor | None] = []
    for position in indices:
        if position is None or position.dtype not in (torch.bool, torch.uint8):
            expanded.append(position)
            continue
        found = _on_device(dispatch, _values(dispatch, func, position).nonzero())
        dispatch.born(found)
        expanded.extend(found.unbind(1))
    return expanded


def _values(dispatch: MetaDispatch, func: torch._ops.OpOverload, argument: Any) -> Any:
    if not isinstance(argument, torch.Tensor):
        return argument
    return dispatch.values.need(argument, func._schema.name, dispatch.modules.running_name())


def _on_device(dispatch: MetaDispatch, results: Tree) -> Tree:
    """Return device tensors like `results`, known to hold those values; whatever is no tensor as it is."""
    if isinstance(results, torch.Tensor):
        tensor = torch.empty_strided(results.shape, results.stride(), dtype=results.dtype, device="meta")
        dispatch.born(tensor)
        dispatch.values.assume(tensor, results)
        return tensor
    if isinstance(results, (list, tuple)) and any(True for _ in tensors_in(results)):
        return tuple(_on_device(dispatch, result) for result in results)
    return results
