"""What a process that runs an engine holds beside it: the CUDA context, and the libraries TensorRT loads.

The context follows the card, as for a torch process (`gpu/context.py`), whose line was read on processes that had loaded torch's kernels too;
without them it is less: a trtexec process on an RTX A5000 held 328 MiB (TensorRT 10.3, notebook of NVIDIA/TensorRT), a TensorRT process on a T4
244 MiB with all kernels loaded eagerly (TensorRT 8.4), rows CTX-0014 and CTX-0015 of `validation/measured/cuda_context.csv`. So the torch figure is
taken, and the range is opened downwards.

TensorRT 10 loads neither cuBLAS nor cuDNN unless asked to (`TacticSource`, release notes of 10.0); before, with lazy loading, they added 8 and 10 MiB
(logs, TensorRT 8.5 to 9), and 224 and 54 MiB loaded eagerly (T4, TensorRT 8.4).
"""

from __future__ import annotations

from dataclasses import replace

from vramcast.gpu.context import ContextRange, context_bytes
from vramcast.gpu.spec import GpuSpec

_LOWEST_SHARE = 0.6
"""Assumed: of the torch process' lowest figure, what is left without torch's kernels."""


def process_context(card: GpuSpec | None, *, loads_eagerly: bool) -> ContextRange:
    """Return what the process holds outside of weights, contexts and bindings."""
    torch = context_bytes(card, loads_eagerly=loads_eagerly)
    source = f"{torch.source}; processes of torch, whose kernels TensorRT does not load"
    return replace(torch, low=int(torch.low * _LOWEST_SHARE), source=source, is_measured=False)
