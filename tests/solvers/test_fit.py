"""What a fit answers is what a forecast of every single value says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from vramcast.answer import Estimate
from vramcast.errors import UntraceableError, WorkloadError
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import estimate
from vramcast.solvers.fit import fit
from vramcast.solvers.limits import Fit, figures
from vramcast.workload import Workload

MODEL = "torchvision:resnet18"
SMALL = Workload.train(image=192, steps=1, precision="amp-fp16")


def card(mebibytes: int) -> GpuSpec:
    """A card with the context of an RTX 4090 and little memory, so that batches are small."""
    size = mebibytes * 2**20
    return GpuSpec(name="small", vendor="nvidia", memory_bytes=size, usable_bytes=size, compute_capability=(8, 9), sm_count=128)


CARD = card(2048)


def surely_fits(made: Estimate) -> bool:
    """The definition: the upper end of the range lies within the card."""
    assert made.gpu is not None
    return bool(made.fits) and made.peak.high_bytes <= made.gpu.usable_bytes


def may_fit(made: Estimate) -> bool:
    """The definition: the forecast does, or the lower end of its range."""
    assert made.gpu is not None
    return bool(made.fits) or made.peak.low_bytes <= made.gpu.usable_bytes


def test_the_largest_batch_is_the_one_that_trying_all_finds() -> None:
    found = fit(MODEL, SMALL, CARD)
    assert found.batch is not None
    assert found.batch_may is not None
    near = sorted({*range(found.batch - 2, found.batch + 3), *range(found.batch_may - 2, found.batch_may + 6)})
    tried = {batch: estimate(MODEL, SMALL.with_fields(batch=batch), CARD) for batch in near}
    assert found.batch == max(batch for batch, made in tried.items() if surely_fits(made))
    assert found.batch_may == max(batch for batch, made in tried.items() if may_fit(made))
    assert found.surely == figures(found.batch, tried[found.batch])
    assert found.beyond == figures(found.batch_may + 1, tried[found.batch_may + 1])
    assert found.told_by == "family"
    assert found.workload["batch"] == found.batch


def test_no_more_than_there_are_samples() -> None:
    found = fit(MODEL, SMALL, "rtx 4090", at_most=48)
    assert (found.batch, found.batch_may, found.beyond) == (48, 48, None)


def test_where_nothing_fits_the_least_need_is_told() -> None:
    found = fit(MODEL, SMALL, card(400))
    assert (found.batch, found.batch_may, found.surely, found.may) == (None, None, None, None)
    assert found.smallest.fits is False
    assert found.smallest.low_bytes > 400 * 2**20


def test_a_preset_s_habits_follow_the_batch() -> None:
    workload = Workload.train(preset="ultralytics", phases="step", image=128, steps=1, batch=16)
    found = fit(MODEL, workload, CARD)
    assert found.batch is not None
    asked = Workload.train(preset="ultralytics", phases="step", image=128, steps=1, batch=found.batch, backend="eager")
    assert found.workload == asked.as_dict()
    assert found.surely == figures(found.batch, estimate(MODEL, asked, CARD))


def assert_forecasts(found: Fit, model: str | Callable[[], nn.Module], at: Callable[[int], Workload], gpu: GpuSpec) -> None:
    """Every row is what `estimate` says of that value, from a trace of its own."""
    rows = [found.surely, found.expected, found.may, found.beyond]
    for row in rows:
        assert row is not None
        assert row == figures(row.value, estimate(model, at(row.value), gpu))
    assert found.surely is not None and surely_fits(estimate(model, at(found.surely.value), gpu))  # noqa: PT018
    assert found.beyond is not None and not may_fit(estimate(model, at(found.beyond.value), gpu))  # noqa: PT018


def test_batches_that_accumulate_as_often_are_told_by_one_family() -> None:
    workload, least = Workload.train(preset="ultralytics", phases="step", image=256, steps=1), card(1600)
    found = fit(MODEL, workload, least)
    accumulated = {row.value: max(round(64 / row.value), 1) for row in (found.surely, found.may) if row is not None}
    assert len(set(accumulated.values())) == 2  # two families
    assert found.told_by == "family"
    assert_forecasts(found, MODEL, lambda batch: Workload.train(preset="ultralytics", phases="step", image=256, steps=1, batch=batch), least)


def test_large_images_are_told_by_small_ones() -> None:
    workload, least = Workload.train(batch=2, steps=1), card(1500)
    found = fit(MODEL, workload, least, vary="image")
    assert (found.told_by, found.notes) == ("family", ())
    assert_forecasts(found, MODEL, lambda side: workload.with_fields(image=(side, side)), least)


class Windows(nn.Module):
    """Pads images to whole windows of 56 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[-2:]
        padded: torch.Tensor = self.layers(nn.functional.pad(image, (0, -width % 56, 0, -height % 56)))
        return padded


