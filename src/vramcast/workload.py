"""The `Workload`: what is run. The same fields as command-line options, as a TOML file and in Python.

A workload is immutable and checked when it is made: an illegal value or two fields that exclude each other
are refused with a message that names both. Nothing here knows a model or a card.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

from vramcast.environment import Environment
from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.input_spec import InputSpec
from vramcast.lora_options import Lora, check_lora
from vramcast.onnxruntime_options import OnnxRuntimeOptions, check_onnxruntime
from vramcast.tensorrt_options import TensorRtOptions, check_tensorrt
from vramcast.weight_formats import WeightFormat

Mode = Literal["train", "infer"]
Backend = Literal["eager", "compile", "tensorrt", "onnxruntime"]
BACKENDS: tuple[str, ...] = get_args(Backend)
Precision = Literal["fp32", "tf32", "fp16", "bf16", "amp-fp16", "amp-bf16"]
Optimizer = Literal[
    "sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "radam", "asgd", "rprop",
    "adafactor", "lion", "muon", "musgd", "adam8bit", "adamw8bit", "lion8bit",
]  # fmt: skip
OptimizerLoop = Literal["default", "foreach", "fused", "for-loop"]
ZeroGrad = Literal["start", "before-backward", "after-step"]
Phases = Literal["step", "run"]
Attention = Literal["auto", "eager", "sdpa"]
CompileMode = Literal["default", "reduce-overhead", "max-autotune"]
COMPILE_MODES: tuple[str, ...] = get_args(CompileMode)
PRECISIONS: tuple[str, ...] = get_args(Precision)
OPTIMIZERS: tuple[str, ...] = get_args(Optimizer)

LARGEST_REPETITION = 1000
"""What is done or kept so often is run so often by a forecast."""
CAPTURED_STEPS = 2
"""A step that warms up, and one that is captured."""
LARGEST_COUNT = 10**12
"""Batches and sizes beyond this are typing errors; below it the forecast answers, if only with "does not fit"."""

_FUSED = {"sgd", "momentum", "nesterov", "adam", "adamw", "adagrad"}
"""torch 2.13, `torch/optim`: the optimizers with a `fused=` argument."""
_LOOP_ONLY = {"muon", "musgd", "lion", "adam8bit", "adamw8bit", "lion8bit"}
"""No `foreach=` argument: Muon (torch 2.13), and optimizers from outside torch, each with one way of stepping."""


class Validation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pass over held-back data between epochs, at its own batch and precision."""

    batch: int
    precision: Precision = "fp32"
    image: tuple[int, int] | None = None
    """None: as in training."""
    uses_ema: bool = False
    """Runs the EMA copy rather than the trained module."""


