"""Where CPU and CUDA do the same, a trace holds the very allocations of a real run, in the same order.

The real run is watched by torch's profiler, which, unlike a dispatch mode, does not change the backward formulas.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile

from vramcast.trace import Component, Event
from vramcast.tracing.tracer import Tracer

LARGEST_SCALAR = 8
"""Single numbers are left out: a CPU kernel puts a Python scalar into a tensor where a CUDA kernel takes it as an argument."""

Loss = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Dropout(0.0), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def _smooth() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 96), nn.SiLU(), nn.Linear(96, 96), nn.Tanh(), nn.Linear(96, 10))


class _Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + torch.sigmoid(self.first(x))
        x = torch.cat([x, self.second(x).softmax(-1)], 0).chunk(2, 0)[0] * 2
        return self.head(x)


class _Joins(nn.Module):
    """Gradients of `x` come from two sides and are added into the first where nothing else holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = (nn.Linear(64, 64, bias=False) for _ in range(3))
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.stem(x))
        x = self.relu(self.left(x) + x)
        return self.head(self.relu(self.right(x) + x))


class _Branches(nn.Module):
    """Gradients of `x` come as part of a larger tensor, which must not be added into."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(64, 64, bias=False), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head(torch.cat([x, x * 2, x.sigmoid()], 0)[:32] + x)


def _cross_entropy(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(module(x), y)


def _gathered(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -module(x).log_softmax(1).gather(1, y[:, None]).mean()


def _indexed(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return module(x)[y].square().mean()


def _largest(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return module(x).max(1)[0].sum()


def _squared(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    out = module(x)
    return F.mse_loss(out, torch.zeros_like(out))


def _huber(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    out = module(x)
    return F.smooth_l1_loss(out, torch.zeros_like(out)) + F.huber_loss(out, torch.ones_like(out))


CASES = [
    (build, loss)
    for build in (_mlp, _smooth, _Residual, _Joins, _Branches)
    for loss in (_cross_entropy, _gathered, _indexed, _largest, _squared, _huber)
]


def _real(build: Callable[[], nn.Module], loss: Loss) -> list[int]:
    module, x, y = build(), torch.randn(32, 64), torch.zeros(32, dtype=torch.int64)
    loss(module, x, y).backward()
    module.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = loss(module, x, y)
        result.backward()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return [size for size in sizes if abs(size) > LARGEST_SCALAR]


def _traced(build: Callable[[], nn.Module], loss: Loss) -> list[int]:
    with torch.device("meta"):
        module = build()
    tracer = Tracer()
    with tracer:
        tracer.adopt(module, Component.WEIGHTS, Component.BUFFERS)
        x, y = torch.empty(32, 64, device="cuda"), torch.zeros(32, dtype=torch.int64, device="cuda")
        tracer.phase("forward", 0)
        result = loss(module, x, y)
        result.backward()
        recording = tracer.recording()
    signs = {Event.ALLOCATE: 1, Event.FREE: -1}
    return [
        signs[Event(kind)] * recording.sizes[block]
        for kind, block, operation in zip(recording.kinds, recording.blocks, recording.operations)
        if recording.phases[recording.operation_phases[operation]].name == "forward" and recording.sizes[block] > LARGEST_SCALAR
    ]


@pytest.mark.parametrize(("build", "loss"), CASES)
def test_same_allocations_as_a_real_run(build: Callable[[], nn.Module], loss: Loss) -> None:
    real, traced = _real(build, loss), _traced(build, loss)
    assert [size for size in traced if size > 0] == [size for size in real if size > 0]
    assert max(_running(traced)) == max(_running(real))


def _running(sizes: list[int]) -> list[int]:
    live, levels = 0, []
    for size in sizes:
        live += size
        levels.append(live)
    return levels
