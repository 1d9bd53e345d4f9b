"""The modules of a user's code: met when they come to the device or are called, and what belongs to them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from itertools import chain

import torch
from torch import nn

from vramcast.program.tasks.interface import tensors_in
from vramcast.trace import Component, Subject
from vramcast.tracing.tracer import Tracer

SOURCE = "python"
"""The subject's source: code of the user, not a name that can be looked up."""


def on_device(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor is on the device, which a forecast keeps on meta, without asking the function modes."""
    with torch._C.DisableTorchFunction():
        return tensor.is_meta


class Modules:
    """Knows the modules met so far, without keeping them alive."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._roots: list[weakref.ref[nn.Module]] = []
        self._known: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._subject = Subject("python code", SOURCE, 0, 0)

    def __contains__(self, module: nn.Module) -> bool:
        return module in self._known

    def meet(self, module: nn.Module) -> None:
        """Take note of a module on the device. The first with parameters is the model: its names have no prefix, those of others their class."""
        if module in self._known or not any(map(on_device, chain(module.parameters(), module.buffers()))):
            return
        has_parameters = any(True for _ in module.parameters())
        prefix = "" if has_parameters and not self._roots else type(module).__name__
        self._tracer.adopt(module, prefix=prefix)
        self._known.update(module.modules())
        if has_parameters:
            self._roots.append(weakref.ref(module))

    def ran(self, module: nn.Module) -> None:
        """Take note that a module was called from outside of any other; the largest one is what the trace is about."""
        parameters = list(module.parameters())
        count = sum(parameter.numel() for parameter in parameters)
        if count >= self._subject.parameters:
            trainable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
            self._subject = Subject(type(module).__name__, SOURCE, count, max(trainable, self._subject.trainable_parameters))

    def claim_gradients(self) -> None:
        """Claim the gradients of every module met."""
        parameters = (parameter for root in self._alive() for parameter in root.parameters())
        with torch._C.DisableTorchFunction():
            self._tracer.claim(Component.GRADIENTS, [parameter.grad for parameter in parameters if parameter.grad is not None])

    def claim_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Claim what an optimizer holds: parameters of no module, their gradients, and its states."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._tracer.claim(Component.WEIGHTS, parameters)
        with torch._C.DisableTorchFunction():
            self._tracer.claim(Component.GRADIENTS, [parameter.grad for parameter in parameters if parameter.grad is not None])
        self._tracer.claim(Component.OPTIMIZER_STATES, [value for state in optimizer.state.values() for value in tensors_in(state)])

    def claim_copies(self) -> None:
        """Claim the tensors of modules on the device that were neither moved there nor called: averaged copies of one that was."""
        for found in gc.get_objects():
            if issubclass(type(found), nn.Module) and "_parameters" in vars(found) and found not in self._known:
                tensors = [*found._parameters.values(), *found._buffers.values()]
                self._tracer.claim(Component.EMA, [tensor for tensor in tensors if tensor is not None])

    def subject(self) -> Subject:
        """Return the largest module that was called."""
        return self._subject

    def _alive(self) -> Iterator[nn.Module]:
        for root in self._roots:
            module = root()
            if module is not None:
                yield module
