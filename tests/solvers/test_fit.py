"""What a fit answers is what a forecast of every single value says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vramcast.answer import Estimate
from vramcast.errors import UntraceableError, WorkloadError
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import estimate
from vramcast.solvers.fit import fit
from vramcast.solvers.limits import figures
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
