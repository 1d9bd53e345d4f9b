"""torchvision's compiled operators, declared without its compiled library.

Schemas as in the strings of torchvision 0.28's `_C.so` (sources in `torchvision/csrc/ops/*.cpp`). Once they are declared, torchvision's own
`_meta_registrations.py` gives them shapes on the meta device and its `_autograd_registrations.py` (since 0.27) their backwards;
for older versions `supply_autograd` does what the C++ autograd functions did (`torchvision/csrc/ops/autograd/*.cpp`, 0.26).
On the CPU only `nms` computes: it is the one whose values decide what is allocated afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

_SIZE = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_BINS = "float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_CONV = (
    "SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, "
    "SymInt groups, SymInt offset_groups, bool use_mask"
)
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"roi_align(Tensor input, Tensor rois, {_BINS}, int sampling_ratio, bool aligned) -> Tensor",
    f"_roi_align_backward(Tensor grad, Tensor rois, {_BINS}, {_SIZE}, int sampling_ratio, bool aligned) -> Tensor",
    "qroi_align(Tensor input, Tensor rois, float input_scale, int input_zero_point, float rois_scale, int rois_zero_point, "
    f"{_BINS}, int sampling_ratio, bool aligned) -> Tensor",
    f"roi_pool(Tensor input, Tensor rois, {_BINS}) -> (Tensor, Tensor)",
    f"_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, {_BINS}, {_SIZE}) -> Tensor",
    f"ps_roi_align(Tensor input, Tensor rois, {_BINS}, int sampling_ratio) -> (Tensor, Tensor)",
    f"_ps_roi_align_backward(Tensor grad, Tensor rois, Tensor channel_mapping, {_BINS}, int sampling_ratio, {_SIZE}) -> Tensor",
    f"ps_roi_pool(Tensor input, Tensor rois, {_BINS}) -> (Tensor, Tensor)",
    f"_ps_roi_pool_backward(Tensor grad, Tensor rois, Tensor channel_mapping, {_BINS}, {_SIZE}) -> Tensor",
    f"deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, {_CONV}) -> Tensor",
    f"_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, {_CONV}) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    "_cuda_version() -> int",
)
_NO_CUDA = -1
"""What `_cuda_version` answers in a build without CUDA (torchvision/csrc/vision.cpp)."""

_libraries: list[Any] = []
"""Keeps the registrations alive: a `torch.library.Library` takes them back when it is collected."""


@contextmanager
def standing_in() -> Iterator[list[str]]:
    """Declare the operators where `torch.ops.load_library` fails on torchvision's `_C`, so that torchvision finds them loaded.

    Yields the list of libraries that could not be loaded; it is filled while torchvision is imported.
    """
    import torch

    load: Any = torch.ops.load_library
    declared: list[str] = []

    def load_or_declare(path: Any) -> None:
        try:
            load(path)
        except OSError:
            if not _is_operator_library(str(path)):
                raise
            _declare()
            declared.append(str(path))

    torch.ops.load_library = load_or_declare  # type: ignore[method-assign]
    try:
        yield declared
    finally:
        torch.ops.load_library = load  # type: ignore[method-assign]


def _is_operator_library(path: str) -> bool:
    name = path.replace("\\", "/").rpartition("/")[2]
    return name.split(".")[0] == "_C" and "torchvision" in path


def _declare() -> None:
    """Define the schemas, and the two operators that need no compiled code."""
    if _libraries:
        return
    import torch

    make_library: Any = torch.library.Library
    library = make_library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        library.define(schema)
    library.impl("_cuda_version", lambda: _NO_CUDA, "CompositeExplicitAutograd")
    library.impl("nms", nms, "CPU")
    _libraries.append(library)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Keep boxes greedily by score, dropping each that overlaps a kept one by more than `iou_threshold`.

    `boxes` (N, 4) as x1, y1, x2, y2; `scores` (N,). Returns the kept indices (K,) as int64, best score first. Equal scores keep their
    order, and overlap is compared in double precision, as in torchvision/csrc/ops/cpu/nms_kernel.cpp (0.28).
    """
    import torch

    order = np.argsort(-scores.detach().numpy(), kind="stable")
    corners = boxes.detach().numpy()[order].T
    apart = _side_by_side(corners) if iou_threshold >= 0 else [np.arange(len(order))]
    kept = np.sort(np.concatenate([group[_kept(corners[:, group], iou_threshold)] for group in apart])) if len(order) else order
    return torch.from_numpy(order[kept].astype(np.int64))


