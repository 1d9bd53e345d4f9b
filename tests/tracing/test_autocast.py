"""Autocast on meta tensors: what is cast, what is kept, and when it goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vramcast.trace import Component
from vramcast.tracing.tracer import Tracer

MIB = 2**20


@pytest.fixture
def tracer() -> Iterator[Tracer]:
    tracer = Tracer()
    with tracer:
        yield tracer


def _live(tracer: Tracer) -> int:
    recorder = tracer.recorder
    freed = {block for kind, block in zip(recorder.kinds, recorder.blocks) if kind == 1}
    return sum(size for block, size in enumerate(recorder.sizes) if block not in freed)


def _linear(tracer: Tracer, size: int = 4096) -> nn.Linear:
    layer = nn.Linear(size, size, bias=False, device="meta")
    tracer.adopt(layer)
    return layer


def test_weight_is_cast_once_and_released_with_the_region(tracer: Tracer) -> None:
    layer, x = _linear(tracer), torch.empty(1, 4096, device="cuda")
    before = _live(tracer)
    with torch.no_grad(), torch.autocast("cuda", torch.float16):
        layer(x)
        assert _live(tracer) - before == 32 * MIB
        layer(x)
        assert _live(tracer) - before == 32 * MIB
    assert _live(tracer) == before


def test_without_the_cache_nothing_stays(tracer: Tracer) -> None:
    layer, x = _linear(tracer), torch.empty(1, 4096, device="cuda")
    before = _live(tracer)
    with torch.no_grad(), torch.autocast("cuda", torch.float16, cache_enabled=False):
        layer(x)
        assert _live(tracer) == before


def test_cached_copies_are_called_cast_copies(tracer: Tracer) -> None:
    layer, x = _linear(tracer, 64), torch.empty(2, 64, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        layer(x).sum()
    sizes = [tracer.recorder.sizes[block] for block, component in tracer.recorder.claims.items() if component is Component.CAST_COPIES]
    assert sizes == [64 * 64 * 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_types_follow_the_lists(tracer: Tracer, dtype: torch.dtype) -> None:
    x = torch.empty(2, 8, 16, 16, device="cuda")
    weight = torch.empty(4, 8, 3, 3, device="cuda")
    with torch.autocast("cuda", dtype):
        half = F.conv2d(x, weight)
        assert half.dtype is dtype
        assert torch.relu(half).dtype is dtype
        assert F.interpolate(half, scale_factor=2.0, mode="bilinear").dtype is torch.float32
        assert half.softmax(1).dtype is torch.float32
        assert F.layer_norm(half, half.shape[1:]).dtype is torch.float32
        assert torch.cat([half, half.float()]).dtype is torch.float32
        assert torch.cat([half, half]).dtype is dtype
        assert (half.flatten(1) @ half.flatten(1).T).dtype is dtype
        assert half.sum().dtype is torch.float32
        labels = torch.zeros(2, dtype=torch.int64, device="cuda")
        assert F.cross_entropy(half.flatten(1), labels).dtype is torch.float32
        assert F.cross_entropy(half.flatten(1), labels, label_smoothing=0.1).dtype is torch.float32
    assert F.conv2d(x, weight).dtype is torch.float32


def test_backward_leads_to_fp32_gradients(tracer: Tracer) -> None:
    layer, x = _linear(tracer, 64), torch.empty(2, 64, device="cuda")
    with torch.autocast("cuda", torch.float16):
        loss = layer(x).float().square().mean()
    loss.backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype is torch.float32
