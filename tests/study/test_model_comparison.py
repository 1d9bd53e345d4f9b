"""Models side by side: each as its own forecast says, with the modules that make the difference."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import vramcast
from vramcast.errors import ModelError, UsageError
from vramcast.study.compare import compare
from vramcast.workload import Workload


class Net(nn.Module):
    """A stem at full resolution and a body at a quarter of it."""

    def __init__(self, stem: int, body: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, padding=1), nn.ReLU())
        self.pool = nn.AvgPool2d(4)
        self.body = nn.Sequential(nn.Conv2d(stem, body, 3, padding=1), nn.ReLU(), nn.Conv2d(body, body, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(self.pool(self.stem(x)))


def high_resolution() -> nn.Module:
    return Net(64, 16)


def more_parameters() -> nn.Module:
    return Net(8, 256)


def broken() -> nn.Module:
    raise RuntimeError("no such layer")


WORKLOAD = Workload.train(inputs=["x=4x3x256x256"], steps=1)


@pytest.fixture(scope="module")
def found() -> vramcast.ModelComparison:
    return compare([more_parameters, high_resolution, broken], WORKLOAD, "rtx 4090")


def test_each_side_is_its_own_forecast(found: vramcast.ModelComparison) -> None:
    for side, build in zip(found.sides, (more_parameters, high_resolution)):
        made = vramcast.estimate(build, WORKLOAD, "rtx 4090")
        assert (side.peak, side.fits, side.components, side.model) == (made.peak, made.fits, made.components, made.model)


def test_one_that_cannot_be_built_says_why_and_the_others_go_on(found: vramcast.ModelComparison) -> None:
    assert "no such layer" in (found.sides[2].error or "")
    assert len(found.differences) == 1
    with pytest.raises(ModelError, match="no such layer"):
        compare([broken, broken], WORKLOAD)
    with pytest.raises(UsageError, match="1 model was given"):
        compare([broken], WORKLOAD)


def test_a_high_resolution_outweighs_parameters(found: vramcast.ModelComparison) -> None:
    (difference,) = found.differences
    first, second = found.sides[:2]
    assert first.model is not None
    assert second.model is not None
    assert first.model.parameters > 10 * second.model.parameters
    assert difference.more_bytes > 0
    assert sum(difference.components.values()) == difference.more_bytes
    # What ReLU, pooling and the second ReLU return: 4 images of 256 x 256 and of 64 x 64, 4 bytes each.
    full, quarter = 4 * 256 * 256 * 4, 4 * 64 * 64 * 4
    assert first.activations_bytes == 8 * full + (8 + 256) * quarter
    assert second.activations_bytes == 64 * full + (64 + 16) * quarter


def test_the_modules_are_told_with_class_parameters_and_resolution(found: vramcast.ModelComparison) -> None:
    modules = {one.name: one for one in found.differences[0].modules}
    assert list(modules) == sorted(modules, key=lambda name: -abs(modules[name].more_bytes))
    stem, body = modules["stem.0"], modules["body.2"]
    assert (stem.kind, stem.first_image, body.first_image) == ("Conv2d", (256, 256), (64, 64))
    assert (stem.first_parameters, stem.second_parameters) == (3 * 9 * 8 + 8, 3 * 9 * 64 + 64)
    assert (body.first_parameters, body.second_parameters) == (256 * 256 * 9 + 256, 16 * 16 * 9 + 16)
    assert stem.more_bytes > 0 > body.more_bytes


def test_modules_of_other_classes_stand_by_themselves() -> None:
    def plain() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 64, bias=False), nn.ReLU())

    def nested() -> nn.Module:
        return nn.Sequential(nn.Sequential(nn.Linear(64, 512, bias=False)), nn.ReLU())

    modules = compare([plain, nested], Workload.infer(inputs=["input=1x64"])).differences[0].modules
    held = {(one.name, one.kind): (one.first_bytes, one.second_bytes) for one in modules}
    (plainly, nothing), (none, inside) = held["0", "Linear"], held["0.0", "Linear"]
    assert (nothing, none) == (None, None)
    # Weights, and what it returns, in blocks of 512 bytes; cuBLAS's workspace is the same in both.
    assert (inside or 0) - (plainly or 0) == 64 * (512 - 64) * 4 + (2048 - 512)
