"""Deterministic mode: what is not modelled is said, with a bound where there is one."""

from __future__ import annotations

import pytest
from torch import nn

from vramcast.pipeline import estimate
from vramcast.workload import Workload


def _caveats(precision: str, cublas_workspace: str | None) -> dict[str, int | None]:
    environment = {"deterministic": True, "cublas_workspace": cublas_workspace}
    workload = Workload.train(batch=2, image=64, precision=precision, environment=environment)
    found = estimate("torchvision:resnet18", workload, "a100 40gb").caveats
    return {note.message: note.bound_bytes for note in found if "determinis" in note.message}


@pytest.mark.parametrize(("precision", "is_unknown"), [("fp32", True), ("bf16", False)])
def test_engines_of_fp32_convolutions_are_unknown(precision: str, is_unknown: bool) -> None:
    """Parameters for half types are fitted on trainers that run in deterministic mode."""
    assert any(message.startswith("cudnn.deterministic") for message in _caveats(precision, ":4096:8")) is is_unknown


def test_cublas_without_its_variable_is_bounded_by_its_usual_value() -> None:
    """32 MiB in place of 8,519,680 bytes, forward and backward."""
    (bound,) = (bound for message, bound in _caveats("bf16", None).items() if "CUBLAS_WORKSPACE_CONFIG" in message)
    assert bound == 2 * (32 * 2**20 - 8_519_680)
    assert not _caveats("bf16", ":4096:8")


def test_the_usual_mode_needs_no_caveat() -> None:
    found = estimate("torchvision:resnet18", Workload.train(batch=2, image=64), "a100 40gb").caveats
    assert not [note for note in found if "determinis" in note.message]


def test_what_torch_refuses_is_named() -> None:
    """Reflection padding has no deterministic gradient (documentation of `torch.use_deterministic_algorithms`)."""
    image = {"name": "input", "shape": (1, 3, 32, 32), "dtype": "float32"}
    workload = Workload.train(batch=1, inputs=[image], environment={"deterministic": True, "cublas_workspace": ":4096:8"})
    found = estimate(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReflectionPad2d(1)), workload, "a100 40gb").caveats
    assert any("refuses reflection_pad2d_backward unless" in note.message for note in found)
