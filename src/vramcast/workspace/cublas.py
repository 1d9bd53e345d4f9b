"""cuBLAS: one workspace per thread that multiplies matrices, kept for the life of the process.

Source: aten/src/ATen/cuda/CublasHandlePool.cpp. `parseChosenWorkspaceSize` returns 4096 KiB * 2 + 16 KiB * 8 = 8,519,680 bytes,
or 32 MiB on some architectures (disassembly of libtorch_cuda.so, wheels 2.13.0+cu130 and 2.14.1+cu130). It comes from the
caching allocator: pytorch issue 95668 finds exactly 8,519,680 bytes left after one `nn.Linear`. Autograd runs backward
on a thread of its own, which has its own handle. cuBLASLt shares the buffer (torch 2.11 and newer).

From torch 2.15 on the workspace is allocated for every call and freed after it (pull request 194311).
`CUBLAS_WORKSPACE_CONFIG` takes the place of the default size. Side streams are not considered.
"""

from __future__ import annotations

from vramcast.trace import OperatorCall
from vramcast.workspace.scratch import Scratch, Site
from vramcast.workspace.stack import Stack

SMALL_WORKSPACE = 8_519_680
LARGE_WORKSPACE = 32 * 2**20
LT_WORKSPACE = 2**20
"""cuBLASLt's own buffer in torch 2.7 to 2.10 (`parseCUDABlasLtWorkspaceSize`)."""

OPERATORS = ("mm", "addmm", "bmm", "baddbmm", "addmv", "mv", "_addmm_activation")
"""Operators that cuBLAS serves. Convolutions, 1x1 ones too, are cuDNN's."""


def workspace_bytes(stack: Stack) -> int:
    """Return the size of a handle's workspace (32 MiB: Hopper; Blackwell from torch 2.11; Thor from 2.14)."""
    if stack.cublas_workspace is not None:
        return stack.cublas_workspace
    large = {9}
    if stack.torch_version >= (2, 11):
        large |= {10, 12}
    if stack.torch_version >= (2, 14):
        large |= {11}
    return LARGE_WORKSPACE if stack.compute_capability[0] in large else SMALL_WORKSPACE


def gemm(call: OperatorCall, site: Site) -> tuple[Scratch, ...]:
    """Matrix products: the thread's first one brings the workspace."""
    size = workspace_bytes(site.stack)
    if site.stack.torch_version >= (2, 15):
        return (Scratch(size, after=1),)
    thread = "backward" if site.is_backward else "forward"
    kept = Scratch(size, after=1, once=f"cublas:{thread}", stays=True)
    if (2, 7) <= site.stack.torch_version < (2, 11) and call.operator in ("addmm", "_addmm_activation"):
        return kept, Scratch(LT_WORKSPACE, after=1, once=f"cublaslt:{thread}", stays=True)
    return (kept,)
