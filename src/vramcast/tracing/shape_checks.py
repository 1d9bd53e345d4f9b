"""Lets torch's shape functions check plain numbers plainly.

`torch._check` asks `torch.fx.experimental.symbolic_shapes` whether a condition holds, which imports SymPy (0.3 s and more) even where the
condition is an ordinary bool (torch/__init__.py `_check_with`, 2.13). No shape is symbolic here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch


@contextlib.contextmanager
def plain_checks() -> Iterator[None]:
    """Answer `torch._check` on ordinary bools without SymPy while the context is open; a condition that fails is torch's to report."""
    original: Callable[..., None] = torch._check_with

    def check(error_type: Any, condition: Any, message: Any) -> None:
        if condition is not True:
            original(error_type, condition, message)

    torch._check_with = check  # type: ignore[assignment]
    try:
        yield
    finally:
        torch._check_with = original
