"""`nn.Module.cuda()` and `.to("cuda")` on a real module: its tensors become device tensors, one by one, and no byte is copied.

On a GPU, `nn.Module._apply` changes `parameter.data` in place, so that optimizers made before keep their parameters and
tied weights stay tied (torch/nn/modules/module.py, 2.13). A CPU tensor cannot take the data of a meta tensor; there the
two are swapped (`torch.utils.swap_tensors`), to the same effect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import chain

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from vramcast.tracing.tracer import Tracer
from vramcast.tracing.user_code.modules import Modules, on_device

Convert = Callable[[torch.Tensor], torch.Tensor]


@contextlib.contextmanager
def moving(modules: Modules, tracer: Tracer) -> Iterator[None]:
    """Let modules move to the device while the context is open."""
    original: Callable[..., nn.Module] = nn.Module._apply
    is_inside = False

    def apply(module: nn.Module, fn: Convert, recurse: bool = True) -> nn.Module:
        nonlocal is_inside
        if is_inside:
            return original(module, fn, recurse)
        is_inside = True
        try:
            with _Move(module, fn, tracer) as convert:
                original(module, convert, recurse)
            modules.meet(module)
            convert.assume_values()
        finally:
            is_inside = False
        return module

    nn.Module._apply = apply  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module._apply = original  # type: ignore[method-assign]


class _Move:
    """One call of `_apply`: converts tensors as `fn` does, host tensors without their bytes."""

    def __init__(self, module: nn.Module, fn: Convert, tracer: Tracer) -> None:
        self._fn, self._tracer = fn, tracer
        self._arrived: list[tuple[torch.Tensor, torch.Tensor]] = []
        """Device tensor, and the host tensor that it was."""
        has_host_tensors = any(not on_device(tensor) for tensor in chain(module.parameters(), module.buffers()))
        self._is_arriving = has_host_tensors and on_device(fn(torch.empty(0)))
        self._swaps = contextlib.ExitStack()

    def __enter__(self) -> _Move:
        if self._is_arriving:
            self._swaps.callback(torch.__future__.set_swap_module_params_on_conversion, torch.__future__.get_swap_module_params_on_conversion())
            torch.__future__.set_swap_module_params_on_conversion(True)
        return self

    def __exit__(self, *exception: object) -> None:
        self._swaps.close()

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        """Convert one tensor."""
        if on_device(tensor):
            converted = self._fn(tensor)
            self._tracer.inherit(converted, tensor)
            return converted
        if not self._is_arriving:
            return self._fn(tensor)
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            like = torch.empty_like(tensor, device="meta")
        arrived = self._fn(like)
        if not isinstance(tensor, nn.Parameter):
            self._arrived.append((arrived, tensor))
        return arrived

    def assume_values(self) -> None:
        """Let the buffers that have arrived be known to hold what they held."""
        with torch._C.DisableTorchFunction():
            same = [pair for pair in self._arrived if pair[0].dtype is pair[1].dtype]
        self._tracer.assume((arrived for arrived, _ in same), (value for _, value in same))
