"""What a process of a campaign is asked, and the environment it runs in."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from vramcast.measuring.meters import Stacks
from vramcast.workload import Workload

READY = "ready"
"""The line that the process prints when it waits for the card."""


class CaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One case, and where its measurement goes."""

    id: str
    model: str
    workload: Workload
    output: str
    cudnn_tf32: bool | None = None
    """TF32 in convolutions whatever the precision says; None: as the precision says."""
    stacks: Stacks = "python"


class KernelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """All kernels of one kind, and where their table goes."""

    kind: str
    output: str


def environment_of(workload: Workload, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of a case's process.

    The allocator's options are the workload's alone, since a forecast knows no others; they are read when CUDA starts, so they cannot be set
    later (both names: torch 2.13, `c10/core/AllocatorConfig.cpp`). Cards are counted as NVML counts them.
    """
    kept = {name: value for name, value in inherited.items() if name not in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")}
    own = {"PYTORCH_CUDA_ALLOC_CONF": workload.allocator, "PYTORCH_ALLOC_CONF": workload.allocator} if workload.allocator else {}
    return {**kept, **own, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
