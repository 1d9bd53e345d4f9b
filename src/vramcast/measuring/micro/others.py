"""Attention, batch norm, and the matrix products that bring a library's handle."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from vramcast.measuring.micro.kernel import DTYPES, Call, Kernel

_SEQUENCES = ((8, 12, 197, 64), (8, 16, 577, 64), (4, 12, 1024, 64), (2, 32, 2048, 128), (2, 8, 1024, 96), (8, 3, 3136, 32))
"""Batch, heads, tokens and head size: ViT-B and -L, GPT-2, Llama, and two sizes that fused kernels pad."""
_MASKS = ("none", "causal", "boolean", "additive")
_NORMS = ((32, 64, 56, 56), (32, 512, 7, 7), (8, 32, 160, 160), (256, 1024))
_PRODUCTS = ((1024, 1024, 1024), (8192, 768, 3072), (32, 2048, 1000), (4096, 4096, 4096))


def attention() -> Iterator[Kernel]:
    """Scaled dot-product attention, forward and forward with backward, with every kind of mask."""
    for size, dtype, mask, direction in itertools.product(_SEQUENCES, ("fp32", "fp16", "bf16"), _MASKS, ("forward", "forward_backward")):
        shape = "b{} h{} l{} d{} mask-{}".format(*size, mask)
        yield Kernel("attention", shape, dtype, "contiguous", direction, partial(_make_attention, size, dtype, mask, direction))


def batch_norm() -> Iterator[Kernel]:
    """Batch norm in training, forward and backward."""
    for size, dtype, layout in itertools.product(_NORMS, ("fp32", "fp16", "bf16"), ("contiguous", "channels_last")):
        if layout == "channels_last" and len(size) != 4:
            continue
        for direction in ("forward", "backward"):
            shape = "x".join(map(str, size))
            yield Kernel("batch_norm", shape, dtype, layout, direction, partial(_make_batch_norm, size, dtype, layout, direction))


def gemm() -> Iterator[Kernel]:
    """Matrix products without and with a bias (cuBLAS and cuBLASLt), each with a handle that has no workspace yet."""
    for (rows, inner, columns), dtype, operator in itertools.product(_PRODUCTS, DTYPES, ("mm", "addmm", "bmm")):
        shape = f"{operator} {rows}x{inner}x{columns}"
        yield Kernel("gemm", shape, dtype, "contiguous", "forward", partial(_make_gemm, (rows, inner, columns), dtype, operator))


def _make_attention(size: tuple[int, int, int, int], dtype: str, mask: str, direction: str, device: str) -> Call:
    needs_gradients = direction == "forward_backward"
    query, key, value = (torch.zeros(size, dtype=DTYPES[dtype], device=device, requires_grad=needs_gradients) for _ in range(3))
    tokens = size[2]
    masks: dict[str, Any] = {"boolean": torch.ones(tokens, tokens, dtype=torch.bool, device=device)} if mask == "boolean" else {}
    if mask == "additive":
        masks["additive"] = torch.zeros(tokens, tokens, dtype=DTYPES[dtype], device=device)

    def call() -> Any:
        outputs = F.scaled_dot_product_attention(query, key, value, attn_mask=masks.get(mask), is_causal=mask == "causal")
        return (outputs, torch.autograd.grad(outputs, (query, key, value), outputs)) if needs_gradients else outputs

    return call


def _make_batch_norm(size: tuple[int, ...], dtype: str, layout: str, direction: str, device: str) -> Call:
    images = torch.zeros(size, dtype=DTYPES[dtype], device=device)
    if layout == "channels_last":
        images = images.to(memory_format=torch.channels_last)
    weight, bias, mean, variance = (torch.ones(size[1], device=device) for _ in range(4))
    if direction == "forward":
        return lambda: torch.ops.aten._batch_norm_with_update(images, weight, bias, mean, variance, 0.1, 1e-5)
    outputs, saved_mean, saved_variance, reserve = torch.ops.aten._batch_norm_with_update(images, weight, bias, mean, variance, 0.1, 1e-5)
    return lambda: torch.ops.aten.batch_norm_backward(
        outputs, images, weight, mean, variance, saved_mean, saved_variance, True, 1e-5, [True, True, True], reserve
    )


def _make_gemm(size: tuple[int, int, int], dtype: str, operator: str, device: str) -> Call:
    rows, inner, columns = size
    settings: dict[str, Any] = {"dtype": DTYPES[dtype], "device": device}
    left, right, bias = torch.zeros(rows, inner, **settings), torch.zeros(inner, columns, **settings), torch.zeros(columns, **settings)
    clear = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)  # absent from a build without CUDA
    if clear is not None:
        clear()
    calls: dict[str, Call] = {
        "mm": lambda: torch.mm(left, right),
        "addmm": lambda: torch.addmm(bias, left, right),
        "bmm": lambda: torch.bmm(left[None], right[None]),
    }
    return calls[operator]
