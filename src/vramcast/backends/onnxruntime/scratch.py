"""What kernels of the CUDA provider take beside inputs and outputs.

- Convolutions: the workspace of cuDNN's plan, from the arena, while the kernel runs (`Conv::GetWorkSpace`, core/providers/cuda/nn/conv.h). Its
  size is that of the project's rule for cuDNN (`workspace/cudnn_convolution.py`), an estimate. Builds with cuDNN 9 ask cuDNN's heuristics for a
  plan: mode B for EXHAUSTIVE, A for HEURISTIC, FALLBACK for DEFAULT (`Conv::UpdateState`, conv.cc of such builds). They try nothing. Builds with
  cuDNN 8 try all algorithms at the first run of a shape (EXHAUSTIVE): with the largest workspace among them, or with 32 MiB
  (`AlgoSearchWorkspaceSize`), which comes by `Reserve` and goes back at once (`GetTransientScratchBuffer`, conv_8.h, commit 18e4a2e).
- Matrix products: cuBLAS has a workspace of its own, outside of the arena, from the first product on: 32 MiB on Hopper, 4 MiB before (cuBLAS
  documentation, `cublasSetWorkspace`, as quoted in pytorch pull request 120925). Newer architectures are taken to be as Hopper is.
- `TopK` of up to 4,096 sorted values keeps what it needs in shared memory; of more, two arrays of keys and two of indices, of one row (`TopKImpl`,
  core/providers/cuda/math/topk_impl.cuh, commit 050b983). What CUB's radix sort takes beside them, and builds that split long rows, is not counted.
- `Softmax` and `LogSoftmax` over another than the last dimension (opset 13 and later) work on a transposed copy of the input, and write another
  that is transposed back (`Softmax::ComputeInternal`, core/providers/cuda/math/softmax.cc).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vramcast.backends.interface import Capability
from vramcast.onnxruntime_options import OnnxRuntimeOptions
from vramcast.operator_graph import GraphNode, GraphTensor
from vramcast.trace import OperatorCall, TensorSpec
from vramcast.units import MIB, round_up
from vramcast.workspace.convolution_shape import Convolution, Direction, of_forward
from vramcast.workspace.cudnn_convolution import ConvolutionRule
from vramcast.workspace.scratch import Site
from vramcast.workspace.stack import Stack

ALGO_SEARCH_WORKSPACE = 32 * MIB
"""`AlgoSearchWorkspaceSize`, core/providers/cuda/nn/conv.h."""
_CONVOLUTIONS = frozenset({"Conv", "FusedConv", "NhwcConv", "ConvTranspose"})
PRODUCTS = frozenset({"MatMul", "Gemm", "FusedMatMul", "FusedGemm", "Attention", "MultiHeadAttention", "Einsum"})
_LARGE_SINCE, _LARGE, _SMALL = 9, 32 * MIB, 4 * MIB
_SOFTMAX_OF_ONE_DIMENSION = 13
"""Opset; before, it works on all dimensions from its axis on."""
_MOST_IN_SHARED_MEMORY, _INDEX = 16 * 256, 8
"""Values that a block of 256 threads sorts; bytes of an index."""
_ALIGNMENT = 256
_RULE = ConvolutionRule()


class KernelScratch:
    """Scratch on one architecture, under one session's options."""

    def __init__(self, capability: Capability, options: OnnxRuntimeOptions, *, allows_tf32: bool, opset: int) -> None:
        self._site = Site(Stack(compute_capability=capability, allow_tf32=allows_tf32), is_backward=False, free_bytes=Stack().device_memory)
        self._options = options
        self._transposes = opset >= _SOFTMAX_OF_ONE_DIMENSION

    def workspace(self, node: GraphNode, tensors: Mapping[str, GraphTensor]) -> int:
        """Return what a kernel takes while it runs."""
        if node.operator == "TopK":
            return _selection(node, tensors)
        if node.operator in ("Softmax", "LogSoftmax"):
            return _transposed(node, tensors) if self._transposes else 0
        found = _convolution(node, tensors)
        if found is None:
            return 0
        size = _RULE.workspace_bytes(found, found.direction(Direction.FORWARD), self._site)
        return min(size, self._limit)

    def search(self, node: GraphNode, tensors: Mapping[str, GraphTensor]) -> int:
        """Return what the search for an algorithm takes at the first run."""
        found = _convolution(node, tensors)
        if found is None or self._options.cudnn != 8 or self._options.cudnn_conv_algo_search != "EXHAUSTIVE":
            return 0
        if not self._options.cudnn_conv_use_max_workspace:
            return ALGO_SEARCH_WORKSPACE
        return _RULE.benchmark_bytes(found, found.direction(Direction.FORWARD), self._site)

    @property
    def cublas(self) -> int:
        """What cuBLAS keeps from the first product on."""
        return _LARGE if self._site.stack.compute_capability[0] >= _LARGE_SINCE else _SMALL

    @property
    def _limit(self) -> int:
        searched = self._options.cudnn == 8 and self._options.cudnn_conv_algo_search == "EXHAUSTIVE"
        return ALGO_SEARCH_WORKSPACE if searched and not self._options.cudnn_conv_use_max_workspace else 2**62


