"""A run beyond its steps: validation, checkpoint, resume, and which of them binds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from traced_steps import events_of, held_as, live_bytes, model_of, operators_in, phase_peak, traced

from vramcast.allocator.replay import replay
from vramcast.breakdown import phase_peaks
from vramcast.program.program import setting_of
from vramcast.program.validation import plan_of, setting_of_pass
from vramcast.sources import registry
from vramcast.sources.interface import Model
from vramcast.trace import Component, Trace
from vramcast.workload import Habits, Validation, Workload

SIDE, WIDTH = 64, 16


class Pictures(nn.Module):
    """Two convolutions and a classifier; the largest parameter is the classifier's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.body = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.head = nn.Linear(WIDTH * 64, 256)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = nn.functional.adaptive_avg_pool2d(self.body(self.norm(self.stem(x)).relu()), 8)
        return self.head(features.flatten(1))


PICTURES: Model = model_of(Pictures, "classify", image=(SIDE, SIDE), classes=256)
IMAGE = 3 * SIDE * SIDE * 4
"""Bytes of one fp32 image."""


def pictures(**fields: Any) -> Trace:
    return traced(PICTURES, Workload.train(**{"batch": 4, "optimizer": "adamw", **fields}))


def weights_of(module: nn.Module) -> int:
    return sum(parameter.nbytes for parameter in module.parameters())


def everything_of(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in module.state_dict().values())


def before(trace: Trace, phase: str) -> int:
    """Bytes alive when a phase begins."""
    return int(live_bytes(trace)[events_of(trace, phase)[0] - 1])


def after(trace: Trace, phase: str) -> int:
    """Bytes alive when a phase ends."""
    return int(live_bytes(trace)[events_of(trace, phase)[-1]])


def peaks(trace: Trace) -> dict[str, bool]:
    return {peak.name: peak.binding for peak in phase_peaks(trace, replay(trace), context=0)}


def test_a_step_alone_validates_and_saves_nothing() -> None:
    assert list(peaks(pictures())) == ["load", "first step", "steady step"]


def test_a_run_validates_too() -> None:
    assert list(peaks(pictures(phases="run"))) == ["load", "first step", "steady step", "validation"]


def test_validation_binds_where_its_batch_is_large() -> None:
    wide = pictures(batch=2, phases="run", validation=Validation(batch=64))
    assert peaks(wide)["validation"]
    same = pictures(batch=64, phases="run", validation=Validation(batch=64))
    assert peaks(same)["steady step"]
    assert not peaks(same)["validation"]


def test_validation_keeps_nothing_for_backward() -> None:
    trace = pictures(phases="run")
    assert not any("backward" in operator for operator in operators_in(trace, "validation"))
    assert held_as(trace, Component.ACTIVATIONS, int(events_of(trace, "validation")[-1])) == 0
    assert phase_peak(trace, "validation") < phase_peak(trace, "backward", 1)


def test_by_default_validation_takes_the_training_batch_and_precision() -> None:
    plain = pictures(phases="run", precision="amp-bf16")
    said = pictures(phases="run", precision="amp-bf16", validation=Validation(batch=4, precision="amp-bf16"))
    assert phase_peak(plain, "validation") == phase_peak(said, "validation")


def test_autocast_keeps_no_cast_copies_in_validation() -> None:
    trace = pictures(phases="run", precision="amp-bf16")
    during = events_of(trace, "validation")
    assert all(held_as(trace, Component.CAST_COPIES, int(event)) == 0 for event in during)


@pytest.mark.parametrize(("zero_grad", "are_alive"), [("start", True), ("before-backward", True), ("after-step", False)])
def test_gradients_stay_through_validation_until_they_are_cleared(zero_grad: str, are_alive: bool) -> None:
    trace = pictures(phases="run", zero_grad=zero_grad)
    assert held_as(trace, Component.GRADIENTS, int(events_of(trace, "validation")[0])) == are_alive * weights_of(Pictures())


