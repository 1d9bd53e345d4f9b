"""Compiles a function as torch.compile does: dynamo captures it, AOTAutograd and the min-cut partitioner split it, Inductor schedules it.

Fake tensors stand on the CPU while autograd traces, as autograd knows no CUDA device in a build without CUDA; the graphs it hands over are
moved to CUDA (`lowering.py`) before anything that depends on the device is decided, but for the passes over the joint graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
import torch._dynamo
from torch import fx
from torch._functorch import config as functorch_config
from torch._inductor import compile_fx
from torch._inductor import config as inductor_config
from torch._subclasses.fake_tensor import FakeTensor

from vramcast.backends.compile.execution import Compiled, executable
from vramcast.backends.compile.graph_functions import answering_as_cuda
from vramcast.backends.compile.lowering import lower
from vramcast.environment import Version
from vramcast.tracing.tracer import Tracer

_SETTINGS_AOT: dict[str, Any] = {"enable_autograd_cache": False, "force_non_lazy_backward_lowering": True}
"""The backward graph is compiled beside the forward one, not in the backward pass, where the tracer listens."""


@dataclass(slots=True)
class CompiledFunction:
    """A function that stands in for `torch.compile(function)`; where it cannot be captured whole, the function runs as it is."""

    function: Callable[..., Any]
    tracer: Tracer
    capability: tuple[int, int]
    torch_version: Version
    failure: str | None = None
    """Why the function runs uncompiled."""
    graphs: int = 0
    _compiled: Callable[..., Any] = field(init=False)

    def __post_init__(self) -> None:
        self._compiled = torch.compile(self.function, backend=self._backend, fullgraph=True, dynamic=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the compiled function, compiling it where it has not met such arguments yet."""
        if self.failure is None:
            try:
                with self.tracer.deaf(), on_cpu():
                    return self._compiled(*args, **kwargs)
            except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
                self.failure = _reason(error)
                self.tracer.caveat(
                    f"torch.compile cannot take the model as one graph, so it was forecast uncompiled, where it may take less: {self.failure}"
                )
        return self.function(*args, **kwargs)

    def _backend(self, module: fx.GraphModule, inputs: list[Any]) -> Any:
        self.graphs += 1
        _autocast_for_cuda(module)
        with (
            functorch_config.patch(_SETTINGS_AOT),
            inductor_config.patch({"compile_threads": 1}),
            answering_as_cuda(self.capability, self.torch_version),
        ):
            return compile_fx.compile_fx(module, inputs, inner_compile=self._inner)  # type: ignore[arg-type]  # any callable will do

    def _inner(self, module: fx.GraphModule, _inputs: Any, **how: Any) -> Compiled:
        wrapper = lower(
            module, self.capability, is_inference=bool(how.get("is_inference")), is_backward=bool(how.get("is_backward")),
            decompositions=how["get_decomp_fn"],
        )  # fmt: skip
        return executable(wrapper, self.tracer)


@contextlib.contextmanager
def on_cpu() -> Iterator[None]:
    """Let every fake tensor that stands for a meta tensor be one of the CPU while the context is open."""
    original = FakeTensor.__new__

    def new(kind: Any, mode: Any, element: torch.Tensor, device: Any, *args: Any, **kwargs: Any) -> Any:
        return original(kind, mode, element, torch.device("cpu") if torch.device(device).type == "meta" else device, *args, **kwargs)

    with mock.patch.object(FakeTensor, "__new__", staticmethod(new)):
        yield


def _autocast_for_cuda(module: fx.GraphModule) -> None:
    """Let regions of autocast within the function be CUDA's: they name the device of the tensors that dynamo saw."""
    for node in module.graph.nodes:
        if node.target is torch.amp.autocast_mode._enter_autocast and node.args and node.args[0] in ("cpu", "meta"):
            node.args = ("cuda", *node.args[1:])
    module.recompile()


def _reason(error: BaseException) -> str:
    """Say in one line what stood in the way: what the innermost cause says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("backend=")]
    return (lines[0] if lines else type(error).__name__)[:300]
