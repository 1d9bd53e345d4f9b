"""Lets torch's shape functions check plain numbers plainly.

`torch._check` and other helpers of shape functions ask `torch.fx.experimental.symbolic_shapes` whether a condition holds, which imports
SymPy (0.3 s and more) even where the condition is an ordinary bool (torch/__init__.py `_check_with`, torch/_prims_common/__init__.py,
2.13). No shape is symbolic here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
import torch._decomp.decompositions
import torch._meta_registrations
import torch._refs

_SYMBOLIC_SHAPES = "torch.fx.experimental.symbolic_shapes"
_PLAIN: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("guard_or_false", "guard_or_true", "guard_size_oblivious", "statically_known_true"), bool),
    "expect_true": lambda condition, *_: condition,
    "guarding_hint_or_throw": lambda value: value,
    "has_guarding_hint": lambda _: True,
    "is_nested_int": lambda _: False,
    "sym_and": lambda *conditions: all(conditions),
    "sym_eq": lambda one, other: list(one) == list(other) if isinstance(one, (list, tuple)) else one == other,
    "sym_or": lambda *conditions: any(conditions),
}
"""What its functions return for ordinary numbers and bools, and sequences of them."""


_SYMPY = "sympy"
_NO_EXPRESSIONS = ModuleType(_SYMPY)
vars(_NO_EXPRESSIONS)["Basic"] = type("Basic", (), {})
_PROMOTING = (torch._prims_common, torch._meta_registrations, torch._refs, torch._decomp.decompositions)
"""Modules that call `elementwise_dtypes` by a name of their own."""


@contextlib.contextmanager
def plain_checks() -> Iterator[None]:
    """Answer conditions that are ordinary bools without SymPy while the context is open; a check that fails is torch's to report."""
    original: Callable[..., None] = torch._check_with

    def check(error_type: Any, condition: Any, message: Any) -> None:
        if condition is not True:
            original(error_type, condition, message)

    torch._check_with = check  # type: ignore[assignment]
    try:
        with _plain_conditions(), _plain_types():
            yield
    finally:
        torch._check_with = original


@contextlib.contextmanager
def _plain_types() -> Iterator[None]:
    """Let type promotion, which imports SymPy to tell numbers from its expressions, do so without: where it is not loaded, there are none."""
    original = torch._prims_common.elementwise_dtypes
    modules = [module for module in _PROMOTING if vars(module).get(original.__name__) is original]

    @functools.wraps(original)
    def promoted(*values: Any, **named: Any) -> Any:
        if _SYMPY in sys.modules:
            return original(*values, **named)
        sys.modules[_SYMPY] = _NO_EXPRESSIONS  # for this call only, which imports nothing else
        try:
            return original(*values, **named)
        finally:
            del sys.modules[_SYMPY]

    for module in modules:
        vars(module)[original.__name__] = promoted
    try:
        yield
    finally:
        for module in modules:
            vars(module)[original.__name__] = original


@contextlib.contextmanager
def _plain_conditions() -> Iterator[None]:
    """Let shape functions import their conditions from a stand-in, unless the real module is there already."""
    if _SYMBOLIC_SHAPES in sys.modules:
        yield
        return
    standing_in = sys.modules[_SYMBOLIC_SHAPES] = _PlainConditions(_SYMBOLIC_SHAPES)
    try:
        yield
    finally:
        if sys.modules.get(_SYMBOLIC_SHAPES) is standing_in:
            del sys.modules[_SYMBOLIC_SHAPES]


class _PlainConditions(ModuleType):
    """Stands for the module: knows its conditions on plain values, and imports it for everything else."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        plain = _PLAIN.get(name)
        if plain is None:
            return self._real(name)
        return lambda *values: plain(*values) if _are_plain(values) else self._real(name)(*values)

    def _real(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _are_plain(values: Any) -> bool:
    return all(type(value) in (bool, int) or (isinstance(value, (list, tuple)) and _are_plain(value)) for value in values)