class Habits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a trainer does what can be done in several ways. The defaults are a plain PyTorch loop's; presets set them."""

    conversion: Literal["step", "loader"] = "step"
    """Who turns images staged as uint8 into floats: the step, by `img.float() / 255` (two float batches for a moment), or
    the loader on arrival, in place (`.to(float32).sub_().div_()`) and on a stream of its own, whose memory the step cannot use."""
    parameter_groups: Literal["single", "no-decay-1d", "weight-norm-bias"] = "single"
    """`no-decay-1d`: biases and one-dimensional parameters apart; `weight-norm-bias`: three groups. A foreach optimizer's
    temporaries live for one group at a time."""
    epoch: Literal["loop", "function"] = "loop"
    """`function`: an epoch is a function of its own, so its last batch, outputs and loss are gone when validation begins."""
    half_validation_inputs: bool = False
    """Validation under fp16 autocast gets fp16 images."""
    validation_pad: float = 0.0
    """Strides by which a detector's validation images are padded before their sides are rounded up to whole strides."""
    kept_outputs: int = 0
    """Validation batches whose outputs stay on the GPU until the pass ends."""
    empties_cache: Literal["never", "if-crowded", "always"] = "never"
    """`torch.cuda.empty_cache()` before validation; `if-crowded`: where more than half of the card is reserved."""
    checkpoint_save: Literal["views", "copies"] = "views"
    """`views`: `state_dict()` holds no memory of its own; `copies`: an fp16 copy of the averaged (or trained) module and a
    copy of the optimizer states are made on the GPU."""
    checkpoint_device: Literal["cuda", "cpu"] = "cuda"
    """Where `torch.load` puts the checkpoint a run is resumed from; `cuda`, where its tensors came from, is torch's default."""
    generation: Literal["library", "tuples"] = "library"
    """Who generates text: the installed library's `generate`, or a loop that makes the keys and values of all layers anew in each
    step while the old ones are still held, and the logits of the whole prompt (transformers' `greedy_search`, up to 4.35)."""
    logits: Literal["library", "fp32"] = "library"
    """`fp32`: a language model's logits are converted to fp32 (`logits.float()`, transformers up to 4.44)."""
    packed_bias: Literal["own", "always"] = "own"
    """`always`: every GPTQ layer has a bias, whether the layer it stands for has one or not (optimum 1.13 to 1.16, `gptq/quantizer.py`)."""
    packed_input: Literal["freed", "kept"] = "freed"
    """`kept`: 4-bit layers keep their input for the backward pass, which does not look at it (bitsandbytes before 0.43.2, pull request 1270)."""
    assigner: Literal["library", "all-pairs", "one-hot"] = "library"
    """How a YOLO loss pairs objects with anchors: the installed library's, which compares those that touch; `all-pairs`: ultralytics
    8.0.134 to 8.4.95, 32 bytes a pair; `one-hot`: the yolov9 repository, over 100 bytes a pair (`program/tasks/yolo_assigners.py`)."""
    rotary: Literal["library", "tables"] = "library"
    """`tables`: each attention layer keeps cosines and sines of every position (Llama and its kin, transformers up to 4.38)."""


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is run: one training step's or inference call's worth, or a whole run with its phases."""

    mode: Mode = "infer"
    backend: Backend | None = None
    """What runs the model: eager PyTorch, torch.compile with Inductor, an engine of TensorRT or a session of ONNX Runtime (both inference).
    None: eager PyTorch; ONNX Runtime where the model is an ONNX file."""
    compile_mode: CompileMode = "default"
    """`mode=` of torch.compile; `reduce-overhead` runs what was compiled as CUDA graphs."""
    cuda_graphs: bool = False
    """The program captures its step as a CUDA graph, after a first step that is not captured."""
    batch: int = 1
    """Samples per forward pass on one GPU (the micro batch when gradients are accumulated)."""
    image: tuple[int, int] | None = None
    """Height and width; None: the model's own."""
    image_range: tuple[int, int] | None = None
    """Multi-scale training: smallest and largest side; the largest counts."""
    seq: int | None = None
    """Sequence length of a language model (of the prompt, where it generates); None: the model's own."""
    new_tokens: int | None = None
    """Tokens generated after the prompt, one by one; None: one forward pass over the sequence."""
    attention: Attention = "auto"
    """How a transformers model computes attention; `auto`: as it chooses itself."""
    inputs: tuple[InputSpec, ...] = ()
    """Inputs of any other kind, by name; they take the place of the model's own."""
    precision: Precision = "fp32"
    """`fp32` is what torch does by default: TF32 in cuDNN's convolutions as `environment.cudnn_tf32` says, none in matrix products
    (`torch.backends.cuda.matmul.allow_tf32`); `tf32` allows both. `amp-…` is autocast; `fp16` and `bf16` convert the module.
    An engine of TensorRT is built in it; `fp32` allows TF32 there, as its builder does by default."""
    weights: str | None = None
    """How the weights of linear layers are packed: a format of `weight_formats.FORMATS`, such as `int4-nf4`; None: as `precision` says."""
    lora: Lora | None = None
    """Low-rank adapters beside a frozen base; None: the model itself is trained."""
    optimizer: Optimizer = "adamw"
    optimizer_loop: OptimizerLoop = "default"
    """`default` is what torch does on CUDA: `foreach` where there is one."""
    weight_decay: float | None = None
    """None: the optimizer's default."""
    clip_grad: bool = False
    """`clip_grad_norm_` before the step."""
    ema: Literal["off", "gpu", "cpu"] = "off"
    """An fp32 copy of weights and buffers, averaged after each step."""
    accumulate: int = 1
    """Forward and backward passes per optimizer step."""
    checkpointing: bool = False
    """Activation checkpointing of the model's repeated blocks."""
    checkpoint_modules: tuple[str, ...] = ()
    """Activation checkpointing of these modules alone: names, or patterns of names (fnmatch)."""
    channels_last: bool = False
    cudnn_benchmark: bool = False
    classes: int | None = None
    """Number of classes; None: the model's own."""
    targets: int | None = None
    """Objects per image in the worst batch; None: 10, with a caveat."""
    freeze: tuple[str, ...] = ()
    """Patterns (fnmatch, or a prefix) of parameters that are not trained."""
    steps: int = 2
    """Steps to trace; optimizer states exist from the second on."""
    prefetch: int = 0
    """Batches staged on the GPU beside the current one."""
    prefetch_dtype: Literal["uint8", "float"] = "float"
    """`uint8`: staged as bytes and converted on the card."""
    zero_grad: ZeroGrad = "start"
    """Where in the loop gradients are cleared."""
    set_to_none: bool = True
    """False: gradients are zeroed in place and stay allocated."""
    phases: Phases = "step"
    """`run`: also load, first step, validation, checkpoint save and resume."""
    resume: bool = False
    """Optimizer states are restored before the first step."""
    validation: Validation | None = None
    """The validation pass of a run; None in a run: the training batch without gradients."""
    loss: str | None = None
    """`file.py:function` or `package.module:function` taking outputs and returning a scalar; None: the task's own."""
    allocator: str = ""
    """Options as in `PYTORCH_CUDA_ALLOC_CONF`."""
    preset: str | None = None
    """The trainer whose habits were applied."""
    seed: int = 0
    """Seed of the drawn values."""
    habits: Habits = Habits()
    """Details of the training loop that seldom need to be given by hand."""
    environment: Environment = Environment()
    """The software stack."""
    tensorrt: TensorRtOptions = TensorRtOptions()
    """How an engine is built and run; for the backend of that name."""
    onnxruntime: OnnxRuntimeOptions = OnnxRuntimeOptions()
    """What only backend `onnxruntime` asks: its provider's and session's options."""

    def __post_init__(self) -> None:
        _check_values(self)
        _check_combinations(self)

    @classmethod
    def train(cls, *, image: int | tuple[int, int] | None = None, **fields: Any) -> Workload:
        """Make a training workload: `Workload.train(batch=64, image=224, precision="amp-bf16")`.

        Raises:
            WorkloadError: an illegal value or combination.
            UnknownNameError: an unknown field, precision, optimizer or preset.
        """
        return make(fields | {"mode": "train", "image": image})

    @classmethod
    def infer(cls, *, image: int | tuple[int, int] | None = None, **fields: Any) -> Workload:
        """Make an inference workload (`torch.no_grad`); raises as `train` does."""
        return make(fields | {"mode": "infer", "image": image})

    @property
    def is_training(self) -> bool:
        """Whether gradients are computed."""
        return self.mode == "train"

    @property
    def autocast_dtype(self) -> str | None:
        """`float16` or `bfloat16` under autocast, else None."""
        return {"amp-fp16": "float16", "amp-bf16": "bfloat16"}.get(self.precision)

    @property
    def module_dtype(self) -> str:
        """The type the module's parameters are held in."""
        return {"fp16": "float16", "bf16": "bfloat16"}.get(self.precision, "float32")

    def with_fields(self, **fields: Any) -> Workload:
        """Return a copy with other values, checked anew."""
        return msgspec.structs.replace(self, **fields)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain data, as in the TOML file and the JSON."""
        return dict(msgspec.to_builtins(self))


def make(fields: dict[str, Any]) -> Workload:
    """Make a workload from plain data, as read from TOML or given in Python.

    `image` may be one number or a pair; `inputs` may hold texts as on the command line; a `preset` is applied
    beneath what the fields say.

    Raises:
        WorkloadError: an illegal value or combination.
        UnknownNameError: an unknown field, or an unknown name in a field that takes names.
    """
    known = {item.name for item in msgspec.structs.fields(Workload)}
    for name in fields:
        if name not in known:
            raise UnknownNameError("workload field", name, known)
    plain = {name: value for name, value in fields.items() if value is not None}
    if "preset" in plain:
        from vramcast.presets import preset_fields

        plain = _over(preset_fields(plain["preset"], {**plain, "environment": None, "habits": None}), plain)
    if type(plain.get("image")) is int:
        plain["image"] = (plain["image"], plain["image"])
    if isinstance(plain.get("inputs"), (list, tuple)):
        plain["inputs"] = [InputSpec.parse(item) if isinstance(item, str) else item for item in plain["inputs"]]
    plain |= _defaults_of(plain)
    for name, legal in (("backend", BACKENDS), ("compile_mode", COMPILE_MODES), ("precision", PRECISIONS), ("optimizer", OPTIMIZERS)):
        if name in plain and plain[name] not in legal:
            raise UnknownNameError(name, str(plain[name]), legal, hint=f"Legal: {', '.join(legal)}.")
    try:
        return msgspec.convert(msgspec.to_builtins(plain), Workload)
    except msgspec.ValidationError as error:
        from vramcast.field_errors import refusal

        raise refusal(error, plain, Workload) from None


def _over(beneath: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return a preset's fields with the given ones on top; of fields with parts, part by part."""
    parts = {name: {**beneath[name], **value} for name, value in given.items() if isinstance(value, dict) and isinstance(beneath.get(name), dict)}
    return beneath | given | parts


