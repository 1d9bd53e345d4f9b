"""The backend as a user meets it: a torch model, exported, forecast, and in JSON."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import vramcast
from vramcast.units import MIB


@pytest.fixture(scope="module")
def answer() -> vramcast.Estimate:
    module = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 32 * 32, 10))
    workload = vramcast.Workload.infer(backend="onnxruntime", inputs=("input=4x3x32x32:float32",))
    return vramcast.estimate(module, workload, gpu="t4")


def test_weights_are_those_of_the_fused_graph(answer: vramcast.Estimate) -> None:
    parts = [16 * 3 * 3 * 3, 16, 16 * 32 * 32 * 10, 10]  # Batch norm has gone into the convolution; each part is rounded to 256 bytes.

    assert answer.components["weights"] == sum(-(-4 * part // 256) * 256 for part in parts)


def test_the_sum_is_the_peak(answer: vramcast.Estimate) -> None:
    assert sum(answer.components.values()) == answer.peak.device_bytes
    assert answer.peak.reserved_bytes >= 5 * MIB  # A region, and cuBLAS's workspace on a T4.
    assert answer.fits


def test_json_names_backend_and_options(answer: vramcast.Estimate) -> None:
    workload = answer.workload

    assert workload["backend"] == "onnxruntime"
    assert json.loads(json.dumps(workload))["onnxruntime"]["arena_extend_strategy"] == "kNextPowerOfTwo"


def test_half_precision_halves_the_weights(answer: vramcast.Estimate) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(16 * 32 * 32, 16, bias=False))
    sizes = [
        vramcast.estimate(
            module, vramcast.Workload.infer(backend="onnxruntime", precision=precision, inputs=("input=4x16x32x32:float32",)), gpu="t4"
        ).components["weights"]
        for precision in ("fp32", "fp16")
    ]  # fmt: skip

    assert sizes == [16 * 32 * 32 * 16 * 4, 16 * 32 * 32 * 16 * 2]
    assert torch.is_grad_enabled()
