"""What a session of the installed ONNX Runtime does on the CPU, beside what the planner says of the same graph.

The CPU provider plans as the CUDA provider does; only its kernels say other things of themselves (`CPU` below, read in
onnxruntime/core/providers/cpu and contrib_ops/cpu). Run as a script it compares whole models:

    PYTHONPATH=src:tests/allocator:tests/backends/onnxruntime python tests/backends/onnxruntime/real_session.py
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader
from real_arena import logged, register_arena

from vramcast.backends.onnxruntime.allocation_plan import plan
from vramcast.backends.onnxruntime.execution_order import ExecutionOrder, execution_order
from vramcast.backends.onnxruntime.kernels import KernelTable
from vramcast.backends.onnxruntime.memory_pattern import MemoryPattern
from vramcast.backends.onnxruntime.optimizer.levels import optimize
from vramcast.backends.onnxruntime.session_graph import SessionGraph
from vramcast.operator_graph import GraphNode, GraphTensor

_DTYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.INT64: "int64",
    TensorProto.INT32: "int32",
    TensorProto.BOOL: "bool",
    TensorProto.DOUBLE: "float64",
}
_UNARY = (
    "Elu HardSigmoid LeakyRelu Relu Selu Sigmoid Softplus Softsign Tanh ThresholdedRelu Abs Neg Floor Ceil Reciprocal Sqrt Log Exp Erf Clip Softmax"
).split()
CPU = KernelTable(
    frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"}), {**dict.fromkeys((*_UNARY, "Cast"), (0,)), "FusedConv": (3,)}
)


def session(
    path: Path, *, level: str = "ORT_DISABLE_ALL", order: ExecutionOrder = "DEFAULT", written: Path | None = None, profile: bool = False
) -> Any:
    """Open a model as it is, or optimized."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.execution_order = getattr(onnxruntime.ExecutionOrder, order)
    options.intra_op_num_threads, options.log_severity_level, options.enable_profiling = 1, 3, profile
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.disable_prepacking", "1")
    if written is not None:
        options.optimized_model_filepath = str(written)
    if profile:
        options.profile_file_prefix = str(path.with_suffix(""))
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def optimized(path: Path, level: str) -> Path:
    """Write the graph that a level makes of a model."""
    written = path.with_suffix(f".{level}.onnx")
    session(path, level=level, written=written)
    return written


def pattern_of_run(path: Path, order: ExecutionOrder = "DEFAULT") -> int:
    """Return the bytes of the block that a run of a known shape asks for: the first request of an arena that was shrunk and takes what is asked for.

    Outputs are the caller's own, and weights are not packed anew, so that nothing is left in the arena which the block could be served from.
    """
    register_arena({"arena_extend_strategy": 1})
    opened, shrinking = session(path, order=order), onnxruntime.RunOptions()
    shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    results = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(result)) for result in opened.run(None, _feed(opened))]
    opened.run_with_iobinding(_bound(opened, results), shrinking)
    bound = _bound(opened, results)
    with logged() as found:
        opened.run_with_iobinding(bound)
    return found.log.requests[0]


def pattern_of_plan(graph: SessionGraph, order: ExecutionOrder = "DEFAULT", kernels: KernelTable = CPU) -> int:
    """Return what the planner says of it."""
    nodes = execution_order(graph, order)
    made, pattern = plan(graph, nodes, kernels, frozenset()), MemoryPattern()
    for index in nodes:
        for name in made.allocated.get(index, ()):
            if name not in made.is_output:
                pattern.allocate(name, graph.tensors[name].size)
        for name in made.released.get(index, ()):
            pattern.free(name)
    return pattern.peak


def order_of_run(path: Path, order: ExecutionOrder = "DEFAULT") -> list[str]:
    """Return the names of the nodes as a session runs them."""
    return [event["name"].removesuffix("_kernel_time") for event in _events(path, order)]


def graph_of_file(path: Path) -> SessionGraph:
    """Read a file whose shapes are fixed; what no shape is stated for is taken from a run."""
    model = onnx.load(str(path))
    graph = model.graph
    tensors = {
        value.name: GraphTensor(
            value.name, tuple(side.dim_value for side in value.type.tensor_type.shape.dim), _DTYPES[value.type.tensor_type.elem_type]
        )
        for value in (*graph.input, *graph.output, *graph.value_info)
    }
    tensors |= {weight.name: GraphTensor(weight.name, tuple(weight.dims), _DTYPES[weight.data_type]) for weight in graph.initializer}
    if any(name and name not in tensors for node in graph.node for name in node.output):
        shapes = {event["name"].removesuffix("_kernel_time"): event["args"]["output_type_shape"] for event in _events(path)}
        for node in graph.node:
            for name, typed in zip(filter(None, node.output), shapes[node.name]):
                ((dtype, shape),) = typed.items()
                tensors.setdefault(name, GraphTensor(name, tuple(shape), {"float": "float32", "double": "float64"}.get(dtype, dtype)))
    values = {
        weight.name: tuple(int(value) for value in numpy_helper.to_array(weight).flatten())
        for weight in graph.initializer
        if weight.data_type == TensorProto.INT64 and np.prod(weight.dims) <= 64
    }
    nodes = tuple(
        GraphNode(node.name, node.op_type, tuple(node.input), tuple(node.output), node.domain, {one.name: _value(one) for one in node.attribute})
        for node in graph.node
    )
    names = tuple(value.name for value in graph.input), tuple(value.name for value in graph.output)
    return SessionGraph(nodes, tensors, *names, frozenset(weight.name for weight in graph.initializer), values)


