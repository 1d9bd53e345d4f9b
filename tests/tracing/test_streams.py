"""Streams: memory of one is not reused on another, as `c10/cuda/CUDACachingAllocator.cpp` keeps pools by stream."""

from __future__ import annotations

import numpy as np
import torch

import vramcast
from vramcast.pipeline import estimate
from vramcast.workload import Workload

MIB = 2**20


def _work(on_a_stream: bool) -> None:
    first = torch.empty(30 * MIB, dtype=torch.uint8, device="cuda")
    del first
    side = torch.cuda.Stream()
    with torch.cuda.stream(side if on_a_stream else None):
        assert torch.cuda.current_stream().cuda_stream == (side.cuda_stream if on_a_stream else 0)
        second = torch.empty(30 * MIB, dtype=torch.uint8, device="cuda")
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    del second


def _reserved(on_a_stream: bool) -> int:
    with vramcast.trace(gpu="a100 40gb") as run:
        _work(on_a_stream)
    return vramcast.forecast(run.trace, "a100 40gb").peak.reserved_bytes


def test_memory_freed_on_one_stream_does_not_serve_another() -> None:
    assert _reserved(on_a_stream=False) == 30 * MIB
    assert _reserved(on_a_stream=True) == 2 * 30 * MIB


def test_streams_are_told_apart_until_torch_takes_them_again() -> None:
    """32 a device (c10/cuda/CUDAStream.cpp)."""
    with vramcast.trace(gpu="a100 40gb"):
        numbers = [torch.cuda.Stream().cuda_stream for _ in range(33)]
    assert len(set(numbers)) == 32
    assert numbers[32] == numbers[0]
    assert 0 not in numbers


def test_a_loader_converts_on_a_stream_of_its_own() -> None:
    """timm 1.0, data/loader.py: bytes and floats of two batches of 3 x 224 x 224, then labels."""
    trace = estimate("torchvision:resnet18", Workload.train(preset="timm", batch=4, phases="step"), "a100 40gb").trace
    sizes = set(trace.sizes[trace.streams != 0].tolist())
    assert sizes == {4 * 3 * 224 * 224, 4 * 4 * 3 * 224 * 224, 4 * 8}
    assert not np.any(trace.streams[trace.sizes == 64 * 3 * 7 * 7 * 4])
