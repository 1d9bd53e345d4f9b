"""Options and workload file: which fields they stand for, and who goes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner

from vramcast.cli.options import fields_from, workload_from, workload_options
from vramcast.errors import InvalidFileError, UnknownNameError, WorkloadError
from vramcast.workload import InputSpec, Validation, Workload
from vramcast.workload_file import read_fields


def given(*arguments: str) -> dict[str, Any]:
    """What click hands to a command for these arguments."""
    caught: dict[str, Any] = {}

    @click.command()
    @workload_options
    def command(**options: Any) -> None:
        caught.update(options)

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return caught


EVERY_FIELD: list[tuple[str, Any, list[str]]] = [
    ("mode", "train", ["--train"]),
    ("mode", "infer", ["--infer"]),
    ("backend", "eager", ["--backend", "eager"]),
    ("compile_mode", "reduce-overhead", ["--compile-mode", "reduce-overhead"]),
    ("cuda_graphs", True, ["--cuda-graphs"]),
    ("batch", 64, ["--batch", "64"]),
    ("image", (480, 640), ["--image", "480x640"]),
    ("image", (224, 224), ["--image", "224"]),
    ("image_range", (320, 960), ["--image-range", "320", "960"]),
    ("seq", 512, ["--seq", "512"]),
    ("new_tokens", 128, ["--new-tokens", "128"]),
    ("attention", "eager", ["--attention", "eager"]),
    ("inputs", ("x=2x3:int64", "y=2"), ["--input", "x=2x3:int64", "--input", "y=2"]),
    ("precision", "amp-bf16", ["--precision", "amp-bf16"]),
    ("weights", "int4-gptq:64", ["--weights", "int4-gptq:64"]),
    ("lora", {"rank": 8}, ["--lora", "8"]),
    (
        "lora",
        {"rank": 8, "target": ("q_proj", "*.fc1"), "dropout": 0.1},
        "--lora 8 --lora-target q_proj --lora-target *.fc1 --lora-dropout 0.1".split(),
    ),
    ("lora", {"rank": 8, "dtype": "module", "save": ("head",), "dora": True}, "--lora 8 --lora-dtype module --lora-save head --dora".split()),
    ("optimizer", "sgd", ["--optimizer", "sgd"]),
    ("optimizer_loop", "fused", ["--fused"]),
    ("optimizer_loop", "foreach", ["--foreach"]),
    ("optimizer_loop", "for-loop", ["--for-loop"]),
    ("weight_decay", 0.0, ["--weight-decay", "0"]),
    ("clip_grad", True, ["--clip-grad"]),
    ("clip_grad", False, ["--no-clip-grad"]),
    ("ema", "gpu", ["--ema"]),
    ("ema", "cpu", ["--ema-device", "cpu"]),
    ("ema", "cpu", ["--ema", "--ema-device", "cpu"]),
    ("ema", "off", ["--no-ema"]),
    ("accumulate", 4, ["--accumulate", "4"]),
    ("checkpointing", True, ["--checkpointing"]),
    ("checkpoint_modules", ("layer1.*", "stem"), ["--checkpoint-module", "layer1.*", "--checkpoint-module", "stem"]),
    ("channels_last", True, ["--channels-last"]),
    ("cudnn_benchmark", True, ["--cudnn-benchmark"]),
    ("classes", 3, ["--classes", "3"]),
    ("targets", 0, ["--targets", "0"]),
    ("freeze", ("a.*", "b"), ["--freeze", "a.*", "--freeze", "b"]),
    ("steps", 3, ["--steps", "3"]),
    ("prefetch", 2, ["--prefetch", "2"]),
    ("prefetch_dtype", "uint8", ["--prefetch-dtype", "uint8"]),
    ("environment", {"torch": "2.1", "module_loading": "eager"}, ["--torch", "2.1", "--module-loading", "eager"]),
    ("environment", {"deterministic": True, "cublas_workspace": ":4096:8"}, ["--deterministic", "--cublas-workspace", ":4096:8"]),
    ("environment", {"cudnn_tf32": False}, ["--no-cudnn-tf32"]),
    ("tensorrt", {"contexts": 2, "profile": (1, 4, 8)}, ["--contexts", "2", "--profile", "1:4:8"]),
    ("tensorrt", {"quantization": "int8"}, ["--quantization", "int8"]),
    ("tensorrt", {"workspace": 2**30, "bindings": "engine"}, ["--workspace", "1GiB", "--bindings", "engine"]),
    ("onnxruntime", {"gpu_mem_limit": 2**31}, ["--ort", "gpu_mem_limit=2GiB"]),
    ("onnxruntime", {"cudnn": 8, "enable_mem_pattern": False}, ["--ort", "cudnn=8", "--ort", "enable_mem_pattern=false"]),
    ("onnxruntime", {"arena_extend_strategy": "kSameAsRequested"}, ["--ort", "arena_extend_strategy=kSameAsRequested"]),
    ("zero_grad", "after-step", ["--zero-grad", "after-step"]),
    ("set_to_none", True, ["--set-to-none"]),
    ("set_to_none", False, ["--keep-grads"]),
    ("phases", "run", ["--phases", "run"]),
    ("resume", True, ["--resume"]),
    ("validation", {"batch": 8, "precision": "fp16"}, ["--val-batch", "8", "--val-precision", "fp16"]),
    ("validation", {"batch": 8, "image": (64, 32), "uses_ema": True}, ["--val-batch", "8", "--val-image", "64x32", "--val-ema"]),
    ("loss", "loss.py:focal", ["--loss", "loss.py:focal"]),
    ("allocator", "expandable_segments:True", ["--allocator", "expandable_segments:True"]),
    ("preset", "ultralytics", ["--preset", "ultralytics"]),
    ("seed", 7, ["--seed", "7"]),
    ("habits", {"conversion": "loader", "kept_outputs": 3}, ["--habit", "conversion=loader", "--habit", "kept_outputs=3"]),
    ("habits", {"generation": "tuples", "logits": "fp32"}, ["--habit", "generation=tuples", "--habit", "logits=fp32"]),
    ("habits", {"half_validation_inputs": True}, ["--habit", "half_validation_inputs=true"]),
]


@pytest.mark.parametrize(("field", "value", "arguments"), EVERY_FIELD)
def test_an_option_sets_its_field_and_no_other(field: str, value: object, arguments: list[str]) -> None:
    assert fields_from(given(*arguments)) == {field: value}


def test_every_field_of_the_workload_has_an_option() -> None:
    assert {field for field, _, _ in EVERY_FIELD} == set(Workload.__struct_fields__)


def test_nothing_given_is_the_default_workload() -> None:
    assert fields_from(given()) == {}
    assert workload_from(given()) == Workload()


def test_options_make_a_workload() -> None:
    workload = workload_from(given("--train", "--batch", "3", "--input", "x=3x4:int64", "--val-batch", "5", "--val-image", "8", "--freeze", "stem"))
    assert workload.inputs == (InputSpec("x", (3, 4), "int64"),)
    assert workload.validation == Validation(batch=5, image=(8, 8))
    assert (workload.mode, workload.batch, workload.freeze) == ("train", 3, ("stem",))


def test_options_exclude_each_other() -> None:
    with pytest.raises(WorkloadError, match=r"--no-ema and --ema-device cpu exclude each other"):
        fields_from(given("--no-ema", "--ema-device", "cpu"))
    with pytest.raises(WorkloadError, match="--val-batch"):
        workload_from(given("--val-precision", "fp16"))
    with pytest.raises(WorkloadError, match="Add --lora RANK"):
        workload_from(given("--lora-target", "q_proj"))
    with pytest.raises(WorkloadError, match="'infer' and checkpointing"):
        workload_from(given("--infer", "--checkpointing"))


@pytest.mark.parametrize("size", ["3x", "x", "1x2x3", "-5", "640.0", ""])
def test_an_image_size_of_another_form_is_refused(size: str) -> None:
    @click.command()
    @workload_options
    def command(**options: Any) -> None:
        raise AssertionError(options)

    result = CliRunner().invoke(command, ["--image", size])
    assert result.exit_code == 2
    assert "480x640" in result.output


def test_a_habit_is_checked_by_name_and_value() -> None:
    with pytest.raises(UnknownNameError, match="kept_outputs"):
        fields_from(given("--habit", "kept_output=3"))
    with pytest.raises(WorkloadError, match=r"--habit epoch=never.*never"):
        fields_from(given("--habit", "epoch=never"))


def test_options_complete_what_a_preset_says_of_validation_and_habits() -> None:
    preset = workload_from(given("--train", "--preset", "ultralytics", "--batch", "8"))
    changed = workload_from(given("--train", "--preset", "ultralytics", "--batch", "8", "--val-precision", "fp16", "--habit", "kept_outputs=3"))
    assert changed.validation == msgspec.structs.replace(preset.validation, precision="fp16")
    assert changed.habits == msgspec.structs.replace(preset.habits, kept_outputs=3)
    assert changed.with_fields(validation=preset.validation, habits=preset.habits) == preset


FILE = """
mode = "train"
batch = 16
image = [480, 640]
clip_grad = true
ema = "cpu"
freeze = ["stem"]

