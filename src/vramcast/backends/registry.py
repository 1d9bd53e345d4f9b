"""The table of backends. Listing it imports none of them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import cast

from vramcast.backends.interface import Backend
from vramcast.errors import WorkloadError
from vramcast.sources.interface import Model
from vramcast.workload import Workload


@dataclass(frozen=True, slots=True)
class _Entry:
    module: str
    """Module that holds the class."""
    class_name: str


_BACKENDS = {
    "eager": _Entry("vramcast.backends.eager.backend", "Eager"),
    "compile": _Entry("vramcast.backends.compile.backend", "Compile"),
    "tensorrt": _Entry("vramcast.backends.tensorrt.backend", "TensorRt"),
    "onnxruntime": _Entry("vramcast.backends.onnxruntime.backend", "OnnxRuntime"),
}


_FOR_MODULES = "eager"
_FOR_FILES = ("onnxruntime", "tensorrt")
"""What runs files of operators; the first is taken where nothing is named."""


def with_backend(workload: Workload, model: Model | str) -> Workload:
    """Return the workload with what runs the model, where it leaves that open: the one place where that is decided.

    Raises:
        WorkloadError: the model is a file of operators, and the backend named runs modules.
    """
    if isinstance(model, str) or model.read_graph is None:
        return workload if workload.backend is not None else workload.with_fields(backend=_FOR_MODULES)
    legal = [name for name in _FOR_FILES if name in _BACKENDS]
    backend = workload.backend or _FOR_FILES[0]
    if backend in legal:
        return workload.with_fields(backend=backend)
    given = f"backend {workload.backend!r} and {model.name} exclude each other" if workload.backend else f"nothing says what runs {model.name}"
    raise WorkloadError(
        f"{given}: the file holds operators, and no module that PyTorch could run. Name a backend that runs such files: {', '.join(legal)}."
    )


def names() -> tuple[str, ...]:
    """Return the names of all backends, as `Workload.backend` takes them."""
    return tuple(_BACKENDS)


def backend_of(workload: Workload) -> Backend:
    """Return what runs a workload; eager PyTorch where it names nothing (`with_backend` comes first where the model is at hand)."""
    entry = _BACKENDS[workload.backend or _FOR_MODULES]
    return cast(Backend, getattr(importlib.import_module(entry.module), entry.class_name)())