def test_an_epoch_in_a_function_lets_its_last_batch_go() -> None:
    held = pictures(phases="run", habits=Habits(epoch="loop"))
    gone = pictures(phases="run", habits=Habits(epoch="function"))
    labels, logits, loss = 4 * 8, 4 * 256 * 4, 4
    assert before(held, "validation") - after(gone, "validation") == 4 * IMAGE + labels + logits + loss


def test_kept_outputs_pile_up() -> None:
    peak = {
        kept: phase_peak(pictures(phases="run", validation=Validation(batch=32), habits=Habits(kept_outputs=kept)), "validation")
        for kept in (0, 4, 10)
    }
    # Top-5 class indices of 32 images are what this task's validation keeps.
    assert peak[10] - peak[4] == 6 * 32 * 5 * 8
    assert peak[4] > peak[0]


@pytest.mark.parametrize("ema", ["off", "gpu"])
def test_half_precision_validation_converts_in_place_and_back(ema: str) -> None:
    trace = pictures(phases="run", ema=ema, validation=Validation(batch=1, precision="fp16", uses_ema=ema == "gpu"))
    components = {Component.EMA} if ema == "gpu" else {Component.WEIGHTS, Component.BUFFERS}
    events = [int(events_of(trace, "validation")[0]) - 1, *map(int, events_of(trace, "validation"))]
    started, *during = (sum(held_as(trace, component, event) for component in components) for event in events)
    module = Pictures()
    floating = sum(tensor.nbytes for tensor in module.state_dict().values() if tensor.is_floating_point())
    assert during[-1] == started == everything_of(module)
    assert started - floating // 2 in during
    assert max(during) <= started + module.head.weight.nbytes // 2


def test_half_inputs_are_half_as_large() -> None:
    inputs = {}
    for is_half in (False, True):
        trace = pictures(phases="run", precision="amp-fp16", habits=Habits(half_validation_inputs=is_half, epoch="function"))
        events = events_of(trace, "validation")
        inputs[is_half] = max(held_as(trace, Component.INPUTS, int(event)) for event in events)
    labels = 2 * 4 * 8
    assert inputs[False] - labels == 2 * 4 * IMAGE
    assert inputs[True] - labels == 4 * IMAGE


def test_multi_scale_training_validates_at_the_base_size() -> None:
    trace = pictures(phases="run", image_range=(32, 128), habits=Habits(epoch="function"))
    sizes = {int(trace.sizes[block]) for block in trace.blocks[events_of(trace, "validation")] if trace.components[block] == Component.INPUTS}
    assert 4 * IMAGE in sizes
    assert 4 * IMAGE * 4 not in sizes


def test_a_plain_checkpoint_takes_no_memory() -> None:
    assert not len(events_of(pictures(phases="run", ema="gpu"), "checkpoint"))


