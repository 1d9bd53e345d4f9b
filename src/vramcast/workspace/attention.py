"""Attention: accumulators of the backward kernels, and flash's split of the keys where there are few queries.

Sources, read at torch 2.10 to 2.13: aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp (`mha_bwd`,
`set_params_splitkv`), attention_backward.cu (`_efficient_attention_backward`) and mem_eff_attention/kernel_backward.h
(`Params::workspace_size`) beside it. In deterministic mode flash keeps an accumulator of the query's gradient for each split, and the efficient
kernels do not split the keys.

cuDNN's plans are closed: its backward is taken to accumulate the gradient of the query in fp32, as the open kernels do.
"""

from __future__ import annotations

from vramcast.trace import OperatorCall, TensorSpec
from vramcast.units import round_up
from vramcast.workspace.efficient_tiles import tile_of
from vramcast.workspace.flash_splits import splits_of
from vramcast.workspace.scratch import Scratch, Site
from vramcast.workspace.tensors import dense_bytes, elements, given, is_contiguous_transposed

FP32 = 4
_ROWS = 128
"""Queries are rounded up to this in flash's accumulators (`seqlen_q_rounded`)."""
_MOST_BLOCKS = 200
"""Blocks over which gradients of keys and values may be split when they need accumulators."""


def flash_forward(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """`_scaled_dot_product_flash_attention`: partial sums and outputs where the keys are split over multiprocessors."""
    query, key = given(call, 0, 1)
    dropout = call.attributes.get("dropout_p", 0.0)
    splits = 1 if dropout else splits_of(query, key, site.stack.sm_count)
    if splits == 1:
        return ()
    rows = elements(query) // query.shape[-1]
    return Scratch(splits * rows * FP32, after=2), Scratch(splits * rows * _rounded_head(query) * FP32, after=2)


def flash_backward(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """`…_flash_attention_backward`: `softmax_d`, `dq_accum`, and per-head gradients where heads share keys."""
    grad_output, query, key, output = given(call, 0, 1, 2, 4)
    batch, heads, length, _ = query.shape
    rows = batch * heads * round_up(length, _ROWS)
    splits = -(-site.stack.sm_count // (batch * heads)) if site.stack.deterministic else 1
    accumulators = Scratch(splits * rows * _rounded_head(query) * FP32, after=3)
    scratch = [*_contiguous_copies(grad_output, output), Scratch(rows * FP32, after=3), accumulators]
    if key.shape[1] != heads:
        expanded = dense_bytes(key) // key.shape[1] * heads
        scratch += [Scratch(expanded, after=3), Scratch(expanded, after=3)]
    return tuple(scratch)


def efficient_backward(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """`…_efficient_attention_backward`: `delta` with what computes it, then the kernel's accumulators."""
    grad_output, query, key, value = given(call, 0, 1, 2, 3)
    batch, heads, length, head = query.shape
    tile = tile_of(query.dtype, max(head, value.shape[-1]), site.stack.compute_capability)
    rows = batch * heads * length * FP32
    scratch = _contiguous_copies(grad_output, through=1)
    if not tile.computes_delta:
        scratch += [Scratch(elements(grad_output) * FP32, after=3), Scratch(rows, after=3)]
    scratch.append(Scratch(rows, after=3, launch=1))
    per_head = tile.query_accumulator(length, head)
    if tile.accumulates_keys:
        most = 1 if site.stack.deterministic else _MOST_BLOCKS // (batch * heads)
        splits = max(1, min(-(-key.shape[2] // tile.keys), most))
        per_head += splits * tile.keys * (round_up(head, tile.queries) + round_up(value.shape[-1], tile.queries))
    if per_head:
        scratch.append(Scratch(batch * heads * round_up(per_head, 4) * FP32, after=3, launch=1))
    return tuple(scratch)


def cudnn_backward(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """`…_cudnn_attention_backward`: an fp32 gradient of the query and one sum per row (assumed)."""
    (query,) = given(call, 1)
    return (Scratch((elements(query) + elements(query) // query.shape[-1]) * FP32, after=3),)


def _contiguous_copies(*specs: TensorSpec, through: int = 0) -> list[Scratch]:
    """Return copies of (B, H, S, E) tensors that the kernels want dense as (B, S, H, E)."""
    return [Scratch(dense_bytes(spec), through=through) for spec in specs if not is_contiguous_transposed(spec)]


def _rounded_head(query: TensorSpec) -> int:
    head = query.shape[-1]
    return round_up(head, 32 if head <= 128 else 64)
