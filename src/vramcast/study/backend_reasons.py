"""Why a backend takes more or less of a component than another. What each does is described, with its sources, in docs/backends.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vramcast.units import MIB, format_bytes

_WORTH_A_WORD = 16 * MIB
_SHARE = 0.02
"""Of the whole, below which a difference is not worth a word either."""
_MOST = 4

_ONE_PLAN = "layers are fused, and what is left shares one block by lifetimes, planned before the run"
_WHY: Mapping[tuple[str, str], str] = {
    ("compile", "activations"): "what is cheap to compute again is not kept for backward, and fused kernels make no tensors between",
    ("compile", "temporaries"): "fused kernels make no tensors between, and buffers are used again as soon as they are free",
    ("compile", "gradients"): "the compiled backward pass frees and reuses what eager autograd holds a moment longer",
    ("compile", "workspace"): "the same libraries' kernels, in another layout",
    ("compile", "reserved_unallocated"): "other sizes in another order leave other gaps in the caching allocator",
    ("tensorrt", "weights"): "the engine holds weights in the type it was built in, batch norm folded into convolutions",
    ("tensorrt", "buffers"): "batch norm is folded into convolutions, and no buffers are left",
    ("tensorrt", "activations"): _ONE_PLAN,
    ("tensorrt", "temporaries"): _ONE_PLAN,
    ("tensorrt", "workspace"): "each engine has scratch for its largest layer, whether the layer runs or not",
    ("tensorrt", "inputs"): "inputs are the caller's buffers, and nothing is staged beside them",
    ("tensorrt", "reserved_unallocated"): "there is no caching allocator: blocks come from the driver as they are",
    ("tensorrt", "cuda_context"): "other libraries and kernels are loaded",
    ("onnxruntime", "weights"): "batch norm is folded into convolutions; initializers lie beside the arena in one block",
    ("onnxruntime", "buffers"): "batch norm is folded into convolutions, and no buffers are left",
    ("onnxruntime", "activations"): "buffers are used again by a plan made from the first run",
    ("onnxruntime", "temporaries"): "buffers are used again by a plan made from the first run",
    ("onnxruntime", "workspace"): "cuDNN's workspaces come from the arena, cuBLAS's from the driver",
    ("onnxruntime", "reserved_unallocated"): "the arena grows by doubling and keeps what it has",
    ("onnxruntime", "cuda_context"): "other libraries and kernels are loaded",
}


def reasons(backend: str, components: Mapping[str, int], others: Mapping[str, int]) -> Iterator[str]:
    """Say of the largest differences why they are there: `activations 1.2 GiB less: …`."""
    more = {name: components.get(name, 0) - others.get(name, 0) for name in {**others, **components}}
    least = max(_WORTH_A_WORD, int(_SHARE * sum(others.values())))
    largest = sorted((name for name in more if abs(more[name]) >= least), key=lambda name: (-abs(more[name]), name))
    for name in largest[:_MOST]:
        why = _WHY.get((backend, name))
        said = f"{name.replace('_', ' ')} {format_bytes(abs(more[name]))} {'more' if more[name] > 0 else 'less'}"
        yield f"{said}: {why}" if why else said
