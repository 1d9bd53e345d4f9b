"""The workload refuses what makes no sense, says why, and survives being written down."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.presets import PRESETS
from vramcast.workload import LARGEST_COUNT, LARGEST_REPETITION, OPTIMIZERS, PRECISIONS, Habits, InputSpec, Validation, Workload, make

counts = st.integers(1, 10**6)
sizes = st.tuples(counts, counts)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "batch": counts,
    "image": st.one_of(counts, sizes),
    "image_range": sizes.map(lambda pair: tuple(sorted(pair))),
    "seq": counts,
    "attention": st.sampled_from(["auto", "eager", "sdpa"]),
    "precision": st.sampled_from(PRECISIONS),
    "optimizer": st.sampled_from(OPTIMIZERS),
    "weight_decay": st.floats(0, 1),
    "clip_grad": st.booleans(),
    "ema": st.sampled_from(["off", "gpu", "cpu"]),
    "accumulate": counts,
    "checkpointing": st.booleans(),
    "channels_last": st.booleans(),
    "classes": counts,
    "targets": st.integers(0, 100),
    "freeze": st.lists(st.sampled_from(["stem", "layer1.*"]), max_size=2),
    "steps": st.integers(1, 5),
    "prefetch": st.integers(0, 5),
    "zero_grad": st.sampled_from(["start", "before-backward", "after-step"]),
    "set_to_none": st.booleans(),
    "phases": st.sampled_from(["step", "run"]),
    "resume": st.booleans(),
    "validation": st.fixed_dictionaries({"batch": counts}, optional={"precision": st.sampled_from(PRECISIONS), "image": sizes}),
    "preset": st.sampled_from(sorted(PRESETS)),
    "seed": st.integers(0, 2**31),
    "habits": st.fixed_dictionaries({}, optional={"conversion": st.sampled_from(["step", "loader"]), "kept_outputs": st.integers(0, 9)}),
}


@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_a_workload_is_read_back_from_its_own_fields(fields: dict[str, Any]) -> None:
    workload = make(fields | {"mode": "train"})
    assert make(workload.as_dict()) == workload
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(workload.as_dict())), Workload) == workload


@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_a_workload_survives_a_file(fields: dict[str, Any]) -> None:
    """TOML knows lists but no tuples, and has no null: absent fields are those that are None."""
    workload = make(fields | {"mode": "train"})
    written = json.loads(json.dumps(workload.as_dict()))
    assert make(_without_none(written)) == workload


def _without_none(tree: Any) -> Any:
    return {name: _without_none(value) for name, value in tree.items() if value is not None} if isinstance(tree, dict) else tree


def test_fields_are_read_from_toml() -> None:
    text = 'mode = "train"\nbatch = 8\nimage = [480, 640]\nfreeze = ["stem"]\n[validation]\nbatch = 16\n[habits]\nepoch = "function"\n'
    expected = Workload.train(batch=8, image=(480, 640), freeze=("stem",), validation=Validation(batch=16), habits=Habits(epoch="function"))
    assert make(msgspec.toml.decode(text)) == expected


def test_defaults_are_one_inference_call() -> None:
    workload = make({})
    assert workload == Workload() == Workload.infer()
    assert (workload.is_training, workload.autocast_dtype, workload.module_dtype) == (False, None, "float32")


def test_precision_says_how_tensors_are_held() -> None:
    held = {precision: (Workload(precision=precision).autocast_dtype, Workload(precision=precision).module_dtype) for precision in PRECISIONS}
    assert held == {
        "fp32": (None, "float32"), "tf32": (None, "float32"), "fp16": (None, "float16"), "bf16": (None, "bfloat16"),
        "amp-fp16": ("float16", "float32"), "amp-bf16": ("bfloat16", "float32"),
    }  # fmt: skip


COUNTS = ("batch", "seq", "accumulate", "classes", "steps", "image")


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, -(10**30), LARGEST_COUNT + 1])
def test_counts_out_of_range_are_refused_by_name_and_value(name: str, value: int) -> None:
    with pytest.raises(WorkloadError, match=rf"{name}.*{value}|{name}.*out of range|{name}"):
        make({"mode": "train", name: value})


@pytest.mark.parametrize("name", COUNTS)
def test_the_largest_counts_are_legal_and_repetitions_are_fewer(name: str) -> None:
    largest = LARGEST_REPETITION if name == "steps" else LARGEST_COUNT
    assert make({"mode": "train", name: largest}).batch >= 1
    with pytest.raises(WorkloadError, match=name):
        make({"mode": "train", name: largest + 1})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"targets": -1}, ["targets", "-1", "at least 0"]),
        ({"prefetch": -2}, ["prefetch", "-2", "at least 0"]),
        ({"prefetch": LARGEST_COUNT + 1}, ["prefetch", "at most"]),
        ({"weight_decay": -0.1}, ["weight_decay", "-0.1"]),
        ({"weight_decay": float("nan")}, ["weight_decay", "nan"]),
        ({"weight_decay": float("inf")}, ["weight_decay", "inf"]),
        ({"validation": {"batch": 0}}, ["validation batch", "0"]),
        ({"validation": {"batch": 1, "image": (0, 5)}}, ["validation image height", "0"]),
        ({"image_range": (0, 5)}, ["image_range smallest", "0"]),
        ({"image_range": (640, 320)}, ["image_range (640, 320)", "backwards"]),
        ({"inputs": ["x=0x4"]}, ["dimension 0 of input 'x'", "0"]),
        ({"habits": {"kept_outputs": -1}}, ["kept_outputs", "-1"]),
        ({"mode": "infer", "new_tokens": 0}, ["new_tokens", "0"]),
        ({"batch": "many"}, ["batch", "'many'", "whole number"]),
        ({"batch": 1.5}, ["batch", "1.5", "whole number"]),
        ({"image": "big"}, ["image"]),
        ({"image": (1, 2, 3)}, ["image"]),
        ({"mode": "predict"}, ["mode", "predict"]),
        ({"ema": "tpu"}, ["ema", "tpu"]),
        ({"zero_grad": "never"}, ["zero_grad", "never"]),
        ({"phases": "epoch"}, ["phases", "epoch"]),
        ({"validation": {"precision": "fp32"}}, ["validation", "batch"]),
    ],
)
def test_illegal_values_are_refused_by_name_and_value(fields: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(WorkloadError) as caught:
        make({"mode": "train", **fields})
    assert all(part in str(caught.value) for part in said), caught.value


LOOP_ONLY = ["muon", "musgd", "lion", "adam8bit", "adamw8bit", "lion8bit"]
WITHOUT_FUSED = ["rmsprop", "adadelta", "adamax", "nadam", "radam", "asgd", "rprop", "adafactor", *LOOP_ONLY]
EXCLUDED: list[tuple[dict[str, Any], list[str]]] = [
    *(({"mode": "train", "optimizer": name, "optimizer_loop": "fused"}, ["'fused'", repr(name)]) for name in WITHOUT_FUSED),
    *(({"mode": "train", "optimizer": name, "optimizer_loop": "foreach"}, ["'foreach'", repr(name)]) for name in LOOP_ONLY),
    ({"mode": "train", "inputs": ["x=1x2"], "image": 224}, ["inputs ['x']", "image (224, 224)"]),
    ({"mode": "train", "prefetch_dtype": "uint8", "seq": 128}, ["'uint8'", "seq 128"]),
    ({"mode": "train", "ema": "off", "validation": {"batch": 1, "uses_ema": True}}, ["uses_ema", "ema 'off'"]),
    ({"mode": "train", "ema": "cpu", "validation": {"batch": 1, "uses_ema": True}}, ["uses_ema", "ema 'cpu'"]),
    ({"mode": "train", "new_tokens": 5}, ["mode 'train'", "new_tokens 5"]),
    ({"accumulate": 2}, ["mode 'infer'", "accumulate 2"]),
    ({"checkpointing": True}, ["mode 'infer'", "checkpointing True"]),
    ({"checkpoint_modules": ["stem"]}, ["mode 'infer'", "checkpoint_modules ('stem',)"]),
    ({"mode": "train", "checkpointing": True, "checkpoint_modules": ["stem"]}, ["checkpointing and", "checkpoint_modules 'stem'"]),
    ({"ema": "gpu"}, ["mode 'infer'", "ema 'gpu'"]),
    ({"freeze": ["stem"]}, ["mode 'infer'", "freeze ('stem',)"]),
    ({"clip_grad": True}, ["mode 'infer'", "clip_grad True"]),
    ({"resume": True}, ["mode 'infer'", "resume True"]),
    ({"optimizer_loop": "foreach"}, ["mode 'infer'", "optimizer_loop 'foreach'"]),
    ({"weight_decay": 0.1}, ["mode 'infer'", "weight_decay 0.1"]),
    ({"validation": {"batch": 1}}, ["mode 'infer'", "validation"]),
    ({"phases": "run"}, ["mode 'infer'", "phases 'run'"]),
    ({"loss": "loss.py:f"}, ["mode 'infer'", "loss 'loss.py:f'"]),
]


@pytest.mark.parametrize(("fields", "said"), EXCLUDED)
def test_what_excludes_each_other_is_refused_with_both_names(fields: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(WorkloadError, match="exclude each other") as caught:
        make(fields)
    assert all(part in str(caught.value) for part in said), caught.value


@pytest.mark.parametrize(
    ("fields", "closest"),
    [
        ({"bacth": 4}, "batch"),
        ({"optimiser": "adam"}, "optimizer"),
        ({"preset": "ultralitics"}, "ultralytics"),
        ({"precision": "amp-fp61"}, "amp-fp16"),
        ({"optimizer": "adamv"}, "adamw"),
        ({"validation": {"batch": 1, "precison": "fp32"}}, "precision"),
        ({"habits": {"conversions": "step"}}, "conversion"),
    ],
)
def test_unknown_names_name_the_closest(fields: dict[str, Any], closest: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        make(fields)
    assert closest in caught.value.closest


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("x=2x3x224x224", InputSpec("x", (2, 3, 224, 224))),
        (" ids=4x128:int64 ", InputSpec("ids", (4, 128), "int64")),
        ("n=7", InputSpec("n", (7,))),
    ],
)
def test_inputs_are_read(text: str, spec: InputSpec) -> None:
    assert InputSpec.parse(text) == spec


@pytest.mark.parametrize("text", ["", "x", "x=", "=3", "x=3x", "x=3,4", "3=x", "x=-1", "x=3:"])
def test_inputs_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(WorkloadError, match="name=2x3x224x224:float32"):
        InputSpec.parse(text)


def test_one_image_side_is_a_square() -> None:
    assert Workload.train(image=224).image == make({"mode": "train", "image": [224, 224]}).image == (224, 224)


def test_a_copy_is_checked_anew() -> None:
    workload = Workload.train(batch=4)
    assert workload.with_fields(batch=8).batch == 8
    with pytest.raises(WorkloadError, match="batch is 0"):
        workload.with_fields(batch=0)
    with pytest.raises(AttributeError):
        workload.batch = 8  # type: ignore[misc]


def test_nested_values_may_be_given_as_they_are() -> None:
    workload = Workload.train(validation=Validation(batch=3), habits=Habits(kept_outputs=2), inputs=[InputSpec("x", (1, 2))])
    assert (workload.validation, workload.habits, workload.inputs) == (Validation(batch=3), Habits(kept_outputs=2), (InputSpec("x", (1, 2)),))
