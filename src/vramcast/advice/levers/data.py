"""Less data at once: smaller batches, images and sequences, nothing staged ahead."""

from __future__ import annotations

import msgspec

from vramcast.advice.lever import INFERENCE_ONLY, TRAINING_ONLY, Change, Lever, Situation
from vramcast.presets import ULTRALYTICS, at_batch
from vramcast.units import round_up
from vramcast.workload import Validation, Workload

_STEP = 32
"""Pixels from one image size to the next where the model names no stride."""
_SHARES = (0.75, 0.5, 0.25)
"""Of the image's sides."""


def _accumulated_batches(situation: Situation) -> tuple[Change, ...] | str:
    """Accumulate gradients as often as keeps the effective batch."""
    if not situation.workload.is_training:
        return TRAINING_ONLY
    halves = _halves(situation.workload)
    return halves if isinstance(halves, str) else tuple(_accumulated(situation, batch, times) for batch, times in halves)


def _smaller_batches(situation: Situation) -> tuple[Change, ...] | str:
    if situation.workload.is_training:
        return INFERENCE_ONLY
    halves = _halves(situation.workload)
    if isinstance(halves, str):
        return halves
    return tuple(
        Change(f"batch {batch}", with_batch(situation.workload, batch), f"batches of {batch}, {times} times as many", f"--batch {batch}")
        for batch, times in halves
    )


def _halves(workload: Workload) -> list[tuple[int, int]] | str:
    """Halve the batch as long as that goes: each batch, and how many of it are as many samples."""
    if workload.inputs:
        return "inputs state their own shapes; give a smaller first dimension"
    if workload.batch == 1:
        return "the batch is 1 already"
    halves: list[tuple[int, int]] = []
    batch, times = workload.batch, 1
    while batch % 2 == 0:
        batch, times = batch // 2, times * 2
        halves.append((batch, times))
    return halves or f"batch {workload.batch} is odd: half of it is no whole number"


def _accumulated(situation: Situation, batch: int, times: int) -> Change:
    often = situation.workload.accumulate * times
    workload = with_batch(situation.workload, batch).with_fields(accumulate=often)
    name, options = f"batch {batch}, {often} accumulated", f"--batch {batch} --accumulate {often}"
    if situation.is_ultralytics and workload.preset in ULTRALYTICS:
        return Change(name, workload, f"model.train(..., batch={batch})   # accumulates to its nominal batch itself", options)
    return Change(name, workload, f"(loss / {often}).backward(); optimizer.step() and zero_grad() every {often} batches of {batch}", options)


def with_batch(workload: Workload, batch: int) -> Workload:
    """Return the workload at another batch, with what its preset sets by it."""
    fields = at_batch(workload.as_dict(), batch)
    if "validation" in fields:
        fields["validation"] = msgspec.convert(fields["validation"], Validation)
    return workload.with_fields(**fields)


def _images(situation: Situation) -> tuple[Change, ...] | str:
    model, workload = situation.model, situation.workload
    if model is None or model.image is None or workload.inputs:
        return "it takes no images" if not workload.inputs else "inputs state their own shapes"
    if model.fixed_image:
        return f"it takes one size only, {model.image[0]}×{model.image[1]}"
    if workload.image_range is not None:
        return "the image size is drawn from a range"
    image, unit = workload.image or model.image, model.stride if model.stride > 1 else _STEP
    sizes = [tuple(max(round_up(int(side * share) - unit + 1, unit), unit) for side in image) for share in _SHARES]
    return tuple(_image(situation, height, width) for height, width in dict.fromkeys(sizes) if (height, width) != image) or "it is as small as can be"


def _image(situation: Situation, height: int, width: int) -> Change:
    workload = situation.workload.with_fields(image=(height, width))
    text = str(height) if height == width else f"{height}x{width}"
    code = (
        f"model.{situation.workload.mode.replace('infer', 'predict')}(..., imgsz={text})"
        if situation.is_ultralytics
        else f"Resize(({height}, {width}))"
    )
    return Change(f"image {text}", workload, code, f"--image {text}")


def _one_size(situation: Situation) -> tuple[Change, ...] | str:
    sides = situation.workload.image_range
    if sides is None:
        return "all images have one size"
    image = situation.workload.image or (situation.model.image if situation.model else None)
    if image is None or max(image) >= max(sides):
        return "the usual size is the largest of the range"
    code = "model.train(..., multi_scale=False)" if situation.is_ultralytics else f"Resize(({image[0]}, {image[1]}))"
    text = f"{image[0]}x{image[1]}"
    return (
        Change(f"image {text} only", situation.workload.with_fields(image=image, image_range=None), code, f"--image {text}   (no --image-range)"),
    )


def _sequences(situation: Situation) -> tuple[Change, ...] | str:
    model, workload = situation.model, situation.workload
    length = workload.seq or (model.sequence if model and model.image is None else None)
    if length is None or workload.inputs:
        return "it takes no sequences"
    halves = tuple(length // share for share in (2, 4, 8) if length // share >= 1)
    changes = (
        Change(f"seq {half}", workload.with_fields(seq=half), f"tokenizer(..., truncation=True, max_length={half})", f"--seq {half}")
        for half in halves
    )
    return tuple(changes) or "the sequence is as short as can be"


def _prefetch(situation: Situation) -> tuple[Change, ...] | str:
    workload = situation.workload
    if workload.prefetch == 0:
        return "nothing is staged ahead on the GPU"
    code = "x = x.to(device)   # in the step, without a prefetcher on the GPU"
    return (Change("no prefetch", workload.with_fields(prefetch=0), code, "--prefetch 0"),)


BATCH = Lever(
    "batch", "smaller batch, accumulated", computation="smaller passes fill the GPU less", risk="batch norm, if any, sees fewer samples",
    effort="a few lines", changes=_accumulated_batches,
)  # fmt: skip
INFERENCE_BATCH = Lever(
    "batch", "smaller batch", computation="smaller passes fill the GPU less", risk="", effort="one argument", changes=_smaller_batches
)
IMAGE = Lever("size", "smaller image", computation="", risk="small objects and details are lost", effort="one argument", changes=_images)
MULTI_SCALE = Lever("size", "one image size", computation="", risk="less robust to scale", effort="one argument", changes=_one_size)
SEQUENCE = Lever("size", "shorter sequence", computation="", risk="less context", effort="one argument", changes=_sequences)
PREFETCH = Lever("staging", "no prefetch on the GPU", computation="copies are waited for", risk="", effort="one line", changes=_prefetch)
