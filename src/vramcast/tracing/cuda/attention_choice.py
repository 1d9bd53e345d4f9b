"""Which attention kernel CUDA would run.

Source: aten/src/ATen/native/transformers/cuda/sdp_utils.cpp and sdp_utils_cpp.h (`select_sdp_backend`, the `can_use_*`
functions and their filters), read at torch 2.10 to 2.13; for older versions, the release notes named below. The switches of `torch.backends.cuda` and
`torch.nn.attention.sdpa_kernel` are read as they are set. cuDNN is taken to be newer than 9.15.1, as in the CUDA 13
wheels of torch 2.13. Nested tensors are not considered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend

from vramcast.environment import NEWEST_VERSION, Version
from vramcast.errors import ModelError

Capability = tuple[int, int]

_FUSED_SINCE = (2, 0)
"""`scaled_dot_product_attention` appeared with its fused kernels (release notes of torch 2.0); before, there was only what math does."""
_MASKED_EFFICIENT_SINCE = (2, 1)
"""The memory-efficient kernel takes a mask (pull request 104310)."""
_FLASH_2_SINCE = (2, 2)
"""FlashAttention-2 (release notes of torch 2.2): heads up to 256; the first version took up to 128."""
_CUDNN_SINCE = (2, 5)
"""cuDNN's kernel is on by default (release notes of torch 2.5)."""
_CUDNN_FIRST_SINCE = (2, 11)
"""Wheels with a cuDNN newer than 9.15.0, from which on it comes first; assumed for the versions between 2.5 and this one: it comes last."""
_NEWEST_FUSED = (12, 1)
"""Newest architecture the fused kernels accept."""
_BY_NUMBER = {0: SDPBackend.MATH, 1: SDPBackend.FLASH_ATTENTION, 2: SDPBackend.EFFICIENT_ATTENTION, 3: SDPBackend.CUDNN_ATTENTION}
"""`at::SDPBackend`."""
_DEFAULT_PRIORITY = (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION)
_CUDNN_FIRST = (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)
_PREFER_CUDNN = ((9, 0), (10, 0), (10, 3))
"""Where cuDNN comes first (`check_prefer_cudnn_attention`)."""
_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class AttentionCall:
    """The arguments of `scaled_dot_product_attention`: query (B, H, L, E), key (B, Hk, S, E), value (B, Hk, S, Ev)."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    attn_mask: torch.Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Query, key and value."""
        return self.query, self.key, self.value

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient will be asked for."""
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in self.tensors)


def choose(call: AttentionCall, capability: Capability, torch_version: Version = NEWEST_VERSION) -> SDPBackend:
    """Return the first kernel, in order of priority, that takes this call, of those this version of torch has.

    Raises:
        ModelError: every kernel is switched off or refuses; CUDA would say "No available kernel".
    """
    for backend in _priority(capability, torch_version):
        if _has(backend, call, torch_version) and _CAN_USE[backend](call, capability):
            return backend
    shapes = ", ".join(f"{tuple(tensor.shape)} {tensor.dtype}" for tensor in call.tensors)
    raise ModelError(
        f"no attention kernel takes query, key, value {shapes} on compute capability {capability}: the kernels that would are switched off "
        "(torch.backends.cuda, torch.nn.attention.sdpa_kernel). Switch the math kernel on."
    )


def _priority(capability: Capability, torch_version: Version) -> tuple[SDPBackend, ...]:
    order = tuple(_BY_NUMBER[number] for number in torch._C._get_sdp_priority_order() if number in _BY_NUMBER)
    prefers_cudnn = capability in _PREFER_CUDNN and torch_version >= _CUDNN_FIRST_SINCE
    return _CUDNN_FIRST if order == _DEFAULT_PRIORITY and prefers_cudnn else order


def _has(backend: SDPBackend, call: AttentionCall, torch_version: Version) -> bool:
    """Tell whether a version of torch has a kernel for a call like this."""
    if backend is SDPBackend.FLASH_ATTENTION:
        return torch_version >= (_FLASH_2_SINCE if call.query.size(-1) > 128 else _FUSED_SINCE)
    if backend is SDPBackend.EFFICIENT_ATTENTION:
        return torch_version >= (_FUSED_SINCE if call.attn_mask is None else _MASKED_EFFICIENT_SINCE)
    return backend is SDPBackend.MATH or torch_version >= _CUDNN_SINCE


def _can_use_math(call: AttentionCall, capability: Capability) -> bool:
    return torch._C._get_math_sdp_enabled()


def _can_use_flash(call: AttentionCall, capability: Capability) -> bool:
    head = call.query.size(-1)
    return (
        torch._C._get_flash_sdp_enabled() and _is_four_dimensional(call) and call.attn_mask is None
        and head == call.key.size(-1) == call.value.size(-1) and head <= 256
        and (8, 0) <= capability <= _NEWEST_FUSED and not _is_refused_in_backward(call, capability)
        and not (call.is_causal and call.query.size(-2) != call.key.size(-2)) and _is_low_precision(call, capability)
        and _have_matching_heads(call, takes_groups=True) and _has_tokens(call) and _has_last_stride_one(call, ignore_singleton=True)
    )  # fmt: skip


def _is_refused_in_backward(call: AttentionCall, capability: Capability) -> bool:
    """Too little shared memory for flash's backward (`check_requires_grad_and_head_dim_gt192_constraints_…`)."""
    is_small = (8, 6) <= capability <= (8, 9) or (12, 0) <= capability <= (12, 1)
    head = call.query.size(-1)
    return call.requires_grad and is_small and (192 < head <= 224 or (head > 224 and call.dropout_p > 0))


