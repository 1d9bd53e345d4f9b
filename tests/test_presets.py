"""Presets fill what was not given, follow what was, and never contradict it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.presets import NOMINAL_BATCH, PRESETS, applied, at_batch, find, preset_fields
from vramcast.workload import PRECISIONS, Habits, Workload, make

TRAIN = {"mode": "train"}
LIBRARIES = {"transformers-4.35"}
"""Presets of a library's version: they say nothing of how a run is made up."""


def trained(preset: str, **fields: Any) -> Workload:
    return make({**TRAIN, "preset": preset, **fields})


@pytest.mark.parametrize("preset", PRESETS)
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "batch": st.integers(1, 4096),
            "precision": st.sampled_from(PRECISIONS),
            "optimizer": st.sampled_from(["sgd", "adam", "adamw", "rmsprop", "muon"]),
            "ema": st.sampled_from(["off", "gpu", "cpu"]),
            "accumulate": st.integers(1, 8),
            "weight_decay": st.floats(0, 1),
            "phases": st.sampled_from(["step", "run"]),
            "clip_grad": st.booleans(),
        },
    )
)
def test_what_was_given_stands(preset: str, fields: dict[str, Any]) -> None:
    workload = trained(preset, **fields)
    assert {name: getattr(workload, name) for name in fields} == fields
    set_by_preset = applied(preset, TRAIN | fields)
    assert not set(set_by_preset) & set(fields)
    assert make(TRAIN | fields | set_by_preset) == workload.with_fields(preset=None)


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - LIBRARIES))
def test_a_preset_trains_and_infers(preset: str) -> None:
    workload = trained(preset)
    assert workload.phases == "run"
    assert workload.validation is not None
    assert make({"preset": preset}) == Workload(preset=preset)
    assert find(preset).source


def test_a_version_of_a_library_is_the_same_in_training_and_inference() -> None:
    trained_with, inferred_with = trained("transformers-4.35"), make({"preset": "transformers-4.35"})
    assert trained_with.phases == "step"
    assert (trained_with.attention, trained_with.habits) == (inferred_with.attention, inferred_with.habits)
    assert inferred_with.attention == "eager"
    assert inferred_with.habits == Habits(generation="tuples", logits="fp32", packed_bias="always", rotary="tables")
    assert make({"preset": "transformers-4.35", "attention": "sdpa"}).attention == "sdpa"


def test_no_preset_sets_nothing() -> None:
    assert applied(None, TRAIN) == {}


@pytest.mark.parametrize(("batch", "accumulate"), [(1, 64), (16, 4), (25, 3), (48, 1), (64, 1), (96, 1), (128, 1)])
def test_ultralytics_accumulates_to_its_nominal_batch(batch: int, accumulate: int) -> None:
    workload = trained("ultralytics", batch=batch)
    assert workload.accumulate == accumulate == max(round(NOMINAL_BATCH / batch), 1)
    assert workload.validation is not None
    assert workload.validation.batch == 2 * batch


def test_ultralytics_by_default() -> None:
    workload = trained("ultralytics")
    assert (workload.batch, workload.precision, workload.optimizer, workload.ema) == (16, "amp-fp16", "musgd", "gpu")
    assert (workload.clip_grad, workload.zero_grad, workload.prefetch_dtype, workload.channels_last) == (True, "after-step", "uint8", True)
    assert workload.habits.checkpoint_save == "copies"
    assert workload.habits.half_validation_inputs
    assert workload.validation is not None
    assert workload.validation.uses_ema


def test_ultralytics_fuses_adam_only() -> None:
    loops = {optimizer: trained("ultralytics", optimizer=optimizer).optimizer_loop for optimizer in ("adam", "adamw", "sgd", "nadam", "musgd")}
    assert loops == {"adam": "fused", "adamw": "fused", "sgd": "default", "nadam": "default", "musgd": "default"}


def test_ultralytics_without_autocast_or_average() -> None:
    workload = trained("ultralytics", precision="fp32", ema="off")
    assert not workload.habits.half_validation_inputs
    assert workload.validation is not None
    assert (workload.validation.precision, workload.validation.uses_ema) == ("fp32", False)


