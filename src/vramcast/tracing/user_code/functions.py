"""Torch functions as a user's code calls them, before they are answered as CUDA would.

What comes from the host outside of any module is an input, and the default device counts for the functions that make tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.utils._device
from torch.overrides import TorchFunctionMode

from vramcast.trace import Component
from vramcast.tracing.cuda.devices import is_cuda
from vramcast.tracing.tracer import Tracer
from vramcast.tracing.user_code.modules import on_device

_ARRIVALS = frozenset((torch.Tensor.to, torch.Tensor.cuda, torch.tensor, torch.as_tensor))


class UserFunctions(TorchFunctionMode):
    """Sees every torch function of the user's code first."""

    def __init__(self, tracer: Tracer, is_in_module: Callable[[], bool]) -> None:
        super().__init__()
        self._tracer = tracer
        self._is_in_module = is_in_module

    def __torch_function__(self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Answer one call."""
        kwargs = kwargs or {}
        default = torch.utils._device.CURRENT_DEVICE
        if is_cuda(default) and kwargs.get("device") is None and func in torch.utils._device._device_constructors():
            kwargs = kwargs | {"device": default}  # by which, unlike by torch's own mode beneath, values stay known
        if func is torch.Tensor.copy_ and on_device(args[1]) and not on_device(args[0]):
            return args[0]  # host memory, and nothing is known that could be written there
        result = func(*args, **kwargs)
        if func in _ARRIVALS and not self._is_in_module() and on_device(result) and not (isinstance(args[0], torch.Tensor) and on_device(args[0])):
            self._tracer.claim(Component.INPUTS, [result])
        return result
