"""`vramcast compare`: models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vramcast.cli.cards import card_named, complete_gpu
from vramcast.cli.options import workload_from, workload_options
from vramcast.cli.output import print_json, print_table
from vramcast.cli.progress import stages
from vramcast.cli.sections import SectionedCommand, SectionedOption
from vramcast.units import format_bytes, format_count, format_gib
from vramcast.verdict import verdict_words

if TYPE_CHECKING:
    from vramcast.study.compare import Difference, ModelComparison, ModuleDifference, Side

EXAMPLES = """\b
Examples:
  vramcast compare yolov8n-p2 yolov8s --train --batch 16 --precision amp-fp16
  vramcast compare torchvision:resnet50 torchvision:convnext_tiny timm:vit_small_patch16_224 --train --batch 64 --gpu t4
  vramcast compare yolo11n yolo11s yolo11m --infer --batch 1 --precision fp16 --format json

\b
Exit codes:
  0 compared    2 wrong usage    3 no forecast came about"""
_ANSWER = "Card and answer"
_NUMBERS = ("parameters", "weights", "activations", "allocated", "process")
_NAMED = 4
"""Components that a difference names."""


@click.command("compare", cls=SectionedCommand, epilog=EXAMPLES)
@click.argument("models", nargs=-1, required=True, metavar="MODEL MODEL...")
@click.option("--gpu", cls=SectionedOption, section=_ANSWER, metavar="CARD", shell_complete=complete_gpu,
              help="A card (`vramcast gpus` lists them), a size such as 24GiB, or auto for the one in this machine.")  # fmt: skip
@click.option("--format", "form", cls=SectionedOption, section=_ANSWER, type=click.Choice(["terminal", "json"]), default="terminal",
              help="terminal (the default) or json.")  # fmt: skip
@workload_options
def compare(models: tuple[str, ...], gpu: str | None, form: str, **options: Any) -> None:
    """Forecast several models at one workload, and name the modules that make the difference to the first."""
    workload, card = workload_from(options), card_named(gpu)
    from vramcast.study.compare import compare as compare_models

    with stages() as progress:
        found = compare_models(models, workload, card, progress=progress)
    if form == "json":
        print_json(found)
    else:
        _show(found)


def _show(found: ModelComparison) -> None:
    print_table(("model", *_NUMBERS, "peak in", "verdict"), (_row(side) for side in found.sides if side.error is None), numbers=_NUMBERS)
    for difference in found.differences:
        _show_difference(difference)
    for side in found.sides:
        if side.error is not None:
            click.echo(f"! {side.asked} could not be forecast: {side.error}")


def _row(side: Side) -> tuple[str, ...]:
    assert side.model is not None
    assert side.peak is not None
    sizes = format_bytes(side.weights_bytes), *map(format_gib, (side.activations_bytes, side.peak.allocated_bytes, side.peak.device_bytes))
    return side.asked, format_count(side.model.parameters), *sizes, side.peak.phase, verdict_words(side.fits, side.confidence)


def _show_difference(found: Difference) -> None:
    largest = sorted(found.components, key=lambda name: -abs(found.components[name]))[:_NAMED]
    parts = ", ".join(f"{name.replace('_', ' ')} {_signed(found.components[name])}" for name in largest)
    click.echo(f"\n{found.second} against {found.first}: {_signed(found.more_bytes)}{f' ({parts})' if parts else ''}")
    if found.modules:
        header = ("  module", "class", "holds", "instead of", "difference", "parameters", "instead of ", "feature maps")
        print_table(header, map(_module_row, found.modules), numbers=header[2:7])


def _module_row(one: ModuleDifference) -> tuple[str, ...]:
    sizes = ("-" if size is None else format_bytes(size) for size in (one.second_bytes, one.first_bytes))
    counts = ("-" if count is None else format_count(count) for count in (one.second_parameters, one.first_parameters))
    images = [_sides(one.second_image), _sides(one.first_image)]
    shown = images[0] if images[0] == images[1] or one.first_bytes is None else f"{images[0]} instead of {images[1]}"
    return f"  {one.name}", one.kind, *sizes, _signed(one.more_bytes), *counts, images[1] if one.second_bytes is None else shown


def _sides(image: tuple[int, int] | None) -> str:
    return "-" if image is None else f"{image[0]}x{image[1]}"


def _signed(size: int) -> str:
    return f"{'+' if size >= 0 else ''}{format_bytes(size)}"