def test_timm_by_default() -> None:
    workload = trained("timm")
    assert (workload.batch, workload.precision, workload.optimizer, workload.ema, workload.weight_decay) == (128, "fp32", "nesterov", "off", 2e-5)
    assert (workload.prefetch, workload.habits.conversion, workload.habits.parameter_groups) == (1, "loader", "no-decay-1d")
    assert workload.cudnn_benchmark
    assert workload.validation is not None
    assert workload.validation.batch == 128


def test_timm_validates_under_the_same_autocast() -> None:
    validation = trained("timm", precision="amp-bf16", batch=7).validation
    assert validation is not None
    assert (validation.batch, validation.precision) == (7, "amp-bf16")


@pytest.mark.parametrize(("preset", "batch", "validation_batch"), [("torchvision-reference", 32, 32), ("torchvision-reference-detection", 2, 1)])
def test_torchvision_references(preset: str, batch: int, validation_batch: int) -> None:
    workload = trained(preset, precision="amp-fp16")
    assert (workload.batch, workload.optimizer, workload.weight_decay, workload.zero_grad) == (batch, "momentum", 1e-4, "before-backward")
    assert workload.habits.epoch == "function"
    assert workload.validation is not None
    assert (workload.validation.batch, workload.validation.precision) == (validation_batch, "fp32"), "evaluate() runs outside autocast"


def test_no_validation_where_only_a_step_is_asked_for() -> None:
    assert all(trained(preset, phases="step").validation is None for preset in PRESETS)


def test_unknown_presets_are_refused_with_the_legal_ones() -> None:
    with pytest.raises(UnknownNameError, match="torchvision-reference") as caught:
        preset_fields("torchvison", TRAIN)
    assert "torchvision-reference" in caught.value.closest


@pytest.mark.parametrize("batch", ["many", 0, True, 2.5])
def test_what_others_follow_from_must_be_a_number(batch: object) -> None:
    with pytest.raises(WorkloadError, match="batch"):
        trained("ultralytics", batch=batch)


@pytest.mark.parametrize("preset", PRESETS)
@given(batch=st.integers(1, 300), other=st.integers(1, 300), precision=st.sampled_from(PRECISIONS))
def test_habits_follow_another_batch(preset: str, batch: int, other: int, precision: str) -> None:
    made = trained(preset, batch=batch, precision=precision).as_dict()
    assert made | at_batch(made, other) == trained(preset, batch=other, precision=precision).as_dict()


def test_what_was_given_does_not_follow() -> None:
    made = trained("ultralytics", batch=16, accumulate=3, validation={"batch": 5}).as_dict()
    assert at_batch(made, 64) == {"batch": 64}


def test_presets_need_no_torch() -> None:
    code = "import sys; from vramcast.workload import make; make({'mode': 'train', 'preset': 'timm'}); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_older_ultralytics_differs_where_its_sources_do() -> None:
    """ultralytics 8.3.226: engine/trainer.py (`build_optimizer`, no `fused=`), engine/validator.py (`model.half()`), utils/tal.py."""
    today, older = trained("ultralytics"), trained("ultralytics-8.3")
    assert older.habits == msgspec.structs.replace(today.habits, assigner="all-pairs", half_validation_inputs=False)
    assert (older.optimizer, older.channels_last) == ("nesterov", False)
    assert older.validation is not None
    assert today.validation is not None
    assert (older.validation.precision, older.validation.batch) == ("fp16", today.validation.batch)
    assert (trained("ultralytics", optimizer="adamw").optimizer_loop, trained("ultralytics-8.3", optimizer="adamw").optimizer_loop) == (
        "fused",
        "default",
    )
    assert trained("ultralytics-8.3", environment={"torch": "1.12"}).optimizer_loop == "for-loop"
    assert trained("ultralytics-8.3", precision="fp32").validation == msgspec.structs.replace(older.validation, precision="fp32")
