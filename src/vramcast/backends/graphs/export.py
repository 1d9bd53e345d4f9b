"""torch modules as ONNX graphs: `torch.export` and `torch.onnx` run on fake tensors, so that no weight has bytes.

The program is that of the eager backend, `program/tasks`, in evaluation mode. Ultralytics' models are prepared as its own exporter does
(8.4, `engine/exporter.py`): batch norm fused into convolutions, the head told that it is exported. What can be computed from shapes alone is
folded by onnxscript's optimizer; fusing operators is left to the runtimes.
"""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import onnx_ir
import torch
from onnxscript import optimizer
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils import _pytree

from vramcast.backends.interface import Progress
from vramcast.errors import UntraceableError
from vramcast.operator_graph import OperatorGraph
from vramcast.program.precision import convert
from vramcast.program.program import setting_of
from vramcast.program.sizes import check_sizes
from vramcast.program.tasks.interface import Batch, Setting, Task
from vramcast.program.tasks.registry import TASKS
from vramcast.sources.building import build_on_meta, on_meta
from vramcast.sources.interface import Model
from vramcast.sources.onnx_ir_graph import graph_of_ir
from vramcast.workload import Workload

_SCOPES, _CLASSES = "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"
"""Where torch.onnx (2.13) writes the modules a node comes from, outermost first, and the operator last."""
_PREFIX = "module."
"""In front of the model's own names, which is one module of `_Call`."""
_ONLY_IMAGES = "img"


class _Call(nn.Module):
    """Runs a model as its task does, given the tensors of a batch."""

    def __init__(self, module: nn.Module, task: Task) -> None:
        super().__init__()
        self.module, self._task = module, task

    def forward(self, args: Any, keywords: Any) -> Any:
        return _pytree.tree_leaves(self._task.outputs(self.module, Batch(args=tuple(args), keywords=keywords)))


def export_graph(model: Model, workload: Workload, progress: Progress) -> OperatorGraph:
    """Return the model's inference call as a graph.

    Raises:
        ModelError: the model cannot be built.
        UntraceableError: it cannot be exported; the message carries the exporter's reason.
        WorkloadError: the workload does not go with this model.
    """
    check_sizes(model, workload)
    progress(f"building {model.name}")
    setting = setting_of(model, workload)
    call = _Call(_prepared(build_on_meta(model, workload.classes), workload, model), TASKS[model.task]())
    progress(f"exporting {model.name}")
    with _quiet():
        exported, weights = _exported(call, _batch(call, setting), model)
    return graph_of_ir(exported, model.name, weights=weights, module_of=_module_of)


def _prepared(module: nn.Module, workload: Workload, model: Model) -> nn.Module:
    convert(module, workload.precision).eval()
    if model.source == "ultralytics":
        fused: Any = module
        with contextlib.redirect_stdout(io.StringIO()):
            fused.fuse(verbose=False)
        for part in fused.modules():
            if hasattr(part, "export"):
                part.export, part.format = True, "onnx"
    config: Any = getattr(module, "config", None)
    if hasattr(config, "use_cache"):
        config.use_cache = False
    return module


def _batch(call: _Call, setting: Setting) -> Batch:
    """Return the task's batch, without what only losses read."""
    with on_meta():
        batch = call._task.batch(setting)
    if batch.args and isinstance(batch.args[0], dict) and _ONLY_IMAGES in batch.args[0]:
        return Batch(args=({_ONLY_IMAGES: batch.args[0][_ONLY_IMAGES]},))
    return batch


def _exported(call: _Call, batch: Batch, model: Model) -> tuple[onnx_ir.Model, set[str]]:
    """Return the ONNX model, its shapes worked out, and the names of its weights."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    _without_bytes(call, mode)
    inputs = _pytree.tree_map_only(torch.Tensor, lambda tensor: _fake(tensor, mode), (list(batch.args), dict(batch.keywords)))
    try:
        with torch.no_grad(), mode:
            program = torch.export.export(call, inputs, strict=False)
        made: Any = torch.onnx.export(program, (), dynamo=True, optimize=False, verbose=False)
        exported: onnx_ir.Model = made.model
        weights = _as_inputs(exported)
        optimizer.optimize_ir(exported)
    except Exception as error:
        reason = " ".join(str(error).split())[:400]
        raise UntraceableError(
            f"{model.source}:{model.name} cannot be exported to ONNX ({type(error).__name__}: {reason}). "
            "Export it by its own tools, and name the .onnx file instead."
        ) from error
    return exported, weights


def _as_inputs(model: onnx_ir.Model) -> set[str]:
    """Turn weights into inputs, so that nothing asks for their values."""
    graph = model.graph
    without_values = [value for value in graph.initializers.values() if isinstance(getattr(value.const_value, "raw", None), FakeTensor)]
    for value in without_values:
        del graph.initializers[str(value.name)]
        value.const_value = None
        graph.inputs.append(value)
    return {str(value.name) for value in without_values}


def _without_bytes(module: nn.Module, mode: FakeTensorMode) -> None:
    """Put fake tensors in the place of meta ones; a tensor that serves several modules stays one."""
    made: dict[int, Any] = {}
    for part in module.modules():
        for tensors in (part._parameters, part._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    fake = made.setdefault(id(tensor), _fake(tensor, mode))
                    tensors[name] = nn.Parameter(fake, requires_grad=False) if tensors is part._parameters and fake.is_floating_point() else fake
        for name, value in vars(part).items():
            if isinstance(value, torch.Tensor) and value.is_meta:
                setattr(part, name, made.setdefault(id(value), _fake(value, mode)))


def _fake(tensor: torch.Tensor, mode: FakeTensorMode) -> torch.Tensor:
    with mode:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)


def _module_of(node: onnx_ir.Node) -> str:
    """Return the innermost module that a node comes from."""
    scopes = _listed(node.metadata_props.get(_SCOPES, ""))
    names = [scope for scope in scopes[:-1] if scope]
    return names[-1].removeprefix(_PREFIX).removeprefix("module") if names else ""


def _listed(text: str) -> list[str]:
    """Read a list of texts as Python prints one."""
    try:
        found = ast.literal_eval(text) if text else []
    except (ValueError, SyntaxError):
        return []
    return [str(item) for item in found]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks from standard output and error: they are about the export, not about memory."""
    level = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)
