"""Presets: what a trainer sets when its user sets nothing. Pure data and arithmetic; torch is not needed.

A preset fills fields beneath the given ones: `preset_fields("ultralytics", {"mode": "train", "batch": 32})`. Where one
habit follows from another (accumulation and validation batch from the batch), it follows what was given. Each preset
names the sources and versions it was read from, and what it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vramcast.errors import UnknownNameError, WorkloadError

Fields = dict[str, Any]
Given = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Preset:
    """One trainer's habits."""

    training: Callable[[Given], Fields]
    """Fields of a training run, the given ones known."""
    inference: Fields
    """Fields of an inference call."""
    source: str
    """Where the habits were read."""
    left_out: tuple[str, ...]
    """Habits that are not modelled, each a sentence."""
    mosaic: float = 0.0
    """Chance that a detector's training image is a mosaic of four."""


def preset_fields(name: str, given: Given) -> Fields:
    """Return the fields a preset sets beneath the given ones; a given field is never among them.

    Raises:
        UnknownNameError: no preset has this name.
        WorkloadError: a given field that others follow from is no number.
    """
    preset = find(name)
    fields = preset.training(given) if given.get("mode", "infer") == "train" else preset.inference
    pointless = {"validation"} if given.get("phases") == "step" else set()
    if given.get("seq") is not None:
        pointless.add("prefetch_dtype")
    return {field: value for field, value in fields.items() if given.get(field) is None and field not in pointless}


def applied(name: str | None, given: Given) -> Fields:
    """Return what a preset sets beneath the given fields; nothing without a preset. Raises as `preset_fields` does."""
    return {} if name is None else preset_fields(name, given)


def in_force(fields: Given) -> Fields:
    """Return what the preset of a workload's fields set: its habits, as far as nothing else was given in their place."""
    if fields.get("preset") is None:
        return {}
    habits = preset_fields(fields["preset"], {"mode": fields["mode"], "batch": fields["batch"]})
    return {name: value for name, value in habits.items() if _is(fields.get(name), value)}


_FOLLOWING = ("accumulate", "validation")
"""Fields that presets set by the batch."""


def at_batch(fields: Given, batch: int) -> Fields:
    """Return what changes in a workload's fields at another batch: the batch, and what its preset sets by it, where nothing else was given."""
    changed: Fields = {"batch": batch}
    if fields.get("preset") is None or fields["mode"] != "train":
        return changed
    others = {name: value for name, value in fields.items() if name not in _FOLLOWING and value is not None}
    before, after = (find(fields["preset"]).training({**others, "batch": count}) for count in (fields["batch"], batch))
    for name in _FOLLOWING:
        if name in before and _is(fields.get(name), before[name]):
            changed[name] = {**fields[name], **after[name]} if isinstance(after[name], Mapping) else after[name]
    return changed


def _is(value: Any, habit: Any) -> bool:
    """Whether a field has a habit's value; a habit made of parts states only those it sets."""
    if isinstance(habit, Mapping) and isinstance(value, Mapping):
        return all(_is(value.get(part), wanted) for part, wanted in habit.items())
    return bool(value == habit)


def find(name: str) -> Preset:
    """Return a preset by its name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in PRESETS:
        raise UnknownNameError("preset", str(name), PRESETS, hint=f"Legal: {', '.join(PRESETS)}.")
    return PRESETS[name]


NOMINAL_BATCH = 64
"""`nbs`: gradients are accumulated until about this many images were seen (ultralytics 8.4, cfg/default.yaml)."""


VALIDATION_PAD = 0.5
"""`pad` of validation sets, in strides: 640 pixels become 672 (ultralytics 8.4, data/build.py `build_yolo_dataset`, data/base.py `set_rectangle`)."""


def _ultralytics(given: Given) -> Fields:
    batch = _number(given, "batch", 16)
    optimizer = given.get("optimizer", "musgd")
    ema = given.get("ema", "gpu")
    precision = given.get("precision", "amp-fp16")
    return {
        "batch": batch,
        "precision": precision,
        "optimizer": optimizer,
        # Adam and AdamW are made with fused=True on CUDA, the others are not (engine/trainer.py, build_optimizer).
        "optimizer_loop": "fused" if optimizer in ("adam", "adamw") else "default",
        "weight_decay": 0.0005,
        "clip_grad": True,
        "ema": ema,
        "accumulate": max(round(NOMINAL_BATCH / batch), 1),
        "channels_last": True,
        "prefetch_dtype": "uint8",
        "zero_grad": "after-step",
        "phases": "run",
        "habits": {
            "parameter_groups": "weight-norm-bias",
            "half_validation_inputs": precision == "amp-fp16",
            "empties_cache": "if-crowded",
            "validation_pad": VALIDATION_PAD,
            "checkpoint_save": "copies",
            "checkpoint_device": "cpu",
        },
        # `init_seeds(deterministic=True)`, utils/torch_utils.py
        "environment": {"deterministic": True, "cublas_workspace": ":4096:8"},
        "validation": {"batch": 2 * batch, "precision": precision, "uses_ema": ema == "gpu"},
    }


def _ultralytics_8_3(given: Given) -> Fields:
    """Return the habits of 8.3, where validation halves the module (engine/validator.py, `model.half()`)."""
    today = _ultralytics(given)
    del today["optimizer_loop"]  # torch's own choice: no optimizer was made with fused=True before 8.4.155
    precision = "fp16" if today["precision"] == "amp-fp16" else _without_autocast(today)
    return today | {
        "optimizer": given.get("optimizer", "nesterov"),
        "channels_last": False,
        "habits": today["habits"] | {"assigner": "all-pairs", "half_validation_inputs": False},
        "validation": today["validation"] | {"precision": precision},
    }


def _timm(given: Given) -> Fields:
    batch = _number(given, "batch", 128)
    ema = given.get("ema", "off")
    precision = given.get("precision", "fp32")
    return {
        "batch": batch,
        "precision": precision,
        # timm calls SGD with Nesterov momentum "sgd" (timm 1.0.31, optim/_optim_factory.py).
        "optimizer": "nesterov",
        "weight_decay": 2e-5,
        "ema": ema,
        "cudnn_benchmark": True,
        "prefetch": 1,
        "prefetch_dtype": "uint8",
        "zero_grad": "after-step",
        "phases": "run",
        "habits": {"conversion": "loader", "parameter_groups": "no-decay-1d", "epoch": "function", "checkpoint_device": "cpu"},
        "validation": {"batch": batch, "precision": precision, "uses_ema": ema == "gpu"},
    }


def _torchvision(batch: int, validation_batch: int | None) -> Callable[[Given], Fields]:
    """Return the habits of torchvision's reference scripts, which differ in their batches; None validates the training batch."""

    def fields(given: Given) -> Fields:
        samples = _number(given, "batch", batch)
        return {
            "batch": samples,
            "precision": "fp32",
            "optimizer": "momentum",
            "weight_decay": 1e-4,
            "cudnn_benchmark": validation_batch is None,
            "zero_grad": "before-backward",
            "phases": "run",
            "habits": {"epoch": "function", "checkpoint_device": "cpu"},
            # `evaluate` runs outside autocast, whatever --amp says.
            "validation": {"batch": validation_batch or samples, "precision": _without_autocast(given)},
        }

    return fields


