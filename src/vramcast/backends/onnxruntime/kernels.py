"""What the kernels of the CUDA provider say of themselves when they are registered, as far as memory depends on it.

Kernels say it in their registration (`KernelDefBuilder`), onnxruntime/core/providers/cuda and onnxruntime/contrib_ops/cuda:

- `Alias(0, 0)`: the output is the input's memory. `tensor/reshape.cc` (commit 0cccd81), and its kin that only change a shape.
- `MayInplace(0, 0)`: the output may take the input's memory where nobody else reads it. `activation/activations.cc` (commit 06414ba). Elementwise
  arithmetic (`math/binary_elementwise_ops.cc`, `math/unary_elementwise_ops.cc`, commits 00ca168 and 081aa2f) and `FusedConv` (`fused_conv.cc`,
  commit 01e7ec0) do not say so: their outputs are new.
- `InputMemoryType(OrtMemTypeCPUInput, i)`: input i is read on the host.
- `OutputMemoryType(OrtMemTypeCPUOutput, i)`: the output is written on the host.

A node that no kernel of the provider is registered for runs on the host (the CPU provider), and so do most quantized ones: the provider has
`QuantizeLinear`, `DequantizeLinear`, `QAttention`, and `MatMulInteger` of two signed matrices (cuda_execution_provider.cc,
cuda_contrib_kernels.cc; docs/OperatorKernels.md, commit 001d12d).

Which of the operators below were read and which are taken over from the kind they belong to is said at each table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vramcast.operator_graph import GraphNode, GraphTensor

_SHAPES_ONLY = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")
"""Reshape was read; that the others alias their input in the same way is assumed (the CPU's do)."""
_ACTIVATIONS = ("Elu", "HardSigmoid", "LeakyRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh", "ThresholdedRelu")
"""All of `activations.cc`."""
_HOST_INPUTS: Mapping[str, tuple[int, ...]] = {
    "Reshape": (1,), "Expand": (1,), "Unsqueeze": (1,), "Squeeze": (1,), "ConstantOfShape": (0,), "Tile": (1,), "Slice": (1, 2, 3, 4),
    "Pad": (1, 2, 3), "Resize": (1, 2, 3), "Upsample": (1,), "Split": (1,), "TopK": (1,), "Range": (0, 1, 2), "OneHot": (1,), "CumSum": (1,),
    "ReduceSum": (1,), "ReduceMean": (1,), "ReduceMax": (1,), "ReduceMin": (1,), "ReduceL1": (1,), "ReduceL2": (1,), "ReduceProd": (1,),
    "ReduceLogSumExp": (1,), "NonMaxSuppression": (2, 3, 4), "If": (0,), "Loop": (0, 1), "Clip": (1, 2), "Trilu": (1,),
}  # fmt: skip
"""Shapes, axes, sizes and bounds. Reshape was read; of the others it is assumed: the host needs them to launch the kernel."""
_HOST_OUTPUTS = frozenset({"Shape", "Size"})

_WITHOUT_KERNEL = frozenset({
    "ConvInteger", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "QGemm", "QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearSoftmax",
    "QLinearSigmoid", "QLinearLeakyRelu", "QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearReduceMean", "QLinearWhere",
    "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "MatMulIntegerToFloat",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class KernelTable:
    """Aliases and places of a provider's kernels, by operator type."""

    aliases: frozenset[str]
    """The first output is the first input's memory."""
    in_place: Mapping[str, tuple[int, ...]]
    """Inputs whose memory the first output may take, in the order in which they are tried."""
    host_inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    host_outputs: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    """Operators that the provider has no kernel for."""

    def has(self, node: GraphNode, tensors: Mapping[str, GraphTensor]) -> bool:
        """Whether the provider has a kernel for a node."""
        is_unsigned = node.operator == "MatMulInteger" and any(tensors[name].dtype != "int8" for name in node.inputs[:2])
        return not (self.absent and (node.operator in self.absent or is_unsigned))

    def alias(self, node: GraphNode, output: int) -> str | None:
        """Return the input that an output must share memory with."""
        return (node.inputs[0] or None) if output == 0 and node.operator in self.aliases and node.inputs else None

    def may_take(self, node: GraphNode, output: int) -> tuple[str, ...]:
        """Return the inputs whose memory an output may take."""
        places = self.in_place.get(node.operator, ()) if output == 0 else ()
        return tuple(node.inputs[place] for place in places if place < len(node.inputs) and node.inputs[place])

    def reads_on_host(self, node: GraphNode, place: int) -> bool:
        """Whether an input is read on the host."""
        return place in self.host_inputs.get(node.operator, ())

    def writes_on_host(self, node: GraphNode) -> bool:
        """Whether the outputs are written on the host."""
        return node.operator in self.host_outputs


CUDA = KernelTable(frozenset(_SHAPES_ONLY), dict.fromkeys(_ACTIVATIONS, (0,)), _HOST_INPUTS, _HOST_OUTPUTS, _WITHOUT_KERNEL)