def _defaults_of(plain: dict[str, Any]) -> dict[str, Any]:
    """Return what an older torch does where nothing else is said."""
    environment = plain.get("environment")
    try:
        known = environment if isinstance(environment, Environment) else msgspec.convert(environment or {}, Environment)
    except msgspec.ValidationError:  # refused with the other fields, where the message can name the field
        return {}
    fields: dict[str, Any] = {}
    if plain.get("mode") == "train" and not known.default_set_to_none and "set_to_none" not in plain:
        fields["set_to_none"] = False
    if plain.get("mode") == "train" and not known.default_is_foreach and "optimizer_loop" not in plain:
        fields["optimizer_loop"] = "for-loop"
    return fields


def _check_values(workload: Workload) -> None:
    counts: dict[str, int | None] = {
        "batch": workload.batch, "seq": workload.seq, "new_tokens": workload.new_tokens,
        "accumulate": workload.accumulate, "classes": workload.classes,
        **{f"image {side}": pixels for side, pixels in zip(("height", "width"), workload.image or ())},
    }  # fmt: skip
    for spec in workload.inputs:
        counts |= {f"dimension {i} of input {spec.name!r}": side for i, side in enumerate(spec.shape)}
    if workload.validation is not None:
        counts["validation batch"] = workload.validation.batch
        counts |= {f"validation image {side}": pixels for side, pixels in zip(("height", "width"), workload.validation.image or ())}
    counts |= {f"image_range {end}": side for end, side in zip(("smallest", "largest"), workload.image_range or ())}
    for name, value in counts.items():
        if value is not None and not 1 <= value <= LARGEST_COUNT:
            raise WorkloadError(f"{name} is {value}; it must be at least 1 and at most {LARGEST_COUNT:,}.")
    if workload.targets is not None and not 0 <= workload.targets <= LARGEST_COUNT:
        raise WorkloadError(f"targets is {workload.targets}; it must be at least 0 and at most {LARGEST_COUNT:,}.")
    for name, value, least in (("steps", workload.steps, 1), ("prefetch", workload.prefetch, 0), ("kept_outputs", workload.habits.kept_outputs, 0)):
        if not least <= value <= LARGEST_REPETITION:
            raise WorkloadError(f"{name} is {value}; it must be at least {least} and at most {LARGEST_REPETITION:,}.")
    if workload.weights is not None:
        WeightFormat.parse(workload.weights)
    if workload.weight_decay is not None and not 0 <= workload.weight_decay < float("inf"):
        raise WorkloadError(f"weight_decay is {workload.weight_decay}; it must be at least 0 and finite.")


