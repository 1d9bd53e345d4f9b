"""torch modules as ONNX graphs: their weights, shapes and modules, and what cannot be exported."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from vramcast.backends.graphs import graph_of
from vramcast.errors import UntraceableError, WorkloadError
from vramcast.sources import registry
from vramcast.sources.building import build_on_meta
from vramcast.sources.python_object import model_of
from vramcast.workload import Precision, Workload


def quiet(_stage: str) -> None:
    pass


def test_a_residual_network() -> None:
    model = registry.find("torchvision:resnet18")
    graph = graph_of(model, Workload.infer(batch=3, image=64, precision="fp16"), quiet)
    operators = Counter(node.operator for node in graph.nodes)
    assert operators["Conv"] == 20
    assert not operators["BatchNormalization"], "folded into convolutions, as torch.onnx.export does"
    assert [graph.tensors[name].shape for name in (*graph.inputs, *graph.outputs)] == [(3, 3, 64, 64), (3, 1000)]
    module = build_on_meta(model)
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    folded = sum(part.num_features for part in norms)  # of weight and bias a convolution's bias is left
    shaped_only = sum(graph.tensors[name].size for name in graph.initializers if graph.tensors[name].dtype == "int64")
    assert graph.weight_bytes - shaped_only == 2 * (sum(tensor.numel() for tensor in module.parameters()) - folded)
    assert graph.parameters == sum(tensor.numel() for tensor in module.parameters())
    assert {node.module for node in graph.nodes if node.operator == "Conv"} >= {"conv1", "layer1.0.conv1", "layer4.0.downsample.0"}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_folded_weights_keep_their_type(precision: Precision) -> None:
    graph = graph_of(model_of(lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))), Workload.infer(image=16, precision=precision), quiet)
    types = {graph.tensors[name].dtype for node in graph.nodes for name in (*node.inputs, *node.outputs)}
    assert types == {{"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}[precision]}
    assert graph.weight_bytes == (8 * 3 * 3 * 3 + 8) * (4 if precision == "fp32" else 2)


def test_a_detector_is_exported_as_ultralytics_does() -> None:
    graph = graph_of(registry.find("yolov8n"), Workload.infer(image=320), quiet)
    assert not [node for node in graph.nodes if node.operator == "BatchNormalization"], "fused into convolutions"
    anchors = sum((320 // stride) ** 2 for stride in (8, 16, 32))
    assert graph.tensors[graph.outputs[0]].shape == (1, 84, anchors)


@pytest.mark.parametrize("name", ["yolo11n", "torchvision:swin_t"])
def test_operators_name_their_modules(name: str) -> None:
    """Ultralytics shares one activation among all convolutions, and calls convolutions by a bound method; either makes torch write parts of names."""
    model = registry.find(name)
    graph = graph_of(model, Workload.infer(image=64), quiet)
    modules = {path for path, _ in build_on_meta(model).named_modules(remove_duplicate=False)}
    assert {node.module for node in graph.nodes} <= modules - {""}


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if x.sum() > 0 else x - 1


class Squaring(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ x


def test_what_depends_on_values_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UntraceableError, match=r"to ONNX: 1\.0 \(Branching\) decides by values.*test_export\.py.*x\.sum\(\) > 0.*\.onnx file"):
        graph_of(model_of(lambda: nn.Sequential(nn.Identity(), nn.Sequential(Branching()))), Workload.infer(inputs=["input=2x3"]), quiet)
    assert capfd.readouterr() == ("", ""), "torch prints the graph so far"


def test_what_torch_raises_says_where(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UntraceableError, match=r"RuntimeError: .*same reduction dim.* \(in Squaring, .*test_export\.py:\d+: `return x @ x`\)"):
        graph_of(model_of(Squaring), Workload.infer(inputs=["x=2x3"]), quiet)
    assert capfd.readouterr() == ("", "")


def test_training_is_refused() -> None:
    with pytest.raises(WorkloadError, match="exclude each other"):
        graph_of(registry.find("torchvision:resnet18"), Workload.train(), quiet)


@pytest.mark.parametrize("fields", [{"new_tokens": 4}, {"weights": "int8"}])
def test_what_no_static_graph_holds_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(WorkloadError, match="exclude each other"):
        graph_of(registry.find("torchvision:resnet18"), Workload.infer(**fields), quiet)
