"""torch modules as ONNX graphs: torch's own exporter (`torch.onnx.export`, 2.13) run on fake tensors, so that no weight has bytes.

What comes out is what the exporter writes to a file by default: functions inlined, what only depends on shapes computed, batch normalisation folded
into the convolution before it (onnxscript 0.7, `optimizer/_optimizer.py`, `rewriter/__init__.py`). Any other fusing is left to the runtimes.
The call is that of the eager backend, `program/tasks`, in evaluation mode.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import onnx_ir
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

from vramcast.backends.graphs.blame import refused
from vramcast.backends.graphs.ultralytics_model import prepare_for_export
from vramcast.backends.graphs.without_bytes import fake, give_numbers, make_fake
from vramcast.backends.interface import Progress
from vramcast.errors import ModelError, WorkloadError
from vramcast.onnx_graph.convert import operator_graph
from vramcast.onnx_graph.shapes import infer_shapes
from vramcast.operator_graph import OperatorGraph
from vramcast.program.language_habits import apply_language_habits
from vramcast.program.precision import convert
from vramcast.program.program import setting_of
from vramcast.program.sizes import check_sizes
from vramcast.program.tasks.interface import Setting
from vramcast.program.tasks.registry import TASKS
from vramcast.sources.building import build_on_meta
from vramcast.sources.interface import Model
from vramcast.workload import Workload


def export_graph(model: Model, workload: Workload, progress: Progress) -> OperatorGraph:
    """Return the model's inference call as a graph.

    Raises:
        ModelError: the model cannot be built.
        UntraceableError: it cannot be exported; the message carries the exporter's reason.
        WorkloadError: the workload does not go with this model, or is none that a static graph can hold.
    """
    _check(workload)
    check_sizes(model, workload)
    progress(f"building {model.name}")
    module = build_on_meta(model, workload.classes)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    setting = setting_of(model, workload)
    progress(f"exporting {model.name}")
    with _quiet(), refused(model, module):
        exported = export_module(_prepared(module, setting), setting)
        infer_shapes(exported)
    return replace(operator_graph(exported), name=model.name, parameters=parameters)


def export_module(module: nn.Module, setting: Setting) -> onnx_ir.Model:
    """Export a module on the meta device, which has fake tensors from then on."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    args, keywords = call_of(module, setting)
    make_fake(module, mode)
    args, keywords = _pytree.tree_map_only(torch.Tensor, lambda tensor: fake(tensor, mode), (args, keywords))
    with mode, torch.no_grad():
        program = torch.onnx.export(module, args, kwargs=keywords or None, dynamo=True, optimize=False, verbose=False)
    if program is None:  # which torch's annotation allows for
        raise ModelError("torch.onnx.export returned nothing.")
    for graph in program.model.graphs():
        give_numbers(graph.initializers.values())
    program.optimize()
    return program.model


def call_of(module: nn.Module, setting: Setting) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what the task calls a module with, on the meta device."""
    task = TASKS[setting.model.task]()
    heard = _Listening()
    with _OnMeta():
        batch = task.batch(setting)
    with contextlib.suppress(_HeardError):
        task.outputs(heard, batch)
    return heard.called_with


class _HeardError(Exception):
    """The module was called, and there is nothing to go on with."""


class _Listening(nn.Module):
    """Notes what it is called with."""

    called_with: tuple[tuple[Any, ...], dict[str, Any]] = (), {}

    def forward(self, *args: Any, **keywords: Any) -> Any:
        self.called_with = args, keywords
        raise _HeardError


class _OnMeta(TorchFunctionMode):
    """Puts on the meta device what is meant for a GPU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*map(self._moved, args), **{name: self._moved(value) for name, value in (kwargs or {}).items()})

    @staticmethod
    def _moved(argument: Any) -> Any:
        return "meta" if isinstance(argument, (str, torch.device)) and str(argument).startswith("cuda") else argument


def _check(workload: Workload) -> None:
    backend = f"backend {workload.backend!r}"
    if workload.new_tokens is not None:
        raise WorkloadError(
            f"new_tokens {workload.new_tokens} and {backend} exclude each other: a static graph holds one forward pass. "
            "Leave new_tokens out, or take backend 'eager'."
        )
    if workload.weights is not None:
        raise WorkloadError(
            f"weights {workload.weights!r} and {backend} exclude each other: torch exports no packed layers. Name an ONNX file of quantised weights, "
            "or take backend 'eager'."
        )


def _prepared(module: nn.Module, setting: Setting) -> nn.Module:
    convert(module, setting.workload.precision).eval()
    config: Any = getattr(module, "config", None)
    if hasattr(config, "use_cache"):
        config.use_cache = False  # one forward pass leaves no keys and values
    apply_language_habits(module, setting.workload)
    if setting.model.source == "ultralytics":
        prepare_for_export(module, setting.image)
    return module


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks from standard output and error: they are about the export, not about memory.

    Where it fails it prints the graph so far (`torch/export/_trace.py`), and logs what it raises besides.
    """
    level = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(level)
