"""Scratch of single layers."""

from __future__ import annotations

from hand_made_graphs import GraphBuilder
from test_fusion import engine

from vramcast.backends.tensorrt.build import build
from vramcast.backends.tensorrt.caveats import caveats_of
from vramcast.tensorrt_options import TensorRtOptions
from vramcast.workload import Workload


def suppression() -> GraphBuilder:
    """YOLOv7-tiny at 640 pixels: 25,200 boxes of 80 classes."""
    builder = GraphBuilder()
    boxes, scores = builder.input(1, 25200, 4), builder.input(1, 25200, 80)
    builder.outputs = builder.node("EfficientNMS_TRT", (boxes, scores), 1, 100, outputs=4)  # type: ignore[attr-defined]
    return builder


def test_suppression_takes_what_the_log_of_yolov7_tiny_says() -> None:
    builder = suppression()
    graph = builder.build(*builder.outputs)  # type: ignore[attr-defined]
    assert engine(graph, "fp16").scratch == 40_320_768  # row TRT-0045


def test_a_workspace_limits_scratch_and_says_so() -> None:
    builder = suppression()
    graph, options = builder.build(*builder.outputs), TensorRtOptions(workspace=2**20)  # type: ignore[attr-defined]
    found = build(graph, "fp16", options, (7, 5))
    assert found.scratch == 2**20
    workload = Workload.infer(backend="tensorrt", precision="fp16", tensorrt=options)
    assert any("does not fit into the workspace" in caveat.message for caveat in caveats_of(graph, found, workload, None))
