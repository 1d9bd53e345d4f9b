"""Above AOTAutograd: torch functions of a captured graph, answered as on CUDA while the joint graph is traced on the CPU.

The rules are those of eager tracing (`tracing/cuda/`): autocast's casts and the choice of an attention kernel. Everything else that eager rules
answer is decomposed by Inductor, or leads to a graph break before it comes here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch._functorch._aot_autograd import graph_capture_wrappers
from torch._subclasses.functional_tensor import FunctionalTensorMode
from torch.overrides import TorchFunctionMode

from vramcast.environment import Version
from vramcast.tracing.cuda import attention, losses, softmax
from vramcast.tracing.cuda.autocast import Autocast
from vramcast.tracing.recorder import Recorder

_INTERPRETER = "PropagateUnbackedSymInts"
"""What runs a captured graph (`create_functional_call`, 2.13)."""
_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch._C._nn.scaled_dot_product_attention: attention.on_cuda,
    torch.softmax: softmax.softmax,
    torch.Tensor.softmax: softmax.softmax,
    torch.log_softmax: softmax.log_softmax,
    torch.Tensor.log_softmax: softmax.log_softmax,
    torch._C._nn.cross_entropy_loss: losses.cross_entropy,
}


class GraphFunctions(TorchFunctionMode):
    """Answers as a card of this compute capability would under this version of torch."""

    def __init__(self, capability: tuple[int, int], torch_version: Version) -> None:
        super().__init__()
        self.capability = capability
        self.torch_version = torch_version
        self.autocast = _UncachedAutocast(Recorder())

    def __torch_function__(self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Answer one call."""
        kwargs = kwargs or {}
        handler = _FUNCTIONS.get(func)
        if handler is not None:
            return handler(self, func, args, kwargs)
        return self.autocast.call(func, args, kwargs) if self.autocast.is_enabled() else func(*args, **kwargs)


class _UncachedAutocast(Autocast):
    """Autocast as a graph is traced under it: without the weight cache (`disable_autocast_cache`, torch/fx/experimental/proxy_tensor.py, 2.13)."""

    def is_eligible(self, value: object) -> bool:
        """Whether autocast may cast a value: every tensor of the graph stands for a CUDA tensor."""
        return isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype is not torch.float64

    def _cast_tensor(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return tensor.to(dtype)


@contextlib.contextmanager
def answering_as_cuda(capability: tuple[int, int], torch_version: Version) -> Iterator[None]:
    """While the context is open, AOTAutograd runs captured graphs under `GraphFunctions`; decompositions, below autograd, run without."""
    interpreter: Any = vars(graph_capture_wrappers)[_INTERPRETER]
    below = FunctionalTensorMode.__torch_dispatch__

    class Answered(interpreter):  # type: ignore[misc]
        """Runs a captured graph under `GraphFunctions`."""

        def run(self, *args: Any, **kwargs: Any) -> Any:
            """Run it."""
            with GraphFunctions(capability, torch_version):
                return super().run(*args, **kwargs)

    def without_functions(mode: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():
            return below(mode, func, types, args, kwargs)

    with (
        mock.patch.object(graph_capture_wrappers, _INTERPRETER, Answered),
        mock.patch.object(FunctionalTensorMode, "__torch_dispatch__", without_functions),
    ):
        yield
