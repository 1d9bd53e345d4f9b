"""What a forecast holds for the backward pass is what AOTAutograd saves on real tensors, without vramcast."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
import torch._dynamo
from compiled_models import BROKEN, MODELS, Small
from torch import fx
from torch._inductor import compile_fx
from torch._inductor.fx_passes.post_grad import view_to_reshape
from torch.utils._pytree import tree_map_only

from vramcast.backends.compile import capture
from vramcast.backends.compile.capture import CompiledFunction
from vramcast.tracing.tracer import Tracer

AMPERE = (8, 0)


def interpreted(module: fx.GraphModule, around: Callable[[], AbstractContextManager[object]] = nullcontext) -> Callable[..., Any]:
    def call(args: list[Any]) -> Any:
        with around():
            return module(*args)

    call._boxed_call = True  # type: ignore[attr-defined]
    return call


def on_meta(module: fx.GraphModule) -> fx.GraphModule:
    """Let what a graph makes by itself lie where its inputs do, in whichever layout its convolutions leave it."""
    for node in module.graph.nodes:
        if node.op == "call_function":
            node.args, node.kwargs = tree_map_only(torch.device, lambda _: torch.device("meta"), (node.args, dict(node.kwargs)))
    view_to_reshape(module)
    module.recompile()
    return module


def run_real(small: Small) -> torch.Tensor:
    """Run a model on the CPU behind AOTAutograd, with Inductor's decompositions and partitioner, its graphs interpreted."""

    def backend(module: fx.GraphModule, inputs: list[Any]) -> Any:
        return compile_fx.compile_fx(module, inputs, inner_compile=lambda graph, _inputs, **_how: interpreted(graph))  # type: ignore[arg-type]

    torch._dynamo.reset()
    output: torch.Tensor = torch.compile(small.build(), backend=backend)(small.input("cpu"))
    return output


def run_forecast(small: Small) -> torch.Tensor:
    torch._dynamo.reset()
    with torch.device("meta"):
        model = small.build()
    tracer = Tracer(AMPERE)
    with tracer:
        tracer.adopt(model)
        tracer.phase("forward", 0)
        compiled = CompiledFunction(model.forward, tracer, AMPERE, (2, 13))
        output: torch.Tensor = compiled(small.input("meta"))
    assert not compiled.failures
    assert (compiled.graphs > 1) == (small in BROKEN.values())
    return output


def saved(output: torch.Tensor) -> list[torch.Tensor]:
    """List what the backward graphs of compiled regions hold, the last one's first; what the eager code between them holds is left out."""
    found: list[torch.Tensor] = []
    pending, met = [output.grad_fn], set()
    while pending:
        node: Any = pending.pop()
        if node is None or node in met:
            continue
        met.add(node)
        if "Compiled" in node.name():
            found += node.saved_tensors
        pending += [before for before, _ in node.next_functions]
    return found


def size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.itemsize


@pytest.mark.parametrize("name", MODELS)
def test_saved_bytes_are_those_of_a_real_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The partitioner's graphs are run as they are, on meta tensors and on real ones."""
    monkeypatch.setattr(capture, "lower", lambda module, *_, **__: on_meta(module))
    monkeypatch.setattr(capture, "executable", lambda module, tracer: interpreted(module, tracer.listening))
    small = MODELS[name]
    real = saved(run_real(small))
    forecast = saved(run_forecast(small))
    made = sum(size(tensor) for tensor in real if not isinstance(tensor, torch.nn.Parameter))
    assert made > 0
    assert sum(size(tensor) for tensor in forecast if not isinstance(tensor, torch.nn.Parameter)) == made


def test_what_inductor_saves_is_what_the_partitioner_saves() -> None:
    """Through Inductor's own scheduler, convolutions channels-last: the same tensors, in another layout; of weights, copies in that layout."""
    small = MODELS["stem"]
    real, forecast = saved(run_real(small)), saved(run_forecast(small))
    assert [tensor.shape for tensor in forecast] == [tensor.shape for tensor in real]
    assert [size(tensor) for tensor in forecast] == [size(tensor) for tensor in real]
