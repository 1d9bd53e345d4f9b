"""Lets Inductor compile for CUDA where there is no CUDA and no Triton: up to its Python wrapper, without kernels.

Fusion, layouts, in-place updates, reuse and the order of everything are decided before a kernel's text is written. What Inductor asks of a
card on the way is answered here; the text of Triton kernels, which nothing here compiles, is not written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch._dynamo.device_interface import CudaInterface
from torch._inductor import scheduler
from torch._inductor.codegen.triton import TritonKernel, TritonScheduling
from torch._inductor.runtime.hints import DeviceProperties

from vramcast.backends.compile.unguarded_methods import unguarded_methods
from vramcast.gpu.catalogue import load

_SM_COUNT = 108
"""Multiprocessors of the card that reductions are split for, where no card of the architecture is known: an A100's. They move buffers of a few KiB
(`choices.reduction_split_factor`)."""


@contextlib.contextmanager
def cuda_for_inductor(capability: tuple[int, int]) -> Iterator[None]:
    """Answer as a card of this compute capability would, and as if Triton were installed, while the context is open (torch 2.13)."""
    properties = _properties(capability)

    def ask(*_: Any) -> SimpleNamespace:
        return properties

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(torch.cuda, "get_device_properties", ask))
        for interface in (CudaInterface, CudaInterface.Worker):
            stack.enter_context(mock.patch.object(interface, "get_device_properties", staticmethod(ask)))
        for name in ("current_device", "raise_if_triton_unavailable"):
            stack.enter_context(mock.patch.object(CudaInterface, name, staticmethod(lambda *_: 0)))
        stack.enter_context(unguarded_methods())
        stack.enter_context(mock.patch.object(scheduler, "has_triton", return_value=True))
        stack.enter_context(mock.patch.object(TritonKernel, "codegen_kernel", _no_text))
        stack.enter_context(mock.patch.object(TritonScheduling, "define_kernel", _name))
        DeviceProperties.create.cache_clear()
        try:
            yield
        finally:
            DeviceProperties.create.cache_clear()


def _properties(capability: tuple[int, int]) -> SimpleNamespace:
    """Return what `torch.cuda.get_device_properties` has: of an A100 (CUDA programming guide, "Technical Specifications per Compute Capability").

    Multiprocessors are those of the largest card of the architecture, as a trace is made for an architecture and not for one card.
    """
    counts = [card.sm_count for card in load() if card.compute_capability == capability and card.sm_count]
    return SimpleNamespace(
        name="", major=capability[0], minor=capability[1], multi_processor_count=max(counts, default=_SM_COUNT), regs_per_multiprocessor=65536,
        max_threads_per_multi_processor=2048, max_threads_per_block=1024, warp_size=32, total_memory=2**36,
        shared_memory_per_block=49152, shared_memory_per_block_optin=101376, L2_cache_size=2**25, gcnArchName="",
    )  # fmt: skip


def _no_text(kernel: Any, name: str | None = None) -> str:
    """Stand for `TritonKernel.codegen_kernel`, which also sets these two."""
    kernel.triton_meta, kernel.inductor_meta = {}, {}
    return ""


def _name(_scheduling: Any, _source: str, nodes: Any, _kernel: Any) -> str:
    """Stand for `TritonScheduling.define_kernel`: every kernel is called by one name."""
    return "triton_kernel"
