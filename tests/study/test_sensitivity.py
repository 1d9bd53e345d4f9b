"""How memory answers to what grows: forecasts of their own, and what closed forms say of them."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import nn

import vramcast
from vramcast.errors import WorkloadError
from vramcast.sources import registry
from vramcast.study.next_size import next_size
from vramcast.study.response import Response, order_of, statement_of
from vramcast.study.sensitivity import sensitivities, sensitivity
from vramcast.workload import Workload

WORKLOAD = Workload.train(batch=2, image=64, steps=1)


@pytest.fixture(scope="module")
def found() -> vramcast.Sensitivity:
    return sensitivity("torchvision:resnet18", WORKLOAD, "rtx 4090")


def test_each_answer_is_a_forecast_of_its_own(found: vramcast.Sensitivity) -> None:
    base = vramcast.estimate("torchvision:resnet18", WORKLOAD, "rtx 4090")
    others = [
        vramcast.estimate("torchvision:resnet18", WORKLOAD.with_fields(image=(128, 128)), "rtx 4090"),
        vramcast.estimate("torchvision:resnet18", WORKLOAD.with_fields(batch=4), "rtx 4090"),
        vramcast.estimate("torchvision:resnet34", WORKLOAD, "rtx 4090"),
    ]
    assert [answer.varied for answer in found.responses] == ["image size", "batch", "model size"]
    for answer, other in zip(found.responses, others):
        assert answer.peak == other.peak
        assert sum(answer.components.values()) == answer.added_bytes == other.peak.device_bytes - base.peak.device_bytes
    assert found.responses[2].factor == pytest.approx(others[2].model.parameters / base.model.parameters)


def test_small_batches_of_small_images_do_not_follow_the_rule(found: vramcast.Sensitivity) -> None:
    # 11.7 M and 21.8 M parameters (torchvision): 16 bytes each of weights, gradients and two states, less than 1 MiB of activations per image.
    assert found.order[0] == "model size"
    assert found.responses[2].added_bytes > 10e6 * 16 * 0.9
    assert "does not hold: " in found.statement
    assert re.search(r"model size adds \+\S+ MiB \(optimizer states \+", found.statement)


def test_tensors_that_follow_the_batch_have_elasticity_one_and_weights_none() -> None:
    activations = sensitivity(lambda: nn.Sequential(*[nn.ReLU() for _ in range(2)]), Workload.infer(inputs=["input=4x1048576"]))
    assert activations.responses[1].elasticity_of_tensors == pytest.approx(1.0, abs=1e-3)
    weights = sensitivity(lambda: nn.Linear(4096, 4096), Workload.infer(inputs=["input=4x4096"]))
    assert weights.responses[1].elasticity_of_tensors == pytest.approx(0.0, abs=5e-3)


class Pointwise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu()


def test_what_cannot_be_varied_says_why() -> None:
    found = sensitivity(Pointwise, Workload.infer(inputs=["x=2x3x8x8"]))
    errors = [answer.error for answer in found.responses]
    assert "inputs state their shapes" in (errors[0] or "")
    assert errors[1] is None
    assert "name one as larger" in (errors[2] or "")
    assert "one image size only, 224" in (sensitivity("torchvision:vit_b_32", WORKLOAD.with_fields(image=None)).responses[0].error or "")
    with pytest.raises(WorkloadError, match="nothing in it grows"):
        sensitivity("params:7B", Workload.train())


def test_several_points_share_their_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    from vramcast.backends.eager import batching

    traced: list[int] = []
    original = batching.trace_workload

    def count(model: object, workload: Workload, *others: object) -> object:
        traced.append(workload.batch)
        return original(model, workload, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(batching, "trace_workload", count)
    points = [Workload.infer(batch=batch, image=32) for batch in (1, 2, 4)]
    found = sensitivities("torchvision:resnet18", points, larger="torchvision:resnet34")
    # Two sizes of image at 1, 2, 4 and one at 8; the larger model at three.
    assert sorted(traced) == [1, 1, 1, 2, 2, 2, 4, 4, 4, 8]
    assert found[0].responses[1].peak == found[1].peak


def test_the_rule_is_stated_with_its_figures() -> None:
    answers = [
        Response(varied=name, added_bytes=size * 2**30, why="activations") for name, size in (("image size", 6), ("batch", 2), ("model size", 1))
    ]
    assert statement_of(answers) == "image size > batch > model size holds: +6.00 GiB, +2.00 GiB, +1.00 GiB"
    assert order_of(answers) == ("image size", "batch", "model size")
    assert "batch adds +2.00 GiB (activations) but model size +1.00 GiB" in statement_of([answers[0], answers[2], answers[1]])
    assert statement_of(answers[:1]) == ""


def test_the_next_size_is_that_of_the_family() -> None:
    families = {
        "ultralytics:yolo11n": "yolo11s", "ultralytics:yolo11l-seg": "yolo11x-seg", "ultralytics:yolov10m": "yolov10b",
        "ultralytics:yolov9m": "yolov9c",
        "torchvision:resnet50": "resnet101", "torchvision:convnext_tiny": "convnext_small", "torchvision:vit_b_16": "vit_l_16",
        "torchvision:swin_t": "swin_s", "torchvision:efficientnet_b0": "efficientnet_b1", "timm:vit_tiny_patch16_224": "vit_small_patch16_224",
    }  # fmt: skip
    for name, larger in families.items():
        found = next_size(registry.find(name))
        assert found is not None
        assert found.name == larger
    assert next_size(registry.find("ultralytics:yolo11x")) is None
    assert next_size(registry.find("torchvision:resnet152")) is None


def test_an_elasticity_is_a_ratio_of_logarithms(found: vramcast.Sensitivity) -> None:
    for answer in found.responses:
        assert answer.peak is not None
        after = found.peak.device_bytes * math.pow(answer.factor, answer.elasticity)
        assert after == pytest.approx(answer.peak.device_bytes)