@pytest.mark.parametrize("ema", ["off", "gpu"])
def test_a_copied_checkpoint_takes_half_a_module_and_the_states(ema: str) -> None:
    trace = pictures(phases="run", ema=ema, habits=Habits(checkpoint_save="copies"))
    module = Pictures()
    halved = sum(tensor.nbytes // (2 if tensor.is_floating_point() else 1) for tensor in module.state_dict().values())
    states = 2 * weights_of(module)
    scalar = 4  # `Tensor.__deepcopy__` makes an empty tensor before it gives it the copied storage (torch/_tensor.py, 2.13)
    assert phase_peak(trace, "checkpoint") - before(trace, "checkpoint") == halved + states + scalar
    assert after(trace, "checkpoint") == before(trace, "checkpoint")
    assert list(peaks(trace))[-1] == "checkpoint"


def test_a_copied_checkpoint_halves_momentum_but_not_moments() -> None:
    trace = pictures(phases="run", optimizer="momentum", habits=Habits(checkpoint_save="copies"))
    module = Pictures()
    weights, largest = weights_of(module), module.head.weight.nbytes
    extra = phase_peak(trace, "checkpoint") - before(trace, "checkpoint")
    assert weights // 2 + weights < extra <= weights // 2 + weights + largest // 2 + 256


def test_resuming_makes_the_first_step_as_heavy_as_any_other() -> None:
    fresh, resumed = pictures(steps=3), pictures(steps=3, resume=True)
    whole_step = ("staging", "forward", "backward", "optimizer")
    steps = {step: max(phase_peak(resumed, phase, step) for phase in whole_step if len(events_of(resumed, phase, step))) for step in (0, 1, 2)}
    assert steps[1] == steps[2]
    # A first batch replaces none; what is still held of the step before is all that differs.
    labels, logits, loss = 4 * 8, 4 * 256 * 4, 4
    assert 0 <= steps[1] - steps[0] <= 4 * IMAGE + labels + logits + loss
    assert phase_peak(fresh, "forward", 0) == phase_peak(resumed, "forward", 0) - 2 * weights_of(Pictures())
    assert phase_peak(resumed, "optimizer", 0) == phase_peak(resumed, "optimizer", 1) == phase_peak(fresh, "optimizer", 1)


@pytest.mark.parametrize(("device", "ema", "copies"), [("cuda", "off", 1), ("cuda", "gpu", 2), ("cpu", "off", 0), ("cpu", "gpu", 0)])
def test_a_checkpoint_loaded_to_the_card_is_there_twice(device: str, ema: str, copies: int) -> None:
    trace = pictures(resume=True, ema=ema, habits=Habits(checkpoint_device=device))
    states = 2 * weights_of(Pictures())
    assert phase_peak(trace, "resume") - before(trace, "resume") == states + copies * everything_of(Pictures())
    assert after(trace, "resume") - before(trace, "resume") == states
    assert list(peaks(trace)) == ["load", "resume", "first step", "steady step"]


def test_accumulation_holds_gradients_through_later_forward_passes() -> None:
    one, many = pictures(accumulate=1), pictures(accumulate=16)
    assert held_as(one, Component.GRADIENTS, int(events_of(one, "forward", 1)[0])) == 0
    first, second = (index for index, phase in enumerate(many.phases) if phase.name == "forward" and phase.step == 1)
    in_phase = many.event_phases()
    for index, expected in ((first, 0), (second, weights_of(Pictures()))):
        event = int((in_phase == index).nonzero()[0][0])
        assert held_as(many, Component.GRADIENTS, event) == expected


def test_gradients_are_cleared_before_the_average_moves() -> None:
    trace = pictures(ema="gpu", zero_grad="after-step")
    names = [phase.name for phase in trace.phases if phase.step == 1]
    assert names.index("zero_grad") < names.index("ema")
    assert phase_peak(trace, "optimizer", 1) > before(trace, "staging")


def test_an_average_is_moved_without_temporaries() -> None:
    trace = pictures(ema="gpu")
    assert not len(events_of(trace, "ema"))
    assert held_as(trace, Component.EMA, len(trace) - 1) == everything_of(Pictures())


def test_an_average_of_a_half_module_is_fp32() -> None:
    trace = pictures(ema="gpu", precision="bf16")
    module = Pictures()
    integers = sum(tensor.nbytes for tensor in module.state_dict().values() if not tensor.is_floating_point())
    assert held_as(trace, Component.EMA, len(trace) - 1) == everything_of(module)
    assert held_as(trace, Component.WEIGHTS, len(trace) - 1) == weights_of(module) // 2
    assert integers == 8


def test_detectors_validate_padded_images() -> None:
    model = registry.find("ultralytics:yolov8n")
    workload = Workload.train(preset="ultralytics", batch=2, image=(640, 320))
    training = setting_of(model, workload)
    assert setting_of_pass(training, plan_of(workload)).image == (672, 352), "half a stride of 32, rounded up"
    assert setting_of_pass(training, Validation(batch=2, image=(640, 640))).image == (640, 640), "what is said counts"
    classifier = setting_of(registry.find("ultralytics:yolov8n-cls"), workload)
    assert setting_of_pass(classifier, plan_of(workload)).image == (640, 320), "images of classifiers are cropped"
