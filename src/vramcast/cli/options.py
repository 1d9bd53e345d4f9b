"""The options that describe a workload, shared by all commands that take one, and the fields they stand for.

An option that is not given leaves its field to the workload file, then to the preset, then to the default of `Workload`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from vramcast.cli.sections import SectionedOption
from vramcast.environment import Environment
from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.onnxruntime_options import SIZES, OnnxRuntimeOptions
from vramcast.presets import PRESETS, applied
from vramcast.tensorrt_options import TensorRtOptions
from vramcast.units import parse_bytes
from vramcast.weight_formats import PACKED
from vramcast.workload import BACKENDS, COMPILE_MODES, OPTIMIZERS, PRECISIONS, Habits, Workload, make
from vramcast.workload_file import read_fields

Command = TypeVar("Command", bound=Callable[..., Any])
Options = Mapping[str, Any]
"""Values of click's parameters by name; None or an empty tuple for what was not given."""


def _image_size(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Read `640`, or `480x640` for height and width, in pixels."""
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", (text or "").strip().lower())
    if text is not None and match is None:
        raise click.BadParameter(f"{text!r} is not an image size such as 640 or 480x640 (height x width).")
    return (int(match[1]), int(match[2] or match[1])) if match else None


def _profile(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """Read `1:4:8` for the smallest, best and largest batch."""
    match = re.fullmatch(r"(\d+):(\d+):(\d+)", (text or "").strip())
    if text is not None and match is None:
        raise click.BadParameter(f"{text!r} is not a profile such as 1:4:8 (smallest, best and largest batch).")
    return tuple(map(int, match.groups())) if match else None


def _bytes(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """Read a size such as 512MiB."""
    return None if text is None else parse_bytes(text)


def _option(section: str, *names: str, **settings: Any) -> Callable[[Command], Command]:
    return click.option(*names, cls=SectionedOption, section=section, **settings)


def _switch(section: str, name: str, text: str) -> Callable[[Command], Command]:
    """An option with its opposite, so that a file's or a preset's choice can be taken back."""
    return _option(section, f"--{name}/--no-{name}", default=None, help=text)


_WHAT, _NUMBERS, _LOOP, _RUN = "What is run", "Numbers", "Optimizer and training loop", "Whole run"
_STACK, _ENGINE, _SESSION, _FURTHER = "Software stack", "TensorRT (--backend tensorrt)", "ONNX Runtime (--backend onnxruntime)", "Further"

_HABITS = Habits.__struct_fields__
_SESSION_OPTIONS = OnnxRuntimeOptions.__struct_fields__
_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option(_WHAT, "--train", "mode", flag_value="train", help="A training step: forward, backward, optimizer."),
    _option(_WHAT, "--infer", "mode", flag_value="infer", help="A forward pass without gradients (the default)."),
    _option(_WHAT, "--backend", type=click.Choice(BACKENDS), help="What runs the model: eager PyTorch, or ONNX Runtime for ONNX files, if not told."),
    _option(_WHAT, "--compile-mode", type=click.Choice(COMPILE_MODES), help="mode= of torch.compile, with --backend compile."),
    _switch(_WHAT, "cuda-graphs", "The step is captured as a CUDA graph, with a memory pool of its own."),
    _option(_WHAT, "--batch", type=int, metavar="N", help="Samples per forward pass on one GPU."),
    _option(_WHAT, "--image", callback=_image_size, metavar="N|HxW", help="Image side, or height x width, in pixels."),
    _option(_WHAT, "--image-range", nargs=2, type=int, metavar="MIN MAX", help="Multi-scale training; the largest side counts."),
    _option(_WHAT, "--seq", type=int, metavar="N", help="Sequence length of a language model, in tokens."),
    _option(_WHAT, "--new-tokens", type=int, metavar="N", help="Tokens that a language model generates after the prompt of --seq."),
    _option(_WHAT, "--input", "inputs", multiple=True, metavar="NAME=SHAPE[:DTYPE]", help="Any other input: x=2x3x224x224:float32. Repeatable."),
    _option(_WHAT, "--classes", type=int, metavar="N", help="Number of classes."),
    _option(_WHAT, "--targets", type=int, metavar="N", help="Objects per image in the worst batch."),
    _option(
        _WHAT,
        "--preset",
        type=click.Choice(tuple(PRESETS)),
        help="Habits of a trainer, or of an older version of one or of a library; options given here take precedence.",
    ),
    _option(
        _WHAT,
        "--workload",
        "workload_file",
        type=click.Path(path_type=Path),
        metavar="FILE.toml",
        help="Fields from a file; options take precedence.",
    ),
    _option(_NUMBERS, "--precision", type=click.Choice(PRECISIONS), help="amp-... is autocast; fp16 and bf16 convert the module."),
    _option(_NUMBERS, "--weights", metavar="FORMAT", help=f"Packed weights of linear layers: {', '.join(PACKED)}, gguf:Q4_K_M and its like."),
    _option(_NUMBERS, "--attention", type=click.Choice(["auto", "eager", "sdpa"]), help="How a transformers model computes attention."),
    _switch(_NUMBERS, "channels-last", "Module and images in channels-last layout."),
    _switch(_NUMBERS, "cudnn-benchmark", "torch.backends.cudnn.benchmark."),
    _option(_LOOP, "--optimizer", type=click.Choice(OPTIMIZERS), metavar="NAME", help=f"One of {', '.join(OPTIMIZERS)}."),
    _option(_LOOP, "--foreach", "optimizer_loop", flag_value="foreach", help="The optimizer's foreach version (what CUDA takes by default)."),
    _option(_LOOP, "--fused", "optimizer_loop", flag_value="fused", help="The optimizer's fused version."),
    _option(_LOOP, "--for-loop", "optimizer_loop", flag_value="for-loop", help="The optimizer's version that steps tensor by tensor."),
    _option(_LOOP, "--weight-decay", type=float, metavar="X", help="Weight decay."),
    _switch(_LOOP, "clip-grad", "Clip gradients by norm before the step."),
    _switch(_LOOP, "ema", "Keep an averaged fp32 copy of the model."),
    _option(_LOOP, "--ema-device", type=click.Choice(["gpu", "cpu"]), help="Where the copy lies; implies --ema."),
    _option(_LOOP, "--accumulate", type=int, metavar="N", help="Forward and backward passes per optimizer step."),
    _switch(_LOOP, "checkpointing", "Activation checkpointing of the repeated blocks."),
    _option(
        _LOOP,
        "--checkpoint-module",
        "checkpoint_modules",
        multiple=True,
        metavar="PATTERN",
        help="Checkpointing of such modules alone: model.0 or layer1.*. Repeatable.",
    ),
    _option(_LOOP, "--freeze", multiple=True, metavar="PATTERN", help="Parameters that are not trained: backbone.* or a prefix. Repeatable."),
    _option(_LOOP, "--lora", "lora_rank", type=int, metavar="RANK", help="Adapters of this rank are trained beside a frozen base, as by peft."),
    _option(_LOOP, "--lora-target", multiple=True, metavar="NAME", help="Layers with adapters: q_proj, *.fc1, all-linear. Repeatable."),
    _option(_LOOP, "--lora-dropout", type=float, metavar="P", help="Dropout before the adapters."),
    _option(_LOOP, "--lora-dtype", type=click.Choice(["fp32", "module"]), help="Adapters in fp32 (peft's default), or in the base's type."),
    _option(_LOOP, "--lora-base", type=click.Choice(["module", "autocast"]), help="The base in --precision's type, or in autocast's (amp-...)."),
    _option(_LOOP, "--lora-save", multiple=True, metavar="NAME", help="Modules trained in full beside adapters (modules_to_save). Repeatable."),
    _switch(_LOOP, "dora", "Adapters of directions, magnitudes apart (use_dora)."),
    _option(_LOOP, "--zero-grad", type=click.Choice(["start", "before-backward", "after-step"]), help="Where in the loop gradients are cleared."),
    _option(_LOOP, "--set-to-none/--keep-grads", "set_to_none", default=None, help="Free cleared gradients, or zero them in place."),
    _option(_LOOP, "--loss", metavar="FILE.py:NAME", help="Loss function: takes outputs, returns a scalar."),
    _option(_LOOP, "--steps", type=int, metavar="N", help="Steps to trace; optimizer states exist from the second on."),
    _option(_LOOP, "--prefetch", type=int, metavar="N", help="Batches staged on the GPU beside the current one."),
    _option(_LOOP, "--prefetch-dtype", type=click.Choice(["uint8", "float"]), help="Type of the staged batches."),
    _option(_RUN, "--phases", type=click.Choice(["step", "run"]), help="run: also load, validation, checkpoint save and resume."),
    _switch(_RUN, "resume", "Restore optimizer states before the first step."),
    _option(_RUN, "--val-batch", type=int, metavar="N", help="Batch of the validation pass."),
    _option(_RUN, "--val-precision", type=click.Choice(PRECISIONS), help="Precision of the validation pass."),
    _option(_RUN, "--val-image", callback=_image_size, metavar="N|HxW", help="Image size of the validation pass."),
    _switch(_RUN, "val-ema", "Validate the averaged copy."),
    _option(_FURTHER, "--allocator", metavar="OPTIONS", help="As in PYTORCH_CUDA_ALLOC_CONF: expandable_segments:True."),
    _option(_FURTHER, "--habit", "habits", multiple=True, metavar="NAME=VALUE", help=f"Detail of the loop: {', '.join(_HABITS)}. Repeatable."),
    _option(_STACK, "--torch", metavar="VERSION", help="Version of torch on the GPU machine, such as 2.1; older ones allocate otherwise."),
    _option(_STACK, "--cuda", metavar="VERSION", help="Version of CUDA, such as 11.6; before 11.7 all kernels are loaded at the start."),
    _option(_STACK, "--module-loading", type=click.Choice(["lazy", "eager"]), help="CUDA_MODULE_LOADING; eager contexts are a gigabyte larger."),
    _switch(_STACK, "deterministic", "Deterministic algorithms of torch and cuDNN (torch.use_deterministic_algorithms)."),
    _option(_STACK, "--cublas-workspace", metavar="CONFIG", help="CUBLAS_WORKSPACE_CONFIG, such as :4096:8."),
    _switch(_STACK, "cudnn-tf32", "torch.backends.cudnn.allow_tf32 (on by default)."),
    _option(_ENGINE, "--quantization", type=click.Choice(["none", "int8", "fp8"]), help="Of layers with such kernels; others run in --precision."),
    _option(_ENGINE, "--contexts", type=int, metavar="N", help="Execution contexts at once; each has its own plan and bindings."),
    _option(_ENGINE, "--profile", callback=_profile, metavar="MIN:OPT:MAX", help="Batches of the profile, such as 1:4:8; the largest counts."),
    _option(_ENGINE, "--workspace", callback=_bytes, metavar="SIZE", help="Limit of a layer's scratch, such as 1GiB."),
    _option(_ENGINE, "--bindings", type=click.Choice(["fp32", "engine"]), help="Type of inputs and outputs: fp32, or the engine's own precision."),
    _option(
        _SESSION,
        "--ort",
        "onnxruntime",
        multiple=True,
        metavar="NAME=VALUE",
        help=f"Option of the CUDA provider, its arena or the session, such as gpu_mem_limit=2GiB: {', '.join(_SESSION_OPTIONS)}. Repeatable.",
    ),
    _option(_FURTHER, "--seed", type=int, metavar="N", help="Seed of the drawn values."),
)

_TENSORRT = TensorRtOptions.__struct_fields__
_LORA = {"lora_rank": "rank", **{f"lora_{name}": name for name in ("target", "dropout", "dtype", "base", "save")}, "dora": "dora"}
_VALIDATION = {"val_batch": "batch", "val_precision": "precision", "val_image": "image", "val_ema": "uses_ema"}
_ENVIRONMENT = Environment.__struct_fields__
_PARTS = ("validation", "lora", "habits", "environment", "tensorrt", "onnxruntime")
"""Fields that have fields of their own, which can be given one by one."""
_NAMED_ALIKE = set(Workload.__struct_fields__) - {"ema", *_PARTS}


def workload_options(command: Command) -> Command:
    """Give a command every workload option; what was given arrives as keyword arguments, to be read by `workload_from`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def study_fields(options: Options) -> dict[str, Any]:
    """Return the workload fields that options and file give, to which each model's own defaults are added later.

    Raises:
        WorkloadError: an illegal value, or two that exclude each other.
        UnknownNameError: a field or name that does not exist.
        InvalidFileError: the workload file cannot be read.
    """
    return (read_fields(options["workload_file"]) if options["workload_file"] else {}) | fields_from(options)


def workload_from(options: Options) -> Workload:
    """Make the workload that options, file and preset describe; an option goes before the file, the file before the preset.

    Raises:
        WorkloadError: an illegal value, or two that exclude each other.
        UnknownNameError: a field or name that does not exist.
        InvalidFileError: the workload file cannot be read.
    """
    from_file = read_fields(options["workload_file"]) if options["workload_file"] else {}
    from_options = fields_from(options)
    parts = {name: from_options.pop(name) for name in _PARTS if name in from_options}
    given = from_file | from_options
    beneath = applied(given.get("preset"), given) | from_file
    whole = {name: {**(beneath.get(name) or {}), **part} for name, part in parts.items()}
    if "batch" not in whole.get("validation", {"batch": None}):
        raise WorkloadError("--val-precision, --val-image and --val-ema describe a validation pass whose batch is not known. Add --val-batch N.")
    if "rank" not in whole.get("lora", {"rank": None}):
        raise WorkloadError("--lora-target, -dropout, -dtype, -base, -save and --dora describe adapters whose rank is not known. Add --lora RANK.")
    return make(given | whole)


def fields_from(options: Options) -> dict[str, Any]:
    """Return the workload fields that were given as options, and no others; of `validation` and `habits` the parts given.

    Raises:
        WorkloadError: two options exclude each other, or a habit has an illegal value.
        UnknownNameError: no habit has the name given.
    """
    fields = {name: value for name, value in options.items() if name in _NAMED_ALIKE and value not in (None, ())}
    parts = {
        "ema": _ema(options["ema"], options["ema_device"]),
        "validation": {field: options[name] for name, field in _VALIDATION.items() if options[name] is not None},
        "lora": {field: options[name] for name, field in _LORA.items() if options[name] not in (None, ())},
        "habits": dict(_habit(text) for text in options["habits"]),
        "environment": {field: options[field] for field in _ENVIRONMENT if options[field] is not None},
        "onnxruntime": dict(_session_option(text) for text in options["onnxruntime"]),
        "tensorrt": {field: options[field] for field in _TENSORRT if options[field] is not None},
    }
    return fields | {name: value for name, value in parts.items() if value}


def _ema(switch: bool | None, device: str | None) -> str | None:
    if switch is False and device:
        raise WorkloadError(f"--no-ema and --ema-device {device} exclude each other.")
    if switch is False:
        return "off"
    return device or ("gpu" if switch else None)


def _habit(text: str) -> tuple[str, Any]:
    """Read `kept_outputs=3` as the field's type has it."""
    name, _, value = text.partition("=")
    if name not in _HABITS:
        raise UnknownNameError("habit", name, _HABITS, hint=f"Legal: {', '.join(_HABITS)}.")
    try:
        return name, getattr(msgspec.convert({name: value}, Habits, strict=False), name)
    except msgspec.ValidationError as error:
        raise WorkloadError(f"--habit {text}: {error}.".replace("`$.", "`")) from None


def _session_option(text: str) -> tuple[str, Any]:
    """Read `gpu_mem_limit=2GiB` as the field's type has it."""
    name, _, value = text.partition("=")
    if name not in _SESSION_OPTIONS:
        raise UnknownNameError("option of ONNX Runtime", name, _SESSION_OPTIONS, hint=f"Legal: {', '.join(_SESSION_OPTIONS)}.")
    given: Any = parse_bytes(value) if name in SIZES else value
    try:
        return name, getattr(msgspec.convert({"io_binding": name == "enable_cuda_graph", name: given}, OnnxRuntimeOptions, strict=False), name)
    except msgspec.ValidationError as error:
        raise WorkloadError(f"--ort {text}: {error}.".replace("`$.", "`")) from None
