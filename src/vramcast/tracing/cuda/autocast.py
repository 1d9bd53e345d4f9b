"""Autocast for CUDA, applied to meta tensors, on which torch's own has no effect.

torch's real switches are read (`torch.autocast` sets them on a CPU build too); the casts are made here, above autograd,
so that autograd records them as it would. Lists and rules: aten/src/ATen/autocast_mode.h and autocast_mode.cpp
(torch 2.13): AT_FORALL_LOWER_PRECISION_FP, AT_FORALL_FP32, AT_FORALL_FP32_SET_OPT_DTYPE, AT_FORALL_PROMOTE.

The weight cache: an fp32 leaf that requires a gradient and is no view is cast once per outermost autocast region; the
copy lives until that region is left (`cached_cast`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from vramcast.trace import Component
from vramcast.tracing.recorder import Recorder

_LOWER = (
    "conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution prelu addmm addmv addr "
    "matmul einsum mm mv linalg_vecdot linalg_multi_dot linear addbmm baddbmm bmm chain_matmul lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell "
    "__matmul__ __rmatmul__ scaled_dot_product_attention bilinear"
).split()
_FP32 = (
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow __pow__ __rpow__ softplus layer_norm native_layer_norm "
    "group_norm rms_norm frobenius_norm nuclear_norm cosine_similarity poisson_nll_loss cosine_embedding_loss nll_loss nll_loss2d nll_loss_nd "
    "hinge_embedding_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss margin_ranking_loss multilabel_margin_loss soft_margin_loss "
    "triplet_margin_loss multi_margin_loss binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp upsample_nearest1d "
    "_upsample_nearest_exact1d upsample_nearest2d _upsample_nearest_exact2d upsample_nearest3d _upsample_nearest_exact3d upsample_linear1d "
    "upsample_bilinear2d _upsample_bilinear2d_aa upsample_trilinear3d upsample_bicubic2d _upsample_bicubic2d_aa"
).split()
_FP32_BY_ARGUMENT = "prod cumprod cumsum sum linalg_vector_norm linalg_matrix_norm".split()
"""Lifted by a `dtype` argument where none is given; softmax and log_softmax are in `softmax.py`."""
_PROMOTE = (
    "addcdiv addcmul atan2 cross dot grid_sample grid_sampler index_put index_put_ tensordot scatter_add cat concat concatenate stack vdot"
).split()
_FP32_AND_BACK = frozenset(f"torchvision::{name}" for name in ("nms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d"))
"""torchvision's operators: computed in fp32, floating results given back in the first argument's type (torchvision/csrc/ops/autocast/*.cpp, 0.28)."""

_HOMES = (torch, torch.Tensor, torch._C._nn, torch._C._VariableFunctions, torch.linalg, torch.functional)


def _functions(names: list[str]) -> frozenset[Callable[..., Any]]:
    return frozenset(getattr(home, name) for name in names for home in _HOMES if hasattr(home, name))


_LOWER_FUNCTIONS = _functions(_LOWER)
_FP32_FUNCTIONS = _functions(_FP32)
_ARGUMENT_FUNCTIONS = _functions(_FP32_BY_ARGUMENT)
_PROMOTE_FUNCTIONS = _functions(_PROMOTE)


class Autocast:
    """Casts what goes into a function, and keeps the weight cache of the current region."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._cache: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        """id of a leaf -> the leaf (kept so that its id stays its own) and its half copy."""

    def is_enabled(self) -> bool:
        """Whether an autocast region for CUDA is open."""
        return bool(torch.is_autocast_enabled("cuda"))

    def is_eligible(self, value: object) -> bool:
        """Whether autocast may cast a value: a floating CUDA tensor that is not fp64."""
        return isinstance(value, torch.Tensor) and value.is_meta and value.is_floating_point() and value.dtype is not torch.float64

    def clear(self) -> None:
        """Leave the outermost region: the cached copies go."""
        self._cache.clear()

    def call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function with its arguments cast as autocast would."""
        if func in _LOWER_FUNCTIONS:
            dtype = torch.get_autocast_dtype("cuda")
        elif func in _FP32_FUNCTIONS:
            dtype = torch.float32
        elif func in _PROMOTE_FUNCTIONS:
            dtype = self._widest((args, tuple(kwargs.values())))
        elif isinstance(func, torch._ops.OpOverloadPacket) and func._qualified_op_name in _FP32_AND_BACK:
            return self._in_fp32_and_back(func, args, kwargs)
        else:
            if func in _ARGUMENT_FUNCTIONS and kwargs.get("dtype") is None and args and self.is_eligible(args[0]):
                kwargs = kwargs | {"dtype": torch.float32}
            return func(*args, **kwargs)
        return func(*self.cast(args, dtype), **{name: self.cast(value, dtype) for name, value in kwargs.items()})

    def _in_fp32_and_back(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outputs = func(*self.cast(args, torch.float32), **{name: self.cast(value, torch.float32) for name, value in kwargs.items()})
        if func is torch.ops.torchvision.nms:
            return outputs  # indices
        back = args[0].dtype
        return tuple(output.to(back) for output in outputs) if isinstance(outputs, tuple) else outputs.to(back)

    def cast(self, value: Any, dtype: torch.dtype) -> Any:
        """Return a value, or a list of them, with what is eligible in `dtype`."""
        if isinstance(value, torch.Tensor):
            if not self.is_eligible(value) or value.dtype is dtype:
                return value
            return self._cast_tensor(value, dtype)
        if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
            return type(value)(self.cast(part, dtype) for part in value)
        return value

    def _cast_tensor(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        is_cached = (
            dtype is torch.get_autocast_dtype("cuda") and tensor.dtype is torch.float32 and tensor.requires_grad and tensor.is_leaf
            and not tensor._is_view() and torch.is_autocast_cache_enabled() and not torch.is_inference_mode_enabled()
        )  # fmt: skip
        if not is_cached:
            return tensor.to(dtype)
        entry = self._cache.get(id(tensor))
        if entry is None:
            # The cached copy must lead back to the weight even when it is first made without gradients.
            entry = self._cache[id(tensor)] = (tensor, tensor.to(dtype))
            self._recorder.claim(Component.CAST_COPIES, [entry[1]])
        return entry[1]

    def _widest(self, tree: Any) -> torch.dtype:
        """Return the type `promote` casts to: fp32 as soon as one eligible tensor is fp32 (`promote_type`)."""
        dtypes = {tensor.dtype for tensor in _tensors(tree) if self.is_eligible(tensor)}
        if torch.float32 in dtypes or len(dtypes) > 1:
            return torch.float32
        return dtypes.pop() if dtypes else torch.get_autocast_dtype("cuda")


def _tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, (list, tuple)):
        return [tensor for part in tree for tensor in _tensors(part)]
    return []
