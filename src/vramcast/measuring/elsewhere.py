"""Programs are written for a GPU; on another device, what they send to `cuda` goes there."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


def placed_on(device: str) -> AbstractContextManager[object]:
    """Return a context in which `cuda` means `device`; one that does nothing where it is `cuda` itself."""
    return contextlib.nullcontext() if device == "cuda" else _Elsewhere(device)


class _Elsewhere(TorchFunctionMode):
    def __init__(self, device: str) -> None:
        super().__init__()
        self._device = torch.device(device)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = {name: self._there(value) for name, value in (kwargs or {}).items()}
        return func(*map(self._there, args), **named)

    def _there(self, value: Any) -> Any:
        is_device = isinstance(value, (str, torch.device)) and str(value).startswith("cuda")
        return self._device if is_device else value
