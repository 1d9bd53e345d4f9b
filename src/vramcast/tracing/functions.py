"""Above autograd: every torch function that Python calls is seen here, so that a meta tensor is answered as a CUDA tensor.

What CUDA does differently *before* autograd records it belongs here: autocast's casts, the choice of an attention
kernel, fused dropout, cuDNN's RNNs, and questions such as `x.is_cuda`. Each subject is a file in `tracing/cuda/`.

torch's own Python functions (`torch.nn.functional`) would hide what they call from a function mode; their check for
overrides is answered "no" while the mode is active, so that they run and their inner calls come here.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from vramcast.environment import Version
from vramcast.tracing.cuda.autocast import Autocast
from vramcast.tracing.cuda.devices import as_meta, is_cuda
from vramcast.tracing.cuda.functions import FUNCTIONS
from vramcast.tracing.recorder import Recorder
from vramcast.tracing.values import Values


class CudaFunctions(TorchFunctionMode):
    """Answers torch functions on meta tensors as a card of this compute capability would under this version of torch."""

    def __init__(self, recorder: Recorder, values: Values, capability: tuple[int, int], torch_version: Version) -> None:
        super().__init__()
        self.recorder = recorder
        self.values = values
        self.capability = capability
        self.torch_version = torch_version
        self.autocast = Autocast(recorder)

    def __torch_function__(self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Answer one call."""
        kwargs = kwargs or {}
        handler = FUNCTIONS.get(func)
        if handler is not None:
            return handler(self, func, args, kwargs)
        if kwargs and is_cuda(kwargs.get("device")):
            kwargs = kwargs | {"device": as_meta(kwargs["device"])}
        if self.autocast.is_enabled():
            return self.autocast.call(func, args, kwargs)
        return func(*args, **kwargs)


@contextlib.contextmanager
def transparent_functions() -> Iterator[None]:
    """Let torch's own Python functions run under a function mode rather than be handed to it whole."""
    names = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    homes: list[types.ModuleType] = [torch.nn.functional, torch.functional, torch._tensor, torch.autograd, torch.nn.init]
    saved = [(home, name, getattr(home, name)) for home in homes for name in names if hasattr(home, name)]
    for home, name, _ in saved:
        setattr(home, name, lambda *_: False)
    try:
        yield
    finally:
        for home, name, original in saved:
            setattr(home, name, original)
