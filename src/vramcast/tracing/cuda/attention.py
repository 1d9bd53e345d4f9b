"""Scaled dot-product attention: the kernel CUDA would run, called so that autograd saves what that kernel saves.

Source: aten/src/ATen/native/transformers/attention.cpp (`scaled_dot_product_attention` and
`_scaled_dot_product_attention_math`), read at torch 2.10 to 2.13. Which kernel: `attention_choice.py`; what its kernel
allocates: `attention_kernels.py`; its hidden scratch: `vramcast.workspace.attention`.

Known limitation: the fused inference path of `nn.TransformerEncoderLayer` and `nn.MultiheadAttention`
(`torch._transformer_encoder_layer_fwd`, taken in eval mode without gradients) is not followed, because a function mode
switches it off; the layer runs operator by operator. There the hidden layer of the feed-forward block exists twice for
a moment (before and after its activation), where the fused path has it once, so that the forecast is too high by up to
batch x tokens x dim_feedforward elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.attention import SDPBackend

from vramcast.tracing.cuda.attention_choice import AttentionCall, choose
from vramcast.tracing.cuda.function import Arguments, Keywords

if TYPE_CHECKING:
    from vramcast.tracing.functions import CudaFunctions

aten = torch.ops.aten

_FLASH_ALIGNMENT = 8
"""Head sizes are padded to a multiple of this for flash (`pad_last_dim`)."""
_MASK_ALIGNMENT = 8
"""Strides of a mask must be multiples of this for the memory-efficient kernel (`preprocess_mask`)."""


def scaled_dot_product_attention(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`torch._C._nn.scaled_dot_product_attention`."""
    call = AttentionCall(*args, **kwargs)
    if not call.query.is_meta:
        output: torch.Tensor = func(*args, **kwargs)
        return output
    return on_cuda(mode, func, args, kwargs)


def on_cuda(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """The same, whatever stands for the CUDA tensors."""
    call = AttentionCall(*args, **kwargs)
    if mode.autocast.is_enabled():
        call = _autocast(mode, call)
    backend = choose(call, mode.capability, mode.torch_version)
    if call.attn_mask is not None and call.attn_mask.dtype is torch.bool:
        call = replace(call, attn_mask=_additive(call.attn_mask, call.query.dtype))
    return _RUN[backend](call)


def _autocast(mode: CudaFunctions, call: AttentionCall) -> AttentionCall:
    dtype = torch.get_autocast_dtype("cuda")
    query, key, value, mask = (mode.autocast.cast(tensor, dtype) for tensor in (*call.tensors, call.attn_mask))
    return replace(call, query=query, key=key, value=value, attn_mask=mask)


def _additive(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a boolean mask as one to add (`convert_boolean_attn_mask`): a new tensor of the mask's own size."""
    return torch.where(mask, 0.0, torch.scalar_tensor(-math.inf, dtype=dtype, device=mask.device))


def _scale(call: AttentionCall) -> float:
    return 1 / math.sqrt(call.query.size(-1)) if call.scale is None else call.scale


def _flash(call: AttentionCall) -> torch.Tensor:
    head = call.query.size(-1)
    query, key, value = (_pad_head(tensor) for tensor in call.tensors)
    output: torch.Tensor = aten._scaled_dot_product_flash_attention(
        query, key, value, call.dropout_p, call.is_causal, False, scale=_scale(call)
    )[0]  # fmt: skip
    return output if output.size(-1) == head else output[..., :head]


def _pad_head(tensor: torch.Tensor) -> torch.Tensor:
    missing = -tensor.size(-1) % _FLASH_ALIGNMENT
    return torch.constant_pad_nd(tensor, (0, missing)) if missing else tensor


def _efficient(call: AttentionCall) -> torch.Tensor:
    mask = call.attn_mask
    if mask is not None:
        mask = _aligned(mask).expand(*call.query.shape[:3], call.key.size(2))
    output: torch.Tensor = aten._scaled_dot_product_efficient_attention(
        *call.tensors, mask, call.requires_grad, call.dropout_p, call.is_causal, scale=call.scale
    )[0]  # fmt: skip
    return output


def _aligned(mask: torch.Tensor) -> torch.Tensor:
    """Return a mask whose strides suit the memory-efficient kernel: itself, or a view of a padded copy (`pad_bias`)."""
    if mask.stride(-1) == 1 and all(stride % _MASK_ALIGNMENT == 0 for stride in mask.stride()[:-1]):
        return mask
    size = mask.size(-1)
    padded = torch.constant_pad_nd(mask, (0, _MASK_ALIGNMENT - size % _MASK_ALIGNMENT))
    return padded[..., :size]


def _cudnn(call: AttentionCall) -> torch.Tensor:
    output: torch.Tensor = aten._scaled_dot_product_cudnn_attention(
        *call.tensors, call.attn_mask, call.requires_grad, call.dropout_p, call.is_causal, False, scale=call.scale
    )[0]  # fmt: skip
    return output


def _math(call: AttentionCall) -> torch.Tensor:
    """Attention by matrix products: the scores (B, H, L, S) exist, in fp32 even for half inputs."""
    dtype = call.query.dtype
    query, key, value = (_accumulated(tensor) for tensor in call.tensors)
    factor = math.sqrt(abs(_scale(call)))
    query = query * (-factor if _scale(call) < 0 else factor)
    mask = _causal_mask(query, key) if call.is_causal else call.attn_mask
    if call.enable_gqa:
        key, value = (_repeat_heads(tensor, query.size(-3)) for tensor in (key, value))
    scores = torch.matmul(query, key.transpose(-2, -1) * factor)
    if mask is not None:
        scores.add_(mask)
    weights = torch._safe_softmax(scores, -1)
    del scores
    if call.dropout_p > 0:
        weights = aten.native_dropout(weights, call.dropout_p, True)[0] if call.dropout_p < 1 else torch.dropout(weights, call.dropout_p, True)
    product = torch.matmul(weights, value).to(dtype)
    weights.to(dtype)  # the second result of the composite operator, which nobody takes
    return product


def _accumulated(tensor: torch.Tensor) -> torch.Tensor:
    is_half = tensor.dtype in (torch.float16, torch.bfloat16)
    return tensor.float() if is_half and not torch._C._get_math_sdp_allow_fp16_bf16_reduction() else tensor


def _causal_mask(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    allowed = torch.ones(query.size(-2), key.size(-2), dtype=torch.bool, device=query.device).tril()
    return _additive(allowed, query.dtype)


def _repeat_heads(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    repeats = heads // tensor.size(-3)
    return tensor if repeats == 1 else tensor.repeat_interleave(repeats, -3)


_RUN: dict[SDPBackend, Callable[[AttentionCall], torch.Tensor]] = {
    SDPBackend.FLASH_ATTENTION: _flash,
    SDPBackend.EFFICIENT_ATTENTION: _efficient,
    SDPBackend.CUDNN_ATTENTION: _cudnn,
    SDPBackend.MATH: _math,
}
