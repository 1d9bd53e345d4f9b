"""The table of backends. Listing it imports none of them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import cast

from vramcast.backends.interface import Backend
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


def names() -> tuple[str, ...]:
    """Return the names of all backends, as `Workload.backend` takes them."""
    return tuple(_BACKENDS)


def backend_of(workload: Workload) -> Backend:
    """Return what runs a workload."""
    entry = _BACKENDS[workload.backend]
    return cast(Backend, getattr(importlib.import_module(entry.module), entry.class_name)())
