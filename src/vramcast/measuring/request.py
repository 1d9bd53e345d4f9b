"""What a process of a campaign is asked, and the environment it runs in."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from vramcast.measuring.meters import Stacks
from vramcast.workload import Workload

READY = "ready"
"""The line that the process prints when it waits for the card."""

DECIDING = frozenset({
    "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING", "CUDA_MODULE_LOADING", "CUBLAS_WORKSPACE_CONFIG",
    "CUBLASLT_WORKSPACE_SIZE", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
})  # fmt: skip
"""Environment variables that change what a program takes: torch 2.13, `c10/core/AllocatorConfig.cpp`, `docs/source/cuda_environment_variables.rst`
and `notes/cuda.rst`; CUDA's programming guide, "CUDA Environment Variables"."""


class CaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One case, and where its measurement goes."""

    id: str
    model: str
    workload: Workload
    output: str
    stacks: Stacks = "python"


class KernelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """All kernels of one kind, and where their table goes."""

    kind: str
    output: str


def environment_of(workload: Workload, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of a case's process.

    What decides memory is the workload's alone, never the shell's, since a forecast knows nothing else; it is read when CUDA or a library
    starts, so it cannot be set later. Cards are counted as NVML counts them.
    """
    environment = workload.environment
    own = {
        "PYTORCH_CUDA_ALLOC_CONF": workload.allocator,
        "PYTORCH_ALLOC_CONF": workload.allocator,
        "CUDA_MODULE_LOADING": (environment.module_loading or "").upper(),
        "CUBLAS_WORKSPACE_CONFIG": environment.cublas_workspace or "",
    }
    kept = {name: value for name, value in inherited.items() if name not in DECIDING}
    return {**kept, **{name: value for name, value in own.items() if value}, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
