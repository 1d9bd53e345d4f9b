"""What torch.compile does at graph breaks, and with what it cannot compile: told, and forecast as far as it goes."""

from __future__ import annotations

import pytest
import torch
import torch._dynamo
from compiled_models import BROKEN, WHOLE, Broken
from torch import nn

import vramcast
from vramcast.backends.compile import capture
from vramcast.backends.compile.capture import CompiledFunction
from vramcast.trace import Component
from vramcast.tracing.tracer import Tracer

AMPERE = (8, 0)


def compiled(module: nn.Module, *arguments: torch.Tensor) -> tuple[CompiledFunction, torch.Tensor, Tracer]:
    """Run a module of meta tensors compiled."""
    torch._dynamo.reset()
    tracer = Tracer(AMPERE)
    with tracer:
        tracer.adopt(module)
        tracer.phase("forward", 0)
        function = CompiledFunction(module.forward, tracer, AMPERE, (2, 13))
        output: torch.Tensor = function(*arguments)
    return function, output, tracer


def on_meta(name: str) -> tuple[nn.Module, torch.Tensor]:
    small = (WHOLE | BROKEN)[name]
    with torch.device("meta"):
        return small.build(), small.input("meta")


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_language_models_compile_whole(name: str) -> None:
    """Dropout's seeds and the gradients of embeddings are decomposed with methods that ask for a device guard."""
    module, tokens = on_meta(name)
    function, _, tracer = compiled(module, tokens)
    assert (function.graphs, function.failures) == (1, [])
    assert not [caveat for caveat in tracer.recorder.caveats if "compile" in caveat.message]


def test_a_break_is_named_with_its_place() -> None:
    module, inputs = on_meta("broken")
    function, _, tracer = compiled(module, inputs)
    (told,) = [caveat.message for caveat in tracer.recorder.caveats]
    assert function.graphs == 2
    assert "into 2 graphs" in told
    assert "compiled_models.py" in told
    assert "in forward" in told


def test_parts_take_what_they_take_apart() -> None:
    """A model broken in two allocates what its halves do, compiled one after another."""
    module, inputs = on_meta("broken")
    assert isinstance(module, Broken)
    _, _, broken = compiled(module, inputs)
    _, hidden, first = compiled(module.first, inputs)
    _, _, second = compiled(module.second, hidden.detach().requires_grad_())
    weights = len(list(module.parameters()))
    apart = first.recorder.sizes[weights // 2 :] + second.recorder.sizes[weights // 2 :]
    assert sorted(broken.recorder.sizes[weights:]) == sorted(apart)


def test_eager_code_between_graphs_is_heard() -> None:
    class Printing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x * 2
            torch._dynamo.graph_break()
            doubled = torch._dynamo.disable(lambda z: z @ z)(y)
            return doubled.relu()

    _, _, tracer = compiled(Printing(), torch.empty(64, 64, device="meta"))
    assert "aten::mm" in tracer.recorder._operators
    assert tracer.recorder.sizes.count(64 * 64 * 4) == 3


def test_what_cannot_be_compiled_is_named_and_runs_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise RuntimeError("no lowering for aten::spin")

    monkeypatch.setattr(capture, "lower", refused)
    module, inputs = on_meta("broken")
    function, output, tracer = compiled(module, inputs)
    assert output.shape == inputs.shape
    assert len(function.failures) == 2
    told = " ".join(caveat.message for caveat in tracer.recorder.caveats)
    assert "no lowering for aten::spin" in told
    assert "first.0" in told
    assert "second.0" in told


def test_buffers_belong_to_the_modules_they_come_from() -> None:
    """As in eager mode: the activations of the wide half of a model are the wide half's."""
    net = nn.Sequential(nn.Sequential(nn.Linear(64, 4096), nn.GELU()), nn.Sequential(nn.Linear(4096, 64), nn.GELU()))
    workload = vramcast.Workload.train(inputs=["input=256x64:float32"], backend="compile")
    trace = vramcast.estimate(net, workload).trace
    of = {
        trace.modules[trace.block_modules[block]].partition(".")[0]
        for block in range(len(trace.sizes))
        if trace.sizes[block] == 256 * 4096 * 4 and trace.components[block] in (Component.ACTIVATIONS, Component.TEMPORARIES)
    }
    assert of == {"0", "1"}  # the activation of the first half, its gradient in the second's backward
