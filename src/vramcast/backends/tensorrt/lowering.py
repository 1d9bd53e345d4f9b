"""From ONNX operators to the builder's layers: what depends on constants and shapes alone is computed while building and never runs.

Constants are folded (catalog: "constant folding"; verbose builds: "After dead-layer removal"), and so is all arithmetic on shapes, since every
dimension is known here; of an engine with dynamic dimensions that arithmetic runs on the host.
"""

from __future__ import annotations

from vramcast.backends.tensorrt.layers import Kind, Layer
from vramcast.operator_graph import GraphNode, OperatorGraph

_KINDS = {
    Kind.CONVOLUTION: "Conv ConvTranspose",
    Kind.MATRIX_PRODUCT: "MatMul Gemm",
    Kind.SCALE: "BatchNormalization",
    Kind.POINTWISE: (
        "Abs Add And BitShift Cast Ceil Celu Clip Cos Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish IsInf IsNaN "
        "LeakyRelu Less LessOrEqual Log Max Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign "
        "Sqrt Sub Swish Tan Tanh ThresholdedRelu Where Xor"
    ),
    Kind.SOFTMAX: "Softmax LogSoftmax",
    Kind.NORMALIZATION: "LayerNormalization GroupNormalization InstanceNormalization RMSNormalization SimplifiedLayerNormalization LpNormalization",
    Kind.ATTENTION: "Attention",
    Kind.VIEW: "Reshape Flatten Squeeze Unsqueeze Identity Dropout",
    Kind.SLICE: "Slice Split",
    Kind.CONCATENATION: "Concat",
    Kind.QUANTIZE: "QuantizeLinear",
    Kind.DEQUANTIZE: "DequantizeLinear",
    Kind.OTHER: (
        "ArgMax ArgMin AveragePool CumSum DepthToSpace EfficientNMS_TRT Einsum Expand Gather GatherElements GatherND GlobalAveragePool GlobalMaxPool "
        "GridSample LRN MaxPool NonMaxSuppression NonZero OneHot Pad ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
        "ReduceSum ReduceSumSquare Resize ROIAlign_TRT RoiAlign ScatterElements ScatterND SpaceToDepth Tile TopK Transpose Trilu Upsample"
    ),
}  # fmt: skip
"""ONNX operators that onnx-tensorrt imports (github.com/onnx/onnx-tensorrt, docs/operators.md, TensorRT 10), and the two plugins read for scratch."""
KIND_OF = {operator: kind for kind, operators in _KINDS.items() for operator in operators.split()}
_SHAPES = frozenset({"Shape", "Size", "ConstantOfShape", "Constant", "Range", "EyeLike"})
"""Their results do not depend on values that are computed at run time, as long as dimensions are known (`Range`: of its inputs)."""


def lower(graph: OperatorGraph) -> tuple[Layer, ...]:
    """Return one layer for each operator that runs on the card."""
    constants = set(graph.initializers)
    layers = []
    for node in graph.nodes:
        read = tuple(name for name in node.inputs if name)
        if node.operator in _SHAPES or all(name in constants for name in read):
            constants.update(name for name in node.outputs if name)
            continue
        layers.append(_layer(node, read, constants))
    return tuple(layers)


def uncovered(graph: OperatorGraph) -> dict[str, int]:
    """Return operators that are unknown here -> how often they occur."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        if node.operator not in KIND_OF and node.operator not in _SHAPES:
            found[node.operator] = found.get(node.operator, 0) + 1
    return found


def _layer(node: GraphNode, read: tuple[str, ...], constants: set[str]) -> Layer:
    return Layer(
        kind=KIND_OF.get(node.operator, Kind.OTHER),
        nodes=(node,),
        inputs=tuple(name for name in read if name not in constants),
        outputs=tuple(name for name in node.outputs if name),
        weights=tuple(name for name in read if name in constants),
        module=_module(node),
    )


def _module(node: GraphNode) -> str:
    """Return the module that owns the weights a node reads, which a graph's optimizer may have moved to another node; else the node's own."""
    owners = (name.rpartition(".")[0] for name in node.inputs[1:] if name.endswith((".weight", ".bias")))
    return next((owner for owner in owners if owner), node.module)