_TRANSFORMERS_4_35: Fields = {"attention": "eager", "habits": {"generation": "tuples", "logits": "fp32", "packed_bias": "always", "rotary": "tables"}}


def _without_autocast(given: Given) -> str:
    precision = str(given.get("precision", "fp32"))
    return "fp32" if precision.startswith("amp-") else precision


def _number(given: Given, field: str, default: int) -> int:
    value = given.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise WorkloadError(f"{field} is {value!r}; it must be a whole number of at least 1.")
    return value


PRESETS: dict[str, Preset] = {
    "ultralytics": Preset(
        training=_ultralytics,
        inference={},
        source="ultralytics 8.4.190: cfg/default.yaml, engine/trainer.py, engine/validator.py, models/yolo/detect/, utils/torch_utils.py",
        left_out=(
            "optimizer 'auto' takes AdamW instead of MuSGD where a run has at most 10,000 optimizer steps; name it with optimizer 'adamw'.",
            "Warm-up accumulates fewer batches than later epochs do; the later ones are modelled.",
            "Gradients of batches left over at an epoch's end stay during validation; they are not held here.",
            "Oriented boxes validate the training batch, not twice as much: say so with validation.",
            "Classification stages float images: say so with prefetch_dtype.",
        ),
        mosaic=1.0,  # cfg/default.yaml; off in the last ten epochs
    ),
    "ultralytics-8.3": Preset(
        training=_ultralytics_8_3,
        inference={},
        source="ultralytics 8.3.226: engine/trainer.py, engine/validator.py, utils/tal.py, utils/loss.py; 8.0.154 to 8.3.189 beside it. What it "
        "says also holds for early 8.4: validation of halved modules up to 8.4.60, the assigner up to 8.4.95, no channels-last up to 8.4.100",
        left_out=(
            "optimizer 'auto' takes AdamW instead of SGD where a run has at most 10,000 optimizer steps; name it with optimizer 'adamw'.",
            "Up to 8.3.140 the cache was emptied after validation only, up to 8.3.83 always: say so with habits.",
            "Warm-up accumulates fewer batches than later epochs do; the later ones are modelled.",
            "Oriented boxes validate the training batch, not twice as much: say so with validation.",
            "Networks, heads and losses are the installed version's, but for how objects are assigned to anchors.",
        ),
        mosaic=1.0,  # cfg/default.yaml; off in the last ten epochs
    ),
    "timm": Preset(
        training=_timm,
        inference={},
        source="timm 1.0.31: data/loader.py, optim/, utils/; train.py of huggingface/pytorch-image-models, 2026-08",
        left_out=(),
    ),
    "torchvision-reference": Preset(
        training=_torchvision(32, None),
        inference={},
        source="pytorch/vision, references/classification/train.py, 2022 and later",
        left_out=(),
    ),
    "torchvision-reference-detection": Preset(
        training=_torchvision(2, 1),
        inference={},
        source="pytorch/vision, references/detection/train.py and engine.py, 2022 and later",
        left_out=("Images of a batch differ in size and are padded to the largest; one size is modelled.",),
    ),
    "transformers-4.35": Preset(
        training=lambda _given: dict(_TRANSFORMERS_4_35),
        inference=_TRANSFORMERS_4_35,
        source="transformers 4.35.2: models/llama/modeling_llama.py, generation/utils.py; attention 'sdpa' came with 4.36; "
        "optimum 1.14, gptq/quantizer.py",
        left_out=(
            "Cosines and sines are looked up once per layer there; the installed version computes them once per call.",
            "Masks are built as the installed version builds them.",
        ),
    ),
}
"""Every preset by its name."""

ULTRALYTICS = frozenset(name for name in PRESETS if name.startswith("ultralytics"))
"""Presets of its trainer, whatever the version."""