[validation]
batch = 32
precision = "fp16"
"""


def test_options_go_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(FILE)
    from_file = workload_from(given("--workload", str(path)))
    assert from_file == Workload(
        mode="train", batch=16, image=(480, 640), clip_grad=True, ema="cpu", freeze=("stem",), validation=Validation(batch=32, precision="fp16")
    )
    both = workload_from(given("--workload", str(path), "--batch", "2", "--no-clip-grad", "--no-ema", "--val-precision", "bf16"))
    assert both == from_file.with_fields(batch=2, clip_grad=False, ema="off", validation=Validation(batch=32, precision="bf16"))


def test_the_file_takes_every_field(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('seq = 8\ninputs = ["x=2x3"]\n[[ignored]]\n'.replace("[[ignored]]\n", ""))
    assert workload_from(given("--workload", str(path))).inputs == (InputSpec("x", (2, 3)),)


def test_an_unknown_field_names_the_closest(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("bacth = 3\n")
    with pytest.raises(UnknownNameError, match=r"'bacth'.*batch"):
        workload_from(given("--workload", str(path)))


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"mode = 'train'\nbatch = = 3\n", "line 2"), (b"batch = 3\nbatch = 4\n", "line 2"), (b"mode = '\xff'\n", "0xff"), (b"\x00", "TOML")],
)
def test_a_file_that_is_not_toml_is_refused_with_its_place(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidFileError, match=told) as caught:
        read_fields(path)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="No such file"):
        read_fields(tmp_path / "missing.toml")
    with pytest.raises(InvalidFileError, match="directory"):
        read_fields(tmp_path)