def test_where_sizes_follow_no_rule_each_is_traced_and_a_note_says_so() -> None:
    workload, least = Workload.infer(batch=8, image=(256, 256)), card(1000)
    found = fit(Windows, workload, least, vary="image")
    assert found.told_by == "traces"
    assert found.notes == ("byte counts or events do not follow the size by one rule: each size is traced",)
    assert_forecasts(found, Windows, lambda side: workload.with_fields(image=(side, side)), least)


def test_long_sequences_are_told_by_short_ones(tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 128, "vocab_size": 500}
    more = {"num_key_value_heads": 1, "max_position_embeddings": 2**20}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"], **sizes, **more}))
    model, workload, least = f"transformers:{tmp_path}", Workload.train(batch=2, steps=1), card(800)
    found = fit(model, workload, least, vary="seq")
    assert (found.told_by, found.notes) == ("family", ())
    assert_forecasts(found, model, lambda length: workload.with_fields(seq=length), least)


def test_images_grow_in_steps_of_the_stride() -> None:
    workload, least = Workload.infer(batch=8), card(1200)
    found = fit(MODEL, workload, least, vary="image", step=64)
    assert found.image is not None
    assert found.image % 64 == 0
    assert found.surely == figures(found.image, estimate(MODEL, workload.with_fields(image=(found.image,) * 2), least))
    more = found.image + 64
    assert not surely_fits(estimate(MODEL, workload.with_fields(image=(more, more)), least))


def test_sequences_end_where_the_model_s_positions_do(tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 128, "vocab_size": 500}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertForMaskedLM"], **sizes}))
    found = fit(f"transformers:{tmp_path}", Workload.train(batch=4, steps=1), "rtx 4090", vary="seq")
    assert (found.seq, found.seq_may, found.beyond) == (512, 512, None)


@pytest.mark.parametrize(
    ("model", "workload", "options", "match"),
    [
        (MODEL, SMALL, {"vary": "seq"}, "it takes images; vary image or batch"),
        ("timm:vit_tiny_patch16_224", Workload.train(), {"vary": "image"}, "it takes one size only"),
        ("ultralytics:yolo11n", Workload.train(), {"vary": "image", "step": 48}, "multiples of its stride, 32"),
        (MODEL, SMALL, {"step": 8}, "exclude each other"),
        (MODEL, SMALL, {"at_most": 0}, "at_most is 0; it must be at least 1"),
        ("params:7B", Workload.train(), {}, "nothing in it grows"),
    ],
)
def test_what_cannot_be_varied_is_refused(model: str, workload: Workload, options: dict[str, object], match: str) -> None:
    with pytest.raises(WorkloadError, match=match):
        fit(model, workload, CARD, **options)  # type: ignore[arg-type]


def test_what_cannot_be_traced_is_an_error_not_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    from vramcast.backends.eager import batching

    def fail(*_: object) -> None:
        raise UntraceableError("no shape function")

    monkeypatch.setattr(batching, "trace_program", fail)
    with pytest.raises(UntraceableError, match="no shape function"):
        fit(MODEL, SMALL, CARD)
