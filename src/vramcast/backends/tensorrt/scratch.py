"""What a layer takes for itself while it runs; builders print the largest as scratch memory, and plan it as a tensor of one step.

Convolutions, pooling, pointwise layers and softmax take nothing that counts: engines of ResNet-50, YOLOv5n, YOLOv8s and YOLO11m have 0 to 4,608
bytes (logs, TensorRT 8.5 to 10.12). Large ones are those of sorting:

    EfficientNMS_TRT   plugin/efficientNMSPlugin/efficientNMSInference.cu (NVIDIA/TensorRT, release 8.x), `EfficientNMSWorkspaceSize`
    NonMaxSuppression  imported as that plugin (onnx-tensorrt, builtin_op_importers.cpp) up to TensorRT 8, a layer of its own since: assumed alike
    TopK, ArgMax       assumed: keys and indices of the input once more
"""

from __future__ import annotations

from vramcast.backends.tensorrt.formats import Formats
from vramcast.backends.tensorrt.layers import Layer
from vramcast.operator_graph import OperatorGraph
from vramcast.units import round_up

_ALIGNMENT = 256
_INDEX = 4


def scratch_of(graph: OperatorGraph, layer: Layer, formats: Formats) -> int:
    """Return the bytes a layer takes beside its inputs and outputs."""
    operator = layer.operators[0] if layer.nodes else ""
    if operator in ("EfficientNMS_TRT", "NonMaxSuppression"):
        return _suppression(graph, layer, formats)
    if operator == "TopK":
        tensor = graph.tensors[layer.nodes[0].inputs[0]]
        return tensor.elements * (formats.element_bits(tensor) // 8 + _INDEX)
    return 0


def _suppression(graph: OperatorGraph, layer: Layer, formats: Formats) -> int:
    """Counters; four arrays of indices and two of scores; what sorting needs beside them, which is not more than one unit."""
    scores = graph.tensors[layer.nodes[0].inputs[1]]
    batch, classes = scores.shape[0], scores.shape[2] if layer.operators[0] == "EfficientNMS_TRT" else scores.shape[1]
    counters = (3 + 1 + classes) * batch * _INDEX
    arrays = [scores.elements * _INDEX] * 4 + [scores.elements * formats.element_bits(scores) // 8] * 2
    return sum(round_up(size, _ALIGNMENT) for size in (counters, *arrays)) + _ALIGNMENT
