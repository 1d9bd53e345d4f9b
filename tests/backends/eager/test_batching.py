"""A large batch told by small ones is the large batch traced, to the byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vramcast.backends.eager import batching
from vramcast.backends.eager.lower_bound import trace_lower_bound
from vramcast.backends.eager.program import trace_program
from vramcast.errors import TooLargeError
from vramcast.family import fit
from vramcast.sources import registry
from vramcast.trace import Component, Trace
from vramcast.workload import Workload

CAPABILITY = (8, 9)
COLUMNS = ("kinds", "blocks", "operations", "sizes", "components", "streams", "block_modules",
           "operation_operators", "operation_modules", "operation_phases")  # fmt: skip


def quiet(_: str) -> None:
    """Say nothing of the progress."""


def traced(model: str, workload: Workload) -> Trace:
    return trace_program(registry.find(model), workload, CAPABILITY, quiet)


def assert_same(one: Trace, other: Trace) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.calls == other.calls
    assert one.caveats == other.caveats


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("torchvision:resnet18", {"image": 64, "precision": "amp-fp16", "channels_last": True}),
        ("timm:vit_tiny_patch16_224", {"precision": "amp-bf16", "ema": "gpu", "prefetch": 1, "steps": 1}),
        ("torchvision:fasterrcnn_mobilenet_v3_large_320_fpn", {"image": 64, "steps": 1}),
    ],
)
def test_every_byte_count_is_affine_in_the_batch(model: str, fields: dict[str, Any]) -> None:
    assert_told_by_small_batches(model, fields)


def test_a_language_model_is_no_exception(tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128, "vocab_size": 500}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertForMaskedLM"], **sizes}))
    assert_told_by_small_batches(f"transformers:{tmp_path}", {"seq": 32})


def assert_told_by_small_batches(model: str, fields: dict[str, Any]) -> None:
    first, second, third, whole = (traced(model, Workload.train(batch=batch, **fields)) for batch in (4, 5, 6, 9))
    family = fit((first, second, third), 4)
    assert family is not None
    assert_same(family.at(9), whole)


def test_a_detector_is_told_by_small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    model, validation = "ultralytics:yolo11n", {"batch": 18, "precision": "fp32"}
    workload = Workload.train(batch=9, image=64, steps=1, precision="amp-fp16", phases="run", validation=validation, prefetch_dtype="uint8")
    whole = traced(model, workload)
    seen: list[int] = []

    def noted(found: Any, small: Workload, *rest: Any) -> Trace:
        seen.append(small.batch)
        return trace_program(found, small, *rest)

    monkeypatch.setattr(batching, "trace_program", noted)
    monkeypatch.setattr(batching, "LARGEST_DIRECT", 0)
    assert_same(batching.trace_workload(registry.find(model), workload, CAPABILITY, quiet), whole)
    assert seen == [4, 5, 6]


def test_a_small_batch_is_traced_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = Workload.train(batch=8, image=64, steps=1)
    seen: list[int] = []
    monkeypatch.setattr(batching, "trace_program", lambda _model, small, *_: seen.append(small.batch) or whole)
    whole = traced("torchvision:resnet18", workload)
    assert batching.trace_workload(registry.find("ultralytics:yolo11n"), workload, CAPABILITY, quiet) is whole
    assert seen == [8]


@pytest.mark.parametrize(
    ("batch", "validation", "unit"),
    [(512, None, (1, None)), (512, 1024, (1, 2)), (512, 512, (1, 1)), (512, 1, (1, 1)), (300, 100, (3, 1)), (512, 100, (1, 100))],
)
def test_a_validation_batch_scales_along_where_it_can(batch: int, validation: int | None, unit: tuple[int, int | None]) -> None:
    fields: dict[str, Any] = {} if validation is None else {"validation": {"batch": validation}}
    found = batching._unit(Workload.train(batch=batch, phases="run", **fields))
    assert (found.batch, found.validation and found.validation.batch) == unit


def test_what_small_batches_do_not_tell_is_traced_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    model = registry.find("ultralytics:yolo11n")
    whole = traced("torchvision:resnet18", Workload.infer(image=64, steps=1))
    monkeypatch.setattr(batching, "trace_program", lambda *_: whole)
    monkeypatch.setattr(batching, "fit", lambda *_: None)
    assert batching.trace_workload(model, Workload.train(batch=1000, image=64), CAPABILITY, quiet) is whole
    with pytest.raises(TooLargeError, match="not proportional to its batch"):
        batching.trace_workload(model, Workload.train(batch=2000, image=64), CAPABILITY, quiet)


def test_the_lower_bound_holds_weights_and_one_batch() -> None:
    workload = Workload.train(batch=10, image=224, precision="fp16")
    model = registry.find("torchvision:resnet18")
    trace = trace_lower_bound(model, workload, TooLargeError("Too many."))
    trace.validate()
    held = dict(zip(trace.components.tolist(), trace.sizes.tolist()))
    assert held == {Component.WEIGHTS: 2 * trace.subject.parameters, Component.INPUTS: 10 * 3 * 224 * 224 * 2}
    assert "lower bound" in trace.caveats[0].message
    assert "Too many." in trace.caveats[0].message


@pytest.mark.parametrize(
    "fields",
    [{"weights": "int8"}, {"weights": "int4-nf4", "precision": "bf16", "lora": {"rank": 4}},
     {"precision": "amp-bf16", "lora": {"rank": 4, "base": "autocast"}}],
)  # fmt: skip
def test_the_lower_bound_counts_weights_as_a_trace_holds_them(fields: dict[str, Any], tmp_path: Path) -> None:
    config = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 100}
    (tmp_path / "config.json").write_text(json.dumps(config | {"architectures": ["LlamaForCausalLM"]}))
    name, workload = f"transformers:{tmp_path}", Workload.train(seq=8, steps=1, **fields)
    bound, whole = trace_lower_bound(registry.find(name), workload, TooLargeError("Too many.")), traced(name, workload)
    (counted,) = bound.sizes[bound.components == Component.WEIGHTS]
    assert counted == whole.sizes[whole.components == Component.WEIGHTS].sum()
    assert bound.subject.trainable_parameters == whole.subject.trainable_parameters
