"""What is advised is what a forecast of the changed workload says, and what frees nothing is told why."""

from __future__ import annotations

import re
import shlex
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import vramcast
from vramcast.advice.advise import advise
from vramcast.advice.lever import Change, Lever, Situation
from vramcast.advice.levers import LEVERS
from vramcast.advice.levers.activations import modules_that_hold_most
from vramcast.advice.levers.frozen import backbone_of
from vramcast.backends.eager import batching
from vramcast.cli.options import workload_from, workload_options
from vramcast.errors import WorkloadError
from vramcast.footprint import ModuleShare
from vramcast.gpu.spec import GpuSpec
from vramcast.sources import registry
from vramcast.sources.building import build_on_meta
from vramcast.workload import Workload

MIB = 2**20


def card(mebibytes: int) -> GpuSpec:
    """A card with the context of an RTX 4090 and as little memory as is asked for."""
    size = mebibytes * MIB
    return GpuSpec(name="small", vendor="nvidia", memory_bytes=size, usable_bytes=size, compute_capability=(8, 9), sm_count=128)


class Convolutional(nn.Module):
    """Two stages of blocks and a head: activations outweigh the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.stage = nn.Sequential(*[nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()) for _ in range(4)])
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stage(self.stem(x)).mean((2, 3)))


def heavy() -> nn.Module:
    """Weights outweigh activations: 2**24 parameters."""
    return nn.Linear(4096, 4096, bias=False)


IMAGES = Workload.train(batch=8, inputs=["x=8x3x128x128"], cudnn_benchmark=True, set_to_none=False, ema="gpu", steps=1)
WEIGHTS = Workload.train(inputs=["input=4x4096"], ema="gpu", set_to_none=False)


@pytest.fixture(scope="module")
def advice() -> vramcast.Advice:
    return advise(Convolutional, IMAGES, card(900))


@pytest.fixture(scope="module")
def of_weights() -> vramcast.Advice:
    return advise(heavy, WEIGHTS, card(8192))


def test_each_figure_is_that_of_a_forecast_of_its_own(advice: vramcast.Advice) -> None:
    assert {"expandable segments", "cuDNN benchmark off", "autocast", "checkpointing", "frozen backbone"} <= {one.levers[0] for one in advice.advised}
    assert any(len(one.levers) == 2 for one in advice.advised)
    for one in advice.advised:
        made = vramcast.estimate(Convolutional, IMAGES.with_fields(**_as_fields(one.workload)), card(900))
        assert (one.peak, one.fits) == (made.peak, made.fits)
        assert one.freed_bytes == advice.peak.device_bytes - made.peak.device_bytes


def _as_fields(changed: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in changed.items()}


def test_what_frees_most_comes_first(advice: vramcast.Advice) -> None:
    freed = [one.freed_bytes for one in advice.advised]
    assert freed == sorted(freed, reverse=True)


BASES = [
    (
        ["--train", "--cudnn-benchmark", "--keep-grads", "--ema", "--zero-grad", "before-backward", "--prefetch", "1", "--attention", "eager"],
        "torchvision:resnet18",
    ),
    (["--train", "--preset", "ultralytics", "--batch", "8", "--optimizer", "adamw", "--image-range", "320", "960"], "ultralytics:yolo11n"),
    (["--train", "--channels-last", "--optimizer", "adam", "--allocator", "max_split_size_mb:64", "--batch", "4"], "torchvision:resnet18"),
    (["--infer", "--batch", "4"], "torchvision:resnet18"),
    (["--train", "--precision", "bf16", "--seq", "64"], "transformers:llama-2-7b"),
]


@pytest.mark.parametrize(("base", "name"), BASES)
def test_the_options_told_make_the_very_workload(base: list[str], name: str) -> None:
    workload = _workload(base)
    estimate = vramcast.estimate(nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())), Workload.train(inputs=["input=2x3x8x8"]))
    situation, pulled = Situation(registry.find(name), workload, estimate), 0
    for lever in LEVERS:
        changes = lever.changes(situation)
        for change in () if isinstance(changes, str) else changes:
            options = shlex.split(change.options.partition("   ")[0])
            left = base[: base.index("--image-range")] if lever.name == "one image size" else base
            assert _workload([*left, *options]) == change.workload, lever.name
            pulled += 1
    assert pulled >= 3


def _workload(arguments: list[str]) -> Workload:
    caught: dict[str, Any] = {}

    @click.command()
    @workload_options
    def command(**options: Any) -> None:
        caught.update(options)

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return workload_from(caught)


def test_of_weights_the_closed_forms_hold(of_weights: vramcast.Advice) -> None:
    freed = {one.name: one for one in of_weights.advised}
    weights = 4096 * 4096 * 4
    # Two fp32 states become two of a byte with an fp32 scale per 256 values (bitsandbytes), the step's temporaries aside.
    assert freed["adamw8bit"].freed_bytes >= 2 * weights - 2 * (weights // 4 + 4 * weights // 4 // 256)
    assert freed["EMA on the CPU"].freed_bytes == weights


def test_what_frees_nothing_says_what_fills_the_peak(of_weights: vramcast.Advice) -> None:
    why_not = {one.name: one.why_not for one in of_weights.advised}
    assert why_not["adamw8bit"] is None
    # Two fp32 states of 2**24 parameters.
    assert "filled with optimizer states (128.00 MiB)" in (why_not["checkpointing"] or "")
    assert {left_out.lever: left_out.reason for left_out in of_weights.not_applicable}["cuDNN benchmark off"] == "cuDNN does not benchmark"


def test_a_lever_that_acts_in_another_phase_says_so() -> None:
    workload = Workload.train(batch=2, image=64, phases="run", validation={"batch": 64}, ema="gpu")
    advice = advise("torchvision:resnet18", workload, card(8192), levers=[lever for lever in LEVERS if lever.name == "fused optimizer"])
    assert next(phase for phase in advice.phases if phase.binding).name == "validation"
    (one,) = advice.advised
    said = re.fullmatch(r"the peak is in the validation; the first step allocates ([\d.]+) MiB less", one.why_not or "")
    # A foreach step holds as much as all trained parameters, 4 bytes each, and rounding.
    assert said is not None
    assert 0 <= float(said[1]) - advice.model.parameters * 4 / MIB < 2


def test_a_smaller_batch_is_as_large_as_fits_and_keeps_the_effective_batch() -> None:
    workload = Workload.train(batch=32, image=192, steps=1)
    need = vramcast.estimate("torchvision:resnet18", workload.with_fields(batch=8, accumulate=4), card(8192)).peak.device_bytes
    advice = advise("torchvision:resnet18", workload, card(need // MIB + 2), levers=[lever for lever in LEVERS if lever.kind == "batch"])
    assert [(one.workload, one.fits) for one in advice.advised] == [({"batch": 8, "accumulate": 4}, True)]
    assert (advice.fits, advice.can_fit) == (False, True)
    nothing = advise("torchvision:resnet18", workload, card(480), levers=[lever for lever in LEVERS if lever.kind == "batch"])
    assert (nothing.fits, nothing.can_fit) == (False, False)


def test_what_cannot_be_traced_is_told_and_the_others_go_on() -> None:
    def impossible(situation: Situation) -> tuple[Change, ...]:
        return (Change("impossible", situation.workload.with_fields(freeze=("no.such.module",)), "", ""),)

    lever = Lever("frozen", "impossible", "", "", "", impossible)
    advice = advise(heavy, WEIGHTS, levers=[lever, *(known for known in LEVERS if known.kind == "ema")])
    assert [(left_out.lever, "matches no parameter" in left_out.reason) for left_out in advice.failed] == [("impossible", True)]
    assert [one.name for one in advice.advised] == ["EMA on the CPU"]
    assert advice.can_fit is None


def test_a_pair_that_excludes_each_other_is_told() -> None:
    def only_in_fp32(situation: Situation) -> tuple[Change, ...]:
        if situation.workload.precision != "fp32":
            raise WorkloadError("an average is kept in fp32")
        return (Change("no average", situation.workload.with_fields(ema="off"), "", ""),)

    # bf16 frees more, so that the average goes second.
    levers = [Lever("ema", "no average", "", "", "", only_in_fp32), *(known for known in LEVERS if known.name == "training in 16 bits")]
    advice = advise(heavy, WEIGHTS, levers=levers)
    assert [one.name for one in advice.advised] == ["bf16", "no average"]
    assert [(left_out.lever, left_out.reason) for left_out in advice.failed] == [("training in 16 bits + no average", "an average is kept in fp32")]


def test_what_only_the_replay_depends_on_is_not_traced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[Workload] = []
    original = batching.trace_workload

    def count(model: Any, workload: Workload, *others: Any) -> Any:
        traced.append(workload)
        return original(model, workload, *others)

    monkeypatch.setattr(batching, "trace_workload", count)
    advice = advise(Convolutional, IMAGES, levers=[lever for lever in LEVERS if lever.kind in ("allocator", "benchmark")])
    assert len(traced) == 1
    assert {one.name for one in advice.advised} >= {"expandable segments", "cuDNN benchmark off"}


def test_the_modules_that_hold_most_lie_apart_and_have_parts() -> None:
    held = {"": 100, "a": 70, "a.0": 30, "a.0.x": 30, "a.1": 25, "a.1.x": 25, "a.2": 15, "a.2.x": 15, "b": 20, "c": 10, "c.x": 10}
    shares = tuple(ModuleShare(name=name, bytes=size, components={"activations": size}) for name, size in held.items())
    assert modules_that_hold_most(shares) == ("a.0", "a.1")


def test_backbones() -> None:
    assert backbone_of(build_on_meta(registry.find("torchvision:resnet18"))) == ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
    # yolo11.yaml lists 11 layers under `backbone`.
    assert backbone_of(build_on_meta(registry.find("ultralytics:yolo11n"))) == tuple(f"model.{layer}" for layer in range(11))
    assert backbone_of(heavy()) == ()


def test_no_two_levers_have_one_name() -> None:
    names = [lever.name for lever in LEVERS]
    assert len(set(names)) == len(names)
