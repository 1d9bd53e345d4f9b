"""Do without `torch._dynamo` until something is compiled.

Importing it takes 1.8 s, nearly as long as torch. Yet eager code asks it for four things only (read in torch 2.13): `disable`, which
`torch/_compile.py` puts around optimizers and around the reference code that every elementwise operator on meta tensors runs;
`graph_break` (`torch/optim/optimizer.py`); `is_compiling`; and one setting (`torch/utils/checkpoint.py`). A stand-in answers these;
asked for anything else it imports the real module, which takes its place.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
from typing import Any

_DYNAMO = "torch._dynamo"


@contextmanager
def dynamo_postponed() -> Iterator[None]:
    """Within, `import torch._dynamo` is immediate. Does nothing where it has been imported already; may be nested."""
    if _DYNAMO in sys.modules:
        yield
        return
    finder = _RealSubmodules()
    sys.meta_path.insert(0, finder)
    sys.modules[_DYNAMO] = _StandIn(_DYNAMO)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if not _is_real():
            del sys.modules[_DYNAMO]


def _is_real() -> bool:
    """Whether dynamo itself has been imported, without which nothing can be compiling."""
    return not isinstance(sys.modules.get(_DYNAMO, None), (_StandIn, type(None)))


def _real() -> ModuleType:
    if not _is_real():
        sys.modules.pop(_DYNAMO, None)
    return importlib.import_module(_DYNAMO)


class _Config:
    """The setting that `torch/utils/checkpoint.py` reads; its default in `torch/_dynamo/config.py` (torch 2.13)."""

    error_on_nested_fx_trace = True

    def __getattr__(self, name: str) -> Any:
        return getattr(_real().config, name)


class _StandIn(ModuleType):
    """Answers as `torch._dynamo` does while nothing is compiled."""

    config = _Config()

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = []  # marks a package, so that importing a submodule reaches `_RealSubmodules`

    @staticmethod
    def is_compiling() -> bool:
        return False

    @staticmethod
    def graph_break(*_args: Any, **_kwargs: Any) -> None:
        return None

    @staticmethod
    def disable(fn: Any = None, recursive: bool = True, **options: Any) -> Any:
        if not isinstance(fn, FunctionType):
            return _real().disable(fn, recursive, **options)
        return _disabled_once_real(fn, recursive, options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real(), name)


def _disabled_once_real(function: Callable[..., Any], recursive: bool, options: dict[str, Any]) -> Callable[..., Any]:
    """Return `function` as it is while there is no dynamo, and disabled by dynamo from the moment there is one."""
    disabled: list[Callable[..., Any]] = []

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not _is_real():
            return function(*args, **kwargs)
        if not disabled:
            disabled.append(_real().disable(function, recursive, **options))
        return disabled[0](*args, **kwargs)

    return call


class _RealSubmodules(MetaPathFinder):
    """Imports the real package when one of its submodules is asked for, and hands over what that has loaded already."""

    def find_spec(self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if not fullname.startswith(f"{_DYNAMO}.") or _is_real():
            return None
        package = _real()
        if fullname in sys.modules:
            return ModuleSpec(fullname, _AlreadyLoaded(sys.modules[fullname]))
        return PathFinder.find_spec(fullname, package.__path__)


class _AlreadyLoaded(Loader):
    """Gives out a module that is there, unchanged: the import system would otherwise load it twice."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, _spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
