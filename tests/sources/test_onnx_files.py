"""ONNX files as models: found by their form, forecast without torch, and the same as the torch model they were exported from."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vramcast.backends import registry as backends
from vramcast.backends.graphs import graph_of
from vramcast.backends.graphs.ultralytics_model import prepare_for_export
from vramcast.errors import InvalidFileError, ModelError, WorkloadError
from vramcast.operator_graph import GraphSizes, OperatorGraph
from vramcast.sources import registry
from vramcast.sources.python_object import model_of
from vramcast.workload import Workload


def quiet(_stage: str) -> None:
    pass


def trained(module: nn.Module) -> nn.Module:
    """Give the weights values that differ from each other, as those of a trained model do; exporters keep equal ones once."""
    generator = torch.Generator().manual_seed(0)
    for tensor in [*module.parameters(), *(buffer for buffer in module.buffers() if buffer.is_floating_point())]:
        tensor.data = torch.rand(tensor.shape, generator=generator) + 0.5
    return module.eval()


def written(module: nn.Module, path: Path, inputs: tuple[Any, ...], **options: Any) -> Path:
    """Export with real weights."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(trained(module), inputs, str(path), dynamo=True, verbose=False, **options)
    return path


def weights(graph: OperatorGraph) -> list[tuple[tuple[int, ...], str]]:
    return sorted((graph.tensors[name].shape, graph.tensors[name].dtype) for name in graph.initializers)


@pytest.mark.parametrize(("name", "external"), [("timm:test_resnet", True), ("timm:test_efficientnet", False), ("timm:test_vit", False)])
def test_both_routes_agree(tmp_path: Path, name: str, external: bool) -> None:
    """Exported without bytes and read at once, or written with weights by torch and read from there: the same graph, weights to the byte."""
    model = registry.find(name)
    direct = graph_of(model, Workload.infer(batch=2), quiet)
    path = written(model.build(None), tmp_path / "model.onnx", (torch.zeros(2, 3, *(model.image or ())),), external_data=external)
    assert (tmp_path / "model.onnx.data").exists() == external
    read = graph_of(registry.find(str(path)), Workload.infer(batch=2, backend="tensorrt"), quiet)
    assert read.weight_bytes == direct.weight_bytes
    assert weights(read) == weights(direct)
    assert [(node.operator, node.module) for node in read.nodes] == [(node.operator, node.module) for node in direct.nodes]
    assert {value.shape for value in read.tensors.values()} == {value.shape for value in direct.tensors.values()}
    assert not read.caveats


def test_both_routes_agree_on_a_detector(tmp_path: Path) -> None:
    """YOLO11n with weights, fused and set up as ultralytics' own exporter does."""
    model = registry.find("yolo11n")
    direct = graph_of(model, Workload.infer(batch=2, image=64), quiet)
    module: Any = trained(model.build(None))
    module.fuse(verbose=False)
    prepare_for_export(module, (64, 64))
    path = written(module, tmp_path / "model.onnx", (torch.zeros(2, 3, 64, 64),))
    read = graph_of(registry.find(str(path)), Workload.infer(batch=2, backend="tensorrt"), quiet)
    assert weights(read) == weights(direct)
    assert [(node.operator, node.module) for node in read.nodes] == [(node.operator, node.module) for node in direct.nodes]


