"""From a graph to an engine: fold, fuse, order, place and plan, as the builder does, without timing a kernel."""

from __future__ import annotations

from vramcast.backends.tensorrt.attention_fusion import fuse_attention
from vramcast.backends.tensorrt.block_assignment import assign
from vramcast.backends.tensorrt.convolution_fusion import fold_scales, fuse_activations, fuse_chains
from vramcast.backends.tensorrt.formats import TURING, Capability, Formats, formats_of
from vramcast.backends.tensorrt.horizontal_fusion import merge_side_by_side
from vramcast.backends.tensorrt.layers import Binding, Engine, Kind, Layer
from vramcast.backends.tensorrt.lowering import lower, uncovered
from vramcast.backends.tensorrt.placement import Bindings, spans_of
from vramcast.backends.tensorrt.pointwise_fusion import fuse_pointwise
from vramcast.backends.tensorrt.quantization import fuse_quantization
from vramcast.backends.tensorrt.schedule import in_order
from vramcast.backends.tensorrt.scratch import scratch_of
from vramcast.backends.tensorrt.weights import weights_of
from vramcast.operator_graph import GraphTensor, OperatorGraph
from vramcast.tensorrt_options import TensorRtOptions
from vramcast.workload import Precision

_FLOATS = frozenset({"float64", "float32", "float16", "bfloat16"})
_BINDING_BITS = 32
_HALF = frozenset({"fp16", "bf16"})


def build(graph: OperatorGraph, precision: Precision, options: TensorRtOptions, capability: Capability) -> Engine:
    """Return what a builder makes of the graph at its shapes: those of the profile's largest batch."""
    lowered = in_order(lower(graph))
    formats = formats_of(graph, lowered, precision, options.quantization, capability)
    layers = in_order(fuse(graph, lowered, is_below_fp32=precision in _HALF or options.quantization != "none", capability=capability))
    wanted = [scratch_of(graph, layer, formats) for layer in layers]
    scratch = wanted if options.workspace is None else [min(size, options.workspace) for size in wanted]
    spans = spans_of(graph, layers, formats, scratch, _bindings(graph, layers, formats, options))
    return Engine(
        layers=tuple(layer for layer in layers if layer.kind not in (Kind.VIEW, Kind.SLICE)),
        blocks=assign(spans),
        weights=weights_of(graph, layers, precision, is_quantized=options.quantization != "none"),
        bindings=tuple(
            Binding(name, _binding_bytes(graph.tensors[name], formats, options), name in graph.inputs) for name in (*graph.inputs, *graph.outputs)
        ),
        scratch=max(scratch, default=0),
        wanted_scratch=max(wanted, default=0),
        tensors=len(spans),
        uncovered=uncovered(graph),
    )


def fuse(graph: OperatorGraph, layers: tuple[Layer, ...], *, is_below_fp32: bool, capability: Capability) -> tuple[Layer, ...]:
    """Apply the builder's fusions, one after another."""
    layers = fuse_pointwise(graph, layers)
    layers = fold_scales(graph, layers)
    layers = fuse_activations(graph, layers)
    layers = merge_side_by_side(graph, layers)
    if is_below_fp32 and capability >= TURING:
        layers = fuse_attention(graph, fuse_chains(graph, layers))
    return fuse_quantization(graph, layers)


def _bindings(graph: OperatorGraph, layers: tuple[Layer, ...], formats: Formats, options: TensorRtOptions) -> Bindings:
    """Find the inputs and outputs that are reformatted inside: another type, or channels padded for a convolution (logs: "Reformatting CopyNode")."""

    def differs(name: str) -> bool:
        tensor = graph.tensors[name]
        return tensor.dtype in _FLOATS and formats.size(tensor) != _binding_bytes(tensor, formats, options)

    made = {name for layer in layers for name in layer.outputs}
    return Bindings(tuple(filter(differs, graph.inputs)), tuple(name for name in graph.outputs if name in made and differs(name)))


def _binding_bytes(tensor: GraphTensor, formats: Formats, options: TensorRtOptions) -> int:
    if tensor.dtype not in _FLOATS:
        return tensor.size
    bits = formats.bits if options.bindings == "engine" else min(_BINDING_BITS, 8 * tensor.size // max(tensor.elements, 1))
    return tensor.elements * bits // 8
