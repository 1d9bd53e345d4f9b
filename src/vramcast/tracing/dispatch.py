"""Below autograd: every ATen operator that runs is seen here, its memory recorded, and nothing computed.

Device tensors are meta tensors. An operator on them goes, in this order, to the rule a CUDA kernel needs
(`tracing/cuda/`), to drawn values when its result depends on them (`tracing/values.py`), or to its shape function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vramcast.errors import UntraceableError
from vramcast.tracing.calls import CallDescriber
from vramcast.tracing.cuda.kernels import KERNELS, KERNELS_BY_NAME
from vramcast.tracing.modules import ModuleStack
from vramcast.tracing.plans import PLANS, Tree, is_on_device
from vramcast.tracing.recorder import Recorder
from vramcast.tracing.values import Values

Kernel = Callable[["MetaDispatch", torch._ops.OpOverload, tuple[Any, ...], dict[str, Any]], Tree]

_NO_SEQUENCE = 2**64 - 1
"""`sequence_nr` of an `AccumulateGrad` node (torch/csrc/autograd/function.h, 2.13)."""


class MetaDispatch(TorchDispatchMode):
    """Runs operators on meta tensors and records the storages they make."""

    def __init__(self, recorder: Recorder, modules: ModuleStack, values: Values) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorder = recorder
        self.modules = modules
        self.values = values
        self.plans = PLANS
        self.describe = CallDescriber(recorder)
        self._names: dict[torch._ops.OpOverload, str] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from wrapping `__torch_dispatch__` for a compiler that never runs here (torch/utils/_python_dispatch.py, 2.13)."""
        return False

    def __torch_dispatch__(
        self, func: torch._ops.OpOverload, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Tree:
        """Run one operator. Raises `UntraceableError` where its shape function does not know it."""
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():  # in backward the function modes are still there, and would answer as a GPU
            if not is_on_device(args, kwargs):
                return func(*args, **kwargs)
            if torch.is_inference_mode_enabled() and self._is_composite(func):
                with self:
                    return func.decompose(*args, **kwargs)
            self.begin(func)
            self.describe.before(func, args, kwargs)
            outputs = self.execute(func, args, kwargs)
            self.born(outputs)
            if self.values.follows(func, args, kwargs):
                self.values.follow(func, args, kwargs, outputs)
        return outputs

    @staticmethod
    @functools.cache
    def _is_composite(func: torch._ops.OpOverload) -> bool:
        """Tell whether an operator is made of others, which autograd takes apart and inference mode, without autograd, does not."""
        return func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd)

    def begin(self, func: torch._ops.OpOverload) -> None:
        """Begin an operator call in the recording, with the module it belongs to."""
        name = self._names.get(func)
        if name is None:
            name = self._names[func] = func._schema.name
        self.begin_as(name)

    def begin_as(self, name: str) -> None:
        """Begin what is recorded under this name."""
        node = torch._C._current_autograd_node()
        if node is None:
            module = self.modules.running()
            # Without gradients too: a custom autograd function's node is made before its forward runs, without them.
            self.modules.remember(torch._C._autograd._get_sequence_nr() - 1)
        else:
            module = self.modules.of_sequence(node._sequence_nr())
        self.recorder.operation(name, module)

    def execute(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tree:
        """Return the outputs of one operator."""
        kernel = KERNELS.get(func) or KERNELS_BY_NAME.get(func._schema.name)
        if kernel is not None:
            return kernel(self, func, args, kwargs)
        try:
            return self.plans.run(func, args, kwargs)
        except RuntimeError as error:
            if not _lacks_meta_kernel(error):
                raise
            name = func._schema.name
            raise UntraceableError(
                f"operator {name} in {self.modules.described(self.recorder.operation_modules[-1])} cannot be followed without a GPU: it has no "
                f"meta kernel. Give it one with torch.library.register_fake({name!r}), or leave the part out of what is forecast."
            ) from error

    def born(self, outputs: Tree) -> None:
        """Record the storages that are new among the outputs."""
        if isinstance(outputs, torch.Tensor):
            if outputs.is_meta:
                self.recorder.allocate(outputs)
        elif isinstance(outputs, (list, tuple)):
            for output in outputs:
                self.born(output)


def _lacks_meta_kernel(error: RuntimeError) -> bool:
    """Tell whether there was no shape function: what the dispatcher raises, and what a `custom_op` does (torch/_library/custom_ops.py, 2.13)."""
    return isinstance(error, NotImplementedError) or str(error).startswith("There was no fake impl registered for")
