"""What a forecast holds for the backward pass is what AOTAutograd saves on real tensors, without vramcast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo
from torch import fx
from torch._inductor import compile_fx

from tests.backends.compile.small_models import MODELS, Small
from vramcast.backends.compile.capture import CompiledFunction
from vramcast.tracing.tracer import Tracer

AMPERE = (8, 0)


def run_real(small: Small) -> torch.Tensor:
    """Run a model on the CPU behind AOTAutograd, with Inductor's decompositions and partitioner, its graphs interpreted."""

    def interpreted(module: fx.GraphModule, _inputs: Any, **_how: Any) -> Callable[..., Any]:
        def call(args: list[Any]) -> Any:
            return module(*args)

        call._boxed_call = True  # type: ignore[attr-defined]
        return call

    torch._dynamo.reset()
    backend: Any = lambda module, inputs: compile_fx.compile_fx(module, inputs, inner_compile=interpreted)  # noqa: E731
    model = small.build()
    output: torch.Tensor = torch.compile(model, backend=backend, fullgraph=True)(small.input("cpu"))
    return output


def run_forecast(small: Small) -> tuple[torch.Tensor, Tracer]:
    torch._dynamo.reset()
    with torch.device("meta"):
        model = small.build()
    tracer = Tracer(AMPERE)
    with tracer:
        tracer.adopt(model)
        tracer.phase("forward", 0)
        compiled = CompiledFunction(model.forward, tracer, AMPERE, (2, 13))
        output = compiled(small.input("meta"))
    assert compiled.failure is None
    return output, tracer


def saved(output: torch.Tensor) -> list[torch.Tensor]:
    node: Any = output.grad_fn
    while not hasattr(node, "saved_tensors"):
        node = node.next_functions[0][0]
    return [tensor for tensor in node.saved_tensors if not isinstance(tensor, torch.nn.Parameter)]


def saved_bytes(output: torch.Tensor) -> int:
    return sum(tensor.numel() * tensor.itemsize for tensor in saved(output))


def log_sum_exp_padding(name: str) -> int:
    """Return what CUDA's memory-efficient attention saves beyond the CPU's: its rows are padded to 32 (attention.cu, torch 2.13)."""
    layers, batch, heads, tokens = 2, 2, 2, 17
    return layers * batch * heads * (32 - tokens) * 4 if name == "vision_transformer" else 0


@pytest.mark.parametrize("name", MODELS)
def test_saved_bytes_are_those_of_a_real_run(name: str) -> None:
    small = MODELS[name]
    real, (forecast, _) = run_real(small), run_forecast(small)
    assert saved_bytes(forecast) - log_sum_exp_padding(name) == saved_bytes(real)
    assert forecast.shape == real.shape


def test_aot_autograd_is_asked_for_less_than_eager_saves() -> None:
    """Of a chain of cheap operators only the input is saved."""
    small = Small(lambda: torch.nn.Sequential(*(torch.nn.SiLU() for _ in range(4)), torch.nn.Linear(8, 8)), (4, 8))
    output, _ = run_forecast(small)
    assert saved_bytes(output) < 5 * 4 * 8 * 4


