"""`vramcast backends`: one workload on every backend, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from vramcast.cli.cards import card_named, complete_gpu
from vramcast.cli.options import workload_from, workload_options
from vramcast.cli.output import print_json, print_table
from vramcast.cli.progress import stages
from vramcast.cli.sections import SectionedCommand, SectionedOption
from vramcast.units import format_bytes, format_gib
from vramcast.verdict import verdict_words
from vramcast.workload import BACKENDS

if TYPE_CHECKING:
    from vramcast.study.backends import BackendComparison, BackendSide

EXAMPLES = """\b
Examples:
  vramcast backends torchvision:resnet50 --infer --batch 32 --precision fp16 --gpu l4
  vramcast backends yolo11n --infer --image 640 --on eager --on tensorrt
  vramcast backends torchvision:vit_b_16 --train --batch 64 --precision amp-bf16 --on eager --on compile
  vramcast backends ./model.onnx --batch 8 --gpu t4 --format json

\b
Exit codes:
  0 compared    2 wrong usage    3 no forecast came about"""
_ANSWER = "Card and answer"


@click.command("backends", cls=SectionedCommand, epilog=EXAMPLES)
@click.argument("model", metavar="MODEL")
@click.option("--on", "backends", cls=SectionedOption, section=_ANSWER, multiple=True, type=click.Choice(BACKENDS),
              help="A backend; repeatable. All of them where none is named.")  # fmt: skip
@click.option("--gpu", cls=SectionedOption, section=_ANSWER, metavar="CARD", shell_complete=complete_gpu,
              help="A card (`vramcast gpus` lists them), a size such as 24GiB, or auto for the one in this machine.")  # fmt: skip
@click.option("--format", "form", cls=SectionedOption, section=_ANSWER, type=click.Choice(["terminal", "json"]), default="terminal",
              help="terminal (the default) or json.")  # fmt: skip
@workload_options
def backends(model: str, backends: tuple[str, ...], gpu: str | None, form: str, **options: Any) -> None:
    """Forecast MODEL on each backend, component by component, and say why they differ."""
    workload, card = workload_from(options), card_named(gpu)
    from vramcast.study.backends import compare_backends

    with stages() as progress:
        found = compare_backends(model, workload, card, backends=backends, progress=progress)
    if form == "json":
        print_json(found)
    else:
        _show(found)


def _show(found: BackendComparison) -> None:
    sides = [side for side in found.sides if side.error is None]
    header = (found.model.name, *(side.backend for side in sides))
    print_table(header, _rows(sides), numbers=header[1:])
    for side in sides:
        if side.why:
            click.echo(f"\n{side.backend} against {sides[0].backend}")
            for sentence in side.why:
                click.echo(f"  {sentence}")
    for side in found.sides:
        if side.error is not None:
            click.echo(f"\n! {side.backend} was not forecast: {side.error}")


def _rows(sides: list[BackendSide]) -> list[tuple[str, ...]]:
    names = dict.fromkeys(name for side in sides for name, size in side.components.items() if size)
    largest = sorted(names, key=lambda name: -max(side.components.get(name, 0) for side in sides))
    rows = [(name.replace("_", " "), *(_size(side.components.get(name, 0)) for side in sides)) for name in largest]
    peaks = [side.peak for side in sides if side.peak is not None]
    rows.append(("process", *(format_gib(peak.device_bytes) for peak in peaks)))
    rows.append(("  range", *(f"{format_gib(peak.low_bytes)}–{format_gib(peak.high_bytes)}" for peak in peaks)))
    rows.append(("peak in", *(peak.phase for peak in peaks)))
    rows.append(("tensors made", *(str(side.made_tensors) for side in sides)))
    rows.append(("verdict", *(verdict_words(side.fits, side.confidence) for side in sides)))
    return rows


def _size(size: int) -> str:
    return format_bytes(size) if size else "-"