def export(name: str, folder: Path) -> Path:
    """Export a model with made-up weights: `resnet`, `vit` or `yolo` of a size that is quick, or a full one by its own name."""
    import torch

    image, module = _module(name)
    path = folder / f"{name}.onnx"
    torch.onnx.export(
        module.eval(), (torch.zeros(2, 3, image, image),), str(path), dynamo=True, external_data=False, input_names=["x"], verbose=False
    )
    return path


def quantized(path: Path, way: str) -> Path:
    """Write a model as ONNX Runtime's own tools make it: `qdq` or `qoperator` of measured scales, `dynamic`, or `fp16`."""
    from onnxruntime.quantization import QuantFormat, quantize_dynamic, quantize_static

    written = path.with_suffix(f".{way}.onnx")
    if way == "dynamic":
        quantize_dynamic(str(path), str(written))
    elif way == "fp16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(str(path)), keep_io_types=True), str(written))
    else:
        quantize_static(str(path), str(written), _Samples(path), quant_format=QuantFormat.QDQ if way == "qdq" else QuantFormat.QOperator)
    return optimized(written, "ORT_DISABLE_ALL")


class _Samples(CalibrationDataReader):  # type: ignore[misc]
    """Two made-up samples to take scales from."""

    def __init__(self, path: Path) -> None:
        generator = np.random.default_rng(0)
        graph = onnx.load(str(path)).graph
        self._left = [
            {given.name: generator.random([side.dim_value for side in given.type.tensor_type.shape.dim], np.float32) for given in graph.input}
            for _ in range(2)
        ]

    def get_next(self) -> Any:
        """Return the next sample, or None."""
        return self._left.pop() if self._left else None


def _module(name: str) -> tuple[int, Any]:
    if name.startswith("yolo"):
        from vramcast.sources import torchvision_import

        torchvision_import.prepare_import()
        from ultralytics.nn.tasks import DetectionModel

        model = DetectionModel("yolo11n.yaml", verbose=False).eval().fuse(verbose=False)
        model.model[-1].export, model.model[-1].format = True, "onnx"
        return (640 if name == "yolo11n" else 64), model
    from vramcast.sources.torchvision_import import import_torchvision

    models = import_torchvision().models
    if name == "vit":
        return 32, models.VisionTransformer(image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=64, mlp_dim=128, num_classes=10)
    return (64, models.resnet18(weights=None)) if name == "resnet" else (224, getattr(models, name)(weights=None))


def _events(path: Path, order: ExecutionOrder = "DEFAULT") -> list[dict[str, Any]]:
    opened = session(path, order=order, profile=True)
    opened.run(None, _feed(opened))
    file = Path(opened.end_profiling())
    events = json.loads(file.read_text())
    file.unlink()
    return [event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]


def _feed(opened: Any) -> dict[str, Any]:
    return {given.name: np.zeros(given.shape, np.float16 if given.type == "tensor(float16)" else np.float32) for given in opened.get_inputs()}


def _bound(opened: Any, results: list[Any]) -> Any:
    binding = opened.io_binding()
    for name, value in _feed(opened).items():
        binding.bind_cpu_input(name, value)
    for given, result in zip(opened.get_outputs(), results):
        binding.bind_ortvalue_output(given.name, result)
    return binding


def _value(attribute: Any) -> object:
    value = helper.get_attribute_value(attribute)
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _counted(graph: SessionGraph) -> Counter[str]:
    return Counter(node.operator for node in graph.nodes)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        for model in ("resnet50", "vit_b_16", "yolo11n"):
            plain = optimized(export(model, Path(made)), "ORT_DISABLE_ALL")
            for file in (plain, optimized(plain, "ORT_ENABLE_EXTENDED")):
                graph = graph_of_file(file)
                level: Any = "disable_all" if file == plain else "extended"
                left = Counter(node.operator for node in optimize(graph_of_file(plain), level).nodes)
                print(f"{model} {level}: operators beyond the session's {dict(left - _counted(graph))}, missing {dict(_counted(graph) - left)}")
                for way in get_args(ExecutionOrder):
                    print(f"{file.name:45s} {way:15s} run {pattern_of_run(file, way):>12,} plan {pattern_of_plan(graph, way):>12,}")