class Headed(nn.Module):
    """Convolutions with and without bias before a batch norm, one behind nothing that it folds into, and a head that inference never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.first = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.biased, self.second = nn.Conv2d(6, 10, 3), nn.BatchNorm2d(10)
        self.alone = nn.BatchNorm2d(10)
        self.head, self.auxiliary = nn.Linear(10, 4), nn.Linear(10, 400)

    def forward(self, x: torch.Tensor) -> Any:
        features = self.second(self.biased(self.first(self.plain(x)).relu())).relu()
        pooled = self.alone(features).mean((2, 3))
        return (self.head(pooled), self.auxiliary(pooled)) if self.training else self.head(pooled)


def test_weights_are_those_of_the_module() -> None:
    """A batch norm behind a convolution leaves its bias; one that stays keeps its four vectors, but not its counter; an unused head is gone."""
    graph = graph_of(model_of(Headed), Workload.infer(image=16), quiet)
    convolutions = 3 * 6 * 9 + 6 + 6 * 10 * 9 + 10
    assert floats(graph) == convolutions + 4 * 10 + 10 * 4 + 4


def floats(graph: OperatorGraph) -> int:
    return sum(graph.tensors[name].elements for name in graph.initializers if graph.tensors[name].dtype == "float32")


def test_an_exported_batch_stays_open(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5))
    module(torch.zeros(1, 3, 16, 16))
    open_batch = {"input": {0: torch.export.Dim("batch")}}
    path = written(module, tmp_path / "open.onnx", (torch.zeros(2, 3, 16, 16),), dynamic_shapes=open_batch)
    graph = graph_of(registry.find(str(path)), Workload.infer(batch=7, backend="tensorrt"), quiet)
    assert [graph.tensors[name].shape for name in (*graph.inputs, *graph.outputs)] == [(7, 3, 16, 16), (7, 5)]


def test_the_legacy_exporter(tmp_path: Path) -> None:
    axes = {"images": {0: "batch", 2: "height", 3: "width"}}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        images = torch.zeros(1, 3, 64, 64)
        torch.onnx.export(trained(Headed()), (images,), str(tmp_path / "old.onnx"), dynamo=False, input_names=["images"], dynamic_axes=axes)
    graph = graph_of(registry.find(str(tmp_path / "old.onnx")), Workload.infer(batch=3, image=96, backend="tensorrt"), quiet)
    direct = graph_of(model_of(Headed), Workload.infer(batch=3, image=96), quiet)
    assert floats(graph) == floats(direct)
    shapes = [[found.tensors[node.outputs[0]].shape for node in found.nodes if node.operator in ("Conv", "Gemm")] for found in (graph, direct)]
    assert shapes[0] == shapes[1] == [(3, 6, 94, 94), (3, 10, 92, 92), (3, 4)]


def test_found_by_its_form(tmp_path: Path) -> None:
    path = tmp_path / "Some Model.ONNX"
    path.write_bytes(b"not read yet")
    for text in (str(path), f"onnx:{path}"):
        model = registry.find(text)
        assert (model.name, model.source, model.task) == ("Some Model.ONNX", "onnx", "generic")
    with pytest.raises(InvalidFileError, match="there is no file"):
        registry.find(str(tmp_path / "other.onnx"))
    with pytest.raises(ModelError, match="no torch module can be built"):
        model.build(None)


def test_what_runs_a_file_is_decided_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").write_bytes(b"")
    file, module = registry.find(str(tmp_path / "m.onnx")), registry.find("torchvision:resnet18")
    assert backends.with_backend(Workload.infer(), module).backend == "eager"
    assert backends.with_backend(Workload.infer(backend="tensorrt"), module).backend == "tensorrt"
    assert backends.with_backend(Workload.infer(backend="tensorrt"), file).backend == "tensorrt"
    with pytest.raises(WorkloadError, match=r"backend 'eager' and m\.onnx exclude each other.*Name a backend that runs such files: .*tensorrt"):
        backends.with_backend(Workload.infer(backend="eager"), file)
    monkeypatch.setitem(backends._BACKENDS, "onnxruntime", backends._BACKENDS["tensorrt"])
    assert backends.with_backend(Workload.infer(), file).backend == "onnxruntime"
    monkeypatch.delitem(backends._BACKENDS, "onnxruntime")
    with pytest.raises(WorkloadError, match=r"nothing says what runs m\.onnx"):
        backends.with_backend(Workload.infer(), file)


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # any import of it fails
import vramcast
answer = vramcast.estimate(sys.argv[1], vramcast.Workload.infer(batch=4, backend="tensorrt"), gpu="t4")
print(answer.model.parameters, answer.fits)
"""


def test_torch_is_not_needed(tmp_path: Path) -> None:
    path = written(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), tmp_path / "m.onnx", (torch.zeros(4, 3, 16, 16),))
    run = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, str(path)], capture_output=True, text=True, timeout=120)
    assert run.stdout.split() == [str(8 * 3 * 3 * 3 + 8), "True"], run.stderr[-2000:]


def test_sizes_reach_the_file() -> None:
    from vramcast.backends.graphs import graph_of as of
    from vramcast.sources.interface import Model

    seen: list[GraphSizes] = []

    def read(sizes: GraphSizes) -> OperatorGraph:
        seen.append(sizes)
        return OperatorGraph("g", (), {}, (), (), frozenset())

    model = Model(name="m", source="onnx", task="generic", build=lambda _: nn.Identity(), read_graph=read)
    of(model, Workload.infer(batch=3, image=(4, 5), seq=6, backend="tensorrt"), quiet)
    of(model, Workload.infer(batch=3, inputs=["x=1x2"], backend="tensorrt"), quiet)
    assert seen == [GraphSizes(3, (4, 5), 6, {}), GraphSizes(3, None, None, {"x": (1, 2)})]