def _check_combinations(workload: Workload) -> None:
    check_tensorrt(workload)
    check_onnxruntime(workload)
    check_lora(workload)
    if not workload.is_training:
        _check_inference(workload)
    elif workload.new_tokens is not None:
        raise WorkloadError(f"mode 'train' and new_tokens {workload.new_tokens} exclude each other: text is generated in mode 'infer'.")
    _check_backend(workload)
    _check_optimizer(workload)
    _check_inputs(workload)
    if workload.checkpointing and workload.checkpoint_modules:
        named = ", ".join(map(repr, workload.checkpoint_modules))
        raise WorkloadError(f"checkpointing and checkpoint_modules {named} exclude each other: all repeated blocks, or only the modules named.")
    if workload.precision == "tf32" and not workload.environment.cudnn_tf32:
        raise WorkloadError("precision 'tf32' and environment.cudnn_tf32 false exclude each other: tf32 allows it in convolutions too; take 'fp32'.")
    if workload.validation is not None and workload.validation.uses_ema and workload.ema != "gpu":
        raise WorkloadError(f"validation uses_ema and ema {workload.ema!r} exclude each other: a copy to be validated lies on the GPU.")


def _check_backend(workload: Workload) -> None:
    mode, backend = f"compile_mode {workload.compile_mode!r}", f"backend {workload.backend or 'eager'!r}"
    if workload.compile_mode != "default" and workload.backend != "compile":
        raise WorkloadError(f"{mode} and {backend} exclude each other: it is a mode of backend 'compile'.")
    if not workload.cuda_graphs:
        return
    if workload.compile_mode == "reduce-overhead":
        raise WorkloadError(f"{mode} and cuda_graphs exclude each other: that mode captures CUDA graphs itself.")
    if workload.backend not in (None, "eager", "compile"):
        raise WorkloadError(f"cuda_graphs and {backend} exclude each other: torch captures CUDA graphs of what torch runs.")
    if workload.new_tokens is not None:
        raise WorkloadError(f"cuda_graphs and new_tokens {workload.new_tokens} exclude each other: a graph has fixed shapes, and the cache grows.")
    if workload.steps < CAPTURED_STEPS:
        raise WorkloadError(f"cuda_graphs and steps {workload.steps} exclude each other: one step is run, and the next one captured.")