def _selection(node: GraphNode, tensors: Mapping[str, GraphTensor]) -> int:
    source, values = tensors[node.inputs[0]], tensors[node.outputs[0]]
    if not source.shape or not _number(node, "sorted", 1):
        return 0
    axis = _number(node, "axis", -1) % len(source.shape)
    row = source.shape[axis]
    return 2 * row * (source.size // max(source.elements, 1) + _INDEX) if values.shape[axis] > _MOST_IN_SHARED_MEMORY else 0


def _transposed(node: GraphNode, tensors: Mapping[str, GraphTensor]) -> int:
    source = tensors[node.inputs[0]]
    rank = len(source.shape)
    return 2 * round_up(source.size, _ALIGNMENT) if rank and _number(node, "axis", -1) % rank != rank - 1 else 0


def _convolution(node: GraphNode, tensors: Mapping[str, GraphTensor]) -> Convolution | None:
    if node.operator not in _CONVOLUTIONS:
        return None
    source, weight, output = (tensors[name] for name in (*node.inputs[:2], node.outputs[0]))
    dims = len(source.shape) - 2
    if dims < 1 or not source.elements:
        return None
    spread = 2 - dims if dims < 2 else 0  # cuDNN takes no images of one dimension: [N, C, D] becomes [N, C, D, 1].
    strides, dilations = _numbers(node, "strides", dims, 1), _numbers(node, "dilations", dims, 1)
    call = OperatorCall(
        "convolution",
        (_spec(source, spread), _spec(weight, spread), None),
        {
            "stride": (*strides, *(1,) * spread), "dilation": (*dilations, *(1,) * spread), "groups": _number(node, "group", 1),
            "padding": (*_padding(source, weight, output, strides, dilations), *(0,) * spread), "output_padding": (0,) * (dims + spread),
            "transposed": node.operator == "ConvTranspose",
        },
    )  # fmt: skip
    return of_forward(call)


def _spec(tensor: GraphTensor, spread: int) -> TensorSpec:
    shape = (*tensor.shape, *(1,) * spread)
    stride, size = [], 1
    for side in reversed(shape):
        stride.append(size)
        size *= side
    return TensorSpec(shape, tuple(reversed(stride)), tensor.dtype)


def _padding(source: GraphTensor, weight: GraphTensor, output: GraphTensor, strides: Sequence[int], dilations: Sequence[int]) -> tuple[int, ...]:
    """Return paddings of both sides that give the output's size: the graph's own may differ from side to side, or be left to a rule."""
    sizes = zip(source.shape[2:], weight.shape[2:], output.shape[2:], strides, dilations)
    return tuple(max(0, -(-((out - 1) * stride + dilation * (kernel - 1) + 1 - image) // 2)) for image, kernel, out, stride, dilation in sizes)


def _numbers(node: GraphNode, name: str, dims: int, default: int) -> tuple[int, ...]:
    value = node.attributes.get(name)
    return tuple(int(number) for number in value) if isinstance(value, (tuple, list)) and len(value) == dims else (default,) * dims


def _number(node: GraphNode, name: str, default: int) -> int:
    value = node.attributes.get(name)
    return value if isinstance(value, int) else default
