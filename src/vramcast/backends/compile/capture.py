"""Compiles a function as torch.compile does: dynamo captures it, AOTAutograd and the min-cut partitioner split it, Inductor schedules it.

Fake tensors stand on the CPU while autograd traces, as autograd knows no CUDA device in a build without CUDA; the graphs it hands over are
moved to CUDA (`lowering.py`) before anything that depends on the device is decided, but for the passes over the joint graph.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch._dynamo
from torch import fx
from torch._dynamo.utils import graph_break_reasons
from torch._functorch import config as functorch_config
from torch._inductor import compile_fx
from torch._inductor import config as inductor_config

from vramcast.backends.compile.execution import Compiled, executable
from vramcast.backends.compile.frames import compiling_frames
from vramcast.backends.compile.graph_functions import answering_as_cuda
from vramcast.backends.compile.lowering import lower
from vramcast.backends.compile.wording import reason, region, told_breaks
from vramcast.environment import Version
from vramcast.tracing.tracer import Tracer

_SETTINGS_AOT: dict[str, Any] = {"enable_autograd_cache": False, "force_non_lazy_backward_lowering": True}
"""The backward graph is compiled beside the forward one, not in the backward pass, where the tracer listens."""


@dataclass(slots=True)
class CompiledFunction:
    """A function that stands in for `torch.compile(function)`.

    At a graph break it goes on as torch.compile does: the parts between breaks are graphs of their own, and what breaks them runs eagerly.
    A part that Inductor cannot compile here runs eagerly too; a caveat says so.
    """

    function: Callable[..., Any]
    tracer: Tracer
    capability: tuple[int, int]
    torch_version: Version
    graphs: int = 0
    failures: list[str] = field(default_factory=list)
    """What ran uncompiled, and why."""
    _compiled: Callable[..., Any] = field(init=False)

    def __post_init__(self) -> None:
        self._compiled = torch.compile(self.function, backend=self._backend, dynamic=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the compiled function, compiling it where it has not met such arguments yet."""
        known, graphs = len(graph_break_reasons), self.graphs
        with compiling_frames(self.tracer, self._failed, self._given_up):
            result = self._compiled(*args, **kwargs)
        told = told_breaks(graph_break_reasons[known:], self.graphs - graphs)
        if told:
            self.tracer.caveat(told)
        return result

    def _backend(self, module: fx.GraphModule, inputs: list[Any]) -> Any:
        self.graphs += 1
        _autocast_for_cuda(module)
        eager = copy.copy(module)
        try:
            with (
                functorch_config.patch(_SETTINGS_AOT),
                inductor_config.patch({"compile_threads": 1}),
                answering_as_cuda(self.capability, self.torch_version),
            ):
                compiled: Any = compile_fx.compile_fx(module, inputs, inner_compile=self._inner)  # type: ignore[arg-type]  # any callable will do
        except Exception as error:
            self._failed(region(module), error)
            return eager.forward
        return self._unheard(compiled)

    def _inner(self, module: fx.GraphModule, _inputs: Any, **how: Any) -> Compiled:
        wrapper = lower(
            module, self.capability, is_inference=bool(how.get("is_inference")), is_backward=bool(how.get("is_backward")),
            decompositions=how["get_decomp_fn"],
        )  # fmt: skip
        return executable(wrapper, self.tracer)

    def _unheard(self, compiled: Callable[..., Any]) -> Callable[..., Any]:
        """Let AOTAutograd's own steps around the wrapper be unheard; the wrapper itself is heard (`executable`)."""

        def call(*args: Any) -> Any:
            with self.tracer.deaf():
                return compiled(*args)

        return call

    def _failed(self, what: str, error: Exception) -> None:
        self.failures.append(f"{what}: {reason(error)}")
        self.tracer.caveat(
            f"torch.compile's compiler cannot take {what} here, so that it was forecast uncompiled, where it may take less: {reason(error)}"
        )

    def _given_up(self, function: str) -> None:
        self.tracer.caveat(
            f"torch.compile compiles one function for at most {torch._dynamo.config.recompile_limit} kinds of arguments; {function} meets more, "
            "and runs eagerly for the others."
        )


def _autocast_for_cuda(module: fx.GraphModule) -> None:
    """Let regions of autocast within the function be CUDA's: they name the device of the tensors that dynamo saw."""
    for node in module.graph.nodes:
        if node.target is torch.amp.autocast_mode._enter_autocast and node.args and node.args[0] in ("cpu", "meta"):
            node.args = ("cuda", *node.args[1:])
    module.recompile()
