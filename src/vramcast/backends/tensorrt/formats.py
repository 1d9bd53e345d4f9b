"""How many bytes a tensor takes on the card: its type in the engine, and channels padded to what the layout's vector holds.

Layouts: `TensorFormat` of NvInferRuntimeBase.h (TensorRT 10): kHWC8 and kCHW16 for half precision, kCHW4 and kCHW32 for int8, kHWC and kCHW32 for
fp32. Which one a builder takes is a matter of timing; what its kernels need is not: tensor cores of half precision read 8 channels at a time, of
int8 32, of TF32 4 (developer guide, "Optimizing for Tensor Cores"). An image of up to 4 channels is padded to 4: to 8 would take more than a whole
engine of YOLOv5n or YOLOv10n does (logs).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from vramcast.backends.tensorrt.layers import Kind, Layer, producers, readers
from vramcast.operator_graph import GraphTensor, OperatorGraph
from vramcast.tensorrt_options import Quantization
from vramcast.units import round_up
from vramcast.workload import Precision

Capability = tuple[int, int]
AMPERE: Capability = (8, 0)
TURING: Capability = (7, 5)
_FLOATS = frozenset({"float64", "float32", "float16", "bfloat16"})
_HALF = frozenset({"fp16", "bf16"})
_VECTOR = {8: 32, 16: 8, 32: 4}
"""Bits of an element -> channels that a tensor core reads at a time."""
_IMAGE_CHANNELS = 4
_QUANTIZED = frozenset({Kind.CONVOLUTION, Kind.MATRIX_PRODUCT, Kind.SCALE, Kind.POINTWISE, Kind.CONCATENATION, Kind.VIEW, Kind.SLICE, Kind.COPY})
_QUANTIZED_OTHERS = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "Upsample", "Pad", "Transpose", "ReduceMean"})
"""Operators with integer kernels (support matrix, "Layers and precision", TensorRT 8.6)."""

Layout = Literal["linear", "vectorised"]


@dataclass(frozen=True, slots=True)
class Formats:
    """Bits and layout of every tensor of an engine."""

    bits: int
    """Of an element that is computed in floating point."""
    quantized: Collection[str]
    """Tensors held in 8 bits."""
    vectorised: Collection[str]
    """Tensors that convolutions write or read."""
    pads: bool
    """Channels are padded: kernels on tensor cores."""

    def size(self, tensor: GraphTensor) -> int:
        """Bytes of a tensor."""
        bits = self.element_bits(tensor)
        return -(-_padded(tensor, bits, self.pads and tensor.name in self.vectorised) * bits // 8)

    def element_bits(self, tensor: GraphTensor) -> int:
        """Bits of an element. A tensor that is half precision in the graph never becomes wider."""
        if tensor.dtype not in _FLOATS:
            return 8 * tensor.size // tensor.elements if tensor.elements else 8
        if tensor.name in self.quantized:
            return 8
        return min(self.bits, 16) if tensor.dtype in ("float16", "bfloat16") else self.bits


def formats_of(graph: OperatorGraph, layers: Collection[Layer], precision: Precision, quantization: Quantization, capability: Capability) -> Formats:
    """Return the formats of the tensors that these layers, not yet fused, write and read."""
    convolutions = [layer for layer in layers if layer.kind is Kind.CONVOLUTION]
    beside = (name for layer in convolutions for name in (*layer.outputs, *layer.inputs[:1]))
    convolved = frozenset(name for name in beside if len(graph.tensors[name].shape) > 3)
    bits = 16 if precision in _HALF else 32
    is_implicit = quantization != "none" and not any(layer.kind is Kind.QUANTIZE for layer in layers)
    return Formats(
        bits=bits,
        quantized=_quantized(graph, layers) if is_implicit else (),
        vectorised=convolved,
        pads=capability >= (AMPERE if bits == 32 else TURING),
    )


def _quantized(graph: OperatorGraph, layers: Collection[Layer]) -> set[str]:
    """Return the tensors that only layers with integer kernels write and read: what a calibrated engine holds in 8 bits."""
    made, read = producers(layers), readers(layers)
    beside = {name: [layer, *read.get(name, ())] for name, layer in made.items()} | {name: read.get(name, []) for name in graph.inputs}
    return {name for name, around in beside.items() if name not in graph.outputs and around and all(map(_has_integer_kernel, around))}


def _has_integer_kernel(layer: Layer) -> bool:
    return layer.kind in _QUANTIZED or (layer.kind is Kind.OTHER and layer.operators[0] in _QUANTIZED_OTHERS)


def _padded(tensor: GraphTensor, bits: int, is_vectorised: bool) -> int:
    if not is_vectorised or bits not in _VECTOR or not tensor.elements:
        return tensor.elements
    channels = tensor.shape[1]
    vector = _IMAGE_CHANNELS if channels <= _IMAGE_CHANNELS else _VECTOR[bits]
    return tensor.elements // channels * round_up(channels, vector)