def _check_optimizer(workload: Workload) -> None:
    loop, optimizer = (f"{name} {getattr(workload, name)!r}" for name in ("optimizer_loop", "optimizer"))
    if workload.optimizer_loop == "fused" and workload.optimizer not in _FUSED:
        raise WorkloadError(f"{loop} and {optimizer} exclude each other: torch has fused kernels for {', '.join(sorted(_FUSED))}.")
    if workload.optimizer_loop == "foreach" and workload.optimizer in _LOOP_ONLY:
        raise WorkloadError(f"{loop} and {optimizer} exclude each other: it has no foreach version; use 'default'.")


def _check_inputs(workload: Workload) -> None:
    names, image, sides = [spec.name for spec in workload.inputs], workload.image, workload.image_range
    if names and image is not None:
        raise WorkloadError(f"inputs {names} and image {image} exclude each other: an input states its own shape.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise WorkloadError(f"inputs name {twice!r} {names.count(twice)} times; each input is named once.")
    if sides is not None and sides[0] > sides[1]:
        raise WorkloadError(f"image_range {sides} runs backwards: {sides[0]} is more than {sides[1]}.")
    if workload.prefetch_dtype == "uint8" and workload.seq is not None:
        raise WorkloadError(f"prefetch_dtype 'uint8' and seq {workload.seq} exclude each other: token ids are not images.")


def _check_inference(workload: Workload) -> None:
    """Refuse what only training has, naming both fields."""
    defaults = Workload.__struct_defaults__
    names = Workload.__struct_fields__
    default_of = dict(zip(names[len(names) - len(defaults) :], defaults))
    only_training = (
        "accumulate checkpointing checkpoint_modules clip_grad ema freeze loss optimizer_loop phases resume validation weight_decay".split()
    )
    for name in only_training:
        if getattr(workload, name) != default_of[name]:
            raise WorkloadError(f"mode 'infer' and {name} {getattr(workload, name)!r} exclude each other: {name} belongs to mode 'train'.")
