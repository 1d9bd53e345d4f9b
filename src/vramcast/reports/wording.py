"""Sentences about an estimate, in plain text."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from vramcast.footprint import Calibration, DataSummary, Estimate, Peak
from vramcast.lora_options import Lora
from vramcast.reports.glyphs import Glyphs
from vramcast.units import format_bytes, format_count, format_gib
from vramcast.verdict import verdict_words
from vramcast.workload import Workload

_SHOWN_FIRST = ("mode", "batch", "image", "seq", "new_tokens", "inputs", "precision", "optimizer", "optimizer_loop", "preset")
_NAMED = 3
"""Samples named on a screen."""
_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}


def verdict(estimate: Estimate) -> str:
    """Return the answer in one line."""
    need = format_gib(estimate.peak.device_bytes)
    if estimate.fits is None or estimate.gpu is None:
        return f"needs {need}"
    standing, usable, headroom = verdict_words(estimate.fits, estimate.confidence), estimate.gpu.usable_bytes, estimate.headroom_bytes or 0
    if headroom < 0:
        return f"{standing}: needs {need} of {format_gib(usable)}, {format_gib(-headroom)} too much"
    if not estimate.fits:
        return f"{standing}: needs {need} of {format_gib(usable)}, but not in the pieces that are left"
    return f"{standing}: {need} of {format_gib(usable)} ({percent(estimate.peak.device_bytes, usable)}), headroom {format_gib(headroom)}"


def calibration(found: Calibration) -> str:
    """Return what the range in brackets is made of."""
    return f"{found.coverage * 100:.0f} % range of {found.residuals}"


def subject(estimate: Estimate, glyphs: Glyphs) -> str:
    """Return model and card: `resnet50 (torchvision), 25.6 M parameters · NVIDIA A100`."""
    model = estimate.model
    frozen = model.parameters - model.trainable_parameters
    parameters = f"{format_count(model.parameters)} parameters" + (f", {format_count(frozen)} frozen" if frozen else "")
    if estimate.workload.get("lora"):
        parameters = f"{format_count(model.parameters)} parameters, {format_count(model.trainable_parameters)} of adapters"
    card = [estimate.gpu.name] if estimate.gpu else []
    return f" {glyphs.dot} ".join([f"{model.name} ({model.source}), {parameters}", *card])


def task(fields: Mapping[str, object], glyphs: Glyphs, told: Collection[str] = ()) -> str:
    """Return what is run: `train · batch 64 · 224×224 · amp-bf16 · adamw`, then every field that is not at its default.

    `told`: fields that are told elsewhere, such as what a preset set.
    """
    workload = msgspec.convert(fields, Workload)
    parts = [workload.mode, f"batch {workload.batch}"]
    if workload.image is not None:
        parts.append(glyphs.times.join(str(side) for side in workload.image))
    if workload.seq is not None:
        parts.append(f"seq {workload.seq}")
    if workload.new_tokens is not None:
        parts.append(f"{workload.new_tokens} new tokens")
    parts += [f"{spec.name}={'x'.join(str(side) for side in spec.shape)}:{spec.dtype}" for spec in workload.inputs]
    parts.append(workload.precision)
    if workload.is_training:
        parts.append(workload.optimizer + ("" if workload.optimizer_loop == "default" else f" {workload.optimizer_loop}"))
    defaults = Workload(backend=None if workload.backend is None else "eager").as_dict()
    if workload.lora is not None:
        defaults["lora"] = {**msgspec.to_builtins(Lora(rank=1)), "rank": None}  # the rank is told whatever it is
    unusual = _differences(workload.as_dict(), defaults)
    return f" {glyphs.dot} ".join([*parts, *settings({name: value for name, value in unusual.items() if name not in (*_SHOWN_FIRST, *told)})])


def _differences(fields: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    changed = {name: (value, defaults[name]) for name, value in fields.items() if value != defaults[name]}
    return {
        name: _differences(value, default) if isinstance(value, Mapping) and isinstance(default, Mapping) else value
        for name, (value, default) in changed.items()
    }


def settings(fields: Mapping[str, object]) -> list[str]:
    """Return workload fields in words: `ema gpu`, `checkpointing`, `no set to none`."""
    return [_setting(name.replace("_", " "), value) for name, value in fields.items()]


def _setting(name: str, value: object) -> str:
    if isinstance(value, bool):
        return name if value else f"no {name}"
    if isinstance(value, Mapping):
        return " ".join([name, *settings({key: item for key, item in value.items() if item is not None and item is not False})])
    if isinstance(value, (list, tuple)):
        return f"{name} {' '.join(str(item) for item in value)}"
    return f"{name} {value}"


def totals(peak: Peak, glyphs: Glyphs) -> str:
    """Return what each tool would show at the peak: nvidia-smi with its range, and torch's own two figures."""
    ends = glyphs.dash.join([format_gib(peak.low_bytes).removesuffix(" GiB"), format_gib(peak.high_bytes)])
    parts = [
        f"nvidia-smi {format_gib(peak.device_bytes)} ({ends})",
        f"reserved {format_gib(peak.reserved_bytes)}",
        f"allocated {format_gib(peak.allocated_bytes)}",
    ]
    return f" {glyphs.dot} ".join(parts)


