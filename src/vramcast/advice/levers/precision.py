"""Fewer bytes per number: autocast, and a module converted as a whole."""

from __future__ import annotations

import msgspec

from vramcast.advice.lever import INFERENCE_ONLY, TRAINING_ONLY, Change, Lever, Situation
from vramcast.presets import ULTRALYTICS
from vramcast.workload import Precision, Workload


def _with_precision(workload: Workload, precision: Precision) -> Workload:
    """Change the precision, and that of a validation pass that has the same; fp16 images go with fp16 only."""
    validation = workload.validation
    if validation is not None and validation.precision == workload.precision:
        validation = msgspec.structs.replace(validation, precision=precision)
    habits = workload.habits
    if habits.half_validation_inputs and precision != "amp-fp16":
        habits = msgspec.structs.replace(habits, half_validation_inputs=False)
    return workload.with_fields(precision=precision, validation=validation, habits=habits)


def _change(situation: Situation, precision: Precision, code: str) -> tuple[Change, ...]:
    return (Change(precision, _with_precision(situation.workload, precision), code, f"--precision {precision}"),)


def _autocast(situation: Situation) -> tuple[Change, ...] | str:
    precision = situation.workload.precision
    if precision not in ("fp32", "tf32"):
        return f"precision is {precision} already"
    if situation.model is None:
        return "a number of parameters has no operators to be cast"
    if not situation.workload.is_training:
        return "inference converts the module, which frees more"
    if situation.is_ultralytics and situation.workload.preset in ULTRALYTICS:
        return _change(situation, "amp-fp16", "model.train(..., amp=True)")
    if situation.bf16:
        return _change(situation, "amp-bf16", 'with torch.autocast("cuda", torch.bfloat16): loss = criterion(model(x), y)')
    code = 'with torch.autocast("cuda", torch.float16): ...   # and torch.amp.GradScaler around backward and step'
    return _change(situation, "amp-fp16", code)


def _trained_in_16_bits(situation: Situation) -> tuple[Change, ...] | str:
    workload = situation.workload
    if not workload.is_training:
        return TRAINING_ONLY
    if workload.precision in ("fp16", "bf16"):
        return f"the module is in {workload.precision} already"
    if situation.is_ultralytics:
        return "Ultralytics trains weights in fp32"
    if not situation.bf16:
        return "weights in fp16 do not train, and the card has no bfloat16"
    return _change(situation, "bf16", "model.to(torch.bfloat16)   # and floating-point inputs")


def _run_in_16_bits(situation: Situation) -> tuple[Change, ...] | str:
    workload = situation.workload
    if workload.is_training:
        return INFERENCE_ONLY
    if workload.precision in ("fp16", "bf16"):
        return f"the module is in {workload.precision} already"
    return _change(situation, "fp16", "model.predict(..., half=True)" if situation.is_ultralytics else "model.half()   # and floating-point inputs")


AUTOCAST = Lever(
    "precision", "autocast",
    computation="", risk="fewer digits in convolutions and matrix products", effort="a few lines", changes=_autocast,
)  # fmt: skip
CONVERTED = Lever(
    "precision", "training in 16 bits",
    computation="", risk="weights, states and norms in 16 bits: small updates are lost", effort="one line", changes=_trained_in_16_bits,
)  # fmt: skip
HALF = Lever("precision", "inference in 16 bits", computation="", risk="fewer digits", effort="one line", changes=_run_in_16_bits)
