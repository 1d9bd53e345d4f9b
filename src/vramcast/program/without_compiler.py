"""Keeps torch's compiler out of a program that never compiles.

Making an optimizer imports `torch._dynamo`, only to mark functions as "do not compile" (torch/_compile.py,
torch/optim/optimizer.py, 2.13). That import takes about as long as importing torch itself. A stand-in answers those
marks; whatever asks the compiler for anything else gets the real one.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

_NAME = "torch._dynamo"


class _Standin(types.ModuleType):
    """`torch._dynamo` for code that only marks functions."""

    def __init__(self) -> None:
        super().__init__(_NAME)
        self.__path__: list[str] = []
        self.marked: list[Callable[..., Any]] = []

    def disable(self, fn: Callable[..., Any] | None = None, recursive: bool = True, **options: Any) -> Any:
        """Mark a function; here it simply stays what it is."""
        if fn is None:
            return self.disable
        self.marked.append(fn)
        return fn

    def graph_break(self, msg: str = "") -> None:
        """Break a graph that nobody captures."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.retire()
        return getattr(importlib.import_module(_NAME), name)

    def retire(self) -> None:
        """Give way to the real compiler, and forget the marks, so that it sets its own."""
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        for fn in self.marked:
            fn.__dict__.pop("__dynamo_disable", None)
        self.marked.clear()


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """Stand in for `torch._dynamo` while the context is open, unless it is loaded already."""
    if _NAME in sys.modules:
        yield
        return
    standin = _Standin()
    sys.modules[_NAME] = standin
    try:
        yield
    finally:
        standin.retire()
