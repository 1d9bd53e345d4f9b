"""Deterministic mode: functions that torch then takes apart are taken apart, and the mode ends with the forecast."""

from __future__ import annotations

import torch
from torch import nn

from vramcast.pipeline import estimate
from vramcast.workload import Workload


def _operators(deterministic: bool) -> set[str]:
    image = {"name": "input", "shape": (1, 3, 32, 32), "dtype": "float32"}
    workload = Workload.train(batch=1, inputs=[image], environment={"deterministic": deterministic, "cublas_workspace": ":4096:8"})
    model = lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2, mode="bilinear"))  # noqa: E731
    return set(estimate(model, workload, "a100 40gb").trace.operators)


def test_bilinear_resizing_runs_as_the_operators_it_is_made_of() -> None:
    """As `torch.nn.functional.interpolate` does on CUDA, whose own kernel adds gradients in no fixed order."""
    assert "aten::upsample_bilinear2d_backward" in _operators(deterministic=False)
    assert not any("upsample_bilinear2d" in name for name in _operators(deterministic=True))


def test_the_mode_ends_with_the_forecast() -> None:
    _operators(deterministic=True)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
