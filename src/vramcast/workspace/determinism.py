"""What deterministic mode changes and is not modelled.

`torch.use_deterministic_algorithms` (its documentation, torch 2.13) has index, scatter and padding operators take other kernels, and refuses cuBLAS
unless `CUBLAS_WORKSPACE_CONFIG` is set (with `warn_only` it runs all the same, with the default workspace). With `cudnn.deterministic`, cuDNN's
engines that are marked nondeterministic are left out (`filterEngineConfigs`, aten/src/ATen/native/cudnn/Conv_v8.cpp). The parameters for
half types are fitted on trainers that run so; those for fp32 on one that does not. What is modelled stands with the operators: `attention.py`,
`sorting.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from vramcast.environment import cublas_workspace_bytes
from vramcast.trace import Caveat, Trace
from vramcast.workspace.cublas import OPERATORS, workspace_bytes
from vramcast.workspace.stack import Stack

USUAL_CUBLAS_CONFIG = ":4096:8"
"""The larger of the two values that torch accepts (documentation of `torch.use_deterministic_algorithms`)."""
_THREADS = 2
"""Forward and backward have a handle each."""
_OTHER_KERNELS = (
    "index_add", "index_copy", "scatter", "scatter_add", "scatter_reduce", "put", "index_select_backward", "gather_backward",
    "replication_pad2d_backward", "reflection_pad2d_backward", "upsample_bilinear2d_backward",
)  # fmt: skip


def caveats(trace: Trace, stack: Stack) -> Iterator[Caveat]:
    """Yield what is unknown about the scratch of a trace in deterministic mode; nothing in the usual mode."""
    if not stack.deterministic:
        return
    calls = trace.calls.values()
    if any(call.operator.startswith("convolution") and call.inputs[0] is not None and call.inputs[0].dtype == "float32" for call in calls):
        yield Caveat(
            "cudnn.deterministic leaves out engines; the workspaces of those that fp32 convolutions run on then are taken to be the usual ones"
        )
    if stack.cublas_workspace is None and any(call.operator in OPERATORS for call in calls):
        more = max(0, cublas_workspace_bytes(USUAL_CUBLAS_CONFIG) - workspace_bytes(stack))
        yield Caveat(
            "deterministic algorithms: torch refuses cuBLAS unless CUBLAS_WORKSPACE_CONFIG is set; the forecast has the default workspace, which "
            f"{USUAL_CUBLAS_CONFIG} exceeds", _THREADS * more,
        )  # fmt: skip
    names = {name.partition("::")[2].rstrip("_") for name in trace.operators}
    if names & set(_OTHER_KERNELS):
        changed = ", ".join(sorted(names & set(_OTHER_KERNELS)))
        yield Caveat(f"deterministic algorithms: {changed} take kernels that sort their indices, whose scratch is not modelled")
