"""The tracer: runs a program on meta tensors and returns what it did to memory.

with Tracer(capability=(8, 9)) as tracer:
    program.run(tracer)
trace = attribute(tracer.recording(), subject)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType

import torch
from torch import nn
from torch.overrides import _pop_mode, _push_mode
from torch.utils._python_dispatch import _disable_current_modes

from vramcast.environment import NEWEST_VERSION, Version
from vramcast.trace import Component
from vramcast.tracing.cuda.facade import cuda_present
from vramcast.tracing.dispatch import MetaDispatch
from vramcast.tracing.functions import CudaFunctions, transparent_functions
from vramcast.tracing.modules import Failure, ModuleStack
from vramcast.tracing.recorder import Recorder, Recording
from vramcast.tracing.shape_checks import plain_checks
from vramcast.tracing.values import Values

_BLIND_PHASES = frozenset({"load", "backward", "optimizer", "ema", "zero_grad", "checkpoint"})
"""Phases in which nothing looks at values."""


class Tracer:
    """A `Probe` that listens to a program running on meta tensors."""

    def __init__(self, capability: tuple[int, int] = (8, 0), seed: int = 0, torch_version: Version = NEWEST_VERSION) -> None:
        self.recorder = Recorder()
        self._values = Values(self.recorder)
        self.recorder.on_death = self._values.died
        self._modules = ModuleStack(self.recorder)
        self._dispatch = MetaDispatch(self.recorder, self._modules, self._values)
        self._functions = CudaFunctions(self.recorder, self._values, capability, torch_version)
        self._capability = capability
        self._seed = seed
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Tracer:
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.random.fork_rng(devices=[]))
            stack.enter_context(_one_thread())
            stack.enter_context(plain_checks())
            torch.manual_seed(self._seed)
            stack.enter_context(cuda_present(self.recorder, self._capability, self._functions.autocast.clear))
            stack.enter_context(transparent_functions())
            stack.enter_context(self._modules.follow())
            stack.enter_context(torch.autograd.set_multithreading_enabled(False))
            stack.enter_context(self._functions)
            stack.enter_context(self._dispatch)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._stack.close()
        self._values.forget()

    @contextlib.contextmanager
    def deaf(self) -> Iterator[None]:
        """Stop listening while the context is open, so that torch may run code of its own on fake tensors."""
        functions = [_pop_mode() for _ in range(torch._C._len_torch_function_stack())]
        call, nn.Module.__call__ = nn.Module.__call__, nn.Module._wrapped_call_impl  # type: ignore[method-assign]
        try:
            with _disable_current_modes():
                yield
        finally:
            nn.Module.__call__ = call  # type: ignore[method-assign]
            for mode in reversed(functions):
                _push_mode(mode)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen, where the context around this one is deaf; within it the program runs as if nothing had been interrupted."""
        if torch._C._len_torch_dispatch_stack():
            yield
            return
        with self._functions, self._dispatch:
            yield

    def beneath(self, paths: Sequence[str]) -> AbstractContextManager[Callable[[int], None]]:
        """See `ModuleStack.beneath`."""
        return self._modules.beneath(paths)

    def born(self, operator: str, tensor: torch.Tensor) -> torch.Tensor:
        """Record a tensor that something else than an ATen operator made; return it."""
        with torch._C.DisableTorchFunction():
            self._dispatch.begin_as(operator)
            self.recorder.allocate(tensor)
        return tensor

    def failure(self, error: BaseException) -> Failure | None:
        """Return the innermost module call that raised `error`; None where it came from outside all modules."""
        failure = self._modules.failure
        return failure if failure is not None and failure.error == id(error) else None

    def maker(self, sequence: int) -> str:
        """Name, in words, the module that made the autograd node of this sequence number."""
        return self._modules.described(self._modules.of_sequence(sequence))

    @property
    def current_phase(self) -> str:
        """The phase the program is in."""
        return self.recorder.phases[-1].name

    def phase(self, name: str, step: int) -> None:
        """Begin a phase."""
        self.recorder.phase(name, step)
        self._values.is_following = name not in _BLIND_PHASES

    def adopt(self, module: nn.Module, weights: Component = Component.WEIGHTS, buffers: Component = Component.BUFFERS, prefix: str = "") -> None:
        """Take a module on the device: its tensors are born in the order `Module.to` moves them (children first)."""
        self._modules.know(module, prefix)
        with torch._C.DisableTorchFunction():
            for name, child in _children_first(module, prefix):
                index = self.recorder.module(name)
                self.recorder.operation("aten::_to_copy", index)
                self._adopt_tensors(child._parameters.values(), weights)
                self._adopt_tensors(child._buffers.values(), buffers)

    def claim(self, component: Component, tensors: Iterable[torch.Tensor]) -> None:
        """Say what storages are for."""
        with torch._C.DisableTorchFunction():
            self.recorder.claim(component, tensors)

    def own(self, tensor: torch.Tensor, like: torch.Tensor) -> None:
        """Say that a tensor belongs to the module of another (a gradient or a state to its weight's)."""
        with torch._C.DisableTorchFunction():
            block = self.recorder.block_of(like)
            if block is not None and block in self.recorder.owners:
                self.recorder.own(tensor, self.recorder.owners[block])

    def inherit(self, tensor: torch.Tensor, source: torch.Tensor) -> None:
        """Say that a tensor takes the place of another: it is for the same, and of the same module."""
        with torch._C.DisableTorchFunction():
            block = self.recorder.block_of(source)
            if block is not None and block in self.recorder.claims:
                self.recorder.claim(self.recorder.claims[block], [tensor])
        self.own(tensor, source)

    def assume(self, tensors: Iterable[torch.Tensor], values: Iterable[torch.Tensor]) -> None:
        """Say which values tensors hold."""
        with torch._C.DisableTorchFunction():
            for tensor, value in zip(tensors, values):
                self._values.assume(tensor, value)

    def caveat(self, message: str, bound_bytes: int | None = None) -> None:
        """Keep a caveat."""
        self.recorder.caveat(message, bound_bytes)

    def recording(self) -> Recording:
        """Stop listening and return the facts."""
        self._values.report()
        return self.recorder.freeze()

    def _adopt_tensors(self, tensors: Iterable[torch.Tensor | None], component: Component) -> None:
        for tensor in tensors:
            if tensor is not None and tensor.is_meta:
                self.recorder.allocate(tensor)
                self.recorder.claim(component, [tensor])
                self.recorder.own(tensor, self.recorder.operation_modules[-1])


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: what is computed is small, and waking threads for it takes longer than doing it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _children_first(module: nn.Module, prefix: str) -> Iterable[tuple[str, nn.Module]]:
    """List modules in the order of `nn.Module._apply`: children before their parent (torch/nn/modules/module.py, 2.13)."""
    for name, child in module.named_children():
        yield from _children_first(child, f"{prefix}.{name}" if prefix else name)
    yield prefix, module
