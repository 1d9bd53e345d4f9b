"""Runs Inductor's wrapper on meta tensors: buffers are born and die where the generated program makes and deletes them.

The wrapper's names (`empty_strided_cuda`, `extern_kernels`, `reinterpret_tensor` …) are those of `torch/_inductor/codegen/wrapper.py` (2.13).
Triton kernels write into buffers that are there already, so running one does nothing. Library calls (matrix products, convolutions, attention)
are run as ATen operators, so that their outputs and, by their shapes, their workspaces are recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from vramcast.backends.compile.lowering import Wrapper
from vramcast.backends.compile.module_origins import ENTER
from vramcast.tracing.tracer import Tracer

aten = torch.ops.aten
Compiled = Callable[[list[Any]], Sequence[Any]]


def executable(wrapper: Wrapper, tracer: Tracer) -> Compiled:
    """Return the wrapper's `call`, which takes its arguments out of a list as Inductor's does, and is heard by the tracer."""
    names = _names(tracer) | {name: value.to("meta") if not value.is_meta else value for name, value in wrapper.constants.items()}
    exec(compile(wrapper.source, "<inductor>", "exec"), names)
    call = names["call"]

    def run(args: list[Any]) -> Sequence[Any]:
        with tracer.listening(), tracer.beneath(wrapper.modules) as names[ENTER]:
            results: Sequence[Any] = call(args)
        return results

    run._boxed_call = True  # type: ignore[attr-defined]  # torch/_functorch/_aot_autograd/utils.py: takes a list and empties it
    return run


def _names(tracer: Tracer) -> dict[str, Any]:
    def empty_strided_cuda(size: Sequence[int], stride: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        return tracer.born("inductor::empty_strided_cuda", torch.empty_strided(size, stride, dtype=dtype, device="meta"))

    return {
        "torch": _TORCH, "aten": aten, "device": torch.device, "math": math, "inf": math.inf, "nan": math.nan,
        "inductor_ops": torch.ops.inductor, "_quantized": torch.ops._quantized, "empty_strided": torch.empty_strided,
        "empty_strided_cuda": empty_strided_cuda, "empty_strided_cpu": _empty_strided_cpu, "reinterpret_tensor": _reinterpret_tensor,
        "assert_size_stride": _nothing, "assert_alignment": _nothing, "get_raw_stream": _nothing,
        "triton_kernel": SimpleNamespace(run=_nothing), "extern_kernels": _ExternKernels(),
    }  # fmt: skip


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _empty_strided_cpu(size: Sequence[int], stride: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty_strided(size, stride, dtype=dtype)


def _reinterpret_tensor(tensor: torch.Tensor, size: Sequence[int], stride: Sequence[int], offset: int = 0) -> torch.Tensor:
    """Make another view of a buffer (`_reinterpret_tensor`, torch/csrc/dynamo/guards.cpp)."""
    return torch.as_strided(tensor, size, stride, tensor.storage_offset() + offset)


class _ExternKernels:
    """Library calls: `torch/_inductor/select_algorithm.py`, `extern_kernels`."""

    @staticmethod
    def convolution(source: torch.Tensor, weight: torch.Tensor, *, bias: Any = None, **how: Any) -> torch.Tensor:
        """Run a convolution; only it is called by other names than its operator's schema has."""
        order = ("stride", "padding", "dilation", "transposed", "output_padding", "groups")
        output: torch.Tensor = aten.convolution.default(source, weight, bias, *(how[name] for name in order))
        return output

    def __getattr__(self, name: str) -> Callable[..., Any]:
        packet = getattr(aten, name.lstrip("_") if not hasattr(aten, name) else name)

        def call(*args: Any, out: torch.Tensor | None = None, **named: Any) -> Any:
            if out is None:
                return packet(*args, **named)
            return packet.out(*args, **named, out=out)

        return call


class _Torch(ModuleType):
    """Stands for torch in a wrapper: there is no card to choose."""

    cuda = SimpleNamespace(_DeviceGuard=lambda index: torch.no_grad(), set_device=_nothing, device=torch.cuda.device, synchronize=_nothing)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


_TORCH = _Torch("torch")
