"""Where a user's code says where it is: calls of modules, `backward`, gradient scalers and optimizers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from vramcast.program.tasks.interface import tensors_in
from vramcast.trace import Component
from vramcast.tracing.tracer import Tracer
from vramcast.tracing.user_code.modules import Modules, on_device
from vramcast.tracing.user_code.steps import Steps


@dataclass(slots=True)
class Listener:
    """Told what the code calls; tells steps, modules and the tracer what it means."""

    steps: Steps
    modules: Modules
    tracer: Tracer
    depth: int = 0
    """How many modules are running, one within the other; a backward pass counts as one."""

    def call(self, original: Callable[..., Any], module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """A module is called."""
        if self.depth == 0:
            self._called(module, tensors_in([args, kwargs]))
        self.depth += 1
        try:
            outputs = original(module, *args, **kwargs)
        finally:
            self.depth -= 1
        if self.depth == 0 and module in self.modules:
            self.tracer.claim(Component.OUTPUTS, tensors_in(outputs))
        return outputs

    def _called(self, module: nn.Module, inputs: Iterator[torch.Tensor]) -> None:
        with torch._C.DisableTorchFunction():
            self.tracer.claim(Component.INPUTS, [tensor for tensor in inputs if tensor.is_meta and tensor.grad_fn is None])
        if any(map(on_device, module.parameters())):
            self.steps.forward(torch.is_grad_enabled())
            self.modules.meet(module)
            self.modules.ran(module)

    def backward(self, original: Callable[..., Any], tensors: Any, *args: Any, **kwargs: Any) -> None:
        """Gradients are computed."""
        if self.steps.backward():
            self.tracer.claim(Component.OUTPUTS, tensors_in([tensors]))
        self.depth += 1  # what is computed anew belongs to backward
        try:
            original(tensors, *args, **kwargs)
        finally:
            self.depth -= 1
        self.modules.claim_gradients()

    def scale(self, original: Callable[..., Any], scaler: GradScaler, outputs: Any) -> Any:
        """A loss is scaled, on its way to backward."""
        if self.steps.backward():
            self.tracer.claim(Component.OUTPUTS, tensors_in([outputs]))
        return original(scaler, outputs)

    def unscale(self, original: Callable[..., Any], scaler: GradScaler, *args: Any, **kwargs: Any) -> Any:
        """Gradients are unscaled, or a scaler is about to step."""
        self.steps.optimizer()
        return original(scaler, *args, **kwargs)

    def zero_grad(self, original: Callable[..., Any], optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Gradients are cleared."""
        with self.steps.zero_grad():
            return original(optimizer, *args, **kwargs)

    def stepping(self, _optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        """An optimizer is about to step."""
        self.steps.optimizer()

    def stepped(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        """An optimizer has stepped."""
        self.modules.claim_optimizer(optimizer)
        if self.steps.step == 0:
            self.modules.claim_copies()
        self.steps.stepped()


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let the listener be told while the context is open."""
    calls: list[tuple[Any, str, Callable[..., Any]]] = [
        (nn.Module, "__call__", listener.call),
        (torch.autograd, "backward", listener.backward),
        (GradScaler, "scale", listener.scale),
        (GradScaler, "unscale_", listener.unscale),
        (GradScaler, "step", listener.unscale),
        (Optimizer, "zero_grad", listener.zero_grad),
    ]
    with contextlib.ExitStack() as stack:
        for home, name, told in calls:
            stack.enter_context(_told(home, name, told))
        stack.callback(register_optimizer_step_pre_hook(listener.stepping).remove)
        stack.callback(register_optimizer_step_post_hook(listener.stepped).remove)
        yield


@contextlib.contextmanager
def _told(home: Any, name: str, told: Callable[..., Any]) -> Iterator[None]:
    """Hand calls of `home.name` to `told`, with the original in front."""
    original = getattr(home, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        return told(original, *args, **kwargs)

    setattr(home, name, call)
    try:
        yield
    finally:
        setattr(home, name, original)
