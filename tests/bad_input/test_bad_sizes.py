"""Sizes that a model cannot take, and inputs of a kind it does not have: refused before the model is built."""

from __future__ import annotations

import json

import pytest

STRIDE = "but the sides of ultralytics:yolov8n's images must be multiples of its stride, 32. Nearest:"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--image", "650"], f"image is 650x650, {STRIDE} 640x640 or 672x672."),
        (["--image", "640x650", "--train"], f"image is 640x650, {STRIDE} 640x640 or 640x672."),
        (["--image", "3"], f"image is 3x3, {STRIDE} 32x32."),
        (["--image-range", "320", "650", "--train"], f"the largest image of image_range is 650x650, {STRIDE} 640x640 or 672x672."),
        (["--train", "--val-batch", "2", "--val-image", "100"], f"the validation image is 100x100, {STRIDE} 96x96 or 128x128."),
        (
            ["--seq", "64"],
            "seq 64 and model ultralytics:yolov8n exclude each other: it takes images, whose size is set by image.",
        ),
        (
            ["--input", "x=1x3x640x640"],
            "inputs x and model ultralytics:yolov8n exclude each other: it has inputs of its own, whose size is set by image.",
        ),
    ],
)
def test_images_of_a_model_with_strides(refused, options, told):
    assert refused("estimate", "ultralytics:yolov8n", *options) == (2, told)


def test_a_size_that_the_stride_divides_is_taken(capsys):
    from vramcast.cli.main import main

    assert main(["estimate", "ultralytics:yolov8n", "--image", "96x128", "--gpu", "24GiB"]) == 0
    assert "96×128" in capsys.readouterr().out


@pytest.mark.parametrize("model", ["torchvision:vit_b_16", "timm:vit_tiny_patch16_224", "timm:swin_tiny_patch4_window7_224"])
def test_a_model_made_for_one_size_names_it(refused, model):
    assert refused("estimate", model, "--image", "256") == (
        2,
        f"image is 256x256, but {model} is made for 224x224 and takes no other size. Leave image out, or name a model made for another size.",
    )


@pytest.fixture
def language_model(here):
    """A GPT-2 of one small layer, as a folder."""
    settings = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 1, "n_embd": 32, "n_head": 2, "n_positions": 64}
    (here / "small").mkdir()
    (here / "small" / "config.json").write_text(json.dumps(settings))
    return "./small"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--seq", "65"],
            "seq is 65, but transformers:small takes at most 64 tokens. Name a shorter sequence, or a model made for longer ones.",
        ),
        (["--image", "64"], "image 64x64 and model transformers:small exclude each other: it takes no images; set seq."),
        (
            ["--input", "ids=1x8:int64"],
            "inputs ids and model transformers:small exclude each other: it has inputs of its own, whose size is set by seq.",
        ),
    ],
)
def test_sequences_of_a_language_model(refused, language_model, options, told):
    pytest.importorskip("transformers")
    assert refused("estimate", language_model, *options) == (2, told)


def test_a_size_that_is_too_small_for_a_layer_names_the_layer(refused):
    code, message = refused("estimate", "torchvision:resnet18", "--train", "--image", "1")
    assert code == 3
    assert message.startswith("torchvision:resnet18 raised in module 'bn1' (BatchNorm2d) on input 1x64x1x1: ValueError: Expected more than 1 value")