def _can_use_efficient(call: AttentionCall, capability: Capability) -> bool:
    dtypes = (torch.float16, torch.float32, torch.bfloat16) if capability >= (8, 0) else (torch.float16, torch.float32)
    alignment = _gemm_alignment(call.query.dtype, capability)
    sizes = (call.query.size(-1), call.value.size(-1))
    return (
        torch._C._get_mem_efficient_sdp_enabled() and (5, 0) <= capability <= _NEWEST_FUSED and _is_four_dimensional(call)
        and call.query.size(-1) == call.key.size(-1) and all(size > 0 and size % alignment == 0 for size in sizes)
        and _has_tokens(call) and _has_last_stride_one(call, ignore_singleton=False) and _have_matching_heads(call, takes_groups=False)
        and _has_dtype(call, dtypes)
    )  # fmt: skip


def _gemm_alignment(dtype: torch.dtype, capability: Capability) -> int:
    """Elements a head size must be a multiple of (`minimum_gemm_alignment`)."""
    is_half = dtype in _HALF
    alignment = 4 if capability >= (8, 0) else 1
    if capability >= (8, 0) or (capability >= (7, 0) and is_half):
        alignment = max(alignment, 128 // (16 if is_half else 32))
    return alignment


def _can_use_cudnn(call: AttentionCall, capability: Capability) -> bool:
    is_deterministic = torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
    return (
        torch._C._get_cudnn_sdp_enabled() and (8, 0) <= capability <= _NEWEST_FUSED and not is_deterministic
        and _is_four_dimensional(call) and _is_low_precision(call, capability) and _has_cudnn_mask(call) and _has_tokens(call)
        and _has_last_stride_one(call, ignore_singleton=True) and _have_matching_heads(call, takes_groups=True)
        and _has_cudnn_sizes(call, capability)
    )  # fmt: skip


def _has_cudnn_sizes(call: AttentionCall, capability: Capability) -> bool:
    heads = (call.query.size(3), call.value.size(3))
    limit = 256 if capability == (9, 0) else 192 if capability[0] == 10 and heads == (192, 128) else 128
    if max(heads) > limit or any(head % 8 for head in heads) or call.key.size(2) == 1:
        return False
    return not (call.query.size(2) == 1 and call.dropout_p > 0)


def _has_cudnn_mask(call: AttentionCall) -> bool:
    mask = call.attn_mask
    if mask is None:
        return True
    batch, heads, length, _ = call.query.shape
    wanted = (batch, heads, length, call.key.size(2))[-mask.dim() :]
    return not mask.requires_grad and mask.dim() in (2, 4) and all(size in (1, full) for size, full in zip(mask.shape, wanted))


def _is_four_dimensional(call: AttentionCall) -> bool:
    return all(tensor.dim() == 4 for tensor in call.tensors)


def _has_dtype(call: AttentionCall, dtypes: tuple[torch.dtype, ...]) -> bool:
    return call.query.dtype in dtypes and all(tensor.dtype is call.query.dtype for tensor in call.tensors)


def _is_low_precision(call: AttentionCall, capability: Capability) -> bool:
    return _has_dtype(call, _HALF if capability >= (8, 0) else (torch.float16,))


def _has_tokens(call: AttentionCall) -> bool:
    return call.query.size(-2) != 0 and call.key.size(-2) != 0


def _has_last_stride_one(call: AttentionCall, ignore_singleton: bool) -> bool:
    is_one = all(tensor.stride(-1) == 1 for tensor in call.tensors) or (ignore_singleton and call.query.size(-1) == 1)
    return is_one and (call.attn_mask is None or call.attn_mask.stride(-1) == 1)


def _have_matching_heads(call: AttentionCall, takes_groups: bool) -> bool:
    if len({tensor.size(0) for tensor in call.tensors}) != 1:
        return False
    query, key, value = (tensor.size(-3) for tensor in call.tensors)
    if call.enable_gqa and takes_groups:
        return key == value and query % key == 0
    return query == key == value


_CAN_USE: dict[SDPBackend, Callable[[AttentionCall, Capability], bool]] = {
    SDPBackend.MATH: _can_use_math,
    SDPBackend.FLASH_ATTENTION: _can_use_flash,
    SDPBackend.EFFICIENT_ATTENTION: _can_use_efficient,
    SDPBackend.CUDNN_ATTENTION: _can_use_cudnn,
}
