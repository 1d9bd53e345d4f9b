"""The table of ATen operators whose CUDA kernel treats memory otherwise than their shape function shows.

An operator rule is one function in a file of this folder and one line here.
"""

from __future__ import annotations

import torch

from vramcast.tracing.cuda import (
    attention_kernels,
    backward_in_place,
    composite,
    convolution,
    data_dependent,
    fused_optimizer,
    grouped_mm,
    rnn_kernels,
    upsampling,
)
from vramcast.tracing.cuda.kernel import Kernel

aten = torch.ops.aten

KERNELS: dict[torch._ops.OpOverload, Kernel] = {
    aten.convolution.default: convolution.forward,
    aten.convolution_backward.default: convolution.backward,
    aten._scaled_dot_product_flash_attention.default: attention_kernels.flash_forward,
    aten._scaled_dot_product_efficient_attention.default: attention_kernels.efficient_forward,
    aten._scaled_dot_product_cudnn_attention.default: attention_kernels.cudnn_forward,
    aten._safe_softmax.default: attention_kernels.safe_softmax,
    aten._nested_tensor_from_mask_left_aligned.default: attention_kernels.is_mask_left_aligned,
    aten._cudnn_rnn.default: rnn_kernels.forward,
    aten._cudnn_rnn_backward.default: rnn_kernels.backward,
    **dict.fromkeys(data_dependent.OPERATORS, data_dependent.run),
    aten._local_scalar_dense.default: data_dependent.item,
    aten._to_copy.default: data_dependent.copy,
    aten.upsample_bicubic2d.default: upsampling.bicubic,
    aten._grouped_mm.default: grouped_mm.grouped_mm,
    aten.index.Tensor: data_dependent.index,
    aten.index_put.default: backward_in_place.index_put,
    aten.index_put_.default: data_dependent.index_put,
    aten._index_put_impl_.default: data_dependent.index_put,
    aten.add.Tensor: backward_in_place.accumulate_gradients,
    **dict.fromkeys(backward_in_place.ACCUMULATIONS, backward_in_place.accumulate),
    **dict.fromkeys(backward_in_place.ELEMENTWISE, backward_in_place.elementwise),
    **dict.fromkeys(composite.ELEMENTWISE_LOSSES, composite.elementwise_loss),
    **dict.fromkeys(composite.RESIZED_LOSSES, composite.resized_loss),
    aten.binary_cross_entropy_with_logits.default: composite.binary_cross_entropy_with_logits,
    aten.logsumexp.default: composite.logsumexp,
    **dict.fromkeys(fused_optimizer.OPERATORS, fused_optimizer.run),
}

KERNELS_BY_NAME: dict[str, Kernel] = {
    "torchvision::nms": data_dependent.nms,
}
"""Rules for operators of other packages, which may not be imported yet."""
