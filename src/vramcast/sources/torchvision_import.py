"""Make `import torchvision` work, and quickly, beside any build of torch.

Two things stand in the way of a forecast on a machine without a GPU:

- The torchvision wheel of the package index is a CUDA build. Beside a CPU build of torch its compiled library `_C.so`
  cannot be loaded, and the import ends with "operator torchvision::nms does not exist".
- The import takes as long as that of torch itself: `torchvision/ops/roi_align.py` imports `torch._dynamo` for one function that a
  forecast never calls, and `torchvision/__init__.py` imports the data sets (both read in torchvision 0.28).

`prepare_import()` puts a finder in front of Python's own. It acts when torchvision is imported by anybody (timm, ultralytics, a user's file)
and costs nothing when it is not. Tried with the Python code of torchvision 0.26 to 0.28.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from vramcast.sources.dynamo import dynamo_postponed
from vramcast.sources.packages import import_installed

_DATASETS = "torchvision.datasets"
_DYNAMO_UTILS = "torch._dynamo.utils"


def prepare_import() -> None:
    """Let every later `import torchvision` of this process succeed. Idempotent; imports nothing."""
    ready = "torchvision" in sys.modules or any(isinstance(finder, _TorchvisionFinder) for finder in sys.meta_path)
    if not ready:
        sys.meta_path.insert(0, _TorchvisionFinder())


def import_torchvision() -> ModuleType:
    """Return the module torchvision, imported once."""
    prepare_import()
    return import_installed("torchvision")


class _TorchvisionFinder(MetaPathFinder):
    """Finds what the other finders find, and runs two of torchvision's modules inside a context."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a module to be run inside a context; None leaves the module to the other finders."""
        context = _CONTEXTS.get(fullname)
        if context is None:
            return None
        others = (finder for finder in sys.meta_path if not isinstance(finder, _TorchvisionFinder))
        spec = next((found for finder in others if (found := finder.find_spec(fullname, path, target)) is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _ContextLoader(spec.loader, context)
        return spec


class _ContextLoader(Loader):
    """Another loader, whose module's code runs inside a context."""

    def __init__(self, loader: Loader, context: Callable[[ModuleType], AbstractContextManager[None]]) -> None:
        self._loader, self._context = loader, context

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with self._context(module):
            self._loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


@contextmanager
def _operators_declared(package: ModuleType) -> Iterator[None]:
    """Give torchvision its operators, and leave its data sets for the first use."""
    from vramcast.sources.torchvision_operators import standing_in, supply_autograd

    sys.modules[_DATASETS] = ModuleType(_DATASETS)
    try:
        with standing_in() as declared:
            yield
    finally:
        sys.modules.pop(_DATASETS, None)
        vars(package).pop("datasets", None)
    vars(package)["__getattr__"] = _import_on_use
    if declared and "torchvision._autograd_registrations" not in sys.modules:
        supply_autograd()


def _import_on_use(name: str) -> ModuleType:
    """Serve as torchvision's module-level `__getattr__` (PEP 562)."""
    if name == "datasets":
        return importlib.import_module(_DATASETS)
    raise AttributeError(f"module 'torchvision' has no attribute {name!r}")


@contextmanager
def _dynamo_deferred(_module: ModuleType) -> Iterator[None]:
    """Let functions of `torch._dynamo.utils` be named without importing it; calling one imports it."""
    if _DYNAMO_UTILS in sys.modules:
        yield
        return
    with dynamo_postponed():
        sys.modules[_DYNAMO_UTILS] = _Deferred(_DYNAMO_UTILS)
        try:
            yield
        finally:
            if isinstance(sys.modules[_DYNAMO_UTILS], _Deferred):
                del sys.modules[_DYNAMO_UTILS]


class _Deferred(ModuleType):
    """Stands for a module that is costly to import; a function taken from it imports the module when it is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(importlib.import_module(self.__name__), name)(*args, **kwargs)

        return call


_CONTEXTS: dict[str, Callable[[ModuleType], AbstractContextManager[None]]] = {
    "torchvision": _operators_declared,
    "torchvision.ops.roi_align": _dynamo_deferred,
}