_ROWS_AT_ONCE = 256


def _side_by_side(corners: Any) -> list[Any]:
    """Return groups of boxes between which no two overlap in x, each in the order given.

    Detectors shift the boxes of each class far from those of others, so that one call serves all of them.
    """
    left, right = np.minimum(corners[0], corners[2]), np.maximum(corners[0], corners[2])
    by_left = np.argsort(left, kind="stable")
    cuts = np.flatnonzero(left[by_left][1:] > np.maximum.accumulate(right[by_left])[:-1]) + 1
    return [np.sort(group) for group in np.split(by_left, cuts)]


def _kept(corners: Any, iou_threshold: float) -> Any:
    """Return the places of the boxes that stay, of some that are sorted by score."""
    alive = np.ones(corners.shape[1], dtype=bool)
    kept: list[int] = []
    for start in range(0, len(alive), _ROWS_AT_ONCE):
        rows = start + np.flatnonzero(alive[start : start + _ROWS_AT_ONCE])
        for i, overlapping in zip(rows.tolist(), _overlaps(corners, rows, start) > iou_threshold):
            if alive[i]:
                kept.append(i)
                alive[start:] &= ~overlapping
    return np.array(kept, np.int64)


def _overlaps(corners: Any, rows: Any, start: int) -> Any:
    """Return the intersection over union of some boxes with all from `start` on."""
    x1, y1, x2, y2 = corners[:, start:]
    left, top, right, bottom = (side[:, None] for side in corners[:, rows])
    width = np.minimum(right, x2) - np.maximum(left, x1)
    height = np.minimum(bottom, y2) - np.maximum(top, y1)
    shared = width.clip(min=0) * height.clip(min=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        overlap = shared / ((right - left) * (bottom - top) + (x2 - x1) * (y2 - y1) - shared)
    return overlap.astype(np.float64)


def supply_autograd() -> None:
    """Register the backwards of a torchvision that has none in Python (before 0.27).

    Each forward keeps its regions and its second output; the backward operator takes the gradient, what was kept, and the forward's numbers
    with the input's shape before its last `trailing` ones.
    """
    import torch

    for name, trailing in (("roi_align", 2), ("roi_pool", 0), ("ps_roi_align", 0), ("ps_roi_pool", 0)):
        backward, keep = _region_autograd(getattr(torch.ops.torchvision, f"_{name}_backward"), trailing)
        torch.library.register_autograd(f"torchvision::{name}", backward, setup_context=keep)
    torch.library.register_autograd("torchvision::deform_conv2d", _deform_backward, setup_context=_deform_keep)


def _region_autograd(operator: Any, trailing: int) -> tuple[Any, Any]:
    def keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        image, rois, *ctx.numbers = inputs
        ctx.image_shape = image.shape
        ctx.save_for_backward(rois, *(output[1:] if isinstance(output, tuple) else ()))

    def backward(ctx: Any, grad: Tensor, *_mapping_grad: Any) -> tuple[Any, ...]:
        before, after = ctx.numbers[: len(ctx.numbers) - trailing], ctx.numbers[len(ctx.numbers) - trailing :]
        return (operator(grad, *ctx.saved_tensors, *before, *ctx.image_shape, *after), None, *(None for _ in ctx.numbers))

    return backward, keep


def _deform_keep(ctx: Any, inputs: tuple[Any, ...], **_output: Any) -> None:
    ctx.save_for_backward(*inputs[:5])
    ctx.numbers = inputs[5:]


def _deform_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    import torch

    grads = torch.ops.torchvision._deform_conv2d_backward(grad, *ctx.saved_tensors, *ctx.numbers)
    return (*grads, *(None for _ in ctx.numbers))
