"""The update of the weights: gradients, optimizer states, temporaries of its step, and the averaged copy."""

from __future__ import annotations

import msgspec

from vramcast.advice.lever import TRAINING_ONLY, Change, Lever, Situation
from vramcast.presets import ULTRALYTICS
from vramcast.workload import Optimizer

_WITH_FUSED = {"sgd": "SGD", "momentum": "SGD", "nesterov": "SGD", "adam": "Adam", "adamw": "AdamW", "adagrad": "Adagrad"}
"""torch 2.13, `torch/optim`: the optimizers with a `fused=` argument."""
_EIGHT_BIT: dict[str, tuple[Optimizer, str]] = {
    "adam": ("adam8bit", "Adam8bit"),
    "adamw": ("adamw8bit", "AdamW8bit"),
    "lion": ("lion8bit", "Lion8bit"),
}
_ONE_WAY = {"muon", "musgd", "lion", "adam8bit", "adamw8bit", "lion8bit"}
"""Optimizers that step in one way only."""

_CLOSED_FORM = "a number of parameters tells nothing of an optimizer's temporaries"


def _fused(situation: Situation) -> tuple[Change, ...] | str:
    workload = situation.workload
    if not workload.is_training:
        return TRAINING_ONLY
    if situation.model is None:
        return _CLOSED_FORM
    if workload.optimizer not in _WITH_FUSED:
        return f"{workload.optimizer} has no fused version"
    if workload.optimizer_loop == "fused":
        return "the optimizer is fused already"
    code = f"torch.optim.{_WITH_FUSED[workload.optimizer]}(..., fused=True)"
    return (Change("fused optimizer", workload.with_fields(optimizer_loop="fused"), code, "--fused"),)


def _for_loop(situation: Situation) -> tuple[Change, ...] | str:
    workload = situation.workload
    if not workload.is_training:
        return TRAINING_ONLY
    if situation.model is None:
        return _CLOSED_FORM
    if workload.optimizer in _WITH_FUSED:
        return "the fused version frees as much and is faster"
    if workload.optimizer in _ONE_WAY or workload.optimizer_loop == "for-loop":
        return f"{workload.optimizer} goes through its tensors one by one already, or has one way of stepping"
    return (
        Change("optimizer tensor by tensor", workload.with_fields(optimizer_loop="for-loop"), "optimizer = ...(..., foreach=False)", "--for-loop"),
    )


def _eight_bit(situation: Situation) -> tuple[Change, ...] | str:
    workload = situation.workload
    if not workload.is_training:
        return TRAINING_ONLY
    if workload.optimizer not in _EIGHT_BIT:
        return f"there is no 8-bit version of {workload.optimizer} among those known"
    if situation.is_ultralytics and workload.preset in ULTRALYTICS:
        return "Ultralytics' trainer makes its optimizers itself"
    name, made = _EIGHT_BIT[workload.optimizer]
    return (Change(name, workload.with_fields(optimizer=name, optimizer_loop="default"), f"bitsandbytes.optim.{made}(...)", f"--optimizer {name}"),)


def _set_to_none(situation: Situation) -> tuple[Change, ...] | str:
    if not situation.workload.is_training:
        return TRAINING_ONLY
    if situation.workload.set_to_none:
        return "cleared gradients are freed already"
    change = Change("set_to_none", situation.workload.with_fields(set_to_none=True), "optimizer.zero_grad(set_to_none=True)", "--set-to-none")
    return (change,)


def _clear_earlier(situation: Situation) -> tuple[Change, ...] | str:
    if not situation.workload.is_training:
        return TRAINING_ONLY
    if situation.workload.zero_grad != "before-backward":
        return "gradients are cleared before the forward pass already"
    workload = situation.workload.with_fields(zero_grad="after-step", set_to_none=True)
    return (Change("gradients cleared after the step", workload, "optimizer.step(); optimizer.zero_grad()", "--zero-grad after-step --set-to-none"),)


def _ema_on_cpu(situation: Situation) -> tuple[Change, ...] | str:
    workload = situation.workload
    if workload.ema != "gpu":
        return "there is no averaged copy on the GPU"
    validation, options = workload.validation, "--ema-device cpu"
    if validation is not None and validation.uses_ema:
        options += " --no-val-ema"
        validation = msgspec.structs.replace(validation, uses_ema=False)
    code = "average = copy.deepcopy(model).cpu()   # averaged with weight.detach().cpu() after each step; validate the trained module"
    return (Change("EMA on the CPU", workload.with_fields(ema="cpu", validation=validation), code, options),)


FUSED = Lever("update", "fused optimizer", computation="", risk="", effort="one argument", changes=_fused)
FOR_LOOP = Lever(
    "update", "optimizer tensor by tensor", computation="one kernel per tensor: slower with many small ones", risk="", effort="one argument",
    changes=_for_loop,
)  # fmt: skip
EIGHT_BIT = Lever(
    "update", "8-bit optimizer", computation="", risk="states are rounded to 8 bits, block by block", effort="another package, bitsandbytes",
    changes=_eight_bit,
)  # fmt: skip
SET_TO_NONE = Lever("gradients", "set_to_none", computation="", risk="", effort="one argument", changes=_set_to_none)
CLEAR_EARLIER = Lever("gradients", "gradients cleared after the step", computation="", risk="", effort="a line moved", changes=_clear_earlier)
EMA_ON_CPU = Lever(
    "ema", "EMA on the CPU", computation="weights cross PCIe after each step", risk="", effort="code of the averaged copy", changes=_ema_on_cpu
)
