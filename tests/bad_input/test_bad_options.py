"""Options that are unknown, malformed, out of range, or exclude each other."""

from __future__ import annotations

import pytest

from vramcast.workload import OPTIMIZERS, PRECISIONS

MODEL = "torchvision:resnet18"


def quoted(names):
    return ", ".join(f"'{name}'" for name in names)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--precision", "half", f"'half' is not one of {quoted(PRECISIONS)}."),
        ("--optimizer", "admw", f"'admw' is not one of {quoted(OPTIMIZERS)}."),
        ("--preset", "ultralytic", "'ultralytic' is not one of 'ultralytics', "),
        ("--format", "jsno", "'jsno' is not one of 'terminal', 'json', 'snapshot'"),
        ("--batch", "many", "'many' is not a valid integer."),
        ("--batch", "1.5", "'1.5' is not a valid integer."),
        ("--image", "640x", "'640x' is not an image size such as 640 or 480x640 (height x width)."),
        ("--image", "axb", "'axb' is not an image size such as 640 or 480x640 (height x width)."),
        ("--image", "-5", "'-5' is not an image size such as 640 or 480x640 (height x width)."),
        ("--image", "", "'' is not an image size such as 640 or 480x640 (height x width)."),
        ("--val-image", "1x2x3", "'1x2x3' is not an image size such as 640 or 480x640 (height x width)."),
    ],
)
def test_a_value_of_another_form_is_refused_with_the_option_and_what_is_legal(refused, option, value, told):
    code, message = refused("estimate", MODEL, option, value)
    assert code == 2
    assert message.startswith(f"Invalid value for '{option}': {told}")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--batch", "0"], "batch is 0; it must be at least 1 and at most 1,000,000,000,000."),
        (["--batch", "-3"], "batch is -3; it must be at least 1 and at most 1,000,000,000,000."),
        (["--image", "0"], "image height is 0; it must be at least 1 and at most 1,000,000,000,000."),
        (["--image", "640x0"], "image width is 0; it must be at least 1 and at most 1,000,000,000,000."),
        (["--image-range", "0", "640"], "image_range smallest is 0; it must be at least 1 and at most 1,000,000,000,000."),
        (["--image-range", "640", "320"], "image_range (640, 320) runs backwards: 640 is more than 320."),
        (["--seq", "0"], "seq is 0; it must be at least 1 and at most 1,000,000,000,000."),
        (["--new-tokens", "0"], "new_tokens is 0; it must be at least 1 and at most 1,000,000,000,000."),
        (["--steps", "0"], "steps is 0; it must be at least 1 and at most 1,000."),
        (["--classes", "0"], "classes is 0; it must be at least 1 and at most 1,000,000,000,000."),
        (["--targets", "-1"], "targets is -1; it must be at least 0 and at most 1,000,000,000,000."),
        (["--prefetch", "-1"], "prefetch is -1; it must be at least 0 and at most 1,000."),
        (["--input", "x"], "--input 'x' is not of the form name=2x3x224x224:float32."),
        (["--input", "x=axb"], "--input 'x=axb' is not of the form name=2x3x224x224:float32."),
        (["--input", "x=0x3"], "dimension 0 of input 'x' is 0; it must be at least 1 and at most 1,000,000,000,000."),
        (["--input", "x=2", "--input", "x=3"], "inputs name 'x' 2 times; each input is named once."),
        (["--train", "--weight-decay", "-1"], "weight_decay is -1.0; it must be at least 0 and finite."),
        (["--train", "--val-batch", "0"], "validation batch is 0; it must be at least 1 and at most 1,000,000,000,000."),
        (
            ["--train", "--habit", "epohc=loop"],
            "no habit is called 'epohc'. Closest: epoch. Legal: conversion, parameter_groups, epoch, half_validation_inputs, "
            "validation_pad, kept_outputs, empties_cache, checkpoint_save, checkpoint_device, generation, logits, packed_bias, packed_input, "
            "assigner, rotary.",
        ),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_field_and_its_range(refused, options, told):
    assert refused("estimate", MODEL, *options) == (2, told)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--train", "--infer"], "--train and --infer exclude each other. Leave one of them out."),
        (["--infer", "--batch", "3", "--train"], "--infer and --train exclude each other. Leave one of them out."),
        (["--train", "--fused", "--foreach"], "--fused and --foreach exclude each other. Leave one of them out."),
        (["--infer", "--ema"], "mode 'infer' and ema 'gpu' exclude each other: ema belongs to mode 'train'."),
        (["--checkpointing"], "mode 'infer' and checkpointing True exclude each other: checkpointing belongs to mode 'train'."),
        (["--phases", "run"], "mode 'infer' and phases 'run' exclude each other: phases belongs to mode 'train'."),
        (["--train", "--no-ema", "--ema-device", "cpu"], "--no-ema and --ema-device cpu exclude each other."),
        (
            ["--train", "--fused", "--optimizer", "lion"],
            "optimizer_loop 'fused' and optimizer 'lion' exclude each other: "
            "torch has fused kernels for adagrad, adam, adamw, momentum, nesterov, sgd.",
        ),
        (
            ["--train", "--foreach", "--optimizer", "lion"],
            "optimizer_loop 'foreach' and optimizer 'lion' exclude each other: it has no foreach version; use 'default'.",
        ),
        (
            ["--train", "--val-ema", "--val-batch", "3"],
            "validation uses_ema and ema 'off' exclude each other: a copy to be validated lies on the GPU.",
        ),
        (
            ["--train", "--val-precision", "fp16"],
            "--val-precision, --val-image and --val-ema describe a validation pass whose batch is not known. Add --val-batch N.",
        ),
        (["--input", "x=1x3", "--image", "64"], "inputs ['x'] and image (64, 64) exclude each other: an input states its own shape."),
    ],
)
def test_options_that_exclude_each_other_are_both_named(refused, options, told):
    assert refused("estimate", MODEL, *options) == (2, told)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("max_split_size_mb:x", "allocator option max_split_size_mb:x is illegal; max_split_size_mb takes a whole number of MiB, at least 20."),
        ("max_split_size_mb", "allocator options 'max_split_size_mb' cannot be read at 'max_split_size_mb'; the form is key:value,key:value."),
        ("expandable_segments:yes", "allocator option expandable_segments:yes is illegal; expandable_segments takes True or False."),
        (
            "max_split:30",
            "no allocator option is called 'max_split'. Closest: max_split_size_mb, max_non_split_rounding_mb. Given: 'max_split:30'.",
        ),
    ],
)
def test_allocator_options_are_refused_before_anything_is_built(refused, options, told):
    assert refused("estimate", "no such model", "--allocator", options) == (2, told)


def test_a_misspelt_option_or_command_is_answered_with_the_closest(refused):
    code, message = refused("estimate", MODEL, "--bacth", "3")
    assert code == 2
    assert "--bacth" in message
    assert "--batch" in message
    code, message = refused("estimat", MODEL)
    assert code == 2
    assert message.startswith("No such command 'estimat'. Closest: ")
    assert message.endswith("To forecast a model: vramcast estimate estimat")
