"""Forecasts from a family are those of a direct trace, to the byte: points drawn over a spread of models."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from vramcast.backends.eager.program import trace_program
from vramcast.family import TraceFamily, build, fit, fit_sizes, resized
from vramcast.family.batch_fit import alike
from vramcast.pipeline import forecast
from vramcast.sources import registry
from vramcast.trace import Trace
from vramcast.workload import Workload

IMAGE, SEQUENCE = ("batch", "height", "width"), ("batch", "seq")
BATCHES = (1, 11)
SQUARES = [(side, side) for side in (64, 96, 128, 160)]
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128, "vocab_size": 500}


def workload_at(axes: tuple[str, ...], point: tuple[int, ...], fields: dict[str, Any]) -> Workload:
    size = {"image": point[1:]} if axes == IMAGE else {"seq": point[1]}
    make = Workload.train if fields.get("mode", "train") == "train" else Workload.infer
    return make(batch=point[0], **size, **{name: value for name, value in fields.items() if name != "mode"})


def checked(model: str, fields: dict[str, Any], axes: tuple[str, ...], sizes: list[tuple[int, ...]], drawn: int) -> TraceFamily:
    """Build the family and compare it with direct traces at points that are drawn, of all sizes the family holds."""

    def trace(point: tuple[int, ...]) -> Trace:
        return trace_program(registry.find(model), workload_at(axes, point, fields), (8, 9), lambda _: None)

    family = build(trace, axes, BATCHES, sizes)
    draw = random.Random(model)
    for _ in range(drawn):
        sides = draw.choice(sizes)
        if len(family.pieces) == 1:  # heights and widths may be mixed
            sides = tuple(side[index] for index, side in enumerate(draw.choices(sizes, k=len(sides))))
        point = (draw.randint(2, BATCHES[1]), *sides)
        told, traced = family.at(point), trace(point)
        assert told is not None, point
        assert alike(told, traced), point
        workload = workload_at(axes, point, fields)
        assert forecast(told, "rtx 4090", workload).to_json() == forecast(traced, "rtx 4090", workload).to_json()
    return family


ONE_RULE: list[tuple[str, dict[str, Any]]] = [
    ("torchvision:resnet18", {"precision": "amp-fp16", "channels_last": True, "optimizer": "momentum"}),
    ("timm:convnext_atto", {"steps": 1, "ema": "gpu"}),
    ("torchvision:vgg11_bn", {"mode": "infer", "cudnn_benchmark": True}),
    ("ultralytics:yolo11n", {"mode": "infer", "precision": "fp16"}),
]


@pytest.mark.parametrize(("model", "fields"), ONE_RULE)
def test_images_are_followed_by_one_rule(model: str, fields: dict[str, Any]) -> None:
    family = checked(model, fields, IMAGE, SQUARES, drawn=1)
    assert len(family.pieces) == 1


def assert_told(told: Trace, traced: Trace, workload: Workload) -> None:
    assert alike(told, traced)
    assert forecast(told, "rtx 4090", workload).to_json() == forecast(traced, "rtx 4090", workload).to_json()


@pytest.mark.parametrize(("model", "fields"), ONE_RULE)
def test_small_squares_of_one_batch_tell_large_ones(model: str, fields: dict[str, Any]) -> None:
    def trace(point: tuple[int, ...]) -> Trace:
        return trace_program(registry.find(model), workload_at(IMAGE, (*point, point[1]), fields), (8, 9), lambda _: None)

    piece = fit_sizes(trace, [(3, side) for side in (64, 96, 128, 160, 192)], (1, 32))
    assert piece is not None
    point = (3, 32 * random.Random(model).randint(20, 60))
    assert_told(piece.at(point), trace(point), workload_at(IMAGE, (*point, point[1]), fields))


def test_what_losses_take_at_another_size_is_told_by_a_few_images_there() -> None:
    fields = {"steps": 1, "targets": 4, "precision": "amp-fp16"}

    def trace(batch: int, side: int) -> Trace:
        model, workload = registry.find("ultralytics:yolo11n"), workload_at(IMAGE, (batch, side, side), fields)
        return trace_program(model, workload, (8, 9), lambda _: None)

    family = fit((trace(4, 64), trace(5, 64), trace(6, 64)), 4)
    assert family is not None
    made = resized(family, trace(4, 160))
    assert made is not None
    assert_told(made.at(13), trace(13, 160), workload_at(IMAGE, (13, 160, 160), fields))


def test_a_model_of_one_size_is_followed_over_its_batch() -> None:
    checked("timm:vit_tiny_patch16_224", {"precision": "amp-bf16", "steps": 1}, IMAGE, [(224, 224)], drawn=1)


@pytest.mark.parametrize(
    ("model", "fields", "sizes"),
    [
        ("torchvision:swin_t", {"steps": 1}, [(64, 64), (128, 128)]),
        ("ultralytics:yolo11n", {"steps": 1, "targets": 4, "precision": "amp-fp16"}, [(64, 64)]),
    ],
)
def test_windows_and_losses_that_look_at_values_are_followed_size_by_size(model: str, fields: dict[str, Any], sizes: list[tuple[int, ...]]) -> None:
    family = checked(model, fields, IMAGE, sizes, drawn=1)
    assert len(family.pieces) == len(sizes)


CONFIGS = pytest.mark.parametrize(
    "config",
    [
        {"model_type": "bert", "architectures": ["BertForMaskedLM"], **TINY},
        {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_key_value_heads": 1, "max_position_embeddings": 512, **TINY},
    ],
    ids=["bert", "llama"],
)


@CONFIGS
def test_sequences_are_followed_by_one_rule(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    family = checked(f"transformers:{tmp_path}", {"precision": "amp-bf16"}, SEQUENCE, [(length,) for length in (64, 128, 192, 256, 320)], drawn=2)
    assert len(family.pieces) == 1


@CONFIGS
def test_short_sequences_of_one_batch_tell_long_ones(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    fields = {"precision": "amp-bf16", "steps": 1}

    def trace(point: tuple[int, ...]) -> Trace:
        return trace_program(registry.find(f"transformers:{tmp_path}"), workload_at(SEQUENCE, point, fields), (8, 9), lambda _: None)

    piece = fit_sizes(trace, [(3, length) for length in (32, 57, 83, 110, 128)], (1, 1))
    assert piece is not None
    for length in (301, 511):  # at 512 all positions are taken, by other events
        assert_told(piece.at((3, length)), trace((3, length)), workload_at(SEQUENCE, (3, length), fields))
