"""Real models of many families, exported: which operators come out, and that every shape is known.

A few run always; the others with VRAMCAST_WHOLE_ZOO=1.
"""

from __future__ import annotations

import os

import pytest

from vramcast.backends.graphs import graph_of
from vramcast.sources.registry import find
from vramcast.workload import Workload

ALWAYS = {
    "timm:test_vit": {"MatMul", "Softmax", "LayerNormalization", "Gelu", "Conv"},
    "timm:test_convnext": {"Conv", "LayerNormalization", "Gelu"},
    "yolo11n": {"Conv", "Sigmoid", "Concat", "Resize", "MaxPool", "Softmax"},
}
WHOLE = {
    "torchvision:resnet50": {"Conv", "Relu", "MaxPool", "Gemm"},
    "torchvision:mobilenet_v2": {"Conv", "Clip", "Gemm"},
    "torchvision:vit_b_16": {"MatMul", "Softmax", "LayerNormalization", "Gelu", "Conv"},
    "torchvision:efficientnet_b0": {"Conv", "Sigmoid", "Mul", "ReduceMean"},
    "torchvision:googlenet": {"Conv", "Relu", "Concat", "MaxPool"},
    "timm:convnext_tiny": {"Conv", "LayerNormalization", "Gelu", "MatMul"},
    "timm:deit_tiny_patch16_224": {"MatMul", "Softmax", "LayerNormalization", "Gelu"},
    "timm:swin_tiny_patch4_window7_224": {"MatMul", "Softmax", "LayerNormalization", "Slice", "Concat"},
    "yolov8n": {"Conv", "Sigmoid", "Concat", "Resize", "MaxPool"},
    "yolo11n-seg": {"Conv", "ConvTranspose", "Sigmoid", "Concat"},
    "yolo11n-pose": {"Conv", "Sigmoid", "Concat", "Resize"},
    "rtdetr-l": {"Conv", "GridSample", "MatMul", "LayerNormalization"},
}
CHOSEN = ALWAYS | (WHOLE if os.environ.get("VRAMCAST_WHOLE_ZOO") else {})


@pytest.mark.parametrize("name", CHOSEN)
def test_exports(name: str) -> None:
    graph = graph_of(find(name), Workload.infer(batch=2), lambda _: None)
    operators = {node.operator for node in graph.nodes}
    assert operators >= CHOSEN[name]
    assert not operators & {"BatchNormalization", "Shape", "Dropout", "Constant"}, "folded, or gone in inference"
    assert not graph.caveats
    assert not {node.domain for node in graph.nodes} - {""}
    assert all(graph.tensors[output].elements for node in graph.nodes for output in node.outputs if output), "every shape is known"
    assert all(side == 2 for side in {graph.tensors[output].shape[0] for output in graph.outputs})
    reads = {entry for node in graph.nodes for entry in node.inputs if entry}
    assert graph.initializers <= reads | set(graph.outputs)
    assert reads <= set(graph.producers) | graph.initializers | set(graph.inputs)