def instant(peak: Peak) -> str:
    """Return when the peak is: `peak in 2nd step, backward, layer1.0.conv2, convolution_backward`."""
    step = [f"{ordinal(peak.step + 1)} step"] if peak.step >= 0 else []
    return "peak in " + ", ".join(item for item in (*step, peak.phase, peak.module or "the model itself", peak.operator) if item)


def ordinal(number: int) -> str:
    """Return `1st`, `2nd`, `11th`."""
    ending = number % 100 if number % 100 in (11, 12, 13) else number % 10
    return f"{number}{_ORDINALS.get(ending, 'xth')[1:]}"


def percent(part: int, whole: int) -> str:
    """Return a share as whole per cent, with `<1 %` for what would round to nothing."""
    if not whole:
        return "-"
    share = 100 * part / whole
    return "<1 %" if 0 < share < 0.5 else f"{share:.0f} %"


def data(summary: DataSummary) -> tuple[str, ...]:
    """Return what a data set says, in a sentence each: what is in it and what could not be read, the worst batch and how likely it is, notes."""
    return tuple(sentence for sentence in (_data_set(summary), _worst_batch(summary), *summary.notes) if sentence)


def _data_set(summary: DataSummary) -> str:
    what = "sequences" if summary.kind == "lengths" else "images"
    named = {"objects per image": summary.objects, "tokens": summary.lengths}
    if summary.objects is None:
        named |= {"height": summary.heights, "width": summary.widths}
    sizes = [f"{name} {spread.median:,} / {spread.percentile_99:,} / {spread.largest:,}" for name, spread in named.items() if spread is not None]
    told = f", {', '.join(sizes)} (median / 99 % / most)" if sizes else ""
    broken = f", {summary.malformed:,} malformed ({summary.malformed_examples[0]})" if summary.malformed and summary.malformed_examples else ""
    return f"data {summary.source} ({summary.kind}): {summary.samples:,} {what}{told}{broken}"


def _worst_batch(summary: DataSummary) -> str:
    if not summary.sets:
        return ""
    chance = 1.0 if summary.chance_per_epoch is None else summary.chance_per_epoch
    often = "met in every epoch" if chance > 0.9995 else f"met in {100 * chance:.3g} % of epochs"
    mixes = [name if value == 1 else f"{name} {value:g}" for name, value in (("mosaic", summary.mosaic), ("mixup", summary.mixup)) if value]
    mixed = f" after {' and '.join(mixes)}" if mixes and "targets" in summary.sets else ""
    named = ", ".join(f"{sample.name} ({sample.size:,})" for sample in summary.largest[:_NAMED])
    return f"worst batch: {', '.join(_set_by_data(name, value) for name, value in summary.sets.items())}{mixed}, {often}; most: {named}"


def _set_by_data(name: str, value: object) -> str:
    """Return a field that a data set sets in words: `300 objects per image`, `image 360x640`."""
    if name == "targets":
        return f"{value:,} objects per image"
    if isinstance(value, (list, tuple)):
        return f"{name} {'x'.join(map(str, value))}"
    return f"{name} {value}"


def _unreadable(summary: DataSummary) -> str:
    if not summary.malformed:
        return ""
    verb = "label, image or line" if summary.malformed == 1 else "labels, images or lines"
    return f"{summary.malformed:,} malformed {verb} left out, such as {'; '.join(summary.malformed_examples)}"


def bound(size: int | None) -> str:
    """Return how much a caveat may add, in brackets; empty where that is not known."""
    return "" if size is None else f" (up to {format_bytes(size)})"
